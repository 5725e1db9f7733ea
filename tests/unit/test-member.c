/* Members of CABs: the whole of cache/ and the real worker, with a client whose blob is an archive.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cache/cache.h"

#include "cache/content.h"
#include "client/error.h"
#include "fake-client.h"
#include "latch.h"
#include "unpack-rig.h"

#include <string.h>

#define MIB ((guint64) 1 << 20)

typedef struct {
  char *dir;
  CabScope *scope;
  CabCache *cache;
  pthread_t host;
} Fixture;

/* --- the host: answers at once, or not before it is let ------------------------------------------------------- */

static struct {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  gboolean closed; /* lock */
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void gate_set (gboolean closed) {
  CAB_LOCK_SCOPE (&gate.lock);
  gate.closed = closed;
  pthread_cond_broadcast (&gate.changed);
}

static void gate_pass (void) {
  CAB_LOCK_SCOPE (&gate.lock);
  while (gate.closed)
    pthread_cond_wait (&gate.changed, &gate.lock);
}

static void *serve (void *unused) {
  for (FakeRequest *request = fake_take (); request != NULL; request = fake_take ()) {
    gate_pass ();
    if (request->kind == FAKE_GET) {
      fake_answer_get (request, G_MAXUINT64, 10000, NULL);
    } else if (request->kind == FAKE_PROBE) {
      fake_answer_probe (request, NULL);
    } else {
      CabRecords *records = cab_records_builder_end (cab_records_builder_new ());
      fake_answer_list (request, records, NULL);
      cab_records_unref (records);
    }
  }
  return NULL;
}

/* --- life ----------------------------------------------------------------------------------------------------- */

static void open_cache (Fixture *f) {
  g_autoptr (GError) error = NULL;
  g_autofree char *dir = g_build_filename (f->dir, "cache", NULL);
  g_autofree char *program = rig_program ();
  const CabCacheOptions options = {.dir = dir,
                                   .keep_s = 86400,
                                   .listing_ttl_s = 300,
                                   .read_ahead = 1 << 20,
                                   .connections = 4,
                                   .size_connections = 8,
                                   .timeout_ms = 60000,
                                   .members = TRUE,
                                   .member_limit = 1000 * MIB,
                                   .unpack_program = program};
  fake_start ();
  f->cache = cab_cache_new (&options, NULL, &error);
  g_assert_no_error (error);
  cab_cache_begin (f->cache);
  g_assert_cmpint (pthread_create (&f->host, NULL, serve, NULL), ==, 0);
}

static void close_cache (Fixture *f) {
  gate_set (FALSE);
  cab_cache_stop (f->cache);
  pthread_join (f->host, NULL);
  cab_cache_free (g_steal_pointer (&f->cache));
}

static void set_up (Fixture *f, gconstpointer unused) {
  f->dir = g_dir_make_tmp ("cabfs-member-XXXXXX", NULL);
  f->scope = cab_scope_new ("driver", "13984104677400476", "1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed");
  g_autoptr (GBytes) archive = rig_made ("mszip.cab");
  fake_set_bytes (archive, "\"one\"");
  open_cache (f);
}

static void tear_down (Fixture *f, gconstpointer unused) {
  close_cache (f);
  cab_scope_free (f->scope);
  g_autofree char *command = g_strdup_printf ("rm -rf '%s'", f->dir);
  g_assert_true (g_spawn_command_line_sync (command, NULL, NULL, NULL, NULL));
  g_free (f->dir);
}

static CabRecord record = {.id = "cab-1", .date = CAB_TIME_UNKNOWN, .downloadable = TRUE};

static const CabRecord *cab (void) {
  return &record;
}

/* --- calls that wait ------------------------------------------------------------------------------------------ */

typedef struct {
  Latch done;
  CabMemberList *members;
  CabContent *content;
  char *bytes;
  gsize len;
  GError *error;
} Answer;

static void answer_clear (Answer *self) {
  cab_member_list_unref (self->members);
  cab_content_unref (self->content);
  g_free (self->bytes);
  g_clear_error (&self->error);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Answer, answer_clear)

#define ANSWER_INIT                                                                                            \
  { .done = LATCH_INIT }

static void on_members (gpointer data, CabMemberList *members, const GError *error) {
  Answer *self = data;
  self->members = members != NULL ? cab_member_list_ref (members) : NULL;
  self->error = error != NULL ? g_error_copy (error) : NULL;
  latch_up (&self->done);
}

static void on_open (gpointer data, CabContent *content, const GError *error) {
  Answer *self = data;
  self->content = content;
  self->error = error != NULL ? g_error_copy (error) : NULL;
  latch_up (&self->done);
}

static void on_read (gpointer data, const void *bytes, gsize len, const GError *error) {
  Answer *self = data;
  self->bytes = g_memdup2 (bytes, len);
  self->len = len;
  self->error = error != NULL ? g_error_copy (error) : NULL;
  latch_up (&self->done);
}

static CabContent *open_member_of (Fixture *f, const CabRecord *of, const char *path, CabReach reach,
                                   GError **error) {
  g_auto (Answer) answer = ANSWER_INIT;
  cab_cache_open_member (f->cache, f->scope, of, path, reach, on_open, &answer);
  latch_wait (&answer.done, 1);
  if (answer.error != NULL)
    g_propagate_error (error, g_steal_pointer (&answer.error));
  return g_steal_pointer (&answer.content);
}

static CabContent *open_member (Fixture *f, const char *path, CabReach reach, GError **error) {
  return open_member_of (f, cab (), path, reach, error);
}

/* As fs/ reads. */
static char *read_at (CabContent *content, guint64 off, gsize len, GError **error) {
  g_autofree char *bytes = g_malloc (len);
  gsize got;
  if (cab_content_read_now (content, off, len, bytes, &got))
    return g_steal_pointer (&bytes);
  g_auto (Answer) answer = ANSWER_INIT;
  cab_content_read (content, off, len, on_read, &answer);
  latch_wait (&answer.done, 1);
  if (answer.error != NULL)
    g_propagate_error (error, g_steal_pointer (&answer.error));
  return g_steal_pointer (&answer.bytes);
}

static void check_pattern (const char *bytes, guint64 off, gsize len) {
  g_autoptr (GBytes) pattern = rig_pattern (200000);
  g_assert_true (memcmp (bytes, (const char *) g_bytes_get_data (pattern, NULL) + off, len) == 0);
}

/* --- tests ---------------------------------------------------------------------------------------------------- */

static void test_list (Fixture *f, gconstpointer unused) {
  Answer answers[8];
  g_assert_null (cab_cache_peek_members (f->cache, f->scope, cab ()));
  for (guint i = 0; i < G_N_ELEMENTS (answers); i++) {
    answers[i] = (Answer) ANSWER_INIT;
    cab_cache_members (f->cache, f->scope, cab (), CAB_REACH_NETWORK, on_members, &answers[i]);
  }
  for (guint i = 0; i < G_N_ELEMENTS (answers); i++) {
    latch_wait (&answers[i].done, 1);
    g_assert_no_error (answers[i].error);
    g_assert_cmpuint (cab_member_list_count (answers[i].members), ==, 4);
    g_assert_true (answers[i].members == answers[0].members);
  }
  guint index;
  g_assert_true (cab_member_list_find (answers[0].members, "sub/info.xml", &index));
  g_autoptr (CabMemberList) peeked = cab_cache_peek_members (f->cache, f->scope, cab ());
  g_assert_true (peeked == answers[0].members);
  for (guint i = 0; i < G_N_ELEMENTS (answers); i++)
    answer_clear (&answers[i]);
  g_assert_cmpuint (fake_count (FAKE_GET), ==, 1);
}

static void test_local (Fixture *f, gconstpointer unused) {
  g_autoptr (GError) error = NULL;
  g_auto (Answer) answer = ANSWER_INIT;
  cab_cache_members (f->cache, f->scope, cab (), CAB_REACH_LOCAL, on_members, &answer);
  latch_wait (&answer.done, 1);
  g_assert_error (answer.error, CAB_ERROR, CAB_ERROR_DENIED);
  g_assert_null (open_member (f, "minidump.mdmp", CAB_REACH_LOCAL, &error));
  g_assert_error (error, CAB_ERROR, CAB_ERROR_DENIED);
  g_assert_cmpuint (fake_count (FAKE_GET), ==, 0);
}

static void test_read (Fixture *f, gconstpointer unused) {
  g_autoptr (GError) error = NULL;
  g_autoptr (CabContent) content = open_member (f, "minidump.mdmp", CAB_REACH_NETWORK, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (cab_content_size (content), ==, 200000);
  g_autofree char *tail = read_at (content, 199000, 1000, &error);
  g_assert_no_error (error);
  check_pattern (tail, 199000, 1000);
  g_autofree char *head = read_at (content, 0, 1000, &error);
  check_pattern (head, 0, 1000);
  CabLocal local;
  cab_cache_member_local (f->cache, f->scope, cab (), cab_member_id (0, 0), &local);
  g_assert_cmpuint (local.bytes, ==, 200000);
  g_assert_true (local.complete);
  g_assert_null (local.etag);
  /* There is one content however often it is opened. */
  g_autoptr (CabContent) again = open_member (f, "minidump.mdmp", CAB_REACH_LOCAL, &error);
  g_assert_true (again == content);
  g_assert_null (open_member (f, "none", CAB_REACH_NETWORK, &error));
  g_assert_error (error, CAB_ERROR, CAB_ERROR_NOT_FOUND);
}

/* What was taken out is there for the next process, with nobody to ask. */
static void test_kept (Fixture *f, gconstpointer unused) {
  g_autoptr (GError) error = NULL;
  CabContent *content = open_member (f, "last.bin", CAB_REACH_NETWORK, &error);
  g_autofree char *bytes = read_at (content, 0, 70000, &error);
  check_pattern (bytes, 0, 70000);
  cab_content_unref (content);
  close_cache (f);
  open_cache (f);
  content = open_member (f, "last.bin", CAB_REACH_LOCAL, &error); /* the CAB is whole too */
  g_assert_no_error (error);
  char now[70000];
  gsize got;
  g_assert_true (cab_content_read_now (content, 0, sizeof now, now, &got));
  check_pattern (now, 0, sizeof now);
  g_assert_cmpuint (fake_count (FAKE_GET), ==, 0);
  cab_content_unref (content);
}

/* A host that has another version says so to the reader; who comes after that gets the other one. */
static void test_replaced (Fixture *f, gconstpointer unused) {
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) large = rig_made ("far.cab"), other = rig_made ("mszip.cab");
  fake_set_bytes (large, "\"large\"");
  CabContent *content = open_member (f, "small", CAB_REACH_NETWORK, &error);
  g_assert_no_error (error);
  fake_set_bytes (other, "\"other\"");
  g_assert_null (read_at (content, 0, 1000, &error));
  g_assert_error (error, CAB_ERROR, CAB_ERROR_CHANGED);
  g_clear_error (&error);
  cab_content_unref (content);
  content = open_member (f, "minidump.mdmp", CAB_REACH_NETWORK, &error);
  g_assert_no_error (error);
  g_autofree char *good = read_at (content, 0, 1000, &error);
  check_pattern (good, 0, 1000);
  cab_content_unref (content);
}

static void test_stopped (Fixture *f, gconstpointer unused) {
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) large = rig_made ("far.cab");
  fake_set_bytes (large, "\"large\"");
  CabContent *content = open_member (f, "large", CAB_REACH_NETWORK, &error);
  g_assert_no_error (error);
  gate_set (TRUE);
  g_auto (Answer) answer = ANSWER_INIT;
  cab_content_read (content, 4 * MIB - 1000, 1000, on_read, &answer);
  gate_set (FALSE);
  cab_cache_stop (f->cache);
  latch_wait (&answer.done, 1); /* with its bytes, if they were faster */
  cab_content_unref (content);
}

