/* latch.h - how a test waits for what other threads do.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_TESTS_LATCH_H
#define CABFS_TESTS_LATCH_H

#include "client/sync.h"

#include <time.h>

typedef struct {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  guint count;
} Latch;

#define LATCH_INIT                                                                                             \
  { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER }

static inline void latch_up (Latch *self) {
  CAB_LOCK_SCOPE (&self->lock);
  self->count++;
  pthread_cond_broadcast (&self->changed);
}

/* Waits until it was raised @count times; fails the test after 30 s. */
static inline void latch_wait (Latch *self, guint count) {
  struct timespec until;
  clock_gettime (CLOCK_REALTIME, &until);
  until.tv_sec += 30;
  CAB_LOCK_SCOPE (&self->lock);
  int rc = 0;
  while (self->count < count && rc == 0)
    rc = pthread_cond_timedwait (&self->changed, &self->lock, &until);
  g_assert_cmpuint (self->count, >=, count);
}

static inline guint latch_count (Latch *self) {
  CAB_LOCK_SCOPE (&self->lock);
  return self->count;
}

#endif
