/* ops.h - the operations of the mount: decodes a request of the kernel, asks the cache, replies.
 *
 * No thread of libfuse waits for the network: what cannot be answered from memory or disk is parked (park.h) and
 * answered by the completion.
 *
 * Life: new, attach (session made), then operations, then detach (when the cache was stopped, which
 * answers everything parked), free.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_OPS_H
#define CABFS_FS_OPS_H

#include "cache/cache.h"
#include "fs/options.h"

struct fuse_lowlevel_ops;
struct fuse_session;

typedef struct CabFs CabFs;

/* @cache and @options must outlive it. */
CabFs *cab_fs_new (CabCache *cache, const CabFsOptions *options);

/* For notifications: @se must be there until cab_fs_free(). */
void cab_fs_attach (CabFs *self, struct fuse_session *se);

/* Waits until whoever answers requests has done so and is through with us; then nothing is said to the kernel any more.
 * When the cache was stopped, and before the session is unmounted, which closes what notifications are written to. */
void cab_fs_detach (CabFs *self);

/* @func is called whenever a request begins to wait, on any thread.  Before the first operation. */
void cab_fs_set_waits_func (CabFs *self, void (*func) (gpointer data), gpointer data);

/* Any thread, as the next one: writes what the mount is doing to the log, whatever its level. */
void cab_fs_log_state (CabFs *self);

/* What is being downloaded, as one line; NULL if nothing is. */
char *cab_fs_headline (CabFs *self);

/* The cache was stopped, so nothing is parked; files and directories that were left open are closed. */
void cab_fs_free (CabFs *self);

/* From now on @options counts: what is listed, how, and for whom.  Owner, modes and whether there are open CABs at all
 * stay.  What was listed is asked for again.  @options must outlive the CabFs, and so must those before.  Any thread. */
void cab_fs_change (CabFs *self, const CabFsOptions *options);

/* The operation table, static; the user data of the session is the CabFs. */
const struct fuse_lowlevel_ops *cab_fs_operations (void);

#endif
