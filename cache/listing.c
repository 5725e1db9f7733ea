/* SPDX-License-Identifier: MIT */
#include "cache/listing.h"

#include "cache/files.h"
#include "cache/listingscan.h"
#include "client/error.h"
#include "client/metrics.h"
#include "client/sync.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define LISTING_LIMIT ((gsize) 2 << 30)

/* A failed question is not asked again before that: a walk must not turn into a storm. */
#define FAILED_PAUSE_US (1 * G_USEC_PER_SEC)
/* Behind an old list nobody waits, so there is less hurry. */
#define STALE_PAUSE_US (5 * G_USEC_PER_SEC)

typedef struct {
  CabListingDone done;
  gpointer data;
  gint64 since_us;
  guint wanted;       /* the entry's, when it was queued */
  CabListing instead; /* of one that has waited for too long: what it is given, if there is a list; owned */
} Waiter;

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
  GQueue waiters;  /* of Waiter, owned; each is answered once */
} Entry;

struct CabListings {
  CabListingsOptions options; /* set at creation */
  pthread_mutex_t lock;
  GHashTable *entries; /* lock: CabScope to Entry; an entry stays until the end */
  guint64 versions;    /* lock: the last one given out */
  gboolean scanned;    /* lock: all that is on disk has an entry */
  gint64 expired_s;    /* lock: lists on disk that are not younger are expired; wall clock, as those are */
};

