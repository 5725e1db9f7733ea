/* credentials.h - who we are: which of the ways of CabTokenOptions is used, and what it needs.
 *
 * In the order of CabTokenOptions.  What is not set may come from the environment; relative paths are taken from
 * $CREDENTIALS_DIRECTORY where systemd sets it, and a file `client-secret` in there stands in for a client_secret_file
 * that is not set.  Of the environment, AZURE_CLIENT_SECRET comes before AZURE_FEDERATED_TOKEN_FILE, as Azure's own
 * libraries have it.  A secret in the environment is taken out of it.
 *
 * Threads: made before there are others, because of the environment; immutable then.  Reading files blocks; they are small and local.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_CREDENTIALS_H
#define CABFS_CLIENT_CREDENTIALS_H

#include "client/client.h"

typedef enum {
  CAB_SOURCE_FILE,
  CAB_SOURCE_COMMAND,
  CAB_SOURCE_MANAGED,     /* asked of the machine's metadata service */
  CAB_SOURCE_CERTIFICATE, /* these three are asked of the login host, with a proof of who we are */
  CAB_SOURCE_FEDERATED,
  CAB_SOURCE_SECRET,
} CabSource;

typedef struct CabCredentials CabCredentials;

/* CAB_ERROR_INVALID, or DENIED for a file that others can read, with what to do about it.  A certificate that has
 * expired is a warning: it may be replaced by the time it is needed. */
CabCredentials *cab_credentials_new (const CabTokenOptions *options, GError **error);
void cab_credentials_free (CabCredentials *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabCredentials, cab_credentials_free)

CabSource cab_credentials_source (const CabCredentials *self);

/* TRUE if tokens come from the login host. */
gboolean cab_credentials_need_login (const CabCredentials *self);

/* Of CAB_SOURCE_COMMAND. */
const char *cab_credentials_command (const CabCredentials *self);

/* Of CAB_SOURCE_FILE: what is in the file now; wipe it. */
char *cab_credentials_read_token (const CabCredentials *self, gsize *len, GError **error);

/* Of CAB_SOURCE_MANAGED: the URL that gives a token for @resource. */
char *cab_credentials_managed_url (const CabCredentials *self, const char *resource);

/* The rest is of sources that need the login host. */
const char *cab_credentials_tenant (const CabCredentials *self);

typedef struct {
  guint version; /* 1 or 2 */
  const char *resource;
  const char *endpoint; /* the URL that is asked */
  gint64 now;           /* Unix seconds, by its clock as far as it is known */
} CabFormInput;

/* The form of the request (api-contract.md 2.1), with the secret, certificate or federated token as it is now; wipe
 * it. */
char *cab_credentials_form (const CabCredentials *self, const CabFormInput *input, GError **error);

#endif
