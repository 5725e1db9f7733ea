/* gate.h - how a test holds a thread at a call of the C library, which the test then defines itself.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_TESTS_GATE_H
#define CABFS_TESTS_GATE_H

#include "tests/unit/latch.h"

typedef struct {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  gboolean closed; /* lock */
  guint pass;      /* lock: so many get by before one is held */
  Latch held;      /* raised by each who is */
} Gate;

#define GATE_INIT                                                                                              \
  { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .held = LATCH_INIT }

/* Whoever comes to it is held, but for the first @pass. */
static inline void gate_close (Gate *self, guint pass) {
  CAB_LOCK_SCOPE (&self->lock);
  self->closed = TRUE;
  self->pass = pass;
  self->held = (Latch) LATCH_INIT;
}

static inline void gate_open (Gate *self) {
  CAB_LOCK_SCOPE (&self->lock);
  self->closed = FALSE;
  pthread_cond_broadcast (&self->changed);
}

/* In the call. */
static inline void gate_enter (Gate *self) {
  CAB_LOCK_SCOPE (&self->lock);
  if (!self->closed)
    return;
  if (self->pass > 0) {
    self->pass--;
    return;
  }
  latch_up (&self->held);
  while (self->closed)
    pthread_cond_wait (&self->changed, &self->lock);
}

/* Waits until somebody is held. */
static inline void gate_wait (Gate *self) {
  latch_wait (&self->held, 1);
}

#endif
