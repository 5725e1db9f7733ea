/* config.h - configuration file and command line into the options of each layer.
 *
 * A key is taken from `-o`, else from the account's section of the file, else from the table in keys.h; all keys are
 * then checked and set in the same way.  Of the keys that say how access tokens are had one remains: the first of the
 * order in cabfs.conf(5), where those of the command line come before those of the file.  Errors are CAB_ERROR_INVALID,
 * one line: file, section and key (or "-o key"), what is wrong, what is allowed.  They hold no secret.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_CONFIG_H
#define CABFS_FS_CONFIG_H

#include "cache/cache.h"
#include "client/client.h"
#include "fs/command.h"
#include "fs/options.h"

typedef struct {
  CabMountOptions mount;
  CabClientOptions client;
  CabCacheOptions cache;
  CabFsOptions fs;
  char **digests; /* of the text of each key, in the order of the table; "" where it is not set */
} CabConfig;

/* Reads and checks everything; makes nothing.  Relative paths of the command line are those of its `directory`. */
CabConfig *cab_config_load (const CabCommand *command, GError **error);

/* TRUE if key @index of the table has the same text in both. */
gboolean cab_config_same (const CabConfig *a, const CabConfig *b, guint index);

void cab_config_free (CabConfig *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabConfig, cab_config_free)

#endif