/* --- a member whose size its archive does not tell: the parts of the cache by themselves ------------------------- */

typedef struct {
  CabStore *store;
  CabPool *pool;
  CabUnpacker *unpacker;
  CabContents *contents;
} Parts;

static void open_of_parts (gpointer data, const CabScope *scope, const CabRecord *of, CabReach reach,
                           CabOpenDone done, gpointer done_data) {
  Parts *parts = data;
  cab_contents_open (parts->contents, scope, of, NULL, reach, done, done_data);
}

static void ignore_facts (gpointer data, const CabScope *scope, const char *id, const CabFacts *facts) {
}

static void ignore_spoilt (gpointer data, const CabScope *scope, gint64 expires, const char *id) {
}

static void parts_new (Fixture *f, Parts *parts) {
  g_autofree char *dir = g_build_filename (f->dir, "parts", NULL);
  parts->store = cab_store_new (dir, NULL);
  parts->pool = cab_pool_new (1);
  parts->unpacker = rig_unpacker (1, 1000 * MIB);
  const CabContentsOptions options = {.store = parts->store,
                                      .pool = parts->pool,
                                      .unpacker = parts->unpacker,
                                      .read_ahead = MIB,
                                      .connections = 1,
                                      .timeout_ms = 60000,
                                      .learned = ignore_facts,
                                      .open = open_of_parts,
                                      .spoilt = ignore_spoilt,
                                      .data = parts};
  parts->contents = cab_contents_new (&options);
}

