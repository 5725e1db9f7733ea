/* SPDX-License-Identifier: MIT
 *
 * How cabfsctl writes names, times, bars and rates.
 */
#include <locale.h>

#include "fs/ctl-progress.h"
#include "fs/ctl-text.h"

static void assert_quoted (const char *name, const char *wanted) {
  g_autofree char *quoted = cab_ctl_quote (name);
  g_assert_cmpstr (quoted, ==, wanted);
}

static void test_quote (void) {
  assert_quoted ("", "");
  assert_quoted ("/a b/c.cab", "/a b/c.cab");
  assert_quoted ("a\nb\tc\\", "a\\nb\\tc\\\\");
  assert_quoted ("\033[31m\x7f", "\\033[31m\\177");
  assert_quoted ("\xff\xc3", "\\377\\303");
  assert_quoted ("\xc2\x9b", "\\302\\233");          /* CSI as one character */
  assert_quoted ("\xe2\x80\xae", "\\342\\200\\256"); /* from right to left */
  assert_quoted ("gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f");
}

static void test_duration (void) {
  g_autofree char *seconds = cab_ctl_duration (7);
  g_autofree char *hours = cab_ctl_duration (3723);
  g_assert_cmpstr (seconds, ==, "0:07");
  g_assert_cmpstr (hours, ==, "1:02:03");
}

static void assert_bar (guint64 part, guint64 whole, guint width, const char *wanted) {
  g_autofree char *bar = cab_ctl_bar (part, whole, width);
  g_assert_cmpstr (bar, ==, wanted);
}

static void test_bar (void) {
  assert_bar (0, 4, 6, "[----]");
  assert_bar (1, 4, 6, "[#---]");
  assert_bar (4, 4, 6, "[####]");
  assert_bar (9, 4, 6, "[####]");
  assert_bar (G_MAXUINT64 / 2, G_MAXUINT64, 6, "[##--]");
  assert_bar (0, 0, 6, "[####]");
  assert_bar (1, 0, 6, "[----]");
  assert_bar (1, 2, 1, "[]");
}

static void assert_fit (const char *text, guint columns, gboolean start, const char *wanted) {
  g_autofree char *fit = cab_ctl_fit (text, columns, start);
  g_assert_cmpstr (fit, ==, wanted);
  g_assert_cmpuint (cab_ctl_columns (fit), <=, columns);
}

static void test_fit (void) {
  assert_fit ("abcdef", 6, FALSE, "abcdef");
  assert_fit ("abcdefg", 6, FALSE, "...efg");
  assert_fit ("abcdefg", 6, TRUE, "abc...");
  assert_fit ("abcdefg", 2, FALSE, "ab");
  assert_fit ("abc", 0, TRUE, "");
  /* Characters of two columns are not cut in half. */
  assert_fit ("\xe5\xb1\xb1\xe5\xb1\xb1\xe5\xb1\xb1", 5, TRUE, "\xe5\xb1\xb1...");
  assert_fit ("\xe5\xb1\xb1\xe5\xb1\xb1\xe5\xb1\xb1", 4, FALSE, "...");
}

static void test_progress (void) {
  const CabProgress half = {.name = "/a/b.cab", .have = 512, .size = 1024, .rate = 100, .left_s = 5};
  const CabProgress unknown = {.name = "/a/b.cab", .have = 512, .size = -1, .rate = -1, .left_s = -1};
  for (guint width = 0; width < 200; width++) {
    g_autofree char *line = cab_progress_line (&half, width);
    g_autofree char *other = cab_progress_line (&unknown, width);
    g_assert_nonnull (strstr (line, " 50%"));
    g_assert_null (strchr (other, '%'));
    if (width >= 42) {
      g_assert_cmpuint (cab_ctl_columns (line), ==, width);
      g_assert_cmpuint (cab_ctl_columns (other), <=, width);
    }
    if (width == 0 || width > 90)
      g_assert_nonnull (strstr (line, "/a/b.cab  "));
  }
}

static void test_rate (void) {
  CabRate rate = {0};
  gint64 second = G_USEC_PER_SEC, now = 5 * second;
  g_assert_cmpint (cab_rate_update (&rate, 0, now), ==, -1);
  g_assert_cmpint (cab_rate_update (&rate, 500, now + 1), ==, -1); /* too soon to tell */
  g_assert_cmpint (cab_rate_update (&rate, 1000, now + second), ==, 1000);
  gint64 slower = cab_rate_update (&rate, 1000, now + 2 * second);
  g_assert_cmpint (slower, >, 0);
  g_assert_cmpint (slower, <, 1000);
  for (guint i = 3; i < 60; i++)
    slower = cab_rate_update (&rate, 1000, now + i * second);
  g_assert_cmpint (slower, ==, 0);
}

int main (int argc, char **argv) {
  setlocale (LC_CTYPE, "C.UTF-8");
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/ctl-text/quote", test_quote);
  g_test_add_func ("/ctl-text/duration", test_duration);
  g_test_add_func ("/ctl-text/bar", test_bar);
  g_test_add_func ("/ctl-text/fit", test_fit);
  g_test_add_func ("/ctl-text/progress", test_progress);
  g_test_add_func ("/ctl-text/rate", test_rate);
  return g_test_run ();
}
