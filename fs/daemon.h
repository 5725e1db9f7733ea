/* daemon.h - into the background, but not before the mount answers; and what the process has and may do.
 *
 * The parent waits and leaves with the child's exit status, or 0 once the child says that it is ready.  Until then
 * the child has the terminal, so that it can say on stderr what is wrong.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_DAEMON_H
#define CABFS_FS_DAEMON_H

#include <glib.h>

typedef struct CabDaemon CabDaemon;

/* First of all in main(): of stdin, stdout and stderr those that are closed become /dev/null.  Otherwise what is opened
 * next would be one of them, and get what is printed, or be lost in cab_daemon_ready(). */
void cab_daemon_hold_standard (void);

/* Forks; returns in the child only.  While the process has one thread.  NULL with @error if there is no child. */
CabDaemon *cab_daemon_fork (GError **error);

/* In the child, from any thread: leaves session, directory and terminal, then lets the parent go.  Once. */
void cab_daemon_ready (CabDaemon *self);

/* Without cab_daemon_ready() before, the parent goes on to wait for the end of the process. */
void cab_daemon_free (CabDaemon *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabDaemon, cab_daemon_free)

/* Bearer tokens and dumps of other people's memory are in this process: keeps them out of core dumps and, unless
 * @debug, of debuggers; bounds the memory that malloc() keeps for threads; allows as many open files as there may be. */
void cab_daemon_harden (gboolean debug);

#endif
