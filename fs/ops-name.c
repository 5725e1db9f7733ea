/* ops-name.c - lookup and getattr.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <string.h>

#include "client/error.h"
#include "fs/names.h"
#include "fs/ops-private.h"

/* --- lookup ------------------------------------------------------------------------------------------------- */

void cab_reply_missing (CabFs *fs, fuse_req_t req, const CabNode *parent, const char *name, double timeout) {
  cab_fs_settle (fs, "lookup", parent, name);
  const struct fuse_entry_param entry = {.ino = 0, .entry_timeout = MIN (timeout, fs->ttl)};
  fuse_reply_entry (req, &entry);
}

void cab_reply_found (CabFs *fs, fuse_req_t req, CabNode *node) {
  struct fuse_entry_param entry = {
      .ino = node->ino, .generation = node->parent != NULL ? 1 : 0, .entry_timeout = fs->ttl};
  cab_attr_know_size (fs, node, CAB_LOOK_WALK);
  cab_attr_fill (fs, node, req, &entry.attr);
  entry.attr_timeout = cab_attr_timeout (fs, node);
  cab_tree_remember (node);
  if (fuse_reply_entry (req, &entry) != 0) /* interrupted: the kernel does not know of it */
    cab_tree_forget (fs->tree, node->ino, 1);
}

void cab_reply_node (CabFs *fs, fuse_req_t req, CabNode *parent, const CabNodeSeed *seed) {
  g_autoptr (CabNode) node = cab_tree_child (fs->tree, parent, seed);
  cab_fs_settle (fs, "lookup", parent, seed->name);
  cab_reply_found (fs, req, node);
}

static void reply_application (CabFs *fs, fuse_req_t req, CabNode *root, const char *name) {
  CabNodeSeed seed = {.kind = CAB_NODE_APPLICATION, .name = name, .family = cab_fs_family_of (fs, name)};
  cab_reply_node (fs, req, root, &seed);
}

static void on_products (gpointer data) {
  CabCall *call = data;
  fuse_req_t req = cab_call_take (call);
  if (req != NULL)
    reply_application (call->fs, req, call->node, call->name);
  cab_call_free (call);
}

static void lookup_application (CabFs *fs, fuse_req_t req, CabNode *root, const char *name) {
  gboolean listed = cab_fs_is_listed (fs, name);
  if (!listed && !cab_name_is_application (name)) {
    cab_reply_missing (fs, req, root, name, CAB_ABSENT_S); /* it may be configured one day */
    return;
  }
  if (listed || !fs->options->discover) {
    reply_application (fs, req, root, name);
    return;
  }
  /* It may be a product of another family than the one that unknown names are taken for. */
  CabReach reach = cab_fs_reach (fs, req);
  cab_products_ask (fs->products, reach, on_products, cab_call_new (req, "lookup", root, name));
}

/* A failure that its application lists, or that was reached before.  @wait: that list is not to be believed before it was
 * asked for again. */
static gboolean is_known_failure (CabFs *fs, CabNode *application, const char *name, CabReach reach,
                                  gboolean *wait) {
  CabScope scope = cab_node_scope (application);
  CabListing listing;
  *wait = FALSE;
  if (cab_cache_peek_list (fs->cache, &scope, reach, &listing) ||
      cab_cache_peek_list (fs->cache, &scope, CAB_REACH_LOCAL, &listing)) {
    g_autoptr (CabRecords) records = listing.records;
    *wait = listing.expired && reach == CAB_REACH_NETWORK;
    if (!*wait && cab_records_find (records, name, strlen (name), NULL))
      return TRUE;
  }
  g_auto (GStrv) reached = cab_reached_list (fs->reached, application->name);
  return g_strv_contains ((const char *const *) reached, name);
}

