/* test-cache.c - the whole of cache/ against a client whose every answer the test gives.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cache/content-private.h"
#include "cache/sizes.h"
#include "client/error.h"
#include "client/sync.h"
#include "fake-client.h"

#include <glib/gstdio.h>
#include <semaphore.h>
#include <string.h>

#define KIB ((guint64) 1 << 10)
#define MIB ((guint64) 1 << 20)

typedef struct {
  char *dir;
  CabCache *cache;
  CabScope *scope;
  guint64 size_limit; /* of the next cache that is opened */
} Fixture;

static void make_cache (Fixture *f, guint timeout_ms) {
  g_autoptr (GError) error = NULL;
  g_autofree char *dir = g_build_filename (f->dir, "cache", NULL);
  CabCacheOptions options = {.dir = dir,
                             .size_limit = f->size_limit,
                             .keep_s = 86400,
                             .listing_ttl_s = 300,
                             .read_ahead = 8 * MIB,
                             .connections = 4,
                             .size_connections = 8,
                             .timeout_ms = timeout_ms};
  fake_start ();
  f->cache = cab_cache_new (&options, NULL, &error);
  g_assert_no_error (error);
}

static void open_cache (Fixture *f, guint timeout_ms) {
  make_cache (f, timeout_ms);
  cab_cache_begin (f->cache);
}

static void set_up (Fixture *f, gconstpointer unused) {
  f->dir = g_dir_make_tmp ("cabfs-cache-XXXXXX", NULL);
  f->scope = cab_scope_new ("driver", "13984104677400476", "1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed");
  fake_set_blob (1000000, "\"one\"");
  open_cache (f, 60000);
}

static void close_cache (Fixture *f) {
  cab_cache_stop (f->cache);
  cab_cache_free (g_steal_pointer (&f->cache));
}

static void forget_all (Fixture *f) {
  g_autofree char *command = g_strdup_printf ("rm -rf '%s/cache'", f->dir);
  g_assert_true (g_spawn_command_line_sync (command, NULL, NULL, NULL, NULL));
}

static void tear_down (Fixture *f, gconstpointer unused) {
  close_cache (f);
  cab_scope_free (f->scope);
  g_autofree char *command = g_strdup_printf ("rm -rf '%s'", f->dir);
  g_assert_true (g_spawn_command_line_sync (command, NULL, NULL, NULL, NULL));
  g_free (f->dir);
}

static CabRecord record_of (const char *id) {
  return (CabRecord){.id = id,
                     .date = CAB_TIME_UNKNOWN,
                     .expires = g_get_real_time () / G_USEC_PER_SEC / 86400 * 86400 + 86400 * 9,
                     .downloadable = TRUE};
}

static CabRecords *records_of (guint n) {
  CabRecordsBuilder *builder = cab_records_builder_new ();
  for (guint i = 0; i < n; i++) {
    g_autofree char *id = g_strdup_printf ("cab-%05u", i);
    CabRecord record = record_of (id);
    cab_records_builder_add (builder, &record, NULL, NULL);
  }
  return cab_records_builder_end (builder);
}

/* --- what callbacks brought ----------------------------------------------------------------------------------- */

typedef struct {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  guint calls;
  GError *error;
  guint64 number; /* size, length or count */
  gboolean stale;
  CabContent *content;
  char *bytes;
} Result;

#define RESULT_INIT                                                                                            \
  { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER }

static void result_clear (Result *self) {
  g_clear_error (&self->error);
  g_free (self->bytes);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Result, result_clear)

static void arrive (Result *self, const GError *error) {
  CAB_LOCK_SCOPE (&self->lock);
  self->calls++;
  g_clear_error (&self->error);
  self->error = error != NULL ? g_error_copy (error) : NULL;
  pthread_cond_broadcast (&self->changed);
}

static void wait_for (Result *self) {
  CAB_LOCK_SCOPE (&self->lock);
  while (self->calls == 0)
    pthread_cond_wait (&self->changed, &self->lock);
}

static guint calls_of (Result *self) {
  CAB_LOCK_SCOPE (&self->lock);
  return self->calls;
}

static void on_listing (gpointer data, const CabListing *listing, const GError *error) {
  Result *self = data;
  if (listing != NULL) {
    self->number = cab_records_count (listing->records);
    self->stale = listing->stale;
  }
  arrive (self, error);
}

static void on_size (gpointer data, guint64 size, const GError *error) {
  Result *self = data;
  self->number = size;
  arrive (self, error);
}

static void on_open (gpointer data, CabContent *content, const GError *error) {
  Result *self = data;
  self->content = content;
  arrive (self, error);
}

static void on_read (gpointer data, const void *bytes, gsize len, const GError *error) {
  Result *self = data;
  self->bytes = g_memdup2 (bytes, len);
  self->number = len;
  arrive (self, error);
}

static void assert_bytes (const char *bytes, guint64 off, guint64 len) {
  for (guint64 i = 0; i < len; i++)
    if ((guchar) bytes[i] != fake_byte (off + i))
      g_error ("wrong byte at %" G_GUINT64_FORMAT, off + i);
}

/* --- lists ---------------------------------------------------------------------------------------------------- */

static void test_list_single_flight (Fixture *f, gconstpointer unused) {
  Result results[10];
  for (guint i = 0; i < 10; i++) {
    results[i] = (Result) RESULT_INIT;
    cab_cache_list (f->cache, f->scope, CAB_REACH_NETWORK, on_listing, &results[i]);
  }
  g_autoptr (CabRecords) records = records_of (7);
  fake_answer_list (fake_take (), records, NULL);
  for (guint i = 0; i < 10; i++) {
    wait_for (&results[i]);
    g_assert_no_error (results[i].error);
    g_assert_cmpuint (results[i].number, ==, 7);
  }
  g_assert_cmpuint (fake_count (FAKE_LIST), ==, 1);
  for (guint i = 0; i < 10; i++)
    result_clear (&results[i]);
}

