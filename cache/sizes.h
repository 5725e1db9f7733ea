/* sizes.h - what is known of each CAB's length: remembered on disk, asked for by HEAD, ahead of who walks down a list.
 *
 * A walk begins with the second of two CABs near each other, in order, whose sizes are asked for.  From then on HEADs
 * are sent ahead of it, in a window that doubles while it lasts and ends at CAB_SIZES_AHEAD times the connections:
 * enough to keep all of them busy while the answer that the walker waits for is late, or has to be asked for again.
 *
 * No list of the services tells a size (api-contract.md 4.2).  A table belongs to each scope and follows its newest
 * list; a size, once learnt, is kept in CACHE-DIR/listings/…/HASH.sizes as lines of "id size md5 check".
 *
 * Threads and callbacks: as cache.h.  The client must be stopped before the tables are freed.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CACHE_SIZES_H
#define CABFS_CACHE_SIZES_H

#include <stdatomic.h>

#include "cache/cache.h"
#include "cache/pool.h"
#include "cache/store.h"

typedef struct CabSizes CabSizes;

#define CAB_SIZES_AHEAD 4

typedef struct {
  CabStore *store; /* these outlive the tables */
  CabPool *pool;
  CabClient *client;
  guint connections; /* HEADs at a time */
  atomic_uint timeout_ms;
} CabSizesOptions;

CabSizes *cab_sizes_new (const CabSizesOptions *options);
/* From now on; any thread. */
void cab_sizes_change (CabSizes *self, guint timeout_ms);

void cab_sizes_free (CabSizes *self);

/* @scope has a new list: known sizes move over to it, those on disk are loaded the first time.  A list of failures is
 * ignored. */
void cab_sizes_follow (CabSizes *self, const CabScope *scope, CabRecords *records);

/* As cab_cache_peek_size().  @md5 (33 bytes, or NULL) becomes "" if that is not known. */
gboolean cab_sizes_peek (CabSizes *self, const CabScope *scope, const char *id, CabLook look, guint64 *size,
                         char *md5);

/* Remembers what a host said. */
void cab_sizes_learn (CabSizes *self, const CabScope *scope, const char *id, const CabFacts *facts);

/* As cab_cache_size().  @ahead FALSE: a list with addresses is on its way, until when HEADs for others would each need a
 * question for an address. */
void cab_sizes_get (CabSizes *self, const CabScope *scope, const CabRecord *record, CabReach reach,
                    gboolean ahead, CabSizeDone done, gpointer data);

/* Ends the waits that have been without progress for too long.  @now_us: monotonic. */
void cab_sizes_tick (CabSizes *self, gint64 now_us);

#endif
