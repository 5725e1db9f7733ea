/* reload.h - SIGHUP: the configuration is read again, and what was listed is asked for again.
 *
 * Keys that can change while files are open do; of the others that did, the log says that they need another mount
 * (keys.h marks them).  A configuration that cannot be read, or does not parse, changes nothing.
 *
 * Everything happens on a thread of its own.  What the layers had before stays until cab_reload_free(): some of their
 * threads may still look at it.
 *
 * A terminal that goes away sends SIGHUP too.  Where there was one at the start and there is none any more, the mount
 * ends as with SIGTERM.  Whoever started us with SIGHUP ignored (nohup) wants it so.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_RELOAD_H
#define CABFS_FS_RELOAD_H

#include "fs/config.h"
#include "fs/ops.h"

typedef struct CabReload CabReload;

/* What is told of a new configuration.  All must be there until cab_reload_stop(). */
typedef struct {
  const CabCommand *command;
  const CabConfig *config; /* the first */
  CabClient *client;
  CabCache *cache;
  CabFs *fs;
} CabReloadParts;

/* Watches for the signal, which every thread but the main one has blocked.  One at a time in a process.  NULL with @error
 * if it cannot. */
CabReload *cab_reload_new (const CabReloadParts *parts, GError **error);

/* From here on SIGHUP is ignored.  Before the parts are stopped. */
void cab_reload_stop (CabReload *self);

/* After the parts were freed. */
void cab_reload_free (CabReload *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabReload, cab_reload_free)

#endif
