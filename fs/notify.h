/* notify.h - tells the kernel that attributes it holds are out of date, and gives it pages.
 *
 * From a thread of its own: a notification from within an operation, or with a lock held, can wait for a request that
 * waits for us.  Pages are never dropped, which deadlocks with a read in flight (findings.md), and given only where no
 * read can be: fs/passthrough.h.
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

/* Ends the thread.  What was not said yet is not said, nor is what comes later; what was to be done then is done, here
 * and by who asks for it. */
void cab_notify_stop (CabNotify *self);

/* It was stopped. */
void cab_notify_free (CabNotify *self);

void cab_notify_attributes (CabNotify *self, guint64 ino);

/* @done runs when the kernel has been told all that was to be said before: on the thread that does that, or, when that
 * ends, in cab_notify_stop() or here; with no lock held. */
void cab_notify_then (CabNotify *self, void (*done) (gpointer data), gpointer data);

/* Gives the kernel the first @len bytes of @ino, whole pages or all there are; in a @done only.  FALSE if it did not take
 * them, or the thread ends. */
gboolean cab_notify_pages (CabNotify *self, guint64 ino, const void *bytes, gsize len);

#endif