static void entry_free (gpointer data) {
  Entry *entry = data;
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

/* No application is called ".products": ids do not begin with a dot. */
char *cab_listings_path (const CabScope *scope, const char *suffix) {
  if (scope->application == NULL)
    return g_strconcat ("listings/", scope->family, "/.products", suffix, NULL);
  return g_strconcat ("listings/", scope->family, "/", scope->application, "/",
                      scope->failure != NULL ? scope->failure : "failures", suffix, NULL);
}

/* The suffix keeps a failure whose hash is "failures" apart from the list of all failures. */
static char *list_path (const CabScope *scope) {
  const char *suffix = scope->failure != NULL ? ".cabs" : scope->application != NULL ? ".hits" : "";
  return cab_listings_path (scope, suffix);
}

static gint64 now_s (void) {
  return g_get_real_time () / G_USEC_PER_SEC;
}

static gboolean is_expired_locked (const Entry *entry) {
  return entry->given != entry->wanted;
}

static CabListing listing_locked (const Entry *entry) {
  return (CabListing){cab_records_ref (entry->records), entry->stale, is_expired_locked (entry),
                      entry->version};
}

/* --- answers ------------------------------------------------------------------------------------------------ */

/* Answers all of @waiters and frees them.  No lock is held: they answer the kernel, which may come straight back. */
static void answer_all (GQueue *waiters, const CabListing *listing, const GError *error) {
  for (Waiter *waiter = g_queue_pop_head (waiters); waiter != NULL; waiter = g_queue_pop_head (waiters)) {
    waiter->done (waiter->data, listing, error);
    g_free (waiter);
  }
}

/* Those who wait for what has come, or for less. */
static void steal_waiters_locked (Entry *entry, GQueue *into) {
  GQueue all = entry->waiters;
  g_queue_init (&entry->waiters);
  for (Waiter *waiter = g_queue_pop_head (&all); waiter != NULL; waiter = g_queue_pop_head (&all))
    g_queue_push_tail (waiter->wanted > entry->flight ? &entry->waiters : into, waiter);
}

/* --- disk --------------------------------------------------------------------------------------------------- */

typedef struct {
  CabStore *store;
  char *path;
  GBytes *bytes;
} SaveJob;

static void save_work (gpointer data) {
  SaveJob *job = data;
  g_autoptr (GError) error = NULL;
  g_autofree char *dir = g_path_get_dirname (job->path);
  g_auto (CabFd) dirfd = cab_dir_make (cab_store_dirfd (job->store), dir, &error);
  gsize len;
  const void *bytes = g_bytes_get_data (job->bytes, &len);
  if (dirfd < 0 || !cab_file_replace (cab_store_dirfd (job->store), job->path, bytes, len, &error))
    cab_store_tell_unusable (job->store, error);
  else
    cab_store_note (job->store, FALSE);
  g_bytes_unref (job->bytes);
  g_free (job->path);
  g_free (job);
}

/* Takes @bytes over. */
static void save (CabListings *self, const Entry *entry, GBytes *bytes) {
  SaveJob *job = g_new (SaveJob, 1);
  *job = (SaveJob){self->options.store, list_path (entry->scope), bytes};
  cab_pool_push (self->options.pool, save_work, job);
}

static void tell_damaged (const char *path, const GError *error) {
  g_warning ("cache: %s is not used: %s", path, error->message);
  cab_metric_add (CAB_METRIC_CACHE_DAMAGED, 1);
}

/* The list as the last mount left it, or NULL; @fetched_s is when the services gave it. */
static CabRecords *load (CabListings *self, const CabScope *scope, gint64 *fetched_s) {
  int dirfd = cab_store_dirfd (self->options.store);
  g_autofree char *path = list_path (scope);
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = cab_file_read (dirfd, path, LISTING_LIMIT, &error);
  g_autoptr (CabRecords) records = bytes == NULL ? NULL : cab_records_load (bytes, &error);
  if (records == NULL && !g_error_matches (error, CAB_ERROR, CAB_ERROR_NOT_FOUND))
    tell_damaged (path, error);
  struct stat st;
  *fetched_s = fstatat (dirfd, path, &st, 0) == 0 ? (gint64) st.st_mtim.tv_sec : 0;
  return g_steal_pointer (&records);
}

/* Makes sure that the disk was looked at, without a lock while it is read: two threads may both read it. */
static void load_once (CabListings *self, Entry *entry) {
  {
    CAB_LOCK_SCOPE (&self->lock);
    if (entry->loaded)
      return;
  }
  gint64 fetched_s;
  g_autoptr (CabRecords) records = load (self, entry->scope, &fetched_s);
  if (records != NULL)
    self->options.changed (self->options.changed_data, entry->scope, records);
  CAB_LOCK_SCOPE (&self->lock);
  if (!entry->loaded && entry->records == NULL && records != NULL) {
    entry->records = g_steal_pointer (&records);
    entry->fetched_s = fetched_s;
    entry->version = ++self->versions;
    if (!is_expired_locked (entry) && fetched_s <= self->expired_s)
      entry->wanted++;
  }
  entry->loaded = TRUE;
}

/* --- the flight --------------------------------------------------------------------------------------------- */

static void on_progress (gpointer data) {
  Entry *entry = data;
  CAB_LOCK_SCOPE (&entry->owner->lock);
  entry->progress_us = g_get_monotonic_time ();
}

/* TRUE if the caller has to call start() once it has let the lock go. */
static gboolean may_start_locked (Entry *entry) {
  if (entry->in_flight)
    return FALSE;
  entry->in_flight = TRUE;
  entry->flight = entry->wanted;
  entry->progress_us = g_get_monotonic_time ();
  return TRUE;
}

/* What was in flight is here, or will never be.  TRUE if somebody waits for a later answer, which the caller has to
 * start(). */
static gboolean land_locked (Entry *entry, GQueue *answered) {
  entry->in_flight = FALSE;
  entry->given = MAX (entry->given, entry->flight);
  steal_waiters_locked (entry, answered);
  return !g_queue_is_empty (&entry->waiters) && may_start_locked (entry);
}

static void start (Entry *entry);

static void on_list (Entry *entry, CabRecords *records) {
  CabListings *self = entry->owner;
  g_autoptr (GBytes) bytes = cab_records_save (records);
  g_autofree char *digest = g_compute_checksum_for_bytes (G_CHECKSUM_SHA256, bytes);
  self->options.changed (self->options.changed_data, entry->scope, records);
  save (self, entry, g_steal_pointer (&bytes));
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
    entry->fetched_s = now_s ();
    entry->stale = FALSE;
    entry->brought = TRUE;
    entry->not_before_us = 0;
    g_clear_error (&entry->failed);
    again = land_locked (entry, &waiters);
    listing = listing_locked (entry);
  }
  if (again)
    start (entry);
  answer_all (&waiters, &listing, NULL);
  cab_records_unref (listing.records);
}

