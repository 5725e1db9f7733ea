/* ops-member.c - what is in an open CAB: its directories, its files, their names.
 *
 * A CAB is looked into only when somebody looks into its directory: then its list of members is asked for, from memory or
 * by reading as much of the CAB as it takes.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <string.h>

#include "client/error.h"
#include "fs/names.h"
#include "fs/ops-private.h"

/* Bytes of the CAB that are here. */
static guint64 bytes_here (CabCall *call) {
  char id[CAB_NAME_SIZE];
  CabRecord record = cab_node_record (call->node, id);
  CabScope scope = cab_node_scope (call->node);
  return cab_cache_bytes (call->fs->cache, &scope, &record);
}

/* What it took to list the members is what there is more of the CAB now. */
static void pay (CabCall *call) {
  if (call->program == NULL)
    return;
  guint64 here = bytes_here (call);
  cab_fs_charge (call->fs, call->program, here - MIN (here, call->here));
}

void cab_member_notify_cab (CabFs *fs, const CabNode *node) {
  const CabNode *open = cab_node_cab (node);
  if (open == NULL || open->kind != CAB_NODE_OPEN)
    return;
  g_autofree char *id = g_strndup (open->name, strlen (open->name) - strlen (CAB_NAME_OPEN));
  g_autofree char *name = cab_name_from_cab (id);
  const CabNodeSeed cab = {.kind = CAB_NODE_CAB, .name = name};
  cab_notify_attributes (fs->notify, cab_node_child_ino (open->parent, &cab));
}

/* Asks for the members of the CAB that @node is in. */
static void ask (CabFs *fs, const CabNode *node, CabReach reach, CabMembersDone done, CabCall *call) {
  char id[CAB_NAME_SIZE];
  CabRecord record = cab_node_record (node, id);
  CabScope scope = cab_node_scope (call->node);
  call->here = call->program != NULL ? bytes_here (call) : 0;
  cab_cache_members (fs->cache, &scope, &record, reach, done, call);
}

/* --- lookup ------------------------------------------------------------------------------------------------- */

static void reply_name (CabFs *fs, fuse_req_t req, CabNode *node, const char *name,
                        const CabMemberList *members) {
  g_autofree char *path = cab_node_member_path (node, name);
  const CabNode *cab = cab_node_cab (node);
  CabNodeSeed seed;
  guint index;
  if (cab_member_list_find (members, path, &index)) {
    CabMemberEntry entry;
    cab_member_list_get (members, index, &entry);
    seed = cab_dir_member_seed (cab, name, &entry);
  } else if (cab_member_list_has_directory (members, path)) {
    seed = cab_dir_folder_seed (cab, name);
  } else {
    cab_reply_missing (fs, req, node, name, CAB_MISSING_S);
    return;
  }
  cab_reply_node (fs, req, node, &seed);
}

static void on_lookup (gpointer data, CabMemberList *members, const GError *error) {
  CabCall *call = data;
  pay (call);
  if (error != NULL) {
    cab_call_fail (call, error);
    return;
  }
  fuse_req_t req = cab_call_take (call);
  if (req != NULL)
    reply_name (call->fs, req, call->node, call->name, members);
  cab_call_free (call);
}

static void on_trace (gpointer data, GBytes *text, const GError *error) {
  CabCall *call = data;
  fuse_req_t req = cab_call_take (call);
  if (req != NULL && text != NULL) {
    CabNodeSeed seed = cab_dir_folder_seed (call->node, call->name);
    seed.kind = CAB_NODE_TRACE;
    seed.size = g_bytes_get_size (text);
    cab_reply_node (call->fs, req, call->node, &seed);
  } else if (req != NULL && g_error_matches (error, CAB_ERROR, CAB_ERROR_NOT_FOUND)) {
    cab_reply_missing (call->fs, req, call->node, call->name, CAB_MISSING_S);
  } else if (req != NULL) {
    cab_reply_error (req, call->operation, call->node, call->name, error);
  }
  cab_call_free (call);
}

/* It has a size when the service has told it, and no byte of the CAB is looked at. */
static void lookup_trace (CabFs *fs, fuse_req_t req, CabNode *open) {
  char id[CAB_NAME_SIZE];
  cab_node_record (open, id);
  CabScope scope = cab_node_scope (open);
  CabReach reach = cab_fs_reach (fs, req);
  CabCall *call = cab_call_new (req, "lookup", open, CAB_MEMBER_RESERVED);
  cab_cache_stacktrace (fs->cache, &scope, id, reach, on_trace, call);
}

void cab_member_lookup (CabFs *fs, fuse_req_t req, CabNode *node, const char *name) {
  if (node->kind == CAB_NODE_OPEN && strcmp (name, CAB_MEMBER_RESERVED) == 0) {
    lookup_trace (fs, req, node);
    return;
  }
  if (strlen (name) >= CAB_NAME_SIZE) {
    fuse_reply_err (req, ENAMETOOLONG);
    return;
  }
  CabPayer payer;
  CabReach reach = cab_fs_reach_bytes (fs, req, node, &payer);
  CabCall *call = cab_call_new (req, "lookup", node, name);
  cab_call_set_payer (call, &payer);
  ask (fs, node, reach, on_lookup, call);
}

/* --- opendir ------------------------------------------------------------------------------------------------ */

static void on_opendir (gpointer data, CabMemberList *members, const GError *error) {
  CabCall *call = data;
  pay (call);
  cab_member_notify_cab (call->fs, call->node);
  CabDir *dir = error == NULL ? cab_dir_new_members (call->node, members) : NULL;
  if (dir == NULL) {
    g_autoptr (GError) gone =
        g_error_new (CAB_ERROR, CAB_ERROR_NOT_FOUND, "the CAB has no such folder any more");
    cab_call_fail (call, error != NULL ? error : gone);
    return;
  }
  fuse_req_t req = cab_call_take (call);
  if (req != NULL)
    cab_reply_dir (call->fs, req, &call->info, dir, cab_member_list_version (members));
  else
    cab_dir_free (dir);
  cab_call_free (call);
}

void cab_member_opendir (CabFs *fs, fuse_req_t req, CabNode *node, const struct fuse_file_info *info) {
  CabPayer payer;
  CabReach reach = cab_fs_reach_bytes (fs, req, node, &payer);
  CabCall *call = cab_call_new (req, "list", node, NULL);
  cab_call_set_payer (call, &payer);
  call->info = *info;
  ask (fs, node, reach, on_opendir, call);
}

/* --- open --------------------------------------------------------------------------------------------------- */

void cab_member_open (CabFs *fs, CabNode *node, CabReach reach, CabOpenDone done, CabCall *call) {
  g_autofree char *path = cab_node_member_path (node, NULL);
  char id[CAB_NAME_SIZE];
  CabRecord record = cab_node_record (node, id);
  CabScope scope = cab_node_scope (node);
  cab_cache_open_member (fs->cache, &scope, &record, path, reach, done, call);
}
