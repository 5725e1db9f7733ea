/* SPDX-License-Identifier: MIT
 *
 * The text of a .map file.  What is parsed is the input as it is, and once more with a last line that holds its
 * checksum, which chance would never find.
 */
#include "cache/map.h"
#include "client/error.h"
#include "tests/fuzz/fuzz.h"

/* What counts as a map is what would have been written of it. */
static void check (const char *text, gsize len) {
  g_autoptr (GError) error = NULL;
  g_auto (CabMap) map = {0};
  if (!cab_map_parse (text, len, &map, &error)) {
    if (!g_error_matches (error, CAB_ERROR, CAB_ERROR_NOT_FOUND)) /* another version */
      g_assert_error (error, CAB_ERROR, CAB_ERROR_INVALID);
    g_assert_null (map.id);
    return;
  }
  g_assert_no_error (error);
  g_assert_true (map.id != NULL && map.owner != NULL && map.born != NULL);
  for (guint i = 0; i < map.have.count; i++)
    g_assert_true (map.have.items[i].start < map.have.items[i].end && map.have.items[i].end <= map.size);
  guint64 summed = 0;
  for (guint i = 0; i < map.sums.count; i++) {
    CabRange piece = map.sums.items[i].piece;
    g_assert_true (piece.start < piece.end && cab_ranges_has (&map.have, piece.start, piece.end));
    g_assert_cmpuint (piece.start / CAB_SUM_CHUNK, ==, (piece.end - 1) / CAB_SUM_CHUNK);
    summed += piece.end - piece.start;
  }
  g_assert_true (summed == 0 || summed == cab_ranges_total (&map.have));
  g_autofree char *written = cab_map_format (&map);
  g_autofree char *given = g_strndup (text, len);
  g_assert_cmpstr (written, ==, given);
  g_assert_cmpuint (strlen (given), ==, len);
}

/* Whatever a host says of a CAB, its map can be read again. */
static void check_written (const uint8_t *data, size_t size) {
  g_autofree char *id = fuzz_line (&data, &size);
  g_autofree char *owner = fuzz_line (&data, &size);
  g_autofree char *etag = fuzz_line (&data, &size);
  g_autofree char *md5 = fuzz_line (&data, &size);
  if (id[0] == '\0' || owner[0] == '\0')
    return;
  char born[] = "1494165223.5";
  const CabMap map = {.id = id, .owner = owner, .size = size, .etag = etag, .md5 = md5, .born = born};
  g_autofree char *text = cab_map_format (&map);
  g_auto (CabMap) read = {0};
  g_autoptr (GError) error = NULL;
  cab_map_parse (text, strlen (text), &read, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (read.etag, ==, etag[0] != '\0' ? etag : NULL);
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size) {
  g_autofree char *exact = g_memdup2 (data, size);
  check (exact, size);
  check_written (data, size);
  g_autoptr (GString) text = g_string_new_len ((const char *) data, (gssize) size);
  if (size == 0 || data[size - 1] != '\n')
    g_string_append_c (text, '\n');
  g_autofree char *sum = g_compute_checksum_for_data (G_CHECKSUM_SHA256, (const guchar *) text->str, text->len);
  g_string_append_printf (text, "sum %s\n", sum);
  check (text->str, text->len);
  return 0;
}
