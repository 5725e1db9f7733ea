/* SPDX-License-Identifier: MIT */
#include "cache/evict.h"
#include "cache/files.h"
#include "cache/pool.h"
#include "cache/sizefile.h"
#include "cache/store.h"
#include "client/error.h"
#include "client/metrics.h"
#include "client/records.h"
#include "gate.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define ID      "fb57b37b-d364-4caf-995b-d99ae651ee18"
#define EXPIRES 1494165223 /* 20170507T135343Z */
#define OWNER   "driver/13984104677400476"
#define KEY(id) (&(const CabObjectKey){OWNER, EXPIRES, id, FALSE})

typedef struct {
  char *dir;
  CabStore *store;
} Fixture;

static void set_up (Fixture *f, gconstpointer unused) {
  g_autoptr (GError) error = NULL;
  f->dir = g_dir_make_tmp ("cabfs-store-XXXXXX", &error);
  g_assert_no_error (error);
  f->store = cab_store_new (f->dir, &error);
  g_assert_no_error (error);
}

static void remove_tree (const char *path) {
  GDir *dir = g_dir_open (path, 0, NULL);
  for (const char *name = dir != NULL ? g_dir_read_name (dir) : NULL; name != NULL;
       name = g_dir_read_name (dir)) {
    g_autofree char *child = g_build_filename (path, name, NULL);
    remove_tree (child);
  }
  if (dir != NULL)
    g_dir_close (dir);
  g_remove (path);
}

static void tear_down (Fixture *f, gconstpointer unused) {
  cab_store_free (f->store);
  remove_tree (f->dir);
  g_free (f->dir);
}

static char *path_of (const Fixture *f, const char *name) {
  return g_build_filename (f->dir, "20170507T135343Z", name, NULL);
}

/* Leaves an object of 1000 bytes with [0, have) saved. */
static void save_object (Fixture *f, const char *id, guint64 have) {
  g_autoptr (GError) error = NULL;
  g_auto (CabMap) map = {0};
  g_autoptr (CabObject) object = cab_object_open (f->store, KEY (id), &map);
  g_assert_no_error (error);
  char bytes[1000];
  memset (bytes, 'x', sizeof bytes);
  g_assert_true (cab_object_write (object, 0, bytes, (gsize) have, &error));
  map.id = g_strdup (id);
  map.owner = g_strdup (OWNER);
  map.size = 1000;
  map.etag = g_strdup ("\"0x1 2\"");
  cab_ranges_add (&map.have, 0, have);
  cab_sums_add (&map.sums, &(const CabSum){{0, have}, cab_sum_of (bytes, (gsize) have)});
  g_assert_true (cab_object_save (object, &map, &error));
  g_assert_no_error (error);
}

static guint64 reopened_bytes (Fixture *f) {
  g_autoptr (GError) error = NULL;
  g_auto (CabMap) map = {0};
  cab_object_close (cab_object_open (f->store, KEY (ID), &map));
  g_assert_no_error (error);
  return cab_ranges_total (&map.have);
}

static void test_round_trip (Fixture *f, gconstpointer unused) {
  save_object (f, ID, 600);
  g_autoptr (GError) error = NULL;
  g_auto (CabMap) map = {0};
  g_autoptr (CabObject) object = cab_object_open (f->store, KEY (ID), &map);
  g_assert_no_error (error);
  g_assert_cmpuint (map.size, ==, 1000);
  g_assert_cmpstr (map.etag, ==, "\"0x1 2\"");
  g_assert_true (cab_ranges_has (&map.have, 0, 600));
  g_assert_cmpuint (cab_ranges_total (&map.have), ==, 600);
  char bytes[600];
  g_assert_true (cab_object_read (object, 0, bytes, sizeof bytes, &error));
  g_assert_cmpint (bytes[599], ==, 'x');
  g_assert_false (cab_object_read (object, 500, bytes, sizeof bytes, &error)); /* never short */
  g_assert_error (error, CAB_ERROR, CAB_ERROR_FAILED);
}

static void overwrite (const char *path, gsize at, char with) {
  int fd = g_open (path, O_WRONLY | O_CLOEXEC, 0);
  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (pwrite (fd, &with, 1, (off_t) at), ==, 1);
  close (fd);
}

