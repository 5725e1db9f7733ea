/* SPDX-License-Identifier: MIT */
#include "fs/reload.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "client/error.h"
#include "client/thread.h"
#include "fs/keys.h"
#include "fs/log.h"

struct CabReload {
  CabReloadParts parts; /* set at creation, as are the next two */
  gboolean had_terminal;
  pthread_t thread;
  atomic_bool ending;
  GPtrArray *configs; /* owned by the thread: those after the first, owned */
};

/* What the handler writes to; -1 while nobody listens. */
static atomic_int hangups = -1;

static void on_hangup (int number) {
  (void) number;
  int saved = errno;
  const guint64 one = 1;
  ssize_t written = write (atomic_load (&hangups), &one, sizeof one);
  (void) written; /* there is nobody to tell */
  errno = saved;
}

/* --- what has changed --------------------------------------------------------------------------------------- */

static void append_name (GString *names, const char *name) {
  g_string_append_printf (names, "%s%s", names->len > 0 ? ", " : "", name);
}

/* One line: which keys are other ones, and which of them do not count before the next mount. */
static void tell (const CabConfig *before, const CabConfig *after, const CabConfig *first) {
  g_autoptr (GString) live = g_string_new (NULL);
  g_autoptr (GString) late = g_string_new (NULL);
  guint n;
  const CabKey *keys = cab_config_keys (&n);
  for (guint i = 0; i < n; i++) {
    const CabConfig *running = keys[i].live ? before : first;
    if (!cab_config_same (running, after, i))
      append_name (keys[i].live ? live : late, keys[i].name);
  }
  g_autofree char *changed = g_strdup (live->len > 0 ? live->str : "no key that counts at once");
  if (late->len > 0)
    g_warning ("reload: changed: %s; only after another mount: %s", changed, late->str);
  else {
    g_autofree char *line = g_strconcat ("reload: changed: ", changed, NULL);
    cab_log_always (line);
  }
}

/* --- reloading ---------------------------------------------------------------------------------------------- */

static const CabConfig *newest (const CabReload *self) {
  guint n = self->configs->len;
  return n > 0 ? g_ptr_array_index (self->configs, n - 1) : self->parts.config;
}

static void reload (CabReload *self) {
  g_autoptr (GError) error = NULL;
  CabConfig *config = cab_config_load (self->parts.command, &error);
  if (config == NULL) {
    g_critical ("reload: %s; nothing was changed", error->message);
    return;
  }
  const CabConfig *before = newest (self);
  config->fs.members = self->parts.config->fs.members; /* it takes a worker that is there or not */
  g_ptr_array_add (self->configs, config);
  cab_log_start (config->mount.log_level);
  cab_client_change (self->parts.client, &config->client);
  cab_cache_change (self->parts.cache, &config->cache);
  cab_fs_change (self->parts.fs, &config->fs);
  tell (before, config, self->parts.config);
}

static gboolean terminal_is_gone (const CabReload *self) {
  return self->had_terminal && !isatty (STDERR_FILENO);
}

static void *reload_main (void *data) {
  CabReload *self = data;
  for (;;) {
    guint64 n;
    ssize_t got = read (atomic_load (&hangups), &n, sizeof n);
    if (atomic_load (&self->ending))
      return NULL;
    if (got < 0)
      continue; /* EINTR: nothing else can happen to it */
    if (terminal_is_gone (self))
      kill (getpid (), SIGTERM);
    else
      reload (self);
  }
}

/* --- life --------------------------------------------------------------------------------------------------- */

static void watch (void) {
  struct sigaction action = {.sa_handler = on_hangup, .sa_flags = SA_RESTART}, before;
  sigemptyset (&action.sa_mask);
  sigaction (SIGHUP, NULL, &before);
  if (before.sa_handler != SIG_IGN)
    sigaction (SIGHUP, &action, NULL);
}

CabReload *cab_reload_new (const CabReloadParts *parts, GError **error) {
  int fd = eventfd (0, EFD_CLOEXEC);
  if (fd < 0)
    return cab_error_errno (error, "make an eventfd");
  CabReload *self = g_new0 (CabReload, 1);
  self->parts = *parts;
  self->had_terminal = parts->config->mount.foreground && isatty (STDERR_FILENO);
  self->configs = g_ptr_array_new_with_free_func ((GDestroyNotify) cab_config_free);
  atomic_store (&hangups, fd);
  int rc = cab_thread_start (&self->thread, "cabfs-reload", reload_main, self);
  if (rc != 0) {
    close (atomic_exchange (&hangups, -1));
    cab_reload_free (self);
    g_set_error (error, CAB_ERROR, CAB_ERROR_FAILED, "start a thread: %s", g_strerror (rc));
    return NULL;
  }
  watch ();
  return self;
}

void cab_reload_stop (CabReload *self) {
  if (self == NULL || atomic_load (&hangups) < 0)
    return;
  signal (SIGHUP, SIG_IGN);
  atomic_store (&self->ending, TRUE);
  on_hangup (SIGHUP);
  pthread_join (self->thread, NULL);
  close (atomic_exchange (&hangups, -1));
}

void cab_reload_free (CabReload *self) {
  if (self == NULL)
    return;
  cab_reload_stop (self);
  g_ptr_array_unref (self->configs);
  g_free (self);
}
