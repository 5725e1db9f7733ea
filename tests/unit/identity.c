/* SPDX-License-Identifier: MIT */
#include "tests/unit/identity.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

struct Identity {
  EVP_PKEY *key;
  X509 *x509;
};

Identity *identity_new (guint bits, long from, long to) {
  Identity *self = g_new0 (Identity, 1);
  self->key = bits > 0 ? EVP_RSA_gen (bits) : EVP_EC_gen ("P-256");
  self->x509 = X509_new ();
  X509_set_version (self->x509, X509_VERSION_3);
  ASN1_INTEGER_set (X509_get_serialNumber (self->x509), 1);
  X509_gmtime_adj (X509_getm_notBefore (self->x509), from);
  X509_gmtime_adj (X509_getm_notAfter (self->x509), to);
  X509_NAME_add_entry_by_txt (X509_get_subject_name (self->x509), "CN", MBSTRING_ASC, (const guchar *) "cabfs",
                              -1, -1, 0);
  X509_set_issuer_name (self->x509, X509_get_subject_name (self->x509));
  X509_set_pubkey (self->x509, self->key);
  g_assert_cmpint (X509_sign (self->x509, self->key, EVP_sha256 ()), >, 0);
  return self;
}

void identity_free (Identity *self) {
  if (self == NULL)
    return;
  EVP_PKEY_free (self->key);
  X509_free (self->x509);
  g_free (self);
}

/* --- PEM ---------------------------------------------------------------------------------------------------- */

static char *text_of (BIO *bio) {
  char *bytes = NULL;
  long len = BIO_get_mem_data (bio, &bytes);
  char *text = g_strndup (bytes, (gsize) len);
  BIO_free (bio);
  return text;
}

char *identity_key (const Identity *self, const char *passphrase) {
  BIO *bio = BIO_new (BIO_s_mem ());
  const EVP_CIPHER *cipher = passphrase != NULL ? EVP_aes_128_cbc () : NULL;
  g_assert_cmpint (PEM_write_bio_PKCS8PrivateKey (bio, self->key, cipher, passphrase,
                                                  passphrase != NULL ? (int) strlen (passphrase) : 0, NULL,
                                                  NULL),
                   ==, 1);
  return text_of (bio);
}

char *identity_certificate (const Identity *self) {
  BIO *bio = BIO_new (BIO_s_mem ());
  g_assert_cmpint (PEM_write_bio_X509 (bio, self->x509), ==, 1);
  return text_of (bio);
}

char *identity_pem (const Identity *self) {
  g_autofree char *certificate = identity_certificate (self);
  g_autofree char *key = identity_key (self, NULL);
  return g_strconcat (certificate, key, NULL);
}

/* --- JWT ---------------------------------------------------------------------------------------------------- */

static guchar *decode (const char *text, gsize *len) {
  GString *padded = g_string_new (text);
  g_assert_null (strpbrk (text, "+/="));
  while (padded->len % 4 != 0)
    g_string_append_c (padded, '=');
  g_strdelimit (g_strdelimit (padded->str, "-", '+'), "_", '/');
  guchar *bytes = g_base64_decode (padded->str, len);
  g_string_free (padded, TRUE);
  return bytes;
}

char *identity_part (const char *jwt, guint number) {
  gsize len = 0;
  g_auto (GStrv) parts = g_strsplit (jwt, ".", -1);
  g_assert_cmpuint (g_strv_length (parts), ==, 3);
  g_autofree guchar *bytes = decode (parts[number], &len);
  return g_strndup ((const char *) bytes, len);
}

static void verify_signature (const Identity *self, const char *jwt) {
  gsize len = 0;
  const char *dot = strrchr (jwt, '.');
  g_autofree guchar *signature = decode (dot + 1, &len);
  EVP_MD_CTX *context = EVP_MD_CTX_new ();
  g_assert_cmpint (EVP_DigestVerifyInit (context, NULL, EVP_sha256 (), NULL, self->key), ==, 1);
  g_assert_cmpint (EVP_DigestVerify (context, signature, len, (const guchar *) jwt, (gsize) (dot - jwt)), ==,
                   1);
  EVP_MD_CTX_free (context);
}

static void verify_thumbprint (const Identity *self, const char *header, const char *name, const EVP_MD *kind) {
  guchar digest[EVP_MAX_MD_SIZE];
  unsigned len = 0;
  gsize told_len = 0;
  g_assert_cmpint (X509_digest (self->x509, kind, digest, &len), ==, 1);
  g_autofree char *key = g_strdup_printf ("\"%s\":\"", name);
  const char *found = strstr (header, key);
  g_assert_nonnull (found);
  found += strlen (key);
  g_autofree char *text = g_strndup (found, strcspn (found, "\""));
  g_autofree guchar *told = decode (text, &told_len);
  g_assert_cmpmem (told, (int) told_len, digest, (int) len);
}

static gint64 number_of (const char *claims, const char *name) {
  g_autofree char *key = g_strdup_printf ("\"%s\":", name);
  const char *found = strstr (claims, key);
  g_assert_nonnull (found);
  return g_ascii_strtoll (found + strlen (key), NULL, 10);
}

void identity_verify (const Identity *self, const char *jwt, const char *audience, const char *id, gint64 now) {
  g_autofree char *header = identity_part (jwt, 0);
  g_autofree char *claims = identity_part (jwt, 1);
  g_autofree char *names =
      g_strdup_printf ("\"aud\":\"%s\",\"iss\":\"%s\",\"sub\":\"%s\",\"jti\":\"", audience, id, id);
  g_assert_nonnull (strstr (header, "\"alg\":\"RS256\",\"typ\":\"JWT\""));
  g_assert_nonnull (strstr (claims, names));
  verify_thumbprint (self, header, "x5t", EVP_sha1 ());
  verify_thumbprint (self, header, "x5t#S256", EVP_sha256 ());
  verify_signature (self, jwt);
  g_assert_cmpint (number_of (claims, "nbf"), <=, now);
  g_assert_cmpint (number_of (claims, "exp"), >, now);
  g_assert_cmpint (number_of (claims, "exp") - number_of (claims, "nbf"), <=, 600);
}
