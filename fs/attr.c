/* attr.c - what stat shows, from what is known without a request.
 *
 * SPDX-License-Identifier: MIT
 */
#include <string.h>

#include "fs/names.h"
#include "fs/ops-private.h"

CabRecord cab_node_record (const CabNode *node, char id[CAB_NAME_SIZE]) {
  const CabNode *cab = cab_node_cab (node);
  gsize id_len = 0;
  gboolean well_formed =
      cab->kind == CAB_NODE_OPEN ? cab_name_to_open (cab->name, &id_len) : cab_name_to_cab (cab->name, &id_len);
  g_assert (well_formed); /* or it would not have become a node */
  memcpy (id, cab->name, id_len);
  id[id_len] = '\0';
  return (CabRecord){.id = id, .date = cab->date, .expires = cab->expires, .downloadable = cab->downloadable};
}

static gboolean is_file (CabNodeKind kind) {
  return kind == CAB_NODE_CAB || kind >= CAB_NODE_MEMBER;
}

/* Newest date of a list that is in memory. */
static gint64 newest (CabFs *fs, const CabScope *scope) {
  CabListing listing;
  if (!cab_cache_peek_list (fs->cache, scope, CAB_REACH_LOCAL, &listing))
    return CAB_TIME_UNKNOWN;
  g_autoptr (CabRecords) records = listing.records;
  return cab_records_newest (records);
}

/* The date of the row that a failure has in the list of its application. */
static gint64 date_of_hit (CabFs *fs, CabNode *failure) {
  CabScope scope = cab_node_scope (failure->parent);
  CabListing listing;
  guint index;
  if (!cab_cache_peek_list (fs->cache, &scope, CAB_REACH_LOCAL, &listing))
    return CAB_TIME_UNKNOWN;
  g_autoptr (CabRecords) records = listing.records;
  if (!cab_records_find (records, failure->name, strlen (failure->name), &index))
    return CAB_TIME_UNKNOWN;
  CabRecord record;
  cab_records_get (records, index, &record);
  return record.date;
}

static gint64 time_of (CabFs *fs, CabNode *node) {
  if (node->kind >= CAB_NODE_CAB)
    return node->date;
  if (node->kind == CAB_NODE_ROOT)
    return CAB_TIME_UNKNOWN;
  CabScope scope = cab_node_scope (node);
  gint64 when = newest (fs, &scope);
  return when == CAB_TIME_UNKNOWN && node->kind == CAB_NODE_FAILURE ? date_of_hit (fs, node) : when;
}

static void set_times (CabFs *fs, gint64 when, gboolean file, struct stat *st) {
  /* Of a directory nothing may be known yet; of a file, a date that changed with each mount would make rsync copy. */
  struct timespec mtime = {0};
  if (when != CAB_TIME_UNKNOWN)
    mtime.tv_sec = (time_t) when;
  else if (!file)
    mtime = fs->started;
  st->st_mtim = mtime;
  st->st_atim = st->st_ctim = st->st_mtim;
}

static void fill_common (const CabFs *fs, guint64 ino, gboolean file, struct stat *st) {
  *st = (struct stat){.st_ino = ino,
                      .st_mode = (file ? S_IFREG | 0444 : S_IFDIR | 0555) & ~fs->options->umask,
                      .st_nlink = file ? 1 : 2,
                      .st_uid = fs->options->uid,
                      .st_gid = fs->options->gid,
                      .st_blksize = 4096};
}

/* Bytes of a file that are here; of a stack trace and of our state all, in memory. */
static guint64 bytes_of (CabFs *fs, CabNode *node) {
  if (node->kind >= CAB_NODE_TRACE)
    return atomic_load (&node->size);
  char id[CAB_NAME_SIZE];
  CabRecord record = cab_node_record (node, id);
  CabScope scope = cab_node_scope (node);
  return node->kind == CAB_NODE_MEMBER ? cab_cache_member_bytes (fs->cache, &scope, &record, node->member)
                                       : cab_cache_bytes (fs->cache, &scope, &record);
}

void cab_attr_fill (CabFs *fs, CabNode *node, fuse_req_t req, struct stat *st) {
  gboolean file = is_file (node->kind);
  gint64 when = node->kind == CAB_NODE_STATE_FILE ? g_get_real_time () / G_USEC_PER_SEC : time_of (fs, node);
  fill_common (fs, node->ino, file, st);
  set_times (fs, when, file, st);
  if (!file)
    return;
  guint64 size = atomic_load (&node->size);
  cab_told_say (fs->told, node, size, fuse_req_ctx (req)->pid);
  st->st_size = size == CAB_SIZE_UNKNOWN ? 0 : (off_t) size;
  st->st_blocks = (blkcnt_t) ((bytes_of (fs, node) + 511) / 512);
}

void cab_attr_fill_seed (CabFs *fs, const CabNode *parent, const CabNodeSeed *seed, struct stat *st) {
  fill_common (fs, cab_node_child_ino (parent, seed), is_file (seed->kind), st);
}

gboolean cab_attr_know_size (CabFs *fs, CabNode *node, CabLook look) {
  gboolean known = atomic_load (&node->size) != CAB_SIZE_UNKNOWN;
  if (!is_file (node->kind))
    return TRUE;
  if (node->kind >= CAB_NODE_MEMBER || (known && look == CAB_LOOK_ASIDE))
    return known;
  char id[CAB_NAME_SIZE];
  CabRecord record = cab_node_record (node, id);
  CabScope scope = cab_node_scope (node);
  guint64 size;
  if (cab_cache_peek_size (fs->cache, &scope, record.id, look, &size))
    atomic_store (&node->size, size);
  return atomic_load (&node->size) != CAB_SIZE_UNKNOWN;
}

double cab_attr_timeout (CabFs *fs, const CabNode *node) {
  /* A size of 0 that stands for "not known" must not be kept: the next look, after an open, shows the true one. */
  gboolean open_end = is_file (node->kind) && atomic_load (&node->size) == CAB_SIZE_UNKNOWN;
  return open_end || node->kind == CAB_NODE_STATE_FILE ? 0 : fs->ttl;
}