static void test_list_local (Fixture *f, gconstpointer unused) {
  g_auto (Result) result = RESULT_INIT;
  cab_cache_list (f->cache, f->scope, CAB_REACH_LOCAL, on_listing, &result);
  wait_for (&result);
  g_assert_error (result.error, CAB_ERROR, CAB_ERROR_DENIED);
  g_assert_cmpuint (fake_count (FAKE_LIST), ==, 0);
}

static void list_once (Fixture *f, guint n) {
  g_auto (Result) result = RESULT_INIT;
  cab_cache_list (f->cache, f->scope, CAB_REACH_NETWORK, on_listing, &result);
  g_autoptr (CabRecords) records = records_of (n);
  fake_answer_list (fake_take (), records, NULL);
  wait_for (&result);
  g_assert_cmpuint (result.number, ==, n);
}

/* As the last mount left it. */
static void list_known (Fixture *f) {
  g_auto (Result) result = RESULT_INIT;
  cab_cache_list (f->cache, f->scope, CAB_REACH_LOCAL, on_listing, &result);
  g_assert_cmpuint (calls_of (&result), ==, 1);
  g_assert_no_error (result.error);
}

/* The next mount shows what this one knew, at once. */
static void test_list_survives (Fixture *f, gconstpointer unused) {
  list_once (f, 7);
  close_cache (f);
  open_cache (f, 60000);
  g_auto (Result) result = RESULT_INIT;
  cab_cache_list (f->cache, f->scope, CAB_REACH_NETWORK, on_listing, &result);
  g_assert_cmpuint (calls_of (&result), ==, 1);
  g_assert_cmpuint (result.number, ==, 7);
  g_assert_cmpuint (fake_count (FAKE_LIST), ==, 0);
}

static void test_list_failure (Fixture *f, gconstpointer unused) {
  g_auto (Result) result = RESULT_INIT;
  g_autoptr (GError) error = g_error_new (CAB_ERROR, CAB_ERROR_DENIED, "no");
  cab_cache_list (f->cache, f->scope, CAB_REACH_NETWORK, on_listing, &result);
  fake_answer_list (fake_take (), NULL, error);
  wait_for (&result);
  g_assert_error (result.error, CAB_ERROR, CAB_ERROR_DENIED);
  /* Asked again at once: a walk must not become a storm. */
  cab_cache_list (f->cache, f->scope, CAB_REACH_NETWORK, on_listing, &result);
  g_assert_cmpuint (calls_of (&result), ==, 2);
  g_assert_cmpuint (fake_count (FAKE_LIST), ==, 1);
}

static void test_list_deadline (Fixture *f, gconstpointer unused) {
  close_cache (f);
  open_cache (f, 300);
  g_auto (Result) result = RESULT_INIT;
  cab_cache_list (f->cache, f->scope, CAB_REACH_NETWORK, on_listing, &result);
  wait_for (&result);
  g_assert_error (result.error, CAB_ERROR, CAB_ERROR_TIMEOUT);
  /* Its answer comes too late for him, but not for the next one. */
  g_autoptr (CabRecords) records = records_of (3);
  fake_answer_list (fake_take (), records, NULL);
  cab_cache_list (f->cache, f->scope, CAB_REACH_NETWORK, on_listing, &result);
  g_assert_cmpuint (result.number, ==, 3);
}

static void ask (Fixture *f, Result *result) {
  cab_cache_list (f->cache, f->scope, CAB_REACH_NETWORK, on_listing, result);
}

static void answer_list (guint n) {
  g_autoptr (CabRecords) records = records_of (n);
  fake_answer_list (fake_take (), records, NULL);
}

/* Whoever may ask waits for the services; who may not has what is known. */
static void test_list_expired (Fixture *f, gconstpointer all) {
  list_once (f, 3);
  cab_cache_expire_list (f->cache, all != NULL ? NULL : f->scope);
  list_known (f);
  CabListing listing;
  g_assert_false (cab_cache_peek_list (f->cache, f->scope, CAB_REACH_NETWORK, &listing));
  g_assert_true (cab_cache_peek_list (f->cache, f->scope, CAB_REACH_LOCAL, &listing));
  g_assert_true (listing.expired);
  cab_records_unref (listing.records);
  g_auto (Result) result = RESULT_INIT;
  ask (f, &result);
  g_assert_cmpuint (calls_of (&result), ==, 0);
  answer_list (4);
  wait_for (&result);
  g_assert_cmpuint (result.number, ==, 4);
  ask (f, &result);
  g_assert_cmpuint (calls_of (&result), ==, 2);
  g_assert_cmpuint (fake_count (FAKE_LIST), ==, 2);
}

/* What the last mount left on disk is expired with all the rest. */
static void test_list_expired_on_disk (Fixture *f, gconstpointer unused) {
  list_once (f, 3);
  close_cache (f);
  open_cache (f, 60000);
  cab_cache_expire_list (f->cache, NULL);
  g_auto (Result) result = RESULT_INIT;
  ask (f, &result);
  g_assert_cmpuint (calls_of (&result), ==, 0);
  answer_list (4);
  wait_for (&result);
  g_assert_cmpuint (result.number, ==, 4);
}

/* An answer that was begun before is too old for who asks afterwards, and good enough for who asked before. */
static void test_list_expired_in_flight (Fixture *f, gconstpointer unused) {
  g_auto (Result) before = RESULT_INIT;
  g_auto (Result) after = RESULT_INIT;
  ask (f, &before);
  FakeRequest *request = fake_take ();
  cab_cache_expire_list (f->cache, f->scope);
  ask (f, &after);
  g_autoptr (CabRecords) records = records_of (3);
  fake_answer_list (request, records, NULL);
  wait_for (&before);
  g_assert_cmpuint (before.number, ==, 3);
  g_assert_cmpuint (calls_of (&after), ==, 0);
  answer_list (4);
  wait_for (&after);
  g_assert_cmpuint (after.number, ==, 4);
  g_assert_cmpuint (fake_count (FAKE_LIST), ==, 2);
}

