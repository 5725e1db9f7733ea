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
