/* ops-dir.c - opening and reading directories.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <string.h>

#include "client/error.h"
#include "fs/ops-private.h"

static CabDir *dir_of (const struct fuse_file_info *info) {
  return (CabDir *) (gsize) info->fh;
}

static void close_dir (CabFs *fs, CabDir *dir) {
  {
    CAB_LOCK_SCOPE (&fs->lock);
    g_hash_table_steal (fs->open_dirs, dir);
    if (cab_dir_is_cached (dir))
      cab_dir_node (dir)->cached_dirs--;
  }
  cab_dir_free (dir);
}

/* --- opendir ------------------------------------------------------------------------------------------------ */

/* The kernel keeps the entries of a directory once for all who have it open, and goes on in them by their offsets: all
 * who use them at a time must see the same @version.  The first open of another version has it drop what it keeps, which
 * it does only after our answer: until note_dropped() all others are given theirs past it, lest one who is faster than
 * the first reads old ones.  TRUE if what it keeps is of that version. */
static gboolean share_entries_locked (struct fuse_file_info *info, CabDir *dir, guint64 version) {
  CabNode *node = cab_dir_node (dir);
  guint64 before = atomic_load (&node->version);
  gboolean same = before == version;
  info->cache_readdir = node->cached_dirs == 0 || (same && node->clean);
  if (info->cache_readdir) {
    if (!same)
      node->clean = before == 0; /* it keeps none but what it is given from now on */
    atomic_store (&node->version, version);
    node->cached_dirs++;
  }
  info->keep_cache = !info->cache_readdir || node->clean;
  cab_dir_set_cached (dir, info->cache_readdir);
  return same;
}

/* Who reads @dir has it open.  Before the kernel has dropped what it kept only the one for whom it does so reads through
 * that: if @dir is read so, it is done. */
static void note_dropped (CabFs *fs, CabDir *dir) {
  if (!cab_dir_is_cached (dir))
    return;
  CAB_LOCK_SCOPE (&fs->lock);
  cab_dir_node (dir)->clean = TRUE;
}

void cab_reply_dir (CabFs *fs, fuse_req_t req, struct fuse_file_info *info, CabDir *dir, guint64 version) {
  gboolean same;
  {
    CAB_LOCK_SCOPE (&fs->lock);
    same = share_entries_locked (info, dir, version);
    g_hash_table_add (fs->open_dirs, dir);
  }
  info->fh = (guint64) (gsize) dir;
  cab_fs_settle (fs, "list", cab_dir_node (dir), NULL);
  if (!same)
    cab_notify_attributes (fs->notify, cab_dir_node (dir)->ino); /* its date is that of the newest entry */
  if (fuse_reply_open (req, info) != 0)
    close_dir (fs, dir);
}

/* A part of each version: other options show the same list in another way. */
static guint64 options_version (const CabFs *fs) {
  return (guint64) fs->changes << 48;
}

static guint64 root_version (const CabFs *fs) {
  guint64 products = cab_products_version (fs->products) << 32;
  return options_version (fs) + products + cab_reached_version (fs->reached) + 1;
}

/* What is configured, what the services enumerate, if that is wanted, and what was reached by name. */
static char **root_names (CabFs *fs) {
  char **names = cab_dir_merge (g_strdupv (fs->configured), cab_reached_list (fs->reached, NULL));
  return fs->options->discover ? cab_dir_merge (names, cab_products_list (fs->products)) : names;
}

/* Why nothing to show is no empty directory; NULL if it is one. */
static GError *no_products (const CabCall *call) {
  if (call->reach == CAB_REACH_LOCAL)
    return g_error_new (CAB_ERROR, CAB_ERROR_DENIED, "not known without asking the services");
  return cab_products_failure (call->fs->products);
}

/* A list that failed is asked for again by who comes next; one that was not asked for has not. */
static void on_products (gpointer data) {
  CabCall *call = data;
  CabFs *fs = call->fs;
  guint64 version = root_version (fs);
  g_auto (GStrv) names = root_names (fs);
  g_autoptr (GError) error = names[0] == NULL ? no_products (call) : NULL;
  if (error != NULL) {
    if (call->reach == CAB_REACH_NETWORK)
      cab_products_retry (fs->products);
    cab_call_fail (call, error);
    return;
  }
  fuse_req_t req = cab_call_take (call);
  if (req != NULL)
    cab_reply_dir (fs, req, &call->info, cab_dir_new_names (call->node, g_steal_pointer (&names)), version);
  cab_call_free (call);
}

