/* The certificate of an application, and the proofs that it signs.
 *
 * SPDX-License-Identifier: MIT
 */
#include "client/certificate.h"
#include "client/error.h"
#include "client/token_hints.h"
#include "tests/unit/identity.h"

#include <string.h>

#define DAY 86400L
#define NOW (g_get_real_time () / G_USEC_PER_SEC)

static Identity *first, *second; /* making keys takes long */

static CabCertificate *parse (const char *pem) {
  g_autoptr (GError) error = NULL;
  CabCertificate *certificate = cab_certificate_parse (pem, strlen (pem), &error);
  g_assert_no_error (error);
  return certificate;
}

static void check_refused (const void *pem, gsize len, const char *word) {
  g_autoptr (GError) error = NULL;
  g_assert_null (cab_certificate_parse (pem, len, &error));
  g_assert_error (error, CAB_ERROR, CAB_ERROR_INVALID);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, word));
}

static void check_text (const char *pem, const char *word) {
  check_refused (pem, strlen (pem), word);
}

static void test_signs (void) {
  g_autofree char *pem = identity_pem (first);
  g_autoptr (CabCertificate) certificate = parse (pem);
  const char *audience = "https://login.example/tenant/oauth2/v2.0/token";
  char *one = cab_certificate_assert (certificate, audience, "an-id", NOW, NULL);
  char *two = cab_certificate_assert (certificate, audience, "an-id", NOW, NULL);
  identity_verify (first, one, audience, "an-id", NOW);
  identity_verify (first, two, audience, "an-id", NOW);
  g_assert_cmpstr (one, !=, two); /* each is for one request */
  g_free (one);
  g_free (two);
}

/* What is in the claims may not end a string. */
static void test_quotes (void) {
  g_autofree char *pem = identity_pem (first);
  g_autoptr (CabCertificate) certificate = parse (pem);
  g_autofree char *jwt = cab_certificate_assert (certificate, "a\"b", "c\\", NOW, NULL);
  g_autofree char *claims = identity_part (jwt, 1);
  g_assert_true (g_str_has_prefix (claims, "{\"aud\":\"a\\\"b\",\"iss\":\"c\\\\\",\"sub\":\"c\\\\\","));
}

/* In any order, among others: what tools write. */
static void test_chain (void) {
  g_autofree char *key = identity_key (first, NULL);
  g_autofree char *ours = identity_certificate (first);
  g_autofree char *other = identity_certificate (second);
  g_autofree char *pem = g_strconcat ("Bag Attributes\n  friendlyName: x\n", key, other, ours, "more\n", NULL);
  g_autoptr (CabCertificate) certificate = parse (pem);
  g_autofree char *jwt = cab_certificate_assert (certificate, "a", "i", NOW, NULL);
  identity_verify (first, jwt, "a", "i", NOW);
}

static void test_refused (void) {
  g_autofree char *key = identity_key (first, NULL);
  g_autofree char *locked = identity_key (first, "sesame");
  g_autofree char *certificate = identity_certificate (first);
  g_autofree char *other = identity_certificate (second);
  g_autofree char *mismatch = g_strconcat (key, other, NULL);
  g_autofree char *with_locked = g_strconcat (certificate, locked, NULL);
  g_autofree char *cut = g_strndup (key, strlen (key) / 2);
  g_autofree char *damaged =
      g_strconcat (certificate, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", NULL);
  g_autofree char *bad_certificate =
      g_strconcat (key, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", NULL);
  check_refused (NULL, 0, "not PEM");
  check_refused ("0\x82\0\x01", 4, "pkcs12");
  check_text ("hello", "not PEM");
  check_text (certificate, "no private key");
  check_text (key, "no certificate");
  check_text (cut, "damaged");
  check_text (damaged, "private key in it is damaged");
  check_text (bad_certificate, "certificate in it is damaged");
  check_text (mismatch, "does not belong");
  check_text (with_locked, "passphrase");
}

static void test_keys (void) {
  g_autoptr (Identity) small = identity_new (1024, 0, DAY);
  g_autoptr (Identity) curve = identity_new (0, 0, DAY);
  g_autofree char *small_pem = identity_pem (small);
  g_autofree char *curve_pem = identity_pem (curve);
  check_text (small_pem, "1024 bits");
  check_text (curve_pem, "not an RSA key");
}

static void test_times (void) {
  g_autofree char *pem = identity_pem (first);
  g_autoptr (CabCertificate) certificate = parse (pem);
  g_autoptr (GError) late = NULL;
  g_autoptr (GError) early = NULL;
  g_assert_true (cab_certificate_check_time (certificate, NOW, NULL));
  g_assert_false (cab_certificate_check_time (certificate, NOW + 2 * DAY, &late));
  g_assert_error (late, CAB_ERROR, CAB_ERROR_INVALID);
  g_assert_nonnull (strstr (late->message, "expired at 2"));
  g_assert_false (cab_certificate_check_time (certificate, NOW - 2 * DAY, &early));
  g_assert_nonnull (strstr (early->message, "not valid before 2"));
}

static void test_hints (void) {
  g_assert_nonnull (
      strstr (cab_token_hint_login ("invalid_client: AADSTS700027: x"), "upload the certificate"));
  g_assert_nonnull (strstr (cab_token_hint_login ("AADSTS700024: x"), "clock"));
  g_assert_nonnull (strstr (cab_token_hint_login ("AADSTS7000222: x"), "make a new one"));
  g_assert_null (cab_token_hint_login ("AADSTS70002: x"));
  g_assert_null (cab_token_hint_login ("AADSTS: x"));
  g_assert_null (cab_token_hint_login (""));
  g_assert_nonnull (cab_token_hint_metadata (0));
  g_assert_nonnull (cab_token_hint_metadata (302));
  g_assert_null (cab_token_hint_metadata (500));
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
  first = identity_new (2048, -DAY, DAY);
  second = identity_new (2048, -DAY, DAY);
  g_test_add_func ("/certificate/signs", test_signs);
  g_test_add_func ("/certificate/quotes", test_quotes);
  g_test_add_func ("/certificate/chain", test_chain);
  g_test_add_func ("/certificate/refused", test_refused);
  g_test_add_func ("/certificate/keys", test_keys);
  g_test_add_func ("/certificate/times", test_times);
  g_test_add_func ("/certificate/hints", test_hints);
  int result = g_test_run ();
  identity_free (first);
  identity_free (second);
  return result;
}
