/* store.c - the directory: opening it, its names, what it holds of a CAB.  The objects are in object.c.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cache/store.h"

#include "cache/files.h"
#include "cache/store-private.h"
#include "client/error.h"
#include "client/records.h"
#include "client/times.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define STORE_VERSION "cabfs-cache 1\n"

/* Maps and listings far above anything real; a larger one is damage. */
#define MAP_LIMIT ((gsize) 64 << 20)

/* That the disk is full, and is not, may change with every CAB. */
#define TELL_FULL_US (600 * G_USEC_PER_SEC)

/* Sorts behind every real time: what does not expire is removed last. */
#define NEVER_EXPIRES "99991231T235959Z"

/* What a cache directory may hold though its version is not there: it was being made when its program or the power went,
 * somebody emptied it under a running mount, or it is the top of a file system. */
static gboolean is_own_name (const char *name) {
  static const char *const names[] = {".",        "..",         "version",     "lock",
                                      "listings", "lost+found", NEVER_EXPIRES, NULL};
  return g_strv_contains (names, name) || cab_time_parse_basic (name) != CAB_TIME_UNKNOWN ||
         (g_str_has_prefix (name, "version.") && g_str_has_suffix (name, ".tmp"));
}

static gboolean holds_only_own (int dirfd) {
  DIR *dir = cab_dir_open (dirfd, ".");
  if (dir == NULL)
    return FALSE;
  gboolean own = TRUE;
  for (const struct dirent *entry = readdir (dir); entry != NULL && own; entry = readdir (dir))
    own = is_own_name (entry->d_name);
  closedir (dir);
  return own;
}

static gboolean check_text (GBytes *bytes, const char *dir, GError **error) {
  gsize len;
  const char *text = g_bytes_get_data (bytes, &len);
  if (len == strlen (STORE_VERSION) && memcmp (text, STORE_VERSION, len) == 0)
    return TRUE;
  g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID,
               "cache directory %s was written by another version of cabfs: remove it or set cache-dir", dir);
  return FALSE;
}

/* The file "version": made in a new directory, else it must be ours.  A directory that holds something else is
 * refused, because eviction would look for things to remove in it.  An empty file is what a power cut leaves. */
static gboolean check_version (int dirfd, const char *dir, GError **error) {
  g_autoptr (GError) local = NULL;
  g_autoptr (GBytes) bytes = cab_file_read (dirfd, "version", 64, &local);
  if (bytes != NULL && g_bytes_get_size (bytes) > 0)
    return check_text (bytes, dir, error);
  if (bytes == NULL && !g_error_matches (local, CAB_ERROR, CAB_ERROR_NOT_FOUND)) {
    g_propagate_prefixed_error (error, g_steal_pointer (&local), "cache directory %s: ", dir);
    return FALSE;
  }
  if (!holds_only_own (dirfd)) {
    g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID,
                 "cache directory %s holds other files: set cache-dir to an empty directory of its own", dir);
    return FALSE;
  }
  return cab_file_replace (dirfd, "version", STORE_VERSION, strlen (STORE_VERSION), error);
}

static gboolean check_owner (int dirfd, const char *dir, GError **error) {
  struct stat st;
  if (fstat (dirfd, &st) < 0)
    return cab_error_errno (error, "cache directory %s", dir) != NULL;
  if (st.st_uid != geteuid ()) {
    g_set_error (error, CAB_ERROR, CAB_ERROR_FAILED,
                 "cache directory %s belongs to user %u, not to %u: set cache-dir to one of your own", dir,
                 (unsigned) st.st_uid, (unsigned) geteuid ());
    return FALSE;
  }
  return TRUE;
}

/* The errors of a disk that is read-only, full, broken or gone: no reason to do without the CABs. */
static gboolean is_disk_fault (int number) {
  return number == EROFS || number == ENOSPC || number == EDQUOT || number == EIO || number == ENODEV ||
         number == ENOTCONN || number == ESTALE;
}

/* It is ours, and dumps of other people's machines are in it. */
static gboolean make_private (int dirfd, const char *dir, GError **error) {
  struct stat st;
  if (fstat (dirfd, &st) == 0 && ((st.st_mode & 07777) == 0700 || fchmod (dirfd, 0700) == 0))
    return TRUE;
  return cab_error_errno (error, "make cache directory %s private", dir) != NULL;
}

