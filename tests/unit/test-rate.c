/* SPDX-License-Identifier: MIT */
#include "cache/rate.h"

#define SECOND G_USEC_PER_SEC
#define START  (1000 * SECOND + 123456) /* any */

/* From @from_us to @to_us a piece of @bytes each 10 ms. */
static void feed (CabRate *rate, gint64 from_us, gint64 to_us, guint64 bytes) {
  for (gint64 now_us = from_us; now_us < to_us; now_us += SECOND / 100)
    cab_rate_add (rate, now_us, bytes);
}

static void assert_near (guint64 rate, guint64 expected) {
  g_assert_cmpuint (rate, >=, expected - expected / 10);
  g_assert_cmpuint (rate, <=, expected + expected / 10);
}

static void test_nothing (void) {
  const CabRate rate = {0};
  g_assert_cmpuint (cab_rate_get (&rate, 0), ==, 0);
  g_assert_cmpuint (cab_rate_get (&rate, START), ==, 0);
}

static void test_steady (void) {
  CabRate rate = {0};
  for (guint i = 1; i <= 20; i++) {
    feed (&rate, START + (i - 1) * SECOND, START + i * SECOND, 10000);
    assert_near (cab_rate_get (&rate, START + i * SECOND), 1000000);
  }
}

/* What came before the window counts no more, what comes counts at once. */
static void test_follows (void) {
  CabRate rate = {0};
  feed (&rate, START, START + 10 * SECOND, 100000);
  feed (&rate, START + 10 * SECOND, START + 15 * SECOND, 1000);
  assert_near (cab_rate_get (&rate, START + 15 * SECOND), 100000);
  feed (&rate, START + 15 * SECOND, START + 17 * SECOND, 100000);
  guint64 risen = cab_rate_get (&rate, START + 17 * SECOND);
  g_assert_cmpuint (risen, >, 4000000);
  g_assert_cmpuint (risen, <, 7000000);
}

/* A silence brings it down, to nothing in the end; what comes then begins anew. */
static void test_silence (void) {
  CabRate rate = {0};
  feed (&rate, START, START + 5 * SECOND, 10000);
  guint64 last = cab_rate_get (&rate, START + 5 * SECOND);
  for (guint i = 1; i < 4; i++) {
    guint64 now = cab_rate_get (&rate, START + (5 + i) * SECOND);
    g_assert_cmpuint (now, <, last);
    last = now;
  }
  g_assert_cmpuint (cab_rate_get (&rate, START + 10 * SECOND), ==, 0);
  feed (&rate, START + 60 * SECOND, START + 61 * SECOND, 50000);
  assert_near (cab_rate_get (&rate, START + 61 * SECOND), 5000000);
}

/* The first piece is no measure. */
static void test_first_piece (void) {
  CabRate rate = {0};
  cab_rate_add (&rate, START, 65536);
  g_assert_cmpuint (cab_rate_get (&rate, START), <=, 655360);
  cab_rate_add (&rate, START + 1, 65536);
  g_assert_cmpuint (cab_rate_get (&rate, START + 1), <=, 2 * 655360);
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/rate/nothing", test_nothing);
  g_test_add_func ("/rate/steady", test_steady);
  g_test_add_func ("/rate/follows", test_follows);
  g_test_add_func ("/rate/silence", test_silence);
  g_test_add_func ("/rate/first-piece", test_first_piece);
  return g_test_run ();
}
