/* SPDX-License-Identifier: MIT */
#include "client/error.h"
#include "client/records.h"
#include "client/scope.h"
#include "tests/unit/field.h"

#include <pthread.h>
#include <string.h>

#define URL(id)                                                                                                \
  "https://acct.blob.core.windows.net/kernel-1/" id ".ext.zip?sv=1&sr=b&sig=AA" id "%3D&se=2025&sp=r"

/* The fields of a record as "a=1;b=2;". */
static void append_field (gpointer data, const char *name, const char *value) {
  g_string_append_printf (data, "%s=%s;", name, value);
}

static void check_fields (const CabRecords *records, guint index, const char *expected) {
  g_autoptr (GString) text = g_string_new (NULL);
  cab_records_foreach_field (records, index, append_field, text);
  g_assert_cmpstr (text->str, ==, expected);
}

static void check_url (const CabRecords *records, guint index, const char *expected) {
  g_autofree char *url = cab_records_url (records, index);
  g_assert_cmpstr (url, ==, expected);
}

static gboolean add (CabRecordsBuilder *builder, const char *id, const char *url, gint64 date, gint64 expires,
                     const char *const *fields) {
  const CabRecord record = {id, url, date, expires, TRUE};
  return cab_records_builder_add (builder, &record, fields, NULL);
}

static gboolean add_hit (CabRecordsBuilder *builder, const char *id, gint64 date, const char *name,
                         const char *count) {
  const CabRecord record = {id, NULL, date, CAB_TIME_UNKNOWN, TRUE};
  const char *const fields[] = {"failureName", name, count != NULL ? "eventCount" : NULL, count, NULL};
  return cab_records_builder_add (builder, &record, fields, "eventCount");
}

static CabRecords *make_sample (void) {
  CabRecordsBuilder *builder = cab_records_builder_new ();
  const char *const one[] = {"submissionId", "7", "cabType", "MINI", NULL};
  const char *const two[] = {"submissionId", "8", "cabType", "MINI", NULL};
  const CabRecord locked = {"c-3", NULL, 30, CAB_TIME_UNKNOWN, FALSE};
  g_assert_true (add (builder, "b-2", URL ("b-2"), 20, 200, one));
  g_assert_true (add (builder, "a-1", URL ("a-1"), CAB_TIME_UNKNOWN, 100, two));
  g_assert_true (cab_records_builder_add (builder, &locked, NULL, NULL));
  g_assert_cmpuint (cab_records_builder_count (builder), ==, 3);
  return cab_records_builder_end (builder);
}

static void check_sample (const CabRecords *records) {
  CabRecord record;
  g_assert_cmpuint (cab_records_count (records), ==, 3);
  g_assert_cmpint (cab_records_newest (records), ==, 30);
  cab_records_get (records, 0, &record);
  g_assert_cmpstr (record.id, ==, "a-1");
  g_assert_cmpint (record.date, ==, CAB_TIME_UNKNOWN);
  g_assert_cmpint (record.expires, ==, 100);
  g_assert_true (record.downloadable);
  g_assert_null (record.url);
  check_fields (records, 0, "submissionId=8;cabType=MINI;");
  cab_records_get (records, 2, &record);
  g_assert_cmpstr (record.id, ==, "c-3");
  g_assert_cmpint (record.expires, ==, CAB_TIME_UNKNOWN);
  g_assert_false (record.downloadable);
  check_fields (records, 2, "");
  g_assert_cmpstr (field_of (records, 1, "submissionId"), ==, "7");
  g_assert_null (field_of (records, 1, "submissionid"));
  g_assert_null (field_of (records, 2, "submissionId"));
}

static void test_sample (void) {
  g_autoptr (CabRecords) records = make_sample ();
  check_sample (records);
  check_url (records, 0, URL ("a-1"));
  check_url (records, 1, URL ("b-2"));
  check_url (records, 2, NULL);
}

