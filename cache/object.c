/* object.c - one data file, open: the rules are in store.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cache/files.h"
#include "cache/store-private.h"
#include "client/error.h"
#include "client/metrics.h"
#include "client/records.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

struct CabObject {
  CabStore *store; /* set at creation, as all but the last */
  int fd;          /* the data file; its flock is ours.  -1: it takes nothing */
  char *data_path; /* below the store's directory */
  char *map_path;
  gboolean is_private;
  gboolean is_frozen;    /* there to be read */
  atomic_bool is_broken; /* a write has failed, and not for want of room: no other is tried */
};

static gboolean is_complete (const CabMap *map) {
  return cab_ranges_has (&map->have, 0, map->size);
}

/* The file's birth time where the file system keeps one: inode numbers are given out again, birth times are not.  And
 * where nobody has anything left to write, the time of the last write. */
static gboolean identify (int fd, gboolean complete, guint64 *inode, char **born, guint64 *size) {
  struct statx stx;
  if (statx (fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &stx) < 0)
    return FALSE;
  *inode = stx.stx_ino;
  *size = stx.stx_size;
  GString *text = g_string_new ((stx.stx_mask & STATX_BTIME) == 0 ? "unknown" : NULL);
  if (text->len == 0)
    g_string_printf (text, "%lld.%u", (long long) stx.stx_btime.tv_sec, stx.stx_btime.tv_nsec);
  if (complete)
    g_string_append_printf (text, " %lld.%u", (long long) stx.stx_mtime.tv_sec, stx.stx_mtime.tv_nsec);
  *born = g_string_free (text, FALSE);
  return TRUE;
}

/* Of what identify() has made: the times up to that of the last write. */
static gboolean is_born_with (const char *one, const char *other) {
  gsize len = strcspn (one, " ");
  return len == strcspn (other, " ") && memcmp (one, other, len) == 0;
}

gboolean cab_map_belongs (CabMap *map, int fd) {
  guint64 inode, size;
  g_autofree char *born = NULL;
  if (!identify (fd, is_complete (map), &inode, &born, &size) || inode != map->inode ||
      !is_born_with (born, map->born))
    return FALSE;
  map->written_since = strcmp (born, map->born) != 0 || (is_complete (map) && size != map->size);
  return map->have.count == 0 || map->have.items[map->have.count - 1].end <= size;
}

/* There is a sum for all of it: who finds one that does not fit fetches that piece again.  Of a member no piece can be
 * fetched. */
static gboolean can_be_checked (const CabMap *map) {
  guint64 summed = 0;
  for (guint i = 0; i < map->sums.count; i++)
    summed += map->sums.items[i].piece.end - map->sums.items[i].piece.start;
  return summed == cab_ranges_total (&map->have);
}

static gboolean is_of_use (CabMap *map, int fd) {
  return cab_map_belongs (map, fd) && (can_be_checked (map) || (is_complete (map) && !map->written_since));
}

/* Who reads the file itself, as the kernel may, must not find more than the CAB has. */
static gboolean cut_off (const CabMap *map, int fd) {
  struct stat st;
  return fstat (fd, &st) == 0 && ((guint64) st.st_size <= map->size || ftruncate (fd, (off_t) map->size) == 0);
}

static CabObject *object_new (CabStore *store, const CabObjectKey *key) {
  CabObject *self = g_new0 (CabObject, 1);
  self->store = store;
  self->fd = -1;
  self->data_path = cab_store_data_path (key);
  self->map_path = cab_store_map_path (key);
  return self;
}

/* There may be some now: something was emptied, or may be removed. */
static void tell_of_room (CabStore *store) {
  if (cab_store_is_full (store) || cab_store_is_short (store))
    cab_store_watch (store);
}

void cab_object_close (CabObject *self) {
  if (self == NULL)
    return;
  if (self->fd >= 0)
    close (self->fd);
  tell_of_room (self->store);
  g_free (self->data_path);
  g_free (self->map_path);
  g_free (self);
}

/* It has a name, and what is done to it remains. */
static gboolean is_kept (const CabObject *self) {
  return !self->is_private && !self->is_frozen && cab_file_is_linked (self->fd);
}