/* It has no CABs.  The services may count it all the same, in a list that nobody has asked for yet. */
static void on_hits (gpointer data, const CabListing *listing, const GError *error) {
  CabCall *call = data;
  gboolean refused = g_error_matches (error, CAB_ERROR, CAB_ERROR_NOT_FOUND) ||
                     g_error_matches (error, CAB_ERROR, CAB_ERROR_DENIED);
  if (error != NULL && !refused) {
    cab_call_fail (call, error);
    return;
  }
  gboolean exists = error == NULL && cab_records_find (listing->records, call->name, strlen (call->name), NULL);
  fuse_req_t req = cab_call_take (call);
  CabNodeSeed seed = {.kind = CAB_NODE_FAILURE, .name = call->name};
  if (!exists && call->reach == CAB_REACH_NETWORK)
    cab_missing_add (call->fs->missing, call->clears, call->node->name, call->name, g_get_monotonic_time ());
  if (req != NULL && exists)
    cab_reply_node (call->fs, req, call->node, &seed);
  else if (req != NULL)
    cab_reply_missing (call->fs, req, call->node, call->name, CAB_ABSENT_S);
  cab_call_free (call);
}

/* No list has it: it exists if the service has CABs for it. */
static void on_failure_list (gpointer data, const CabListing *listing, const GError *error) {
  CabCall *call = data;
  CabFs *fs = call->fs;
  if (error != NULL && !g_error_matches (error, CAB_ERROR, CAB_ERROR_NOT_FOUND)) {
    cab_call_fail (call, error);
    return;
  }
  if (error != NULL || cab_records_count (listing->records) == 0) {
    CabScope scope = cab_node_scope (call->node);
    cab_cache_list (fs->cache, &scope, call->reach, on_hits, call);
    return;
  }
  cab_reached_add (fs->reached, call->node->name, call->name);
  fuse_req_t req = cab_call_take (call);
  CabNodeSeed seed = {.kind = CAB_NODE_FAILURE, .name = call->name};
  if (req != NULL)
    cab_reply_node (fs, req, call->node, &seed);
  cab_call_free (call);
}

static void on_expired_hits (gpointer data, const CabListing *listing, const GError *error);

static void lookup_failure (CabFs *fs, fuse_req_t req, CabNode *application, const char *name) {
  CabReach reach = cab_fs_reach (fs, req);
  guint clears = cab_missing_clears (fs->missing);
  gboolean wait;
  if (is_known_failure (fs, application, name, reach, &wait)) {
    CabNodeSeed seed = {.kind = CAB_NODE_FAILURE, .name = name};
    cab_reply_node (fs, req, application, &seed);
    return;
  }
  if (wait) {
    CabScope scope = cab_node_scope (application);
    cab_cache_list (fs->cache, &scope, reach, on_expired_hits, cab_call_new (req, "lookup", application, name));
    return;
  }
  if (!cab_name_is_failure (name)) {
    cab_reply_missing (fs, req, application, name, CAB_ABSENT_S);
    return;
  }
  if (cab_missing_has (fs->missing, application->name, name, g_get_monotonic_time ())) {
    cab_reply_missing (fs, req, application, name, CAB_ABSENT_S);
    return;
  }
  CabCall *call = cab_call_new (req, "lookup", application, name);
  call->reach = reach;
  call->clears = clears;
  CabScope scope = cab_node_scope (application);
  scope.failure = call->name;
  cab_cache_list (fs->cache, &scope, reach, on_failure_list, call);
}

/* There is one again, or the old one is all there is: in either case it can be looked at now. */
static void on_expired_hits (gpointer data, const CabListing *listing, const GError *error) {
  CabCall *call = data;
  fuse_req_t req = cab_call_take (call);
  if (req != NULL)
    lookup_failure (call->fs, req, call->node, call->name);
  cab_call_free (call);
}

/* What @name would be in the directory of a failure: FALSE if nothing at all. */
static gboolean is_cab_name (const CabFs *fs, const char *name, CabNodeKind *kind, gsize *id_len) {
  *kind = cab_name_to_open (name, id_len) ? CAB_NODE_OPEN : CAB_NODE_CAB;
  return *kind == CAB_NODE_OPEN ? fs->options->members != CAB_MEMBERS_OFF : cab_name_to_cab (name, id_len);
}

