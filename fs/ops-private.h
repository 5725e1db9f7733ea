/* ops-private.h - what the files of the operations share.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_OPS_PRIVATE_H
#define CABFS_FS_OPS_PRIVATE_H

#include <fuse_lowlevel.h>

#include "cache/cache.h"
#include "fs/dir.h"
#include "fs/notify.h"
#include "fs/ops.h"
#include "fs/park.h"
#include "fs/products.h"
#include "fs/reached.h"
#include "fs/told.h"
#include "fs/tree.h"

struct CabFs {
  CabCache *cache; /* all set before the first operation */
  const CabFsOptions *options;
  CabTree *tree;
  CabTold *told;
  CabReached *reached;
  CabProducts *products; /* asked for only with `discover` */
  CabPark *park;
  CabNotify *notify;
  char **configured; /* applicationIds that are listed, sorted */
  struct timespec started;
  double ttl; /* seconds the kernel may keep names and attributes */

  pthread_mutex_t lock;
  GHashTable
      *open_files;       /* lock: of CabFile, owned: the kernel does not close what a vanished mount had open */
  GHashTable *open_dirs; /* lock: of CabDir, owned */
};

typedef struct {
  CabNode *node;
  CabContent *content; /* or */
  GBytes *text;        /* of a stack trace */
  int backing;         /* passthrough.h */
  atomic_bool clears;  /* at its open the kernel drops the pages it holds, and may not have done so yet */
} CabFile;

/* --- a request that waits --- */

/* One parked request and what is needed to answer it. */
typedef struct {
  CabFs *fs;
  CabParked *parked;
  const char *operation; /* for the log; static */
  CabNode *node;         /* what it is about, or the directory it looks in: a reference */
  char *name;            /* in that directory, or NULL */
  struct fuse_file_info info;
  CabReach reach; /* of a lookup or a size: how far it may go */
} CabCall;

/* Parks @req.  @name may be NULL. */
CabCall *cab_call_new (fuse_req_t req, const char *operation, CabNode *node, const char *name);

/* The request, or NULL if it was answered meanwhile. */
fuse_req_t cab_call_take (CabCall *call);
void cab_call_free (CabCall *call);

/* Takes, replies with the errno of @error, logs one line.  Of a CAB that the service will not give us, and of what is in
 * it, that is the reason whatever @error says: it was not asked. */
void cab_call_fail (CabCall *call, const GError *error);

/* --- answers --- */

/* Replies with the errno of @error and logs it: once for each failed request. */
void cab_reply_error (fuse_req_t req, const char *operation, const CabNode *node, const char *name,
                      const GError *error);

/* How far the caller of @req may have us go: CAB_REACH_LOCAL for programs of the `deny` list. */
CabReach cab_fs_reach (CabFs *fs, fuse_req_t req);

/* The same for bytes of the CAB that @node is, or is in: one that is not downloadable is not asked for. */
CabReach cab_fs_reach_bytes (CabFs *fs, fuse_req_t req, const CabNode *node);

/* --- attributes (attr.c) --- */

/* All of @node but the size of a CAB, which is 0 where it is not known.  @req is what it is the answer to. */
void cab_attr_fill (CabFs *fs, CabNode *node, fuse_req_t req, struct stat *st);

/* What a directory shows of an entry that it gives no node for: kind and number. */
void cab_attr_fill_seed (CabFs *fs, const CabNode *parent, const CabNodeSeed *seed, struct stat *st);

/* TRUE if the size of @node is known without a request; then the node knows it.  Of a directory it always is. */
gboolean cab_attr_know_size (CabFs *fs, CabNode *node, CabLook look);

/* How long the kernel may keep the attributes of @node. */
double cab_attr_timeout (CabFs *fs, const CabNode *node);

/* What the service's row says of the CAB that @node is, or is in.  Strings belong to the node. */
CabRecord cab_node_record (const CabNode *node, char id[CAB_NAME_SIZE]);

/* The family of an application in the root: as configured, else as some list of products has it, else the default. */
const char *cab_fs_family_of (CabFs *fs, const char *application);

/* TRUE if @application is configured, or a product. */
gboolean cab_fs_is_listed (CabFs *fs, const char *application);

/* --- what several operations need --- */

/* Replies to a lookup: with the node of @seed, or that there is none, which may be believed for @timeout seconds. */
void cab_reply_node (CabFs *fs, fuse_req_t req, CabNode *parent, const CabNodeSeed *seed);
void cab_reply_missing (CabFs *fs, fuse_req_t req, double timeout);

/* What can never be there, and what is not there now: seconds. */
#define CAB_NEVER_S   3600.0
#define CAB_MISSING_S 30.0

/* Replies to an opendir.  @dir is taken over; @version: another one whenever the entries are other ones. */
void cab_reply_dir (CabFs *fs, fuse_req_t req, struct fuse_file_info *info, CabDir *dir, guint64 version);

/* Within an open CAB (ops-member.c): lookup, opendir, open of a member, and the size of one that its archive does not
 * tell the size of. */
void cab_member_lookup (CabFs *fs, fuse_req_t req, CabNode *node, const char *name);
void cab_member_opendir (CabFs *fs, fuse_req_t req, CabNode *node, const struct fuse_file_info *info);
void cab_member_open (CabFs *fs, CabNode *node, CabReach reach, CabOpenDone done, CabCall *call);

/* --- operations --- */

void cab_op_lookup (fuse_req_t req, fuse_ino_t parent, const char *name);
void cab_op_getattr (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info);
void cab_op_opendir (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info);
void cab_op_readdir (fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *info);
void cab_op_readdirplus (fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *info);
void cab_op_releasedir (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info);
void cab_op_open (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info);
void cab_op_read (fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *info);
void cab_op_release (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info);
void cab_op_getxattr (fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void cab_op_listxattr (fuse_req_t req, fuse_ino_t ino, size_t size);

void cab_file_free (gpointer file);

#endif