static int open_dir (const char *dir, GError **error) {
  int dirfd = cab_dir_make (AT_FDCWD, dir, error);
  if (dirfd < 0)
    return -1;
  errno = 0; /* of what fails below without one, none is told */
  if (check_owner (dirfd, dir, error) && check_version (dirfd, dir, error) && make_private (dirfd, dir, error))
    return dirfd;
  int saved = errno;
  close (dirfd);
  errno = saved;
  return -1;
}

/* Held as long as the store is open, so that whoever wants to convert or remove the whole can know.  -1 with errno. */
static int open_lock (int dirfd) {
  int fd = openat (dirfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0 && errno == EROFS)
    fd = openat (dirfd, "lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0 || flock (fd, LOCK_SH | LOCK_NB) == 0)
    return fd;
  int saved = errno;
  close (fd);
  errno = saved;
  return -1;
}

static CabStore *store_new (int dirfd, int lockfd, gboolean read_only) {
  CabStore *self = g_new0 (CabStore, 1);
  self->dirfd = dirfd;
  self->lockfd = lockfd;
  self->read_only = read_only;
  return self;
}

static gboolean is_read_only (int dirfd) {
  return faccessat (dirfd, ".", W_OK, AT_EACCESS) < 0 && errno == EROFS;
}

CabStore *cab_store_new (const char *dir, GError **error) {
  g_autoptr (GError) local = NULL;
  errno = 0;
  g_auto (CabFd) dirfd = open_dir (dir, &local);
  gboolean faulty = dirfd < 0 && is_disk_fault (errno);
  if (dirfd < 0 && (!faulty || g_error_matches (local, CAB_ERROR, CAB_ERROR_INVALID))) {
    g_propagate_error (error, g_steal_pointer (&local));
    return NULL;
  }
  g_auto (CabFd) lockfd = faulty ? -1 : open_lock (dirfd);
  if (!faulty && lockfd < 0 && !is_disk_fault (errno) && !is_read_only (dirfd))
    return cab_error_errno (error, "lock cache directory %s", dir);
  gboolean read_only = !faulty && is_read_only (dirfd);
  CabStore *self = store_new (cab_fd_steal (&dirfd), cab_fd_steal (&lockfd), read_only);
  if (read_only)
    g_set_error (&local, CAB_ERROR, CAB_ERROR_FAILED, "cache directory %s is read-only", dir);
  if (faulty)
    g_prefix_error (&local, "cache directory %s: ", dir);
  if (faulty || read_only)
    cab_store_tell_unusable (self, local);
  return self;
}

/* Without the file "version" nothing tells that what lies there is a cache's.  An empty one is what a power cut leaves:
 * the next mount writes it anew. */
static gboolean is_cache (int dirfd, const char *dir, GError **error) {
  g_autoptr (GError) why = NULL;
  g_autoptr (GBytes) bytes = cab_file_read (dirfd, "version", 64, &why);
  if (bytes != NULL && g_bytes_get_size (bytes) == 0 && holds_only_own (dirfd))
    return TRUE;
  if (bytes != NULL)
    return check_text (bytes, dir, error);
  g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID, "%s is no cache directory of cabfs: %s", dir, why->message);
  return FALSE;
}

CabStore *cab_store_open (const char *dir, GError **error) {
  g_auto (CabFd) dirfd = open (dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dirfd < 0 && errno == ENOENT) {
    g_set_error (error, CAB_ERROR, CAB_ERROR_NOT_FOUND, "there is no cache directory %s", dir);
    return NULL;
  }
  if (dirfd < 0)
    return cab_error_errno (error, "cache directory %s", dir);
  if (!is_cache (dirfd, dir, error) || !check_owner (dirfd, dir, error))
    return NULL;
  g_auto (CabFd) lockfd = open_lock (dirfd);
  if (lockfd < 0) {
    cab_error_errno (error, "lock cache directory %s", dir);
    return NULL;
  }
  gboolean read_only = is_read_only (dirfd);
  return store_new (cab_fd_steal (&dirfd), cab_fd_steal (&lockfd), read_only);
}