static void parts_free (Parts *parts) {
  cab_unpacker_stop (parts->unpacker);
  cab_contents_free (parts->contents);
  cab_unpacker_free (parts->unpacker);
  cab_pool_free (parts->pool);
  cab_store_free (parts->store);
}

static CabContent *open_unsized (Fixture *f, Parts *parts, guint ordinal, const char *stamp, GError **error) {
  g_auto (Answer) answer = ANSWER_INIT;
  const CabMemberSpec spec = {.id = cab_member_id (0, ordinal), .modified = CAB_TIME_UNKNOWN, .stamp = stamp};
  cab_contents_open_member (parts->contents, f->scope, cab (), &spec, CAB_REACH_NETWORK, on_open, &answer);
  latch_wait (&answer.done, 1);
  if (answer.error != NULL)
    g_propagate_error (error, g_steal_pointer (&answer.error));
  return g_steal_pointer (&answer.content);
}

/* It is open when all of it is there, and then its size is known; the next time it is known from the store. */
static void test_unknown_size (Fixture *f, gconstpointer unused) {
  Parts parts;
  parts_new (f, &parts);
  g_auto (Answer) whole = ANSWER_INIT;
  cab_contents_open (parts.contents, f->scope, cab (), NULL, CAB_REACH_NETWORK, on_open, &whole);
  latch_wait (&whole.done, 1);
  g_autofree char *stamp = cab_content_stamp (whole.content);
  g_clear_pointer (&whole.content, cab_content_unref);
  for (guint again = 0; again < 2; again++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (CabContent) content = open_unsized (f, &parts, 0, stamp, &error);
    g_assert_no_error (error);
    g_assert_cmpuint (cab_content_size (content), ==, 200000);
    g_autofree char *bytes = read_at (content, 100000, 1000, &error);
    check_pattern (bytes, 100000, 1000);
  }
  g_autoptr (GError) error = NULL;
  g_assert_null (open_unsized (f, &parts, 99, stamp, &error)); /* there is no such member */
  g_assert_error (error, CAB_ERROR, CAB_ERROR_INVALID);
  parts_free (&parts);
}

