/* SPDX-License-Identifier: MIT */
#include "cache/unpack.h"

#include "cache/unpack_job.h"
#include "cache/unpack_sandbox.h"
#include "client/error.h"
#include "client/sync.h"
#include "client/thread.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
  TICK_MS = 1000,     /* how often working workers are looked at */
  BLIND_TICK_MS = 50, /* the same where only looking tells of their end */
};

struct CabUnpacker {
  /* set at creation */
  CabUnpackerOptions options; /* its program is ours */
  char *program;
  int wake; /* eventfd */
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t idle; /* there are no jobs */
  GQueue inbox;        /* lock: of CabUnpack, owned; the thread has not seen them */
  guint jobs;          /* lock: whose `done` has not run */
  gboolean stopping;   /* lock */
  gboolean freeing;    /* lock */
  GQueue waiting;      /* owned by the thread: of CabUnpack, owned */
  GPtrArray *running;  /* owned by the thread: of CabUnpack, owned */
  gboolean told;       /* owned by the thread: that the sandbox is not whole */
};

/* --- the thread --------------------------------------------------------------------------------------------- */

/* FALSE when the thread has to end. */
static gboolean take_inbox (CabUnpacker *self, gboolean *stopping) {
  CAB_LOCK_SCOPE (&self->lock);
  for (CabUnpack *job = g_queue_pop_head (&self->inbox); job != NULL; job = g_queue_pop_head (&self->inbox))
    g_queue_push_tail (&self->waiting, job);
  *stopping = self->stopping;
  return !self->freeing || self->jobs > 0;
}

/* Takes @job.  Makes the thread look again: there may be room for another one, or nothing left to do. */
static void finish (CabUnpacker *self, CabUnpack *job) {
  cab_job_finish (job);
  cab_unpack_unref (job);
  eventfd_write (self->wake, 1);
  CAB_LOCK_SCOPE (&self->lock);
  self->jobs--;
  if (self->jobs == 0)
    pthread_cond_broadcast (&self->idle);
}

static void cancel_all (CabUnpacker *self) {
  for (GList *link = self->waiting.head; link != NULL; link = link->next)
    cab_unpack_cancel (link->data);
  for (guint i = 0; i < self->running->len; i++)
    cab_unpack_cancel (g_ptr_array_index (self->running, i));
}

/* Those that were cancelled need no worker. */
static void drop_waiting (CabUnpacker *self) {
  GList *next;
  for (GList *link = self->waiting.head; link != NULL; link = next) {
    CabUnpack *job = link->data;
    next = link->next;
    if (cab_job_is_ending (job)) {
      g_queue_delete_link (&self->waiting, link);
      finish (self, job);
    }
  }
}

/* Bytes may take long, or never come: who waits for some is no reason to let others wait, whose archives are here. */
static gboolean can_start (const CabUnpacker *self) {
  guint busy = 0;
  for (guint i = 0; i < self->running->len; i++)
    if (!cab_job_is_waiting (g_ptr_array_index (self->running, i)))
      busy++;
  return self->waiting.length > 0 && busy < self->options.parallel && self->running->len < self->options.most;
}

static void start_waiting (CabUnpacker *self) {
  while (can_start (self)) {
    CabUnpack *job = g_queue_pop_head (&self->waiting);
    cab_job_start (job, &self->options);
    g_ptr_array_add (self->running, job);
  }
}

static void look_at_sandbox (CabUnpacker *self, const CabUnpack *job) {
  gint got = cab_job_sandbox (job);
  if (self->told || got < 0 || got == CAB_SANDBOX_WHOLE)
    return;
  self->told = TRUE;
  gboolean files = (got & CAB_SANDBOX_LANDLOCK) != 0, calls = (got & CAB_SANDBOX_SECCOMP) != 0;
  g_warning ("this kernel has no %s%s%s: hostile archives are read with less protection",
             files ? "" : "Landlock", files || calls ? "" : " and no ", calls ? "" : "seccomp");
}

static void handle_running (CabUnpacker *self) {
  for (guint i = 0; i < self->running->len;) {
    CabUnpack *job = g_ptr_array_index (self->running, i);
    gboolean gone = cab_job_handle (job);
    look_at_sandbox (self, job);
    if (gone) {
      g_ptr_array_remove_index (self->running, i);
      finish (self, job);
    } else {
      i++;
    }
  }
}

