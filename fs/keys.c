/* SPDX-License-Identifier: MIT */
#include "fs/keys.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "fs/names.h"
#include "fs/paths.h"
#include "fs/values.h"

enum {
  MINUTE = 60,
  DAY = 24 * 60 * MINUTE,
  COMM_LENGTH = 15, /* what the kernel keeps of a program's name */
};

/* The member of @config that belongs to @key. */
static void *at (CabConfig *config, const CabKey *key) {
  return (char *) config + key->offset;
}

/* Takes ownership of @text. */
static void replace_text (CabConfig *config, const CabKey *key, char *text) {
  char **slot = at (config, key);
  g_free (*slot);
  *slot = text;
}

/* --- setters of a kind of value ------------------------------------------------------------------------------- */

static gboolean set_size (CabConfig *config, const CabKey *key, const char *text, const char *base,
                          GError **error) {
  return cab_value_size (text, at (config, key), error);
}

static gboolean set_time (CabConfig *config, const CabKey *key, const char *text, const char *base,
                          GError **error) {
  return cab_value_time (text, key->min, key->max, at (config, key), error);
}

static gboolean set_number (CabConfig *config, const CabKey *key, const char *text, const char *base,
                            GError **error) {
  return cab_value_number (text, (guint) key->min, (guint) key->max, at (config, key), error);
}

static gboolean set_flag (CabConfig *config, const CabKey *key, const char *text, const char *base,
                          GError **error) {
  return cab_value_flag (text, at (config, key), error);
}

/* The second of two words is TRUE. */
static gboolean set_either (CabConfig *config, const CabKey *key, const char *text, const char *base,
                            GError **error) {
  guint index;
  if (!cab_value_choice (text, key->words, &index, error))
    return FALSE;
  *(gboolean *) at (config, key) = index == 1;
  return TRUE;
}

static gboolean set_word (CabConfig *config, const CabKey *key, const char *text, const char *base,
                          GError **error) {
  guint index;
  if (!cab_value_choice (text, key->words, &index, error))
    return FALSE;
  replace_text (config, key, g_strdup (text));
  return TRUE;
}

/* Where there is no default, an empty value is none. */
static gboolean set_text (CabConfig *config, const CabKey *key, const char *text, const char *base,
                          GError **error) {
  replace_text (config, key, text[0] != '\0' ? g_strdup (text) : NULL);
  return TRUE;
}

static gboolean set_url (CabConfig *config, const CabKey *key, const char *text, const char *base,
                         GError **error) {
  char *url;
  if (!cab_value_url (text, &url, error))
    return FALSE;
  replace_text (config, key, url);
  return TRUE;
}

static gboolean set_date (CabConfig *config, const CabKey *key, const char *text, const char *base,
                          GError **error) {
  char *date = NULL;
  if (text[0] != '\0' && !cab_value_date (text, &date, error))
    return FALSE;
  replace_text (config, key, date);
  return TRUE;
}

static gboolean check_readable (const char *path, GError **error) {
  if (access (path, R_OK) == 0)
    return TRUE;
  return cab_value_refuse (error, "%s cannot be read: %s", path, g_strerror (errno));
}

static gboolean set_path (CabConfig *config, const CabKey *key, const char *text, const char *base,
                          GError **error) {
  char *path = NULL;
  if (text[0] != '\0') {
    path = cab_path_expand (text, base, error);
    if (path == NULL)
      return FALSE;
  }
  replace_text (config, key, path);
  return TRUE;
}

static gboolean set_readable (CabConfig *config, const CabKey *key, const char *text, const char *base,
                              GError **error) {
  if (!set_path (config, key, text, base, error))
    return FALSE;
  const char *path = *(char **) at (config, key);
  return path == NULL || check_readable (path, error);
}

/* --- setters of one key --------------------------------------------------------------------------------------- */

/* Part of an address: whatever else may be in it, it is one segment. */
static gboolean set_tenant (CabConfig *config, const CabKey *key, const char *text, const char *base,
                            GError **error) {
  for (const char *p = text; *p != '\0'; p++)
    if (!g_ascii_isalnum (*p) && strchr (".-_", *p) == NULL)
      return cab_value_refuse (error, "\"%s\" is neither a directory's ID nor its domain name", text);
  return set_text (config, key, text, base, error);
}

