/* told.h - which size of a file the kernel goes by.
 *
 * A size is an answer to one thread of a program, and is the kernel's when that thread has run on.  It can be late;
 * meanwhile others go by the size of before.  That this thread asks for more shows that it has taken its answer.
 *
 * Threads: any.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_TOLD_H
#define CABFS_FS_TOLD_H

#include "fs/tree.h"

#include <sys/types.h>

typedef struct CabTold CabTold;

CabTold *cab_told_new (void);
void cab_told_free (CabTold *self);

/* @thread, as the kernel numbers it, is about to be answered that @node has @size. */
void cab_told_say (CabTold *self, CabNode *node, guint64 size, pid_t thread);

/* TRUE if the kernel goes by @size, or by none, now that @thread asks for something. */
gboolean cab_told_has (CabTold *self, CabNode *node, guint64 size, pid_t thread);

#endif
