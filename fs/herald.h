/* herald.h - says what the mount is doing, to those who do not ask through a file: to a service manager, in the line
 * that `systemctl status` shows, and to the log, when a signal asks for it.
 *
 * Sleeps while nothing waits, whatever else the mount does.  While bytes come it looks each second, and speaks when the
 * line is another one; once they have not for a while, that is said too.
 *
 * Threads: one of its own; each call says who may make it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_HERALD_H
#define CABFS_FS_HERALD_H

#include "fs/ops.h"
#include "fs/sdnotify.h"

typedef struct CabHerald CabHerald;

/* @notify, which may be NULL, and @fs must outlive it; @idle is copied: "test is mounted at /mnt".  NULL with @error if
 * there is no thread to be had. */
CabHerald *cab_herald_new (const CabSdNotify *notify, CabFs *fs, const char *idle, GError **error);

/* When it returns nothing is said any more; the calls below may still come.  Twice does no harm. */
void cab_herald_stop (CabHerald *self);

/* Nobody calls the others any more. */
void cab_herald_free (CabHerald *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabHerald, cab_herald_free)

/* A request waits: there may be something to tell.  Any thread; costs next to nothing. */
void cab_herald_wake (gpointer self);

/* Writes the state to the log, soon.  Also from a signal handler. */
void cab_herald_dump (gpointer self);

#endif
