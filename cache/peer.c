/* peer.c - the thread of all connections between mounts on one cache directory.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cache/peer-private.h"

#include "client/thread.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

typedef struct {
  void (*func) (gpointer data);
  gpointer data;
} Job;

/* --- what other threads hand over --------------------------------------------------------------------------- */

gboolean cab_peers_run (CabPeers *self, void (*func) (gpointer data), gpointer data) {
  Job *job = g_new (Job, 1);
  *job = (Job){func, data};
  {
    CAB_LOCK_SCOPE (&self->lock);
    if (self->running) {
      g_queue_push_tail (&self->jobs, g_steal_pointer (&job));
      eventfd_write (self->wake, 1); /* under the lock, or the thread may have ended, and this be closed */
    }
  }
  gboolean taken = job == NULL;
  g_free (job);
  return taken;
}

static void run_jobs (CabPeers *self) {
  GQueue jobs;
  {
    CAB_LOCK_SCOPE (&self->lock);
    jobs = self->jobs;
    g_queue_init (&self->jobs);
  }
  for (Job *job = g_queue_pop_head (&jobs); job != NULL; job = g_queue_pop_head (&jobs)) {
    job->func (job->data);
    g_free (job);
  }
}

/* --- the loop ----------------------------------------------------------------------------------------------- */

void cab_peers_add (CabPeers *self, CabPeerConn *conn) {
  g_ptr_array_add (self->conns, conn);
}

static void accept_all (CabPeers *self) {
  gboolean more = TRUE;
  while (more) {
    int fd = cab_peer_accept (self->listener, &more);
    if (fd >= 0)
      cab_peers_let_in (self, fd);
    else if (!more && errno != EAGAIN)
      self->resting = TRUE; /* no descriptor is left, maybe: not to be asked again at once */
  }
}

/* Those of before a turn: some may be added and closed in it. */
static void work (CabPeers *self, const struct pollfd *polled, guint count) {
  for (guint i = 0; i < count; i++) {
    CabPeerConn *conn = g_ptr_array_index (self->conns, i);
    if (polled[i].revents != 0 && conn->fd >= 0)
      cab_peer_conn_work (conn, polled[i].revents);
  }
}

/* TRUE if time has to be looked at. */
static gboolean tick (CabPeers *self) {
  gboolean timed = self->resting;
  gint64 now_us = g_get_monotonic_time ();
  for (guint i = 0; i < self->conns->len; i++) {
    const CabPeerConn *conn = g_ptr_array_index (self->conns, i);
    if (conn->fd >= 0 && conn->timed)
      conn->handlers->tick (conn->data, now_us);
    timed = timed || (conn->fd >= 0 && conn->timed);
  }
  return timed;
}

static void drop_closed (CabPeers *self) {
  for (guint i = self->conns->len; i > 0; i--) {
    CabPeerConn *conn = g_ptr_array_index (self->conns, i - 1);
    if (conn->fd < 0)
      cab_peer_conn_free (g_ptr_array_steal_index_fast (self->conns, i - 1));
  }
}

static void poll_all (CabPeers *self, GArray *polled, gboolean timed) {
  g_array_set_size (polled, self->conns->len + 2);
  struct pollfd *fds = (struct pollfd *) (gpointer) polled->data;
  fds[0] = (struct pollfd){.fd = self->wake, .events = POLLIN};
  fds[1] = (struct pollfd){.fd = self->resting ? -1 : self->listener, .events = POLLIN};
  for (guint i = 0; i < self->conns->len; i++) {
    const CabPeerConn *conn = g_ptr_array_index (self->conns, i);
    fds[i + 2] = (struct pollfd){.fd = conn->fd, .events = cab_peer_conn_events (conn)};
  }
  if (poll (fds, polled->len, timed ? CAB_PEER_TICK_MS : -1) < 0)
    for (guint i = 0; i < polled->len; i++)
      fds[i].revents = 0;
}

static gboolean is_ending (CabPeers *self) {
  CAB_LOCK_SCOPE (&self->lock);
  return self->ending;
}

/* Their owners hear of it as if the other end had gone. */
static void close_all (CabPeers *self) {
  while (self->conns->len > 0) {
    for (guint i = 0; i < self->conns->len; i++) {
      CabPeerConn *conn = g_ptr_array_index (self->conns, i);
      if (conn->fd < 0)
        continue;
      cab_peer_conn_close (conn);
      conn->handlers->ended (conn->data);
    }
    drop_closed (self);
  }
}

static void *peers_main (void *data) {
  CabPeers *self = data;
  g_autoptr (GArray) polled = g_array_new (FALSE, FALSE, sizeof (struct pollfd));
  gboolean timed = FALSE;
  while (!is_ending (self)) {
    poll_all (self, polled, timed);
    const struct pollfd *fds = (const struct pollfd *) (gpointer) polled->data;
    eventfd_t count;
    if (fds[0].revents != 0)
      eventfd_read (self->wake, &count);
    work (self, fds + 2, polled->len - 2);
    self->resting = FALSE;
    if (fds[1].revents != 0)
      accept_all (self);
    run_jobs (self);
    timed = tick (self);
    drop_closed (self);
  }
  run_jobs (self); /* no other comes */
  close_all (self);
  return NULL;
}

/* --- life --------------------------------------------------------------------------------------------------- */

CabPeers *cab_peers_new (int dirfd) {
  CabPeers *self = g_new0 (CabPeers, 1);
  self->dirfd = dirfd;
  self->wake = self->listener = -1;
  pthread_mutex_init (&self->lock, NULL);
  g_queue_init (&self->jobs);
  self->conns = g_ptr_array_new ();
  return self;
}

static void close_fds (CabPeers *self) {
  if (self->listener >= 0)
    close (self->listener);
  if (self->wake >= 0)
    close (self->wake);
  self->listener = self->wake = -1;
}

void cab_peers_begin (CabPeers *self, CabContents *contents) {
  g_autoptr (GError) error = NULL;
  if (self->dirfd < 0)
    return;
  self->wake = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (self->wake < 0)
    return;
  self->contents = contents;
  self->listener = cab_peer_listen (self->dirfd, &self->number, &error);
  if (self->listener < 0)
    g_debug ("cache: other mounts take no bytes from here: %s", error->message);
  if (cab_thread_start (&self->thread, "cabfs-peers", peers_main, self) != 0) {
    close_fds (self);
    return;
  }
  CAB_LOCK_SCOPE (&self->lock);
  self->running = TRUE;
}

void cab_peers_stop (CabPeers *self) {
  {
    CAB_LOCK_SCOPE (&self->lock);
    if (!self->running)
      return;
    self->running = FALSE;
    self->ending = TRUE;
    eventfd_write (self->wake, 1);
  }
  pthread_join (self->thread, NULL);
  close_fds (self);
}

void cab_peers_free (CabPeers *self) {
  if (self == NULL)
    return;
  g_assert (g_queue_is_empty (&self->jobs) && self->conns->len == 0);
  g_ptr_array_unref (self->conns);
  pthread_mutex_destroy (&self->lock);
  g_free (self);
}
