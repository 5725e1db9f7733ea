/* evict.h - what leaves the cache, and when.
 *
 * interface.md section 6: expired CABs first, then, over `cache-size` or within `cache-free` of a full disk, the
 * soonest to expire that nobody has open, the least recently read first among equals.  Crash dumps hold personal
 * data: the bytes of a CAB go at its expiration or `keep` after their download, whichever is first
 * (api-contract.md 1.2).
 *
 * Members that were taken out of CABs are cached bytes like the CABs themselves, with their CAB's expiration.
 *
 * The plan is pure; the sweep reads the directory as it is, because other processes may share it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CACHE_EVICT_H
#define CABFS_CACHE_EVICT_H

#include "cache/store.h"

/* One CAB in the cache directory, or one member of a CAB. */
typedef struct {
  char *path; /* "20170507T135343Z/fb57b37b-…", without suffix; owned */
  gboolean member;
  gint64 expires; /* Unix seconds; CAB_TIME_UNKNOWN for the directory of those that do not */
  gint64 fetched; /* when its bytes came last */
  gint64 read;    /* when it was read last */
  guint64 bytes;  /* on disk */
} CabEvictEntry;

typedef struct {
  guint64 size_limit; /* bytes of all entries; 0: no limit */
  guint64 reserved;   /* bytes that will be there besides */
  guint64 must_free;  /* bytes to be freed besides, because the disk is nearly full */
  gint64 keep_s;
} CabEvictLimits;

/* Sorts @entries by who has to go first.  The first *@expired of them must go at @now in any case; of the rest, in
 * this order, as many as it takes to free the bytes that are returned. */
guint64 cab_evict_plan (GArray *entries, const CabEvictLimits *limits, gint64 now, guint *expired);

typedef struct {
  guint64 size_limit;
  guint64 free_bytes;
  guint free_percent;
  gint64 keep_s;
  /* Where nothing can be removed: has who reads give @bytes back, of @used; returns how many were.  NULL: nobody does. */
  guint64 (*trim) (gpointer data, guint64 bytes, guint64 used);
  gpointer trim_data;
} CabEvictOptions;

/* One pass over the directory of @store; says to the store whether it is full, which it is where not enough could be
 * removed, and whether there is room for what is reserved.  Blocks on the disk.  Returns the bytes of CABs that are left. */
guint64 cab_evict_sweep (CabStore *store, const CabEvictOptions *options, gint64 now);

typedef struct {
  guint cabs;    /* removed */
  guint members; /* removed */
  guint64 bytes; /* that they had on disk */
  guint open;    /* left, because somebody has them open, or was faster and removed them */
  guint kept;    /* left, because they are not over */
} CabEvictReport;

/* Removes by hand what nobody has open: what is over at @now, or @all.  Unlike the sweep it leaves what is over and
 * open: the sweep of a mount that runs will see to that. */
void cab_evict_purge (CabStore *store, gboolean all, gint64 keep_s, gint64 now, CabEvictReport *out);

#endif
