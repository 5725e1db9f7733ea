/* SPDX-License-Identifier: MIT
 *
 * What a login host, a token command or a token file gives.
 */
#include "client/api.h"
#include "client/error.h"
#include "tests/fuzz/fuzz.h"

#define NOW G_GINT64_CONSTANT (1780000000)

/* It becomes a part of a header. */
static void check_token (const CabTokenAnswer *answer) {
  g_assert_cmpstr (answer->access_token, !=, "");
  for (const char *p = answer->access_token; *p != '\0'; p++)
    g_assert_true (g_ascii_isgraph (*p));
  g_assert_cmpint (answer->expires_in, >=, 0);
}

/* The message is one of ours and holds nothing of what came. */
static void check_error (const GError *error) {
  g_assert_error (error, CAB_ERROR, CAB_ERROR_INVALID);
  g_assert_true (g_str_has_prefix (error->message, "token answer: "));
  g_assert_cmpuint (strlen (error->message), <, 90);
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size) {
  g_autoptr (GError) error = NULL;
  CabTokenAnswer answer = {0};
  if (cab_api_parse_token (data, size, NOW, &answer, &error)) {
    g_assert_no_error (error);
    check_token (&answer);
  } else {
    check_error (error);
    g_assert_null (answer.access_token);
  }
  g_free (answer.access_token);
  return 0;
}