/* An unnamed file, for us alone. */
static gboolean open_private (CabObject *self, GError **error) {
  self->fd = openat (self->store->dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  self->is_private = TRUE;
  return self->fd >= 0 || cab_error_errno (error, "make a temporary file in the cache") != NULL;
}

/* Reads the map of the locked data file; a damaged one is dropped together with the data. */
static void load_locked_file (CabObject *self, const char *id, CabMap *map) {
  g_autoptr (GError) error = NULL;
  gboolean good = cab_store_load_map (self->store, self->map_path, id, map, &error);
  if (good && is_of_use (map, self->fd) && cut_off (map, self->fd))
    return;
  struct stat st;
  gboolean had_data = fstat (self->fd, &st) == 0 && st.st_size > 0;
  if (good || !g_error_matches (error, CAB_ERROR, CAB_ERROR_NOT_FOUND)) {
    g_warning ("cache: %s does not fit its data file, it is fetched again: %s", self->map_path,
               error != NULL ? error->message : "another file or a shorter one");
    cab_metric_add (CAB_METRIC_CACHE_DAMAGED, 1);
  }
  cab_map_clear (map);
  unlinkat (self->store->dirfd, self->map_path, 0);
  if (had_data && ftruncate (self->fd, 0) < 0)
    g_warning ("cache: cannot empty %s: %s", self->data_path, g_strerror (errno));
}

typedef enum { OPEN_DONE, OPEN_AGAIN, OPEN_BUSY, OPEN_FAILED } OpenResult;

/* One try: OPEN_AGAIN when the file was removed while we waited at its door. */
static OpenResult open_shared (CabObject *self, const CabObjectKey *key, CabMap *map, GError **error) {
  self->fd = openat (self->store->dirfd, self->data_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (self->fd < 0 && errno == ENOENT) /* an eviction found the new directory empty */
    return OPEN_AGAIN;
  if (self->fd < 0) {
    cab_error_errno (error, "open %s in the cache", self->data_path);
    return OPEN_FAILED;
  }
  gboolean writer = flock (self->fd, LOCK_EX | LOCK_NB) == 0;
  if (!writer && flock (self->fd, LOCK_SH | LOCK_NB) < 0)
    return OPEN_BUSY;
  if (!cab_file_is_linked (self->fd))
    return OPEN_AGAIN;
  if (writer) {
    load_locked_file (self, key->id, map);
  } else if (!cab_store_load_map (self->store, self->map_path, key->id, map, NULL) ||
             !cab_map_belongs (map, self->fd) || !is_complete (map) || map->written_since) {
    /* Others read it as complete, so a map that says less is no ground to write into it. */
    cab_map_clear (map);
    return OPEN_BUSY;
  }
  if (map->born != NULL && strcmp (map->owner, key->owner) != 0) {
    cab_map_clear (map); /* another CAB of the same name: its file is not ours to use or to empty */
    return OPEN_BUSY;
  }
  if (map->born != NULL && is_complete (map) && !map->written_since)
    cab_object_share (self);
  return OPEN_DONE;
}

/* One that takes nothing: what is read goes by without being kept. */
static CabObject *open_none (CabObject *self, const GError *error) {
  cab_store_tell_unusable (self->store, error);
  self->is_private = TRUE;
  return self;
}

/* What a disk has that cannot be written, shared with whoever could. */
static gboolean open_frozen (CabObject *self, const CabObjectKey *key, CabMap *map) {
  self->fd = openat (self->store->dirfd, self->data_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (self->fd >= 0 && flock (self->fd, LOCK_SH | LOCK_NB) == 0 &&
      cab_store_load_map (self->store, self->map_path, key->id, map, NULL) &&
      strcmp (map->owner, key->owner) == 0 && is_of_use (map, self->fd)) {
    self->is_frozen = TRUE;
    return TRUE;
  }
  cab_map_clear (map);
  if (self->fd >= 0)
    close (self->fd);
  self->fd = -1;
  return FALSE;
}

CabObject *cab_object_open (CabStore *store, const CabObjectKey *key, CabMap *map) {
  CabObject *self = object_new (store, key);
  g_autofree char *dir = cab_store_dir_name (key->expires);
  g_autoptr (GError) error = NULL;
  *map = (CabMap){.modified = CAB_TIME_UNKNOWN};
  /* Removed between open and lock, again and again, would need an eviction for each try. */
  for (guint i = 0; i < 16; i++) {
    if (store->read_only && open_frozen (self, key, map))
      return self;
    if (mkdirat (store->dirfd, dir, 0700) < 0 && errno != EEXIST) {
      cab_error_errno (&error, "make directory %s in the cache", dir);
      return open_none (self, error);
    }
    OpenResult result = open_shared (self, key, map, &error);
    if (result == OPEN_DONE) {
      if (map->born == NULL)
        atomic_fetch_add (&store->made, 1);
      return self;
    }
    if (self->fd >= 0)
      close (self->fd); /* not where it failed: errno is that of the failure */
    self->fd = -1;
    if (result == OPEN_FAILED)
      return errno == EROFS && open_frozen (self, key, map) ? self : open_none (self, error);
    if (result == OPEN_BUSY)
      break;
  }
  return open_private (self, &error) ? self : open_none (self, error);
}

CabObject *cab_object_open_private (CabStore *store, const CabObjectKey *key) {
  CabObject *self = object_new (store, key);
  g_autoptr (GError) error = NULL;
  return open_private (self, &error) ? self : open_none (self, error);
}

static gboolean refuse_write (CabObject *self, GError **error) {
  g_set_error (error, CAB_ERROR, CAB_ERROR_NO_SPACE, "the cache has no room for %s", self->data_path);
  return FALSE;
}

/* The disk is full, whatever the quota says: nobody tries again before somebody has looked. */
static gboolean found_full (CabObject *self, GError **error) {
  cab_store_found_full (self->store);
  return refuse_write (self, error);
}

/* The disk is gone, read-only or broken: what was read from it before may still be there. */
static gboolean found_broken (CabObject *self, GError **error) {
  g_autoptr (GError) local = NULL;
  cab_error_errno (&local, "write %s to the cache", self->data_path);
  cab_store_tell_unusable (self->store, local);
  atomic_store (&self->is_broken, TRUE);
  return refuse_write (self, error);
}

gboolean cab_object_takes (const CabObject *self) {
  return self->fd >= 0 && !self->is_frozen && !atomic_load (&self->is_broken) &&
         !cab_store_is_full (self->store);
}

gboolean cab_object_write (CabObject *self, guint64 off, const void *bytes, gsize len, GError **error) {
  CabStore *store = self->store;
  const char *from = bytes;
  if (!cab_object_takes (self))
    return refuse_write (self, error);
  if (cab_store_is_at_bound (store, len)) {
    cab_store_watch (store);
    return refuse_write (self, error);
  }
  for (gsize done = 0; done < len;) {
    ssize_t n = pwrite (self->fd, from + done, len - done, (off_t) (off + done));
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return errno == ENOSPC || errno == EDQUOT ? found_full (self, error) : found_broken (self, error);
    done += (gsize) n;
  }
  cab_store_note (store, FALSE);
  cab_object_wrote (self, len);
  return TRUE;
}

void cab_object_wrote (CabObject *self, guint64 len) {
  CabStore *store = self->store;
  guint64 before = atomic_fetch_add (&store->written, len);
  if (store->written_func != NULL && before / store->written_step != (before + len) / store->written_step)
    store->written_func (store->written_data);
}

gboolean cab_object_punch (CabObject *self, guint64 start, guint64 end) {
  if (self->fd < 0 || self->is_frozen)
    return FALSE;
  if (is_kept (self))
    unlinkat (self->store->dirfd, self->map_path, 0);
  return fallocate (self->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t) start,
                    (off_t) (end - start)) == 0;
}

gboolean cab_object_empty (CabObject *self, GError **error) {
  if (self->fd < 0 || self->is_frozen)
    return refuse_write (self, error);
  if (ftruncate (self->fd, 0) < 0)
    return cab_error_errno (error, "empty %s in the cache", self->data_path) != NULL;
  tell_of_room (self->store);
  return TRUE;
}

gboolean cab_object_read (CabObject *self, guint64 off, void *bytes, gsize len, GError **error) {
  char *to = bytes;
  for (gsize done = 0; done < len;) {
    ssize_t n = pread (self->fd, to + done, len - done, (off_t) (off + done));
    if (n < 0 && errno == EINTR)
      continue;
    if (n == 0)
      errno = EIO; /* shorter than its map says: somebody cut it */
    if (n <= 0)
      return cab_error_errno (error, "read %s in the cache", self->data_path) != NULL;
    done += (gsize) n;
  }
  return TRUE;
}

gboolean cab_object_is_private (const CabObject *self) {
  return self->is_private;
}

int cab_object_descriptor (const CabObject *self) {
  return self->fd;
}

/* An eviction may have removed the object meanwhile, even the directory: then there is nothing to be kept, and no map of it
 * to be left. */
static gboolean replace_map (CabObject *self, const CabMap *map, GError **error) {
  g_autoptr (GError) local = NULL;
  g_autofree char *text = cab_map_format (map);
  gboolean replaced = cab_file_replace (self->store->dirfd, self->map_path, text, strlen (text), &local);
  if (!is_kept (self)) {
    if (replaced)
      unlinkat (self->store->dirfd, self->map_path, 0);
    return TRUE;
  }
  if (!replaced)
    g_propagate_error (error, g_steal_pointer (&local));
  return replaced;
}

gboolean cab_object_save (CabObject *self, CabMap *map, GError **error) {
  if (!is_kept (self))
    return TRUE;
  if (fdatasync (self->fd) < 0)
    return cab_error_errno (error, "bring %s to the disk", self->data_path) != NULL;
  guint64 size;
  g_free (g_steal_pointer (&map->born));
  if (!identify (self->fd, is_complete (map), &map->inode, &map->born, &size))
    return cab_error_errno (error, "look at %s", self->data_path) != NULL;
  return replace_map (self, map, error);
}

void cab_object_share (CabObject *self) {
  if (!self->is_private && !self->is_frozen)
    flock (self->fd, LOCK_SH | LOCK_NB);
}

void cab_object_discard (CabObject *self) {
  if (!is_kept (self))
    return;
  unlinkat (self->store->dirfd, self->map_path, 0);
  unlinkat (self->store->dirfd, self->data_path, 0);
}

void cab_object_touch (CabObject *self) {
  const struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_OMIT}};
  if (!self->is_private && !self->is_frozen)
    futimens (self->fd, times);
}
