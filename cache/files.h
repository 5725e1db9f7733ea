/* files.h - small helpers for files below a directory descriptor.
 *
 * Threads: any.  Errors: CAB_ERROR, see cab_error_errno().
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CACHE_FILES_H
#define CABFS_CACHE_FILES_H

#include <dirent.h>
#include <glib.h>
#include <unistd.h>

/* A descriptor that is closed at the end of the block. */
typedef int CabFd;

static inline void cab_fd_clear (CabFd *fd) {
  if (*fd >= 0)
    close (*fd);
  *fd = -1;
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CabFd, cab_fd_clear)

static inline int cab_fd_steal (CabFd *fd) {
  int stolen = *fd;
  *fd = -1;
  return stolen;
}

/* The whole of file @name, at most @limit bytes (INVALID if it has more).  NULL with @error; a file that does not
 * exist is NOT_FOUND, and so is any where @dirfd is -1. */
GBytes *cab_file_read (int dirfd, const char *name, gsize limit, GError **error);

/* Writes @name so that at any time, also after a crash of this process, either the old or the new content is
 * there.  Does not wait for the disk. */
gboolean cab_file_replace (int dirfd, const char *name, const void *bytes, gsize len, GError **error);

/* FALSE once the open file @fd was removed: whatever has its name is another one. */
gboolean cab_file_is_linked (int fd);

/* The entries of directory @name below @dirfd, which is no link; NULL where it cannot be read. */
DIR *cab_dir_open (int dirfd, const char *name);

/* Opens directory @path below @dirfd, making what is missing of it, 0700.  -1 with @error. */
int cab_dir_make (int dirfd, const char *path, GError **error);

#endif
