/* The pure parts behind blobs: headers, whether a blob is the same, kept addresses, pauses of hosts, timers.
 *
 * SPDX-License-Identifier: MIT
 */
#include "client/addresses.h"
#include "client/clock.h"
#include "client/error.h"
#include "client/facts.h"
#include "client/hosts.h"
#include "client/timers.h"

#include <string.h>

static void test_content_range (void) {
  static const char *const bad[] = {NULL,
                                    "",
                                    "bytes",
                                    "bytes 0-9",
                                    "bytes0-9/10",
                                    "bytes 0-/10",
                                    "bytes -9/10",
                                    "bytes 9-0/10",
                                    "bytes 0-10/10",
                                    "bytes 0-9/",
                                    "bytes 0-9/1x",
                                    "bytes +0-9/10",
                                    "bytes 0x0-9/10",
                                    "bytes **/10",
                                    "lines 0-9/10",
                                    "bytes 0-9/10, 1-2/10",
                                    "bytes 0-9/99999999999999999999999"};
  CabContentRange range;
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    if (cab_content_range_parse (bad[i], &range))
      g_error ("'%s' was taken", bad[i]);
  g_assert_true (
      cab_content_range_parse ("Bytes 4294967296-18446744073709551613/18446744073709551615 ", &range));
  g_assert_true (range.has_range && range.has_total);
  g_assert_cmpuint (range.first, ==, G_GUINT64_CONSTANT (4294967296));
  g_assert_cmpuint (range.last, ==, G_MAXUINT64 - 2);
  g_assert_cmpuint (range.total, ==, G_MAXUINT64);
  g_assert_true (cab_content_range_parse ("bytes */0", &range));
  g_assert_true (!range.has_range && range.has_total && range.total == 0);
  g_assert_true (cab_content_range_parse ("bytes 0-0/*", &range));
  g_assert_true (range.has_range && !range.has_total);
}

static void test_words (void) {
  guint64 length = 0;
  g_assert_true (cab_length_parse ("18446744073709551615", &length));
  g_assert_cmpuint (length, ==, G_MAXUINT64);
  g_assert_false (cab_length_parse ("18446744073709551616", &length));
  g_assert_false (cab_length_parse ("-1", &length));
  g_assert_false (cab_length_parse ("1, 1", &length));
  g_assert_false (cab_length_parse (NULL, &length));
  g_autofree char *md5 = cab_md5_parse ("1B2M2Y8AsgTpgAmY7PhCfg==");
  g_assert_cmpstr (md5, ==, "d41d8cd98f00b204e9800998ecf8427e");
  g_assert_null (cab_md5_parse ("1B2M2Y8AsgTpgAmY7PhC"));
  g_assert_null (cab_md5_parse (""));
  g_assert_null (cab_md5_parse (NULL));
  g_assert_true (cab_etag_is_strong ("\"x\""));
  g_assert_false (cab_etag_is_strong ("W/\"x\""));
  g_assert_false (cab_etag_is_strong ("x"));
  g_assert_false (cab_etag_is_strong (NULL));
}

static gboolean agree (CabKnown *known, guint64 size, const char *etag, const char *md5) {
  g_autoptr (GError) error = NULL;
  const CabFacts facts = {.size = size, .etag = etag, .md5 = md5, .modified = 7};
  gboolean ok = cab_known_agree (known, &facts, &error);
  if (!ok)
    g_assert_error (error, CAB_ERROR, CAB_ERROR_CHANGED);
  return ok;
}

static void test_agree (void) {
  g_auto (CabKnown) known = {0};
  g_assert_true (agree (&known, 10, NULL, NULL));
  g_assert_true (agree (&known, 10, "\"a\"", NULL)); /* told later */
  g_assert_true (agree (&known, 10, NULL, "m"));
  g_assert_true (agree (&known, 10, "\"a\"", "m"));
  g_assert_false (agree (&known, 11, "\"a\"", "m"));
  g_assert_false (agree (&known, 10, "\"b\"", "m"));
  g_assert_false (agree (&known, 10, "\"a\"", "n"));
  CabFacts facts = cab_known_facts (&known);
  g_assert_cmpstr (facts.etag, ==, "\"a\"");
  g_assert_cmpstr (facts.md5, ==, "m");
  g_assert_cmpint (facts.modified, ==, 7);
  g_auto (CabKnown) expected = {.etag = g_strdup ("\"a\"")};
  g_assert_false (agree (&expected, 10, "\"b\"", NULL));
  g_assert_true (agree (&expected, 10, "\"a\"", NULL));
}

