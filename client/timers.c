/* SPDX-License-Identifier: MIT */
#include "client/timers.h"

struct CabTimer {
  gint64 due;
  CabTimerFunc func;
  gpointer data;
  GSequenceIter *place;
};

struct CabTimers {
  GSequence *sorted; /* of CabTimer, owned */
};

static int compare (gconstpointer a, gconstpointer b, gpointer data) {
  const CabTimer *x = a;
  const CabTimer *y = b;
  return (x->due > y->due) - (x->due < y->due);
}

CabTimers *cab_timers_new (void) {
  CabTimers *self = g_new0 (CabTimers, 1);
  self->sorted = g_sequence_new (g_free);
  return self;
}

void cab_timers_free (CabTimers *self) {
  if (self == NULL)
    return;
  g_sequence_free (self->sorted);
  g_free (self);
}

CabTimer *cab_timers_add (CabTimers *self, gint64 due, CabTimerFunc func, gpointer data) {
  CabTimer *timer = g_new0 (CabTimer, 1);
  timer->due = due;
  timer->func = func;
  timer->data = data;
  timer->place = g_sequence_insert_sorted (self->sorted, timer, compare, NULL);
  return timer;
}

void cab_timers_remove (CabTimers *self, CabTimer *timer) {
  g_sequence_remove (timer->place);
}

static CabTimer *first (const CabTimers *self) {
  GSequenceIter *begin = g_sequence_get_begin_iter (self->sorted);
  return g_sequence_iter_is_end (begin) ? NULL : g_sequence_get (begin);
}

gint64 cab_timers_next (const CabTimers *self) {
  CabTimer *timer = first (self);
  return timer == NULL ? G_MAXINT64 : timer->due;
}

gboolean cab_timers_take (CabTimers *self, gint64 now, CabTimerFunc *func, gpointer *data) {
  CabTimer *timer = first (self);
  if (timer == NULL || timer->due > now)
    return FALSE;
  *func = timer->func;
  *data = timer->data;
  cab_timers_remove (self, timer);
  return TRUE;
}
