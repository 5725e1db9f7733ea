/* rate.h - how fast bytes came in the last seconds.  Pure; no locks.
 *
 * Bytes are counted in slots of half a second, and the last eight of those are looked at: long enough that pieces which
 * come in bursts make a steady number, short enough that it tells of now.
 *
 * Times are monotonic microseconds.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CACHE_RATE_H
#define CABFS_CACHE_RATE_H

#include <glib.h>

#define CAB_RATE_SLOTS   8
#define CAB_RATE_SLOT_US (G_USEC_PER_SEC / 2)

/* All zero: nothing came yet. */
typedef struct {
  guint64 bytes[CAB_RATE_SLOTS]; /* of slot n at n % CAB_RATE_SLOTS */
  gint64 slot;                   /* the latest that has bytes */
  gint64 since_us;               /* when they began to come, after a silence as long as all slots */
} CabRate;

/* @now_us is never before that of an earlier call. */
void cab_rate_add (CabRate *self, gint64 now_us, guint64 bytes);

/* Bytes a second; 0 if none came for as long as all slots. */
guint64 cab_rate_get (const CabRate *self, gint64 now_us);

#endif
