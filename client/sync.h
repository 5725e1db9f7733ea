/* sync.h - the few words that threads use here.
 *
 * Threads meet on pthread mutexes and conditions and on C11 atomics, never on GMutex, GCond or
 * g_atomic_rc_box: ThreadSanitizer cannot see into a distribution's GLib and reports races that are not there.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_SYNC_H
#define CABFS_CLIENT_SYNC_H

#include <glib.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

static inline pthread_mutex_t *cab_lock_enter (pthread_mutex_t *lock) {
  int rc = pthread_mutex_lock (lock);
  g_assert (rc == 0);
  return lock;
}

static inline void cab_lock_leave (pthread_mutex_t **lock) {
  int rc = pthread_mutex_unlock (*lock);
  g_assert (rc == 0);
}

/* Holds @lock to the end of the enclosing block.  No lock is held across a callback, a reply to the kernel, disk,
 * network, or a call into another module that locks: so there is no lock order to remember. */
#define CAB_LOCK_SCOPE(lock)                                                                                      \
  __attribute__ ((cleanup (cab_lock_leave), unused)) pthread_mutex_t *G_PASTE (cab_held_, __LINE__) =            \
      cab_lock_enter (lock)

/* A condition whose timed waits go by the monotonic clock, which nobody sets. */
static inline void cab_cond_init (pthread_cond_t *cond) {
  pthread_condattr_t attr;
  pthread_condattr_init (&attr);
  pthread_condattr_setclock (&attr, CLOCK_MONOTONIC);
  pthread_cond_init (cond, &attr);
  pthread_condattr_destroy (&attr);
}

/* Waits for a signal until @until_us of g_get_monotonic_time(): FALSE once that has passed.  As any condition, it may
 * also return for no reason. */
static inline gboolean cab_cond_wait_until (pthread_cond_t *cond, pthread_mutex_t *lock, gint64 until_us) {
  const struct timespec until = {.tv_sec = (time_t) (until_us / G_USEC_PER_SEC),
                                 .tv_nsec = (long) (until_us % G_USEC_PER_SEC) * 1000};
  return pthread_cond_timedwait (cond, lock, &until) == 0;
}

/* A reference count for plain structs.  Starts at 1; cab_ref_drop() is TRUE for the caller who must free. */
typedef atomic_uint CabRefs;

static inline void cab_ref_init (CabRefs *refs) {
  atomic_init (refs, 1);
}

static inline void cab_ref_take (CabRefs *refs) {
  unsigned before = atomic_fetch_add_explicit (refs, 1, memory_order_relaxed);
  g_assert (before > 0);
}

static inline gboolean cab_ref_drop (CabRefs *refs) {
  unsigned before = atomic_fetch_sub_explicit (refs, 1, memory_order_acq_rel);
  g_assert (before > 0);
  return before == 1;
}

#endif
