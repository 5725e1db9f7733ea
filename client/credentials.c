/* SPDX-License-Identifier: MIT */
#include "client/credentials.h"

#include "client/error.h"
#include "client/wipe.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILE_BYTES (64u * 1024)

/* What the permissions of a file must be. */
typedef enum {
  RULE_NONE,
  RULE_PRIVATE,   /* owned by us or root, for its owner only */
  RULE_DIRECTORY, /* lies in a directory that is private: an ACL shows as rights of the group */
} FileRule;

struct CabCredentials {
  CabSource source;
  char *token_file;
  char *token_command;
  char *tenant;
  char *client_id;
  char *secret_file;
  FileRule secret_rule;
  char *secret; /* from the environment; used if there is no file */
};

static gboolean check_mode (const char *path, const struct stat *st, FileRule rule, GError **error) {
  mode_t refused = rule == RULE_PRIVATE ? S_IRWXG | S_IRWXO : rule == RULE_DIRECTORY ? S_IRWXO : 0;
  if (!S_ISREG (st->st_mode)) {
    g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID, "%s: not a regular file", path);
    return FALSE;
  }
  if (rule != RULE_NONE && st->st_uid != geteuid () && st->st_uid != 0) {
    g_set_error (error, CAB_ERROR, CAB_ERROR_DENIED,
                 "%s: belongs to user %u; a secret has to be ours or root's", path, (guint) st->st_uid);
    return FALSE;
  }
  if ((st->st_mode & refused) != 0) {
    g_set_error (error, CAB_ERROR, CAB_ERROR_DENIED,
                 "%s: others can read or write this secret (mode %04o); run: chmod 600 '%s'", path,
                 (guint) (st->st_mode & 07777), path);
    return FALSE;
  }
  return TRUE;
}

static char *read_all (int fd, const char *path, gsize *len, GError **error) {
  char *bytes = g_malloc (MAX_FILE_BYTES + 1);
  gsize have = 0;
  ssize_t got = 0;
  do {
    got = read (fd, bytes + have, MAX_FILE_BYTES + 1 - have);
    if (got > 0)
      have += (gsize) got;
  } while ((got > 0 && have <= MAX_FILE_BYTES) || (got < 0 && errno == EINTR));
  if (got >= 0 && have <= MAX_FILE_BYTES) {
    bytes[have] = '\0';
    *len = have;
    return bytes;
  }
  if (got < 0)
    cab_error_errno (error, "read %s", path);
  else
    g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID, "%s: longer than %u bytes", path, MAX_FILE_BYTES);
  cab_wipe_bytes (bytes, have);
  g_free (bytes);
  return NULL;
}

static char *read_file (const char *path, FileRule rule, gsize *len, GError **error) {
  struct stat st;
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0)
    return cab_error_errno (error, "open %s", path);
  char *bytes = NULL;
  if (fstat (fd, &st) != 0)
    cab_error_errno (error, "stat %s", path);
  else if (check_mode (path, &st, rule, error))
    bytes = read_all (fd, path, len, error);
  close (fd);
  return bytes;
}

/* --- finding out -------------------------------------------------------------------------------------------- */

static const char *directory (void) {
  const char *path = g_getenv ("CREDENTIALS_DIRECTORY");
  return path == NULL || path[0] == '\0' ? NULL : path;
}

/* Takes a path as it is configured. */
static char *resolve (const char *path, FileRule *rule) {
  if (path == NULL || path[0] == '\0')
    return NULL;
  const char *base = directory ();
  g_autofree char *folder = g_path_get_dirname (path);
  gboolean inside = base != NULL && (!g_path_is_absolute (path) || g_str_equal (folder, base));
  if (rule != NULL)
    *rule = inside ? RULE_DIRECTORY : RULE_PRIVATE;
  return base != NULL && !g_path_is_absolute (path) ? g_build_filename (base, path, NULL) : g_strdup (path);
}

static char *standing_in (void) {
  const char *base = directory ();
  g_autofree char *path = base == NULL ? NULL : g_build_filename (base, "client-secret", NULL);
  return path != NULL && g_file_test (path, G_FILE_TEST_EXISTS) ? g_steal_pointer (&path) : NULL;
}

static char *first_set (const char *configured, gboolean use_environment, const char *variable) {
  if (configured != NULL && configured[0] != '\0')
    return g_strdup (configured);
  const char *value = use_environment ? g_getenv (variable) : NULL;
  return value == NULL || value[0] == '\0' ? NULL : g_strdup (value);
}

/* Whoever may look at the process sees the environment that it began with, and programs that are started get what is
 * left of it: the secret is wiped where it stands, then taken out.  NULL if there is none. */
