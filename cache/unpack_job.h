/* unpack_job.h - one job and its worker, as the unpacker's thread sees them.
 *
 * WAITING -> RUNNING -> ENDING -> over.  What ends a job (a DONE, a fault, cab_unpack_cancel()) decides how,
 * once; then the worker is killed, whatever it does, and `done` runs when it is no more.
 *
 * Nothing that a worker says is believed: a packet out of place, or with a number out of bounds, ends it.
 *
 * Threads: all calls are of the unpacker's thread, but for those of unpack.h.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CACHE_UNPACK_JOB_H
#define CABFS_CACHE_UNPACK_JOB_H

#include <poll.h>

#include "cache/unpack.h"

enum { CAB_JOB_FDS = 3 };

typedef struct {
  gboolean extract;
  guint64 size; /* of the archive */
  guint outer, ordinal;
  guint64 expected;
  int fd; /* the caller's */
} CabJobTask;

/* @wake: an eventfd that is written to when another thread did something to the job; has to live until it is
 * over.  Where @task cannot be done (no descriptors) the job ends so as soon as it starts. */
CabUnpack *cab_job_new (const CabJobTask *task, const CabUnpackSink *sink, gpointer data, int wake);
CabUnpack *cab_job_ref (CabUnpack *self);

/* Starts the worker. */
void cab_job_start (CabUnpack *self, const CabUnpackerOptions *options);

/* What to poll for: CAB_JOB_FDS of them. */
void cab_job_poll (CabUnpack *self, struct pollfd *fds);

/* Does what there is to do.  TRUE once the worker is no more: the job is ready for cab_job_finish(). */
gboolean cab_job_handle (CabUnpack *self);

/* Whether it was cancelled, or failed by its owner. */
gboolean cab_job_is_ending (CabUnpack *self);

/* Whether it waits for bytes of its archive. */
gboolean cab_job_is_waiting (CabUnpack *self);

/* The kernel cannot tell of its end: it has to be looked for. */
gboolean cab_job_is_blind (const CabUnpack *self);

/* Runs `done`; the job is over. */
void cab_job_finish (CabUnpack *self);

/* What could be had of a sandbox; -1 before that is known. */
gint cab_job_sandbox (const CabUnpack *self);

#endif
