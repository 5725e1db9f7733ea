/* sums.h - checksums of the bytes in a cache file, made of them as they arrive.
 *
 * A sum is of one piece: bytes in a row that lie within one chunk of the file.  It is made while the bytes are at hand,
 * so that it also tells of what the disk made of them.  It is XXH3, with 64 bits: meant for accidents, not for forgers,
 * who could write a map that fits as well.
 *
 * Pure.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CACHE_SUMS_H
#define CABFS_CACHE_SUMS_H

#include "cache/ranges.h"

/* What is read and compared at once, and dropped if it is damaged. */
#define CAB_SUM_CHUNK ((guint64) 1 << 20)

typedef struct {
  CabRange piece;
  guint64 sum;
} CabSum;

/* In order; no two have a byte in common. */
typedef struct {
  CabSum *items; /* owned; NULL while empty */
  guint count;
  guint room;
} CabSums;

/* Frees what it holds; it is empty afterwards and may be used again. */
void cab_sums_clear (CabSums *self);

/* Those that have a byte in common with the new one go: it is of what was written later. */
void cab_sums_add (CabSums *self, const CabSum *sum);

/* Removes all that have a byte of [start, end); of an empty interval none. */
void cab_sums_remove (CabSums *self, guint64 start, guint64 end);

/* Index of the first that ends behind @off. */
guint cab_sums_find (const CabSums *self, guint64 off);

guint64 cab_sum_of (const void *bytes, gsize len);

/* The sum of a piece that is not all here yet. */
typedef struct CabSummer CabSummer;

CabSummer *cab_summer_new (void);
void cab_summer_free (CabSummer *self);

/* TRUE if the piece ends before @off: then it has to be taken before more is fed. */
gboolean cab_summer_is_over (const CabSummer *self, guint64 off);

/* Goes on with the bytes at @off, to the end of their chunk: how many it took. */
gsize cab_summer_feed (CabSummer *self, guint64 off, const void *bytes, gsize len);

/* Adds the piece as it is to @sums, if there is one; the next bytes begin another one. */
void cab_summer_take (CabSummer *self, CabSums *sums);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CabSums, cab_sums_clear)

#endif
