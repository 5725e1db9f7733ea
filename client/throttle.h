/* throttle.h - how many requests of one lane a host may have at a time: as many as it takes.  Pure.
 *
 * A host that answers 429 or 503 is asked for half as much at a time as it was just being asked for, at least one;
 * with as many answers as may be under way the limit rises by one again, up to that of the lane.  Refusals of
 * requests that were sent before the last halving say nothing new, since they were part of what was too much.
 *
 * This comes on top of the pause that a host asks for (hosts.h), and holds for all of its requests, whoever sends them.
 *
 * Threads: a table has no lock of its own.  One thread changes it, and looks at it as it likes; where others look too,
 * it changes it, and they look, under a lock of whoever owns the table (`tables` in http_private.h).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_THROTTLE_H
#define CABFS_CLIENT_THROTTLE_H

#include <glib.h>

typedef struct CabThrottle CabThrottle;

/* @most: requests at a time, as the lane has it. */
CabThrottle *cab_throttle_new (guint most);
void cab_throttle_free (CabThrottle *self);

/* @host as cab_address_host() makes it; NULL: nothing is known of it, and there is room. */
gboolean cab_throttle_has_room (const CabThrottle *self, const char *host);
guint cab_throttle_limit (const CabThrottle *self, const char *host);

/* A request to @host has a place. */
void cab_throttle_begin (CabThrottle *self, const char *host);

/* It is being sent now: to be handed to cab_throttle_end(). */
guint cab_throttle_round (const CabThrottle *self, const char *host);

/* It is over.  @status: of its answer, 0 if there is none, or none that counts.  TRUE if the limit was halved. */
gboolean cab_throttle_end (CabThrottle *self, const char *host, guint round, int status);

typedef void (*CabThrottleFunc) (gpointer data, const char *host, guint under_way, guint limit);

/* Calls @func for each host that has, or had, requests; those of the longest ago may be forgotten. */
void cab_throttle_each (const CabThrottle *self, CabThrottleFunc func, gpointer data);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabThrottle, cab_throttle_free)

#endif
