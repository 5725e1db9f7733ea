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
  atomic_bool broken; /* the last try to make or write a file failed, and not for want of room */

  /* of the count under way, and of the last one */
  atomic_ullong marked_written, marked_made;
  atomic_ullong base_bytes, base_files; /* to which `written` and `made` are added; they wrap around */
  atomic_ullong made;                   /* files, ever */
  atomic_bool counted;
};

/* Notes whether a try to make or write a file went well. */
void cab_store_note (CabStore *self, gboolean broken);

/* Paths below the store's directory: "20170507T135343Z/<id>.cab" and ".map". */
char *cab_store_data_path (const CabObjectKey *key);
char *cab_store_map_path (const CabObjectKey *key);

/* Reads and parses the map @path of CAB @id: INVALID if it is damaged or another's, NOT_FOUND if there is none. */
gboolean cab_store_load_map (CabStore *self, const char *path, const char *id, CabMap *map, GError **error);

/* TRUE if @map speaks of the file @fd and that file has all it promises. */
gboolean cab_map_belongs (const CabMap *map, int fd);

#endif
