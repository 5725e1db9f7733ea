/* SPDX-License-Identifier: MIT */
#include "client/credentials.h"

#include "client/certificate.h"
#include "client/clock.h"
#include "client/error.h"
#include "client/secret_file.h"
#include "client/wipe.h"

#include <string.h>

#define ASSERTION_TYPE "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"

/* The oldest version of the metadata service's call, which every Azure has. */
#define MANAGED_PATH "/metadata/identity/oauth2/token?api-version=2018-02-01"

struct CabCredentials {
  CabSource source;
  char *command;
  char *managed_identity; /* of the machine: a client ID, or "system" */
  char *managed_host;     /* URL of the metadata service, no slash at the end */
  char *tenant;
  char *client_id;
  char *file;      /* with the token, certificate, federated token or secret; NULL: `secret` */
  const char *key; /* that names it; NULL: none does */
  CabSecretRule rule;
  char *secret; /* from the environment */
};

/* --- finding out -------------------------------------------------------------------------------------------- */

static gboolean is_set (const char *text) {
  return text != NULL && text[0] != '\0';
}

static char *first_set (const char *configured, gboolean use_environment, const char *variable) {
  if (is_set (configured))
    return g_strdup (configured);
  const char *value = use_environment ? g_getenv (variable) : NULL;
  return is_set (value) ? g_strdup (value) : NULL;
}

/* Whoever may look at the process sees the environment that it began with, and programs that are started get what is
 * left of it: the secret is wiped where it stands, then taken out.  NULL if there is none. */
static char *take_secret (void) {
  char *value = (char *) (guintptr) g_getenv ("AZURE_CLIENT_SECRET");
  char *secret = is_set (value) ? g_strdup (value) : NULL;
  if (secret != NULL)
    cab_wipe_bytes (value, strlen (value));
  g_unsetenv ("AZURE_CLIENT_SECRET");
  return secret;
}

/* The last resort: what was not configured at all. */
static void find_secret (CabCredentials *self, const CabTokenOptions *options) {
  self->source = CAB_SOURCE_SECRET;
  self->file = cab_secret_file_resolve (options->client_secret_file, &self->rule);
  self->key = "client-secret-file";
  if (self->file == NULL) {
    self->key = NULL;
    self->file = cab_secret_file_stand_in ("client-secret");
    self->rule = CAB_SECRET_DIRECTORY;
  }
  if (self->file != NULL || self->secret != NULL || !options->use_environment)
    return;
  self->file = first_set (NULL, TRUE, "AZURE_FEDERATED_TOKEN_FILE");
  self->rule = CAB_SECRET_ANY;
  if (self->file != NULL)
    self->source = CAB_SOURCE_FEDERATED;
}

static void find_source (CabCredentials *self, const CabTokenOptions *options) {
  if (is_set (options->token_file)) {
    self->source = CAB_SOURCE_FILE;
    self->file = cab_secret_file_resolve (options->token_file, NULL);
    self->key = "token-file";
    self->rule = CAB_SECRET_ANY;
  } else if (is_set (options->token_command)) {
    self->source = CAB_SOURCE_COMMAND;
    self->command = g_strdup (options->token_command);
  } else if (is_set (options->managed_identity)) {
    self->source = CAB_SOURCE_MANAGED;
    self->managed_identity = g_strdup (options->managed_identity);
    self->managed_host = g_strdup (options->managed_url != NULL ? options->managed_url : "");
    for (gsize len = strlen (self->managed_host); len > 0 && self->managed_host[len - 1] == '/'; len--)
      self->managed_host[len - 1] = '\0';
  } else if (is_set (options->client_certificate_file)) {
    self->source = CAB_SOURCE_CERTIFICATE;
    self->file = cab_secret_file_resolve (options->client_certificate_file, &self->rule);
    self->key = "client-certificate-file";
  } else if (is_set (options->federated_token_file)) {
    self->source = CAB_SOURCE_FEDERATED;
    self->file = cab_secret_file_resolve (options->federated_token_file, NULL);
    self->key = "federated-token-file";
    self->rule = CAB_SECRET_ANY;
  } else {
    find_secret (self, options);
  }
}

static gboolean complete (const CabCredentials *self, GError **error) {
  if (!cab_credentials_need_login (self))
    return TRUE;
  const char *missing = self->tenant == NULL                         ? "tenant"
                        : self->client_id == NULL                    ? "client-id"
                        : self->file == NULL && self->secret == NULL ? "client-secret-file"
                                                                     : NULL;
  if (missing == NULL)
    return TRUE;
  g_set_error (
      error, CAB_ERROR, CAB_ERROR_INVALID,
      "no credentials: %s is not set; set tenant, client-id and one of client-secret-file, "
      "client-certificate-file and federated-token-file, or token-file, token-command or managed-identity "
      "alone, or AZURE_TENANT_ID, AZURE_CLIENT_ID and one of AZURE_CLIENT_SECRET and "
      "AZURE_FEDERATED_TOKEN_FILE in the environment",
      missing);
  return FALSE;
}

/* --- the proof ---------------------------------------------------------------------------------------------- */

/* Says which key is meant where it cannot be read. */
static char *read_file (const CabCredentials *self, gsize *len, GError **error) {
  char *bytes = cab_secret_file_read (self->file, self->rule, len, error);
  if (bytes == NULL && self->key != NULL)
    g_prefix_error (error, "%s: ", self->key);
  return bytes;
}

