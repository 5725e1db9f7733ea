/* listing.c - the table of lists, and what is asked of it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cache/listing-private.h"
#include "cache/listingscan.h"
#include "client/error.h"

static void entry_free (gpointer data) {
  CabListEntry *entry = data;
  g_assert (g_queue_is_empty (&entry->waiters));
  g_clear_pointer (&entry->records, cab_records_unref);
  g_clear_error (&entry->failed);
  g_free (entry->digest);
  cab_scope_free (entry->scope);
  g_free (entry);
}

CabListings *cab_listings_new (const CabListingsOptions *options) {
  CabListings *self = g_new0 (CabListings, 1);
  self->options = *options;
  pthread_mutex_init (&self->lock, NULL);
  self->entries = g_hash_table_new_full (cab_scope_hash, cab_scope_equal, NULL, entry_free);
  return self;
}

void cab_listings_change (CabListings *self, gint64 ttl_s, guint timeout_ms) {
  atomic_store (&self->options.ttl_s, ttl_s);
  atomic_store (&self->options.timeout_ms, timeout_ms);
}

void cab_listings_free (CabListings *self) {
  if (self == NULL)
    return;
  g_hash_table_unref (self->entries);
  pthread_mutex_destroy (&self->lock);
  g_free (self);
}

/* --- questions ---------------------------------------------------------------------------------------------- */

static CabListEntry *entry_get (CabListings *self, const CabScope *scope) {
  CAB_LOCK_SCOPE (&self->lock);
  CabListEntry *entry = g_hash_table_lookup (self->entries, scope);
  if (entry == NULL) {
    entry = g_new0 (CabListEntry, 1);
    entry->owner = self;
    entry->scope = cab_scope_copy (scope);
    g_queue_init (&entry->waiters);
    g_hash_table_insert (self->entries, entry->scope, entry);
  }
  return entry;
}

/* A clock that was set back makes a list old, not eternal. */
static gboolean is_old_locked (const CabListEntry *entry) {
  gint64 age = cab_listing_now_s () - entry->fetched_s;
  return entry->stale || age < 0 || age >= entry->owner->options.ttl_s;
}

/* TRUE if a list that there is should be asked for again, and the caller has to call cab_listing_start(). */
static gboolean refresh_is_due_locked (CabListEntry *entry, CabReach reach) {
  return reach == CAB_REACH_NETWORK && is_old_locked (entry) &&
         g_get_monotonic_time () >= entry->not_before_us && cab_listing_may_start_locked (entry);
}

typedef struct {
  CabListing listing; /* records NULL: none */
  GError *error;
  gboolean start;
} Answer;

/* What can be said at once; neither records nor error: @waiter was queued. */
static Answer decide_locked (CabListEntry *entry, CabReach reach, const CabListWaiter *waiter) {
  Answer answer = {0};
  gboolean paused = g_get_monotonic_time () < entry->not_before_us;
  gboolean wait = reach == CAB_REACH_NETWORK && cab_listing_is_expired_locked (entry);
  if (entry->records != NULL && !wait) {
    answer.start = refresh_is_due_locked (entry, reach);
    answer.listing = cab_listing_show_locked (entry);
  } else if (reach == CAB_REACH_LOCAL) {
    answer.error = g_error_new (CAB_ERROR, CAB_ERROR_DENIED, "not known without asking the services");
  } else if (paused && !entry->in_flight && !wait) {
    answer.error = g_error_copy (entry->failed);
  } else {
    g_queue_push_tail (&entry->waiters, g_memdup2 (waiter, sizeof *waiter));
    answer.start = cab_listing_may_start_locked (entry);
  }
  return answer;
}

void cab_listings_get (CabListings *self, const CabScope *scope, CabReach reach, CabListingDone done,
                       gpointer data) {
  CabListEntry *entry = entry_get (self, scope);
  cab_listing_load (entry);
  CabListWaiter waiter = {.done = done, .data = data, .since_us = g_get_monotonic_time ()};
  Answer answer;
  {
    CAB_LOCK_SCOPE (&self->lock);
    waiter.wanted = entry->wanted;
    answer = decide_locked (entry, reach, &waiter);
  }
  if (answer.start)
    cab_listing_start (entry);
  if (answer.listing.records != NULL || answer.error != NULL)
    done (data, answer.error == NULL ? &answer.listing : NULL, answer.error);
  g_clear_pointer (&answer.listing.records, cab_records_unref);
  g_clear_error (&answer.error);
}

