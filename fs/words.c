/* SPDX-License-Identifier: MIT */
#include "fs/words.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "fs/values.h"

static void *at (CabConfig *config, const CabWord *word) {
  return (char *) config + word->offset;
}

static gboolean set_flag (CabConfig *config, const CabWord *word, const char *value, GError **error) {
  *(gboolean *) at (config, word) = TRUE;
  return TRUE;
}

static gboolean set_auto_unmount (CabConfig *config, const CabWord *word, const char *value, GError **error) {
  config->mount.no_auto_unmount = FALSE;
  return TRUE;
}

static gboolean set_debug (CabConfig *config, const CabWord *word, const char *value, GError **error) {
  config->mount.debug = TRUE;
  config->mount.foreground = TRUE;
  return TRUE;
}

static gboolean set_text (CabConfig *config, const CabWord *word, const char *value, GError **error) {
  if (value[0] == '\0')
    return cab_value_refuse (error, "is empty");
  char **slot = at (config, word);
  g_free (*slot);
  *slot = g_strdup (value);
  return TRUE;
}

static gboolean parse (const char *value, int base, guint64 max, guint64 *out) {
  char *end;
  errno = 0;
  *out = g_ascii_strtoull (value, &end, (guint) base);
  return g_ascii_isdigit (value[0]) && errno == 0 && *end == '\0' && *out <= max;
}

/* uid_t and gid_t are of one size; the highest number stands for none. */
G_STATIC_ASSERT (sizeof (uid_t) == sizeof (guint32) && sizeof (gid_t) == sizeof (guint32));

static gboolean set_id (CabConfig *config, const CabWord *word, const char *value, GError **error) {
  guint64 number;
  if (!parse (value, 10, G_MAXUINT32 - 1, &number))
    return cab_value_refuse (error, "\"%s\" is not a number of a user or group", value);
  *(guint32 *) at (config, word) = (guint32) number;
  return TRUE;
}

static gboolean set_umask (CabConfig *config, const CabWord *word, const char *value, GError **error) {
  guint64 number;
  if (!parse (value, 8, 0777, &number))
    return cab_value_refuse (error, "\"%s\" is not an octal number up to 777", value);
  config->fs.umask = (mode_t) number;
  return TRUE;
}

#define FLAG(name, member)                                                                                     \
  { name, CAB_WORD_OURS, FALSE, set_flag, offsetof (CabConfig, member) }
#define PASSED(name, value)                                                                                    \
  { name, CAB_WORD_PASSED, value, NULL, 0 }
#define IGNORED(name)                                                                                          \
  { name, CAB_WORD_IGNORED, FALSE, NULL, 0 }

/* Whatever is asked for, the mount is ro, nosuid and nodev; what mount(8) is told of these and of who may mount is
 * accepted because it passes all that stands in fstab on to us. */
static const CabWord words[] = {
    FLAG ("allow_other", mount.allow_other),
    FLAG ("allow_root", mount.allow_root),
    {"auto_unmount", CAB_WORD_OURS, FALSE, set_auto_unmount, 0},
    FLAG ("noauto_unmount", mount.no_auto_unmount),
    {"uid", CAB_WORD_OURS, TRUE, set_id, offsetof (CabConfig, fs.uid)},
    {"gid", CAB_WORD_OURS, TRUE, set_id, offsetof (CabConfig, fs.gid)},
    {"umask", CAB_WORD_OURS, TRUE, set_umask, 0},
    {"fsname", CAB_WORD_OURS, TRUE, set_text, offsetof (CabConfig, mount.fsname)},
    {"subtype", CAB_WORD_OURS, TRUE, set_text, offsetof (CabConfig, mount.subtype)},
    {"debug", CAB_WORD_OURS, FALSE, set_debug, 0},
    FLAG ("default_permissions", mount.default_permissions),

    PASSED ("noexec", FALSE),
    PASSED ("context", TRUE),
    PASSED ("fscontext", TRUE),
    PASSED ("defcontext", TRUE),
    PASSED ("rootcontext", TRUE),

    IGNORED ("ro"),
    IGNORED ("rw"),
    IGNORED ("exec"),
    IGNORED ("suid"),
    IGNORED ("nosuid"),
    IGNORED ("dev"),
    IGNORED ("nodev"),
    IGNORED ("sync"),
    IGNORED ("async"),
    IGNORED ("dirsync"),
    IGNORED ("atime"),
    IGNORED ("noatime"),
    IGNORED ("diratime"),
    IGNORED ("nodiratime"),
    IGNORED ("relatime"),
    IGNORED ("norelatime"),
    IGNORED ("strictatime"),
    IGNORED ("nostrictatime"),
    IGNORED ("lazytime"),
    IGNORED ("nolazytime"),
    IGNORED ("user"),
    IGNORED ("users"),
    IGNORED ("nouser"),
    IGNORED ("owner"),
    IGNORED ("group"),
    IGNORED ("auto"),
    IGNORED ("noauto"),
    IGNORED ("nofail"),
    IGNORED ("defaults"),
    IGNORED ("_netdev"),
    IGNORED ("comment"),
};

const CabWord *cab_config_words (guint *n) {
  *n = G_N_ELEMENTS (words);
  return words;
}

const CabWord *cab_config_word_find (const char *name) {
  static const CabWord any = IGNORED ("x-*"); /* for mount(8), systemd and desktops */
  for (gsize i = 0; i < G_N_ELEMENTS (words); i++)
    if (strcmp (words[i].name, name) == 0)
      return &words[i];
  return g_ascii_strncasecmp (name, "x-", 2) == 0 ? &any : NULL;
}

static void pass_on (CabConfig *config, const char *name, const char *value) {
  guint n = g_strv_length (config->mount.pass_on);
  char **list = g_renew (char *, config->mount.pass_on, n + 2);
  list[n] = value == NULL ? g_strdup (name) : g_strconcat (name, "=", value, NULL);
  list[n + 1] = NULL;
  config->mount.pass_on = list;
}

gboolean cab_config_word_apply (CabConfig *config, const CabWord *word, const char *value, GError **error) {
  if (word->kind == CAB_WORD_IGNORED) /* "user=name", "comment=text": whatever mount(8) makes of it */
    return TRUE;
  if (word->takes_value && value == NULL)
    return cab_value_refuse (error, "needs a value");
  if (!word->takes_value && value != NULL)
    return cab_value_refuse (error, "takes no value");
  if (word->kind == CAB_WORD_PASSED) {
    pass_on (config, word->name, value);
    return TRUE;
  }
  return word->set (config, word, value, error);
}