static void test_empty (void) {
  CabRecordsBuilder *builder = cab_records_builder_new ();
  cab_records_builder_skip (builder);
  g_autoptr (CabRecords) records = cab_records_builder_end (builder);
  g_assert_cmpuint (cab_records_count (records), ==, 0);
  g_assert_cmpuint (cab_records_skipped (records), ==, 1);
  g_assert_cmpint (cab_records_newest (records), ==, CAB_TIME_UNKNOWN);
  g_assert_false (cab_records_find (records, "", 0, NULL));
  g_autoptr (GBytes) saved = cab_records_save (records);
  g_autoptr (CabRecords) loaded = cab_records_load (saved, NULL);
  g_assert_cmpuint (cab_records_count (loaded), ==, 0);
  g_assert_cmpuint (cab_records_skipped (loaded), ==, 1);
}

static void test_find (void) {
  static const char *const ids[] = {"A", "a", "aa", "ab", "a-", "a.", "B", "0", "00", "z_z"};
  CabRecordsBuilder *builder = cab_records_builder_new ();
  for (gsize i = 0; i < G_N_ELEMENTS (ids); i++)
    g_assert_true (add (builder, ids[i], NULL, (gint64) i, 0, NULL));
  g_autoptr (CabRecords) records = cab_records_builder_end (builder);
  for (gsize i = 0; i < G_N_ELEMENTS (ids); i++) {
    guint index = 99;
    CabRecord record;
    g_autofree char *longer = g_strdup_printf ("%s.cab", ids[i]);
    g_assert_true (cab_records_find (records, longer, strlen (ids[i]), &index));
    cab_records_get (records, index, &record);
    g_assert_cmpstr (record.id, ==, ids[i]);
    g_assert_cmpint (record.date, ==, (gint64) i);
    g_assert_false (cab_records_find (records, longer, strlen (longer), NULL));
  }
  for (guint i = 1; i < cab_records_count (records); i++) {
    CabRecord a, b;
    cab_records_get (records, i - 1, &a);
    cab_records_get (records, i, &b);
    g_assert_cmpstr (a.id, <, b.id);
  }
  g_assert_false (cab_records_find (records, "a\0a", 3, NULL));
  g_assert_false (cab_records_find (records, "zzzz", 4, NULL));
  g_assert_false (cab_records_find (records, "", 0, NULL));
}

static void test_unsafe (void) {
  g_autofree char *longest = g_strnfill (128, 'x');
  g_autofree char *too_long = g_strnfill (129, 'x');
  const char *const bad[] = {"",    ".",   "..",   ".hidden",  "../x", "a/b",
                             "a b", "a\n", "a\\b", "\xc3\xa4", "a%2F", too_long};
  const char *const good[] = {"a", "_", "-", "a..b", "A.b_c-9", longest};
  CabRecordsBuilder *builder = cab_records_builder_new ();
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    g_assert_false (add (builder, bad[i], NULL, 0, 0, NULL));
  for (gsize i = 0; i < G_N_ELEMENTS (good); i++)
    g_assert_true (add (builder, good[i], NULL, 0, 0, NULL));
  g_autoptr (CabRecords) records = cab_records_builder_end (builder);
  g_assert_cmpuint (cab_records_count (records), ==, G_N_ELEMENTS (good));
  g_assert_cmpuint (cab_records_skipped (records), ==, G_N_ELEMENTS (bad));
}

/* Of the rows of one CAB the latest expiry wins, then the one with an address, then the first. */
static void test_duplicate_cabs (void) {
  const char *const first[] = {"n", "1", NULL};
  const char *const second[] = {"n", "2", "m", "x", NULL};
  const struct {
    gint64 expires[2];
    const char *urls[2];
    guint winner;
  } cases[] = {
      {{10, 20}, {URL ("x"), URL ("x") "&2"}, 1},
      {{20, 10}, {URL ("x"), URL ("x") "&2"}, 0},
      {{10, 10}, {URL ("x"), URL ("x") "&2"}, 0},
      {{10, 10}, {NULL, URL ("x") "&2"}, 1},
      {{10, 10}, {NULL, NULL}, 0},
      {{10, 20}, {URL ("x"), NULL}, 1},
      {{CAB_TIME_UNKNOWN, 10}, {NULL, NULL}, 1},
      {{10, CAB_TIME_UNKNOWN}, {NULL, URL ("x")}, 0},
  };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    CabRecordsBuilder *builder = cab_records_builder_new ();
    g_assert_true (add (builder, "x", cases[i].urls[0], 1, cases[i].expires[0], first));
    g_assert_false (add (builder, "x", cases[i].urls[1], 2, cases[i].expires[1], second));
    g_autoptr (CabRecords) records = cab_records_builder_end (builder);
    CabRecord record;
    g_test_message ("case %" G_GSIZE_FORMAT, i);
    g_assert_cmpuint (cab_records_count (records), ==, 1);
    cab_records_get (records, 0, &record);
    g_assert_cmpint (record.date, ==, 1 + cases[i].winner);
    g_assert_cmpint (record.expires, ==, cases[i].expires[cases[i].winner]);
    check_url (records, 0, cases[i].urls[cases[i].winner]);
    check_fields (records, 0, cases[i].winner == 0 ? "n=1;" : "n=2;m=x;");
  }
}