static void reply_cab (CabFs *fs, fuse_req_t req, CabNode *failure, const char *name, CabRecords *records) {
  CabNodeKind kind;
  gsize id_len;
  guint index;
  CabRecord record = {0};
  gboolean found = is_cab_name (fs, name, &kind, &id_len) && cab_records_find (records, name, id_len, &index);
  if (found)
    cab_records_get (records, index, &record);
  if (!found || (!record.downloadable && fs->options->hide_undownloadable)) {
    cab_reply_missing (fs, req, failure, name, CAB_ABSENT_S);
    return;
  }
  CabNodeSeed seed = cab_dir_cab_seed (kind, name, &record);
  cab_reply_node (fs, req, failure, &seed);
}

static void on_cab_list (gpointer data, const CabListing *listing, const GError *error) {
  CabCall *call = data;
  if (error != NULL) {
    cab_call_fail (call, error);
    return;
  }
  fuse_req_t req = cab_call_take (call);
  if (req != NULL)
    reply_cab (call->fs, req, call->node, call->name, listing->records);
  cab_call_free (call);
}

static void lookup_cab (CabFs *fs, fuse_req_t req, CabNode *failure, const char *name) {
  CabNodeKind kind;
  gsize id_len;
  if (!is_cab_name (fs, name, &kind, &id_len)) {
    cab_reply_missing (fs, req, failure, name, CAB_NEVER_S);
    return;
  }
  CabScope scope = cab_node_scope (failure);
  CabReach reach = cab_fs_reach (fs, req);
  CabListing listing;
  if (cab_cache_peek_list (fs->cache, &scope, reach, &listing)) {
    g_autoptr (CabRecords) records = listing.records;
    reply_cab (fs, req, failure, name, records);
    return;
  }
  cab_cache_list (fs->cache, &scope, reach, on_cab_list, cab_call_new (req, "lookup", failure, name));
}

void cab_op_lookup (fuse_req_t req, fuse_ino_t parent, const char *name) {
  CabFs *fs = fuse_req_userdata (req);
  g_autoptr (CabNode) node = cab_tree_get (fs->tree, parent);
  if (strcmp (name, ".") == 0 || strcmp (name, "..") == 0)
    cab_handle_lookup (fs, req, parent, name[1] == '.');
  else if (node == NULL)
    fuse_reply_err (req, ESTALE);
  else if (node->kind == CAB_NODE_ROOT && cab_state_is_name (name))
    cab_state_reply_directory (fs, req, node);
  else if (node->kind == CAB_NODE_ROOT)
    lookup_application (fs, req, node, name);
  else if (node->kind == CAB_NODE_STATE)
    cab_state_lookup (fs, req, node, name);
  else if (node->kind == CAB_NODE_APPLICATION)
    lookup_failure (fs, req, node, name);
  else if (node->kind == CAB_NODE_FAILURE)
    lookup_cab (fs, req, node, name);
  else if (node->kind == CAB_NODE_OPEN || node->kind == CAB_NODE_FOLDER)
    cab_member_lookup (fs, req, node, name);
  else
    fuse_reply_err (req, ENOTDIR);
}

/* --- getattr ------------------------------------------------------------------------------------------------ */

static void reply_attr (CabFs *fs, fuse_req_t req, CabNode *node) {
  struct stat st;
  cab_attr_fill (fs, node, req, &st);
  fuse_reply_attr (req, &st, cab_attr_timeout (fs, node));
}

static void show_size (CabCall *call, guint64 size, const GError *error) {
  /* What may not be had has no size to show; its open will say why.  Nobody can copy it wrongly.  Who may not ask is
   * refused: to others it has a size. */
  gboolean shown = call->reach == CAB_REACH_NETWORK && g_error_matches (error, CAB_ERROR, CAB_ERROR_DENIED);
  if (error != NULL && !shown) {
    cab_call_fail (call, error);
    return;
  }
  if (error == NULL) {
    atomic_store (&call->node->size, size);
    cab_fs_settle (call->fs, call->operation, call->node, NULL);
  }
  fuse_req_t req = cab_call_take (call);
  if (req != NULL)
    reply_attr (call->fs, req, call->node);
  cab_call_free (call);
}

