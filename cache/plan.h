/* plan.h - which bytes of a file to fetch next: what a reader waits for, and what he is likely to want.  Pure.
 *
 * A cursor follows one sequential reader.  Its window, how far ahead of him is fetched, is nothing for a reader that
 * jumps (he gets what he asked for, rounded to CAB_PLAN_BLOCK), begins small with the read that follows another one,
 * and grows fourfold each time he has read a quarter of it in a row, up to `read-ahead`.  So a debugger that reads a few
 * pieces side by side does not fetch the file, and who reads on has the whole window under way after 4 MiB: to a far
 * host each step takes a round trip, in which a full window would bring more than that.
 *
 * Gaps are cut at multiples of a chunk, so that a window is fetched by several connections side by side: one
 * connection to a far host is bounded by latency and window.  4 to 8 MiB a request hide the round trip; of these the
 * chunk is what lets the full window keep all connections busy.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CACHE_PLAN_H
#define CABFS_CACHE_PLAN_H

#include "cache/ranges.h"

#define CAB_PLAN_BLOCK     ((guint64) 64 << 10)
#define CAB_PLAN_CHUNK_MIN ((guint64) 4 << 20)
#define CAB_PLAN_CHUNK_MAX ((guint64) 8 << 20)

/* The first request for a file of which nothing is known: what the kernel's first read wants (128 to 256 KiB), and what
 * an archive manager reads of the head. */
#define CAB_PLAN_HEAD ((guint64) 256 << 10)

#define CAB_PLAN_CURSORS 8

typedef struct {
  guint64 start; /* where he began to read in a row */
  guint64 next;  /* where the reader is expected */
  guint64 window;
  guint64 used; /* when, in reads of this file; 0: free */
} CabCursor;

typedef struct {
  CabCursor cursors[CAB_PLAN_CURSORS];
  guint64 reads;
} CabPlan;

/* What requests of a window of @read_ahead bytes are cut to, for so many @connections. */
guint64 cab_plan_chunk (guint64 read_ahead, guint connections);

/* Notes a read of [start, end) and gives the interval to have: it begins at or before @start, ends at or behind @end
 * and within @size. */
CabRange cab_plan_read (CabPlan *self, guint64 start, guint64 end, guint64 size, guint64 read_ahead);

/* The first interval of @zone that is neither in @have nor in @coming, cut to a @chunk: FALSE if there is
 * none. */
gboolean cab_plan_gap (const CabRanges *have, const CabRanges *coming, CabRange zone, guint64 chunk,
                       CabRange *gap);

#endif
