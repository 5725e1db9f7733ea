/* cache.c - the front door: puts the parts together, and the two threads that watch the clock and the disk.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cache/cache.h"

#include "cache/content.h"
#include "cache/evict.h"
#include "cache/files.h"
#include "cache/listing.h"
#include "cache/member.h"
#include "cache/sizes.h"
#include "cache/stacktrace.h"
#include "client/error.h"
#include "client/sync.h"
#include "client/thread.h"

#include <fcntl.h>
#include <string.h>

#define POOL_THREADS 2

/* Archives that are read at a time: what a machine with few processors has to spare; and with those that wait for bytes. */
#define UNPACKERS     2
#define UNPACKERS_MAX 16

/* Deadlines are looked at that often: they are seconds long. */
#define TICK_MS 200

/* The directory is swept that often, and whenever this much was written in between. */
#define SWEEP_MS    (60 * 1000)
#define AGAIN_MS    125 /* doubled each time: what is full may have room soon, when a reader has gone on */
#define SWEEP_BYTES ((guint64) 8 << 20)

/* Writes may be ahead of the sweeps by that much. */
#define BOUND_BYTES ((guint64) 8 << 20)

/* A thread that runs a function now and then, and at once when it is woken. */
typedef struct {
  CabCache *cache; /* set before the start, as are the next two */
  void (*run) (CabCache *cache);
  guint period_ms;  /* its thread may change it */
  pthread_t thread; /* of one that was started */
  gboolean started;

  pthread_mutex_t lock;
  pthread_cond_t changed;
  gboolean woken;  /* lock */
  gboolean ending; /* lock */
} Clockwork;

struct CabCache {
  CabClient *client; /* all set at creation, but for `evict` */
  CabStore *store;
  CabPool *pool;
  CabPeers *peers;
  CabListings *listings;
  CabSizes *sizes;
  CabUnpacker *unpacker; /* NULL: archives cannot be read, */
  GError *no_unpacker;   /* and why */
  CabContents *contents;
  CabMembers *members;
  CabStacktraces *stacktraces;
  char *dir;
  pthread_mutex_t evict_lock;
  CabEvictOptions evict; /* evict_lock */
  Clockwork ticker;
  guint full_sweeps; /* one after the other that left the cache full; the janitor's */
  Clockwork janitor;
};

void cab_cache_options_clear (CabCacheOptions *options) {
  g_free (options->dir);
  g_free (options->unpack_program);
  *options = (CabCacheOptions){0};
}

/* --- clockworks --------------------------------------------------------------------------------------------- */

/* FALSE when it is time to end. */
static gboolean wait_turn (Clockwork *self) {
  gint64 until_us = g_get_monotonic_time () + (gint64) self->period_ms * 1000;
  CAB_LOCK_SCOPE (&self->lock);
  while (!self->woken && !self->ending)
    if (!cab_cond_wait_until (&self->changed, &self->lock, until_us))
      break;
  self->woken = FALSE;
  return !self->ending;
}

static void *clockwork_main (void *data) {
  Clockwork *self = data;
  do
    self->run (self->cache);
  while (wait_turn (self));
  return NULL;
}

static void clockwork_init (Clockwork *self, CabCache *cache, guint period_ms, void (*run) (CabCache *cache)) {
  pthread_mutex_init (&self->lock, NULL);
  cab_cond_init (&self->changed);
  self->cache = cache;
  self->run = run;
  self->period_ms = period_ms;
}

static void clockwork_start (Clockwork *self, const char *name) {
  int rc = cab_thread_start (&self->thread, name, clockwork_main, self);
  g_assert (rc == 0);
  self->started = TRUE;
}

static void clockwork_wake (gpointer data) {
  Clockwork *self = data;
  CAB_LOCK_SCOPE (&self->lock);
  self->woken = TRUE;
  pthread_cond_signal (&self->changed);
}

