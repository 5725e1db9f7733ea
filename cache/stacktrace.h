/* stacktrace.h - the services' stack traces: small texts, in memory only, asked for once however many want one.
 *
 * A text is kept for `ttl_s` after it was asked for, and so far as all of them together stay small: those that came
 * first go first.  That a trace could not be had is kept for seconds, so that a walk does not turn into a storm.
 *
 * Threads and callbacks: as cache.h.  The client must be stopped before the table is freed.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CACHE_STACKTRACE_H
#define CABFS_CACHE_STACKTRACE_H

#include <stdatomic.h>

#include "cache/cache.h"

/* Bytes of all texts that are kept. */
#define CAB_STACKTRACES_LIMIT ((gsize) 16 << 20)

/* How long it is remembered that there is no trace, or that we may not have it; and that something failed: at most, for
 * `ttl_s` may be less. */
#define CAB_STACKTRACE_NONE_US   (30 * G_USEC_PER_SEC)
#define CAB_STACKTRACE_FAILED_US (1 * G_USEC_PER_SEC)

typedef struct CabStacktraces CabStacktraces;

typedef struct {
  CabClient *client; /* outlives the table */
  atomic_llong ttl_s;
  atomic_uint timeout_ms;
} CabStacktracesOptions;

CabStacktraces *cab_stacktraces_new (const CabStacktracesOptions *options);
/* From now on; any thread. */
void cab_stacktraces_change (CabStacktraces *self, gint64 ttl_s, guint timeout_ms);

void cab_stacktraces_free (CabStacktraces *self);

/* As cab_cache_stacktrace().  @now_us: monotonic, here and below. */
void cab_stacktraces_get (CabStacktraces *self, const CabScope *scope, const char *id, CabReach reach,
                          gint64 now_us, CabStacktraceDone done, gpointer data);

/* Ends the waits that have been too long, and drops what is past its time. */
void cab_stacktraces_tick (CabStacktraces *self, gint64 now_us);

/* Bytes of texts that are kept.  Tests hold them against the bound: what is past its time is told to nobody, so that
 * nothing else shows whether it is still there. */
gsize cab_stacktraces_bytes (CabStacktraces *self);

#endif
