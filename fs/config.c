/* SPDX-License-Identifier: MIT */
#include "fs/config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/error.h"
#include "fs/keys.h"
#include "fs/paths.h"
#include "fs/text.h"
#include "fs/values.h"
#include "fs/words.h"

enum { FILE_MAX_BYTES = 1 << 20 };

/* The one plain http that is allowed as it is: a link-local address, which is the machine's own. */
#define METADATA_URL "http://169.254.169.254"

/* What a load knows while it runs. */
typedef struct {
  const CabCommand *command;
  char *path;         /* of the configuration */
  char *file_base;    /* where relative paths in it begin */
  char *command_base; /* where those of the command line do */
  GKeyFile *file;
  GHashTable *overrides; /* name of a key to text, both borrowed from `splits` */
  GPtrArray *splits;     /* owned strings */
} Loader;

static void loader_clear (Loader *self) {
  g_free (self->path);
  g_free (self->file_base);
  g_free (self->command_base);
  g_clear_pointer (&self->file, g_key_file_free);
  g_clear_pointer (&self->overrides, g_hash_table_unref);
  g_clear_pointer (&self->splits, g_ptr_array_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Loader, loader_clear)

/* --- the file ------------------------------------------------------------------------------------------------------ */

/* GKeyFile's own complaint names no line and quotes it, whatever it holds: so there is nothing left for it to complain of. */
static gboolean check_line (const char *path, guint number, char *line, GError **error) {
  g_strstrip (line);
  gboolean section = line[0] == '[';
  if (line[0] == '\0' || line[0] == '#' || (section && g_str_has_suffix (line, "]")) ||
      (!section && line[0] != '=' && strchr (line, '=') != NULL))
    return TRUE;
  return cab_value_refuse (error, "%s: line %u is neither \"key = value\" nor [section] nor # comment", path,
                           number);
}

static gboolean check_lines (const char *path, const char *text, GError **error) {
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++) {
    if (!g_utf8_validate (lines[i], -1, NULL))
      return cab_value_refuse (error, "%s: line %u is not UTF-8", path, i + 1);
    if (!check_line (path, i + 1, lines[i], error))
      return FALSE;
  }
  return TRUE;
}

static gboolean check_section (const Loader *self, GError **error) {
  const char *account = self->command->account;
  if (g_key_file_has_group (self->file, account))
    return TRUE;
  g_auto (GStrv) groups = g_key_file_get_groups (self->file, NULL);
  g_autofree char *names = g_strjoinv (", ", groups);
  return cab_value_refuse (error, "%s: there is no section [%s]; %s%s", self->path, account,
                           groups[0] != NULL ? "there are: " : "there is none at all", names);
}

static GString *refuse_to_read (const char *path, const char *why, GError **error) {
  cab_value_refuse (error, "the configuration cannot be read: %s: %s", path, why);
  return NULL;
}

/* A shell has put a pipe there, and writes to it: -c <(…). */
static gboolean is_descriptor (const char *path) {
  return g_str_has_prefix (path, "/dev/fd/") || g_str_has_prefix (path, "/proc/self/fd/") ||
         strcmp (path, "/dev/stdin") == 0;
}

/* Any other pipe may be one that nobody writes to: opening it would wait for that, were it not for O_NONBLOCK. */
static GString *read_text (const char *path, GError **error) {
  gboolean waits = is_descriptor (path);
  struct stat st;
  int fd = open (path, O_RDONLY | O_NOCTTY | O_CLOEXEC | (waits ? 0 : O_NONBLOCK));
  if (fd < 0)
    return refuse_to_read (path, g_strerror (errno), error);
  gboolean is_file = waits || fstat (fd, &st) < 0 || S_ISREG (st.st_mode);
  GString *text = is_file ? cab_text_read (fd, FILE_MAX_BYTES) : NULL;
  int number = errno;
  close (fd);
  return text != NULL ? text
                      : refuse_to_read (path, is_file ? g_strerror (number) : "it is no regular file", error);
}

static gboolean read_file (Loader *self, GError **error) {
  const char *named = self->command->config_file;
  self->path =
      named != NULL ? g_canonicalize_filename (named, self->command_base) : cab_path_find_config (error);
  if (self->path == NULL)
    return FALSE;
  self->file_base = g_path_get_dirname (self->path);
  g_autoptr (GString) text = read_text (self->path, error);
  g_autoptr (GError) why = NULL;
  if (text == NULL)
    return FALSE;
  if (strlen (text->str) != text->len)
    return cab_value_refuse (error, "%s: is no configuration file", self->path);
  if (!check_lines (self->path, text->str, error))
    return FALSE;
  self->file = g_key_file_new ();
  if (!g_key_file_load_from_data (self->file, text->str, text->len, G_KEY_FILE_KEEP_TRANSLATIONS, &why))
    return cab_value_refuse (error, "%s: %s", self->path, why->message);
  return check_section (self, error);
}

