/* SPDX-License-Identifier: MIT */
#include "client/retry.h"

static void test_statuses (void) {
  const struct {
    int status;
    gboolean again;
  } cases[] = {
      {0, TRUE},    {408, TRUE},  {429, TRUE},  {500, TRUE},  {502, TRUE},  {503, TRUE},  {504, TRUE},
      {200, FALSE}, {206, FALSE}, {302, FALSE}, {400, FALSE}, {401, FALSE}, {403, FALSE}, {404, FALSE},
      {409, FALSE}, {410, FALSE}, {412, FALSE}, {416, FALSE}, {501, FALSE}, {505, FALSE},
  };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    const CabRetryInput input = {CAB_RETRY_API, 5, 1, cases[i].status, -1, 0.5};
    g_assert_cmpint (cab_retry_delay_ms (&input) >= 0, ==, cases[i].again);
    /* asking for a pause does not make an answer worth repeating */
    const CabRetryInput asked = {CAB_RETRY_API, 5, 1, cases[i].status, 3, 0.5};
    g_assert_cmpint (cab_retry_delay_ms (&asked), ==, cases[i].again ? 3000 : -1);
  }
}

/* [E11] */
static void test_delays (void) {
  const struct {
    CabRetryInput input;
    gint64 delay;
  } cases[] = {
      /* full jitter */
      {{CAB_RETRY_API, 99, 1, 503, -1, 0.0}, 0},
      {{CAB_RETRY_API, 99, 1, 503, -1, 0.5}, 500},
      {{CAB_RETRY_API, 99, 1, 503, -1, 0.999}, 999},
      {{CAB_RETRY_API, 99, 2, 503, -1, 0.5}, 1000},
      {{CAB_RETRY_API, 99, 5, 503, -1, 0.5}, 8000},
      {{CAB_RETRY_API, 99, 6, 503, -1, 0.5}, 15000},
      {{CAB_RETRY_API, 99, 90, 503, -1, 0.5}, 15000},
      /* half of it fixed */
      {{CAB_RETRY_BLOB, 99, 1, 500, -1, 0.0}, 250},
      {{CAB_RETRY_BLOB, 99, 1, 500, -1, 0.5}, 375},
      {{CAB_RETRY_BLOB, 99, 2, 500, -1, 0.0}, 500},
      {{CAB_RETRY_BLOB, 99, 9, 500, -1, 0.0}, 5000},
      {{CAB_RETRY_BLOB, 99, 9, 500, -1, 0.5}, 7500},
      /* the host's wish */
      {{CAB_RETRY_API, 99, 1, 429, 0, 0.9}, 0},
      {{CAB_RETRY_API, 99, 1, 429, 60, 0.9}, 60000},
      {{CAB_RETRY_API, 99, 1, 429, 120, 0.9}, 120000},
      {{CAB_RETRY_API, 99, 1, 429, 86400, 0.9}, 120000},
      {{CAB_RETRY_BLOB, 99, 1, 503, G_MAXINT64, 0.9}, 120000},
      /* the last try */
      {{CAB_RETRY_API, 5, 4, 503, -1, 0.5}, 4000},
      {{CAB_RETRY_API, 5, 5, 503, -1, 0.5}, -1},
      {{CAB_RETRY_API, 5, 6, 503, 1, 0.5}, -1},
      {{CAB_RETRY_API, 1, 1, 0, -1, 0.5}, -1},
      {{CAB_RETRY_API, 0, 1, 0, -1, 0.5}, -1},
      {{CAB_RETRY_API, 2, 0, 0, -1, 0.5}, 500},
  };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_test_message ("case %" G_GSIZE_FORMAT, i);
    g_assert_cmpint (cab_retry_delay_ms (&cases[i].input), ==, cases[i].delay);
  }
}

static void test_pauses (void) {
  g_assert_true (cab_retry_pauses_host (429, -1));
  g_assert_true (cab_retry_pauses_host (429, 5));
  g_assert_true (cab_retry_pauses_host (503, 0));
  g_assert_true (cab_retry_pauses_host (503, 5));
  g_assert_false (cab_retry_pauses_host (503, -1));
  g_assert_false (cab_retry_pauses_host (500, 5));
  g_assert_false (cab_retry_pauses_host (0, -1));
}

/* As Microsoft asks for. */
static void test_metadata (void) {
  const struct {
    CabRetryInput input;
    gint64 delay;
  } cases[] = {
      {{CAB_RETRY_METADATA, 5, 1, 404, -1, 0.0}, 1000},  {{CAB_RETRY_METADATA, 5, 2, 404, -1, 0.0}, 2000},
      {{CAB_RETRY_METADATA, 5, 4, 404, -1, 0.5}, 12000}, {{CAB_RETRY_METADATA, 5, 5, 404, -1, 0.5}, -1},
      {{CAB_RETRY_METADATA, 5, 1, 429, -1, 0.0}, 1000},  {{CAB_RETRY_METADATA, 5, 1, 429, 7, 0.0}, 7000},
      {{CAB_RETRY_METADATA, 5, 1, 500, -1, 0.0}, 1000},  {{CAB_RETRY_METADATA, 5, 1, 505, -1, 0.0}, 1000},
      {{CAB_RETRY_METADATA, 5, 1, 410, -1, 0.0}, 20000}, {{CAB_RETRY_METADATA, 5, 4, 410, -1, 0.0}, 20000},
      {{CAB_RETRY_METADATA, 5, 1, 400, -1, 0.5}, -1},    {{CAB_RETRY_METADATA, 5, 1, 302, -1, 0.5}, -1},
      {{CAB_RETRY_METADATA, 5, 1, 403, -1, 0.5}, -1},    {{CAB_RETRY_METADATA, 5, 1, 0, -1, 0.0}, 1000},
      {{CAB_RETRY_METADATA, 5, 2, 0, -1, 0.0}, -1}, /* most likely there is none */
  };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_test_message ("case %" G_GSIZE_FORMAT, i);
    g_assert_cmpint (cab_retry_delay_ms (&cases[i].input), ==, cases[i].delay);
  }
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/retry/statuses", test_statuses);
  g_test_add_func ("/retry/delays", test_delays);
  g_test_add_func ("/retry/pauses", test_pauses);
  g_test_add_func ("/retry/metadata", test_metadata);
  return g_test_run ();
}