static gboolean set_client_id (CabConfig *config, const CabKey *key, const char *text, const char *base,
                               GError **error) {
  for (const char *p = text; *p != '\0'; p++)
    if (!g_ascii_isalnum (*p) && *p != '-')
      return cab_value_refuse (error, "\"%s\" is not the ID of an application", text);
  return set_text (config, key, text, base, error);
}

/* A word that is neither would be asked for as the ID of an identity that nobody has. */
static gboolean set_managed_identity (CabConfig *config, const CabKey *key, const char *text, const char *base,
                                      GError **error) {
  if (text[0] == '\0' || strcmp (text, CAB_MANAGED_SYSTEM) == 0 || g_uuid_string_is_valid (text))
    return set_text (config, key, text, base, error);
  return cab_value_refuse (
      error, "\"%s\" is neither \"" CAB_MANAGED_SYSTEM "\" nor the client ID of an identity, which is a GUID",
      text);
}

/* Whether others can read the file is looked at where it is read. */
static gboolean set_secret_file (CabConfig *config, const CabKey *key, const char *text, const char *base,
                                 GError **error) {
  if (text[0] == '\0')
    return set_text (config, key, text, base, error);
  char *path = cab_path_expand_credential (text, base, error);
  if (path == NULL)
    return FALSE;
  replace_text (config, key, path);
  return check_readable (path, error);
}

/* Need not be there yet: it is read at each renewal. */
static gboolean set_token_file (CabConfig *config, const CabKey *key, const char *text, const char *base,
                                GError **error) {
  if (text[0] == '\0')
    return set_text (config, key, text, base, error);
  char *path = cab_path_expand_credential (text, base, error);
  if (path == NULL)
    return FALSE;
  replace_text (config, key, path);
  return TRUE;
}

/* An empty value is one too: no proxy, whatever the environment says. */
static gboolean set_proxy (CabConfig *config, const CabKey *key, const char *text, const char *base,
                           GError **error) {
  replace_text (config, key, g_strdup (text));
  return TRUE;
}

static gboolean is_host_pattern (const char *text) {
  const char *host = g_str_has_prefix (text, "*.") ? text + 2 : text;
  if (*host == '\0' || *host == '.' || *host == ':')
    return FALSE;
  for (; *host != '\0'; host++)
    if (!g_ascii_isalnum (*host) && strchr (".-_:[]", *host) == NULL)
      return FALSE;
  return TRUE;
}

static gboolean set_hosts (CabConfig *config, const CabKey *key, const char *text, const char *base,
                           GError **error) {
  g_auto (GStrv) hosts = cab_value_list (text);
  if (hosts[0] == NULL)
    return cab_value_refuse (error, "names no host");
  for (guint i = 0; hosts[i] != NULL; i++)
    if (!is_host_pattern (hosts[i]))
      return cab_value_refuse (error, "\"%s\" is not a host; HOST or *.DOMAIN, then :PORT if need be",
                               hosts[i]);
  g_strfreev (config->client.blob_hosts);
  config->client.blob_hosts = g_steal_pointer (&hosts);
  return TRUE;
}

static gboolean set_deny (CabConfig *config, const CabKey *key, const char *text, const char *base,
                          GError **error) {
  char **names = cab_value_list (text);
  for (guint i = 0; names[i] != NULL; i++)
    if (strlen (names[i]) > COMM_LENGTH)
      names[i][COMM_LENGTH] = '\0';
  g_strfreev (config->fs.deny);
  config->fs.deny = names;
  return TRUE;
}

/* The family that @id is listed for so far, or NULL. */
static const char *listed_for (const CabFsOptions *fs, const char *id) {
  for (guint i = 0; i < fs->n_applications; i++)
    if (strcmp (fs->applications[i].id, id) == 0)
      return fs->applications[i].family;
  return NULL;
}

/* A directory can be of one family only. */
static gboolean list_application (CabFsOptions *fs, const char *family, const char *id, GError **error) {
  const char *before = listed_for (fs, id);
  if (before != NULL && strcmp (before, family) != 0)
    return cab_value_refuse (error, "\"%s\" is listed as %s already", id, before);
  if (before != NULL)
    return TRUE;
  fs->applications = g_renew (CabFsApplication, fs->applications, fs->n_applications + 1);
  fs->applications[fs->n_applications++] = (CabFsApplication){g_strdup (family), g_strdup (id)};
  return TRUE;
}

