/* SPDX-License-Identifier: MIT */
#include "cache/upkeep.h"

#include "cache/evict.h"
#include "cache/files.h"
#include "client/error.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

/* --- looking ------------------------------------------------------------------------------------------------ */

/* The nearest directory above @dir that is there. */
static char *existing_parent (const char *dir) {
  char *path = g_path_get_dirname (dir);
  while (access (path, F_OK) != 0 && errno == ENOENT && strcmp (path, "/") != 0 && strcmp (path, ".") != 0) {
    char *above = g_path_get_dirname (path);
    g_free (path);
    path = above;
  }
  return path;
}

/* Permissions, ACLs, a read-only file system and a full one: only trying tells.  The name is one that a store takes for
 * its own, should we be killed. */
static void try_to_write (int dirfd, CabUpkeepLook *out) {
  g_autofree char *name = g_strdup_printf ("version.check-%d.tmp", (int) getpid ());
  g_auto (CabFd) fd = openat (dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  out->writable = fd >= 0 && write (fd, "", 1) == 1;
  if (!out->writable)
    out->why = g_strdup (g_strerror (errno));
  if (fd >= 0)
    unlinkat (dirfd, name, 0);
}

static gboolean look_at (int dirfd, const char *path, CabUpkeepLook *out, GError **error) {
  struct stat st;
  struct statvfs vfs;
  if (fstat (dirfd, &st) != 0 || fstatvfs (dirfd, &vfs) != 0)
    return cab_error_errno (error, "cache directory %s", path) != NULL;
  if (out->there && st.st_uid != geteuid ()) {
    g_set_error (
        error, CAB_ERROR, CAB_ERROR_FAILED,
        "cache directory %s belongs to user %u, not to %u: set cache-dir to one of your own, or run this as "
        "who mounts",
        path, (unsigned) st.st_uid, (unsigned) geteuid ());
    return FALSE;
  }
  out->mode = st.st_mode & 07777;
  out->free_bytes = (guint64) vfs.f_bavail * vfs.f_frsize;
  out->total_bytes = (guint64) vfs.f_blocks * vfs.f_frsize;
  try_to_write (dirfd, out);
  return TRUE;
}

static gboolean is_dots (const char *name) {
  return strcmp (name, ".") == 0 || strcmp (name, "..") == 0;
}

/* Nothing in it, or what the top of a file system has. */
static gboolean is_empty (int dirfd) {
  DIR *dir = cab_dir_open (dirfd, ".");
  if (dir == NULL)
    return FALSE;
  gboolean empty = TRUE;
  for (const struct dirent *item = readdir (dir); item != NULL; item = readdir (dir))
    empty = empty && (is_dots (item->d_name) || strcmp (item->d_name, "lost+found") == 0);
  closedir (dir);
  return empty;
}

gboolean cab_upkeep_look (const char *dir, CabUpkeepLook *out, GError **error) {
  *out = (CabUpkeepLook){0};
  g_auto (CabFd) fd = open (dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  out->there = fd >= 0 || errno != ENOENT;
  g_autofree char *path = out->there ? g_strdup (dir) : existing_parent (dir);
  if (!out->there)
    fd = open (path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return cab_error_errno (error, "cache directory %s: %s", dir, path) != NULL;
  if (!look_at (fd, path, out, error))
    return FALSE;
  if (!out->there || !out->writable || is_empty (fd))
    return TRUE;
  CabStore *store = cab_store_open (dir, error);
  gboolean ours = store != NULL;
  cab_store_free (store);
  return ours;
}

/* --- removing ----------------------------------------------------------------------------------------------- */

/* Below listings/ are FAMILY/APPLICATION/FILE; whatever is deeper is not ours. */
#define LISTS_DEPTH 3

static void remove_file (int dirfd, const char *name, const struct stat *st, CabUpkeepReport *out) {
  if (unlinkat (dirfd, name, 0) != 0)
    return;
  out->lists++;
  out->bytes += (guint64) st->st_blocks * 512;
}

/* The last good lists and the sizes beside them: written whole and renamed, or appended to, so that who is about to read
 * or to write one is not disturbed. */
static void remove_lists (int at, const char *name, guint depth, CabUpkeepReport *out) {
  DIR *dir = cab_dir_open (at, name);
  if (dir == NULL)
    return;
  for (const struct dirent *item = readdir (dir); item != NULL; item = readdir (dir)) {
    struct stat st;
    if (is_dots (item->d_name) || fstatat (dirfd (dir), item->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
      continue;
    if (S_ISREG (st.st_mode))
      remove_file (dirfd (dir), item->d_name, &st, out);
    else if (S_ISDIR (st.st_mode) && depth > 1)
      remove_lists (dirfd (dir), item->d_name, depth - 1, out);
  }
  closedir (dir);
  unlinkat (at, name, AT_REMOVEDIR);
}

gboolean cab_upkeep_purge (const char *dir, gboolean all, gint64 keep_s, CabUpkeepReport *out, GError **error) {
  g_autoptr (GError) why = NULL;
  CabEvictReport evicted;
  *out = (CabUpkeepReport){0};
  CabStore *store = cab_store_open (dir, &why);
  if (store == NULL && g_error_matches (why, CAB_ERROR, CAB_ERROR_NOT_FOUND))
    return TRUE;
  if (store == NULL) {
    g_propagate_error (error, g_steal_pointer (&why));
    return FALSE;
  }
  cab_evict_purge (store, all, keep_s, g_get_real_time () / G_USEC_PER_SEC, &evicted);
  *out = (CabUpkeepReport){.there = TRUE,
                           .cabs = evicted.cabs,
                           .members = evicted.members,
                           .bytes = evicted.bytes,
                           .open = evicted.open,
                           .kept = evicted.kept};
  if (all)
    remove_lists (cab_store_dirfd (store), "listings", LISTS_DEPTH, out);
  cab_store_free (store);
  return TRUE;
}
