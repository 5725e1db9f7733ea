/* test-content.c - the life of a content, where threads meet in a bad moment: the test holds one of them at the disk, or
 * tells the time.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cache/content-private.h"
#include "cache/store-private.h"
#include "client/error.h"
#include "fake-client.h"
#include "gate.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SIZE       100000
#define TIMEOUT_MS 60000

/* --- calls that can be held --------------------------------------------------------------------------------- */

/* A file is opened, and was closed. */
static Gate opening = GATE_INIT, closing = GATE_INIT;

int mkdirat (int dirfd, const char *path, mode_t mode) {
  gate_enter (&opening);
  return (int) syscall (SYS_mkdirat, dirfd, path, mode);
}

int futimens (int fd, const struct timespec times[2]) {
  gate_enter (&closing);
  return (int) syscall (SYS_utimensat, fd, NULL, times, 0);
}

/* --- the table ---------------------------------------------------------------------------------------------- */

typedef struct {
  char *dir;
  CabScope *scope;
  CabRecord record;
  CabStore *store;
  CabPool *pool;
  CabPeers *peers;
  CabContents *contents;
} Fixture;

static void learned (gpointer data, const CabScope *scope, const char *id, const CabFacts *facts) {
}

static void spoilt (gpointer data, const CabScope *scope, gint64 expires, const char *id) {
}

static void set_up (Fixture *f, gconstpointer unused) {
  g_autoptr (GError) error = NULL;
  f->dir = g_dir_make_tmp ("cabfs-content-XXXXXX", NULL);
  f->scope = cab_scope_new ("driver", "13984104677400476", "1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed");
  f->record = (CabRecord){.id = "fb57b37b-d364-4caf-995b-d99ae651ee18",
                          .date = CAB_TIME_UNKNOWN,
                          .expires = g_get_real_time () / G_USEC_PER_SEC / 86400 * 86400 + 86400 * 9,
                          .downloadable = TRUE};
  f->store = cab_store_new (f->dir, &error);
  g_assert_no_error (error);
  f->pool = cab_pool_new (1);
  f->peers = cab_peers_new (cab_store_dirfd (f->store));
  CabContentsOptions options = {.store = f->store,
                                .pool = f->pool,
                                .peers = f->peers,
                                .connections = 4,
                                .timeout_ms = TIMEOUT_MS,
                                .learned = learned,
                                .spoilt = spoilt};
  f->contents = cab_contents_new (&options);
  fake_start ();
  fake_set_blob (SIZE, "\"one\"");
}

static void tear_down (Fixture *f, gconstpointer unused) {
  fake_stop ();
  cab_contents_free (f->contents);
  cab_peers_free (f->peers);
  cab_pool_free (f->pool);
  cab_store_free (f->store);
  cab_scope_free (f->scope);
  g_autofree char *command = g_strdup_printf ("rm -rf '%s'", f->dir);
  g_assert_true (g_spawn_command_line_sync (command, NULL, NULL, NULL, NULL));
  g_free (f->dir);
}

/* As the ticker, when everybody has waited for too long. */
static void tick_late (const Fixture *f) {
  cab_contents_tick (f->contents, g_get_monotonic_time () + 2 * TIMEOUT_MS * (gint64) 1000);
}

static guint contents_left (const Fixture *f) {
  CAB_LOCK_SCOPE (&f->contents->lock);
  return f->contents->contents;
}

static void await_no_contents (const Fixture *f) {
  CAB_LOCK_SCOPE (&f->contents->lock);
  while (f->contents->contents > 0)
    pthread_cond_wait (&f->contents->emptied, &f->contents->lock);
}

/* --- who waits for an answer -------------------------------------------------------------------------------- */

typedef struct {
  Latch latch;
  GError *error;
  CabContent *content;
  char *bytes;
  gsize len;
} Result;

#define RESULT_INIT                                                                                            \
  { .latch = LATCH_INIT }

static void result_clear (Result *self) {
  g_clear_error (&self->error);
  g_free (self->bytes);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Result, result_clear)

static void on_open (gpointer data, CabContent *content, const GError *error) {
  Result *self = data;
  self->content = content;
  self->error = error != NULL ? g_error_copy (error) : NULL;
  latch_up (&self->latch);
}

static void on_read (gpointer data, const void *bytes, gsize len, const GError *error) {
  Result *self = data;
  self->bytes = g_memdup2 (bytes, len);
  self->len = len;
  self->error = error != NULL ? g_error_copy (error) : NULL;
  latch_up (&self->latch);
}

static void open_cab (const Fixture *f, const char *md5, Result *result) {
  cab_contents_open (f->contents, f->scope, &f->record, md5, CAB_REACH_NETWORK, on_open, result);
}

/* Opens the CAB, of which the first bytes come then. */
static CabContent *open_part (const Fixture *f, const char *md5) {
  g_auto (Result) result = RESULT_INIT;
  open_cab (f, md5, &result);
  fake_answer_get (fake_take (), 100, 100, NULL);
  latch_wait (&result.latch, 1);
  g_assert_no_error (result.error);
  return result.content;
}