/* Whatever happens to a map, the CAB is fetched again. */
static void test_damaged_map (Fixture *f, gconstpointer unused) {
  g_autofree char *map_path = path_of (f, ID ".map");
  save_object (f, ID, 600);
  struct stat st;
  g_assert_cmpint (g_stat (map_path, &st), ==, 0);
  for (gsize at = 0; at < (gsize) st.st_size; at += 7) {
    g_test_expect_message (NULL, G_LOG_LEVEL_WARNING, "*is fetched again*");
    overwrite (map_path, at, '\1');
    g_assert_cmpuint (reopened_bytes (f), ==, 0);
    g_test_assert_expected_messages ();
    save_object (f, ID, 600);
    g_assert_cmpuint (reopened_bytes (f), ==, 600);
  }
  g_test_expect_message (NULL, G_LOG_LEVEL_WARNING, "*is fetched again*");
  g_assert_cmpint (truncate (map_path, st.st_size / 2), ==, 0);
  g_assert_cmpuint (reopened_bytes (f), ==, 0);
  g_test_assert_expected_messages ();
}

static void test_other_data_file (Fixture *f, gconstpointer unused) {
  g_autofree char *data_path = path_of (f, ID ".cab");
  save_object (f, ID, 600);
  char *content;
  gsize len;
  g_assert_true (g_file_get_contents (data_path, &content, &len, NULL));
  g_remove (data_path);
  g_assert_true (g_file_set_contents (data_path, content, (gssize) len, NULL));
  g_free (content);
  g_test_expect_message (NULL, G_LOG_LEVEL_WARNING, "*is fetched again*");
  g_assert_cmpuint (reopened_bytes (f), ==, 0);
  g_test_assert_expected_messages ();
}

static void test_truncated_data (Fixture *f, gconstpointer unused) {
  g_autofree char *data_path = path_of (f, ID ".cab");
  save_object (f, ID, 600);
  g_assert_cmpint (truncate (data_path, 599), ==, 0);
  g_test_expect_message (NULL, G_LOG_LEVEL_WARNING, "*is fetched again*");
  g_assert_cmpuint (reopened_bytes (f), ==, 0);
  g_test_assert_expected_messages ();
}

/* What was written into is still there, to be compared with its sums: of a part always, of a whole that was left alone
 * not. */
static void test_written_since (Fixture *f, gconstpointer unused) {
  g_autofree char *data_path = path_of (f, ID ".cab");
  save_object (f, ID, 1000);
  for (guint i = 0; i < 2; i++) {
    g_auto (CabMap) map = {0}, peeked = {0};
    cab_object_close (cab_object_open (f->store, KEY (ID), &map));
    g_assert_cmpuint (cab_ranges_total (&map.have), ==, 1000);
    g_assert_cmpuint (map.sums.count, ==, 1);
    g_assert_cmpint (map.written_since, ==, i > 0);
    g_assert_cmpint (cab_store_peek (f->store, KEY (ID), &peeked), ==, i == 0);
    overwrite (data_path, 500, 'y');
  }
}

static void test_swapped_map (Fixture *f, gconstpointer unused) {
  g_autofree char *map_path = path_of (f, ID ".map");
  g_autofree char *other_path = path_of (f, "other.map");
  save_object (f, ID, 600);
  save_object (f, "other", 800);
  g_assert_cmpint (g_rename (other_path, map_path), ==, 0);
  g_test_expect_message (NULL, G_LOG_LEVEL_WARNING, "*is fetched again*");
  g_assert_cmpuint (reopened_bytes (f), ==, 0);
  g_test_assert_expected_messages ();
}

/* Who finds a writer gets a file of his own, and leaves no trace. */
static void test_two_writers (Fixture *f, gconstpointer unused) {
  g_autoptr (GError) error = NULL;
  g_auto (CabMap) first_map = {0}, second_map = {0};
  g_autoptr (CabObject) first = cab_object_open (f->store, KEY (ID), &first_map);
  g_assert_no_error (error);
  CabObject *second = cab_object_open (f->store, KEY (ID), &second_map);
  g_assert_no_error (error);
  g_assert_true (cab_object_write (first, 0, "aaaa", 4, &error));
  g_assert_true (cab_object_write (second, 0, "bbbb", 4, &error));
  char bytes[4];
  g_assert_true (cab_object_read (first, 0, bytes, 4, &error));
  g_assert_cmpmem (bytes, 4, "aaaa", 4);
  g_assert_true (cab_object_read (second, 0, bytes, 4, &error));
  g_assert_cmpmem (bytes, 4, "bbbb", 4);
  second_map.id = g_strdup (ID);
  second_map.owner = g_strdup (OWNER);
  second_map.size = 4;
  g_assert_true (cab_object_save (second, &second_map, &error));
  cab_object_close (second);
  g_autofree char *map_path = path_of (f, ID ".map");
  g_assert_false (g_file_test (map_path, G_FILE_TEST_EXISTS));
}

