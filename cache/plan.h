/* plan.h - which bytes of a file to fetch next: what a reader waits for, and what he is likely to want.  Pure.
 *
 * A cursor follows one sequential reader.  Its window, how far ahead of him is fetched, is nothing for a reader that
 * jumps: he gets what he asked for, rounded to CAB_PLAN_BLOCK.  It begins small with the read that follows another one,
 * and grows fourfold each time he has read a quarter of it in a row, from 4 MiB on at once to `read-ahead`.  So a debugger
 * that reads a few pieces side by side does not fetch the file, and who reads on has the whole window under way after
 * 1 MiB: to a far host each step costs a round trip, in which a full window would bring more than all before it.  For
 * the same reason a first read that the kernel has made long itself, from the beginning of a file, gets the whole window
 * at once: it is the way of programs that read a file to its end.
 *
 * What is ahead, of the window and of the file, is cut into as many requests as there are connections, of 0.25 to 8 MiB.
 * To a far host one connection is bounded by latency and its own window, which begins small too: what has to grow is
 * better begun on all of them, early, than on one after the other.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CACHE_PLAN_H
#define CABFS_CACHE_PLAN_H

#include "cache/ranges.h"

#define CAB_PLAN_BLOCK     ((guint64) 64 << 10)
#define CAB_PLAN_CHUNK_MIN ((guint64) 256 << 10)
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

/* What to have: [start, end), in requests that end at multiples of @chunk. */
typedef struct {
  guint64 start, end;
  guint64 chunk;
} CabZone;

/* How much at a time, and by how many requests. */
typedef struct {
  guint64 read_ahead;
  guint connections;
} CabPlanLimits;

/* Notes a read of [start, end) and gives the zone to have: it begins at or before @start, ends at or behind @end and
 * within @size. */
CabZone cab_plan_read (CabPlan *self, guint64 start, guint64 end, guint64 size, const CabPlanLimits *limits);

/* The zone of bytes that are wanted as they are. */
CabZone cab_plan_zone (guint64 start, guint64 end);

/* The zone of bytes that are wanted one after the other: as what is ahead of a reader. */
CabZone cab_plan_cut (CabRange range, guint connections);

/* The first interval of @zone that is neither in @have nor in @coming, cut to a request; a little more than a chunk
 * where a small piece would remain.  FALSE if there is none. */
gboolean cab_plan_gap (const CabRanges *have, const CabRanges *coming, const CabZone *zone, CabRange *gap);

#endif
