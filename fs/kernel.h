/* kernel.h - what the kernel offers a FUSE mount and libfuse does not pass on.
 *
 * Stands between libfuse and the device by fuse_session_custom_io(), and changes two kinds of replies:
 *
 *   INIT  gets FUSE_PARALLEL_DIROPS: libfuse before 3.17 never sends it, whatever is asked of it, and the kernel then
 *         makes lookups in one directory wait for each other.  And FUSE_PASSTHROUGH, where the kernel offers it and we
 *         have CAP_SYS_ADMIN, which it asks for.
 *   OPEN  of a file that is whole in the cache gets the kernel's number of that file, and the kernel reads it without
 *         us: at the speed of the file system below, without a copy or a switch of ours.
 *
 * From 3.17 on libfuse has words of its own for both, and the replies stay as they are.  The reply to INIT is also the
 * one moment at which the mount is known to answer.  Everything else passes through.
 *
 * One session in a process at a time: libfuse gives the hooks the user data of the file system, not ours.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_KERNEL_H
#define CABFS_FS_KERNEL_H

#include <fuse_lowlevel.h>
#include <glib.h>
#include <sys/types.h>

/* @answered runs once, on a worker of the session with no lock held, as soon as the kernel has taken the reply to
 * INIT, and never if there was none. */
typedef void (*CabKernelAnswered) (gpointer data);

/* After fuse_session_mount(), before the loop. */
gboolean cab_kernel_attach (struct fuse_session *se, CabKernelAnswered answered, gpointer data, GError **error);

/* What is to be said in INIT of libfuse 3.17 and later. */
void cab_kernel_tune (struct fuse_conn_info *conn);

/* The kernel's number, above 0, of the file behind @fd, which stays the caller's: what cab_kernel_reply_open() takes.
 * It holds the file until cab_kernel_backing_close().  0 if the kernel does not read files itself, or not this one
 * (one that lies on an overlay, for instance).  Any thread. */
int cab_kernel_backing_open (int fd);
void cab_kernel_backing_close (int backing);

/* As fuse_reply_open(); with a @backing above 0 the kernel reads that file instead of asking us.  It refuses (EIO to
 * who opens) an open that does not agree with those of the same inode that are still there: fs/passthrough.h. */
int cab_kernel_reply_open (fuse_req_t req, struct fuse_file_info *info, int backing);

/* The device number of what is mounted at @mountpoint; makes no request to the mount.  FALSE if it is not known, errno says
 * why. */
gboolean cab_kernel_device (const char *mountpoint, dev_t *device);

/* How much the kernel reads ahead on the mount with that number, in KiB.  Only root may, and only after INIT.  FALSE if it
 * could not, errno says why. */
gboolean cab_kernel_set_read_ahead (dev_t device, guint kib);

#endif