/* Two applications have a CAB of one name: neither gets the bytes of the other, and the first one's are kept. */
static void test_other_owner (Fixture *f, gconstpointer unused) {
  save_object (f, ID, 600);
  g_auto (CabMap) map = {0};
  const CabObjectKey key = {"store/9NBLGGGZ5QDR", EXPIRES, ID, FALSE};
  CabObject *object = cab_object_open (f->store, &key, &map);
  g_assert_cmpuint (cab_ranges_total (&map.have), ==, 0);
  g_assert_true (cab_object_write (object, 0, "bbbb", 4, NULL));
  map.id = g_strdup (ID);
  map.owner = g_strdup (key.owner);
  map.size = 4;
  cab_ranges_add (&map.have, 0, 4);
  g_assert_true (cab_object_save (object, &map, NULL));
  cab_object_close (object);
  g_auto (CabMap) peeked = {0};
  g_assert_false (cab_store_peek (f->store, &key, &peeked));
  g_assert_cmpuint (reopened_bytes (f), ==, 600);
}

/* Removed while it is open: who has it keeps it, and his map must not speak for the next one's data. */
static void test_removed_while_open (Fixture *f, gconstpointer unused) {
  g_autoptr (GError) error = NULL;
  g_auto (CabMap) map = {0};
  g_autoptr (CabObject) object = cab_object_open (f->store, KEY (ID), &map);
  g_assert_true (cab_object_write (object, 0, "abcd", 4, &error));
  g_autofree char *data_path = path_of (f, ID ".cab");
  g_assert_cmpint (g_remove (data_path), ==, 0);
  char bytes[4];
  g_assert_true (cab_object_read (object, 0, bytes, 4, &error));
  map.id = g_strdup (ID);
  map.owner = g_strdup (OWNER);
  map.size = 4;
  cab_ranges_add (&map.have, 0, 4);
  g_assert_true (cab_object_save (object, &map, &error));
  g_assert_cmpuint (reopened_bytes (f), ==, 0);
}

static void test_discard (Fixture *f, gconstpointer unused) {
  save_object (f, ID, 600);
  g_auto (CabMap) map = {0};
  CabObject *object = cab_object_open (f->store, KEY (ID), &map);
  cab_object_discard (object);
  cab_object_close (object);
  g_assert_cmpuint (cab_store_bytes (f->store, KEY (ID)), ==, 0);
  g_auto (CabMap) peeked = {0};
  g_assert_false (cab_store_peek (f->store, KEY (ID), &peeked));
}

static void test_refuses_foreign_directory (Fixture *f, gconstpointer unused) {
  g_autofree char *dir = g_build_filename (f->dir, "listings", NULL);
  g_autofree char *file = g_build_filename (dir, "thesis.tex", NULL);
  g_autoptr (GError) error = NULL;
  g_assert_cmpint (g_mkdir (dir, 0755), ==, 0);
  g_assert_true (g_file_set_contents (file, "x", 1, NULL));
  g_assert_null (cab_store_new (dir, &error));
  g_assert_error (error, CAB_ERROR, CAB_ERROR_INVALID);
  g_assert_nonnull (strstr (error->message, dir));
  g_clear_error (&error);
  g_autofree char *version = g_build_filename (f->dir, "version", NULL);
  g_assert_true (g_file_set_contents (version, "cabfs-cache 99\n", -1, NULL));
  g_assert_null (cab_store_new (f->dir, &error));
  g_assert_error (error, CAB_ERROR, CAB_ERROR_INVALID);
}

/* What a power cut leaves is a cache to those who only look, too; unless something else is there. */
static void test_empty_version (Fixture *f, gconstpointer unused) {
  g_autofree char *version = g_build_filename (f->dir, "version", NULL);
  g_autofree char *file = g_build_filename (f->dir, "thesis.tex", NULL);
  g_autoptr (GError) error = NULL;
  g_assert_true (g_file_set_contents (version, "", 0, NULL));
  CabStore *store = cab_store_open (f->dir, &error);
  g_assert_no_error (error);
  cab_store_free (store);
  g_assert_true (g_file_set_contents (file, "x", 1, NULL));
  g_assert_null (cab_store_open (f->dir, &error));
  g_assert_error (error, CAB_ERROR, CAB_ERROR_INVALID);
}

