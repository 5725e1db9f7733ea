/* SPDX-License-Identifier: MIT
 *
 * Answers that are errors: JSON, XML, HTML or anything, and the correlation id of a header (the first line).
 */
#include "client/api.h"
#include "tests/fuzz/fuzz.h"

/* A line for a log: short, and nothing in it that moves a terminal. */
static void check_text (char *text) {
  g_assert_cmpuint (strlen (text), <=, 400);
  g_assert_true (text[0] != '\0' && g_utf8_validate (text, -1, NULL));
  for (char *p = text; *p != '\0'; p = g_utf8_next_char (p))
    g_assert_true (g_unichar_isprint (g_utf8_get_char (p)));
}

static void check_code (const char *code) {
  if (code == NULL)
    return;
  g_assert_cmpuint (strlen (code), <=, 48);
  for (const char *p = code; *p != '\0'; p++)
    g_assert_true (g_ascii_isalnum (*p) || strchr ("._-", *p) != NULL);
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size) {
  g_autofree char *correlation = fuzz_line (&data, &size);
  g_autofree char *exact = g_memdup2 (data, size);
  g_autofree char *text = cab_api_error_text (exact, size, correlation[0] != '\0' ? correlation : NULL);
  check_text (text);
  g_autofree char *code = cab_api_error_code (exact, size);
  check_code (code);
  return 0;
}