static void note_failure_locked (Entry *entry, const GError *error) {
  g_clear_error (&entry->failed);
  entry->failed = g_error_copy (error);
  entry->failed_s = now_s ();
}

static void on_failure (Entry *entry, const GError *error) {
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
      listing = listing_locked (entry);
  }
  if (again)
    start (entry);
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

static void start (Entry *entry) {
  static const CabListSink sink = {on_progress, on_done};
  cab_client_list (entry->owner->options.client, entry->scope, &sink, entry);
}

/* --- questions ---------------------------------------------------------------------------------------------- */

static Entry *entry_get (CabListings *self, const CabScope *scope) {
  CAB_LOCK_SCOPE (&self->lock);
  Entry *entry = g_hash_table_lookup (self->entries, scope);
  if (entry == NULL) {
    entry = g_new0 (Entry, 1);
    entry->owner = self;
    entry->scope = cab_scope_copy (scope);
    g_queue_init (&entry->waiters);
    g_hash_table_insert (self->entries, entry->scope, entry);
  }
  return entry;
}

/* A clock that was set back makes a list old, not eternal. */
static gboolean is_old_locked (const Entry *entry) {
  gint64 age = now_s () - entry->fetched_s;
  return entry->stale || age < 0 || age >= entry->owner->options.ttl_s;
}

/* TRUE if a list that there is should be asked for again, and the caller has to start() that. */
static gboolean refresh_is_due_locked (Entry *entry, CabReach reach) {
  return reach == CAB_REACH_NETWORK && is_old_locked (entry) &&
         g_get_monotonic_time () >= entry->not_before_us && may_start_locked (entry);
}

typedef struct {
  CabListing listing; /* records NULL: none */
  GError *error;
  gboolean start;
} Answer;

/* What can be said at once; neither records nor error: @waiter was queued. */
static Answer decide_locked (Entry *entry, CabReach reach, const Waiter *waiter) {
  Answer answer = {0};
  gboolean paused = g_get_monotonic_time () < entry->not_before_us;
  gboolean wait = reach == CAB_REACH_NETWORK && is_expired_locked (entry);
  if (entry->records != NULL && !wait) {
    answer.start = refresh_is_due_locked (entry, reach);
    answer.listing = listing_locked (entry);
  } else if (reach == CAB_REACH_LOCAL) {
    answer.error = g_error_new (CAB_ERROR, CAB_ERROR_DENIED, "not known without asking the services");
  } else if (paused && !entry->in_flight && !wait) {
    answer.error = g_error_copy (entry->failed);
  } else {
    g_queue_push_tail (&entry->waiters, g_memdup2 (waiter, sizeof *waiter));
    answer.start = may_start_locked (entry);
  }
  return answer;
}

void cab_listings_get (CabListings *self, const CabScope *scope, CabReach reach, CabListingDone done,
                       gpointer data) {
  Entry *entry = entry_get (self, scope);
  load_once (self, entry);
  Waiter waiter = {.done = done, .data = data, .since_us = g_get_monotonic_time ()};
  Answer answer;
  {
    CAB_LOCK_SCOPE (&self->lock);
    waiter.wanted = entry->wanted;
    answer = decide_locked (entry, reach, &waiter);
  }
  if (answer.start)
    start (entry);
  if (answer.listing.records != NULL || answer.error != NULL)
    done (data, answer.error == NULL ? &answer.listing : NULL, answer.error);
  g_clear_pointer (&answer.listing.records, cab_records_unref);
  g_clear_error (&answer.error);
}

