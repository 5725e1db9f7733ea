/* ctl-mount.h - the mount that a path is in, as far as the mount itself and the kernel tell.
 *
 * Nothing here makes the mount ask a service.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_CTL_MOUNT_H
#define CABFS_FS_CTL_MOUNT_H

#include <glib.h>
#include <sys/types.h>

/* S_IFDIR, S_IFREG, …; 0 and errno if it is not there.  Symbolic links are followed.  Unlike stat(2) it has no size asked for, which
 * costs a request where that of a CAB is not known. */
mode_t cab_ctl_kind (const char *path);

/* The mount point of the cabfs that @path is in.  NULL with CAB_ERROR, a line that begins with the path: it is not there,
 * it is elsewhere, or the mount is dead, with what to do then. */
char *cab_ctl_mount_of (const char *path, GError **error);

/* The error of a call for @path that failed with errno @number: a line that begins with the path, and says what to do
 * where the mount is dead.  Always FALSE. */
gboolean cab_ctl_refuse (const char *path, int number, GError **error);

/* user.cabfs.@name of @path as text that may be printed; NULL if there is none. */
char *cab_ctl_attribute (const char *path, const char *name);

#endif