static void test_failures (void) {
  CabRecordsBuilder *builder = cab_records_builder_new ();
  cab_records_builder_begin_page (builder);
  g_assert_true (add_hit (builder, "h", 100, "old", "2"));
  g_assert_true (add_hit (builder, "h", 300, "new", "3"));
  g_assert_true (add_hit (builder, "h", 200, "middle", NULL));
  g_assert_true (add_hit (builder, "h", 200, "middle", "1"));
  g_assert_true (add_hit (builder, "h", 200, "middle", "1")); /* on one page: two rows */
  g_assert_true (add_hit (builder, "fraction", 100, "f", "0.5"));
  g_assert_true (add_hit (builder, "fraction", 101, "f", "1"));
  g_assert_true (add_hit (builder, "big", 100, "f", "18446744073709551610"));
  g_assert_true (add_hit (builder, "big", 101, "f", "5"));
  g_assert_true (add_hit (builder, "overflow", 100, "f", "18446744073709551615"));
  g_assert_true (add_hit (builder, "overflow", 101, "f", "1"));
  g_assert_true (add_hit (builder, "huge", 100, "f", "1e999"));
  g_assert_true (add_hit (builder, "huge", 101, "f", "1"));
  g_assert_true (add_hit (builder, "uncounted", 101, "f", NULL));
  g_assert_true (add_hit (builder, "late", 101, "f", NULL));
  g_assert_true (add_hit (builder, "late", 100, "f", "4"));
  g_assert_true (add_hit (builder, "unknown", CAB_TIME_UNKNOWN, "f", "4"));
  g_assert_true (add_hit (builder, "unknown", 5, "g", "4"));
  cab_records_builder_begin_page (builder);
  g_assert_false (add_hit (builder, "h", 300, "new", "9")); /* the pages overlap */
  g_assert_true (add_hit (builder, "h", 301, "newest", "10"));
  g_autoptr (CabRecords) records = cab_records_builder_end (builder);

  const char *const expected[][2] = {
      {"big", "failureName=f;eventCount=18446744073709551615;"},
      {"fraction", "failureName=f;eventCount=1.5;"},
      {"h", "failureName=newest;eventCount=17;"},
      {"huge", "failureName=f;eventCount=1e999;"},
      {"late", "failureName=f;eventCount=4;"},
      {"overflow", "failureName=f;eventCount=1.84467440737096e+19;"},
      {"uncounted", "failureName=f;"},
      {"unknown", "failureName=g;eventCount=8;"},
  };
  g_assert_cmpuint (cab_records_count (records), ==, G_N_ELEMENTS (expected));
  for (guint i = 0; i < G_N_ELEMENTS (expected); i++) {
    CabRecord record;
    cab_records_get (records, i, &record);
    g_assert_cmpstr (record.id, ==, expected[i][0]);
    check_fields (records, i, expected[i][1]);
  }
  CabRecord record;
  cab_records_get (records, 2, &record);
  g_assert_cmpint (record.date, ==, 301);
}