/* --- many at a time --------------------------------------------------------------------------------------------- */

typedef struct {
  Fixture *fixture;
  guint seed;
} Reader;

static void *read_around (void *data) {
  Reader *reader = data;
  static const char *const paths[] = {"minidump.mdmp", "last.bin", "sub/info.xml", "empty"};
  static const guint64 sizes[] = {200000, 70000, 150, 0};
  g_autoptr (GRand) rand = g_rand_new_with_seed (reader->seed);
  for (guint i = 0; i < 60; i++) {
    g_autoptr (GError) error = NULL;
    guint which = (guint) g_rand_int_range (rand, 0, G_N_ELEMENTS (paths));
    g_autoptr (CabContent) content = open_member (reader->fixture, paths[which], CAB_REACH_NETWORK, &error);
    g_assert_no_error (error);
    g_assert_cmpuint (cab_content_size (content), ==, sizes[which]);
    if (sizes[which] == 0)
      continue;
    guint64 off = (guint64) g_rand_int_range (rand, 0, (gint32) sizes[which]);
    gsize len = (gsize) MIN (5000, sizes[which] - off);
    g_autofree char *bytes = read_at (content, off, len, &error);
    g_assert_no_error (error);
    check_pattern (bytes, off, len);
  }
  return NULL;
}

