/* ops-private.h - what the files of the operations share.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_OPS_PRIVATE_H
#define CABFS_FS_OPS_PRIVATE_H

#include <fuse_lowlevel.h>

#include "cache/cache.h"
#include "fs/budget.h"
#include "fs/dir.h"
#include "fs/errors.h"
#include "fs/handles.h"
#include "fs/missing.h"
#include "fs/notify.h"
#include "fs/ops.h"
#include "fs/park.h"
#include "fs/products.h"
#include "fs/reached.h"
#include "fs/told.h"
#include "fs/tree.h"

struct CabFs {
  /* Another one after cab_fs_change(): who needs two things of it takes the pointer once. */
  const CabFsOptions *_Atomic options;
  char **_Atomic configured; /* applicationIds that are listed, sorted; those of before are in `outdated` */
  _Atomic double ttl;        /* seconds the kernel may keep names and attributes */
  atomic_uint changes;       /* of `options` so far */
  GPtrArray *outdated;       /* lock: of char **, owned */

  CabCache *cache; /* all set before the first operation */
  CabTree *tree;
  CabTold *told;
  CabReached *reached;
  CabMissing *missing;
  CabProducts *products; /* asked for only with `discover` */
  CabPark *park;
  CabNotify *notify;
  CabErrors *errors;
  CabBudget *budget;
  CabHandles *handles;
  struct timespec started;
  void (*waits) (gpointer data); /* or NULL */
  gpointer waits_data;

  pthread_mutex_t lock;
  pthread_cond_t idle; /* lock: signalled when the last call is freed */
  guint calls;         /* lock: of CabCall, that are there */
  GHashTable
      *open_files;       /* lock: of CabFile, owned: the kernel does not close what a vanished mount had open */
  GHashTable *open_dirs; /* lock: of CabDir, owned */
};

typedef struct {
  CabNode *node;
  CabContent *content; /* or */
  GBytes *text;        /* of a stack trace, or of our state */
  char *program;       /* whose budget it is that pays, or NULL */
  int backing;         /* passthrough.h */
  gboolean in_turn;    /* it is this one's turn to be answered: passthrough.h */
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
  CabReach reach; /* of a lookup, a size or the root: how far it may go */
  char *program;  /* whose budget it is that pays, or NULL; */
  gboolean spent; /* and that there is none left */
  guint clears;   /* of a lookup of a failure: of `missing`, when it began */
  guint64 here;   /* of a list of members: bytes of the CAB that were here before */
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

/* @operation has succeeded on @node, or on @name in it, which may be NULL: what failed there before is settled, and so is
 * what comes before that operation, in this order: "lookup", "stat", "open", "read"; and "list". */
void cab_fs_settle (CabFs *fs, const char *operation, const CabNode *node, const char *name);

/* How far the caller of @req may have us go: CAB_REACH_LOCAL for programs of the `deny` list. */
CabReach cab_fs_reach (CabFs *fs, fuse_req_t req);

/* Whose budget pays for bytes. */
typedef struct {
  char program[CAB_PROGRAM_SIZE]; /* "": nobody's */
  gboolean spent;                 /* there is none left */
} CabPayer;

/* The same for bytes of the CAB that @node is, or is in: one that is not downloadable is not asked for, nor any for a
 * program that has had what `budget` allows.  @payer is for the call that it becomes: cab_call_set_payer(). */
CabReach cab_fs_reach_bytes (CabFs *fs, fuse_req_t req, const CabNode *node, CabPayer *payer);
void cab_call_set_payer (CabCall *call, const CabPayer *payer);

/* @program, unless it is NULL, has had @bytes downloaded. */
void cab_fs_charge (CabFs *fs, const char *program, guint64 bytes);

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

/* Replies to a lookup of "." or ".." in what @ino stands for (ops-handle.c). */
void cab_handle_lookup (CabFs *fs, fuse_req_t req, guint64 ino, gboolean above);

/* Replies to a lookup: with a node, with the node of @seed, or that there is none, which may be believed for @timeout seconds. */
void cab_reply_found (CabFs *fs, fuse_req_t req, CabNode *node);
void cab_reply_node (CabFs *fs, fuse_req_t req, CabNode *parent, const CabNodeSeed *seed);
void cab_reply_missing (CabFs *fs, fuse_req_t req, const CabNode *parent, const char *name, double timeout);

/* What can never be there, what is not there now, and what is answered from memory and may be there once a listing was
 * asked for again: seconds. */
#define CAB_NEVER_S   3600.0
#define CAB_MISSING_S 30.0
#define CAB_ABSENT_S  0.0

/* Replies to an opendir.  @dir is taken over; @version: another one whenever the entries are other ones, so it is found
 * out before they are: the kernel may keep what it is given under it for as long as there is no other. */
void cab_reply_dir (CabFs *fs, fuse_req_t req, struct fuse_file_info *info, CabDir *dir, guint64 version);

/* Forgets the listing that @node is, or stands in; of the root, all.  @done, which may be NULL, runs
 * when the kernel has forgotten too. */
void cab_fs_refresh (CabFs *fs, CabNode *node, void (*done) (gpointer data), gpointer data);

/* Within an open CAB (ops-member.c): lookup, opendir, open of a member, and the size of one that its archive does not
 * tell the size of. */
void cab_member_lookup (CabFs *fs, fuse_req_t req, CabNode *node, const char *name);
void cab_member_opendir (CabFs *fs, fuse_req_t req, CabNode *node, const struct fuse_file_info *info);
void cab_member_open (CabFs *fs, CabNode *node, CabReach reach, CabOpenDone done, CabCall *call);

/* More of the CAB that @node is in may be here than the kernel was told; nothing if it is in none. */
void cab_member_notify_cab (CabFs *fs, const CabNode *node);

/* The mount's own state (ops-state.c): the name in the root, its directory, what is in it, and what a file of it has to
 * say now. */
#define CAB_STATE_NAME ".cabfs"
gboolean cab_state_is_name (const char *name);
void cab_state_reply_directory (CabFs *fs, fuse_req_t req, CabNode *root);
void cab_state_lookup (CabFs *fs, fuse_req_t req, CabNode *node, const char *name);
void cab_state_opendir (CabFs *fs, fuse_req_t req, CabNode *node, struct fuse_file_info *info);
GBytes *cab_state_text (CabFs *fs, const CabNode *node);

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
void cab_op_ioctl (fuse_req_t req, fuse_ino_t ino, unsigned int command, void *argument,
                   struct fuse_file_info *info, unsigned flags, const void *in, size_t in_size,
                   size_t out_size);
void cab_op_getxattr (fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void cab_op_listxattr (fuse_req_t req, fuse_ino_t ino, size_t size);

void cab_file_free (gpointer file);

/* Ends an open @file, or one whose open could not be answered. */
void cab_file_close (CabFs *fs, CabFile *file);

#endif