static void test_private_mode (Fixture *f, gconstpointer unused) {
  struct stat st;
  save_object (f, ID, 10);
  g_assert_cmpint (g_stat (f->dir, &st), ==, 0);
  g_assert_cmpuint (st.st_mode & 0777, ==, 0700);
  g_autofree char *data_path = path_of (f, ID ".cab");
  g_assert_cmpint (g_stat (data_path, &st), ==, 0);
  g_assert_cmpuint (st.st_mode & 0777, ==, 0600);
}

/* --- members ------------------------------------------------------------------------------------------------- */

#define MEMBER(id) (&(const CabObjectKey){OWNER, EXPIRES, id, TRUE})

/* Leaves a member of 10 bytes, @whole or as a crash leaves it. */
static void save_member (Fixture *f, const char *id, gboolean whole) {
  g_auto (CabMap) map = {0};
  g_autoptr (CabObject) object = cab_object_open (f->store, MEMBER (id), &map);
  g_assert_true (cab_object_empty (object, NULL));
  g_assert_cmpint (pwrite (cab_object_descriptor (object), "0123456789", 10, 0), ==, 10);
  cab_object_wrote (object, 10);
  if (!whole)
    return;
  map.id = g_strdup (id);
  map.owner = g_strdup (OWNER);
  map.size = 10;
  map.etag = g_strdup ("6565 1494165223 \"0x8D4\"");
  cab_ranges_add (&map.have, 0, 10);
  g_assert_true (cab_object_save (object, &map, NULL));
}

static gboolean has_member (Fixture *f, const char *id) {
  g_auto (CabMap) map = {0};
  return cab_store_peek (f->store, MEMBER (id), &map) && map.size == 10;
}

/* A member of CAB "a" is nothing of the CAB "a.0.1", whatever that one is called. */
static void test_member (Fixture *f, gconstpointer unused) {
  save_object (f, "a", 600);
  save_object (f, "a.0.1", 600);
  save_member (f, "a.0.1", TRUE);
  g_assert_true (has_member (f, "a.0.1"));
  g_assert_cmpuint (cab_store_bytes (f->store, MEMBER ("a.0.1")), >, 0);
  g_assert_cmpuint (cab_store_bytes (f->store, MEMBER ("a")), ==, 0);
  g_auto (CabMap) map = {0};
  g_assert_true (cab_store_peek (f->store, KEY ("a.0.1"), &map));
  g_assert_cmpuint (map.size, ==, 1000);
  char bytes[20];
  g_assert_cmpint (cab_store_read (f->store, MEMBER ("a.0.1"), bytes, sizeof bytes), ==, 10);
  g_assert_cmpmem (bytes, 10, "0123456789", 10);
}

static void test_member_names (void) {
  static const struct {
    const char *name;
    gsize id_len;
  } cases[] = {
      {"a.0.1.member", 1},
      {"a.0.1.member-map", 1},
      {"a.0.1.2.3.member", 5},
      {"a-b.c.12.3456.member", 5},
      {"a.0.member", 0},
      {".0.1.member", 0},
      {"a.0.1.cab", 0},
      {"a.0.1.map", 0},
      {"a.0.1.member-map.1-2.tmp", 0},
      {"a..1.member", 0},
      {"a.x.1.member", 0},
      {"member", 0},
  };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    gsize len = 0;
    g_assert_cmpint (cab_store_is_member (cases[i].name, &len), ==, cases[i].id_len > 0);
    g_assert_cmpuint (len, ==, cases[i].id_len);
  }
}

static void test_remove_members (Fixture *f, gconstpointer unused) {
  save_object (f, "a", 600);
  save_member (f, "a.0.1", TRUE);
  save_member (f, "a.1.77", FALSE);
  save_member (f, "aa.0.1", TRUE);
  save_member (f, "a.0.1.0.1", TRUE); /* of CAB "a.0.1" */
  cab_store_remove_members (f->store, EXPIRES, "a");
  g_assert_false (has_member (f, "a.0.1"));
  g_assert_cmpuint (cab_store_bytes (f->store, MEMBER ("a.1.77")), ==, 0);
  g_assert_true (has_member (f, "aa.0.1"));
  g_assert_true (has_member (f, "a.0.1.0.1"));
  g_assert_cmpuint (cab_store_bytes (f->store, KEY ("a")), >, 0);
  cab_store_remove_members (f->store, EXPIRES + 1, "a"); /* there is no such directory */
}