static void test_fields (void) {
  g_autoptr (GPtrArray) many = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; i < 2 * CAB_FIELDS_MAX; i++)
    g_ptr_array_add (many, g_strdup_printf ("%u", i));
  for (guint i = 0; i < 10; i++)
    g_ptr_array_add (many, g_strdup ("more"));
  g_ptr_array_add (many, NULL);
  const char *const odd[] = {"a",          "",        "",      "nameless",   "link", "see HTTPS://h/x",
                             "http://h/x", "address", "query", "x?SIG=1",    "e",    "sig%3d1",
                             "b",          "design",  "s",     "\xc3\xa4\n", NULL};
  CabRecordsBuilder *builder = cab_records_builder_new ();
  add (builder, "many", NULL, 0, 0, (const char *const *) many->pdata);
  add (builder, "odd", NULL, 0, 0, odd);
  g_autoptr (CabRecords) records = cab_records_builder_end (builder);
  g_assert_cmpstr (field_of (records, 0, "510"), ==, "511");
  g_assert_null (field_of (records, 0, "more"));
  check_fields (records, 1, "a=;b=design;s=\xc3\xa4\n;");
}

/* An address is opaque: whatever its form, it comes back byte for byte. */
static void test_urls (void) {
  const char *const urls[] = {
      URL ("id-1"),
      "https://h/id-1",
      "https://h/id-1?sig=",
      "https://h/other?sig=AAAA&se=1#f",
      "https://h/id-1/id-1?x=id-1&sig=id-1&sig=2",
      "https://h/x?design=1&sig=%2B%2b",
      "https://h/x?SIG=a",
      "id-1",
      "id-1?sig=x",
      "sig=x",
      "?sig=x&",
      "x",
      "https://h/id-1?sig=x#y&z",
  };
  for (gsize i = 0; i < G_N_ELEMENTS (urls); i++) {
    CabRecordsBuilder *builder = cab_records_builder_new ();
    add (builder, "id-0", URL ("id-0"), 0, 0, NULL);
    add (builder, "id-1", urls[i], 0, 0, NULL);
    add (builder, "id-2", "", 0, 0, NULL);
    g_autoptr (CabRecords) records = cab_records_builder_end (builder);
    check_url (records, 0, URL ("id-0"));
    check_url (records, 1, urls[i]);
    check_url (records, 2, NULL);
  }
}

/* --- the form on disk ---------------------------------------------------------------------------------------- */

static gboolean holds (GBytes *bytes, const char *text) {
  gsize len;
  const char *data = g_bytes_get_data (bytes, &len);
  return memmem (data, len, text, strlen (text)) != NULL;
}

static void test_save (void) {
  g_autoptr (CabRecords) records = make_sample ();
  g_autoptr (GBytes) saved = cab_records_save (records);
  g_autoptr (GError) error = NULL;
  g_autoptr (CabRecords) loaded = cab_records_load (saved, &error);
  g_assert_no_error (error);
  check_sample (loaded);
  check_url (loaded, 0, NULL);
  g_assert_true (holds (saved, "b-2"));
  g_assert_true (holds (saved, "MINI"));
  const char *const secrets[] = {"http", "acct", "sig", "AAb-2", "kernel", "se=", ".ext.zip"};
  for (gsize i = 0; i < G_N_ELEMENTS (secrets); i++)
    g_assert_false (holds (saved, secrets[i]));
  g_autoptr (GBytes) again = cab_records_save (loaded);
  g_assert_true (g_bytes_equal (saved, again));
}

static void test_damage (void) {
  g_autoptr (CabRecords) records = make_sample ();
  g_autoptr (GBytes) saved = cab_records_save (records);
  gsize len = g_bytes_get_size (saved);
  for (gsize i = 0; i < len; i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (GBytes) cut = g_bytes_new_from_bytes (saved, 0, i);
    g_assert_null (cab_records_load (cut, &error));
    g_assert_error (error, CAB_ERROR, CAB_ERROR_INVALID);

    guint8 *bytes = g_memdup2 (g_bytes_get_data (saved, NULL), len);
    bytes[i] ^= (guint8) (1 << i % 8);
    g_autoptr (GBytes) flipped = g_bytes_new_take (bytes, len);
    g_assert_null (cab_records_load (flipped, NULL));
  }
  g_autoptr (GByteArray) longer = g_byte_array_new ();
  g_byte_array_append (longer, g_bytes_get_data (saved, NULL), (guint) len);
  g_byte_array_append (longer, (const guint8 *) "", 1);
  g_autoptr (GBytes) extended = g_bytes_new (longer->data, longer->len);
  g_assert_null (cab_records_load (extended, NULL));
}

