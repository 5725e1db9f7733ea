/* timers.h - functions to be called later, sorted by time.  Pure: the caller has the clock.
 *
 * Threads: a set belongs to one.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_TIMERS_H
#define CABFS_CLIENT_TIMERS_H

#include <glib.h>

typedef struct CabTimers CabTimers;
typedef struct CabTimer CabTimer;
typedef void (*CabTimerFunc) (gpointer data);

CabTimers *cab_timers_new (void);
/* Timers that are left never run. */
void cab_timers_free (CabTimers *self);

/* The timer is valid until cab_timers_take() hands it out or it is removed. */
CabTimer *cab_timers_add (CabTimers *self, gint64 due, CabTimerFunc func, gpointer data);
void cab_timers_remove (CabTimers *self, CabTimer *timer);

/* When the first is due; G_MAXINT64 if there is none. */
gint64 cab_timers_next (const CabTimers *self);

/* Takes out the first timer if it is due at @now; the caller then calls @func. */
gboolean cab_timers_take (CabTimers *self, gint64 now, CabTimerFunc *func, gpointer *data);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabTimers, cab_timers_free)

#endif
