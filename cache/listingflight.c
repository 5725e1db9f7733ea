/* listingflight.c - one question to the services at a time for each list; those who wait for its answer, and for how
 * long.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cache/listing-private.h"
#include "client/error.h"

/* A failed question is not asked again before that: a walk must not turn into a storm. */
#define FAILED_PAUSE_US (1 * G_USEC_PER_SEC)
/* Behind an old list nobody waits, so there is less hurry. */
#define STALE_PAUSE_US (5 * G_USEC_PER_SEC)

/* --- answers ------------------------------------------------------------------------------------------------ */

/* Answers all of @waiters and frees them.  No lock is held: they answer the kernel, which may come straight back. */
static void answer_all (GQueue *waiters, const CabListing *listing, const GError *error) {
  for (CabListWaiter *waiter = g_queue_pop_head (waiters); waiter != NULL;
       waiter = g_queue_pop_head (waiters)) {
    waiter->done (waiter->data, listing, error);
    g_free (waiter);
  }
}

/* Those who wait for what has come, or for less. */
static void steal_waiters_locked (CabListEntry *entry, GQueue *into) {
  GQueue all = entry->waiters;
  g_queue_init (&entry->waiters);
  for (CabListWaiter *waiter = g_queue_pop_head (&all); waiter != NULL; waiter = g_queue_pop_head (&all))
    g_queue_push_tail (waiter->wanted > entry->flight ? &entry->waiters : into, waiter);
}

/* --- the flight --------------------------------------------------------------------------------------------- */

static void on_progress (gpointer data) {
  CabListEntry *entry = data;
  CAB_LOCK_SCOPE (&entry->owner->lock);
  entry->progress_us = g_get_monotonic_time ();
}

gboolean cab_listing_may_start_locked (CabListEntry *entry) {
  if (entry->in_flight)
    return FALSE;
  entry->in_flight = TRUE;
  entry->flight = entry->wanted;
  entry->progress_us = g_get_monotonic_time ();
  return TRUE;
}

/* What was in flight is here, or will never be.  TRUE if somebody waits for a later answer, and the caller has to
 * call cab_listing_start(). */
static gboolean land_locked (CabListEntry *entry, GQueue *answered) {
  entry->in_flight = FALSE;
  entry->given = MAX (entry->given, entry->flight);
  steal_waiters_locked (entry, answered);
  return !g_queue_is_empty (&entry->waiters) && cab_listing_may_start_locked (entry);
}

static void on_list (CabListEntry *entry, CabRecords *records) {
  CabListings *self = entry->owner;
  g_autoptr (GBytes) bytes = cab_records_save (records);
  g_autofree char *digest = g_compute_checksum_for_bytes (G_CHECKSUM_SHA256, bytes);
  self->options.changed (self->options.changed_data, entry->scope, records);
  cab_listing_save (entry, g_steal_pointer (&bytes));
  GQueue waiters = G_QUEUE_INIT;
  CabListing listing;
  gboolean again;
  g_autoptr (CabRecords) old = NULL;
  {
    CAB_LOCK_SCOPE (&self->lock);
    old = entry->records;
    entry->records = cab_records_ref (records);
    if (old == NULL || g_strcmp0 (entry->digest, digest) != 0)
      entry->version = ++self->versions;
    g_free (entry->digest);
    entry->digest = g_steal_pointer (&digest);
    entry->fetched_s = cab_listing_now_s ();
    entry->stale = FALSE;
    entry->brought = TRUE;
    entry->not_before_us = 0;
    g_clear_error (&entry->failed);
    again = land_locked (entry, &waiters);
    listing = cab_listing_show_locked (entry);
  }
  if (again)
    cab_listing_start (entry);
  answer_all (&waiters, &listing, NULL);
  cab_records_unref (listing.records);
}

static void note_failure_locked (CabListEntry *entry, const GError *error) {
  g_clear_error (&entry->failed);
  entry->failed = g_error_copy (error);
  entry->failed_s = cab_listing_now_s ();
}

static void on_failure (CabListEntry *entry, const GError *error) {
  CabListings *self = entry->owner;
  g_autofree char *scope = cab_scope_to_text (entry->scope);
  GQueue waiters = G_QUEUE_INIT;
  gboolean again;
  CabListing listing = {0};
  {
    CAB_LOCK_SCOPE (&self->lock);
    entry->stale = entry->records != NULL;
    entry->not_before_us = g_get_monotonic_time () + (entry->stale ? STALE_PAUSE_US : FAILED_PAUSE_US);
    note_failure_locked (entry, error);
    again = land_locked (entry, &waiters);
    if (entry->stale)
      listing = cab_listing_show_locked (entry);
  }
  if (again)
    cab_listing_start (entry);
  if (listing.records != NULL && !g_error_matches (error, CAB_ERROR, CAB_ERROR_CANCELLED))
    g_warning ("list %s: %s; the last good list is shown", scope, error->message);
  answer_all (&waiters, listing.records != NULL ? &listing : NULL, listing.records != NULL ? NULL : error);
  g_clear_pointer (&listing.records, cab_records_unref);
}

static void on_done (gpointer data, CabRecords *records, const GError *error) {
  if (error == NULL)
    on_list (data, records);
  else
    on_failure (data, error);
}

void cab_listing_start (CabListEntry *entry) {
  static const CabListSink sink = {on_progress, on_done};
  cab_client_list (entry->owner->options.client, entry->scope, &sink, entry);
}

/* --- deadlines ---------------------------------------------------------------------------------------------- */

/* Moves those of @entry who have waited for too long to @late.  Who waits for a new list is given the old one, and so
 * are the next, until the services answer. */
static void give_up_locked (CabListEntry *entry, gint64 now_us, const GError *error, GQueue *late) {
  gint64 timeout_us = (gint64) entry->owner->options.timeout_ms * 1000;
  for (GList *link = entry->waiters.head, *next; link != NULL; link = next) {
    CabListWaiter *waiter = link->data;
    next = link->next;
    if (now_us - MAX (waiter->since_us, entry->progress_us) < timeout_us)
      continue;
    if (entry->records != NULL) {
      entry->stale = TRUE;
      entry->given = entry->wanted;
      note_failure_locked (entry, error);
      waiter->instead = cab_listing_show_locked (entry);
    }
    g_queue_unlink (&entry->waiters, link);
    g_queue_push_tail_link (late, link);
  }
}

void cab_listings_tick (CabListings *self, gint64 now_us) {
  g_autoptr (GError) error = g_error_new (CAB_ERROR, CAB_ERROR_TIMEOUT, "no answer from the services for %u s",
                                          self->options.timeout_ms / 1000);
  GQueue late = G_QUEUE_INIT;
  {
    CAB_LOCK_SCOPE (&self->lock);
    GHashTableIter iter;
    gpointer entry;
    g_hash_table_iter_init (&iter, self->entries);
    while (g_hash_table_iter_next (&iter, NULL, &entry))
      give_up_locked (entry, now_us, error, &late);
  }
  for (CabListWaiter *waiter = g_queue_pop_head (&late); waiter != NULL; waiter = g_queue_pop_head (&late)) {
    gboolean instead = waiter->instead.records != NULL;
    waiter->done (waiter->data, instead ? &waiter->instead : NULL, instead ? NULL : error);
    g_clear_pointer (&waiter->instead.records, cab_records_unref);
    g_free (waiter);
  }
}
