/* SPDX-License-Identifier: MIT */
#include "fs/sdnotify.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { PATIENCE_S = 1 };

struct CabSdNotify {
  int fd; /* all are set at creation */
  struct sockaddr_un address;
  socklen_t length;
};

/* An abstract name begins with a zero byte, and its length tells where it ends. */
static gboolean parse_address (const char *name, CabSdNotify *self) {
  gsize len = strlen (name);
  if ((name[0] != '/' && name[0] != '@') || len < 2 || len >= sizeof self->address.sun_path)
    return FALSE;
  self->address.sun_family = AF_UNIX;
  memcpy (self->address.sun_path, name, len);
  self->length = (socklen_t) (offsetof (struct sockaddr_un, sun_path) + len);
  if (name[0] == '@')
    self->address.sun_path[0] = '\0';
  else
    self->length++;
  return TRUE;
}

static gboolean open_socket (CabSdNotify *self) {
  const struct timeval patience = {.tv_sec = PATIENCE_S};
  self->fd = socket (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  return self->fd >= 0 && setsockopt (self->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) == 0;
}

CabSdNotify *cab_sdnotify_new (void) {
  g_autofree char *name = g_strdup (g_getenv ("NOTIFY_SOCKET"));
  g_unsetenv ("NOTIFY_SOCKET");
  if (name == NULL || name[0] == '\0')
    return NULL;
  g_autoptr (CabSdNotify) self = g_new0 (CabSdNotify, 1);
  self->fd = -1;
  if (!parse_address (name, self)) {
    g_warning ("the service manager is told nothing: NOTIFY_SOCKET=%s is neither a path nor an abstract name",
               name);
    return NULL;
  }
  if (!open_socket (self)) {
    g_warning ("the service manager is told nothing: %s", g_strerror (errno));
    return NULL;
  }
  return g_steal_pointer (&self);
}

void cab_sdnotify_free (CabSdNotify *self) {
  if (self == NULL)
    return;
  if (self->fd >= 0)
    close (self->fd);
  g_free (self);
}

/* FALSE with errno if it could not be told.  @state may be NULL. */
static gboolean tell (const CabSdNotify *self, const char *state, const char *status, int flags) {
  /* A newline in the status, which may hold a path, would begin another message. */
  g_autofree char *line = g_strdelimit (g_strdup (status), "\r\n", ' ');
  g_autofree char *message =
      g_strdup_printf ("%s%sSTATUS=%s\n", state != NULL ? state : "", state != NULL ? "\n" : "", line);
  ssize_t sent;
  do
    sent = sendto (self->fd, message, strlen (message), MSG_NOSIGNAL | flags,
                   (const struct sockaddr *) &self->address, self->length);
  while (sent < 0 && errno == EINTR);
  return sent >= 0;
}

static void tell_state (const CabSdNotify *self, const char *state, const char *status) {
  if (self != NULL && !tell (self, state, status, 0))
    g_warning ("the service manager was not told %s: %s", state, g_strerror (errno));
}

void cab_sdnotify_ready (const CabSdNotify *self, const char *status) {
  tell_state (self, "READY=1", status);
}

void cab_sdnotify_stopping (const CabSdNotify *self, const char *status) {
  tell_state (self, "STOPPING=1", status);
}

void cab_sdnotify_status (const CabSdNotify *self, const char *status) {
  if (self != NULL && !tell (self, NULL, status, MSG_DONTWAIT))
    g_debug ("the service manager was not told \"%s\": %s", status, g_strerror (errno));
}