/* --- eviction ------------------------------------------------------------------------------------------------ */

static void add_entry (GArray *entries, const char *path, gint64 expires, gint64 fetched, gint64 read,
                       guint64 bytes) {
  CabEvictEntry entry = {(char *) (gsize) path, FALSE, expires, fetched, read, bytes};
  g_array_append_val (entries, entry);
}

static const char *path_at (GArray *entries, guint index) {
  return g_array_index (entries, CabEvictEntry, index).path;
}

static void test_evict_plan (void) {
  g_autoptr (GArray) entries = g_array_new (FALSE, FALSE, sizeof (CabEvictEntry));
  add_entry (entries, "never", CAB_TIME_UNKNOWN, 900, 5, 10);
  add_entry (entries, "late", 5000, 900, 1, 10);
  add_entry (entries, "soon-read-late", 2000, 900, 9, 10);
  add_entry (entries, "soon-read-early", 2000, 900, 3, 10);
  add_entry (entries, "kept-too-long", 9000, 100, 99, 10);
  add_entry (entries, "expired", 1000, 900, 99, 10);
  guint expired;
  CabEvictLimits limits = {.size_limit = 25, .must_free = 0, .keep_s = 500};
  g_assert_cmpuint (cab_evict_plan (entries, &limits, 1000, &expired), ==, 15);
  g_assert_cmpuint (expired, ==, 2);
  const char *expected[] = {"expired", "kept-too-long", "soon-read-early", "soon-read-late", "late", "never"};
  for (guint i = 0; i < G_N_ELEMENTS (expected); i++)
    g_assert_cmpstr (path_at (entries, i), ==, expected[i]);
  limits.must_free = 33;
  g_assert_cmpuint (cab_evict_plan (entries, &limits, 1000, &expired), ==, 33);
  limits = (CabEvictLimits){.keep_s = 500};
  g_assert_cmpuint (cab_evict_plan (entries, &limits, 1000, &expired), ==, 0);
}

static void test_sweep (Fixture *f, gconstpointer unused) {
  CabEvictOptions options = {.keep_s = 30 * 86400};
  save_object (f, ID, 600);
  save_object (f, "other", 600);
  guint64 bytes = cab_store_bytes (f->store, KEY (ID));
  g_assert_cmpuint (bytes, >, 0);
  g_assert_cmpuint (cab_evict_sweep (f->store, &options, EXPIRES - 1), ==, 2 * bytes);
  /* Over the limit: one goes, and not the one that is open. */
  g_auto (CabMap) map = {0};
  CabObject *object = cab_object_open (f->store, KEY (ID), &map);
  options.size_limit = bytes;
  g_assert_cmpuint (cab_evict_sweep (f->store, &options, EXPIRES - 1), ==, bytes);
  g_assert_cmpuint (cab_store_bytes (f->store, KEY (ID)), ==, bytes);
  g_assert_cmpuint (cab_store_bytes (f->store, KEY ("other")), ==, 0);
  /* Expired: it goes although it is open, and who has it can read on. */
  g_assert_cmpuint (cab_evict_sweep (f->store, &options, EXPIRES), ==, 0);
  char byte;
  g_assert_true (cab_object_read (object, 599, &byte, 1, NULL));
  cab_object_close (object);
  cab_evict_sweep (f->store, &options, EXPIRES);
  g_autofree char *dir = path_of (f, NULL);
  g_assert_false (g_file_test (dir, G_FILE_TEST_EXISTS));
}

/* Between two counts of the directory, what is written is added. */
static void test_usage (Fixture *f, gconstpointer unused) {
  const CabEvictOptions options = {.keep_s = 30 * 86400};
  guint64 bytes, files;
  g_assert_false (cab_store_usage (f->store, &bytes, &files));
  save_object (f, ID, 600);
  cab_evict_sweep (f->store, &options, EXPIRES - 1);
  g_assert_true (cab_store_usage (f->store, &bytes, &files));
  g_assert_cmpuint (bytes, ==, cab_store_bytes (f->store, KEY (ID)));
  g_assert_cmpuint (files, ==, 1);
  guint64 before = bytes, evicted = cab_metric_get (CAB_METRIC_BYTES_EVICTED);
  save_object (f, "other", 600);
  cab_store_usage (f->store, &bytes, &files);
  g_assert_cmpuint (bytes, ==, before + 600);
  g_assert_cmpuint (files, ==, 2);
  cab_evict_sweep (f->store, &options, EXPIRES);
  cab_store_usage (f->store, &bytes, &files);
  g_assert_cmpuint (bytes, ==, 0);
  g_assert_cmpuint (files, ==, 0);
  g_assert_cmpuint (cab_metric_get (CAB_METRIC_BYTES_EVICTED) - evicted, ==, 2 * before);
}

