/* SPDX-License-Identifier: MIT
 *
 * What the headers of a blob host say of a blob: Content-Range, Content-Length, Content-MD5, ETag, a line each.
 */
#include "client/error.h"
#include "client/facts.h"
#include "tests/fuzz/fuzz.h"

static void check_range (const char *text) {
  CabContentRange range;
  if (!cab_content_range_parse (text, &range))
    return;
  g_assert_true (!range.has_range || range.first <= range.last);
  g_assert_true (!range.has_range || !range.has_total || range.last < range.total);
  g_assert_true (g_ascii_strncasecmp (text, "bytes", 5) == 0);
}

static void check_length (const char *text) {
  guint64 length;
  if (!cab_length_parse (text, &length))
    return;
  g_assert_true (g_ascii_isdigit (text[0]));
  g_assert_cmpuint (length, ==, g_ascii_strtoull (text, NULL, 10));
}

static char *check_md5 (const char *text) {
  char *md5 = cab_md5_parse (text);
  g_assert_true (md5 == NULL || (strlen (md5) == 32 && strspn (md5, "0123456789abcdef") == 32));
  return md5;
}

/* What is known after an answer agrees with the same answer again, and not with another size. */
static void check_facts (const char *etag, const char *md5, gboolean expected) {
  g_auto (CabKnown) known = {.modified = CAB_TIME_UNKNOWN};
  CabFacts facts = {.size = 5, .etag = etag, .md5 = md5, .modified = CAB_TIME_UNKNOWN};
  known.etag = expected ? g_strdup ("\"0x8D4C5A1\"") : NULL;
  if (!cab_known_agree (&known, &facts, NULL)) {
    g_assert_true (expected && !known.known);
    return;
  }
  g_assert_true (cab_known_agree (&known, &facts, NULL));
  facts.size++;
  g_autoptr (GError) error = NULL;
  g_assert_false (cab_known_agree (&known, &facts, &error));
  g_assert_error (error, CAB_ERROR, CAB_ERROR_CHANGED);
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size) {
  g_autofree char *range = fuzz_line (&data, &size);
  g_autofree char *length = fuzz_line (&data, &size);
  g_autofree char *sum = fuzz_line (&data, &size);
  g_autofree char *etag = fuzz_line (&data, &size);
  check_range (range);
  check_length (length);
  g_autofree char *md5 = check_md5 (sum);
  if (cab_etag_is_strong (etag))
    g_assert_true (etag[0] == '"');
  check_facts (etag, md5, FALSE);
  check_facts (etag, md5, TRUE);
  return 0;
}
