/* SPDX-License-Identifier: MIT
 *
 * What stands in the file of client-certificate-file, with "@" for "-----": so the lines that make PEM of it are easily
 * found by chance, and what looks for keys that were left somewhere does not take these inputs for some.
 */
#include "client/certificate.h"
#include "client/error.h"
#include "tests/fuzz/fuzz.h"

#define NOW G_GINT64_CONSTANT (1780000000)

/* Three parts in the alphabet of Base64url. */
static void check_assertion (const CabCertificate *certificate) {
  g_autoptr (GError) error = NULL;
  g_autofree char *jwt = cab_certificate_assert (certificate, "https://login.example/t", "id", NOW, &error);
  if (jwt == NULL) { /* the numbers of the key do not go together */
    g_assert_error (error, CAB_ERROR, CAB_ERROR_FAILED);
    return;
  }
  g_auto (GStrv) parts = g_strsplit (jwt, ".", -1);
  g_assert_cmpuint (g_strv_length (parts), ==, 3);
  for (const char *p = jwt; *p != '\0'; p++)
    g_assert_true (g_ascii_isalnum (*p) || strchr (".-_", *p) != NULL);
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size) {
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) late = NULL;
  g_autoptr (GString) pem = g_string_new_len ((const char *) data, (gssize) size);
  g_string_replace (pem, "@", "-----", 0);
  g_autoptr (CabCertificate) certificate = cab_certificate_parse (pem->str, pem->len, &error);
  if (certificate == NULL) {
    g_assert_error (error, CAB_ERROR, CAB_ERROR_INVALID);
    return 0;
  }
  if (!cab_certificate_check_time (certificate, NOW, &late))
    g_assert_error (late, CAB_ERROR, CAB_ERROR_INVALID);
  check_assertion (certificate);
  return 0;
}
