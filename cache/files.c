/* SPDX-License-Identifier: MIT */
#include "cache/files.h"

#include "client/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static gboolean read_all (int fd, char *into, gsize len) {
  for (gsize done = 0; done < len;) {
    ssize_t n = read (fd, into + done, len - done);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0) {
      errno = n == 0 ? EIO : errno;
      return FALSE;
    }
    done += (gsize) n;
  }
  return TRUE;
}

static gboolean write_all (int fd, const char *from, gsize len) {
  for (gsize done = 0; done < len;) {
    ssize_t n = write (fd, from + done, len - done);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return FALSE;
    done += (gsize) n;
  }
  return TRUE;
}

GBytes *cab_file_read (int dirfd, const char *name, gsize limit, GError **error) {
  g_auto (CabFd) fd = openat (dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (dirfd == -1 || (fd < 0 && errno == ENOENT)) {
    g_set_error (error, CAB_ERROR, CAB_ERROR_NOT_FOUND, "%s is not there", name);
    return NULL;
  }
  struct stat st;
  if (fd < 0 || fstat (fd, &st) < 0)
    return cab_error_errno (error, "open %s", name);
  if (!S_ISREG (st.st_mode) || (guint64) st.st_size > limit) {
    g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID, "%s is no file of at most %zu bytes", name, limit);
    return NULL;
  }
  gsize len = (gsize) st.st_size;
  g_autofree char *bytes = g_malloc (len + 1);
  if (!read_all (fd, bytes, len))
    return cab_error_errno (error, "read %s", name);
  return g_bytes_new_take (g_steal_pointer (&bytes), len);
}

gboolean cab_file_replace (int dirfd, const char *name, const void *bytes, gsize len, GError **error) {
  /* Unique among all threads and processes that share the directory. */
  static atomic_uint serial;
  g_autofree char *temporary =
      g_strdup_printf ("%s.%d-%u.tmp", name, (int) getpid (), atomic_fetch_add (&serial, 1));
  g_auto (CabFd) fd = openat (dirfd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd >= 0 && write_all (fd, bytes, len) && renameat (dirfd, temporary, dirfd, name) == 0)
    return TRUE;
  cab_error_errno (error, "write %s", name);
  int saved = errno;
  if (fd >= 0)
    unlinkat (dirfd, temporary, 0);
  errno = saved;
  return FALSE;
}

gboolean cab_file_is_linked (int fd) {
  struct stat st;
  return fstat (fd, &st) == 0 && st.st_nlink > 0;
}

/* Opens @name below @at, made if missing; closes @at in any case. */
static int enter (int at, const char *name) {
  int next = -1;
  if (mkdirat (at, name, 0700) == 0 || errno == EEXIST)
    next = openat (at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int saved = errno;
  close (at);
  errno = saved;
  return next;
}

int cab_dir_make (int dirfd, const char *path, GError **error) {
  int at = openat (dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (at >= 0)
    return at;
  g_auto (GStrv) parts = g_strsplit (path, "/", -1);
  at = openat (dirfd, *path == '/' ? "/" : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  for (guint i = 0; at >= 0 && parts[i] != NULL; i++)
    if (*parts[i] != '\0')
      at = enter (at, parts[i]);
  if (at < 0)
    cab_error_errno (error, "make directory %s", path);
  return at;
}

DIR *cab_dir_open (int dirfd, const char *name) {
  g_auto (CabFd) fd = openat (dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  DIR *dir = fd < 0 ? NULL : fdopendir (fd);
  if (dir != NULL)
    cab_fd_steal (&fd); /* the directory's now */
  return dir;
}