void cab_store_free (CabStore *self) {
  if (self == NULL)
    return;
  if (self->lockfd >= 0)
    close (self->lockfd);
  if (self->dirfd >= 0)
    close (self->dirfd);
  g_free (self);
}

int cab_store_dirfd (const CabStore *self) {
  return self->dirfd;
}

char *cab_store_dir_name (gint64 expires) {
  return expires == CAB_TIME_UNKNOWN ? g_strdup (NEVER_EXPIRES) : cab_time_format_basic (expires);
}

void cab_store_set_full (CabStore *self, gboolean full) {
  atomic_store (&self->full, full);
}

void cab_store_found_full (CabStore *self) {
  atomic_store (&self->refused, TRUE);
  cab_store_set_full (self, TRUE);
  cab_store_watch (self);
}

gboolean cab_store_was_refused (CabStore *self) {
  return atomic_exchange (&self->refused, FALSE);
}

gboolean cab_store_is_full (CabStore *self) {
  return atomic_load (&self->full);
}

gboolean cab_store_should_tell_full (CabStore *self) {
  gint64 now_us = g_get_monotonic_time (), told_us = atomic_load (&self->told_full_us);
  if (told_us != 0 && now_us - told_us < TELL_FULL_US)
    return FALSE;
  atomic_store (&self->told_full_us, now_us);
  return TRUE;
}

void cab_store_tell_unusable (CabStore *self, const GError *error) {
  if (g_error_matches (error, CAB_ERROR, CAB_ERROR_NO_SPACE) && self->written_func != NULL) {
    cab_store_found_full (self);
    return; /* who watches tells */
  }
  if (!g_error_matches (error, CAB_ERROR, CAB_ERROR_NO_SPACE))
    cab_store_note (self, TRUE);
  if (!atomic_exchange (&self->told_unusable, TRUE))
    g_warning ("cache: %s: reads go on, but what is new is not kept", error->message);
  else
    g_debug ("cache: %s", error->message);
}

void cab_store_set_bound (CabStore *self, guint64 bytes) {
  atomic_store (&self->bound, bytes);
}

gboolean cab_store_is_at_bound (CabStore *self, guint64 bytes) {
  guint64 bound = atomic_load (&self->bound), used, files;
  cab_store_usage (self, &used, &files); /* before the first count it is what was written */
  return bound > 0 && used + bytes > bound;
}

void cab_store_watch (CabStore *self) {
  if (self->written_func != NULL)
    self->written_func (self->written_data);
}

void cab_store_reserve (CabStore *self, guint64 bytes) {
  atomic_fetch_add (&self->reserved, bytes);
  cab_store_watch (self);
}

void cab_store_unreserve (CabStore *self, guint64 bytes) {
  atomic_fetch_sub (&self->reserved, bytes);
}

guint64 cab_store_reserved (CabStore *self) {
  return atomic_load (&self->reserved);
}

void cab_store_set_short (CabStore *self, gboolean is_short) {
  atomic_store (&self->is_short, is_short);
}

gboolean cab_store_is_short (CabStore *self) {
  return atomic_load (&self->is_short);
}

void cab_store_note (CabStore *self, gboolean broken) {
  if (atomic_load_explicit (&self->broken, memory_order_relaxed) != broken)
    atomic_store (&self->broken, broken);
}

gboolean cab_store_is_writable (CabStore *self) {
  return !atomic_load (&self->broken);
}

void cab_store_mark (CabStore *self) {
  atomic_store (&self->marked_written, atomic_load (&self->written));
  atomic_store (&self->marked_made, atomic_load (&self->made));
}

void cab_store_set_usage (CabStore *self, guint64 bytes, guint64 files) {
  atomic_store (&self->base_bytes, bytes - atomic_load (&self->marked_written));
  atomic_store (&self->base_files, files - atomic_load (&self->marked_made));
  atomic_store (&self->counted, TRUE);
}

gboolean cab_store_usage (CabStore *self, guint64 *bytes, guint64 *files) {
  *bytes = atomic_load (&self->base_bytes) + atomic_load (&self->written);
  *files = atomic_load (&self->base_files) + atomic_load (&self->made);
  return atomic_load (&self->counted);
}