gboolean cab_listings_peek (CabListings *self, const CabScope *scope, CabReach reach, CabListing *listing) {
  CabListEntry *entry;
  gboolean ours;
  {
    CAB_LOCK_SCOPE (&self->lock);
    entry = g_hash_table_lookup (self->entries, scope);
    if (entry == NULL || entry->records == NULL ||
        (reach == CAB_REACH_NETWORK && cab_listing_is_expired_locked (entry)))
      return FALSE;
    *listing = cab_listing_show_locked (entry);
    ours = refresh_is_due_locked (entry, reach);
  }
  if (ours)
    cab_listing_start (entry);
  return TRUE;
}

gboolean cab_listings_refresh (CabListings *self, const CabScope *scope) {
  if (!cab_client_lists_addresses (scope))
    return FALSE;
  CabListEntry *entry = entry_get (self, scope);
  gboolean ours = FALSE, coming;
  {
    CAB_LOCK_SCOPE (&self->lock);
    if (!entry->brought && g_get_monotonic_time () >= entry->not_before_us)
      ours = cab_listing_may_start_locked (entry);
    coming = !entry->brought && entry->in_flight;
  }
  if (ours)
    cab_listing_start (entry);
  return coming;
}

/* --- all of them -------------------------------------------------------------------------------------------- */

static void load_scope (gpointer data, const CabScope *scope) {
  CabListings *self = data;
  cab_listing_load (entry_get (self, scope));
}

static void load_all (CabListings *self) {
  {
    CAB_LOCK_SCOPE (&self->lock);
    if (self->scanned)
      return;
  }
  /* Whoever comes meanwhile looks for himself: he has to see all too, and what two find is the same. */
  cab_listing_scan (self->options.store, load_scope, self);
  CAB_LOCK_SCOPE (&self->lock);
  self->scanned = TRUE;
}

void cab_listings_each (CabListings *self, CabEachList func, gpointer data) {
  load_all (self);
  g_autoptr (GPtrArray) scopes =
      g_ptr_array_new (); /* entries stay until the end, and with them their scopes */
  g_autoptr (GPtrArray) lists = g_ptr_array_new_with_free_func ((GDestroyNotify) cab_records_unref);
  {
    CAB_LOCK_SCOPE (&self->lock);
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init (&iter, self->entries);
    while (g_hash_table_iter_next (&iter, NULL, &value)) {
      const CabListEntry *entry = value;
      if (entry->records == NULL || entry->scope->application == NULL)
        continue;
      g_ptr_array_add (scopes, entry->scope);
      g_ptr_array_add (lists, cab_records_ref (entry->records));
    }
  }
  for (guint i = 0; i < scopes->len; i++)
    func (data, g_ptr_array_index (scopes, i), g_ptr_array_index (lists, i));
}

guint64 cab_listings_version (CabListings *self) {
  CAB_LOCK_SCOPE (&self->lock);
  return self->versions;
}

GError *cab_listings_failure (CabListings *self, const CabScope *scope, gint64 *when) {
  CAB_LOCK_SCOPE (&self->lock);
  const CabListEntry *entry = g_hash_table_lookup (self->entries, scope);
  if (entry == NULL || entry->failed == NULL)
    return NULL;
  *when = entry->failed_s;
  return g_error_copy (entry->failed);
}

/* --- expiry ------------------------------------------------------------------------------------------------- */

/* Without a list to show, what failed may be asked for at once; what is in flight will bring a later answer. */
static void expire_locked (CabListEntry *entry) {
  if (!cab_listing_is_expired_locked (entry) || entry->in_flight)
    entry->wanted++;
  entry->not_before_us = 0;
}

void cab_listings_expire (CabListings *self, const CabScope *scope) {
  CabListEntry *entry = entry_get (self, scope);
  CAB_LOCK_SCOPE (&self->lock);
  expire_locked (entry);
}

void cab_listings_expire_all (CabListings *self) {
  CAB_LOCK_SCOPE (&self->lock);
  self->expired_s = cab_listing_now_s ();
  GHashTableIter iter;
  gpointer entry;
  g_hash_table_iter_init (&iter, self->entries);
  while (g_hash_table_iter_next (&iter, NULL, &entry))
    expire_locked (entry);
}