static void test_addresses (void) {
  g_autoptr (CabAddresses) addresses = cab_addresses_new (3);
  const char *const names[] = {"a", "b", "c", "d", "e", "f", "g"};
  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    cab_addresses_add (addresses, names[i], names[i]);
  g_assert_null (cab_addresses_get (addresses, "a"));
  g_assert_cmpstr (cab_addresses_get (addresses, "d"), ==, "d");
  g_assert_cmpstr (cab_addresses_get (addresses, "g"), ==, "g");
  cab_addresses_add (addresses, "d", "new");
  g_assert_cmpstr (cab_addresses_get (addresses, "d"), ==, "new");
  cab_addresses_drop (addresses, "d");
  g_assert_null (cab_addresses_get (addresses, "d"));
}

static void test_hosts (void) {
  g_autoptr (CabHosts) hosts = cab_hosts_new ();
  gint64 now = cab_clock_unix ();
  g_assert_cmpint (ABS (cab_hosts_time (hosts, "a") - now), <=, 1);
  g_assert_cmpint (ABS (cab_hosts_time (hosts, NULL) - now), <=, 1);
  cab_hosts_heard (hosts, "a", now - 86400);
  cab_hosts_heard (hosts, "a", CAB_TIME_UNKNOWN);
  g_assert_cmpint (ABS (cab_hosts_time (hosts, "a") - (now - 86400)), <=, 1);
  g_assert_cmpint (ABS (cab_hosts_time (hosts, "b") - now), <=, 1);
  cab_hosts_pause (hosts, "a", 1000);
  cab_hosts_pause (hosts, "a", 500);
  g_assert_cmpint (cab_hosts_open_at (hosts, "a"), ==, 1000);
  g_assert_cmpint (cab_hosts_open_at (hosts, "b"), ==, 0);
  for (guint i = 0; i < 5000; i++) { /* as many as a service likes to name */
    g_autofree char *name = g_strdup_printf ("host-%u", i);
    cab_hosts_heard (hosts, name, now);
  }
  g_assert_cmpint (cab_hosts_open_at (hosts, "a"), ==, 0);
}

static void nothing (gpointer data) {
}

static void test_timers (void) {
  g_autoptr (CabTimers) timers = cab_timers_new ();
  CabTimerFunc func = NULL;
  gpointer data = NULL;
  int names[4];
  g_assert_cmpint (cab_timers_next (timers), ==, G_MAXINT64);
  cab_timers_add (timers, 30, nothing, &names[3]);
  CabTimer *removed = cab_timers_add (timers, 20, nothing, &names[2]);
  cab_timers_add (timers, 10, nothing, &names[0]);
  cab_timers_add (timers, 10, nothing, &names[1]); /* in the order they came */
  cab_timers_remove (timers, removed);
  g_assert_cmpint (cab_timers_next (timers), ==, 10);
  g_assert_false (cab_timers_take (timers, 9, &func, &data));
  g_assert_true (cab_timers_take (timers, 10, &func, &data));
  g_assert_true (data == &names[0] && func == nothing);
  g_assert_true (cab_timers_take (timers, 10, &func, &data));
  g_assert_true (data == &names[1]);
  g_assert_false (cab_timers_take (timers, 29, &func, &data));
  g_assert_cmpint (cab_timers_next (timers), ==, 30);
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/facts/content-range", test_content_range);
  g_test_add_func ("/facts/words", test_words);
  g_test_add_func ("/facts/agree", test_agree);
  g_test_add_func ("/facts/addresses", test_addresses);
  g_test_add_func ("/facts/hosts", test_hosts);
  g_test_add_func ("/facts/timers", test_timers);
  return g_test_run ();
}
