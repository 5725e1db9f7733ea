/* inbox.h - work that other threads hand to a transport's thread.
 *
 * Threads: any.  The lock is held for the length of a list operation and of `wake`, so that the thread cannot end,
 * and be freed, between the two.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_INBOX_H
#define CABFS_CLIENT_INBOX_H

#include <glib.h>

typedef struct CabInbox CabInbox;
typedef void (*CabInboxFunc) (gpointer data);

/* @wake is called with @data when the thread, if it waits, has to look: it must neither block nor use the inbox. */
CabInbox *cab_inbox_new (CabInboxFunc wake, gpointer data);
void cab_inbox_free (CabInbox *self);

void cab_inbox_add (CabInbox *self, CabInboxFunc func, gpointer data);

/* Runs what was in it when called, in order, without the lock. */
void cab_inbox_run (CabInbox *self);

gboolean cab_inbox_is_empty (CabInbox *self);

/* Counts what will still be added from outside. */
void cab_inbox_hold (CabInbox *self);
void cab_inbox_release (CabInbox *self);

/* Says that the thread may end; then TRUE from cab_inbox_ended() once it is empty and nobody holds it. */
void cab_inbox_end (CabInbox *self);
gboolean cab_inbox_ended (CabInbox *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabInbox, cab_inbox_free)

#endif