/* No answer: the last good list, marked stale, for this one and for those who come next; until it is expired again. */
static void test_list_expired_failure (Fixture *f, gconstpointer unused) {
  g_autoptr (GError) error = g_error_new (CAB_ERROR, CAB_ERROR_FAILED, "no");
  list_once (f, 3);
  for (guint round = 1; round <= 2; round++) {
    g_auto (Result) result = RESULT_INIT;
    cab_cache_expire_list (f->cache, f->scope);
    ask (f, &result);
    g_test_expect_message (NULL, G_LOG_LEVEL_WARNING, "*the last good list is shown*");
    fake_answer_list (fake_take (), NULL, error);
    g_test_assert_expected_messages ();
    wait_for (&result);
    g_assert_no_error (result.error);
    g_assert_cmpuint (result.number, ==, 3);
    ask (f, &result);
    g_assert_cmpuint (calls_of (&result), ==, 2);
    g_assert_cmpuint (fake_count (FAKE_LIST), ==, 1 + round);
  }
  CabListing listing;
  g_assert_true (cab_cache_peek_list (f->cache, f->scope, CAB_REACH_LOCAL, &listing));
  g_assert_true (listing.stale);
  cab_records_unref (listing.records);
}

/* The same where the services keep silent. */
static void test_list_expired_deadline (Fixture *f, gconstpointer unused) {
  list_once (f, 3);
  close_cache (f);
  open_cache (f, 300);
  cab_cache_expire_list (f->cache, f->scope);
  g_auto (Result) result = RESULT_INIT;
  ask (f, &result);
  wait_for (&result);
  g_assert_no_error (result.error);
  g_assert_cmpuint (result.number, ==, 3);
  ask (f, &result);
  g_assert_cmpuint (calls_of (&result), ==, 2);
  answer_list (4);
  ask (f, &result);
  g_assert_cmpuint (result.number, ==, 4);
}

/* --- sizes ---------------------------------------------------------------------------------------------------- */

static void ask_size (Fixture *f, const char *id, Result *result) {
  CabRecord record = record_of (id);
  cab_cache_size (f->cache, f->scope, &record, CAB_REACH_NETWORK, on_size, result);
}

static void answer_probes (guint n) {
  for (guint i = 0; i < n; i++)
    fake_answer_probe (fake_take (), NULL);
}

static void test_size_alone (Fixture *f, gconstpointer unused) {
  list_once (f, 1000);
  g_auto (Result) one = RESULT_INIT, two = RESULT_INIT;
  ask_size (f, "cab-00500", &one);
  ask_size (f, "cab-00500", &two);
  answer_probes (1);
  wait_for (&one);
  wait_for (&two);
  g_assert_cmpuint (one.number, ==, 1000000);
  g_assert_cmpuint (fake_count (FAKE_PROBE), ==, 1);
}

/* Who looks at one CAB pays for one, wherever it is in the list; who looks at one near behind it too is walking. */
static void test_size_second (Fixture *f, gconstpointer unused) {
  static const char *const lone[] = {"cab-00000", "cab-00009", "cab-00500", "cab-00499", "cab-00900"};
  list_once (f, 1000);
  for (guint i = 0; i < G_N_ELEMENTS (lone); i++) {
    g_auto (Result) result = RESULT_INIT;
    ask_size (f, lone[i], &result);
    answer_probes (1);
    wait_for (&result);
    g_assert_cmpuint (fake_count (FAKE_PROBE), ==, i + 1);
  }
  g_auto (Result) next = RESULT_INIT;
  ask_size (f, "cab-00902", &next);
  g_assert_cmpuint (fake_count (FAKE_PROBE), ==, G_N_ELEMENTS (lone) + 1 + 16);
  while (calls_of (&next) == 0)
    answer_probes (1);
}

/* Walks down the list, answering what a step needs and no more.  @swap: index bits that are turned around, as when
 * several threads walk. */
static void walk (Fixture *f, guint end, guint swap) {
  for (guint i = 0; i < end; i++) {
    g_autofree char *id = g_strdup_printf ("cab-%05u", i ^ swap);
    guint64 size;
    if (cab_cache_peek_size (f->cache, f->scope, id, CAB_LOOK_WALK, &size))
      continue;
    g_auto (Result) result = RESULT_INIT;
    ask_size (f, id, &result);
    while (calls_of (&result) == 0)
      answer_probes (1);
    g_assert_cmpuint (fake_count (FAKE_PROBE), <=, i + swap + 1 + CAB_SIZES_AHEAD * 8);
  }
}

static void test_size_walk (Fixture *f, gconstpointer swap) {
  list_once (f, 1000);
  walk (f, 1000, GPOINTER_TO_UINT (swap));
  while (fake_count (FAKE_PROBE) < 1000)
    answer_probes (1);
  g_assert_cmpuint (fake_count (FAKE_PROBE), ==, 1000); /* each exactly once */
}

/* The HEADs ahead of a walker keep the connections busy for many round trips, so that one answer that is late stops
 * only him. */
static void test_size_walk_depth (Fixture *f, gconstpointer swap) {
  list_once (f, 1000);
  walk (f, 300, GPOINTER_TO_UINT (swap));
  g_assert_cmpuint (fake_count (FAKE_PROBE), >=, 300 + (CAB_SIZES_AHEAD - 2) * 8);
}

/* A list from disk has no addresses, and a question for each would cost more than the list: so one CAB at a time is
 * asked for until it is there. */
static void test_size_walk_without_addresses (Fixture *f, gconstpointer unused) {
  list_once (f, 1000);
  close_cache (f);
  open_cache (f, 60000);
  list_known (f);
  g_auto (Result) first = RESULT_INIT, second = RESULT_INIT, third = RESULT_INIT;
  ask_size (f, "cab-00000", &first);
  ask_size (f, "cab-00001", &second);
  g_assert_cmpuint (fake_count (FAKE_LIST), ==, 1);
  g_assert_cmpuint (fake_count (FAKE_PROBE), ==, 2);
  FakeRequest *list = fake_take ();
  g_assert_cmpint (list->kind, ==, FAKE_LIST);
  answer_probes (2);
  wait_for (&second);
  g_autoptr (CabRecords) records = records_of (1000);
  fake_answer_list (list, records, NULL);
  ask_size (f, "cab-00002", &third);
  g_assert_cmpuint (fake_count (FAKE_LIST), ==, 1);
  g_assert_cmpuint (fake_count (FAKE_PROBE), ==, 2 + 1 + 16);
  while (calls_of (&third) == 0)
    answer_probes (1);
}

