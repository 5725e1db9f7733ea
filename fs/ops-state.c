/* ops-state.c - MOUNTPOINT/.cabfs: what the mount is doing, as files.
 *
 * The directory is found by name only, so that nobody walks into it.  Its files are made anew at each open, from
 * counters and from what a few locks give away at once: nothing waits for the network, the disk or another program.
 * As in /proc their size is 0, since it is not known before they are made, and they are read past the page cache to
 * where they end.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "client/metrics.h"
#include "fs/log.h"
#include "fs/ops-private.h"
#include "fs/snapshot.h"

static const struct {
  const char *name;
  char *(*text) (const CabSnapshot *snapshot);
} files[] = {{"metrics", cab_snapshot_metrics}, {"status.json", cab_snapshot_json}};

/* --- the moment --------------------------------------------------------------------------------------------- */

static void keep_failure (gpointer data, const CabFailure *failure) {
  g_ptr_array_add (data, cab_failure_copy (failure));
}

static void take (CabFs *fs, CabSnapshot *out) {
  *out = (CabSnapshot){.account = fs->options->account,
                       .pid = getpid (),
                       .started = fs->started.tv_sec,
                       .now = g_get_real_time () / G_USEC_PER_SEC,
                       .now_us = g_get_monotonic_time (),
                       .downloads = cab_cache_downloads (fs->cache),
                       .unpackings = cab_cache_unpackings (fs->cache),
                       .hosts = cab_cache_hosts (fs->cache),
                       .failures = g_ptr_array_new_with_free_func ((GDestroyNotify) cab_failure_free),
                       .waiting = cab_park_count (fs->park),
                       .entries = cab_tree_count (fs->tree)};
  cab_cache_state (fs->cache, &out->cache);
  cab_errors_each (fs->errors, keep_failure, out->failures);
  for (guint kind = 0; kind < CAB_REQUEST_KINDS; kind++) {
    out->failed[kind] = cab_metric_failed (kind); /* before `sent`, or there might be more of them */
    out->sent[kind] = cab_metric_sent (kind);
  }
  for (guint metric = 0; metric < CAB_METRIC_LAST; metric++)
    out->metrics[metric] = cab_metric_get (metric);
  CAB_LOCK_SCOPE (&fs->lock);
  out->open_files = g_hash_table_size (fs->open_files);
}

void cab_fs_log_state (CabFs *self) {
  g_auto (CabSnapshot) snapshot = {0};
  take (self, &snapshot);
  g_auto (GStrv) lines = cab_snapshot_lines (&snapshot);
  for (guint i = 0; lines[i] != NULL; i++) {
    g_autofree char *line = g_strconcat ("state: ", lines[i], NULL);
    cab_log_always (line);
  }
}

char *cab_fs_headline (CabFs *self) {
  g_autoptr (GArray) downloads = cab_cache_downloads (self->cache);
  g_autoptr (GArray) unpackings = cab_cache_unpackings (self->cache);
  return cab_snapshot_headline (downloads, unpackings);
}

/* --- names -------------------------------------------------------------------------------------------------- */

gboolean cab_state_is_name (const char *name) {
  return strcmp (name, CAB_STATE_NAME) == 0;
}

void cab_state_reply_directory (CabFs *fs, fuse_req_t req, CabNode *root) {
  const CabNodeSeed seed = {.kind = CAB_NODE_STATE, .name = CAB_STATE_NAME, .date = CAB_TIME_UNKNOWN};
  cab_reply_node (fs, req, root, &seed);
}

void cab_state_lookup (CabFs *fs, fuse_req_t req, CabNode *node, const char *name) {
  for (guint i = 0; i < G_N_ELEMENTS (files); i++)
    if (strcmp (files[i].name, name) == 0) {
      const CabNodeSeed seed = {.kind = CAB_NODE_STATE_FILE, .name = name, .date = CAB_TIME_UNKNOWN};
      cab_reply_node (fs, req, node, &seed);
      return;
    }
  cab_reply_missing (fs, req, node, name, CAB_NEVER_S);
}

void cab_state_opendir (CabFs *fs, fuse_req_t req, CabNode *node, struct fuse_file_info *info) {
  char **names = g_new0 (char *, G_N_ELEMENTS (files) + 1);
  for (guint i = 0; i < G_N_ELEMENTS (files); i++)
    names[i] = g_strdup (files[i].name);
  cab_reply_dir (fs, req, info, cab_dir_new_names (node, names), 1);
}

GBytes *cab_state_text (CabFs *fs, const CabNode *node) {
  g_auto (CabSnapshot) snapshot = {0};
  take (fs, &snapshot);
  for (guint i = 0; i < G_N_ELEMENTS (files); i++)
    if (strcmp (files[i].name, node->name) == 0) {
      char *text = files[i].text (&snapshot);
      return g_bytes_new_take (text, strlen (text));
    }
  return g_bytes_new (NULL, 0);
}
