/* store-private.h - what store.c and object.c share.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CACHE_STORE_PRIVATE_H
#define CABFS_CACHE_STORE_PRIVATE_H

#include "cache/store.h"

#include <stdatomic.h>

struct CabStore {
  int dirfd;  /* set at creation */
  int lockfd; /* set at creation */

  /* set before the first object */
  guint64 written_step;
  void (*written_func) (gpointer data);
  gpointer written_data;

  atomic_ullong written; /* bytes, ever */
  atomic_ullong reserved;
  atomic_bool full;
  atomic_bool is_short;
};

/* Paths below the store's directory: "20170507T135343Z/<id>.cab" and ".map". */
char *cab_store_data_path (const CabObjectKey *key);
char *cab_store_map_path (const CabObjectKey *key);

/* Reads and parses the map @path of CAB @id: INVALID if it is damaged or another's, NOT_FOUND if there is none. */
gboolean cab_store_load_map (CabStore *self, const char *path, const char *id, CabMap *map, GError **error);

/* TRUE if @map speaks of the file @fd and that file has all it promises.  @map->written_since tells whether somebody
 * wrote into it though all was here: then it has still to be compared with the sums. */
gboolean cab_map_belongs (CabMap *map, int fd);

#endif