static void test_size_survives (Fixture *f, gconstpointer unused) {
  list_once (f, 3);
  g_auto (Result) result = RESULT_INIT;
  ask_size (f, "cab-00002", &result);
  answer_probes (1);
  wait_for (&result);
  close_cache (f);
  open_cache (f, 60000);
  g_auto (Result) listed = RESULT_INIT;
  cab_cache_list (f->cache, f->scope, CAB_REACH_LOCAL, on_listing, &listed);
  guint64 size = 0;
  g_assert_true (cab_cache_peek_size (f->cache, f->scope, "cab-00002", CAB_LOOK_ASIDE, &size));
  g_assert_cmpuint (size, ==, 1000000);
  g_assert_false (cab_cache_peek_size (f->cache, f->scope, "cab-00001", CAB_LOOK_ASIDE, &size));
}

/* --- bytes ---------------------------------------------------------------------------------------------------- */

/* The next request for bytes.  CABs that stand in no list have no address, so the list is asked for behind each open:
 * there is none. */
static FakeRequest *take_get (void) {
  g_autoptr (GError) error = g_error_new (CAB_ERROR, CAB_ERROR_FAILED, "no list");
  FakeRequest *request = fake_take ();
  for (; request->kind == FAKE_LIST; request = fake_take ())
    fake_answer_list (request, NULL, error);
  return request;
}

static CabContent *open_now (Fixture *f, const char *id, Result *result) {
  CabRecord record = record_of (id);
  cab_cache_open (f->cache, f->scope, &record, CAB_REACH_NETWORK, on_open, result);
  return result->content;
}

static void test_open_waits_for_facts (Fixture *f, gconstpointer unused) {
  g_auto (Result) first = RESULT_INIT, second = RESULT_INIT;
  open_now (f, "a", &first);
  open_now (f, "a", &second);
  g_assert_cmpuint (calls_of (&first), ==, 0);
  fake_answer_get (take_get (), G_MAXUINT64, 4096, NULL);
  wait_for (&first);
  wait_for (&second);
  g_assert_true (first.content == second.content);
  g_assert_cmpuint (cab_content_size (first.content), ==, 1000000);
  g_assert_cmpuint (fake_count (FAKE_GET), ==, 1);
  cab_content_unref (first.content);
  cab_content_unref (second.content);
}

static void open_and_close (Fixture *f, const char *id) {
  g_auto (Result) result = RESULT_INIT;
  g_autoptr (CabRecords) records = records_of (3);
  open_now (f, id, &result);
  FakeRequest *request = fake_take ();
  for (; request->kind == FAKE_LIST; request = fake_take ())
    fake_answer_list (request, records, NULL);
  fake_answer_get (request, G_MAXUINT64, 65536, NULL);
  wait_for (&result);
  g_assert_no_error (result.error);
  cab_content_unref (result.content);
}

/* A list is read again for its addresses only where there is hope of any: it came from disk, and its family has them
 * in lists. */
static void test_open_wants_addresses (Fixture *f, gconstpointer unused) {
  static const char *const families[] = {"driver", "desktop"};
  for (gsize i = 0; i < G_N_ELEMENTS (families); i++) {
    g_free (f->scope->family);
    f->scope->family = g_strdup (families[i]);
    list_once (f, 3);
    open_and_close (f, "cab-00001");
    g_assert_cmpuint (fake_count (FAKE_LIST), ==, 1);
    close_cache (f);
    open_cache (f, 60000);
    list_known (f);
    open_and_close (f, "cab-00002");
    g_assert_cmpuint (fake_count (FAKE_LIST), ==, i == 0 ? 1 : 0);
    close_cache (f);
    forget_all (f);
    open_cache (f, 60000);
  }
}

static void test_open_error (Fixture *f, gconstpointer unused) {
  g_auto (Result) result = RESULT_INIT;
  g_autoptr (GError) error = g_error_new (CAB_ERROR, CAB_ERROR_NOT_FOUND, "gone");
  open_now (f, "a", &result);
  fake_answer_get (take_get (), 0, 1, error);
  wait_for (&result);
  g_assert_error (result.error, CAB_ERROR, CAB_ERROR_NOT_FOUND);
  /* and the next open begins anew */
  g_auto (Result) again = RESULT_INIT;
  open_now (f, "a", &again);
  fake_answer_get (take_get (), G_MAXUINT64, 65536, NULL);
  wait_for (&again);
  g_assert_no_error (again.error);
  cab_content_unref (again.content);
}

static void test_empty (Fixture *f, gconstpointer unused) {
  fake_set_blob (0, "\"empty\"");
  g_auto (Result) result = RESULT_INIT, read = RESULT_INIT;
  open_now (f, "a", &result);
  fake_answer_get (take_get (), G_MAXUINT64, 1, NULL);
  wait_for (&result);
  cab_content_read (result.content, 0, 4096, on_read, &read);
  g_assert_cmpuint (calls_of (&read), ==, 1);
  g_assert_no_error (read.error);
  g_assert_cmpuint (read.number, ==, 0);
  cab_content_unref (result.content);
}

/* A reader is served as soon as his bytes are here, while the transfer goes on. */
static void test_streaming (Fixture *f, gconstpointer unused) {
  g_auto (Result) opened = RESULT_INIT;
  open_now (f, "a", &opened);
  FakeRequest *head = take_get ();
  fake_answer_get (head, 0, 1, NULL); /* facts and not a byte, then a clean end */
  wait_for (&opened);
  g_auto (Result) early = RESULT_INIT, late = RESULT_INIT;
  cab_content_read (opened.content, 60000, 10, on_read, &late);
  cab_content_read (opened.content, 0, 10, on_read, &early); /* within the block that is coming */
  g_assert_cmpuint (fake_count (FAKE_GET), ==, 2);
  FakeRequest *request = take_get ();
  g_assert_cmpuint (request->off, ==, 0);
  g_autoptr (GError) error = g_error_new (CAB_ERROR, CAB_ERROR_FAILED, "reset");
  fake_answer_get (request, 100, 100, error);
  g_assert_cmpuint (calls_of (&early), ==, 1);
  g_assert_no_error (early.error);
  assert_bytes (early.bytes, 0, 10);
  wait_for (&late);
  g_assert_error (late.error, CAB_ERROR, CAB_ERROR_FAILED);
  cab_content_unref (opened.content);
}