/* It runs no more, and can still be woken. */
static void clockwork_end (Clockwork *self) {
  {
    CAB_LOCK_SCOPE (&self->lock);
    self->ending = TRUE;
    pthread_cond_signal (&self->changed);
  }
  if (self->started)
    pthread_join (self->thread, NULL);
}

static void clockwork_clear (Clockwork *self) {
  pthread_cond_destroy (&self->changed);
  pthread_mutex_destroy (&self->lock);
}

static void tick (CabCache *self) {
  gint64 now_us = g_get_monotonic_time ();
  cab_listings_tick (self->listings, now_us);
  cab_sizes_tick (self->sizes, now_us);
  cab_contents_tick (self->contents, now_us);
  cab_members_tick (self->members, now_us);
  cab_stacktraces_tick (self->stacktraces, now_us);
}

static void sweep (CabCache *self) {
  CabEvictOptions options;
  {
    CAB_LOCK_SCOPE (&self->evict_lock);
    options = self->evict;
  }
  cab_evict_sweep (self->store, &options, g_get_real_time () / G_USEC_PER_SEC);
  self->full_sweeps = cab_store_is_full (self->store) ? self->full_sweeps + 1 : 0;
  self->janitor.period_ms =
      self->full_sweeps > 0 ? MIN (SWEEP_MS, AGAIN_MS << MIN (self->full_sweeps, 9)) : SWEEP_MS;
}

static guint64 trim (gpointer data, guint64 bytes, guint64 used) {
  CabCache *self = data;
  return cab_contents_trim (self->contents, bytes, used);
}

/* --- life --------------------------------------------------------------------------------------------------- */

static void on_list_changed (gpointer data, const CabScope *scope, CabRecords *records) {
  CabCache *self = data;
  cab_sizes_follow (self->sizes, scope, records);
}

static void on_learned (gpointer data, const CabScope *scope, const char *id, const CabFacts *facts) {
  CabCache *self = data;
  cab_sizes_learn (self->sizes, scope, id, facts);
}

static void open_cab (gpointer data, const CabScope *scope, const CabRecord *record, CabReach reach,
                      CabOpenDone done, gpointer done_data) {
  cab_cache_open (data, scope, record, reach, done, done_data);
}

typedef struct {
  CabStore *store;
  gint64 expires;
  char *id;
} SpoiltJob;

static void remove_members (gpointer data) {
  SpoiltJob *job = data;
  cab_store_remove_members (job->store, job->expires, job->id);
  g_free (job->id);
  g_free (job);
}

static void on_spoilt (gpointer data, const CabScope *scope, gint64 expires, const char *id) {
  CabCache *self = data;
  cab_members_forget (self->members, scope, expires, id);
  SpoiltJob *job = g_new (SpoiltJob, 1);
  *job = (SpoiltJob){self->store, expires, g_strdup (id)};
  cab_pool_push (self->pool, remove_members, job);
}

/* A mount without its worker is better than none: CABs themselves need no archive to be read. */
static void make_unpacker (CabCache *self, const CabCacheOptions *options) {
  if (!options->members) {
    self->no_unpacker = g_error_new (CAB_ERROR, CAB_ERROR_NOT_FOUND, "CABs are not shown open");
    return;
  }
  g_autofree char *program =
      options->unpack_program != NULL ? g_strdup (options->unpack_program) : cab_unpack_program ();
  const CabUnpackerOptions unpacker = {
      .program = program, .parallel = UNPACKERS, .most = UNPACKERS_MAX, .limit = options->member_limit};
  self->unpacker = cab_unpacker_new (&unpacker, &self->no_unpacker);
  if (self->unpacker == NULL)
    g_warning ("members of CABs cannot be read: %s", self->no_unpacker->message);
}

/* What is fetched ahead has to stay until it is read. */
static guint64 read_ahead_of (const CabCacheOptions *options) {
  guint64 limit = options->size_limit;
  return limit > 0 ? MIN (options->read_ahead, limit / 4) : options->read_ahead;
}