static char *take_secret (void) {
  char *value = (char *) (guintptr) g_getenv ("AZURE_CLIENT_SECRET");
  char *secret = value == NULL || value[0] == '\0' ? NULL : g_strdup (value);
  if (secret != NULL)
    cab_wipe_bytes (value, strlen (value));
  g_unsetenv ("AZURE_CLIENT_SECRET");
  return secret;
}

static void find_secret (CabCredentials *self, const CabTokenOptions *options) {
  self->secret_file = resolve (options->client_secret_file, &self->secret_rule);
  if (self->secret_file == NULL) {
    self->secret_file = standing_in ();
    self->secret_rule = RULE_DIRECTORY;
  }
}

static gboolean complete (const CabCredentials *self, GError **error) {
  const char *missing = self->tenant == NULL                                ? "tenant"
                        : self->client_id == NULL                           ? "client-id"
                        : self->secret_file == NULL && self->secret == NULL ? "client-secret-file"
                                                                            : NULL;
  if (missing == NULL)
    return TRUE;
  g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID,
               "no credentials: %s is not set; set tenant, client-id and client-secret-file, or token-file, or "
               "token-command, or AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET in the environment",
               missing);
  return FALSE;
}

static char *read_secret (const CabCredentials *self, GError **error) {
  gsize len = 0;
  if (self->secret_file == NULL)
    return g_strdup (self->secret);
  char *secret = read_file (self->secret_file, self->secret_rule, &len, error);
  if (secret == NULL)
    return NULL;
  g_strstrip (secret);
  if (secret[0] != '\0' && g_utf8_validate (secret, -1, NULL))
    return secret;
  g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID, "%s: %s", self->secret_file,
               secret[0] == '\0' ? "empty" : "not text");
  cab_wipe_free (secret);
  return NULL;
}

CabCredentials *cab_credentials_new (const CabTokenOptions *options, GError **error) {
  g_autoptr (CabCredentials) self = g_new0 (CabCredentials, 1);
  self->secret = options->use_environment ? take_secret () : NULL; /* also where it is not needed */
  self->token_file = resolve (options->token_file, NULL);
  if (self->token_file != NULL) {
    self->source = CAB_SOURCE_FILE;
    return g_steal_pointer (&self);
  }
  if (options->token_command != NULL && options->token_command[0] != '\0') {
    self->source = CAB_SOURCE_COMMAND;
    self->token_command = g_strdup (options->token_command);
    return g_steal_pointer (&self);
  }
  self->source = CAB_SOURCE_SECRET;
  self->tenant = first_set (options->tenant, options->use_environment, "AZURE_TENANT_ID");
  self->client_id = first_set (options->client_id, options->use_environment, "AZURE_CLIENT_ID");
  find_secret (self, options);
  if (!complete (self, error))
    return NULL;
  char *secret = read_secret (self, error);
  if (secret == NULL)
    return NULL;
  cab_wipe_free (secret);
  return g_steal_pointer (&self);
}

void cab_credentials_free (CabCredentials *self) {
  if (self == NULL)
    return;
  g_free (self->token_file);
  g_free (self->token_command);
  g_free (self->tenant);
  g_free (self->client_id);
  g_free (self->secret_file);
  cab_wipe_free (self->secret);
  g_free (self);
}

/* --- using it ----------------------------------------------------------------------------------------------- */

CabSource cab_credentials_source (const CabCredentials *self) {
  return self->source;
}

const char *cab_credentials_command (const CabCredentials *self) {
  return self->token_command;
}

const char *cab_credentials_tenant (const CabCredentials *self) {
  return self->tenant;
}

char *cab_credentials_read_token (const CabCredentials *self, gsize *len, GError **error) {
  return read_file (self->token_file, RULE_NONE, len, error);
}

char *cab_credentials_form (const CabCredentials *self, guint version, const char *resource, GError **error) {
  char *secret = read_secret (self, error);
  if (secret == NULL)
    return NULL;
  char *escaped = g_uri_escape_string (secret, NULL, FALSE);
  cab_wipe_free (secret);
  g_autofree char *id = g_uri_escape_string (self->client_id, NULL, FALSE);
  g_autofree char *scope = version == 2 ? g_strconcat (resource, "/.default", NULL) : g_strdup (resource);
  g_autofree char *audience = g_uri_escape_string (scope, NULL, FALSE);
  char *form = g_strdup_printf ("grant_type=client_credentials&client_id=%s&client_secret=%s&%s=%s", id,
                                escaped, version == 2 ? "scope" : "resource", audience);
  cab_wipe_free (escaped);
  return form;
}
