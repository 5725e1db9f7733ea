/* SPDX-License-Identifier: MIT */
#include "cache/peer_conn.h"

#include "cache/files.h"
#include "client/error.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* Who asks while the others are being let in waits there, or is turned away. */
#define BACKLOG 512

/* --- names -------------------------------------------------------------------------------------------------- */

static gboolean make_address (int dirfd, guint number, struct sockaddr_un *address, socklen_t *len) {
  struct stat st;
  if (fstat (dirfd, &st) < 0)
    return FALSE;
  *address = (struct sockaddr_un){.sun_family = AF_UNIX};
  int n =
      snprintf (address->sun_path + 1, sizeof address->sun_path - 1, "cabfs/%u/%llx/%llx/%u",
                (unsigned) geteuid (), (unsigned long long) st.st_dev, (unsigned long long) st.st_ino, number);
  *len = (socklen_t) (offsetof (struct sockaddr_un, sun_path) + 1 + (gsize) n);
  return TRUE;
}

static gboolean is_one_of_us (int fd) {
  struct ucred other;
  socklen_t len = sizeof other;
  return getsockopt (fd, SOL_SOCKET, SO_PEERCRED, &other, &len) == 0 && other.uid == geteuid ();
}

static int new_socket (void) {
  return socket (AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

int cab_peer_listen (int dirfd, guint *number, GError **error) {
  g_auto (CabFd) fd = new_socket ();
  for (*number = 0; fd >= 0 && *number < CAB_PEER_NUMBERS; (*number)++) {
    struct sockaddr_un address;
    socklen_t len;
    if (!make_address (dirfd, *number, &address, &len))
      break;
    if (bind (fd, (const struct sockaddr *) &address, len) == 0) {
      if (listen (fd, BACKLOG) == 0)
        return cab_fd_steal (&fd);
      break;
    }
    if (errno != EADDRINUSE)
      break;
  }
  cab_error_errno (error, "a socket for other mounts on this cache");
  return -1;
}

int cab_peer_connect (int dirfd, guint number) {
  g_auto (CabFd) fd = new_socket ();
  struct sockaddr_un address;
  socklen_t len;
  if (fd >= 0 && make_address (dirfd, number, &address, &len) &&
      connect (fd, (const struct sockaddr *) &address, len) == 0 && is_one_of_us (fd))
    return cab_fd_steal (&fd);
  return -1;
}

int cab_peer_accept (int listener, gboolean *more) {
  g_auto (CabFd) fd = accept4 (listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  *more = fd >= 0 || errno == ECONNABORTED || errno == EINTR;
  return fd >= 0 && is_one_of_us (fd) ? cab_fd_steal (&fd) : -1;
}

/* --- life --------------------------------------------------------------------------------------------------- */

CabPeerConn *cab_peer_conn_new (int fd, gsize room, const CabPeerHandlers *handlers, gpointer data) {
  CabPeerConn *self = g_new0 (CabPeerConn, 1);
  self->handlers = handlers;
  self->data = data;
  self->room = CAB_PEER_HEAD + room;
  self->fd = fd;
  self->in = g_byte_array_new ();
  self->out = g_byte_array_new ();
  self->heard_us = self->told_us = g_get_monotonic_time ();
  return self;
}

void cab_peer_conn_close (CabPeerConn *self) {
  cab_fd_clear (&self->fd);
}

void cab_peer_conn_free (CabPeerConn *self) {
  cab_peer_conn_close (self);
  self->handlers->gone (self->data);
  g_byte_array_unref (self->in);
  g_byte_array_unref (self->out);
  g_free (self);
}

static void end (CabPeerConn *self) {
  cab_peer_conn_close (self);
  self->handlers->ended (self->data);
}

/* --- sending ------------------------------------------------------------------------------------------------ */

void cab_peer_conn_send (CabPeerConn *self, const CabPeerFrame *frame) {
  if (self->fd < 0)
    return;
  cab_peer_frame_append (frame, self->out);
  self->told_us = g_get_monotonic_time ();
}

gboolean cab_peer_conn_is_drained (const CabPeerConn *self) {
  return self->sent == self->out->len;
}

/* FALSE if nobody is at the other end. */
static gboolean flush (CabPeerConn *self) {
  while (self->sent < self->out->len) {
    ssize_t n = send (self->fd, self->out->data + self->sent, self->out->len - self->sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return errno == EAGAIN;
    self->sent += (gsize) n;
  }
  g_byte_array_set_size (self->out, 0);
  self->sent = 0;
  return TRUE;
}

/* --- receiving ---------------------------------------------------------------------------------------------- */

/* FALSE if nobody is at the other end. */
static gboolean fill (CabPeerConn *self) {
  guint before = self->in->len;
  g_byte_array_set_size (self->in, (guint) self->room);
  ssize_t n;
  do
    n = recv (self->fd, self->in->data + before, self->room - before, 0);
  while (n < 0 && errno == EINTR);
  g_byte_array_set_size (self->in, before + (guint) MAX (n, 0));
  return n > 0 || (n < 0 && errno == EAGAIN);
}

/* FALSE if what came is not what may come. */
static gboolean take_frames (CabPeerConn *self) {
  gsize taken = 0, used = 0;
  do {
    g_autoptr (GError) error = NULL;
    CabPeerFrame frame;
    gsize len = self->in->len - taken;
    if (!cab_peer_frame_parse (self->in->data + taken, len, &frame, &used, &error)) {
      g_debug ("cache: %s", error->message);
      return FALSE;
    }
    if (used > 0 && !self->handlers->frame (self->data, &frame)) {
      g_debug ("cache: another mount sent a frame that must not come now");
      return FALSE;
    }
    taken += used;
  } while (used > 0 && self->fd >= 0);
  g_byte_array_remove_range (self->in, 0, (guint) taken);
  return self->in->len <
         self->room; /* else there is no room for the rest of a frame, and none would ever come */
}

/* --- the thread's turn -------------------------------------------------------------------------------------- */

short cab_peer_conn_events (const CabPeerConn *self) {
  return self->eager || !cab_peer_conn_is_drained (self) ? POLLIN | POLLOUT : POLLIN;
}

/* Nothing is under way, and may not be for hours: memory is given back. */
static void rest (CabPeerConn *self) {
  if (self->timed || self->eager || self->in->len + self->out->len > 0)
    return;
  g_byte_array_unref (self->in);
  g_byte_array_unref (self->out);
  self->in = g_byte_array_new ();
  self->out = g_byte_array_new ();
}

void cab_peer_conn_work (CabPeerConn *self, short revents) {
  if ((revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
    gboolean there = fill (self);
    self->heard_us = g_get_monotonic_time ();
    if (!there || !take_frames (self)) {
      if (self->fd >= 0)
        end (self);
      return;
    }
  }
  if ((revents & POLLOUT) != 0 && self->fd >= 0) {
    if (!flush (self))
      end (self);
    else if (self->eager && cab_peer_conn_is_drained (self))
      self->handlers->drained (self->data);
  }
  rest (self);
}
