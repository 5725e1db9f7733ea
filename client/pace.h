/* pace.h - how many connections a stream is worth: as many as bring more.  Pure.
 *
 * One connection to a far host is bounded by latency and window, so that sixteen bring sixteen times as much; to a near
 * one, four bring all there is, and more cost memory and system calls.  Which of both it is shows first in how long
 * the first byte of an answer takes: where that is nothing, few connections are a good beginning, else all that are
 * allowed.  From then on it is tried out: half or twice as many for a moment, up where that brings a tenth more, down
 * where it does not cost a tenth.  What is found is kept for longer each time that it is found again.  A reader's window
 * comes in surges of some round trips, so the longer these are, the longer is what is measured, and what is kept.
 *
 * Only what is measured while the connections are all in use tells anything: a reader who takes his time, or a file
 * that ends, changes nothing.
 *
 * Threads: a pace belongs to one.  Times are monotonic microseconds.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_PACE_H
#define CABFS_CLIENT_PACE_H

#include <glib.h>

typedef struct CabPace CabPace;

/* Fewer than these are never worth it: while one range ends and the next begins, another one goes on. */
#define CAB_PACE_LEAST 2
/* Where the first byte comes within this time, so many are a good beginning. */
#define CAB_PACE_NEAR_US 5000
#define CAB_PACE_FEW     4

/* @most: connections allowed. */
CabPace *cab_pace_new (guint most);
void cab_pace_free (CabPace *self);

/* The first byte of an answer came @wait_us after it was asked for, connecting included. */
void cab_pace_first_byte (CabPace *self, gint64 wait_us);

/* @bytes: all that came so far.  @under_way: ranges at the moment, after all that may begin have begun.  To be called
 * often, at least several times in a second as long as bytes come. */
void cab_pace_tick (CabPace *self, gint64 now_us, guint64 bytes, guint under_way);

/* How many ranges should be under way at a time. */
guint cab_pace_limit (const CabPace *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabPace, cab_pace_free)

#endif