/* Members go as CABs do; a part of one goes as soon as nobody works on it. */
static void test_sweep_members (Fixture *f, gconstpointer unused) {
  CabEvictOptions options = {.keep_s = 30 * 86400};
  save_member (f, "a.0.1", TRUE);
  save_member (f, "a.0.2", FALSE);
  g_auto (CabMap) map = {0};
  CabObject *object = cab_object_open (f->store, MEMBER ("a.0.3"), &map);
  g_assert_cmpint (pwrite (cab_object_descriptor (object), "x", 1, 0), ==, 1);
  guint64 bytes = cab_store_bytes (f->store, MEMBER ("a.0.1"));
  g_assert_cmpuint (cab_evict_sweep (f->store, &options, EXPIRES - 1), ==, 2 * bytes);
  g_assert_true (has_member (f, "a.0.1"));
  g_assert_cmpuint (cab_store_bytes (f->store, MEMBER ("a.0.2")), ==, 0);
  g_assert_cmpuint (cab_store_bytes (f->store, MEMBER ("a.0.3")), ==, bytes);
  cab_object_close (object);
  g_assert_cmpuint (cab_evict_sweep (f->store, &options, EXPIRES - 1), ==, bytes);
  g_assert_cmpuint (cab_store_bytes (f->store, MEMBER ("a.0.3")), ==, 0);
  options.size_limit = 1;
  g_assert_cmpuint (cab_evict_sweep (f->store, &options, EXPIRES - 1), ==, 0);
  g_assert_false (has_member (f, "a.0.1"));
}

/* Room is made for what will be written; where there is none, that is no reason to refuse the rest. */
static void test_sweep_reserved (Fixture *f, gconstpointer unused) {
  CabEvictOptions options = {.keep_s = 30 * 86400};
  save_object (f, ID, 600);
  save_object (f, "other", 600);
  guint64 bytes = cab_store_bytes (f->store, KEY (ID));
  options.size_limit = 2 * bytes;
  cab_store_reserve (f->store, bytes);
  g_assert_cmpuint (cab_evict_sweep (f->store, &options, EXPIRES - 1), ==, bytes);
  g_assert_false (cab_store_is_short (f->store));
  cab_store_reserve (f->store, 2 * bytes);
  g_assert_cmpuint (cab_evict_sweep (f->store, &options, EXPIRES - 1), ==, 0);
  g_assert_true (cab_store_is_short (f->store));
  g_assert_false (cab_store_is_full (f->store));
  cab_store_unreserve (f->store, 3 * bytes);
  cab_evict_sweep (f->store, &options, EXPIRES - 1);
  g_assert_false (cab_store_is_short (f->store));
  cab_store_reserve (f->store, G_MAXINT64); /* more than any disk has */
  options.size_limit = 0;
  cab_evict_sweep (f->store, &options, EXPIRES - 1);
  g_assert_true (cab_store_is_short (f->store));
  cab_store_unreserve (f->store, G_MAXINT64);
}

static atomic_bool sweeping;

static void *sweep_on (void *store) {
  const CabEvictOptions options = {.keep_s = 86400};
  while (atomic_load (&sweeping))
    cab_evict_sweep (store, &options, 0);
  return NULL;
}

/* An eviction removes directories that it finds empty; a CAB that is being opened there must not notice. */
static void test_open_under_sweep (Fixture *f, gconstpointer unused) {
  pthread_t thread;
  atomic_store (&sweeping, TRUE);
  g_assert_cmpint (pthread_create (&thread, NULL, sweep_on, f->store), ==, 0);
  for (guint i = 0; i < 3000; i++) { /* a warning would end the test */
    g_auto (CabMap) map = {0};
    CabObject *object = cab_object_open (f->store, KEY (ID), &map);
    g_assert_true (cab_object_write (object, 0, "x", 1, NULL));
    cab_object_discard (object);
    cab_object_close (object);
  }
  atomic_store (&sweeping, FALSE);
  pthread_join (thread, NULL);
}

/* --- calls that can be held ---------------------------------------------------------------------------------- */

static Gate syncing = GATE_INIT, renaming = GATE_INIT, locking = GATE_INIT;

