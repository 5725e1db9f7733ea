/* SPDX-License-Identifier: MIT */
#include "client/certificate.h"

#include "client/error.h"
#include "client/json.h"
#include "client/times.h"
#include "client/wipe.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <time.h>

/* Of an assertion, around the moment when it is made. */
#define BEFORE_S 60
#define AFTER_S  540

/* What Microsoft Entra takes. */
#define MIN_BITS 2048

struct CabCertificate {
  EVP_PKEY *key;
  X509 *x509;
};

/* What OpenSSL asks when a key is encrypted. */
typedef struct {
  gboolean asked;
} Passphrase;

static gboolean refuse (GError **error, const char *what) {
  g_set_error_literal (error, CAB_ERROR, CAB_ERROR_INVALID, what);
  return FALSE;
}

/* --- parsing ------------------------------------------------------------------------------------------------ */

static int give_no_passphrase (char *buffer, int size, int writing, void *data) {
  Passphrase *passphrase = data;
  passphrase->asked = TRUE;
  return -1;
}

static gboolean has_text (const void *pem, gsize len, const char *text) {
  return pem != NULL && memmem (pem, len, text, strlen (text)) != NULL;
}

static gboolean check_key (const EVP_PKEY *key, GError **error) {
  if (EVP_PKEY_get_base_id (key) != EVP_PKEY_RSA)
    return refuse (error,
                   "the private key is not an RSA key, and Microsoft Entra takes no other; make one with: "
                   "openssl req -x509 -newkey rsa:2048 -nodes");
  if (EVP_PKEY_get_bits (key) >= MIN_BITS)
    return TRUE;
  g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID,
               "the RSA key has %d bits; Microsoft Entra takes %d and more", EVP_PKEY_get_bits (key), MIN_BITS);
  return FALSE;
}

static gboolean read_key (CabCertificate *self, const void *pem, gsize len, GError **error) {
  Passphrase passphrase = {FALSE};
  BIO *bio = BIO_new_mem_buf (pem, (int) len);
  self->key = PEM_read_bio_PrivateKey (bio, NULL, give_no_passphrase, &passphrase);
  BIO_free (bio);
  if (self->key != NULL)
    return check_key (self->key, error);
  if (passphrase.asked)
    return refuse (error,
                   "the private key is encrypted, and there is nobody to ask for its passphrase; decrypt it "
                   "with openssl pkey, into a file that only you can read");
  if (!has_text (pem, len, "-----BEGIN "))
    return refuse (error,
                   "not PEM; a .pfx or .p12 file is turned into it with: openssl pkcs12 -nodes -in FILE.pfx");
  if (has_text (pem, len, "PRIVATE KEY-----"))
    return refuse (error, "the private key in it is damaged");
  return refuse (error,
                 "there is no private key in it; key and certificate stand in one file, one below the other");
}

/* The first certificate whose key is ours. */
static gboolean read_certificate (CabCertificate *self, const void *pem, gsize len, GError **error) {
  guint others = 0;
  BIO *bio = BIO_new_mem_buf (pem, (int) len);
  for (;;) {
    self->x509 = PEM_read_bio_X509 (bio, NULL, NULL, NULL);
    if (self->x509 == NULL || X509_check_private_key (self->x509, self->key) == 1)
      break;
    X509_free (self->x509);
    others++;
  }
  BIO_free (bio);
  if (self->x509 != NULL)
    return TRUE;
  if (others > 0)
    return refuse (error, "the private key does not belong to the certificate");
  if (has_text (pem, len, "CERTIFICATE-----"))
    return refuse (error, "the certificate in it is damaged");
  return refuse (error,
                 "there is no certificate in it; key and certificate stand in one file, one below the other");
}

CabCertificate *cab_certificate_parse (const void *pem, gsize len, GError **error) {
  if (pem == NULL || len > G_MAXINT || memchr (pem, '\0', len) != NULL) {
    refuse (error, "not PEM; a .pfx or .p12 file is turned into it with: openssl pkcs12 -nodes -in FILE.pfx");
    return NULL;
  }
  g_autoptr (CabCertificate) self = g_new0 (CabCertificate, 1);
  gboolean good = read_key (self, pem, len, error) && read_certificate (self, pem, len, error);
  ERR_clear_error (); /* else libcurl's next call on this thread might find what is left of it */
  return good ? g_steal_pointer (&self) : NULL;
}

void cab_certificate_free (CabCertificate *self) {
  if (self == NULL)
    return;
  EVP_PKEY_free (self->key);
  X509_free (self->x509);
  g_free (self);
}

/* --- its time ----------------------------------------------------------------------------------------------- */

