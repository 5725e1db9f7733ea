/* session.h - one mount from start to end: mount, workers, signals, unmount.
 *
 * Life: new, mount, run, unmount, free.  Between unmount and free whoever keeps requests answers them: a request must
 * not outlive the session.
 * Threads: all calls on the main thread.  SIGTERM, SIGINT and SIGUSR1 must be blocked in every other thread, so that they
 * reach cab_session_run().
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_SESSION_H
#define CABFS_FS_SESSION_H

#include <glib.h>

#include "fs/options.h"

struct fuse_conn_info;
struct fuse_lowlevel_ops;
struct fuse_session;

/* A directory that can be mounted on; the error names the remedy, for a mount whose program is gone too, and for one of
 * ours that is there already. */
gboolean cab_session_check_mountpoint (const char *path, GError **error);

typedef struct CabSession CabSession;

/* @options must outlive the session, @fs is what the operations get as user data.  The operations must not have a
 * `destroy`, which would run within cab_session_free(). */
CabSession *cab_session_new (const CabMountOptions *options, const struct fuse_lowlevel_ops *operations,
                             gpointer fs, GError **error);

/* For notifications to the kernel. */
struct fuse_session *cab_session_fuse (CabSession *self);

/* Mounts.  fusermount3 writes reasons of its own to stderr.  @ready runs once, on a worker during cab_session_run(),
 * when the mount answers. */
gboolean cab_session_mount (CabSession *self, void (*ready) (gpointer data), gpointer data, GError **error);

/* @func is called on SIGUSR1, from the handler: it may do only what signal-safety(7) lists.  Before cab_session_mount(). */
void cab_session_on_usr1 (CabSession *self, void (*func) (gpointer data), gpointer data);

/* Serves until the mount is taken away or a signal comes.  FALSE with @error if it ended for another reason. */
gboolean cab_session_run (CabSession *self, GError **error);

/* Does nothing if it is not mounted; takes away no other mount that is at its path by now. */
void cab_session_unmount (CabSession *self);

void cab_session_free (CabSession *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabSession, cab_session_free)

/* What is wanted of the kernel: to be called by the operation `init`. */
void cab_session_tune (struct fuse_conn_info *conn);

#endif