static void test_many_readers (Fixture *f, gconstpointer unused) {
  pthread_t threads[6];
  Reader readers[G_N_ELEMENTS (threads)];
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++) {
    readers[i] = (Reader){f, 100 + i};
    g_assert_cmpint (pthread_create (&threads[i], NULL, read_around, &readers[i]), ==, 0);
  }
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    pthread_join (threads[i], NULL);
}

/* The blob is another one all the time: every answer is an error or right. */
static void *change_around (void *data) {
  g_autoptr (GBytes) packed = rig_made ("mszip.cab");
  g_autoptr (GBytes) stored = rig_made ("stored.cab");
  for (guint i = 0; i < 40; i++) {
    char etag[16];
    g_snprintf (etag, sizeof etag, "\"%u\"", i);
    fake_set_bytes (i % 2 == 0 ? packed : stored, etag);
    g_usleep (2000);
  }
  return NULL;
}

static void *read_what_changes (void *data) {
  Reader *reader = data;
  for (guint i = 0; i < 60; i++) {
    g_autoptr (GError) error = NULL;
    g_autofree char *id = g_strdup_printf ("cab-%u", i / 3);
    CabRecord of = *cab ();
    of.id = id;
    g_autoptr (CabContent) content =
        open_member_of (reader->fixture, &of, "last.bin", CAB_REACH_NETWORK, &error);
    g_autofree char *bytes = content != NULL && i % 5 != 0 ? read_at (content, 1000, 5000, &error) : NULL;
    if (bytes != NULL)
      check_pattern (bytes, 1000, 5000);
  }
  return NULL;
}

static void test_changing (Fixture *f, gconstpointer unused) {
  pthread_t threads[4], changer;
  Reader reader = {f, 0};
  g_assert_cmpint (pthread_create (&changer, NULL, change_around, NULL), ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_assert_cmpint (pthread_create (&threads[i], NULL, read_what_changes, &reader), ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    pthread_join (threads[i], NULL);
  pthread_join (changer, NULL);
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
  g_log_set_always_fatal (G_LOG_FATAL_MASK); /* that a CAB changes is worth a warning */
  record.expires = g_get_real_time () / G_USEC_PER_SEC / 86400 * 86400 + 86400 * 9;
#define MEMBER_TEST(name, func) g_test_add ("/member/" name, Fixture, NULL, set_up, func, tear_down)
  MEMBER_TEST ("list", test_list);
  MEMBER_TEST ("local", test_local);
  MEMBER_TEST ("read", test_read);
  MEMBER_TEST ("kept", test_kept);
  MEMBER_TEST ("replaced", test_replaced);
  MEMBER_TEST ("stopped", test_stopped);
  MEMBER_TEST ("unknown-size", test_unknown_size);
  MEMBER_TEST ("many-readers", test_many_readers);
  MEMBER_TEST ("changing", test_changing);
  return g_test_run ();
}
