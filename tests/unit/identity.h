/* identity.h - keys, certificates and the look into a JWT, for tests.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_TESTS_IDENTITY_H
#define CABFS_TESTS_IDENTITY_H

#include <glib.h>

typedef struct Identity Identity;

/* An RSA key of @bits, or one on an elliptic curve (0), with a certificate that is valid from @from to @to, in seconds
 * from now. */
Identity *identity_new (guint bits, long from, long to);
void identity_free (Identity *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Identity, identity_free)

/* PEM.  @passphrase NULL: not encrypted. */
char *identity_key (const Identity *self, const char *passphrase);
char *identity_certificate (const Identity *self);
/* Certificate and key, one below the other. */
char *identity_pem (const Identity *self);

/* The part of @jwt with that number, decoded. */
char *identity_part (const char *jwt, guint number);
/* Fails the test if @jwt is not a proof of @self, for @audience by @id, that is good at @now. */
void identity_verify (const Identity *self, const char *jwt, const char *audience, const char *id, gint64 now);

#endif