/* --- contents that fail ------------------------------------------------------------------------------------- */

static GError *changed (void) {
  return g_error_new_literal (CAB_ERROR, CAB_ERROR_CHANGED, "the blob was replaced");
}

/* The last transfer tells of another blob when the last who had the CAB open has closed it: the object is being closed. */
static void test_fails_while_retiring (Fixture *f, gconstpointer unused) {
  g_autoptr (GError) error = changed ();
  CabContent *content = open_part (f, NULL);
  cab_content_hold (content);
  gate_close (&closing, 0);
  cab_content_unref (content);
  gate_wait (&closing);
  cab_content_fail (content, error);
  gate_open (&closing);
  cab_content_drop (content);
  g_clear_pointer (&f->contents, cab_contents_free); /* it is gone */
  g_autofree char *owner = cab_content_owner (f->scope);
  const CabObjectKey key = {owner, f->record.expires, f->record.id, FALSE};
  g_auto (CabMap) map = {0};
  g_assert_true (cab_store_peek (f->store, &key, &map));
}

typedef struct {
  const Fixture *f;
  const CabMemberSpec *member; /* NULL: the CAB */
  Result result;
} Opening;

static void *open_on (void *data) {
  Opening *self = data;
  const Fixture *f = self->f;
  if (self->member != NULL)
    cab_contents_open_member (f->contents, f->scope, &f->record, self->member, CAB_REACH_NETWORK, on_open,
                              &self->result);
  else
    open_cab (f, NULL, &self->result);
  return NULL;
}

static void save_member (const Fixture *f, const CabObjectKey *key, const char *stamp) {
  g_autoptr (GError) error = NULL;
  g_auto (CabMap) map = {0};
  CabObject *object = cab_object_open (f->store, key, &map);
  g_assert_true (cab_object_write (object, 0, "abc", 3, &error));
  map.id = g_strdup (key->id);
  map.owner = g_strdup (key->owner);
  map.size = 3;
  map.etag = g_strdup (stamp);
  cab_ranges_add (&map.have, 0, 3);
  g_assert_true (cab_object_save (object, &map, &error));
  cab_object_close (object);
}

static CabContent *find_content (const Fixture *f, const CabMemberSpec *member) {
  g_autofree char *key = cab_content_key (f->scope, &f->record, member);
  CAB_LOCK_SCOPE (&f->contents->lock);
  return cab_content_hold (g_hash_table_lookup (f->contents->table, key));
}

/* The CAB of a member turns out to be spoilt while the file of the member, that of another version, is exchanged. */
static void test_fails_while_opening (Fixture *f, gconstpointer unused) {
  g_autoptr (GError) error = changed ();
  const CabMemberSpec member = {.id = 1, .has_size = TRUE, .size = 3, .stamp = "new", .path = "a"};
  g_autofree char *id = cab_member_object_id (f->record.id, member.id);
  g_autofree char *owner = cab_content_owner (f->scope);
  const CabObjectKey key = {owner, f->record.expires, id, TRUE};
  save_member (f, &key, "old");
  Opening other = {f, &member, RESULT_INIT};
  pthread_t thread;
  gate_close (&opening, 1);
  g_assert_cmpint (pthread_create (&thread, NULL, open_on, &other), ==, 0);
  gate_wait (&opening);
  CabContent *content = find_content (f, &member);
  cab_content_fail (content, error);
  gate_open (&opening);
  pthread_join (thread, NULL);
  g_assert_cmpuint (latch_count (&other.result.latch), ==, 1);
  g_assert_error (other.result.error, CAB_ERROR, CAB_ERROR_CHANGED);
  g_assert_cmpuint (content->phase, ==, CONTENT_FAILED);
  g_autofree char *path = cab_store_data_path (&key);
  g_assert_cmpint (faccessat (cab_store_dirfd (f->store), path, F_OK, 0), <, 0);
  cab_content_drop (content);
  result_clear (&other.result);
}

/* --- contents that nobody waits for any more ---------------------------------------------------------------- */

/* The disk took so long that who opens it has gone: it closes at once, or the mount would wait for it when it ends. */
static void test_late_for_opener (Fixture *f, gconstpointer unused) {
  Opening other = {f, NULL, RESULT_INIT};
  cab_content_unref (open_part (f, NULL));
  await_no_contents (f);
  pthread_t thread;
  gate_close (&opening, 0);
  g_assert_cmpint (pthread_create (&thread, NULL, open_on, &other), ==, 0);
  gate_wait (&opening);
  tick_late (f);
  g_assert_cmpuint (latch_count (&other.result.latch), ==, 1);
  g_assert_error (other.result.error, CAB_ERROR, CAB_ERROR_TIMEOUT);
  gate_open (&opening);
  pthread_join (thread, NULL);
  g_assert_cmpuint (contents_left (f), ==, 0);
  result_clear (&other.result);
}