static void on_size (gpointer data, guint64 size, const GError *error) {
  show_size (data, size, error);
}

/* The whole member had to be taken out to know it. */
static void on_member_size (gpointer data, CabContent *content, const GError *error) {
  const CabCall *call = data;
  if (content != NULL)
    cab_fs_charge (call->fs, call->program, cab_content_take_brought (content));
  show_size (data, content != NULL ? cab_content_size (content) : 0, error);
  cab_content_unref (content);
}

static void get_attributes (CabFs *fs, fuse_req_t req, CabNode *node) {
  if (cab_attr_know_size (fs, node, CAB_LOOK_WALK) || !node->downloadable || fs->options->sizes_lazy) {
    reply_attr (fs, req, node);
    return;
  }
  gboolean member = node->kind == CAB_NODE_MEMBER;
  CabPayer payer = {0};
  CabReach reach = member ? cab_fs_reach_bytes (fs, req, node, &payer) : cab_fs_reach (fs, req);
  CabCall *call = cab_call_new (req, "stat", node, NULL); /* from here on the request may be answered */
  call->reach = reach;
  if (member) {
    cab_call_set_payer (call, &payer);
    cab_member_open (fs, node, reach, on_member_size, call);
    return;
  }
  char id[CAB_NAME_SIZE];
  CabRecord record = cab_node_record (node, id);
  CabScope scope = cab_node_scope (node);
  cab_cache_size (fs->cache, &scope, &record, reach, on_size, call);
}

/* Whoever has it open goes on with it, listed or not. */
static gboolean is_open (CabFs *fs, const CabNode *node) {
  CAB_LOCK_SCOPE (&fs->lock);
  return node->opens.count > 0 || node->cached_dirs > 0;
}

/* FALSE if its CAB is not listed any more. */
static gboolean is_still_there (CabNode *node, const CabRecords *records) {
  char id[CAB_NAME_SIZE];
  guint index;
  cab_node_record (node, id);
  if (!cab_records_find (records, id, strlen (id), &index))
    return FALSE;
  CabRecord record;
  cab_records_get (records, index, &record);
  atomic_store (&node->date, record.date);
  atomic_store (&node->expires, record.expires);
  atomic_store (&node->downloadable, record.downloadable);
  return TRUE;
}

/* With ESTALE the kernel looks the name up once more, and finds that it is gone. */
static void get_attributes_if_there (CabFs *fs, fuse_req_t req, CabNode *node, const CabRecords *records) {
  if (is_still_there (node, records))
    get_attributes (fs, req, node);
  else
    fuse_reply_err (req, ESTALE);
}

static void on_expired_cabs (gpointer data, const CabListing *listing, const GError *error) {
  CabCall *call = data;
  fuse_req_t req = cab_call_take (call);
  if (req != NULL && error == NULL)
    get_attributes_if_there (call->fs, req, call->node, listing->records);
  else if (req != NULL)
    cab_reply_error (req, call->operation, call->node, NULL, error);
  cab_call_free (call);
}

void cab_op_getattr (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info) {
  CabFs *fs = fuse_req_userdata (req);
  g_autoptr (CabNode) node = cab_tree_get (fs->tree, ino);
  if (node == NULL) {
    fuse_reply_err (req, ESTALE);
    return;
  }
  gboolean listed = (node->kind == CAB_NODE_CAB || node->kind == CAB_NODE_OPEN) && !is_open (fs, node);
  CabListing listing;
  CabScope scope = listed ? cab_node_scope (node) : (CabScope){0};
  if (!listed || !cab_cache_peek_list (fs->cache, &scope, CAB_REACH_LOCAL, &listing)) {
    get_attributes (fs, req, node);
    return;
  }
  g_autoptr (CabRecords) records = listing.records;
  CabReach reach = listing.expired ? cab_fs_reach (fs, req) : CAB_REACH_LOCAL;
  if (reach == CAB_REACH_NETWORK)
    cab_cache_list (fs->cache, &scope, reach, on_expired_cabs, cab_call_new (req, "stat", node, NULL));
  else
    get_attributes_if_there (fs, req, node, records);
}
