/* Applications that the services enumerate, from a cache whose client's answers the test gives.
 *
 * SPDX-License-Identifier: MIT
 */
#include "fs/products.h"

#include "client/error.h"
#include "fake-client.h"
#include "latch.h"

#include <stdarg.h>
#include <string.h>

typedef struct {
  char *dir;
  CabCache *cache;
  CabProducts *products;
} Fixture;

static void open_all (Fixture *f) {
  g_autoptr (GError) error = NULL;
  g_autofree char *dir = g_build_filename (f->dir, "cache", NULL);
  const CabCacheOptions options = {.dir = dir,
                                   .keep_s = 86400,
                                   .listing_ttl_s = 300,
                                   .read_ahead = 1 << 20,
                                   .connections = 4,
                                   .size_connections = 8,
                                   .timeout_ms = 60000};
  fake_start ();
  f->cache = cab_cache_new (&options, NULL, &error);
  g_assert_no_error (error);
  cab_cache_begin (f->cache);
  f->products = cab_products_new (f->cache);
}

static void close_all (Fixture *f) {
  cab_cache_stop (f->cache);
  cab_products_free (g_steal_pointer (&f->products));
  cab_cache_free (g_steal_pointer (&f->cache));
}

static void set_up (Fixture *f, gconstpointer unused) {
  f->dir = g_dir_make_tmp ("cabfs-products-XXXXXX", NULL);
  open_all (f);
}

static void tear_down (Fixture *f, gconstpointer unused) {
  close_all (f);
  g_autofree char *command = g_strdup_printf ("rm -rf '%s'", f->dir);
  g_assert_true (g_spawn_command_line_sync (command, NULL, NULL, NULL, NULL));
  g_free (f->dir);
}

static void raise_latch (gpointer data) {
  latch_up (data);
}

/* Answers the question for the products of @family, which must be the next, with @ids up to NULL. */
static G_GNUC_NULL_TERMINATED void answer (const char *family, ...) {
  CabRecordsBuilder *builder = cab_records_builder_new ();
  va_list ids;
  va_start (ids, family);
  for (const char *id = va_arg (ids, const char *); id != NULL; id = va_arg (ids, const char *)) {
    const CabRecord record = {
        .id = id, .date = CAB_TIME_UNKNOWN, .expires = CAB_TIME_UNKNOWN, .downloadable = TRUE};
    cab_records_builder_add (builder, &record, NULL, NULL);
  }
  va_end (ids);
  g_autoptr (CabRecords) records = cab_records_builder_end (builder);
  FakeRequest *request = fake_take ();
  g_assert_cmpint (request->kind, ==, FAKE_LIST);
  g_assert_cmpstr (request->id, ==, family);
  fake_answer_list (request, records, NULL);
}

static void refuse (const char *family) {
  g_autoptr (GError) error = g_error_new_literal (CAB_ERROR, CAB_ERROR_NOT_FOUND, "gone");
  FakeRequest *request = fake_take ();
  g_assert_cmpstr (request->id, ==, family);
  fake_answer_list (request, NULL, error);
}

static void check_list (Fixture *f, const char *expected) {
  g_auto (GStrv) ids = cab_products_list (f->products);
  g_autofree char *text = g_strjoinv (" ", ids);
  g_assert_cmpstr (text, ==, expected);
}

/* --- tests -------------------------------------------------------------------------------------------------- */

static void test_all (Fixture *f, gconstpointer unused) {
  Latch done = LATCH_INIT;
  check_list (f, "");
  g_assert_null (cab_products_family (f->products, "11111111"));
  guint64 version = cab_products_version (f->products);
  cab_products_ask (f->products, CAB_REACH_NETWORK, raise_latch, &done);
  answer ("driver", "22222222", "11111111", NULL);
  answer ("desktop", "33333333", "22222222", NULL);
  g_assert_cmpuint (latch_count (&done), ==, 0);
  answer ("store", NULL);
  g_assert_cmpuint (latch_count (&done), ==, 1);
  check_list (f, "11111111 22222222 33333333");
  g_assert_cmpstr (cab_products_family (f->products, "11111111"), ==, "driver");
  g_assert_cmpstr (cab_products_family (f->products, "22222222"), ==, "driver");
  g_assert_cmpstr (cab_products_family (f->products, "33333333"), ==, "desktop");
  g_assert_cmpuint (cab_products_version (f->products), !=, version);
  /* What is known is not asked for again, and has not changed. */
  version = cab_products_version (f->products);
  cab_products_ask (f->products, CAB_REACH_NETWORK, raise_latch, &done);
  g_assert_cmpuint (latch_count (&done), ==, 2);
  g_assert_cmpuint (cab_products_version (f->products), ==, version);
  g_assert_cmpuint (fake_count (FAKE_LIST), ==, 3);
}