static void be_busy (gpointer gate) {
  gate_enter (gate);
}

/* All bytes are here, but the pool is busy with other files: who waits for their MD5 waits for no host. */
static void test_late_for_reader (Fixture *f, gconstpointer unused) {
  g_autofree guchar *bytes = g_malloc (SIZE);
  for (guint i = 0; i < SIZE; i++)
    bytes[i] = fake_byte (i);
  g_autofree char *md5 = g_compute_checksum_for_data (G_CHECKSUM_MD5, bytes, SIZE);
  g_auto (Result) result = RESULT_INIT;
  Gate busy = GATE_INIT;
  gate_close (&busy, 0);
  cab_pool_push (f->pool, be_busy, &busy);
  CabContent *content = open_part (f, md5);
  cab_content_read (content, 0, SIZE, on_read, &result);
  fake_answer_get (fake_take (), G_MAXUINT64, SIZE, NULL);
  tick_late (f);
  g_assert_cmpuint (latch_count (&result.latch), ==, 0);
  gate_open (&busy);
  latch_wait (&result.latch, 1);
  g_assert_no_error (result.error);
  g_assert_cmpuint (result.len, ==, SIZE);
  g_assert_cmpint (memcmp (result.bytes, bytes, SIZE), ==, 0);
  cab_content_unref (content);
}

/* --- contents that are in trouble --------------------------------------------------------------------------- */

/* A reader is told that the host fails before the request that he wanted, too, has begun: it is not made. */
static void test_nobody_waits_in_trouble (Fixture *f, gconstpointer unused) {
  g_autoptr (GError) error = g_error_new_literal (CAB_ERROR, CAB_ERROR_FAILED, "busy");
  g_auto (Result) result = RESULT_INIT;
  CabContent *content = open_part (f, NULL);
  cab_content_read (content, 50000, 10, on_read, &result);
  fake_answer_get (fake_take (), 0, SIZE, error);
  latch_wait (&result.latch, 1);
  g_assert_error (result.error, CAB_ERROR, CAB_ERROR_FAILED);
  {
    CAB_LOCK_SCOPE (&f->contents->lock);
    content->trouble_us = G_MAXINT64; /* however slow this test is */
  }
  guint asked = fake_count (FAKE_GET);
  cab_content_fetch (content, cab_plan_zone (50000, 60000), 60000);
  g_assert_cmpuint (fake_count (FAKE_GET), ==, asked);
  cab_content_unref (content);
}

/* --- contents that are opened twice ------------------------------------------------------------------------- */

/* Who may not ask the services comes while another one is opening the CAB, all of which is on the disk. */
static void test_local_while_opening (Fixture *f, gconstpointer unused) {
  g_auto (Result) read = RESULT_INIT, local = RESULT_INIT;
  CabContent *before = open_part (f, NULL);
  cab_content_read (before, 0, SIZE, on_read, &read);
  fake_answer_get (fake_take (), G_MAXUINT64, SIZE, NULL);
  latch_wait (&read.latch, 1);
  cab_content_unref (before);
  await_no_contents (f);
  Opening other = {f, NULL, RESULT_INIT};
  pthread_t thread;
  gate_close (&opening, 0);
  g_assert_cmpint (pthread_create (&thread, NULL, open_on, &other), ==, 0);
  gate_wait (&opening);
  cab_contents_open (f->contents, f->scope, &f->record, NULL, CAB_REACH_LOCAL, on_open, &local);
  gate_open (&opening);
  pthread_join (thread, NULL);
  latch_wait (&local.latch, 1);
  g_assert_no_error (local.error);
  cab_content_unref (local.content);
  cab_content_unref (other.result.content);
  result_clear (&other.result);
}

/* --- contents that are said to be large --------------------------------------------------------------------- */

/* Room is to be made while a CAB is open of which little is here, and much is said to be missing: that ends. */
static void test_trim_large (Fixture *f, gconstpointer unused) {
  fake_set_blob ((guint64) 1 << 60, "\"one\"");
  CabContent *content = open_part (f, NULL);
  g_assert_cmpuint (cab_contents_trim (f->contents, G_MAXUINT32, 0), <=, 100); /* 0 where files have no holes */
  cab_content_unref (content);
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
#define CONTENT_TEST(name, func) g_test_add ("/content/" name, Fixture, NULL, set_up, func, tear_down)
  CONTENT_TEST ("fails-while-retiring", test_fails_while_retiring);
  CONTENT_TEST ("fails-while-opening", test_fails_while_opening);
  CONTENT_TEST ("late-for-opener", test_late_for_opener);
  CONTENT_TEST ("late-for-reader", test_late_for_reader);
  CONTENT_TEST ("nobody-waits-in-trouble", test_nobody_waits_in_trouble);
  CONTENT_TEST ("local-while-opening", test_local_while_opening);
  CONTENT_TEST ("trim-large", test_trim_large);
  return g_test_run ();
}
