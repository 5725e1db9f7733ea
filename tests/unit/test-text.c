/* SPDX-License-Identifier: MIT
 *
 * How sizes are written for people.
 */
#include "fs/text.h"

#define MIB ((guint64) 1 << 20)

static void test_size (void) {
  static const struct {
    guint64 bytes;
    const char *text;
  } rows[] = {
      {0, "0 B"},
      {1, "1 B"},
      {1023, "1023 B"},
      {1024, "1.0 KiB"},
      {10 * 1024, "10.0 KiB"},
      {MIB - 52, "1023.9 KiB"},
      {MIB - 51, "1.0 MiB"},
      {MIB - 1, "1.0 MiB"},
      {MIB, "1.0 MiB"},
      {MIB * 384, "384.0 MiB"},
      {MIB * 1536, "1.5 GiB"},
      {MIB * 9999, "9.8 GiB"},
      {G_MAXUINT64, "16.0 EiB"},
  };
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autofree char *text = cab_text_size (rows[i].bytes);
    g_assert_cmpstr (text, ==, rows[i].text);
  }
}

static void assert_part (guint64 bytes, guint64 all, const char *wanted) {
  g_autofree char *text = cab_text_part (bytes, all);
  g_assert_cmpstr (text, ==, wanted);
}

static void test_part (void) {
  assert_part (0, 0, "0 of 0 B");
  assert_part (7, 1000, "7 of 1000 B");
  assert_part (0, MIB, "0.0 of 1.0 MiB");
  assert_part (120 * MIB, 384 * MIB, "120.0 of 384.0 MiB");
  assert_part (2048 * MIB, MIB, "2048.0 of 1.0 MiB"); /* what a host told wrongly */
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/text/size", test_size);
  g_test_add_func ("/text/part", test_part);
  return g_test_run ();
}
