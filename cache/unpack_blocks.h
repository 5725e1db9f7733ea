/* unpack_blocks.h - the archive as the worker sees it: blocks that it asks the daemon for.
 *
 * The first block, and one at a new place, is 64 KiB; in a row they double, to 1 MiB.  With `ahead` the next of
 * a row is asked for while the last one is being worked on, so that transfer and decompression overlap.  The
 * last few blocks are kept, since a ZIP is read from both ends.
 *
 * When the daemon is gone, or says what it should not, the process ends: there is nobody left to work for.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CACHE_UNPACK_BLOCKS_H
#define CABFS_CACHE_UNPACK_BLOCKS_H

#include <glib.h>

typedef struct CabBlocks CabBlocks;

CabBlocks *cab_blocks_new (int socket, guint64 size, gboolean ahead);
void cab_blocks_free (CabBlocks *self);

/* The bytes at @off < size, at least one; good until the next call. */
gsize cab_blocks_read (CabBlocks *self, guint64 off, const void **bytes);

#endif
