/* upkeep.h - a cache directory from outside: for who looks after it without a mount, beside those that use it.
 *
 * By the rules and locks of store.h: what somebody has open is left.  Blocks on the disk.
 * Errors: CAB_ERROR with the path and what to do.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CACHE_UPKEEP_H
#define CABFS_CACHE_UPKEEP_H

#include <glib.h>

typedef struct {
  gboolean there;     /* FALSE: it would be made; the rest is of the directory that it would be made in */
  gboolean writable;  /* by us, tried */
  char *why;          /* not writable: the system's word; to be freed */
  guint mode;         /* permissions */
  guint64 free_bytes; /* of the file system, for us */
  guint64 total_bytes;
} CabUpkeepLook;

/* Changes nothing, but for a file that is gone again.  INVALID: what is in it is not a cache's, or of another version. */
gboolean cab_upkeep_look (const char *dir, CabUpkeepLook *out, GError **error);

typedef struct {
  gboolean there; /* FALSE: there is no such directory, and so nothing to remove */
  guint cabs;     /* removed, as are the next */
  guint members;
  guint lists;
  guint64 bytes; /* that they had on disk */
  guint open;    /* CABs and members that are left because somebody has them open */
  guint kept;    /* the same, because they are not over */
} CabUpkeepReport;

/* Removes what is over: expired, or kept for @keep_s; or @all, with the lists.  INVALID: @dir is no cache directory. */
gboolean cab_upkeep_purge (const char *dir, gboolean all, gint64 keep_s, CabUpkeepReport *out, GError **error);

#endif
