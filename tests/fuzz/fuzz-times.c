/* SPDX-License-Identifier: MIT
 *
 * Dates of the services, of HTTP headers and of the cache's directories; Retry-After.
 */
#include "client/times.h"
#include "tests/fuzz/fuzz.h"

/* Some time in 2026, so that dates in the corpus lie on both sides. */
#define NOW G_GINT64_CONSTANT (1780000000)

static gint64 day_of (gint64 when) {
  return when / 86400 - (when % 86400 < 0);
}

/* What was understood can be written, and reads as the same again. */
static void check (gint64 when) {
  if (when == CAB_TIME_UNKNOWN)
    return;
  g_autofree char *iso = cab_time_format_iso (when);
  g_autofree char *basic = cab_time_format_basic (when);
  g_autofree char *day = cab_time_format_day (when, CAB_DATE_MDY);
  gint64 again = cab_time_parse_basic (basic);
  g_assert_cmpint (cab_time_parse (iso), ==, again);
  g_assert_cmpint (cab_time_parse (day), ==, day_of (again) * 86400);
  /* An offset may reach beyond the years that four digits can name; there it stays within a day of them. */
  g_assert_cmpint (ABS (again - when), <, 86400);
  if (strncmp (iso, "1601-01-01", 10) != 0 && strncmp (iso, "9999-12-31", 10) != 0)
    g_assert_cmpint (again, ==, when);
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size) {
  g_autofree char *text = fuzz_text (data, size);
  check (cab_time_parse (text));
  check (cab_time_parse_http (text));
  gint64 basic = cab_time_parse_basic (text);
  check (basic);
  if (basic != CAB_TIME_UNKNOWN) { /* takes nothing that would not be written so */
    g_autofree char *same = cab_time_format_basic (basic);
    g_assert_cmpstr (same, ==, text);
  }
  gint64 wait = cab_time_parse_retry_after (text, NOW);
  g_assert_cmpint (wait, >=, -1);
  g_assert_cmpint (wait, <=, G_GINT64_CONSTANT (10000) * 366 * 86400);
  return 0;
}
