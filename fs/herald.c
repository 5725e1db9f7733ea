/* SPDX-License-Identifier: MIT */
#include "fs/herald.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "client/error.h"
#include "client/metrics.h"
#include "client/sync.h"
#include "client/thread.h"
#include "fs/text.h"

#define PERIOD_US G_USEC_PER_SEC

/* A request may wait before there is a download to be seen, and between two CABs of a copy there is none. */
#define QUIET_LOOKS 2

struct CabHerald {
  const CabSdNotify *notify; /* all are set at creation */
  CabFs *fs;
  char *idle;
  int fd; /* an eventfd: something below was set */
  pthread_t thread;

  atomic_bool woken;
  atomic_bool dump;
  atomic_bool ending;

  /* owned by the thread */
  gint64 look_us; /* monotonic time of the next look; G_MAXINT64: when somebody waits */
  guint quiet;    /* looks that saw nothing */
  char *told;     /* NULL: nothing but that the mount is ready */
};

/* --- what is told ------------------------------------------------------------------------------------------- */

static char *idle_line (const CabHerald *self) {
  g_autofree char *bytes = cab_text_size (cab_metric_get (CAB_METRIC_BYTES_RECEIVED));
  return g_strdup_printf ("Idle, %s downloaded; %s", bytes, self->idle);
}

static void tell (CabHerald *self, char *line) {
  g_autofree char *owned = line;
  if (g_strcmp0 (self->told, line) == 0)
    return;
  cab_sdnotify_status (self->notify, line);
  g_free (self->told);
  self->told = g_steal_pointer (&owned);
}

/* When to look again. */
static gint64 look (CabHerald *self, gint64 now_us) {
  char *line = cab_fs_headline (self->fs);
  self->quiet = line != NULL ? 0 : self->quiet + 1;
  if (line != NULL)
    tell (self, line);
  else if (self->quiet >= QUIET_LOOKS && self->told != NULL)
    tell (self, idle_line (self));
  return self->quiet < QUIET_LOOKS ? now_us + PERIOD_US : G_MAXINT64;
}

/* --- the thread --------------------------------------------------------------------------------------------- */

/* FALSE when it is time to end. */
static gboolean wait_turn (CabHerald *self) {
  struct pollfd event = {.fd = self->fd, .events = POLLIN};
  eventfd_t count;
  gint64 left_us = self->look_us - g_get_monotonic_time ();
  int wait_ms = self->look_us == G_MAXINT64 ? -1 : (int) (MAX (left_us, 0) / 1000 + 1);
  if (poll (&event, 1, wait_ms) > 0)
    eventfd_read (self->fd, &count);
  return !atomic_load (&self->ending);
}

static void *herald_main (void *data) {
  CabHerald *self = data;
  while (wait_turn (self)) {
    gint64 now_us = g_get_monotonic_time ();
    if (atomic_exchange (&self->dump, FALSE))
      cab_fs_log_state (self->fs);
    if (now_us >= self->look_us) {
      atomic_store (&self->woken, FALSE);
      self->look_us = look (self, now_us);
    } else if (self->look_us == G_MAXINT64 && atomic_load (&self->woken)) {
      self->look_us = now_us + PERIOD_US;
      self->quiet = 0;
    }
  }
  return NULL;
}

static void free_members (CabHerald *self) {
  if (self->fd >= 0)
    close (self->fd);
  g_free (self->idle);
  g_free (self->told);
  g_free (self);
}

CabHerald *cab_herald_new (const CabSdNotify *notify, CabFs *fs, const char *idle, GError **error) {
  CabHerald *self = g_new0 (CabHerald, 1);
  self->notify = notify;
  self->fs = fs;
  self->idle = g_strdup (idle);
  self->look_us = G_MAXINT64;
  self->fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  int rc = self->fd >= 0 ? cab_thread_start (&self->thread, "cabfs-herald", herald_main, self) : errno;
  if (rc == 0)
    return self;
  g_set_error (error, CAB_ERROR, CAB_ERROR_FAILED, "start a thread: %s", g_strerror (rc));
  free_members (self);
  return NULL;
}

void cab_herald_stop (CabHerald *self) {
  if (atomic_exchange (&self->ending, TRUE))
    return;
  eventfd_write (self->fd, 1);
  pthread_join (self->thread, NULL);
}

void cab_herald_free (CabHerald *self) {
  if (self == NULL)
    return;
  cab_herald_stop (self);
  free_members (self);
}

void cab_herald_wake (gpointer data) {
  CabHerald *self = data;
  if (self->notify != NULL && !atomic_exchange (&self->woken, TRUE))
    eventfd_write (self->fd, 1);
}

void cab_herald_dump (gpointer data) {
  CabHerald *self = data;
  int saved = errno;
  atomic_store (&self->dump, TRUE);
  eventfd_write (self->fd, 1);
  errno = saved;
}
