/* passthrough.h - which open files the kernel reads itself, from the cache's own file.
 *
 * A CAB that is whole in the cache and was compared with its MD5, where that is known, need not be read by us: as root
 * the kernel is told at open() which file it is (kernel.h).  All opens of one inode that are there at a time have to be
 * of one kind, and of one file; so each node keeps count of them:
 *
 *   none        the next open decides: the kernel's if everything is here, else ours; one that is answered in turn (see
 *               below) is ours
 *   ours        all that join are ours too, also when the last byte has come meanwhile
 *   the kernel's  all that join get the same file; one of another version of the blob, which would need another file,
 *               is refused until the others are closed
 *
 * The first open of an inode of which the kernel has no page gives it some (cab_notify_pages()).  That must not meet a
 * read of the same pages, nor come late, when another version was opened meanwhile.  So from its beginning to its end
 * all opens of that inode are answered in turn, one after the other, on the thread of notify.h.
 *
 * The kernel forgets an open before it tells us (RELEASE), so that what is counted here is never less than what it
 * counts.
 *
 * Threads: any; CabFs's lock, not held across calls into the kernel.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_PASSTHROUGH_H
#define CABFS_FS_PASSTHROUGH_H

#include "fs/ops-private.h"

typedef enum {
  CAB_ENTRY_MADE,
  CAB_ENTRY_REFUSED, /* it cannot be opened beside those that are open */
  CAB_ENTRY_LATER,   /* it is to be answered in its turn, which has begun */
} CabEntry;

/* Counts an open of @file, which is about to be answered, and sets its `backing`: what cab_kernel_reply_open() takes.
 * The node's version becomes that of its content, and @before is what it was. */
CabEntry cab_passthrough_enter (CabFs *fs, CabFile *file, guint64 *before);

/* TRUE if the kernel has no page of @node: an open of it is answered in turn from now on. */
gboolean cab_passthrough_begin_turn (CabFs *fs, CabNode *node);

/* One that was to be answered in turn is, or will not be. */
void cab_passthrough_end_turn (CabFs *fs, CabNode *node);

/* @file was closed, or its open was not answered. */
void cab_passthrough_leave (CabFs *fs, CabFile *file);

#endif