static void close_answered (gpointer data, const void *bytes, gsize len, const GError *error) {
  Result *opened = data;
  g_assert_error (error, CAB_ERROR, CAB_ERROR_CANCELLED);
  cab_content_unref (g_steal_pointer (&opened->content));
}

/* Who has his answer may close the file, before the call that asked for it has returned. */
static void test_closed_when_answered (Fixture *f, gconstpointer unused) {
  g_auto (Result) opened = RESULT_INIT;
  open_now (f, "a", &opened);
  fake_answer_get (take_get (), 0, 1, NULL);
  wait_for (&opened);
  fake_stop (); /* requests are answered at once */
  cab_content_read (opened.content, 0, 10, close_answered, &opened);
  g_assert_null (opened.content);
}

/* Opens a CAB and reads its beginning as cat does, with all connections at work behind it.  Gives the range that the
 * reader waits for. */
static FakeRequest *stream (Fixture *f, Result *opened, CabReadDone done, gpointer data) {
  fake_set_blob (100 * MIB, "\"one\"");
  open_now (f, "a", opened);
  fake_answer_get (take_get (), G_MAXUINT64, 65536, NULL);
  wait_for (opened);
  cab_content_read (opened->content, 0, 512 << 10, done, data != NULL ? data : opened->content);
  g_assert_cmpuint (fake_count (FAKE_GET), ==, 1 + 4);
  return take_get ();
}

/* A CAB is on the way from the first question to the last byte, and only then. */
static void test_downloads (Fixture *f, gconstpointer unused) {
  g_auto (Result) opened = RESULT_INIT, read = RESULT_INIT;
  fake_set_blob (100 * MIB, "\"one\"");
  open_now (f, "a", &opened);
  FakeRequest *head = take_get ();
  {
    g_autoptr (GArray) asked = cab_cache_downloads (f->cache);
    const CabDownload *download = &g_array_index (asked, CabDownload, 0);
    g_assert_cmpuint (asked->len, ==, 1);
    g_assert_cmpstr (download->application, ==, f->scope->application);
    g_assert_cmpstr (download->failure, ==, f->scope->failure);
    g_assert_cmpstr (download->id, ==, "a");
    g_assert_false (download->has_size);
    g_assert_cmpuint (download->readers, ==, 1);
    g_assert_cmpuint (download->connections, ==, 1);
  }
  fake_answer_get (head, G_MAXUINT64, 65536, NULL);
  wait_for (&opened);
  {
    g_autoptr (GArray) idle = cab_cache_downloads (f->cache);
    g_assert_cmpuint (idle->len, ==, 0); /* open, but nobody reads */
  }
  cab_content_read (opened.content, 0, 512 << 10, on_read, &read);
  g_autoptr (GArray) under_way = cab_cache_downloads (f->cache);
  const CabDownload *download = &g_array_index (under_way, CabDownload, 0);
  g_assert_cmpuint (under_way->len, ==, 1);
  g_assert_true (download->has_size);
  g_assert_cmpuint (download->size, ==, 100 * MIB);
  g_assert_cmpuint (download->cached, >, 0);
  g_assert_cmpuint (download->rate, >, 0);
  g_assert_cmpuint (download->readers, ==, 1);
  g_assert_cmpuint (download->connections, ==, 4);
  fake_stop ();
  wait_for (&read);
  cab_content_unref (opened.content);
  g_autoptr (GArray) over = cab_cache_downloads (f->cache);
  g_assert_cmpuint (over->len, ==, 0);
}

/* What had no connection yet is begun by the first that gets free, not by the reader's next read. */
static void test_free_connection (Fixture *f, gconstpointer unused) {
  g_auto (Result) opened = RESULT_INIT, read = RESULT_INIT;
  FakeRequest *first = stream (f, &opened, on_read, &read);
  fake_answer_get (first, G_MAXUINT64, 65536, NULL);
  g_assert_cmpuint (read.number, ==, 512 << 10);
  g_assert_cmpuint (fake_count (FAKE_GET), ==, 1 + 4 + 1);
  cab_content_unref (opened.content);
}

typedef struct {
  CabContent *content;
  Result read;
  guint64 off; /* where the range begins that is read while it is asked for */
} Hurrier;

static void read_what_is_asked_for (gpointer data, guint64 off) {
  Hurrier *self = data;
  if (off == 0 || self->off > 0)
    return;
  self->off = off;
  cab_content_read (self->content, off, 10, on_read, &self->read);
}

/* Behind what others wait for, read-ahead may wait for ever: nobody may wait for what is still that. */
static void test_hurry (Fixture *f, gconstpointer unused) {
  g_auto (Result) opened = RESULT_INIT, first = RESULT_INIT, late = RESULT_INIT;
  Hurrier hurrier = {.read = RESULT_INIT};
  fake_set_blob (100 * MIB, "\"one\"");
  open_now (f, "a", &opened);
  fake_answer_get (take_get (), 0, 1, NULL);
  wait_for (&opened);
  hurrier.content = opened.content;
  fake_on_get (read_what_is_asked_for, &hurrier);
  cab_content_read (opened.content, 0, 512 << 10, on_read, &first);
  fake_on_get (NULL, NULL);
  FakeRequest *requests[4];
  for (guint i = 0; i < G_N_ELEMENTS (requests); i++)
    requests[i] = take_get ();
  cab_content_read (opened.content, requests[2]->off, 10, on_read, &late);
  static const CabPriority expected[] = {CAB_PRIORITY_READER, CAB_PRIORITY_READER, CAB_PRIORITY_READER,
                                         CAB_PRIORITY_AHEAD};
  for (guint i = 0; i < G_N_ELEMENTS (requests); i++)
    g_assert_cmpint (fake_priority (requests[i]), ==, expected[i]);
  g_assert_cmpuint (requests[1]->off, ==, hurrier.off);
  for (guint i = 0; i < G_N_ELEMENTS (requests); i++)
    fake_answer_get (requests[i], G_MAXUINT64, 65536, NULL);
  wait_for (&hurrier.read);
  wait_for (&late);
  fake_stop ();
  cab_content_unref (opened.content);
  result_clear (&hurrier.read);
}

