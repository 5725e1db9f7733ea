/* paths.h - where things are: the user's directories and the paths of a configuration.
 *
 * mount(8) runs us for the user of an fstab line with the environment of somebody else, so HOME is believed only where
 * that directory is the user's own; else the password database tells.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_PATHS_H
#define CABFS_FS_PATHS_H

#include <glib.h>

/* NULL if there is none. */
char *cab_path_home (void);

/* @text as an absolute path: "~/" is the home directory, a relative one begins at @base. */
char *cab_path_expand (const char *text, const char *base, GError **error);

/* The same for a file with a secret: a relative one is looked for in $CREDENTIALS_DIRECTORY first. */
char *cab_path_expand_credential (const char *text, const char *base, GError **error);

/* The configuration file if none is named: $XDG_CONFIG_HOME/cabfs/cabfs.conf where that is there, else
 * /etc/cabfs/cabfs.conf.  The error names both. */
char *cab_path_find_config (GError **error);

/* $XDG_CACHE_HOME/cabfs/@account. */
char *cab_path_cache (const char *account, GError **error);

#endif