/* A word that is neither key nor mount option. */
static gboolean refuse_unknown (const char *where, const char *name, GError **error) {
  if (strcmp (name, "client-secret") == 0)
    return cab_value_refuse (error,
                             "%s: a secret must not stand here; put it into a file that only you can read, and "
                             "name that in client-secret-file",
                             where);
  return cab_value_refuse (error, "%s: unknown key; cabfs.conf(5) has all", where);
}

/* "FILE: [section] key". */
static char *place_in_file (const Loader *self, const char *name) {
  return g_strdup_printf ("%s: [%s] %s", self->path, self->command->account, name);
}

static gboolean check_names (const Loader *self, GError **error) {
  g_auto (GStrv) names = g_key_file_get_keys (self->file, self->command->account, NULL, NULL);
  for (guint i = 0; names != NULL && names[i] != NULL; i++) {
    if (cab_config_key_find (names[i]) != NULL)
      continue;
    g_autofree char *where = place_in_file (self, names[i]);
    if (cab_config_word_find (names[i]) != NULL)
      return cab_value_refuse (error, "%s: is a mount option; give it with -o", where);
    return refuse_unknown (where, names[i], error);
  }
  return TRUE;
}

/* --- -o ------------------------------------------------------------------------------------------------------------ */

static gboolean apply_word (Loader *self, CabConfig *config, const char *text, GError **error) {
  char *name = g_strdup (text);
  g_ptr_array_add (self->splits, name);
  char *value = strchr (name, '=');
  if (value != NULL)
    *value++ = '\0';
  const CabKey *key = cab_config_key_find (name);
  if (key != NULL) {
    static char alone[] = "yes"; /* of a flag: it may stand alone, as mount options do */
    if (value == NULL && strcmp (key->type, "flag") != 0)
      return cab_value_refuse (error, "-o %s: needs a value", name);
    g_hash_table_insert (self->overrides, name, value != NULL ? value : alone);
    return TRUE;
  }
  g_autofree char *where = g_strconcat ("-o ", name, NULL);
  const CabWord *word = cab_config_word_find (name);
  if (word == NULL)
    return refuse_unknown (where, name, error);
  if (cab_config_word_apply (config, word, value, error))
    return TRUE;
  g_prefix_error (error, "%s: ", where);
  return FALSE;
}

static gboolean apply_words (Loader *self, CabConfig *config, GError **error) {
  for (guint i = 0; self->command->words[i] != NULL; i++)
    if (!apply_word (self, config, self->command->words[i], error))
      return FALSE;
  return TRUE;
}

/* --- keys ---------------------------------------------------------------------------------------------------------- */

/* Where the value of @name comes from, for a message. */
static char *place_of (const Loader *self, const char *name) {
  if (g_hash_table_contains (self->overrides, name))
    return g_strconcat ("-o ", name, NULL);
  return place_in_file (self, name);
}

static gboolean set_key (const Loader *self, CabConfig *config, const CabKey *key, GPtrArray *digests,
                         GError **error) {
  const char *text = g_hash_table_lookup (self->overrides, key->name);
  const char *base = text != NULL ? self->command_base : self->file_base;
  g_autofree char *in_file = NULL;
  if (text == NULL) {
    /* Raw: a backslash in a command means what the shell makes of it. */
    in_file = g_key_file_get_value (self->file, self->command->account, key->name, NULL);
    text = in_file != NULL ? g_strstrip (in_file) : NULL;
  }
  if (text == NULL && !key->computed)
    text = key->value;
  g_ptr_array_add (digests,
                   text != NULL ? g_compute_checksum_for_string (G_CHECKSUM_SHA256, text, -1) : g_strdup (""));
  if (text == NULL || key->set (config, key, text, base, error))
    return TRUE;
  g_autofree char *where = place_of (self, key->name);
  g_prefix_error (error, "%s: ", where);
  return FALSE;
}

static gboolean set_keys (const Loader *self, CabConfig *config, GError **error) {
  guint n;
  const CabKey *keys = cab_config_keys (&n);
  g_autoptr (GPtrArray) digests = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; i < n; i++)
    if (!set_key (self, config, &keys[i], digests, error))
      return FALSE;
  g_ptr_array_add (digests, NULL);
  g_ptr_array_set_free_func (digests, NULL);
  config->digests = (char **) g_ptr_array_free (g_steal_pointer (&digests), FALSE);
  return TRUE;
}

/* The keys that say how access tokens are had; the first of those that are set is the way. */
static const char *const ways[] = {"token-file",           "token-command",           "managed-identity",
                                   "federated-token-file", "client-certificate-file", "client-secret-file"};

static char **way_at (CabConfig *config, const char *name) {
  return (char **) (void *) ((char *) config + cab_config_key_find (name)->offset);
}

/* One on the command line takes the place of all in the file. */
static void choose_way (const Loader *self, CabConfig *config) {
  const char *taken = NULL;
  for (gsize i = 0; i < G_N_ELEMENTS (ways) && taken == NULL; i++)
    if (*way_at (config, ways[i]) != NULL && g_hash_table_contains (self->overrides, ways[i]))
      taken = ways[i];
  for (gsize i = 0; i < G_N_ELEMENTS (ways) && taken == NULL; i++)
    if (*way_at (config, ways[i]) != NULL)
      taken = ways[i];
  for (gsize i = 0; i < G_N_ELEMENTS (ways); i++)
    if (taken != NULL && strcmp (ways[i], taken) != 0)
      g_clear_pointer (way_at (config, ways[i]), g_free);
}