/* Puts the right checksum over changed bytes: it lies at 32 and is taken with zeros there. */
static GBytes *seal (guint8 *bytes, gsize len) {
  memset (bytes + 32, 0, 32);
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  g_checksum_update (sum, bytes, (gssize) len);
  gsize sum_len = 32;
  g_checksum_get_digest (sum, bytes + 32, &sum_len);
  return g_bytes_new (bytes, len);
}

static void read_all (const CabRecords *records) {
  for (guint i = 0; i < cab_records_count (records); i++) {
    CabRecord record;
    guint found;
    g_autoptr (GString) text = g_string_new (NULL);
    cab_records_get (records, i, &record);
    cab_records_foreach_field (records, i, append_field, text);
    check_url (records, i, NULL);
    g_assert_true (cab_record_id_is_safe (record.id));
    g_assert_true (cab_records_find (records, record.id, strlen (record.id), &found));
    g_assert_cmpuint (found, ==, i);
  }
}

/* A file that lies with a right checksum is refused, or is harmless: the sanitizers watch. */
static void test_lies (void) {
  g_autoptr (CabRecords) records = make_sample ();
  g_autoptr (GBytes) saved = cab_records_save (records);
  gsize len = g_bytes_get_size (saved);
  static const guint32 values[] = {0,   1,   2,          7,          31,         32,
                                   255, 257, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff};
  guint refused = 0;
  for (gsize place = 12; place + 4 <= len; place++) {
    if (place >= 29 && place < 64)
      continue;
    for (gsize i = 0; i < G_N_ELEMENTS (values); i++) {
      g_autofree guint8 *bytes = g_memdup2 (g_bytes_get_data (saved, NULL), len);
      memcpy (bytes + place, &values[i], sizeof values[i]);
      g_autoptr (GBytes) sealed = seal (bytes, len);
      g_autoptr (CabRecords) loaded = cab_records_load (sealed, NULL);
      if (loaded != NULL)
        read_all (loaded);
      else
        refused++;
    }
  }
  g_assert_cmpuint (refused, >, 500);
  g_autofree guint8 *bytes = g_memdup2 (g_bytes_get_data (saved, NULL), len);
  g_autoptr (GBytes) sealed = seal (bytes, len);
  g_assert_true (g_bytes_equal (saved, sealed)); /* or the test proves nothing */
}

/* --- many ---------------------------------------------------------------------------------------------------- */

#define MANY 50000

static char *make_id (guint i) {
  return g_strdup_printf ("%08x-1111-2222-3333-%012x", i * 2654435761u, i);
}

static CabRecords *make_many (void) {
  CabRecordsBuilder *builder = cab_records_builder_new ();
  for (guint i = 0; i < MANY; i++) {
    g_autofree char *id = make_id (i);
    g_autofree char *url = g_strdup_printf (
        "https://acct%u.blob.core.windows.net/kernel-%u/%s.zip?sig=%08x&se=%u", i % 7, i % 30, id, i, i / 100);
    g_autofree char *driver = g_strdup_printf ("driver%u.sys", i % 1000);
    const char *const fields[] = {"submissionId", "7", "driverName", driver, NULL};
    g_assert_true (add (builder, id, url, i, i, fields));
    if (i % 10 == 0)
      g_assert_false (add (builder, id, url, i, 0, NULL));
  }
  return cab_records_builder_end (builder);
}

static void check_many (const CabRecords *records, guint step) {
  for (guint i = 0; i < MANY; i += step) {
    guint index;
    CabRecord record;
    g_autofree char *id = make_id (i);
    g_autofree char *driver = g_strdup_printf ("driver%u.sys", i % 1000);
    g_assert_true (cab_records_find (records, id, strlen (id), &index));
    cab_records_get (records, index, &record);
    g_assert_cmpint (record.date, ==, i);
    g_assert_cmpstr (field_of (records, index, "driverName"), ==, driver);
  }
}