/* Two that look at the same time are one question to each service, and both get an answer. */
static void test_together (Fixture *f, gconstpointer unused) {
  Latch first = LATCH_INIT, second = LATCH_INIT;
  cab_products_ask (f->products, CAB_REACH_NETWORK, raise_latch, &first);
  cab_products_ask (f->products, CAB_REACH_NETWORK, raise_latch, &second);
  answer ("driver", NULL);
  answer ("desktop", NULL);
  answer ("store", "9NBLGGGZ5QDR", NULL);
  latch_wait (&first, 1);
  latch_wait (&second, 1);
  g_assert_cmpuint (fake_count (FAKE_LIST), ==, 3);
  check_list (f, "9NBLGGGZ5QDR");
}

/* One that fails hides nothing, is told once, and is left alone for a while. */
static void test_failure (Fixture *f, gconstpointer unused) {
  Latch done = LATCH_INIT;
  g_test_expect_message (NULL, G_LOG_LEVEL_WARNING, "*products of family \"desktop\" cannot be listed*gone");
  cab_products_ask (f->products, CAB_REACH_NETWORK, raise_latch, &done);
  answer ("driver", "11111111", NULL);
  refuse ("desktop");
  answer ("store", "9NBLGGGZ5QDR", NULL);
  latch_wait (&done, 1);
  check_list (f, "11111111 9NBLGGGZ5QDR");
  cab_products_ask (f->products, CAB_REACH_NETWORK, raise_latch, &done);
  latch_wait (&done, 2);
  g_assert_cmpuint (fake_count (FAKE_LIST), ==, 3);
  g_test_assert_expected_messages ();
}

/* The end of the mount is no failure worth a line (which would be fatal here). */
static void test_end (Fixture *f, gconstpointer unused) {
  Latch done = LATCH_INIT;
  cab_products_ask (f->products, CAB_REACH_NETWORK, raise_latch, &done);
  cab_cache_stop (f->cache);
  latch_wait (&done, 1);
  check_list (f, "");
}

/* The next mount knows them at once; and who may not ask gets what is there, which is no failure either. */
static void test_disk (Fixture *f, gconstpointer unused) {
  Latch done = LATCH_INIT;
  cab_products_ask (f->products, CAB_REACH_LOCAL, raise_latch, &done);
  latch_wait (&done, 1);
  check_list (f, "");
  cab_products_ask (f->products, CAB_REACH_NETWORK, raise_latch, &done);
  answer ("driver", "11111111", NULL);
  answer ("desktop", NULL);
  answer ("store", "9NBLGGGZ5QDR", ".products", NULL);
  latch_wait (&done, 2);
  g_assert_cmpuint (cab_products_skipped (f->products), ==, 1);
  close_all (f);
  open_all (f);
  cab_products_ask (f->products, CAB_REACH_LOCAL, raise_latch, &done);
  latch_wait (&done, 3);
  check_list (f, "11111111 9NBLGGGZ5QDR");
  g_assert_cmpstr (cab_products_family (f->products, "9NBLGGGZ5QDR"), ==, "store");
  g_assert_cmpuint (fake_count (FAKE_LIST), ==, 0);
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
  g_test_add ("/products/all", Fixture, NULL, set_up, test_all, tear_down);
  g_test_add ("/products/together", Fixture, NULL, set_up, test_together, tear_down);
  g_test_add ("/products/failure", Fixture, NULL, set_up, test_failure, tear_down);
  g_test_add ("/products/end", Fixture, NULL, set_up, test_end, tear_down);
  g_test_add ("/products/disk", Fixture, NULL, set_up, test_disk, tear_down);
  return g_test_run ();
}
