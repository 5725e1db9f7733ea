/* SPDX-License-Identifier: MIT */
#include "fs/ctl-fetch-work.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "client/error.h"
#include "client/sync.h"
#include "fs/ctl-mount.h"
#include "fs/ctl-text.h"
#include "fs/names.h"

#define BUFFER                                                                                                 \
  ((gsize) 128 << 10) /* at a time: what the kernel asks a mount for, and often enough for a slow line */
#define GIVE_BACK ((off_t) 8 << 20) /* bytes of the page cache at a time */

#define QUEUE_MAX    1024 /* paths that the walk is ahead */
#define OUTCOMES_MAX 1024

/* The last byte of a member is there a moment before the member is complete. */
#define SETTLE_TRIES   40
#define SETTLE_STEP_NS (25 * 1000 * 1000)

/* Ends a system call that waits; nothing else. */
#define WAKE SIGUSR1

typedef struct {
  CabFetch *fetch;
  pthread_t thread;
  /* under the lock of fetch */
  char *name; /* NULL: idle */
  guint id;
  gint64 size;
  atomic_ullong have;
} Worker;

struct CabFetch {
  /* set at creation */
  char **paths;
  int event;
  guint jobs;
  Worker *workers;
  guint started; /* of them */
  pthread_t walker;
  gboolean walking; /* it was started */
  atomic_bool stopped;
  atomic_bool unkept; /* something was read that the cache did not keep */
  atomic_ullong bytes;
  pthread_mutex_t lock;
  pthread_cond_t changed; /* any of what follows */
  GQueue queue;           /* lock: paths, owned */
  GQueue outcomes;        /* lock: CabFetchOutcome, owned */
  guint found;            /* lock */
  guint last_id;          /* lock */
  guint running;          /* lock: threads */
  gboolean walked;        /* lock */
};

void cab_fetch_outcome_free (CabFetchOutcome *outcome) {
  if (outcome == NULL)
    return;
  g_free (outcome->name);
  g_free (outcome->why);
  g_free (outcome);
}

static void wake_up (int signal_number) {
}

static void ring (CabFetch *self) {
  guint64 one = 1;
  ssize_t written = write (self->event, &one, sizeof one);
  (void) written; /* full, it rings already */
}

/* --- outcomes ----------------------------------------------------------------------------------------------------- */

static void tell (CabFetch *self, CabFetchResult result, const char *path, guint64 bytes, const char *why) {
  CabFetchOutcome *outcome = g_new0 (CabFetchOutcome, 1);
  *outcome = (CabFetchOutcome){result, cab_ctl_quote (path), bytes, g_strdup (why)};
  {
    CAB_LOCK_SCOPE (&self->lock);
    while (g_queue_get_length (&self->outcomes) >= OUTCOMES_MAX && !atomic_load (&self->stopped))
      pthread_cond_wait (&self->changed, &self->lock);
    g_queue_push_tail (&self->outcomes, outcome);
  }
  ring (self);
}

/* Nothing failed if the end of all was asked for. */
static void tell_errno (CabFetch *self, const char *path, int number) {
  g_autofree char *cause = cab_ctl_attribute (path, "error");
  g_autofree char *why =
      cause != NULL ? g_strdup_printf ("%s (%s)", g_strerror (number), cause) : g_strdup (g_strerror (number));
  if (!atomic_load (&self->stopped))
    tell (self, CAB_FETCH_FAILED, path, 0, why);
}

/* --- the walk ----------------------------------------------------------------------------------------------------- */

static void add_file (CabFetch *self, const char *path) {
  CAB_LOCK_SCOPE (&self->lock);
  while (g_queue_get_length (&self->queue) >= QUEUE_MAX && !atomic_load (&self->stopped))
    pthread_cond_wait (&self->changed, &self->lock);
  if (atomic_load (&self->stopped))
    return;
  g_queue_push_tail (&self->queue, g_strdup (path));
  self->found++;
  pthread_cond_broadcast (&self->changed);
}

static DIR *open_directory (CabFetch *self, const char *path) {
  DIR *dir;
  do
    dir = opendir (path);
  while (dir == NULL && errno == EINTR && !atomic_load (&self->stopped));
  if (dir == NULL)
    tell_errno (self, path, errno);
  return dir;
}

