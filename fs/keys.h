/* keys.h - the keys of the configuration, in one table: from it come parsing, defaults and the check of the manual.
 *
 * A new key is a line here and a paragraph in cabfs.conf(5).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_KEYS_H
#define CABFS_FS_KEYS_H

#include "fs/config.h"

typedef struct CabKey CabKey;

/* Sets what @key stands for to @text; relative paths begin at @base.  The error goes on after "days: ". */
typedef gboolean (*CabKeySetter) (CabConfig *config, const CabKey *key, const char *text, const char *base,
                                  GError **error);

struct CabKey {
  const char *name;
  const char *type;    /* as the manual calls it: "size" */
  const char *value;   /* default; NULL: not set */
  const char *section; /* heading in the manual */
  CabKeySetter set;
  gsize offset;             /* in CabConfig, for setters that need it */
  gint64 min, max;          /* for numbers and times */
  const char *const *words; /* for choices */
  gboolean computed;        /* @value is not text for the setter, but says what config.c sets */
  gboolean live;            /* counts at once when the configuration is read again (reload.h) */
};

const CabKey *cab_config_keys (guint *n);

/* NULL if there is none of that name. */
const CabKey *cab_config_key_find (const char *name);

#endif
