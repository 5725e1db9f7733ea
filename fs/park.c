/* SPDX-License-Identifier: MIT */
#include "fs/park.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "client/sync.h"
#include "client/thread.h"

/* A dead caller's read holds up the end of his process by that much at most. */
#define LOOK_MS 500

struct CabPark {
  pthread_t thread;

  pthread_mutex_t lock;
  pthread_cond_t changed;
  GQueue waiting;  /* lock: of CabParked, not owned: those that nobody has answered */
  gboolean ending; /* lock */
};

struct CabParked {
  CabPark *park; /* set at creation, as are the next two */
  fuse_req_t req;
  pid_t pid;
  CabRefs refs;   /* one for who parked it, one for the interrupt function, which is set until it is answered */
  GList link;     /* lock: in `waiting` unless claimed */
  gboolean taken; /* lock: somebody answers it, or has */

  /* lock: while libfuse is being given the interrupt function it may call it, and goes on to use the request */
  gboolean arming;
  gboolean interrupted;
};

static void parked_drop (CabParked *self) {
  if (cab_ref_drop (&self->refs))
    g_free (self);
}

/* TRUE for the one who may answer. */
static gboolean claim_locked (CabParked *self) {
  if (self->taken)
    return FALSE;
  self->taken = TRUE;
  g_queue_unlink (&self->park->waiting, &self->link);
  return TRUE;
}

static gboolean claim (CabParked *self) {
  CAB_LOCK_SCOPE (&self->park->lock);
  return claim_locked (self);
}

/* TRUE if the request may be answered here and now. */
static gboolean claim_interrupted (CabParked *self) {
  CAB_LOCK_SCOPE (&self->park->lock);
  self->interrupted = TRUE;
  return !self->arming && claim_locked (self);
}

/* libfuse calls it with the request's own lock held, which keeps the handle alive: taking it back needs that lock. */
static void on_interrupt (fuse_req_t req, void *data) {
  CabParked *self = data;
  if (!claim_interrupted (self))
    return;
  fuse_reply_err (req, EINTR);
  parked_drop (self);
}

/* After this the interrupt function neither runs nor will run. */
static void disarm (CabParked *self) {
  fuse_req_interrupt_func (self->req, NULL, NULL);
  parked_drop (self);
}

/* TRUE if the interrupt came while the function was being set. */
static gboolean end_arming (CabParked *self) {
  CAB_LOCK_SCOPE (&self->park->lock);
  self->arming = FALSE;
  return self->interrupted && claim_locked (self);
}

static void answer_interrupted (CabParked *self) {
  fuse_req_t req = self->req;
  disarm (self);
  fuse_reply_err (req, EINTR);
}

CabParked *cab_park_add (CabPark *self, fuse_req_t req) {
  CabParked *parked = g_new0 (CabParked, 1);
  parked->park = self;
  parked->req = req;
  parked->pid = fuse_req_ctx (req)->pid;
  parked->link.data = parked;
  parked->arming = TRUE;
  cab_ref_init (&parked->refs);
  cab_ref_take (&parked->refs);
  {
    CAB_LOCK_SCOPE (&self->lock);
    g_queue_push_tail_link (&self->waiting, &parked->link);
    pthread_cond_signal (&self->changed);
  }
  fuse_req_interrupt_func (req, on_interrupt, parked);
  if (end_arming (parked))
    answer_interrupted (parked);
  return parked;
}

fuse_req_t cab_park_take (CabParked *parked) {
  fuse_req_t req = NULL;
  if (claim (parked)) {
    req = parked->req;
    disarm (parked);
  }
  parked_drop (parked);
  return req;
}

/* --- callers that have died --------------------------------------------------------------------------------- */

static gboolean is_gone (pid_t pid) {
  return kill (pid, 0) < 0 && errno == ESRCH;
}

/* A thread that is gone, or waits to be collected.  Callers of another PID namespace have no number here.  Those of other
 * users may not show in /proc (hidepid, ProtectProc): of them it is seen when they are gone. */
static gboolean is_dead (pid_t pid) {
  if (pid <= 0)
    return FALSE;
  char path[32], line[512];
  g_snprintf (path, sizeof path, "/proc/%d/stat", (int) pid);
  FILE *file = fopen (path, "re");
  if (file == NULL)
    return is_gone (pid);
  gsize len = fread (line, 1, sizeof line - 1, file);
  fclose (file);
  line[len] = '\0';
  /* "pid (name) state": the name may hold anything. */
  const char *state = strrchr (line, ')');
  return state != NULL && state[1] == ' ' && (state[2] == 'Z' || state[2] == 'X');
}

/* What is parked now, with a reference each. */
static GPtrArray *copy_waiting_locked (CabPark *self) {
  GPtrArray *copy = g_ptr_array_new_with_free_func ((GDestroyNotify) parked_drop);
  for (const GList *link = self->waiting.head; link != NULL; link = link->next) {
    CabParked *parked = link->data;
    cab_ref_take (&parked->refs);
    g_ptr_array_add (copy, parked);
  }
  return copy;
}

/* Waits for something to be parked, then for the time of the next look.  FALSE when it is time to end. */
static gboolean wait_turn_locked (CabPark *self) {
  while (g_queue_is_empty (&self->waiting) && !self->ending)
    pthread_cond_wait (&self->changed, &self->lock);
  gint64 until_us = g_get_monotonic_time () + LOOK_MS * 1000;
  while (!self->ending)
    if (!cab_cond_wait_until (&self->changed, &self->lock, until_us))
      break;
  return !self->ending;
}

static void *look_after (void *data) {
  CabPark *self = data;
  for (gboolean going_on = TRUE; going_on;) {
    g_autoptr (GPtrArray) waiting = NULL;
    {
      CAB_LOCK_SCOPE (&self->lock);
      going_on = wait_turn_locked (self);
      waiting = copy_waiting_locked (self);
    }
    for (guint i = 0; i < waiting->len; i++) {
      CabParked *parked = g_ptr_array_index (waiting, i);
      if (is_dead (parked->pid) && claim_interrupted (parked))
        answer_interrupted (parked);
    }
  }
  return NULL;
}

guint cab_park_count (CabPark *self) {
  CAB_LOCK_SCOPE (&self->lock);
  return g_queue_get_length (&self->waiting);
}

CabPark *cab_park_new (void) {
  CabPark *self = g_new0 (CabPark, 1);
  pthread_mutex_init (&self->lock, NULL);
  cab_cond_init (&self->changed);
  g_queue_init (&self->waiting);
  int rc = cab_thread_start (&self->thread, "cabfs-park", look_after, self);
  g_assert (rc == 0);
  return self;
}

void cab_park_free (CabPark *self) {
  if (self == NULL)
    return;
  {
    CAB_LOCK_SCOPE (&self->lock);
    self->ending = TRUE;
    pthread_cond_signal (&self->changed);
  }
  pthread_join (self->thread, NULL);
  g_assert (g_queue_is_empty (&self->waiting));
  pthread_cond_destroy (&self->changed);
  pthread_mutex_destroy (&self->lock);
  g_free (self);
}
