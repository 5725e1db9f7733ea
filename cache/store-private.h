/* store-private.h - what store.c and object.c share.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CACHE_STORE_PRIVATE_H
#define CABFS_CACHE_STORE_PRIVATE_H

#include "cache/store.h"

#include <stdatomic.h>

struct CabStore {
  int dirfd;          /* set at creation, as are the next two; -1: there is no directory */
  int lockfd;         /* -1 where there can be none */
  gboolean read_only; /* objects are there to be read */

  /* set before the first object */
  guint64 written_step;
  void (*written_func) (gpointer data);
  gpointer written_data;

  atomic_ullong bound;   /* 0: none */
  atomic_ullong written; /* bytes, ever */
  atomic_ullong reserved;
  atomic_bool full;
  atomic_bool refused; /* a write was, for want of room, since somebody asked */
  atomic_bool is_short;
  atomic_bool broken; /* the last try to make or write a file failed, and not for want of room */
  atomic_bool told_unusable;
  atomic_llong told_full_us; /* 0: never */

  /* of the count under way, and of the last one */
  atomic_ullong marked_written, marked_made;
  atomic_ullong base_bytes, base_files; /* to which `written` and `made` are added; they wrap around */
  atomic_ullong made;                   /* files, ever */
  atomic_bool counted;
};

/* Paths below the store's directory: "20170507T135343Z/<id>.cab" and ".map". */
char *cab_store_data_path (const CabObjectKey *key);
char *cab_store_map_path (const CabObjectKey *key);

/* A write found the disk full: nobody tries again before somebody has looked. */
void cab_store_found_full (CabStore *self);

/* TRUE if @bytes more would be beyond the bound. */
gboolean cab_store_is_at_bound (CabStore *self, guint64 bytes);

/* Reads and parses the map @path of CAB @id: INVALID if it is damaged or another's, NOT_FOUND if there is none. */
gboolean cab_store_load_map (CabStore *self, const char *path, const char *id, CabMap *map, GError **error);

/* TRUE if @map speaks of the file @fd and that file has all it promises.  @map->written_since tells whether somebody
 * wrote into it though all was here: then it has still to be compared with the sums. */
gboolean cab_map_belongs (CabMap *map, int fd);

#endif