static void fetch_ahead (gpointer content, guint64 off) {
  if (off == 0)
    cab_content_fetch (content, cab_plan_zone (192 << 10, 512 << 10), 0);
}

/* The same of what another reader's read-ahead asks for, before he who waits for it does so himself. */
static void test_asked_for_by_another (Fixture *f, gconstpointer unused) {
  g_auto (Result) opened = RESULT_INIT, middle = RESULT_INIT, read = RESULT_INIT;
  fake_set_blob (MIB, "\"one\"");
  open_now (f, "a", &opened);
  fake_answer_get (take_get (), 0, 1, NULL);
  wait_for (&opened);
  cab_content_read (opened.content, 128 << 10, 10, on_read, &middle);
  fake_answer_get (take_get (), G_MAXUINT64, 65536, NULL);
  wait_for (&middle);
  fake_on_get (fetch_ahead, opened.content);
  cab_content_read (opened.content, 0, 256 << 10, on_read, &read);
  fake_on_get (NULL, NULL);
  FakeRequest *first = take_get (), *second = take_get ();
  g_assert_cmpuint (first->off, ==, 0);
  g_assert_cmpuint (second->off, ==, 192 << 10);
  g_assert_cmpint (fake_priority (second), ==, CAB_PRIORITY_READER);
  fake_answer_get (first, G_MAXUINT64, 65536, NULL);
  fake_answer_get (second, G_MAXUINT64, 65536, NULL);
  wait_for (&read);
  fake_stop ();
  cab_content_unref (opened.content);
}

static void on_read_close (gpointer data, const void *bytes, gsize len, const GError *error) {
  cab_content_unref (data);
}

/* A range that is nearly there is let finish when nobody reads any more, but nothing is begun after it. */
static void test_free_connection_closed (Fixture *f, gconstpointer unused) {
  g_auto (Result) opened = RESULT_INIT;
  FakeRequest *first = stream (f, &opened, on_read_close, NULL);
  fake_answer_get (first, G_MAXUINT64, 65536, NULL);
  g_assert_cmpuint (fake_count (FAKE_GET), ==, 1 + 4);
}

static void test_changed (Fixture *f, gconstpointer unused) {
  g_auto (Result) opened = RESULT_INIT, read = RESULT_INIT, after = RESULT_INIT, again = RESULT_INIT;
  open_now (f, "a", &opened);
  fake_answer_get (take_get (), G_MAXUINT64, 65536, NULL);
  wait_for (&opened);
  guint64 version = cab_content_version (opened.content);
  fake_set_blob (1000000, "\"two\"");
  cab_content_read (opened.content, 900000, 10, on_read, &read);
  fake_answer_get (take_get (), G_MAXUINT64, 65536, NULL);
  wait_for (&read);
  g_assert_error (read.error, CAB_ERROR, CAB_ERROR_CHANGED);
  cab_content_read (opened.content, 0, 10, on_read, &after); /* also what was here: never mixed */
  g_assert_error (after.error, CAB_ERROR, CAB_ERROR_CHANGED);
  open_now (f, "a", &again);
  fake_answer_get (take_get (), G_MAXUINT64, 65536, NULL);
  wait_for (&again);
  g_assert_no_error (again.error);
  g_assert_cmpuint (cab_content_version (again.content), !=, version);
  cab_content_unref (opened.content);
  cab_content_unref (again.content);
}

static void test_read_deadline (Fixture *f, gconstpointer unused) {
  close_cache (f);
  open_cache (f, 300);
  g_auto (Result) opened = RESULT_INIT, read = RESULT_INIT;
  open_now (f, "a", &opened);
  fake_answer_get (take_get (), G_MAXUINT64, 65536, NULL);
  wait_for (&opened);
  cab_content_read (opened.content, 900000, 10, on_read, &read);
  wait_for (&read);
  g_assert_error (read.error, CAB_ERROR, CAB_ERROR_TIMEOUT);
  cab_content_unref (opened.content);
  fake_answer_get (take_get (), G_MAXUINT64, 65536, NULL);
}

static void test_partial_survives (Fixture *f, gconstpointer unused) {
  g_auto (Result) opened = RESULT_INIT, again = RESULT_INIT, read = RESULT_INIT;
  open_now (f, "a", &opened);
  fake_answer_get (take_get (), G_MAXUINT64, 65536, NULL);
  wait_for (&opened);
  cab_content_unref (opened.content);
  close_cache (f);
  open_cache (f, 60000);
  g_assert_nonnull (open_now (f, "a", &again));
  g_assert_cmpuint (fake_count (FAKE_GET), ==, 0);
  cab_content_read (again.content, 1000, 5000, on_read, &read);
  g_assert_cmpuint (read.number, ==, 5000);
  assert_bytes (read.bytes, 1000, 5000);
  CabRecord record = record_of ("a");
  g_auto (CabLocal) local = {0};
  cab_cache_local (f->cache, f->scope, &record, &local);
  g_assert_cmpuint (local.bytes, ==, 262144);
  g_assert_false (local.complete);
  g_assert_cmpstr (local.etag, ==, "\"one\"");
  cab_content_unref (again.content);
}

/* Attributes of an open CAB are what is known: looking at them, however often, fetches nothing, not even what is missing
 * of a window. [F10] */