/* What a mount lists it knows the kind of; sizes, which may cost a request each, are not asked for. */
static unsigned char kind_of (DIR *dir, const struct dirent *item) {
  struct stat st;
  if (item->d_type != DT_UNKNOWN || fstatat (dirfd (dir), item->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
    return item->d_type;
  return S_ISDIR (st.st_mode) ? DT_DIR : S_ISREG (st.st_mode) ? DT_REG : DT_UNKNOWN;
}

/* Open CABs are passed over where they are listed: they hold once more what the CAB holds. */
static void walk (CabFetch *self, const char *path) {
  DIR *dir = open_directory (self, path);
  if (dir == NULL)
    return;
  const struct dirent *item;
  while (!atomic_load (&self->stopped)) {
    errno = 0;
    item = readdir (dir);
    if (item == NULL)
      break;
    if (strcmp (item->d_name, ".") == 0 || strcmp (item->d_name, "..") == 0)
      continue;
    g_autofree char *name = g_build_filename (path, item->d_name, NULL);
    unsigned char kind = kind_of (dir, item);
    if (kind == DT_DIR && !g_str_has_suffix (name, CAB_NAME_OPEN))
      walk (self, name);
    else if (kind == DT_REG)
      add_file (self, name);
  }
  if (errno != 0)
    tell_errno (self, path, errno);
  closedir (dir);
}

static void *run_walker (void *data) {
  CabFetch *self = data;
  for (guint i = 0; self->paths[i] != NULL && !atomic_load (&self->stopped); i++) {
    if (cab_ctl_kind (self->paths[i]) == S_IFDIR)
      walk (self, self->paths[i]);
    else
      add_file (self, self->paths[i]);
  }
  {
    CAB_LOCK_SCOPE (&self->lock);
    self->walked = TRUE;
    self->running--;
    pthread_cond_broadcast (&self->changed);
  }
  ring (self);
  return NULL;
}

/* --- one file ----------------------------------------------------------------------------------------------------- */

static void set_size (Worker *self, gint64 size) {
  CAB_LOCK_SCOPE (&self->fetch->lock);
  self->size = size;
}

/* All of it, for the sake of the cache.  0 or an errno. */
static int read_all (Worker *self, int fd, char *buffer) {
  off_t given = 0, at = 0;
  posix_fadvise (fd, 0, 0, POSIX_FADV_SEQUENTIAL);
  for (;;) {
    if (atomic_load (&self->fetch->stopped))
      return EINTR;
    ssize_t got = pread (fd, buffer, BUFFER, at);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return errno;
    at += got;
    atomic_store (&self->have, (guint64) at);
    atomic_fetch_add (&self->fetch->bytes, (guint64) got);
    if (got == 0 || at - given >= GIVE_BACK) {
      posix_fadvise (fd, given, at - given, POSIX_FADV_DONTNEED);
      given = at;
    }
    if (got == 0)
      return 0;
  }
}

static gboolean is_cached (const char *path) {
  g_autofree char *state = cab_ctl_attribute (path, "state");
  return g_strcmp0 (state, "cached") == 0;
}

/* While it is open: what is not kept in the cache is kept no longer.  Once the cache keeps nothing, nobody waits for it
 * with each file. */
static gboolean settle (CabFetch *self, const char *path) {
  static const struct timespec step = {.tv_nsec = SETTLE_STEP_NS};
  guint tries = atomic_load (&self->unkept) ? 1 : SETTLE_TRIES;
  for (guint i = 0; i < tries && !atomic_load (&self->stopped); i++) {
    if (is_cached (path))
      return TRUE;
    nanosleep (&step, NULL);
  }
  gboolean kept = is_cached (path);
  atomic_store (&self->unkept, !kept);
  return kept;
}

static void fetch_open (Worker *self, const char *path, int fd, char *buffer) {
  struct stat st;
  if (fstat (fd, &st) == 0)
    set_size (self, st.st_size);
  int number = read_all (self, fd, buffer);
  guint64 have = atomic_load (&self->have);
  if (number != 0)
    tell_errno (self->fetch, path, number);
  else if (settle (self->fetch, path))
    tell (self->fetch, CAB_FETCH_CAME, path, have, NULL);
  else if (!atomic_load (&self->fetch->stopped))
    tell (self->fetch, CAB_FETCH_FAILED, path, have,
          "it was read, but the cache did not keep it: is there room (cache-size, cache-free)?");
}

static void fetch (Worker *self, const char *path, char *buffer) {
  g_autofree char *state = cab_ctl_attribute (path, "state");
  int number = errno;
  if (g_strcmp0 (state, "cached") == 0) {
    tell (self->fetch, CAB_FETCH_CACHED, path, 0, NULL);
    return;
  }
  if (state == NULL && number == ENODATA) {
    tell (self->fetch, CAB_FETCH_FAILED, path, 0, "is nothing that a cache keeps");
    return;
  }
  int fd;
  do
    fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  while (fd < 0 && errno == EINTR && !atomic_load (&self->fetch->stopped));
  if (fd < 0) {
    tell_errno (self->fetch, path, errno);
    return;
  }
  fetch_open (self, path, fd, buffer);
  close (fd);
}

/* --- workers ------------------------------------------------------------------------------------------------------ */

/* The next path, owned; NULL: there is none and will be none. */
static char *next_path (Worker *self) {
  CabFetch *fetch = self->fetch;
  CAB_LOCK_SCOPE (&fetch->lock);
  g_clear_pointer (&self->name, g_free);
  while (g_queue_is_empty (&fetch->queue) && !fetch->walked && !atomic_load (&fetch->stopped))
    pthread_cond_wait (&fetch->changed, &fetch->lock);
  char *path = atomic_load (&fetch->stopped) ? NULL : g_queue_pop_head (&fetch->queue);
  if (path == NULL)
    return NULL;
  self->name = cab_ctl_quote (path);
  self->id = ++fetch->last_id;
  self->size = -1;
  atomic_store (&self->have, 0);
  pthread_cond_broadcast (&fetch->changed);
  return path;
}

static void *run_worker (void *data) {
  Worker *self = data;
  g_autofree char *buffer = g_malloc (BUFFER);
  for (char *path = next_path (self); path != NULL; path = next_path (self)) {
    fetch (self, path, buffer);
    g_free (path);
  }
  {
    CAB_LOCK_SCOPE (&self->fetch->lock);
    self->fetch->running--;
  }
  ring (self->fetch);
  return NULL;
}

/* --- from outside ------------------------------------------------------------------------------------------------- */

static gboolean begin (pthread_t *thread, void *(*func) (void *), void *data, GError **error) {
  int result = pthread_create (thread, NULL, func, data);
  if (result == 0)
    return TRUE;
  g_set_error (error, CAB_ERROR, CAB_ERROR_FAILED, "no thread can be started: %s", g_strerror (result));
  return FALSE;
}

static gboolean begin_all (CabFetch *self, GError **error) {
  for (guint i = 0; i < self->jobs; i++, self->started++) {
    self->workers[i].fetch = self;
    if (!begin (&self->workers[i].thread, run_worker, &self->workers[i], error))
      return FALSE;
  }
  self->walking = begin (&self->walker, run_walker, self, error);
  return self->walking;
}

CabFetch *cab_fetch_start (char **paths, guint jobs, int event, GError **error) {
  const struct sigaction action = {.sa_handler = wake_up};
  CabFetch *self = g_new0 (CabFetch, 1);
  sigaction (WAKE, &action, NULL);
  pthread_mutex_init (&self->lock, NULL);
  pthread_cond_init (&self->changed, NULL);
  g_queue_init (&self->queue);
  g_queue_init (&self->outcomes);
  self->paths = paths;
  self->event = event;
  self->jobs = jobs;
  self->running = jobs + 1;
  self->workers = g_new0 (Worker, jobs);
  if (begin_all (self, error))
    return self;
  cab_fetch_stop (self); /* readers wait for paths, which nobody will bring */
  cab_fetch_free (self);
  return NULL;
}

CabFetchOutcome *cab_fetch_take (CabFetch *self) {
  CAB_LOCK_SCOPE (&self->lock);
  CabFetchOutcome *outcome = g_queue_pop_head (&self->outcomes);
  pthread_cond_broadcast (&self->changed);
  return outcome;
}

void cab_fetch_look (CabFetch *self, CabFetchLook *out) {
  *out = (CabFetchLook){.files = g_array_new (FALSE, TRUE, sizeof (CabFetchFile))};
  out->bytes = atomic_load (&self->bytes);
  CAB_LOCK_SCOPE (&self->lock);
  out->found = self->found;
  out->all = self->walked;
  out->over = self->running == 0 && g_queue_is_empty (&self->outcomes);
  for (guint i = 0; i < self->jobs; i++) {
    Worker *worker = &self->workers[i];
    const CabFetchFile file = {g_strdup (worker->name), worker->id, atomic_load (&worker->have), worker->size};
    if (file.name != NULL)
      g_array_append_val (out->files, file);
  }
}

void cab_fetch_look_clear (CabFetchLook *look) {
  for (guint i = 0; i < look->files->len; i++)
    g_free (g_array_index (look->files, CabFetchFile, i).name);
  g_clear_pointer (&look->files, g_array_unref);
}

void cab_fetch_stop (CabFetch *self) {
  atomic_store (&self->stopped, TRUE);
  {
    CAB_LOCK_SCOPE (&self->lock);
    pthread_cond_broadcast (&self->changed);
  }
  for (guint i = 0; i < self->started; i++)
    pthread_kill (self->workers[i].thread, WAKE);
  if (self->walking)
    pthread_kill (self->walker, WAKE);
}

void cab_fetch_free (CabFetch *self) {
  for (guint i = 0; i < self->started; i++)
    pthread_join (self->workers[i].thread, NULL);
  if (self->walking)
    pthread_join (self->walker, NULL);
  g_queue_clear_full (&self->queue, g_free);
  g_queue_clear_full (&self->outcomes, (GDestroyNotify) cab_fetch_outcome_free);
  g_free (self->workers);
  pthread_cond_destroy (&self->changed);
  pthread_mutex_destroy (&self->lock);
  g_free (self);
}
