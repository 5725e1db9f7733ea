/* dir.h - an open directory: a snapshot of names with fixed offsets.
 *
 * Entry i keeps its place for the life of the snapshot, whatever the services say meanwhile.
 *
 * Threads: immutable once it is given out, any.  The node and the records are held.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_DIR_H
#define CABFS_FS_DIR_H

#include "cache/cache.h"
#include "client/records.h"
#include "fs/options.h"
#include "fs/tree.h"

typedef struct CabDir CabDir;

/* Of the root, an application or the mount's state: @names, sorted, each once; taken over. */
CabDir *cab_dir_new_names (CabNode *node, char **names);

/* Of a failure: its CABs.  With @hide those that cannot be downloaded are left out; with @open each has its open CAB
 * behind it. */
CabDir *cab_dir_new_cabs (CabNode *node, CabRecords *records, gboolean hide, gboolean open);

/* Of an open CAB or a folder in it: what @members has there.  NULL if there is no such folder. */
CabDir *cab_dir_new_members (CabNode *node, CabMemberList *members);

void cab_dir_free (CabDir *self);

/* Whether the kernel reads it through its own cache: set before it is given out. */
void cab_dir_set_cached (CabDir *self, gboolean cached);
gboolean cab_dir_is_cached (const CabDir *self);

CabNode *cab_dir_node (const CabDir *self);
guint cab_dir_count (const CabDir *self);

/* Name and seed of entry @index < count: @seed->name points into @name or the snapshot. */
void cab_dir_entry (const CabDir *self, guint index, char name[CAB_NAME_SIZE], CabNodeSeed *seed);

/* The seed of a CAB, or of its open CAB, as @kind says. */
CabNodeSeed cab_dir_cab_seed (CabNodeKind kind, const char *name, const CabRecord *record);

/* The seed of member @entry of the open CAB @cab. */
CabNodeSeed cab_dir_member_seed (const CabNode *cab, const char *name, const CabMemberEntry *entry);

/* The seed of folder @name in the open CAB @cab. */
CabNodeSeed cab_dir_folder_seed (const CabNode *cab, const char *name);

/* The ids of @records, sorted as these are. */
char **cab_dir_ids (const CabRecords *records);

/* Union of the two sorted lists, without duplicates; both are freed. */
char **cab_dir_merge (char **a, char **b);

#endif