static void test_look_fetches_nothing (Fixture *f, gconstpointer unused) {
  g_auto (Result) opened = RESULT_INIT;
  g_autoptr (GError) refused = g_error_new (CAB_ERROR, CAB_ERROR_FAILED, "refused");
  open_now (f, "a", &opened);
  fake_answer_get (take_get (), G_MAXUINT64, 65536, NULL);
  wait_for (&opened);
  char bytes[4096];
  for (gsize got, off = 0; off < 65536; off += got)
    g_assert_true (cab_content_read_now (opened.content, off, sizeof bytes, bytes, &got));
  guint sent = fake_count (FAKE_GET);
  g_assert_cmpuint (sent, >, 1);
  for (guint i = 1; i < sent; i++)
    fake_answer_get (take_get (), 0, 65536, refused);
  CabRecord record = record_of ("a");
  for (guint i = 0; i < 3; i++) {
    g_auto (CabLocal) local = {0};
    cab_cache_local (f->cache, f->scope, &record, &local);
    g_assert_cmpuint (local.bytes, ==, 262144);
    g_assert_cmpstr (local.kind, ==, "other");
    g_assert_cmpuint (fake_count (FAKE_GET), ==, sent);
  }
  cab_content_unref (opened.content);
}

static sem_t told_full;

static void on_warning (const char *domain, GLogLevelFlags level, const char *message, gpointer unused) {
  g_assert_nonnull (strstr (message, "reads go on without being kept"));
  sem_post (&told_full);
}

static gboolean is_fatal (const char *domain, GLogLevelFlags level, const char *message, gpointer unused) {
  return strstr (message, "reads go on without being kept") == NULL;
}

/* Begins anew with so small a cache.  That it is full is no failure of the test, and is not TAP's to tell. */
static guint be_small (Fixture *f, guint64 size_limit) {
  close_cache (f);
  f->size_limit = size_limit;
  sem_init (&told_full, 0, 0);
  guint handler = g_log_set_handler (NULL, G_LOG_LEVEL_WARNING | G_LOG_FLAG_FATAL, on_warning, NULL);
  g_test_log_set_fatal_handler (is_fatal, NULL);
  open_cache (f, 60000);
  return handler;
}

static void be_large (Fixture *f, guint handler) {
  close_cache (f);
  g_log_remove_handler (NULL, handler);
  sem_destroy (&told_full);
  f->size_limit = 0;
  open_cache (f, 60000);
}

static CabContent *open_small (Fixture *f, const char *id) {
  g_auto (Result) opened = RESULT_INIT;
  open_now (f, id, &opened);
  fake_answer_get (take_get (), G_MAXUINT64, 65536, NULL);
  wait_for (&opened);
  return opened.content;
}

static void read_right (CabContent *content, guint64 off, guint64 len) {
  g_auto (Result) read = RESULT_INIT;
  cab_content_read (content, off, len, on_read, &read);
  while (calls_of (&read) == 0)
    fake_answer_get (take_get (), G_MAXUINT64, 65536, NULL);
  g_assert_no_error (read.error);
  g_assert_cmpuint (read.number, ==, len);
  assert_bytes (read.bytes, off, len);
}

/* One that is larger than the cache gives up its own bytes, if some can go: it never takes more than the cache and the
 * bound, and who reads gets the right ones. */
static void test_outgrown (Fixture *f, gconstpointer unused) {
  guint handler = be_small (f, 1);
  fake_set_blob (64 * MIB, "\"big\"");
  CabContent *content = open_small (f, "a");
  CabRecord record = record_of ("a");
  for (guint64 off = 0; off < 40 * MIB; off += 100000) {
    read_right (content, off, 100000);
    g_assert_cmpuint (cab_cache_bytes (f->cache, f->scope, &record), <=, 9 * MIB); /* 8 are the bound */
  }
  cab_content_unref (content);
  be_large (f, handler);
}

/* Nothing can go, because all is open, and none of it is large: that is told, once; who reads gets the right bytes, and
 * no more is kept. */
static void test_full (Fixture *f, gconstpointer unused) {
  CabContent *contents[21];
  guint handler = be_small (f, 4 * MIB);
  fake_set_blob (256 * KIB, "\"small\"");
  for (guint i = 0; i < 20; i++) {
    g_autofree char *id = g_strdup_printf ("cab-%u", i);
    contents[i] = open_small (f, id);
    read_right (contents[i], 0, 256 * KIB);
  }
  sem_wait (&told_full);
  CabRecord record = record_of ("last");
  contents[20] = open_small (f, "last");
  read_right (contents[20], 0, 100000);
  g_assert_cmpuint (cab_cache_bytes (f->cache, f->scope, &record), ==, 0);
  g_assert_cmpint (sem_trywait (&told_full), <, 0);
  for (guint i = 0; i < G_N_ELEMENTS (contents); i++)
    cab_content_unref (contents[i]);
  be_large (f, handler);
}

static atomic_bool looking;

static void *look_on (void *data) {
  Fixture *f = data;
  CabRecord record = record_of ("a");
  while (atomic_load (&looking)) {
    g_auto (CabLocal) local = {0};
    cab_cache_local (f->cache, f->scope, &record, &local);
    cab_cache_bytes (f->cache, f->scope, &record);
  }
  return NULL;
}

/* Who looks at the attributes of a CAB that is just being closed must not find its file gone. */
static void test_look_while_closing (Fixture *f, gconstpointer unused) {
  pthread_t thread;
  fake_set_blob (1000, "\"small\"");
  atomic_store (&looking, TRUE);
  g_assert_cmpint (pthread_create (&thread, NULL, look_on, f), ==, 0);
  for (guint i = 0; i < 20000; i++) {
    g_auto (Result) opened = RESULT_INIT;
    CabRecord record = record_of ("a");
    cab_cache_open (f->cache, f->scope, &record, CAB_REACH_NETWORK, on_open, &opened);
    if (i == 0) /* the one time that bytes come; from then on they are in the cache */
      fake_answer_get (take_get (), G_MAXUINT64, 65536, NULL);
    wait_for (&opened);
    g_assert_no_error (opened.error);
    cab_content_unref (opened.content);
  }
  atomic_store (&looking, FALSE);
  pthread_join (thread, NULL);
}

/* --- many at once --------------------------------------------------------------------------------------------- */

