/* SPDX-License-Identifier: MIT */
#include "cache/map.h"
#include "client/error.h"
#include "client/records.h"

#include <string.h>

#define HEAD      "cabfs-map 2\nid a\nowner driver/13984104677400476\nsize 6406\n"
#define LARGE     "cabfs-map 2\nid a\nowner driver/13984104677400476\nsize 4194304\n"
#define FILE_LINE "file 2621441 1494165223.5\n"

/* @lines with the checksum that fits them. */
static char *with_sum (const char *lines) {
  g_autofree char *sum = g_compute_checksum_for_string (G_CHECKSUM_SHA256, lines, -1);
  return g_strdup_printf ("%ssum %s\n", lines, sum);
}

static gboolean parses (const char *lines, CabMap *map) {
  g_autofree char *text = with_sum (lines);
  g_autoptr (GError) error = NULL;
  gboolean ok = cab_map_parse (text, strlen (text), map, &error);
  if (!ok)
    g_assert_error (error, CAB_ERROR, CAB_ERROR_INVALID);
  return ok;
}

static void test_good (void) {
  static const char *const cases[] = {
      HEAD FILE_LINE,
      HEAD "etag \"0x8D4C5A1\"\nmd5 99b81719acc5c40b99b81719acc5c40b\nmodified -5\n" FILE_LINE
           "have 0 5\nhave 6 6406\n",
      HEAD FILE_LINE "have 0 5 0123456789abcdef\nhave 5 6 0000000000000000\nhave 7 6406 ffffffffffffffff\n",
      LARGE FILE_LINE "have 5 3145729 1111111111111111 2222222222222222 3333333333333333 4444444444444444\n"
                      "have 3145730 3145731 5555555555555555\n",
      HEAD "file 0 unknown 1.2\n",
  };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_auto (CabMap) map = {0};
    g_assert_true (parses (cases[i], &map));
    g_autofree char *written = cab_map_format (&map);
    g_autofree char *text = with_sum (cases[i]);
    g_assert_cmpstr (written, ==, text);
  }
}

/* A checksum that fits does not make a map of what was never written as one. */
static void test_bad (void) {
  static const char *const cases[] = {
      "cabfs-map 2\n",
      "\n",
      "a map\nid a\nowner b\nsize 1\n" FILE_LINE,
      HEAD,
      HEAD FILE_LINE FILE_LINE,
      HEAD FILE_LINE "have 0 6407\n",
      HEAD FILE_LINE "have 5 5\n",
      HEAD FILE_LINE "have 0 5\nhave 5 6\n",
      HEAD FILE_LINE "have 0 5\nhave 3 9\n",
      HEAD FILE_LINE "have 0 6406\nsize 5\n",
      HEAD "size 6406\n" FILE_LINE,
      HEAD "modified 1\nmodified 2\n" FILE_LINE,
      HEAD FILE_LINE "modified 1\n",
      HEAD "etag \n" FILE_LINE,
      HEAD "colour blue\n" FILE_LINE,
      HEAD FILE_LINE "\n",
      HEAD "file 02621441 1494165223.5\n",
      "cabfs-map 2\nowner b\nid a\nsize 1\n" FILE_LINE,
      "cabfs-map 2\nid a\nsize 1\n" FILE_LINE,
      HEAD FILE_LINE "have 0 5 0123456789abcde\n",
      HEAD FILE_LINE "have 0 5 0123456789abcdeg\n",
      HEAD FILE_LINE "have 0 5 0123456789ABCDEF\n",
      HEAD FILE_LINE "have 0 5 0123456789abcdef \n",
      HEAD FILE_LINE "have 0 5 0123456789abcdef 0123456789abcdef\n",
      HEAD FILE_LINE "have 0 5 0123456789abcdef\nhave 6 7\n",
      LARGE FILE_LINE "have 0 1048577 0123456789abcdef\n",
      LARGE FILE_LINE "have 0 1048576 0123456789abcdef\nhave 1048576 1048577 0123456789abcdef\n",
  };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_auto (CabMap) map = {0};
    g_test_message ("%s", cases[i]);
    g_assert_false (parses (cases[i], &map));
    g_assert_null (map.id);
  }
}

/* That of an older or a newer program is no damage, and as good as none. */
static void test_other_version (void) {
  static const char *const cases[] = {"cabfs-map 1\nid a\nowner b\nsize 1\n" FILE_LINE, "cabfs-map 3\n"};
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *text = with_sum (cases[i]);
    g_auto (CabMap) map = {0};
    g_autoptr (GError) error = NULL;
    g_assert_false (cab_map_parse (text, strlen (text), &map, &error));
    g_assert_error (error, CAB_ERROR, CAB_ERROR_NOT_FOUND);
  }
}

/* A host may send an empty ETag: that is none. */
static void test_empty_etag (void) {
  char id[] = "a", owner[] = "b", none[] = "", born[] = "1.2";
  const CabMap map = {
      .id = id, .owner = owner, .etag = none, .md5 = none, .modified = CAB_TIME_UNKNOWN, .born = born};
  g_autofree char *text = cab_map_format (&map);
  g_auto (CabMap) read = {0};
  g_autoptr (GError) error = NULL;
  g_assert_true (cab_map_parse (text, strlen (text), &read, &error));
  g_assert_no_error (error);
  g_assert_null (read.etag);
  g_assert_null (read.md5);
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/map/good", test_good);
  g_test_add_func ("/map/bad", test_bad);
  g_test_add_func ("/map/other-version", test_other_version);
  g_test_add_func ("/map/empty-etag", test_empty_etag);
  return g_test_run ();
}
