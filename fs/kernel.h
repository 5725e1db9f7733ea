/* kernel.h - what the kernel offers a FUSE mount and libfuse does not pass on.
 *
 * Stands between libfuse and the device by fuse_session_custom_io().  Before 3.17 libfuse never sends
 * FUSE_PARALLEL_DIROPS, whatever is asked of it, and the kernel then makes lookups in one directory wait for each
 * other; here the bit is added to the reply to INIT.  That reply is also the one moment at which the mount is known to
 * answer.  Everything after it passes through.
 *
 * One session in a process at a time: libfuse gives the hooks the user data of the file system, not ours.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_KERNEL_H
#define CABFS_FS_KERNEL_H

#include <glib.h>

struct fuse_session;

/* @answered runs once, on a worker of the session with no lock held, as soon as the kernel has taken the reply to
 * INIT, and never if there was none. */
typedef void (*CabKernelAnswered) (gpointer data);

/* After fuse_session_mount(), before the loop. */
gboolean cab_kernel_attach (struct fuse_session *se, CabKernelAnswered answered, gpointer data, GError **error);

/* How much the kernel reads ahead on the mount at @mountpoint, in KiB.  Only root may, and only after INIT; makes no
 * request to the mount.  FALSE if it could not, errno says why. */
gboolean cab_kernel_set_read_ahead (const char *mountpoint, guint kib);

#endif