/* Keys that list applications are called by their family; @shape says what @is_id takes. */
static gboolean list_ids (CabConfig *config, const CabKey *key, const char *text,
                          gboolean (*is_id) (const char *), const char *shape, GError **error) {
  g_auto (GStrv) ids = cab_value_list (text);
  for (guint i = 0; ids[i] != NULL; i++) {
    if (!is_id (ids[i]))
      return cab_value_refuse (error, "\"%s\" is not %s, with ; between two", ids[i], shape);
    if (!list_application (&config->fs, key->name, ids[i], error))
      return FALSE;
  }
  return TRUE;
}

static gboolean set_applications (CabConfig *config, const CabKey *key, const char *text, const char *base,
                                  GError **error) {
  return list_ids (config, key, text, cab_name_is_application,
                   "an application ID; 8 to 20 digits, or 12 upper-case letters and digits", error);
}

static gboolean set_store (CabConfig *config, const CabKey *key, const char *text, const char *base,
                           GError **error) {
  return list_ids (config, key, text, cab_name_is_store, "a Store ID; 12 upper-case letters and digits", error);
}

/* Where no application is asked for, the family's name stands in for one. */
static gboolean set_account_families (CabConfig *config, const CabKey *key, const char *text, const char *base,
                                      GError **error) {
  g_auto (GStrv) families = cab_value_list (text);
  for (guint i = 0; families[i] != NULL; i++) {
    guint index;
    if (!cab_value_choice (families[i], key->words, &index, error) ||
        !list_application (&config->fs, families[i], families[i], error))
      return FALSE;
  }
  return TRUE;
}

static gboolean set_members (CabConfig *config, const CabKey *key, const char *text, const char *base,
                             GError **error) {
  guint index;
  if (!cab_value_choice (text, key->words, &index, error))
    return FALSE;
  config->fs.members = (CabMembersShown) index;
  config->cache.members = config->fs.members != CAB_MEMBERS_OFF;
  return TRUE;
}

/* What an archive may unpack to has to be bounded by something. */
static gboolean set_member_limit (CabConfig *config, const CabKey *key, const char *text, const char *base,
                                  GError **error) {
  guint64 limit;
  if (!cab_value_size (text, &limit, error))
    return FALSE;
  if (limit == 0)
    return cab_value_refuse (error, "has to be more than 0; members = off if no CAB is to be opened");
  config->cache.member_limit = limit;
  return TRUE;
}

static gboolean set_cache_free (CabConfig *config, const CabKey *key, const char *text, const char *base,
                                GError **error) {
  return cab_value_share (text, &config->cache.free_percent, &config->cache.free_bytes, error);
}

static gboolean set_timeout (CabConfig *config, const CabKey *key, const char *text, const char *base,
                             GError **error) {
  gint64 seconds;
  if (!cab_value_time (text, key->min, key->max, &seconds, error))
    return FALSE;
  config->client.timeout_ms = (guint) seconds * 1000;
  return TRUE;
}

static gboolean set_log_level (CabConfig *config, const CabKey *key, const char *text, const char *base,
                               GError **error) {
  guint index;
  if (!cab_value_choice (text, key->words, &index, error))
    return FALSE;
  config->mount.log_level = (CabLogLevel) index;
  return TRUE;
}

/* --- the table ---------------------------------------------------------------------------------------------------- */

static const char *const family_words[] = {"driver", "desktop", "store", NULL};
static const char *const account_words[] = {"ihvdriver", "hardware", NULL};
static const char *const members_words[] = {"hidden", "visible", "off", NULL};
static const char *const sizes_words[] = {"exact", "lazy", NULL};
static const char *const undownloadable_words[] = {"show", "hide", NULL};

#define AT(member) .offset = offsetof (CabConfig, member)

/* What a program like cabfs is asked for by indexers is in findings.md, "Programs that will use the mount". */
#define DENY_DEFAULT "updatedb;tracker-miner-f;tracker-extract;localsearch-3;baloo_file;baloo_file_extr"