static void test_many (void) {
  g_autoptr (CabRecords) records = make_many ();
  g_assert_cmpuint (cab_records_count (records), ==, MANY);
  g_assert_cmpint (cab_records_newest (records), ==, MANY - 1);
  check_many (records, 1);
  g_autofree char *id = make_id (12345);
  g_autofree char *expected =
      g_strdup_printf ("https://acct4.blob.core.windows.net/kernel-15/%s.zip?sig=00003039&se=123", id);
  guint index;
  g_assert_true (cab_records_find (records, id, strlen (id), &index));
  check_url (records, index, expected);
  /* rows of 32 bytes, ids of 37, 2 offsets; names and values that repeat are there once */
  g_autoptr (GBytes) saved = cab_records_save (records);
  g_assert_cmpuint (g_bytes_get_size (saved), <, MANY * 84);
  g_autoptr (CabRecords) loaded = cab_records_load (saved, NULL);
  check_many (loaded, 1);
}

static void *use_many (void *data) {
  g_autoptr (CabRecords) records = cab_records_ref (data);
  check_many (records, 97);
  return NULL;
}

static void test_threads (void) {
  CabRecords *records = make_many ();
  pthread_t threads[4];
  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
    g_assert_cmpint (pthread_create (&threads[i], NULL, use_many, records), ==, 0);
  check_many (records, 89);
  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
    pthread_join (threads[i], NULL);
  cab_records_unref (records);
}

static void test_builder_dropped (void) {
  g_autoptr (CabRecordsBuilder) builder = cab_records_builder_new ();
  add (builder, "a", URL ("a"), 0, 0, NULL);
  cab_records_builder_free (NULL);
  cab_records_unref (NULL);
}

/* --- scopes -------------------------------------------------------------------------------------------------- */

static void test_scopes (void) {
  g_autoptr (CabScope) cabs = cab_scope_new ("driver", "13984104677400476", "1fd8-3f");
  g_autoptr (CabScope) copy = cab_scope_copy (cabs);
  g_autoptr (CabScope) failures = cab_scope_new ("driver", "13984104677400476", NULL);
  g_autoptr (CabScope) shifted = cab_scope_new ("driver", NULL, "13984104677400476");
  g_autoptr (CabScope) store = cab_scope_new ("store", "13984104677400476", "1fd8-3f");
  const CabScope *const all[] = {cabs, failures, shifted, store};
  g_assert_true (cab_scope_equal (cabs, copy));
  g_assert_cmpuint (cab_scope_hash (cabs), ==, cab_scope_hash (copy));
  for (gsize i = 0; i < G_N_ELEMENTS (all); i++)
    for (gsize j = 0; j < G_N_ELEMENTS (all); j++) {
      g_assert_cmpint (cab_scope_equal (all[i], all[j]), ==, i == j);
      g_assert_cmpint (cab_scope_hash (all[i]) == cab_scope_hash (all[j]), ==, i == j);
    }
  g_autofree char *text = cab_scope_to_text (cabs);
  g_assert_cmpstr (text, ==, "driver/13984104677400476/1fd8-3f");
  g_autofree char *short_text = cab_scope_to_text (failures);
  g_assert_cmpstr (short_text, ==, "driver/13984104677400476");
  cab_scope_free (NULL);
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/records/sample", test_sample);
  g_test_add_func ("/records/empty", test_empty);
  g_test_add_func ("/records/find", test_find);
  g_test_add_func ("/records/unsafe", test_unsafe);
  g_test_add_func ("/records/duplicate-cabs", test_duplicate_cabs);
  g_test_add_func ("/records/failures", test_failures);
  g_test_add_func ("/records/fields", test_fields);
  g_test_add_func ("/records/urls", test_urls);
  g_test_add_func ("/records/save", test_save);
  g_test_add_func ("/records/damage", test_damage);
  g_test_add_func ("/records/lies", test_lies);
  g_test_add_func ("/records/many", test_many);
  g_test_add_func ("/records/threads", test_threads);
  g_test_add_func ("/records/builder-dropped", test_builder_dropped);
  g_test_add_func ("/scope/all", test_scopes);
  return g_test_run ();
}