static CabCertificate *read_certificate (const CabCredentials *self, GError **error) {
  gsize len = 0;
  char *pem = read_file (self, &len, error);
  if (pem == NULL)
    return NULL;
  CabCertificate *certificate = cab_certificate_parse (pem, len, error);
  cab_wipe_bytes (pem, len);
  g_free (pem);
  if (certificate == NULL)
    g_prefix_error (error, "%s: ", self->file);
  return certificate;
}

static char *make_assertion (const CabCredentials *self, const CabFormInput *input, GError **error) {
  g_autoptr (CabCertificate) certificate = read_certificate (self, error);
  if (certificate == NULL)
    return NULL;
  char *assertion = NULL;
  if (cab_certificate_check_time (certificate, input->now, error))
    assertion = cab_certificate_assert (certificate, input->endpoint, self->client_id, input->now, error);
  if (assertion == NULL)
    g_prefix_error (error, "%s: ", self->file);
  return assertion;
}

static char *read_secret (const CabCredentials *self, GError **error) {
  char *secret =
      self->file == NULL ? g_strdup (self->secret) : cab_secret_file_read_text (self->file, self->rule, error);
  if (secret == NULL && self->key != NULL)
    g_prefix_error (error, "%s: ", self->key);
  return secret;
}

/* The part of the form that is a secret, encoded. */
static char *make_proof (const CabCredentials *self, const CabFormInput *input, GError **error) {
  gboolean secret = self->source == CAB_SOURCE_SECRET;
  char *value =
      self->source == CAB_SOURCE_CERTIFICATE ? make_assertion (self, input, error) : read_secret (self, error);
  if (value == NULL)
    return NULL;
  char *escaped = g_uri_escape_string (value, NULL, FALSE);
  cab_wipe_free (value);
  char *proof = secret
                    ? g_strconcat ("client_secret=", escaped, NULL)
                    : g_strconcat ("client_assertion_type=" ASSERTION_TYPE "&client_assertion=", escaped, NULL);
  cab_wipe_free (escaped);
  return proof;
}

char *cab_credentials_form (const CabCredentials *self, const CabFormInput *input, GError **error) {
  char *proof = make_proof (self, input, error);
  if (proof == NULL)
    return NULL;
  gboolean v2 = input->version == 2;
  g_autofree char *id = g_uri_escape_string (self->client_id, NULL, FALSE);
  g_autofree char *scope = v2 ? g_strconcat (input->resource, "/.default", NULL) : g_strdup (input->resource);
  g_autofree char *audience = g_uri_escape_string (scope, NULL, FALSE);
  char *form = g_strdup_printf ("grant_type=client_credentials&client_id=%s&%s&%s=%s", id, proof,
                                v2 ? "scope" : "resource", audience);
  cab_wipe_free (proof);
  return form;
}

/* --- life --------------------------------------------------------------------------------------------------- */

/* What will not be better when it is needed is better said now.  A federated token may come later, and so may a
 * certificate that has not expired. */
static gboolean check_file (const CabCredentials *self, GError **error) {
  if (self->source == CAB_SOURCE_SECRET) {
    char *secret = read_secret (self, error);
    cab_wipe_free (secret);
    return secret != NULL;
  }
  if (self->source != CAB_SOURCE_CERTIFICATE)
    return TRUE;
  g_autoptr (CabCertificate) certificate = read_certificate (self, error);
  g_autoptr (GError) late = NULL;
  if (certificate != NULL && !cab_certificate_check_time (certificate, cab_clock_unix (), &late))
    g_warning ("%s: %s", self->file, late->message);
  return certificate != NULL;
}

CabCredentials *cab_credentials_new (const CabTokenOptions *options, GError **error) {
  g_autoptr (CabCredentials) self = g_new0 (CabCredentials, 1);
  self->secret = options->use_environment ? take_secret () : NULL; /* also where it is not needed */
  find_source (self, options);
  if (cab_credentials_need_login (self)) {
    self->tenant = first_set (options->tenant, options->use_environment, "AZURE_TENANT_ID");
    self->client_id = first_set (options->client_id, options->use_environment, "AZURE_CLIENT_ID");
  }
  return complete (self, error) && check_file (self, error) ? g_steal_pointer (&self) : NULL;
}

void cab_credentials_free (CabCredentials *self) {
  if (self == NULL)
    return;
  g_free (self->command);
  g_free (self->managed_identity);
  g_free (self->managed_host);
  g_free (self->tenant);
  g_free (self->client_id);
  g_free (self->file);
  cab_wipe_free (self->secret);
  g_free (self);
}

/* --- using it ----------------------------------------------------------------------------------------------- */

CabSource cab_credentials_source (const CabCredentials *self) {
  return self->source;
}

gboolean cab_credentials_need_login (const CabCredentials *self) {
  return self->source >= CAB_SOURCE_CERTIFICATE;
}

const char *cab_credentials_command (const CabCredentials *self) {
  return self->command;
}

const char *cab_credentials_tenant (const CabCredentials *self) {
  return self->tenant;
}

char *cab_credentials_read_token (const CabCredentials *self, gsize *len, GError **error) {
  return read_file (self, len, error);
}

char *cab_credentials_managed_url (const CabCredentials *self, const char *resource) {
  g_autofree char *audience = g_uri_escape_string (resource, NULL, FALSE);
  g_autofree char *id = g_uri_escape_string (self->managed_identity, NULL, FALSE);
  gboolean system = g_str_equal (self->managed_identity, CAB_MANAGED_SYSTEM);
  return g_strconcat (self->managed_host, MANAGED_PATH "&resource=", audience,
                      system ? NULL : "&client_id=", id, NULL);
}