static void make_contents (CabCache *self, const CabCacheOptions *options) {
  const CabContentsOptions contents = {.store = self->store,
                                       .pool = self->pool,
                                       .client = self->client,
                                       .peers = self->peers,
                                       .unpacker = self->unpacker,
                                       .unpacker_missing = self->no_unpacker,
                                       .read_ahead = read_ahead_of (options),
                                       .connections = options->connections,
                                       .timeout_ms = options->timeout_ms,
                                       .size_limit = options->size_limit,
                                       .learned = on_learned,
                                       .learned_data = self,
                                       .open = open_cab,
                                       .spoilt = on_spoilt,
                                       .data = self};
  self->contents = cab_contents_new (&contents);
  const CabMembersOptions members = {.contents = self->contents,
                                     .unpacker = self->unpacker,
                                     .unpacker_missing = self->no_unpacker,
                                     .limit = options->member_limit,
                                     .open = open_cab,
                                     .open_data = self};
  self->members = cab_members_new (&members);
}

static void make_parts (CabCache *self, const CabCacheOptions *options) {
  CabSizesOptions sizes = {self->store, self->pool, self->client, options->size_connections,
                           options->timeout_ms};
  CabListingsOptions listings = {self->store,         self->pool,      self->client, options->listing_ttl_s,
                                 options->timeout_ms, on_list_changed, self};
  CabStacktracesOptions stacktraces = {self->client, options->listing_ttl_s, options->timeout_ms};
  self->sizes = cab_sizes_new (&sizes);
  self->listings = cab_listings_new (&listings);
  self->stacktraces = cab_stacktraces_new (&stacktraces);
  make_unpacker (self, options);
  make_contents (self, options);
}

static CabEvictOptions evict_options (CabCache *self, const CabCacheOptions *options) {
  return (CabEvictOptions){
      options->size_limit, options->free_bytes, options->free_percent, options->keep_s, trim, self};
}

static void set_bound (CabCache *self, guint64 limit) {
  cab_store_set_bound (self->store, limit > 0 ? limit + BOUND_BYTES : 0);
}

CabCache *cab_cache_new (const CabCacheOptions *options, CabClient *client, GError **error) {
  g_autoptr (CabStore) store = cab_store_new (options->dir, error);
  if (store == NULL)
    return NULL;
  CabCache *self = g_new0 (CabCache, 1);
  self->client = client;
  self->dir = g_strdup (options->dir);
  self->store = g_steal_pointer (&store);
  self->pool = cab_pool_new (POOL_THREADS);
  self->peers = cab_peers_new (cab_store_dirfd (self->store));
  pthread_mutex_init (&self->evict_lock, NULL);
  self->evict = evict_options (self, options);
  make_parts (self, options);
  guint64 limit = options->size_limit;
  set_bound (self, limit);
  cab_store_set_written_func (self->store,
                              limit > 0 ? CLAMP (limit / 32, SWEEP_BYTES / 8, SWEEP_BYTES) : SWEEP_BYTES,
                              clockwork_wake, &self->janitor);
  clockwork_init (&self->ticker, self, TICK_MS, tick);
  clockwork_start (&self->ticker, "cabfs-ticker");
  clockwork_init (&self->janitor, self, SWEEP_MS, sweep);
  return self;
}

void cab_cache_begin (CabCache *self) {
  clockwork_start (&self->janitor, "cabfs-janitor");
  cab_peers_begin (self->peers, self->contents);
}

void cab_cache_change (CabCache *self, const CabCacheOptions *options) {
  {
    CAB_LOCK_SCOPE (&self->evict_lock);
    self->evict = evict_options (self, options);
  }
  set_bound (self, options->size_limit);
  cab_listings_change (self->listings, options->listing_ttl_s, options->timeout_ms);
  cab_stacktraces_change (self->stacktraces, options->listing_ttl_s, options->timeout_ms);
  cab_sizes_change (self->sizes, options->timeout_ms);
  cab_contents_change (self->contents, read_ahead_of (options), options->size_limit, options->timeout_ms);
  clockwork_wake (&self->janitor);
}