/* Answers transfers as a bad network would: in pieces, cut, refused. */
static void *bad_network (void *unused) {
  g_autoptr (GRand) rand = g_rand_new_with_seed (7);
  g_autoptr (GError) error = g_error_new (CAB_ERROR, CAB_ERROR_FAILED, "bad network");
  for (FakeRequest *request = fake_take (); request != NULL; request = fake_take ()) {
    if (request->kind == FAKE_LIST) { /* no list, so no address: it is asked for behind each open */
      fake_answer_list (request, NULL, error);
      continue;
    }
    gboolean fails = g_rand_int_range (rand, 0, 10) == 0;
    guint64 len = fails ? (guint64) g_rand_int_range (rand, 0, 200000) : G_MAXUINT64;
    fake_answer_get (request, len, (gsize) g_rand_int_range (rand, 100, 100000), fails ? error : NULL);
  }
  return NULL;
}

#define CROWD_SIZE (3 * MIB + 77)

static void *crowd_reader (void *data) {
  Fixture *f = data;
  static atomic_uint seeds;
  g_autoptr (GRand) rand = g_rand_new_with_seed (atomic_fetch_add (&seeds, 1));
  for (guint round = 0; round < 40; round++) {
    g_auto (Result) opened = RESULT_INIT;
    open_now (f, g_rand_boolean (rand) ? "a" : "b", &opened);
    wait_for (&opened);
    for (guint i = 0; opened.error == NULL && i < 8; i++) {
      g_auto (Result) read = RESULT_INIT;
      guint64 off = (guint64) g_rand_int_range (rand, 0, CROWD_SIZE);
      gsize len = (gsize) g_rand_int_range (rand, 1, 50000);
      cab_content_read (opened.content, off, len, on_read, &read);
      wait_for (&read);
      if (read.error != NULL) {
        g_assert_error (read.error, CAB_ERROR, CAB_ERROR_FAILED);
        continue;
      }
      g_assert_cmpuint (read.number, ==, MIN (len, CROWD_SIZE - off));
      assert_bytes (read.bytes, off, read.number);
    }
    if (opened.error == NULL)
      cab_content_unref (opened.content);
  }
  return NULL;
}

static void test_crowd (Fixture *f, gconstpointer unused) {
  pthread_t network[2], readers[6];
  fake_set_blob (CROWD_SIZE, "\"crowd\"");
  for (guint i = 0; i < G_N_ELEMENTS (network); i++)
    g_assert_cmpint (pthread_create (&network[i], NULL, bad_network, NULL), ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS (readers); i++)
    g_assert_cmpint (pthread_create (&readers[i], NULL, crowd_reader, f), ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS (readers); i++)
    pthread_join (readers[i], NULL);
  cab_cache_stop (f->cache);
  for (guint i = 0; i < G_N_ELEMENTS (network); i++)
    pthread_join (network[i], NULL);
}

/* The mount for which it was made has failed. */
static void test_never_begun (Fixture *f, gconstpointer unused) {
  close_cache (f);
  make_cache (f, 60000);
  close_cache (f);
  open_cache (f, 60000);
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
#define CACHE_TEST(name, func) g_test_add ("/cache/" name, Fixture, NULL, set_up, func, tear_down)
  CACHE_TEST ("never-begun", test_never_begun);
  CACHE_TEST ("list/single-flight", test_list_single_flight);
  CACHE_TEST ("list/local", test_list_local);
  CACHE_TEST ("list/survives", test_list_survives);
  CACHE_TEST ("list/failure", test_list_failure);
  CACHE_TEST ("list/deadline", test_list_deadline);
  CACHE_TEST ("list/expired", test_list_expired);
  g_test_add ("/cache/list/expired-all", Fixture, GUINT_TO_POINTER (TRUE), set_up, test_list_expired,
              tear_down);
  CACHE_TEST ("list/expired-on-disk", test_list_expired_on_disk);
  CACHE_TEST ("list/expired-in-flight", test_list_expired_in_flight);
  CACHE_TEST ("list/expired-failure", test_list_expired_failure);
  CACHE_TEST ("list/expired-deadline", test_list_expired_deadline);
  CACHE_TEST ("size/alone", test_size_alone);
  CACHE_TEST ("size/second", test_size_second);
  CACHE_TEST ("size/walk", test_size_walk);
  CACHE_TEST ("size/walk-depth", test_size_walk_depth);
  g_test_add ("/cache/size/threads", Fixture, GUINT_TO_POINTER (3), set_up, test_size_walk, tear_down);
  g_test_add ("/cache/size/threads-depth", Fixture, GUINT_TO_POINTER (3), set_up, test_size_walk_depth,
              tear_down);
  CACHE_TEST ("size/walk-without-addresses", test_size_walk_without_addresses);
  CACHE_TEST ("size/survives", test_size_survives);
  CACHE_TEST ("open/waits-for-facts", test_open_waits_for_facts);
  CACHE_TEST ("open/error", test_open_error);
  CACHE_TEST ("open/wants-addresses", test_open_wants_addresses);
  CACHE_TEST ("open/empty", test_empty);
  CACHE_TEST ("read/streaming", test_streaming);
  CACHE_TEST ("read/closed-when-answered", test_closed_when_answered);
  CACHE_TEST ("read/hurry", test_hurry);
  CACHE_TEST ("read/asked-for-by-another", test_asked_for_by_another);
  CACHE_TEST ("read/free-connection", test_free_connection);
  CACHE_TEST ("read/free-connection-closed", test_free_connection_closed);
  CACHE_TEST ("read/changed", test_changed);
  CACHE_TEST ("read/deadline", test_read_deadline);
  CACHE_TEST ("read/partial-survives", test_partial_survives);
  CACHE_TEST ("downloads", test_downloads);
  CACHE_TEST ("outgrown", test_outgrown);
  CACHE_TEST ("full", test_full);
  CACHE_TEST ("look-fetches-nothing", test_look_fetches_nothing);
  CACHE_TEST ("look-while-closing", test_look_while_closing);
  CACHE_TEST ("crowd", test_crowd);
  return g_test_run ();
}
