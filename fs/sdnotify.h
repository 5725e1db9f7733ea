/* sdnotify.h - tells a service manager how the mount is doing: the protocol of sd_notify(3), without its library.
 *
 * Lines "NAME=value" in one datagram to the socket that $NOTIFY_SOCKET names: a path, or an abstract name behind '@'.
 * Nobody answers, and that nobody listens is no reason to end a mount: what cannot be told is logged and forgotten.
 *
 * Threads: cab_sdnotify_new() before there is a second thread, the others from any.  A message may wait up to a second
 * for room in the socket.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_SDNOTIFY_H
#define CABFS_FS_SDNOTIFY_H

#include <glib.h>

typedef struct CabSdNotify CabSdNotify;

/* Takes $NOTIFY_SOCKET out of the environment, so that no program of ours speaks for us.  NULL where it is not set or
 * names no socket that we can speak to; all calls take NULL for nobody to tell. */
CabSdNotify *cab_sdnotify_new (void);

void cab_sdnotify_free (CabSdNotify *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabSdNotify, cab_sdnotify_free)

/* The mount answers.  @status is a line for people (`systemctl status`); so it is below. */
void cab_sdnotify_ready (const CabSdNotify *self, const char *status);

/* What it is doing now.  Never waits: a manager that is behind with its reading does without. */
void cab_sdnotify_status (const CabSdNotify *self, const char *status);

/* The mount ends, by whatever cause. */
void cab_sdnotify_stopping (const CabSdNotify *self, const char *status);

#endif
