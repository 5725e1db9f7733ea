/* certificate.h - a certificate with its private key, and what it signs: the proof of who asks for a token.
 *
 * The proof is a client assertion (RFC 7523), a JWT that Microsoft Entra takes instead of a client secret: RS256, with
 * `x5t` and `x5t#S256`, the thumbprints by which the directory finds the certificate that was uploaded to it; `aud` is
 * the token endpoint, `iss` and `sub` are the application.  It is for one request: `jti` is a fresh GUID, and it lives
 * from a minute ago, for clocks that differ a little, to nine minutes from now.
 *
 * Threads: any; immutable.  Only this module and http_tls.c know OpenSSL.
 * Secrets: the key is wiped when it is freed; no error quotes what was parsed.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_CERTIFICATE_H
#define CABFS_CLIENT_CERTIFICATE_H

#include <glib.h>

typedef struct CabCertificate CabCertificate;

/* From PEM: a private key, RSA of 2048 bits or more and without passphrase, and the certificate that belongs to it;
 * other certificates, as of a chain, may stand around it.  CAB_ERROR_INVALID says what is wrong and what to do. */
CabCertificate *cab_certificate_parse (const void *pem, gsize len, GError **error);
void cab_certificate_free (CabCertificate *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabCertificate, cab_certificate_free)

/* FALSE with CAB_ERROR_INVALID if it has expired, or is not valid yet, at @now (Unix seconds). */
gboolean cab_certificate_check_time (const CabCertificate *self, gint64 now, GError **error);

/* A client assertion of @client_id for the token endpoint @audience, made at @now; wipe it. */
char *cab_certificate_assert (const CabCertificate *self, const char *audience, const char *client_id,
                              gint64 now, GError **error);

#endif