void cab_cache_stop (CabCache *self) {
  cab_client_stop (self->client);
  cab_peers_stop (self->peers); /* what it ends now would go on from the hosts */
  if (self->unpacker != NULL)
    cab_unpacker_stop (self->unpacker);
}

void cab_cache_free (CabCache *self) {
  if (self == NULL)
    return;
  cab_cache_stop (self);
  clockwork_end (&self->ticker);
  clockwork_clear (&self->ticker);
  clockwork_end (&self->janitor);
  cab_contents_free (self->contents);
  cab_peers_free (self->peers);
  cab_members_free (self->members);
  cab_unpacker_free (self->unpacker);
  g_clear_error (&self->no_unpacker);
  cab_listings_free (self->listings);
  cab_stacktraces_free (self->stacktraces);
  cab_pool_free (self->pool); /* writes what is left to write, and may find the disk full */
  clockwork_clear (&self->janitor);
  cab_sizes_free (self->sizes);
  cab_store_free (self->store);
  pthread_mutex_destroy (&self->evict_lock);
  g_free (self->dir);
  g_free (self);
}

/* --- the front door ----------------------------------------------------------------------------------------- */

void cab_cache_list (CabCache *self, const CabScope *scope, CabReach reach, CabListingDone done,
                     gpointer data) {
  cab_listings_get (self->listings, scope, reach, done, data);
}

gboolean cab_cache_peek_list (CabCache *self, const CabScope *scope, CabReach reach, CabListing *listing) {
  return cab_listings_peek (self->listings, scope, reach, listing);
}

void cab_cache_each_list (CabCache *self, CabEachList func, gpointer data) {
  cab_listings_each (self->listings, func, data);
}

guint64 cab_cache_lists_version (CabCache *self) {
  return cab_listings_version (self->listings);
}

GError *cab_cache_list_failure (CabCache *self, const CabScope *scope, gint64 *when) {
  return cab_listings_failure (self->listings, scope, when);
}

void cab_cache_expire_list (CabCache *self, const CabScope *scope) {
  if (scope != NULL)
    cab_listings_expire (self->listings, scope);
  else
    cab_listings_expire_all (self->listings);
}

gboolean cab_cache_peek_size (CabCache *self, const CabScope *scope, const char *id, CabLook look,
                              guint64 *size) {
  return cab_sizes_peek (self->sizes, scope, id, look, size, NULL);
}

void cab_cache_stacktrace (CabCache *self, const CabScope *scope, const char *id, CabReach reach,
                           CabStacktraceDone done, gpointer data) {
  cab_stacktraces_get (self->stacktraces, scope, id, reach, g_get_monotonic_time (), done, data);
}

/* The address that the list has for @id; NULL if it has none: a list from disk has no addresses at all. */
static char *address_of (CabCache *self, const CabScope *scope, const char *id) {
  CabListing listing;
  guint index;
  if (!cab_listings_peek (self->listings, scope, CAB_REACH_LOCAL, &listing))
    return NULL;
  g_autoptr (CabRecords) records = listing.records;
  return cab_records_find (records, id, strlen (id), &index) ? cab_records_url (records, index) : NULL;
}

/* Asks for the list again where it has no address for a CAB that is wanted: this one will be located by itself, those
 * that are wanted next need not.  TRUE if it is on its way. */
static gboolean want_addresses (CabCache *self, const CabScope *scope, const CabRecord *record,
                                CabReach reach) {
  return record->url == NULL && record->downloadable && reach == CAB_REACH_NETWORK &&
         !cab_contents_has_all (self->contents, scope, record) && cab_listings_refresh (self->listings, scope);
}

void cab_cache_size (CabCache *self, const CabScope *scope, const CabRecord *record, CabReach reach,
                     CabSizeDone done, gpointer data) {
  g_autofree char *url = address_of (self, scope, record->id);
  CabRecord located = *record;
  located.url = url;
  cab_sizes_get (self->sizes, scope, &located, reach, !want_addresses (self, scope, &located, reach), done,
                 data);
}

