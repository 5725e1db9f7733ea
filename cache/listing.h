/* listing.h - the lists of the services: kept in memory and on disk, asked for once however many want them.
 *
 * A list lives as long as the table.  One that is past its time to live is handed out all the same while it is asked
 * for again (one request in flight for each scope); when that fails, it stays, marked stale.  One that was expired is
 * not handed out before the services were asked once more; when they do not answer, it is.  On disk it lies in
 * CACHE-DIR/listings/FAMILY/APPLICATION/, for a quick start and for work without a network.
 *
 * listing.c is the table and what is asked of it, listingflight.c asks the services and answers those who wait,
 * listingdisk.c is the files, listingscan.c finds them.
 *
 * Threads and callbacks: as cache.h.  The client must be stopped before the table is freed.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CACHE_LISTING_H
#define CABFS_CACHE_LISTING_H

#include <stdatomic.h>

#include "cache/cache.h"
#include "cache/pool.h"
#include "cache/store.h"

typedef struct CabListings CabListings;

typedef struct {
  CabStore *store; /* these outlive the table */
  CabPool *pool;
  CabClient *client;
  atomic_llong ttl_s;
  atomic_uint timeout_ms;
  /* A scope has a new list: runs before anybody is given it, with no lock held. */
  void (*changed) (gpointer data, const CabScope *scope, CabRecords *records);
  gpointer changed_data;
} CabListingsOptions;

CabListings *cab_listings_new (const CabListingsOptions *options);
/* From now on; any thread. */
void cab_listings_change (CabListings *self, gint64 ttl_s, guint timeout_ms);

void cab_listings_free (CabListings *self);

/* As cab_cache_list() and cab_cache_peek_list(). */
void cab_listings_get (CabListings *self, const CabScope *scope, CabReach reach, CabListingDone done,
                       gpointer data);
gboolean cab_listings_peek (CabListings *self, const CabScope *scope, CabReach reach, CabListing *listing);

/* As cab_cache_each_list() and cab_cache_lists_version(). */
void cab_listings_each (CabListings *self, CabEachList func, gpointer data);
guint64 cab_listings_version (CabListings *self);

/* As cab_cache_list_failure(). */
GError *cab_listings_failure (CabListings *self, const CabScope *scope, gint64 *when);

/* As cab_cache_expire_list(). */
void cab_listings_expire (CabListings *self, const CabScope *scope);
void cab_listings_expire_all (CabListings *self);

/* Asks for the list again behind the scenes, whatever its age, because its addresses are wanted: unless another one
 * would have none either, since the services gave this one as it is.  TRUE if such a list is on its way. */
gboolean cab_listings_refresh (CabListings *self, const CabScope *scope);

/* Ends the waits that have been without progress for too long.  @now_us: monotonic. */
void cab_listings_tick (CabListings *self, gint64 now_us);

/* "listings/driver/13984104677400476/1fd83f6d-….cabs": where @scope's files lie, with @suffix; of a list of products
 * "listings/store/.products". */
char *cab_listings_path (const CabScope *scope, const char *suffix);

#endif
