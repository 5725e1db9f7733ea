/* listing-private.h - what listing.c (the table, and questions of it), listingflight.c (questions to the services, and
 * who waits for their answers) and listingdisk.c (the files) share.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CACHE_LISTING_PRIVATE_H
#define CABFS_CACHE_LISTING_PRIVATE_H

#include "cache/listing.h"
#include "client/sync.h"

typedef struct {
  CabListingDone done;
  gpointer data;
  gint64 since_us;
  guint wanted;       /* the entry's, when it was queued */
  CabListing instead; /* of one that has waited for too long: what it is given, if there is a list; owned */
} CabListWaiter;

typedef struct {
  CabListings *owner; /* set at creation */
  CabScope *scope;    /* set at creation */

  /* owner's lock */
  CabRecords *records;
  char *digest; /* of the records without their addresses: tells whether a new list is another one */
  guint64 version;
  gint64 fetched_s; /* wall clock, because it outlives the process */
  gboolean stale;
  gboolean loaded;  /* the disk was looked at */
  gboolean brought; /* the services gave a list since the process began: it has what addresses there are */
  gboolean in_flight;
  /* Each time the list is expired, another answer of the services is wanted than those that were begun before.  An
   * entry is expired as long as what was wanted last was not given, or given up. */
  guint wanted;
  guint given;
  guint flight; /* what is in flight will be that */
  gint64 progress_us;
  gint64 not_before_us;
  GError *failed;  /* why there is no list, or no younger one; none is asked for before not_before_us */
  gint64 failed_s; /* wall clock */
  GQueue waiters;  /* of CabListWaiter, owned; each is answered once */
} CabListEntry;

struct CabListings {
  CabListingsOptions options; /* set at creation */
  pthread_mutex_t lock;
  GHashTable *entries; /* lock: CabScope to CabListEntry; an entry stays until the end */
  guint64 versions;    /* lock: the last one given out */
  gboolean scanned;    /* lock: all that is on disk has an entry */
  gint64 expired_s;    /* lock: lists on disk that are not younger are expired; wall clock, as those are */
};

static inline gint64 cab_listing_now_s (void) {
  return g_get_real_time () / G_USEC_PER_SEC;
}

static inline gboolean cab_listing_is_expired_locked (const CabListEntry *entry) {
  return entry->given != entry->wanted;
}

/* What is given out of an entry that has records; with a reference of them. */
static inline CabListing cab_listing_show_locked (const CabListEntry *entry) {
  return (CabListing){cab_records_ref (entry->records), entry->stale, cab_listing_is_expired_locked (entry),
                      entry->version};
}

/* --- listingflight.c ---------------------------------------------------------------------------------------- */

/* TRUE if the caller has to call cab_listing_start() once it has let the lock go. */
gboolean cab_listing_may_start_locked (CabListEntry *entry);

/* Asks the services; all who wait are answered when they have. */
void cab_listing_start (CabListEntry *entry);

/* --- listingdisk.c ------------------------------------------------------------------------------------------ */

/* Writes what the services gave, soon.  Takes @bytes over. */
void cab_listing_save (const CabListEntry *entry, GBytes *bytes);

/* Makes sure that the disk was looked at, without a lock while it is read: two threads may both read it. */
void cab_listing_load (CabListEntry *entry);

#endif
