/* notify.h - tells the kernel that attributes it holds are out of date.
 *
 * From a thread of its own: a notification from within an operation, or with a lock held, can wait for a request that
 * waits for us.  Attributes only, never pages, which deadlocks with a read in flight (findings.md).
 *
 * Threads: any.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_NOTIFY_H
#define CABFS_FS_NOTIFY_H

#include <fuse_lowlevel.h>
#include <glib.h>

typedef struct CabNotify CabNotify;

/* @se must outlive it. */
CabNotify *cab_notify_new (struct fuse_session *se);

/* Drops what was not said yet. */
void cab_notify_free (CabNotify *self);

void cab_notify_attributes (CabNotify *self, guint64 ino);

#endif
