/* ops-handle.c - file handles: what a server that exports the mount asks for by number.
 *
 * The kernel asks for "." in a number that it does not know any more, and for ".." to find its way up.  Numbers are those of
 * paths for all time, so that a handle from before the kernel forgot, or from before a remount, means what it did, as
 * long as a list that we have still names it.  Members and folders of an open CAB are found as long as the kernel or a
 * program holds them: to find another would take looking into every CAB.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <string.h>

#include "fs/names.h"
#include "fs/ops-private.h"

/* As a lookup by name would: FALSE if it would not find the application. */
static gboolean application_seed (CabFs *fs, const CabPlace *place, CabNodeSeed *seed) {
  const char *name = place->names[0];
  *seed = (CabNodeSeed){.kind = CAB_NODE_APPLICATION, .name = name, .family = cab_fs_family_of (fs, name)};
  gboolean known = cab_fs_is_listed (fs, name) || cab_name_is_application (name);
  return known && (place->family == NULL || strcmp (place->family, seed->family) == 0);
}

/* The same of a CAB, by the list of @failure. */
static gboolean cab_seed (CabFs *fs, CabNode *failure, const char *name, CabNodeSeed *seed) {
  CabScope scope = cab_node_scope (failure);
  const CabFsOptions *options = fs->options;
  gsize id_len;
  gboolean open = cab_name_to_open (name, &id_len);
  CabListing listing;
  guint index;
  if ((!open && !cab_name_to_cab (name, &id_len)) || (open && options->members == CAB_MEMBERS_OFF) ||
      !cab_cache_peek_list (fs->cache, &scope, CAB_REACH_LOCAL, &listing))
    return FALSE;
  g_autoptr (CabRecords) records = listing.records;
  if (!cab_records_find (records, name, id_len, &index))
    return FALSE;
  CabRecord record;
  cab_records_get (records, index, &record);
  *seed = cab_dir_cab_seed (open ? CAB_NODE_OPEN : CAB_NODE_CAB, name, &record);
  return record.downloadable || !options->hide_undownloadable;
}

/* The node of @ino from what is known, a reference; NULL if nothing is. */
static CabNode *find (CabFs *fs, guint64 ino) {
  CabNode *known = cab_tree_get (fs->tree, ino);
  if (known != NULL)
    return known;
  char **applications = cab_dir_merge (cab_products_list (fs->products), cab_reached_list (fs->reached, NULL));
  g_auto (GStrv) all = cab_dir_merge (g_strdupv (fs->configured), applications);
  g_auto (CabPlace) place = {0};
  CabNodeSeed seed;
  if (!cab_handles_find (fs->handles, ino, all, &place) || !application_seed (fs, &place, &seed))
    return NULL;
  g_autoptr (CabNode) root = cab_tree_root (fs->tree);
  CabNode *application = cab_tree_child (fs->tree, root, &seed);
  if (place.names[1] == NULL)
    return application;
  seed = (CabNodeSeed){.kind = CAB_NODE_FAILURE, .name = place.names[1]};
  CabNode *failure = cab_tree_child (fs->tree, application, &seed);
  cab_node_unref (application);
  if (place.names[2] == NULL)
    return failure;
  CabNode *cab =
      cab_seed (fs, failure, place.names[2], &seed) ? cab_tree_child (fs->tree, failure, &seed) : NULL;
  cab_node_unref (failure);
  return cab;
}

void cab_handle_lookup (CabFs *fs, fuse_req_t req, guint64 ino, gboolean above) {
  g_autoptr (CabNode) node = find (fs, ino);
  g_autoptr (CabNode) found =
      node != NULL ? cab_node_ref (above && node->parent != NULL ? node->parent : node) : NULL;
  if (found != NULL)
    cab_reply_found (fs, req, found);
  else
    fuse_reply_err (req, ESTALE);
}