static void wait_for_something (CabUnpacker *self) {
  guint count = self->running->len;
  g_autofree struct pollfd *fds = g_new (struct pollfd, 1 + count * CAB_JOB_FDS);
  int timeout_ms = count > 0 ? TICK_MS : -1;
  fds[0] = (struct pollfd){.fd = self->wake, .events = POLLIN};
  for (guint i = 0; i < count; i++) {
    const CabUnpack *job = g_ptr_array_index (self->running, i);
    cab_job_poll (g_ptr_array_index (self->running, i), &fds[1 + i * CAB_JOB_FDS]);
    if (cab_job_is_blind (job))
      timeout_ms = BLIND_TICK_MS;
  }
  if (poll (fds, 1 + count * CAB_JOB_FDS, timeout_ms) > 0 && fds[0].revents != 0) {
    eventfd_t ignored;
    eventfd_read (self->wake, &ignored);
  }
}

static void *thread_main (void *data) {
  CabUnpacker *self = data;
  gboolean stopping;
  while (take_inbox (self, &stopping)) {
    if (stopping)
      cancel_all (self);
    drop_waiting (self);
    start_waiting (self);
    handle_running (self);
    if (!can_start (self))
      wait_for_something (self);
  }
  return NULL;
}

/* --- life --------------------------------------------------------------------------------------------------- */

static void free_members (CabUnpacker *self) {
  g_ptr_array_unref (self->running);
  pthread_cond_destroy (&self->idle);
  pthread_mutex_destroy (&self->lock);
  close (self->wake);
  g_free (self->program);
  g_free (self);
}

CabUnpacker *cab_unpacker_new (const CabUnpackerOptions *options, GError **error) {
  g_assert (options->parallel > 0 && options->most > 0);
  if (access (options->program, X_OK) < 0)
    return cab_error_errno (error, "what reads archives is not there: %s", options->program);
  int wake = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake < 0)
    return cab_error_errno (error, "make an eventfd");
  CabUnpacker *self = g_new0 (CabUnpacker, 1);
  self->options = *options;
  self->program = g_strdup (options->program);
  self->options.program = self->program;
  self->wake = wake;
  self->running = g_ptr_array_new ();
  pthread_mutex_init (&self->lock, NULL);
  cab_cond_init (&self->idle);
  errno = cab_thread_start (&self->thread, "cabfs-unpack", thread_main, self);
  if (errno == 0)
    return self;
  cab_error_errno (error, "start a thread");
  free_members (self);
  return NULL;
}

void cab_unpacker_stop (CabUnpacker *self) {
  CAB_LOCK_SCOPE (&self->lock);
  self->stopping = TRUE;
  eventfd_write (self->wake, 1);
  if (pthread_equal (pthread_self (), self->thread))
    return;
  while (self->jobs > 0)
    pthread_cond_wait (&self->idle, &self->lock);
}

void cab_unpacker_free (CabUnpacker *self) {
  if (self == NULL)
    return;
  cab_unpacker_stop (self);
  {
    CAB_LOCK_SCOPE (&self->lock);
    self->freeing = TRUE;
    eventfd_write (self->wake, 1);
  }
  pthread_join (self->thread, NULL);
  free_members (self);
}

static CabUnpack *add (CabUnpacker *self, CabUnpack *job) {
  CAB_LOCK_SCOPE (&self->lock);
  g_queue_push_tail (&self->inbox, cab_job_ref (job));
  self->jobs++;
  eventfd_write (self->wake, 1);
  return job;
}

CabUnpack *cab_unpack_list (CabUnpacker *self, guint64 size, const CabUnpackSink *sink, gpointer data) {
  const CabJobTask task = {.size = size, .fd = -1};
  return add (self, cab_job_new (&task, sink, data, self->wake));
}

CabUnpack *cab_unpack_extract (CabUnpacker *self, guint64 size, guint outer, guint ordinal, guint64 expected,
                               int fd, const CabUnpackSink *sink, gpointer data) {
  const CabJobTask task = {
      .extract = TRUE, .size = size, .outer = outer, .ordinal = ordinal, .expected = expected, .fd = fd};
  return add (self, cab_job_new (&task, sink, data, self->wake));
}