gboolean cab_config_same (const CabConfig *a, const CabConfig *b, guint index) {
  return strcmp (a->digests[index], b->digests[index]) == 0;
}

static gboolean check_http (const Loader *self, const char *name, const char *url, GError **error) {
  if (!g_str_has_prefix (url, "http://"))
    return TRUE;
  g_autofree char *where = place_of (self, name);
  return cab_value_refuse (error,
                           "%s: http is not allowed; https, or allow-http = yes for a host on the loopback "
                           "interface",
                           where);
}

/* What no key can tell for itself. */
static gboolean check_together (const Loader *self, const CabConfig *config, GError **error) {
  const CabClientOptions *client = &config->client;
  if (!client->allow_http && (!check_http (self, "api-url", client->api_url, error) ||
                              !check_http (self, "login-url", client->login_url, error)))
    return FALSE;
  if (!client->allow_http && client->token.managed_identity != NULL &&
      strcmp (client->token.managed_url, METADATA_URL) != 0) {
    g_autofree char *where = place_of (self, "managed-identity-url");
    return cab_value_refuse (
        error, "%s: has to be " METADATA_URL ", or, with allow-http = yes, on the loopback interface", where);
  }
  if (client->start_date != NULL && client->end_date != NULL &&
      strcmp (client->start_date, client->end_date) > 0) {
    g_autofree char *where = place_of (self, "end-date");
    return cab_value_refuse (error, "%s: is before start-date", where);
  }
  return TRUE;
}

/* --- all of it ----------------------------------------------------------------------------------------------------- */

/* It becomes the name of a directory and the source of a mount. */
static gboolean check_account (const char *account, GError **error) {
  gboolean ok = account[0] != '\0' && account[0] != '.' && g_utf8_validate (account, -1, NULL);
  for (const char *p = account; ok && *p != '\0'; p++)
    ok = *p != '/' && *p != '[' && *p != ']' && !g_ascii_iscntrl (*p);
  return ok || cab_value_refuse (error, "\"%s\" cannot be the name of an account", account);
}

static void set_mount (CabConfig *config, const CabCommand *command) {
  CabMountOptions *mount = &config->mount;
  mount->account = g_strdup (command->account);
  mount->mountpoint = g_canonicalize_filename (command->mountpoint, NULL);
  mount->foreground = command->foreground;
  mount->debug = command->debug;
  mount->fsname = g_strdup (command->account);
  mount->subtype = g_strdup ("cabfs");
  mount->pass_on = g_new0 (char *, 1);
  config->fs.account = g_strdup (command->account);
  config->fs.uid = getuid ();
  config->fs.gid = getgid ();
  config->client.token.use_environment = TRUE;
}

/* What more than one layer must know, and what is computed. */
static gboolean complete (CabConfig *config, GError **error) {
  CabCacheOptions *cache = &config->cache;
  cache->connections = config->client.connections;
  cache->size_connections = config->client.size_connections;
  cache->timeout_ms = config->client.timeout_ms;
  config->fs.listing_ttl_s = cache->listing_ttl_s;
  if (config->mount.debug)
    config->mount.log_level = CAB_LOG_DEBUG;
  /* With modes that keep somebody out the kernel has to look at them.  Otherwise it need not, and had better not: before
   * each first open it would ask for attributes, and with them for a size that costs a request. */
  if ((config->mount.allow_other || config->mount.allow_root) && config->fs.umask != 0)
    config->mount.default_permissions = TRUE;
  if (cache->dir == NULL)
    cache->dir = cab_path_cache (config->mount.account, error);
  return cache->dir != NULL;
}

CabConfig *cab_config_load (const CabCommand *command, GError **error) {
  if (!check_account (command->account, error))
    return NULL;
  g_auto (Loader) loader = {.command = command};
  loader.command_base = command->directory != NULL ? g_strdup (command->directory) : g_get_current_dir ();
  loader.overrides = g_hash_table_new (g_str_hash, g_str_equal);
  loader.splits = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (CabConfig) config = g_new0 (CabConfig, 1);
  set_mount (config, command);
  if (!read_file (&loader, error) || !check_names (&loader, error) || !apply_words (&loader, config, error) ||
      !set_keys (&loader, config, error))
    return NULL;
  choose_way (&loader, config);
  if (!check_together (&loader, config, error))
    return NULL;
  config->mount.config_file = g_steal_pointer (&loader.path);
  return complete (config, error) ? g_steal_pointer (&config) : NULL;
}

void cab_config_free (CabConfig *self) {
  if (self == NULL)
    return;
  cab_mount_options_clear (&self->mount);
  cab_client_options_clear (&self->client);
  cab_cache_options_clear (&self->cache);
  cab_fs_options_clear (&self->fs);
  g_strfreev (self->digests);
  g_free (self);
}