static gint64 unix_time (const ASN1_TIME *when) {
  struct tm tm;
  return when != NULL && ASN1_TIME_to_tm (when, &tm) == 1 ? (gint64) timegm (&tm) : CAB_TIME_UNKNOWN;
}

gboolean cab_certificate_check_time (const CabCertificate *self, gint64 now, GError **error) {
  gint64 first = unix_time (X509_get0_notBefore (self->x509)),
         last = unix_time (X509_get0_notAfter (self->x509));
  if (last == CAB_TIME_UNKNOWN || first == CAB_TIME_UNKNOWN)
    return refuse (error, "the certificate says nothing that makes sense of when it is valid");
  gboolean expired = now > last;
  if (!expired && now >= first)
    return TRUE;
  g_autofree char *when = cab_time_format_iso (expired ? last : first);
  g_autofree char *today = cab_time_format_iso (now);
  g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID, "the certificate %s %s, and it is %s; %s",
               expired ? "expired at" : "is not valid before", when, today,
               expired ? "make a new one and upload it to the application in Microsoft Entra"
                       : "is the clock of this machine right?");
  return FALSE;
}

/* --- the assertion ------------------------------------------------------------------------------------------ */

static char *base64url (const guchar *bytes, gsize len) {
  char *text = g_base64_encode (bytes, len);
  text[strcspn (text, "=")] = '\0';
  return g_strdelimit (g_strdelimit (text, "+", '-'), "/", '_');
}

static char *thumbprint (const CabCertificate *self, const EVP_MD *kind) {
  guchar digest[EVP_MAX_MD_SIZE];
  unsigned len = 0;
  return X509_digest (self->x509, kind, digest, &len) == 1 ? base64url (digest, len) : NULL;
}

/* Header and claims, as they are signed; NULL if OpenSSL cannot make the thumbprints. */
static char *make_text (const CabCertificate *self, const char *audience, const char *client_id, gint64 now) {
  g_autofree char *sha1 = thumbprint (self, EVP_sha1 ());
  g_autofree char *sha256 = thumbprint (self, EVP_sha256 ());
  if (sha1 == NULL || sha256 == NULL)
    return NULL;
  g_autofree char *aud = cab_json_quote (audience);
  g_autofree char *id = cab_json_quote (client_id);
  g_autofree char *jti = g_uuid_string_random ();
  g_autofree char *header =
      g_strdup_printf ("{\"alg\":\"RS256\",\"typ\":\"JWT\",\"x5t\":\"%s\",\"x5t#S256\":\"%s\"}", sha1, sha256);
  g_autofree char *claims =
      g_strdup_printf ("{\"aud\":%s,\"iss\":%s,\"sub\":%s,\"jti\":\"%s\",\"nbf\":%" G_GINT64_FORMAT
                       ",\"iat\":%" G_GINT64_FORMAT ",\"exp\":%" G_GINT64_FORMAT "}",
                       aud, id, id, jti, now - BEFORE_S, now, now + AFTER_S);
  g_autofree char *first = base64url ((const guchar *) header, strlen (header));
  g_autofree char *second = base64url ((const guchar *) claims, strlen (claims));
  return g_strconcat (first, ".", second, NULL);
}

/* RS256 of @text, as Base64url; NULL if OpenSSL does not. */
static char *sign (const CabCertificate *self, const char *text) {
  char *signature = NULL;
  gsize len = (gsize) EVP_PKEY_get_size (self->key);
  g_autofree guchar *bytes = g_malloc (len);
  EVP_MD_CTX *context = EVP_MD_CTX_new ();
  if (context != NULL && EVP_DigestSignInit (context, NULL, EVP_sha256 (), NULL, self->key) == 1 &&
      EVP_DigestSign (context, bytes, &len, (const guchar *) text, strlen (text)) == 1)
    signature = base64url (bytes, len);
  EVP_MD_CTX_free (context);
  return signature;
}

char *cab_certificate_assert (const CabCertificate *self, const char *audience, const char *client_id,
                              gint64 now, GError **error) {
  g_autofree char *text = make_text (self, audience, client_id, now);
  char *signature = text != NULL ? sign (self, text) : NULL;
  if (signature == NULL) {
    char why[256];
    ERR_error_string_n (ERR_peek_last_error (), why, sizeof why);
    g_set_error (error, CAB_ERROR, CAB_ERROR_FAILED, "sign the client assertion: %s", why);
    ERR_clear_error ();
    return NULL;
  }
  char *assertion = g_strconcat (text, ".", signature, NULL);
  cab_wipe_free (signature);
  return assertion;
}
