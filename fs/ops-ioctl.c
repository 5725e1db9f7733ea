/* ops-ioctl.c - ioctl.h, and how the kernel is made to forget what it keeps of a listing.
 *
 * The kernel keeps names and attributes for as long as it was told.  To take a name back from it by a notification, it
 * has to lock the directory, which it holds locked for whoever waits in there for an answer of ours: for as long as a
 * service likes, and for ever should we be killed in between.  So names stay, and only attributes are taken back, which
 * needs no lock.  That a CAB is gone is then noticed by who asks for its attributes: ops-name.c.  Directories are asked
 * for at each opendir, and what was not there is asked for each time (ops-private.h).
 *
 * SPDX-License-Identifier: MIT
 */
#include "fs/ioctl.h"

#include <errno.h>

#include "fs/ops-private.h"

/* The directory whose listing @node is, or stands in; a reference. */
static CabNode *directory_of (CabNode *node) {
  while (node->kind > CAB_NODE_FAILURE)
    node = node->parent;
  return cab_node_ref (node);
}

void cab_fs_refresh (CabFs *fs, CabNode *node, void (*done) (gpointer data), gpointer data) {
  g_autoptr (CabNode) directory = directory_of (node);
  gboolean all = directory->kind == CAB_NODE_ROOT;
  CabScope scope = {0};
  if (!all)
    scope = cab_node_scope (directory);
  cab_cache_expire_list (fs->cache, all ? NULL : &scope);
  if (directory->kind != CAB_NODE_FAILURE)
    cab_missing_clear (fs->missing, all ? NULL : directory->name);
  if (all)
    cab_products_retry (fs->products);
  g_autoptr (GArray) inodes = cab_tree_known (fs->tree, all ? NULL : directory);
  for (guint i = 0; i < inodes->len; i++)
    cab_notify_attributes (fs->notify, g_array_index (inodes, guint64, i));
  if (done != NULL)
    cab_notify_then (fs->notify, done, data);
}

static void on_refreshed (gpointer data) {
  CabCall *call = data;
  fuse_req_t req = cab_call_take (call);
  if (req != NULL)
    fuse_reply_ioctl (req, 0, NULL, 0);
  cab_call_free (call);
}

static void refresh (CabFs *fs, fuse_req_t req, CabNode *node) {
  g_autofree char *path = cab_node_path (node);
  g_info ("refresh %s", path);
  cab_fs_refresh (fs, node, on_refreshed, cab_call_new (req, "refresh", node, NULL));
}

void cab_op_ioctl (fuse_req_t req, fuse_ino_t ino, unsigned int command, void *argument,
                   struct fuse_file_info *info, unsigned flags, const void *in, size_t in_size,
                   size_t out_size) {
  static const struct cabfs_identity identity = {.magic = CABFS_IOC_MAGIC, .version = CABFS_IOC_VERSION};
  CabFs *fs = fuse_req_userdata (req);
  g_autoptr (CabNode) node = cab_tree_get (fs->tree, ino);
  if (node == NULL)
    fuse_reply_err (req, ESTALE);
  else if (command == CABFS_IOC_REFRESH)
    refresh (fs, req, node);
  else if (command == CABFS_IOC_IDENTIFY && out_size >= sizeof identity)
    fuse_reply_ioctl (req, 0, &identity, sizeof identity);
  else
    fuse_reply_err (req, ENOTTY);
}