int fdatasync (int fd) {
  gate_enter (&syncing);
  return (int) syscall (SYS_fdatasync, fd);
}

int renameat (int from_dir, const char *from, int to_dir, const char *to) {
  gate_enter (&renaming);
  return (int) syscall (SYS_renameat, from_dir, from, to_dir, to);
}

int flock (int fd, int operation) {
  gate_enter (&locking);
  return (int) syscall (SYS_flock, fd, operation);
}

static void *save_one (void *fixture) {
  save_object (fixture, ID, 600);
  return NULL;
}

/* What an eviction removes while it is being saved is no fault of the disk, and leaves nothing. */
static void test_save_under_sweep (Fixture *f, gconstpointer data) {
  Gate *gate = (Gate *) (gsize) data;
  const CabEvictOptions options = {.keep_s = 30 * 86400};
  pthread_t thread;
  gate_close (gate, 0);
  g_assert_cmpint (pthread_create (&thread, NULL, save_one, f), ==, 0);
  gate_wait (gate);
  cab_evict_sweep (f->store, &options, EXPIRES);
  gate_open (gate);
  g_assert_cmpint (pthread_join (thread, NULL), ==, 0); /* save_object() asserts that there was no error */
  cab_evict_sweep (f->store, &options, EXPIRES);
  g_autofree char *dir = path_of (f, NULL);
  g_assert_false (g_file_test (dir, G_FILE_TEST_EXISTS)); /* it is empty */
}

static void *sweep_one (void *fixture) {
  const Fixture *f = fixture;
  const CabEvictOptions options = {.keep_s = 30 * 86400, .size_limit = 1};
  cab_evict_sweep (f->store, &options, EXPIRES - 1);
  return NULL;
}

/* Two evictions find the same file; when the second one gets at it, it is gone, and another has its name. */
static void test_two_sweeps (Fixture *f, gconstpointer unused) {
  pthread_t thread;
  CabEvictReport report;
  save_object (f, ID, 600);
  gate_close (&locking, 0);
  g_assert_cmpint (pthread_create (&thread, NULL, sweep_one, f), ==, 0);
  gate_wait (&locking);
  gate_close (&locking, G_MAXUINT); /* nobody else is held */
  cab_evict_purge (f->store, TRUE, 30 * 86400, EXPIRES - 1, &report);
  g_assert_cmpuint (report.cabs, ==, 1);
  save_object (f, ID, 500);
  gate_open (&locking);
  pthread_join (thread, NULL);
  g_assert_cmpuint (reopened_bytes (f), ==, 500);
}

/* A member that was being taken out is found by two; one removes it, and it is taken out anew. */
static void test_two_sweeps_member (Fixture *f, gconstpointer unused) {
  pthread_t thread;
  CabEvictReport report;
  save_object (f, ID, 600); /* its directory stays */
  save_member (f, "a.0.1", FALSE);
  gate_close (&locking, 0);
  g_assert_cmpint (pthread_create (&thread, NULL, sweep_one, f), ==, 0);
  gate_wait (&locking);
  gate_close (&locking, G_MAXUINT);
  cab_evict_purge (f->store, FALSE, 30 * 86400, EXPIRES - 1, &report);
  g_assert_cmpuint (cab_store_bytes (f->store, MEMBER ("a.0.1")), ==, 0);
  g_auto (CabMap) map = {0};
  CabObject *object = cab_object_open (f->store, MEMBER ("a.0.1"), &map);
  g_assert_true (cab_object_write (object, 0, "x", 1, NULL));
  gate_open (&locking);
  pthread_join (thread, NULL);
  g_assert_cmpuint (cab_store_bytes (f->store, MEMBER ("a.0.1")), >, 0);
  cab_object_close (object);
}

/* --- files --------------------------------------------------------------------------------------------------- */

static void count_line (gpointer data, const char *id, guint64 size, const char *md5) {
  GString *seen = data;
  g_string_append_printf (seen, "%s=%" G_GUINT64_FORMAT ",%s;", id, size, md5 != NULL ? md5 : "-");
}

