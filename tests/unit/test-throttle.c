/* How many requests a host gets at a time.
 *
 * SPDX-License-Identifier: MIT
 */
#include "client/throttle.h"

#define HOST "h.example"

/* As many as there is room for, up to @most. */
static guint fill (CabThrottle *self, const char *host, guint most) {
  guint n = 0;
  for (; n < most && cab_throttle_has_room (self, host); n++)
    cab_throttle_begin (self, host);
  return n;
}

/* They end; how many of them halved the limit. */
static guint end (CabThrottle *self, const char *host, guint n, guint round, int status) {
  guint halved = 0;
  for (; n > 0; n--)
    halved += cab_throttle_end (self, host, round, status) ? 1 : 0;
  return halved;
}

/* A round of as many as there is room for. */
static guint round_of (CabThrottle *self, int status) {
  guint round = cab_throttle_round (self, HOST);
  guint n = fill (self, HOST, 1000);
  end (self, HOST, n, round, status);
  return n;
}

static void test_halves (void) {
  g_autoptr (CabThrottle) throttle = cab_throttle_new (64);
  static const guint expected[] = {64, 32, 16, 8, 4, 2, 1, 1, 1};
  for (guint i = 0; i < G_N_ELEMENTS (expected); i++)
    g_assert_cmpuint (round_of (throttle, i % 2 == 0 ? 429 : 503), ==, expected[i]);
}

/* One more with each round of answers, whatever they say, and never more than the lane has. */
static void test_recovers (void) {
  g_autoptr (CabThrottle) throttle = cab_throttle_new (16);
  for (guint i = 0; i < 6; i++)
    round_of (throttle, 503);
  guint last = 1;
  guint rounds = 0;
  for (; last < 16; rounds++) {
    guint now = round_of (throttle, rounds % 3 == 0 ? 404 : 200);
    g_assert_cmpuint (now, >=, last);
    g_assert_cmpuint (now, <=, last + 1);
    last = now;
  }
  g_assert_cmpuint (rounds, <=, 25);
  for (guint i = 0; i < 10; i++)
    g_assert_cmpuint (round_of (throttle, 206), ==, 16);
}

/* What was under way when the limit was halved says nothing new, for better or worse. */
static void test_old_answers (void) {
  g_autoptr (CabThrottle) throttle = cab_throttle_new (8);
  guint round = cab_throttle_round (throttle, HOST);
  guint n = fill (throttle, HOST, 8);
  g_assert_cmpuint (end (throttle, HOST, 3, round, 429), ==, 1);
  g_assert_cmpuint (cab_throttle_limit (throttle, HOST), ==, 4);
  g_assert_false (cab_throttle_has_room (throttle, HOST));
  g_assert_cmpuint (end (throttle, HOST, n - 3, round, 200), ==, 0);
  g_assert_cmpuint (cab_throttle_limit (throttle, HOST), ==, 4);
  g_assert_cmpuint (fill (throttle, HOST, 8), ==, 4);
}

/* Half of what it was asked for, not of what it might have been. */
static void test_half_of_what (void) {
  g_autoptr (CabThrottle) throttle = cab_throttle_new (64);
  guint n = fill (throttle, HOST, 6);
  g_assert_cmpuint (end (throttle, HOST, n, 0, 429), ==, 1);
  g_assert_cmpuint (cab_throttle_limit (throttle, HOST), ==, 3);
}

static void test_neither (void) {
  g_autoptr (CabThrottle) throttle = cab_throttle_new (8);
  round_of (throttle, 429);
  static const int statuses[] = {0, 500, 502, 504};
  for (guint i = 0; i < G_N_ELEMENTS (statuses); i++)
    g_assert_cmpuint (round_of (throttle, statuses[i]), ==, 4);
}

static void test_hosts_apart (void) {
  g_autoptr (CabThrottle) throttle = cab_throttle_new (8);
  round_of (throttle, 429);
  g_assert_cmpuint (cab_throttle_limit (throttle, HOST), ==, 4);
  g_assert_cmpuint (cab_throttle_limit (throttle, "other.example"), ==, 8);
  g_assert_cmpuint (cab_throttle_limit (throttle, NULL), ==, 8);
  g_assert_true (cab_throttle_has_room (throttle, NULL));
  for (guint i = 0; i < 5000; i++) { /* names do not pile up */
    g_autofree char *host = g_strdup_printf ("h%u.example", i);
    guint n = fill (throttle, host, 100);
    g_assert_cmpuint (n, ==, 8);
    end (throttle, host, n, 0, 503);
  }
}

static void note (gpointer data, const char *host, guint under_way, guint limit) {
  g_string_append_printf (data, "%s %u/%u;", host, under_way, limit);
}

/* A host is told of as long as it is known: with requests or without. */
static void test_each (void) {
  g_autoptr (CabThrottle) throttle = cab_throttle_new (16);
  g_autoptr (GString) seen = g_string_new (NULL);
  cab_throttle_each (throttle, note, seen);
  g_assert_cmpstr (seen->str, ==, "");
  fill (throttle, HOST, 3);
  cab_throttle_each (throttle, note, seen);
  g_assert_cmpstr (seen->str, ==, HOST " 3/16;");
  end (throttle, HOST, 3, cab_throttle_round (throttle, HOST), 200);
  g_string_truncate (seen, 0);
  cab_throttle_each (throttle, note, seen);
  g_assert_cmpstr (seen->str, ==, HOST " 0/16;");
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/throttle/halves", test_halves);
  g_test_add_func ("/throttle/recovers", test_recovers);
  g_test_add_func ("/throttle/old-answers", test_old_answers);
  g_test_add_func ("/throttle/half-of-what", test_half_of_what);
  g_test_add_func ("/throttle/neither", test_neither);
  g_test_add_func ("/throttle/hosts-apart", test_hosts_apart);
  g_test_add_func ("/throttle/each", test_each);
  return g_test_run ();
}
