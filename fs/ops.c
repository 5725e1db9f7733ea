/* ops.c - the table, the life of the file system, and what all operations need.
 *
 * SPDX-License-Identifier: MIT
 */
#include "fs/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

#include "client/error.h"
#include "client/metrics.h"
#include "fs/errmap.h"
#include "fs/ops-private.h"
#include "fs/session.h"

/* Names and attributes change with listings, so the kernel asks again when those are; beyond an hour there is nothing
 * to be won. */
#define TTL_MAX_S 3600

/* --- life --------------------------------------------------------------------------------------------------- */

static gint compare_names (gconstpointer a, gconstpointer b) {
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

static char **configured_names (const CabFsOptions *options) {
  GPtrArray *names = g_ptr_array_new ();
  for (guint i = 0; i < options->n_applications; i++)
    g_ptr_array_add (names, g_strdup (options->applications[i].id));
  g_ptr_array_sort (names, compare_names);
  g_ptr_array_add (names, NULL);
  return (char **) g_ptr_array_free (names, FALSE);
}

CabFs *cab_fs_new (CabCache *cache, const CabFsOptions *options) {
  CabFs *self = g_new0 (CabFs, 1);
  self->cache = cache;
  self->options = options;
  self->tree = cab_tree_new ();
  self->told = cab_told_new ();
  self->reached = cab_reached_new ();
  self->products = cab_products_new (cache);
  self->park = cab_park_new ();
  self->configured = configured_names (options);
  clock_gettime (CLOCK_REALTIME, &self->started);
  self->ttl = (double) MIN (options->listing_ttl_s, TTL_MAX_S);
  pthread_mutex_init (&self->lock, NULL);
  self->open_files = g_hash_table_new_full (NULL, NULL, cab_file_free, NULL);
  self->open_dirs = g_hash_table_new_full (NULL, NULL, (GDestroyNotify) cab_dir_free, NULL);
  return self;
}

void cab_fs_attach (CabFs *self, struct fuse_session *se) {
  self->notify = cab_notify_new (se);
}

void cab_fs_free (CabFs *self) {
  if (self == NULL)
    return;
  cab_notify_free (self->notify);
  cab_park_free (self->park);
  g_hash_table_unref (self->open_files);
  g_hash_table_unref (self->open_dirs);
  cab_tree_free (self->tree);
  cab_told_free (self->told);
  cab_reached_free (self->reached);
  cab_products_free (self->products);
  g_strfreev (self->configured);
  pthread_mutex_destroy (&self->lock);
  g_free (self);
}

const char *cab_fs_family_of (CabFs *fs, const char *application) {
  for (guint i = 0; i < fs->options->n_applications; i++)
    if (strcmp (fs->options->applications[i].id, application) == 0)
      return fs->options->applications[i].family;
  const char *family = cab_products_family (fs->products, application);
  return family != NULL ? family : fs->options->default_family;
}

gboolean cab_fs_is_listed (CabFs *fs, const char *application) {
  return g_strv_contains ((const char *const *) fs->configured, application) ||
         cab_products_family (fs->products, application) != NULL;
}

/* --- requests that wait ------------------------------------------------------------------------------------- */

CabCall *cab_call_new (fuse_req_t req, const char *operation, CabNode *node, const char *name) {
  CabCall *call = g_new0 (CabCall, 1);
  call->fs = fuse_req_userdata (req);
  call->operation = operation;
  call->node = cab_node_ref (node);
  call->name = g_strdup (name);
  call->parked = cab_park_add (call->fs->park, req);
  return call;
}

fuse_req_t cab_call_take (CabCall *call) {
  return cab_park_take (g_steal_pointer (&call->parked));
}

void cab_call_free (CabCall *call) {
  g_assert (call->parked == NULL);
  cab_node_unref (call->node);
  g_free (call->name);
  g_free (call);
}

/* Of CABs that the service lists, and says that this account cannot have, only what is in the cache is looked at: but for
 * their stack traces, which are no bytes of theirs. */
static gboolean is_undownloadable (const CabNode *node) {
  const CabNode *cab = node->kind != CAB_NODE_TRACE ? cab_node_cab (node) : NULL;
  return cab != NULL && !cab->downloadable;
}

void cab_call_fail (CabCall *call, const GError *error) {
  fuse_req_t req = cab_call_take (call);
  g_autoptr (GError) reason = NULL;
  if (g_error_matches (error, CAB_ERROR, CAB_ERROR_DENIED) && is_undownloadable (call->node))
    reason =
        g_error_new (CAB_ERROR, CAB_ERROR_DENIED, "the service lists it as not downloadable for this account");
  if (req != NULL)
    cab_reply_error (req, call->operation, call->node, call->name, reason != NULL ? reason : error);
  cab_call_free (call);
}

void cab_reply_error (fuse_req_t req, const char *operation, const CabNode *node, const char *name,
                      const GError *error) {
  int number = cab_errno_from_error (error);
  g_autofree char *path = cab_node_path (node);
  const char *slash = name != NULL && node->parent != NULL ? "/" : "";
  /* That something is not there, or that the mount ends, is no failure of ours. */
  gboolean quiet = number == ENOENT || number == EINTR;
  g_log (G_LOG_DOMAIN, quiet ? G_LOG_LEVEL_INFO : G_LOG_LEVEL_WARNING, "%s %s%s%s: %s (%s)", operation, path,
         slash, name != NULL ? name : "", error->message, g_strerror (number));
  if (!quiet)
    cab_metric_add (CAB_METRIC_ERRORS, 1);
  fuse_reply_err (req, number);
}

/* --- programs that may not cause requests ------------------------------------------------------------------- */

static gboolean is_denied (const CabFs *fs, pid_t pid) {
  char path[32], comm[32];
  g_snprintf (path, sizeof path, "/proc/%d/comm", (int) pid);
  FILE *file = fopen (path, "re");
  if (file == NULL)
    return FALSE;
  gboolean read = fgets (comm, sizeof comm, file) != NULL;
  fclose (file);
  comm[read ? strcspn (comm, "\n") : 0] = '\0';
  return g_strv_contains ((const char *const *) fs->options->deny, comm);
}

CabReach cab_fs_reach (CabFs *fs, fuse_req_t req) {
  /* One program makes many requests, one after the other. */
  static _Thread_local struct {
    pid_t pid;
    gint64 until_us;
    CabReach reach;
  } last;
  pid_t pid = fuse_req_ctx (req)->pid;
  gint64 now_us = g_get_monotonic_time ();
  if (fs->options->deny[0] == NULL || pid <= 0)
    return CAB_REACH_NETWORK;
  if (last.pid != pid || now_us >= last.until_us) {
    last.pid = pid;
    last.until_us = now_us + G_USEC_PER_SEC;
    last.reach = is_denied (fs, pid) ? CAB_REACH_LOCAL : CAB_REACH_NETWORK;
  }
  return last.reach;
}

CabReach cab_fs_reach_bytes (CabFs *fs, fuse_req_t req, const CabNode *node) {
  return is_undownloadable (node) ? CAB_REACH_LOCAL : cab_fs_reach (fs, req);
}

/* --- operations without a home ------------------------------------------------------------------------------ */

static void op_init (void *userdata, struct fuse_conn_info *conn) {
  cab_session_tune (conn);
}

static void op_forget (fuse_req_t req, fuse_ino_t ino, uint64_t n) {
  CabFs *fs = fuse_req_userdata (req);
  cab_tree_forget (fs->tree, ino, n);
  fuse_reply_none (req);
}

static void op_forget_multi (fuse_req_t req, size_t count, struct fuse_forget_data *forgets) {
  CabFs *fs = fuse_req_userdata (req);
  for (size_t i = 0; i < count; i++)
    cab_tree_forget (fs->tree, forgets[i].ino, forgets[i].nlookup);
  fuse_reply_none (req);
}

/* No blocks: df and the disk monitors of desktops pass over such a file system. */
static void op_statfs (fuse_req_t req, fuse_ino_t ino) {
  const struct statvfs vfs = {.f_bsize = 4096, .f_frsize = 4096, .f_namemax = CAB_NAME_SIZE - 1};
  fuse_reply_statfs (req, &vfs);
}

static const struct fuse_lowlevel_ops operations = {
    .init = op_init,
    .lookup = cab_op_lookup,
    .forget = op_forget,
    .forget_multi = op_forget_multi,
    .getattr = cab_op_getattr,
    .opendir = cab_op_opendir,
    .readdir = cab_op_readdir,
    .readdirplus = cab_op_readdirplus,
    .releasedir = cab_op_releasedir,
    .open = cab_op_open,
    .read = cab_op_read,
    .release = cab_op_release,
    .statfs = op_statfs,
    .getxattr = cab_op_getxattr,
    .listxattr = cab_op_listxattr,
};

const struct fuse_lowlevel_ops *cab_fs_operations (void) {
  return &operations;
}