static void open_root (CabFs *fs, fuse_req_t req, struct fuse_file_info *info, CabNode *root) {
  if (!fs->options->discover) {
    guint64 version = root_version (fs);
    cab_reply_dir (fs, req, info, cab_dir_new_names (root, root_names (fs)), version);
    return;
  }
  CabReach reach = cab_fs_reach (fs, req);
  CabCall *call = cab_call_new (req, "list", root, NULL);
  call->info = *info;
  call->reach = reach;
  cab_products_ask (fs->products, reach, on_products, call);
}

/* What the service lists and what was reached by name. */
static CabDir *open_application (CabFs *fs, CabNode *node, CabRecords *records) {
  char **listed = records != NULL ? cab_dir_ids (records) : g_new0 (char *, 1);
  return cab_dir_new_names (node, cab_dir_merge (listed, cab_reached_list (fs->reached, node->name)));
}

static CabDir *open_failure (CabFs *fs, CabNode *node, CabRecords *records) {
  const CabFsOptions *options = fs->options;
  return cab_dir_new_cabs (node, records, options->hide_undownloadable,
                           options->members == CAB_MEMBERS_VISIBLE);
}

/* One that nobody configured was reached by its name if the services know of failures. */
static void note_application (CabFs *fs, const CabNode *node, CabRecords *records) {
  if (cab_records_count (records) > 0 && !cab_fs_is_listed (fs, node->name))
    cab_reached_add (fs->reached, node->name, NULL);
}

/* TRUE if the services say that they list no failures of an application, to us at least: then those that were reached
 * are all there is to show.  Where they only cannot be asked, a part must not pass for the whole. */
static gboolean lists_none (const CabNode *node, const GError *error) {
  return node->kind == CAB_NODE_APPLICATION && (g_error_matches (error, CAB_ERROR, CAB_ERROR_NOT_FOUND) ||
                                                g_error_matches (error, CAB_ERROR, CAB_ERROR_DENIED));
}

/* @listing: NULL if there is none. */
static guint64 list_version (const CabFs *fs, const CabNode *node, const CabListing *listing) {
  guint64 version = options_version (fs) + (listing != NULL ? listing->version << 16 : 0);
  return node->kind == CAB_NODE_APPLICATION ? version + cab_reached_version (fs->reached) + 1 : version;
}

static void on_list (gpointer data, const CabListing *listing, const GError *error) {
  CabCall *call = data;
  CabFs *fs = call->fs;
  CabDir *dir = NULL;
  if (call->node->kind == CAB_NODE_APPLICATION && error == NULL)
    note_application (fs, call->node, listing->records);
  guint64 version = list_version (fs, call->node, error == NULL ? listing : NULL);
  if (error == NULL && call->node->kind == CAB_NODE_FAILURE)
    dir = open_failure (fs, call->node, listing->records);
  else if (error == NULL || lists_none (call->node, error))
    dir = open_application (fs, call->node, error == NULL ? listing->records : NULL);
  if (error != NULL && (dir == NULL || cab_dir_count (dir) == 0)) {
    cab_dir_free (dir);
    cab_call_fail (call, error);
    return;
  }
  fuse_req_t req = cab_call_take (call);
  if (req != NULL)
    cab_reply_dir (fs, req, &call->info, dir, version);
  else
    cab_dir_free (dir);
  cab_call_free (call);
}

void cab_op_opendir (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info) {
  CabFs *fs = fuse_req_userdata (req);
  g_autoptr (CabNode) node = cab_tree_get (fs->tree, ino);
  if (node == NULL || node->kind == CAB_NODE_CAB || node->kind >= CAB_NODE_MEMBER) {
    fuse_reply_err (req, node == NULL ? ESTALE : ENOTDIR);
    return;
  }
  if (node->kind == CAB_NODE_ROOT) {
    open_root (fs, req, info, node);
    return;
  }
  if (node->kind == CAB_NODE_STATE) {
    cab_state_opendir (fs, req, node, info);
    return;
  }
  if (node->kind != CAB_NODE_APPLICATION && node->kind != CAB_NODE_FAILURE) {
    cab_member_opendir (fs, req, node, info);
    return;
  }
  CabScope scope = cab_node_scope (node);
  CabReach reach = cab_fs_reach (fs, req);
  CabCall *call = cab_call_new (req, "list", node, NULL);
  call->info = *info;
  cab_cache_list (fs->cache, &scope, reach, on_list, call);
}