static void test_sizefile (void) {
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GString) seen = g_string_new (NULL);
  cab_sizefile_append (text, "a", 0, NULL);
  cab_sizefile_append (text, "b", (guint64) 5 << 32, "99b81719acc5c40b9cb0feed22d43005");
  g_assert_cmpuint (cab_sizefile_parse (text->str, text->len, count_line, seen), ==, 0);
  g_assert_cmpstr (seen->str, ==, "a=0,-;b=21474836480,99b81719acc5c40b9cb0feed22d43005;");
  /* Any one byte changed or cut off loses its line and nothing else. */
  for (gsize i = 0; i < text->len; i++) {
    g_autofree char *copy = g_memdup2 (text->str, text->len);
    copy[i] ^= 1;
    g_string_truncate (seen, 0);
    g_assert_cmpuint (cab_sizefile_parse (copy, text->len, count_line, seen), >, 0);
    g_assert_cmpuint (seen->len, <, 60);
    cab_sizefile_parse (text->str, i, count_line, seen);
  }
}

static void test_replace (Fixture *f, gconstpointer unused) {
  g_autoptr (GError) error = NULL;
  int dirfd = cab_store_dirfd (f->store);
  close (cab_dir_make (dirfd, "a/b/c", &error));
  g_assert_no_error (error);
  g_assert_true (cab_file_replace (dirfd, "a/b/c/x", "one", 3, &error));
  g_assert_true (cab_file_replace (dirfd, "a/b/c/x", "three", 5, &error));
  g_autoptr (GBytes) bytes = cab_file_read (dirfd, "a/b/c/x", 5, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (g_bytes_get_size (bytes), ==, 5);
  g_assert_cmpint (memcmp (g_bytes_get_data (bytes, NULL), "three", 5), ==, 0);
  g_assert_null (cab_file_read (dirfd, "a/b/c/x", 4, &error));
  g_assert_error (error, CAB_ERROR, CAB_ERROR_INVALID);
  g_clear_error (&error);
  g_assert_null (cab_file_read (dirfd, "a/b/c/y", 4, &error));
  g_assert_error (error, CAB_ERROR, CAB_ERROR_NOT_FOUND);
}

/* --- pool ---------------------------------------------------------------------------------------------------- */

typedef struct {
  CabPool *pool;
  atomic_uint ran;
} Work;

static void work (gpointer data) {
  Work *self = data;
  if (atomic_fetch_add (&self->ran, 1) < 500)
    cab_pool_push (self->pool, work, self);
}

static void test_pool (void) {
  Work self = {.pool = cab_pool_new (3)};
  for (guint i = 0; i < 500; i++)
    cab_pool_push (self.pool, work, &self);
  cab_pool_free (self.pool); /* runs all, also what the work itself pushed */
  g_assert_cmpuint (atomic_load (&self.ran), ==, 1000);
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
#define STORE_TEST(name, func) g_test_add ("/store/" name, Fixture, NULL, set_up, func, tear_down)
  STORE_TEST ("round-trip", test_round_trip);
  STORE_TEST ("damaged-map", test_damaged_map);
  STORE_TEST ("other-data-file", test_other_data_file);
  STORE_TEST ("truncated-data", test_truncated_data);
  STORE_TEST ("written-since", test_written_since);
  STORE_TEST ("swapped-map", test_swapped_map);
  STORE_TEST ("two-writers", test_two_writers);
  STORE_TEST ("other-owner", test_other_owner);
  STORE_TEST ("removed-while-open", test_removed_while_open);
  STORE_TEST ("discard", test_discard);
  STORE_TEST ("refuses-foreign-directory", test_refuses_foreign_directory);
  STORE_TEST ("empty-version", test_empty_version);
  STORE_TEST ("private-mode", test_private_mode);
  STORE_TEST ("member", test_member);
  STORE_TEST ("remove-members", test_remove_members);
  STORE_TEST ("sweep", test_sweep);
  STORE_TEST ("usage", test_usage);
  STORE_TEST ("sweep-members", test_sweep_members);
  STORE_TEST ("sweep-reserved", test_sweep_reserved);
  STORE_TEST ("open-under-sweep", test_open_under_sweep);
  g_test_add ("/store/save-under-sweep/data", Fixture, &syncing, set_up, test_save_under_sweep, tear_down);
  g_test_add ("/store/save-under-sweep/map", Fixture, &renaming, set_up, test_save_under_sweep, tear_down);
  STORE_TEST ("two-sweeps", test_two_sweeps);
  STORE_TEST ("two-sweeps-member", test_two_sweeps_member);
  STORE_TEST ("replace", test_replace);
  g_test_add_func ("/store/member-names", test_member_names);
  g_test_add_func ("/evict/plan", test_evict_plan);
  g_test_add_func ("/sizefile", test_sizefile);
  g_test_add_func ("/pool", test_pool);
  return g_test_run ();
}
