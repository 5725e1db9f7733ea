/* SPDX-License-Identifier: MIT */
#include "tests/emulator/assertion.h"
#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

/* How far clocks may differ, as the real one has it. */
#define SKEW_S 300

enum {
  MALFORMED = 50027,
  OTHER_CLIENT = 700021,
  OTHER_AUDIENCE = 700023,
  NOT_NOW = 700024,
  NOT_SIGNED = 700027
};

/* --- Base64url ---------------------------------------------------------------------------------------------- */

/* NULL for what is not in that alphabet, padding included. */
static guchar *decode (const char *text, gsize *len) {
  if (text[strspn (text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")] != '\0')
    return NULL;
  g_autoptr (GString) padded = g_string_new (text);
  while (padded->len % 4 != 0)
    g_string_append_c (padded, '=');
  g_strdelimit (g_strdelimit (padded->str, "-", '+'), "_", '/');
  return g_base64_decode (padded->str, len);
}

static json_t *decode_object (const char *text) {
  gsize len = 0;
  g_autofree guchar *bytes = decode (text, &len);
  json_t *object = bytes != NULL ? json_loadb ((const char *) bytes, len, JSON_REJECT_DUPLICATES, NULL) : NULL;
  if (json_is_object (object))
    return object;
  json_decref (object);
  return NULL;
}

static const char *text_of (json_t *object, const char *name) {
  return json_string_value (json_object_get (object, name));
}

/* --- the signature ------------------------------------------------------------------------------------------ */

/* TRUE if the header has no such thumbprint, or it is that of @x509. */
static gboolean fits (json_t *header, const char *name, const X509 *x509, const EVP_MD *kind) {
  guchar digest[EVP_MAX_MD_SIZE];
  unsigned wanted = 0;
  gsize len = 0;
  const char *text = text_of (header, name);
  if (text == NULL)
    return TRUE;
  g_autofree guchar *told = decode (text, &len);
  return told != NULL && X509_digest (x509, kind, digest, &wanted) == 1 && len == wanted &&
         memcmp (told, digest, len) == 0;
}

/* The one that the header names; to be freed. */
static X509 *find_certificate (const char *pem, json_t *header) {
  gboolean named = text_of (header, "x5t") != NULL || text_of (header, "x5t#S256") != NULL;
  BIO *bio = named && pem != NULL ? BIO_new_mem_buf (pem, -1) : NULL;
  X509 *x509 = NULL;
  while (bio != NULL && (x509 = PEM_read_bio_X509 (bio, NULL, NULL, NULL)) != NULL) {
    if (fits (header, "x5t", x509, EVP_sha1 ()) && fits (header, "x5t#S256", x509, EVP_sha256 ()))
      break;
    X509_free (x509);
  }
  BIO_free (bio);
  return x509;
}

/* RS256 of @len bytes at @text, by a certificate that is valid at @now. */
static gboolean is_signed (const X509 *x509, const char *text, gsize len, const char *signature, gint64 now) {
  gsize signature_len = 0;
  g_autofree guchar *bytes = decode (signature, &signature_len);
  time_t when = (time_t) now;
  if (bytes == NULL || X509_cmp_time (X509_get0_notAfter (x509), &when) <= 0)
    return FALSE;
  EVP_MD_CTX *context = EVP_MD_CTX_new ();
  gboolean good = EVP_DigestVerifyInit (context, NULL, EVP_sha256 (), NULL, X509_get0_pubkey (x509)) == 1 &&
                  EVP_DigestVerify (context, bytes, signature_len, (const guchar *) text, len) == 1;
  EVP_MD_CTX_free (context);
  return good;
}

/* --- the whole ---------------------------------------------------------------------------------------------- */

static int check_claims (const EmuAssertionRule *rule, json_t *claims) {
  gint64 from = json_integer_value (json_object_get (claims, "nbf"));
  gint64 to = json_integer_value (json_object_get (claims, "exp"));
  const char *jti = text_of (claims, "jti");
  if (jti == NULL || !g_uuid_string_is_valid (jti))
    return MALFORMED;
  if (g_strcmp0 (text_of (claims, "aud"), rule->endpoint) != 0)
    return OTHER_AUDIENCE;
  if (g_strcmp0 (text_of (claims, "iss"), rule->client_id) != 0 ||
      g_strcmp0 (text_of (claims, "sub"), rule->client_id) != 0)
    return OTHER_CLIENT;
  return from > rule->now + SKEW_S || to < rule->now - SKEW_S || to <= from ? NOT_NOW : 0;
}

static int check_parts (const EmuAssertionRule *rule, const char *jwt, json_t *header, json_t *claims,
                        const char *signature) {
  if (header == NULL || claims == NULL || g_strcmp0 (text_of (header, "alg"), "RS256") != 0 ||
      g_strcmp0 (text_of (header, "typ"), "JWT") != 0)
    return MALFORMED;
  X509 *x509 = find_certificate (rule->certificates, header);
  gsize len = (gsize) (strrchr (jwt, '.') - jwt);
  gboolean good = x509 != NULL && is_signed (x509, jwt, len, signature, rule->now);
  X509_free (x509);
  return good ? check_claims (rule, claims) : NOT_SIGNED;
}

int emu_assertion_check (const EmuAssertionRule *rule, const char *jwt) {
  g_auto (GStrv) parts = g_strsplit (jwt, ".", -1);
  if (g_strv_length (parts) != 3)
    return MALFORMED;
  json_t *header = decode_object (parts[0]), *claims = decode_object (parts[1]);
  int wrong = check_parts (rule, jwt, header, claims, parts[2]);
  json_decref (header);
  json_decref (claims);
  return wrong;
}