void cab_store_set_written_func (CabStore *self, guint64 bytes, void (*func) (gpointer data), gpointer data) {
  self->written_step = bytes;
  self->written_func = func;
  self->written_data = data;
}

static char *path_of (const CabObjectKey *key, const char *suffix) {
  g_autofree char *dir = cab_store_dir_name (key->expires);
  return g_strconcat (dir, "/", key->id, suffix, NULL);
}

char *cab_store_data_path (const CabObjectKey *key) {
  return path_of (key, key->member ? CAB_STORE_MEMBER : CAB_STORE_CAB);
}

char *cab_store_map_path (const CabObjectKey *key) {
  return path_of (key, key->member ? CAB_STORE_MEMBER_MAP : CAB_STORE_CAB_MAP);
}

guint64 cab_store_bytes (CabStore *self, const CabObjectKey *key) {
  g_autofree char *path = cab_store_data_path (key);
  struct stat st;
  if (fstatat (self->dirfd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
    return 0;
  return (guint64) st.st_blocks * 512;
}

gssize cab_store_read (CabStore *self, const CabObjectKey *key, void *bytes, gsize len) {
  g_autofree char *path = cab_store_data_path (key);
  g_auto (CabFd) fd = openat (self->dirfd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  return fd < 0 ? -1 : pread (fd, bytes, len, 0);
}

gboolean cab_store_load_map (CabStore *self, const char *path, const char *id, CabMap *map, GError **error) {
  g_autoptr (GBytes) bytes = cab_file_read (self->dirfd, path, MAP_LIMIT, error);
  if (bytes == NULL)
    return FALSE;
  gsize len;
  const char *text = g_bytes_get_data (bytes, &len);
  if (!cab_map_parse (text, len, map, error)) {
    g_prefix_error (error, "%s: ", path);
    return FALSE;
  }
  if (strcmp (map->id, id) == 0)
    return TRUE;
  g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID, "%s: it is the map of %s", path, map->id);
  cab_map_clear (map);
  return FALSE;
}

gboolean cab_store_peek (CabStore *self, const CabObjectKey *key, CabMap *map) {
  g_autofree char *path = cab_store_map_path (key);
  g_auto (CabFd) fd = -1;
  g_autofree char *data_path = cab_store_data_path (key);
  g_auto (CabMap) found = {0};
  if (!cab_store_load_map (self, path, key->id, &found, NULL) || strcmp (found.owner, key->owner) != 0)
    return FALSE;
  fd = openat (self->dirfd, data_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0 || !cab_map_belongs (&found, fd) || found.written_since)
    return FALSE;
  *map = found;
  found = (CabMap){0};
  return TRUE;
}

/* "ID.3.17.member", or the map: where "3.17" begins. */
static const char *before_numbers (const char *name, const char *end) {
  for (guint i = 0; i < 2; i++) {
    const char *p = end;
    while (p > name && g_ascii_isdigit (p[-1]))
      p--;
    if (p == end || p == name || p[-1] != '.')
      return NULL;
    end = p - 1;
  }
  return end > name ? end : NULL;
}

gboolean cab_store_is_member (const char *name, gsize *id_len) {
  const char *dot = strrchr (name, '.');
  if (dot == NULL || (strcmp (dot, CAB_STORE_MEMBER) != 0 && strcmp (dot, CAB_STORE_MEMBER_MAP) != 0))
    return FALSE;
  const char *end = before_numbers (name, dot);
  *id_len = end != NULL ? (gsize) (end - name) : 0;
  return end != NULL;
}

void cab_store_remove_members (CabStore *self, gint64 expires, const char *id) {
  g_autofree char *name = cab_store_dir_name (expires);
  DIR *dir = cab_dir_open (self->dirfd, name);
  if (dir == NULL)
    return;
  gsize len;
  for (const struct dirent *item = readdir (dir); item != NULL; item = readdir (dir))
    if (cab_store_is_member (item->d_name, &len) && len == strlen (id) && memcmp (item->d_name, id, len) == 0)
      unlinkat (dirfd (dir), item->d_name, 0);
  closedir (dir);
}