gboolean cab_listings_peek (CabListings *self, const CabScope *scope, CabReach reach, CabListing *listing) {
  Entry *entry;
  gboolean ours;
  {
    CAB_LOCK_SCOPE (&self->lock);
    entry = g_hash_table_lookup (self->entries, scope);
    if (entry == NULL || entry->records == NULL || (reach == CAB_REACH_NETWORK && is_expired_locked (entry)))
      return FALSE;
    *listing = listing_locked (entry);
    ours = refresh_is_due_locked (entry, reach);
  }
  if (ours)
    start (entry);
  return TRUE;
}

gboolean cab_listings_refresh (CabListings *self, const CabScope *scope) {
  if (!cab_client_lists_addresses (scope))
    return FALSE;
  Entry *entry = entry_get (self, scope);
  gboolean ours = FALSE, coming;
  {
    CAB_LOCK_SCOPE (&self->lock);
    if (!entry->brought && g_get_monotonic_time () >= entry->not_before_us)
      ours = may_start_locked (entry);
    coming = !entry->brought && entry->in_flight;
  }
  if (ours)
    start (entry);
  return coming;
}

/* --- all of them -------------------------------------------------------------------------------------------- */

static void load_scope (gpointer data, const CabScope *scope) {
  CabListings *self = data;
  load_once (self, entry_get (self, scope));
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
      const Entry *entry = value;
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
  const Entry *entry = g_hash_table_lookup (self->entries, scope);
  if (entry == NULL || entry->failed == NULL)
    return NULL;
  *when = entry->failed_s;
  return g_error_copy (entry->failed);
}

/* Without a list to show, what failed may be asked for at once; what is in flight will bring a later answer. */
static void expire_locked (Entry *entry) {
  if (!is_expired_locked (entry) || entry->in_flight)
    entry->wanted++;
  entry->not_before_us = 0;
}

void cab_listings_expire (CabListings *self, const CabScope *scope) {
  Entry *entry = entry_get (self, scope);
  CAB_LOCK_SCOPE (&self->lock);
  expire_locked (entry);
}

void cab_listings_expire_all (CabListings *self) {
  CAB_LOCK_SCOPE (&self->lock);
  self->expired_s = now_s ();
  GHashTableIter iter;
  gpointer entry;
  g_hash_table_iter_init (&iter, self->entries);
  while (g_hash_table_iter_next (&iter, NULL, &entry))
    expire_locked (entry);
}

/* --- deadlines ---------------------------------------------------------------------------------------------- */

/* Moves those of @entry who have waited for too long to @late.  Who waits for a new list is given the old one, and so
 * are the next, until the services answer. */
static void give_up_locked (Entry *entry, gint64 now_us, const GError *error, GQueue *late) {
  gint64 timeout_us = (gint64) entry->owner->options.timeout_ms * 1000;
  for (GList *link = entry->waiters.head, *next; link != NULL; link = next) {
    Waiter *waiter = link->data;
    next = link->next;
    if (now_us - MAX (waiter->since_us, entry->progress_us) < timeout_us)
      continue;
    if (entry->records != NULL) {
      entry->stale = TRUE;
      entry->given = entry->wanted;
      note_failure_locked (entry, error);
      waiter->instead = listing_locked (entry);
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
  for (Waiter *waiter = g_queue_pop_head (&late); waiter != NULL; waiter = g_queue_pop_head (&late)) {
    gboolean instead = waiter->instead.records != NULL;
    waiter->done (waiter->data, instead ? &waiter->instead : NULL, instead ? NULL : error);
    g_clear_pointer (&waiter->instead.records, cab_records_unref);
    g_free (waiter);
  }
}