void cab_cache_open (CabCache *self, const CabScope *scope, const CabRecord *record, CabReach reach,
                     CabOpenDone done, gpointer data) {
  char md5[33] = "";
  guint64 size;
  g_autofree char *url = address_of (self, scope, record->id);
  CabRecord located = *record;
  located.url = url;
  cab_sizes_peek (self->sizes, scope, record->id, CAB_LOOK_ASIDE, &size, md5);
  want_addresses (self, scope, &located, reach);
  cab_contents_open (self->contents, scope, &located, *md5 != '\0' ? md5 : NULL, reach, done, data);
}

void cab_cache_members (CabCache *self, const CabScope *scope, const CabRecord *record, CabReach reach,
                        CabMembersDone done, gpointer data) {
  cab_members_get (self->members, scope, record, reach, done, data);
}

CabMemberList *cab_cache_peek_members (CabCache *self, const CabScope *scope, const CabRecord *record) {
  return cab_members_peek (self->members, scope, record);
}

void cab_cache_open_member (CabCache *self, const CabScope *scope, const CabRecord *record, const char *path,
                            CabReach reach, CabOpenDone done, gpointer data) {
  cab_members_open (self->members, scope, record, path, reach, done, data);
}

static guint64 bytes_of (CabCache *self, const CabScope *scope, const CabRecord *record,
                         const CabMemberSpec *member) {
  guint64 bytes;
  return cab_contents_bytes (self->contents, scope, record, member, &bytes)
             ? bytes
             : cab_contents_bytes_on_disk (self->contents, record, member);
}

guint64 cab_cache_bytes (CabCache *self, const CabScope *scope, const CabRecord *record) {
  return bytes_of (self, scope, record, NULL);
}

guint64 cab_cache_member_bytes (CabCache *self, const CabScope *scope, const CabRecord *record,
                                CabMemberId id) {
  const CabMemberSpec member = {.id = id};
  return bytes_of (self, scope, record, id != CAB_MEMBER_WHOLE ? &member : NULL);
}

static void look_at (CabCache *self, const CabScope *scope, const CabRecord *record,
                     const CabMemberSpec *member, CabLocal *out) {
  if (!cab_contents_local (self->contents, scope, record, member, out))
    cab_contents_look_at_disk (self->contents, scope, record, member, out);
}

void cab_cache_local (CabCache *self, const CabScope *scope, const CabRecord *record, CabLocal *out) {
  char md5[33] = "";
  guint64 size;
  look_at (self, scope, record, NULL, out);
  if (out->md5 == NULL && cab_sizes_peek (self->sizes, scope, record->id, CAB_LOOK_ASIDE, &size, md5) &&
      *md5 != '\0')
    out->md5 = g_strdup (md5);
}

void cab_cache_member_local (CabCache *self, const CabScope *scope, const CabRecord *record, CabMemberId id,
                             CabLocal *out) {
  const CabMemberSpec member = {.id = id};
  look_at (self, scope, record, id != CAB_MEMBER_WHOLE ? &member : NULL, out);
  g_clear_pointer (&out->etag, g_free);
  g_clear_pointer (&out->md5, g_free);
}

/* --- how it is doing ---------------------------------------------------------------------------------------- */

GArray *cab_cache_downloads (CabCache *self) {
  return cab_contents_downloads (self->contents, g_get_monotonic_time ());
}

GArray *cab_cache_unpackings (CabCache *self) {
  return cab_contents_unpackings (self->contents, g_get_monotonic_time ());
}

void cab_cache_state (CabCache *self, CabCacheState *out) {
  guint64 limit;
  {
    CAB_LOCK_SCOPE (&self->evict_lock);
    limit = self->evict.size_limit;
  }
  *out = (CabCacheState){.dir = self->dir,
                         .limit = limit,
                         .full = cab_store_is_full (self->store),
                         .writable = cab_store_is_writable (self->store)};
  out->known = cab_store_usage (self->store, &out->bytes, &out->files);
}

GArray *cab_cache_hosts (CabCache *self) {
  return cab_client_hosts (self->client);
}