void cab_op_releasedir (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info) {
  close_dir (fuse_req_userdata (req), dir_of (info));
  fuse_reply_err (req, 0);
}

/* --- readdir ------------------------------------------------------------------------------------------------ */

/* Offsets: 0 is before ".", 1 before "..", i + 2 before entry i. */
#define FIRST_ENTRY 2

typedef struct {
  CabFs *fs;
  fuse_req_t req;
  CabDir *dir;
  char *bytes; /* the reply */
  size_t size;
  size_t used;
  gboolean plus;
} Fill;

/* What the kernel is told of an entry.  One whose attributes are known gets a node, returned as a reference; the
 * others stay without, and are looked up if somebody asks for them. */
static CabNode *describe (Fill *fill, const CabNodeSeed *seed, struct fuse_entry_param *entry) {
  CabNode *parent = cab_dir_node (fill->dir);
  CabNodeSeed full = *seed;
  *entry = (struct fuse_entry_param){0};
  if (!fill->plus) {
    cab_attr_fill_seed (fill->fs, parent, seed, &entry->attr);
    return NULL;
  }
  if (seed->kind == CAB_NODE_APPLICATION)
    full.family = cab_fs_family_of (fill->fs, seed->name);
  CabNode *node = cab_tree_child (fill->fs->tree, parent, &full);
  if (node->downloadable && !cab_attr_know_size (fill->fs, node, CAB_LOOK_ASIDE)) {
    cab_node_unref (node);
    cab_attr_fill_seed (fill->fs, parent, seed, &entry->attr);
    return NULL;
  }
  cab_attr_fill (fill->fs, node, fill->req, &entry->attr);
  entry->ino = node->ino;
  entry->generation = 1;
  entry->entry_timeout = fill->fs->ttl;
  entry->attr_timeout = cab_attr_timeout (fill->fs, node);
  return node;
}

/* FALSE if the reply is full. */
static gboolean add (Fill *fill, const char *name, const struct fuse_entry_param *entry, off_t next) {
  size_t room = fill->size - fill->used;
  size_t need = fill->plus
                    ? fuse_add_direntry_plus (fill->req, fill->bytes + fill->used, room, name, entry, next)
                    : fuse_add_direntry (fill->req, fill->bytes + fill->used, room, name, &entry->attr, next);
  if (need > room)
    return FALSE;
  fill->used += need;
  return TRUE;
}

static gboolean add_dots (Fill *fill, off_t off) {
  CabNode *node = cab_dir_node (fill->dir);
  struct fuse_entry_param entry = {.attr = {.st_ino = node->ino, .st_mode = S_IFDIR}};
  if (off == 0 && !add (fill, ".", &entry, 1))
    return FALSE;
  entry.attr.st_ino = node->parent != NULL ? node->parent->ino : node->ino;
  return off > 1 || add (fill, "..", &entry, FIRST_ENTRY);
}

static gboolean add_entry (Fill *fill, guint index) {
  char name[CAB_NAME_SIZE];
  CabNodeSeed seed;
  struct fuse_entry_param entry;
  cab_dir_entry (fill->dir, index, name, &seed);
  g_autoptr (CabNode) node = describe (fill, &seed, &entry);
  if (!add (fill, seed.name, &entry, (off_t) index + FIRST_ENTRY + 1))
    return FALSE;
  if (node != NULL)
    cab_tree_remember (node);
  return TRUE;
}

static void read_dir (fuse_req_t req, size_t size, off_t off, const struct fuse_file_info *info,
                      gboolean plus) {
  g_autofree char *bytes = g_malloc (size);
  Fill fill = {.fs = fuse_req_userdata (req),
               .req = req,
               .dir = dir_of (info),
               .bytes = bytes,
               .size = size,
               .plus = plus};
  guint count = cab_dir_count (fill.dir);
  note_dropped (fill.fs, fill.dir);
  if (off < 0 || !add_dots (&fill, off)) {
    fuse_reply_err (req, EINVAL);
    return;
  }
  for (guint64 i = off > FIRST_ENTRY ? (guint64) off - FIRST_ENTRY : 0; i < count; i++)
    if (!add_entry (&fill, (guint) i))
      break;
  fuse_reply_buf (req, bytes, fill.used);
}

void cab_op_readdir (fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *info) {
  read_dir (req, size, off, info, FALSE);
}

void cab_op_readdirplus (fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *info) {
  read_dir (req, size, off, info, TRUE);
}