static const CabKey keys[] = {
    /* name, type, default, section of the manual */
    {"tenant", "text", NULL, "Credentials", set_tenant, AT (client.token.tenant)},
    {"client-id", "text", NULL, "Credentials", set_client_id, AT (client.token.client_id)},
    {"client-secret-file", "path", NULL, "Credentials", set_secret_file, AT (client.token.client_secret_file)},
    {"client-certificate-file", "path", NULL, "Credentials", set_secret_file,
     AT (client.token.client_certificate_file)},
    {"federated-token-file", "path", NULL, "Credentials", set_token_file,
     AT (client.token.federated_token_file)},
    {"managed-identity", "text", NULL, "Credentials", set_managed_identity, AT (client.token.managed_identity)},
    {"token-command", "text", NULL, "Credentials", set_text, AT (client.token.token_command)},
    {"token-file", "path", NULL, "Credentials", set_token_file, AT (client.token.token_file)},

    {"desktop", "list", NULL, "Listings", set_applications, .live = TRUE},
    {"driver", "list", NULL, "Listings", set_applications, .live = TRUE},
    {"store", "list", NULL, "Listings", set_store, .live = TRUE},
    {"account-families", "list", NULL, "Listings", set_account_families, .words = account_words, .live = TRUE},
    {"discover", "flag", "no", "Listings", set_flag, AT (fs.discover), .live = TRUE},
    {"family", "word", "driver", "Listings", set_word, AT (fs.default_family), .words = family_words,
     .live = TRUE},
    {"days", "number", "30", "Listings", set_number, AT (client.days), 1, 365, .live = TRUE},
    {"start-date", "date", NULL, "Listings", set_date, AT (client.start_date), .live = TRUE},
    {"end-date", "date", NULL, "Listings", set_date, AT (client.end_date), .live = TRUE},
    {"listing-ttl", "time", "300", "Listings", set_time, AT (cache.listing_ttl_s), 0, 30 * DAY, .live = TRUE},
    {"undownloadable", "word", "show", "Listings", set_either, AT (fs.hide_undownloadable),
     .words = undownloadable_words, .live = TRUE},
    {"members", "word", "hidden", "Listings", set_members, .words = members_words},
    {"member-limit", "size", "16G", "Listings", set_member_limit},
    {"sizes", "word", "exact", "Listings", set_either, AT (fs.sizes_lazy), .words = sizes_words, .live = TRUE},
    {"deny", "list", DENY_DEFAULT, "Listings", set_deny, .live = TRUE},
    {"budget", "size", "0", "Listings", set_size, AT (fs.budget), .live = TRUE},

    {"cache-dir", "path", "$XDG_CACHE_HOME/cabfs/ACCOUNT", "Cache", set_path, AT (cache.dir), .computed = TRUE},
    {"cache-size", "size", "10G", "Cache", set_size, AT (cache.size_limit), .live = TRUE},
    {"cache-free", "share", "5%", "Cache", set_cache_free, .live = TRUE},
    {"keep", "time", "30d", "Cache", set_time, AT (cache.keep_s), 1, 3650 * (gint64) DAY, .live = TRUE},
    {"read-ahead", "size", "64M", "Cache", set_size, AT (cache.read_ahead), .live = TRUE},

    {"api-url", "address", "https://manage.devcenter.microsoft.com", "Network", set_url, AT (client.api_url)},
    {"login-url", "address", "https://login.microsoftonline.com", "Network", set_url, AT (client.login_url)},
    {"managed-identity-url", "address", "http://169.254.169.254", "Network", set_url,
     AT (client.token.managed_url)},
    {"token-version", "number", "1", "Network", set_number, AT (client.token_version), 1, 2},
    {"blob-hosts", "list", "*.blob.core.windows.net", "Network", set_hosts},
    {"allow-http", "flag", "no", "Network", set_flag, AT (client.allow_http)},
    {"ca-file", "path", NULL, "Network", set_readable, AT (client.ca_file)},
    {"proxy", "text", NULL, "Network", set_proxy, AT (client.proxy)},
    {"connections", "number", "16", "Network", set_number, AT (client.connections), 1, 256},
    {"api-connections", "number", "4", "Network", set_number, AT (client.api_connections), 1, 64},
    {"size-connections", "number", "64", "Network", set_number, AT (client.size_connections), 1, 1024},
    {"timeout", "time", "60", "Network", set_timeout, .min = 1, .max = DAY, .live = TRUE},
    {"retries", "number", "5", "Network", set_number, AT (client.retries), 1, 100, .live = TRUE},

    {"log-level", "word", "warning", "Log", set_log_level, .words = cab_log_level_names, .live = TRUE},
};

const CabKey *cab_config_keys (guint *n) {
  *n = G_N_ELEMENTS (keys);
  return keys;
}

const CabKey *cab_config_key_find (const char *name) {
  for (gsize i = 0; i < G_N_ELEMENTS (keys); i++)
    if (strcmp (keys[i].name, name) == 0)
      return &keys[i];
  return NULL;
}
