/* passthrough.h - which open files the kernel reads itself, from the cache's own file.
 *
 * A CAB that is whole in the cache and was compared with its MD5, where that is known, need not be read by us: as root
 * the kernel is told at open() which file it is (kernel.h).  All opens of one inode that are there at a time have to be
 * of one kind, and of one file; so each node keeps count of them:
 *
 *   none        the next open decides: the kernel's if everything is here, else ours
 *   ours        all that join are ours too, also when the last byte has come meanwhile
 *   the kernel's  all that join get the same file; one of another version of the blob, which would need another file,
 *               is refused until the others are closed
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

/* Counts an open of @file, which is about to be answered, and sets its `backing`: what cab_kernel_reply_open() takes.
 * The node's version becomes that of its content, and @before is what it was.  FALSE if it cannot be opened beside those
 * that are open. */
gboolean cab_passthrough_enter (CabFs *fs, CabFile *file, guint64 *before);

/* @file was closed, or its open was not answered. */
void cab_passthrough_leave (CabFs *fs, CabFile *file);

#endif
