/* credentials.h - who we are: which of the ways of CabTokenOptions is used, and what it needs.
 *
 * In this order: a file with a token, a command that prints one, the client-credentials grant.  What is not set may
 * come from the environment; relative paths are taken from $CREDENTIALS_DIRECTORY where systemd sets it, and a file
 * `client-secret` in there stands in for a client_secret_file that is not set.  A secret in the environment is taken out
 * of it.
 *
 * Threads: made before there are others, because of the environment; immutable then.  Reading files blocks; they are small and local.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_CREDENTIALS_H
#define CABFS_CLIENT_CREDENTIALS_H

#include "client/client.h"

typedef enum { CAB_SOURCE_FILE, CAB_SOURCE_COMMAND, CAB_SOURCE_SECRET } CabSource;

typedef struct CabCredentials CabCredentials;

/* CAB_ERROR_INVALID, or DENIED for a secret file that others can read, with what to do about it. */
CabCredentials *cab_credentials_new (const CabTokenOptions *options, GError **error);
void cab_credentials_free (CabCredentials *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabCredentials, cab_credentials_free)

CabSource cab_credentials_source (const CabCredentials *self);

/* Of CAB_SOURCE_COMMAND. */
const char *cab_credentials_command (const CabCredentials *self);

/* Of CAB_SOURCE_FILE: what is in the file now; wipe it. */
char *cab_credentials_read_token (const CabCredentials *self, gsize *len, GError **error);

/* Of CAB_SOURCE_SECRET. */
const char *cab_credentials_tenant (const CabCredentials *self);
/* The form of the request (api-contract.md 2.1), with the secret as it is now; wipe it.  @version 1 or 2. */
char *cab_credentials_form (const CabCredentials *self, guint version, const char *resource, GError **error);

#endif
