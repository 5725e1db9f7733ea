/* handles.h - what an inode number stands for that no node has: of file handles that are older than the kernel's memory
 * of them, or than the mount.
 *
 * A number is a hash of the path (names.h), so that a path is found by computing the numbers of all that is known: what
 * is configured, and the lists in memory and on disk.  No request is made.  What is found is kept as an index until
 * there is another list; most numbers that nobody can find are those of lists that have gone.
 *
 * Threads: any.  The first call of a mount reads all lists from disk.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_HANDLES_H
#define CABFS_FS_HANDLES_H

#include "cache/cache.h"

typedef struct CabHandles CabHandles;

/* @cache must outlive it. */
CabHandles *cab_handles_new (CabCache *cache);
void cab_handles_free (CabHandles *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabHandles, cab_handles_free)

/* The path of @ino below an application, split: "APPLICATION", "FAILURE", "ID.cab" or "ID.cab.d"; and its family.  Those of
 * @applications, NULL-terminated, are there without a list; their family is not told.  FALSE if it is not known. */
typedef struct {
  char *family;   /* NULL: of one of @applications */
  char *names[3]; /* NULL where the path is shorter */
} CabPlace;

gboolean cab_handles_find (CabHandles *self, guint64 ino, char *const *applications, CabPlace *place);

void cab_place_clear (CabPlace *place);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CabPlace, cab_place_clear)

#endif
