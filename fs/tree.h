/* tree.h - inode numbers and what they stand for.
 *
 * A node is there as long as the kernel knows its number (its lookup count) or somebody in here holds a reference.
 * Its parent stays at least as long.  A number is a hash of the path (names.h), so a node that was forgotten comes
 * back under the same one.
 *
 * Threads: any; one lock, held for no I/O and no call into another module.
 * Ownership: a CabNode * that is returned is a reference, dropped with cab_node_unref(), unless it says otherwise.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_TREE_H
#define CABFS_FS_TREE_H

#include "cache/cache.h"
#include "client/scope.h"
#include "client/sync.h"

#define CAB_SIZE_UNKNOWN G_MAXUINT64

/* Of a name, with its end. */
#define CAB_NAME_SIZE 256

typedef enum {
  CAB_NODE_ROOT,
  CAB_NODE_APPLICATION,
  CAB_NODE_FAILURE,
  CAB_NODE_CAB,
  CAB_NODE_OPEN,   /* a CAB, open: beside it, a directory of its members */
  CAB_NODE_FOLDER, /* a directory in an archive */
  CAB_NODE_STATE,  /* the directory of the mount's own state */
  CAB_NODE_MEMBER, /* a file in an archive */
  CAB_NODE_TRACE,  /* in an open CAB, hidden: the service's own stack trace of it */
  CAB_NODE_STATE_FILE,
} CabNodeKind;

/* Open files of a node: fs/passthrough.h. */
typedef struct {
  guint count;  /* that are there */
  int backing;  /* of those that are open: the kernel's number of the file it reads, 0 if it asks us */
  guint queued; /* opens that are answered in turn: while there are some, all are */
} CabOpens;

typedef struct CabTree CabTree;

/* Public members are set at creation, or atomic.  There is one for each file that the kernel knows, so their order leaves
 * no holes. */
typedef struct CabNode CabNode;
struct CabNode {
  guint64 ino;
  CabNode *parent; /* a reference; NULL for the root */
  union {
    const char *_Atomic
        family; /* of an application: the name of what it is taken for, static for the life of the tree */
    atomic_ullong member; /* of what is in an open CAB: CabMemberId */
  };

  /* Of a CAB, open or not: what its row says in the list that was looked at last.  Of members and folders: date, and
   * what the list of members says. */
  atomic_llong date;
  atomic_llong expires;
  atomic_ullong size; /* of a CAB or a member: bytes, or CAB_SIZE_UNKNOWN */
  atomic_ullong told; /* told.h: what the kernel goes by, or CAB_SIZE_UNKNOWN */
  atomic_ullong
      version; /* of the bytes that the kernel's page cache may hold, or of the entries it may keep; 0: none */

  /* the tree's */
  CabTree *tree;
  guint64 lookups; /* lock */
  guint refs;      /* lock */

  CabOpens opens;           /* lock of CabFs */
  guint cached_dirs;        /* lock of CabFs: open directories that the kernel reads through what it keeps */
  guint8 clean;             /* lock of CabFs: all that the kernel can hold is of `version` */
  guint8 kind;              /* CabNodeKind */
  atomic_bool downloadable; /* of a CAB, open or not */
  char name[];              /* in its directory */
};

CabTree *cab_tree_new (void);

/* Frees all nodes, whatever the kernel still knows. */
void cab_tree_free (CabTree *self);

CabNode *cab_tree_root (CabTree *self);

/* How many nodes there are. */
guint64 cab_tree_count (CabTree *self);

/* The node of a number the kernel has; NULL if there is none. */
CabNode *cab_tree_get (CabTree *self, guint64 ino);

/* The numbers, guint64, of @directory and of what the kernel knows in it; with NULL, of all that it knows. */
GArray *cab_tree_known (CabTree *self, const CabNode *directory);

/* What a new node is made from. */
typedef struct {
  CabNodeKind kind;
  const char *name;
  const char *family;
  gint64 date;
  gint64 expires;
  gboolean downloadable;
  guint64 size; /* of a member, or CAB_SIZE_UNKNOWN; of a stack trace */
  CabMemberId member;
} CabNodeSeed;

/* The node of @seed in @parent, made if there is none.  What @seed says of a CAB and what is in it is true from now on,
 * and so is the family of an application. */
CabNode *cab_tree_child (CabTree *self, CabNode *parent, const CabNodeSeed *seed);

/* The kernel was told of @node, @n times; or has forgotten it that often. */
void cab_tree_remember (CabNode *node);
void cab_tree_forget (CabTree *self, guint64 ino, guint64 n);

CabNode *cab_node_ref (CabNode *self);
void cab_node_unref (CabNode *self);

/* The number that @seed would have in @parent. */
guint64 cab_node_child_ino (const CabNode *parent, const CabNodeSeed *seed);

/* Which list @node is: of an application its failures, of a failure its CABs, of a CAB and all in it the list that stands
 * in.  Strings belong to the node. */
CabScope cab_node_scope (CabNode *self);

/* The CAB that the node is, or is in; NULL if there is none.  No reference: it is there as long as @self. */
const CabNode *cab_node_cab (const CabNode *self);

/* The path of @self, and with @name of that in @self, in the list of members; "" for the open CAB itself. */
char *cab_node_member_path (const CabNode *self, const char *name);

/* "/10238467886765136388/1fd83f6d-…": for messages. */
char *cab_node_path (const CabNode *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabNode, cab_node_unref)

#endif
