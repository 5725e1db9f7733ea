/* ranges.h - a set of byte offsets, kept as sorted ranges that neither overlap nor touch.  Pure; no locks, no I/O.
 *
 * All intervals are half open: [start, end).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CACHE_RANGES_H
#define CABFS_CACHE_RANGES_H

#include <glib.h>

typedef struct {
  guint64 start;
  guint64 end;
} CabRange;

typedef struct {
  CabRange *items; /* owned; NULL while empty */
  guint count;
  guint room;
} CabRanges;

#define CAB_RANGES_INIT                                                                                        \
  { NULL, 0, 0 }

/* Frees what the set holds; it is empty afterwards and may be used again. */
void cab_ranges_clear (CabRanges *self);

/* Empty intervals (start >= end) are ignored by both. */
void cab_ranges_add (CabRanges *self, guint64 start, guint64 end);
void cab_ranges_remove (CabRanges *self, guint64 start, guint64 end);

/* TRUE if every byte of [start, end) is in the set; TRUE for an empty interval. */
gboolean cab_ranges_has (const CabRanges *self, guint64 start, guint64 end);

/* TRUE if any byte of [start, end) is in the set. */
gboolean cab_ranges_touches (const CabRanges *self, guint64 start, guint64 end);

/* The first interval within [start, end) that is not in the set: FALSE if there is none. */
gboolean cab_ranges_next_missing (const CabRanges *self, guint64 start, guint64 end, CabRange *missing);

/* Number of bytes in the set. */
guint64 cab_ranges_total (const CabRanges *self);

/* @to becomes a copy; what it held is freed. */
void cab_ranges_copy (const CabRanges *self, CabRanges *to);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CabRanges, cab_ranges_clear)

#endif
