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

static double kernel_ttl (const CabFsOptions *options) {
  return (double) MIN (options->listing_ttl_s, TTL_MAX_S);
}

CabFs *cab_fs_new (CabCache *cache, const CabFsOptions *options) {
  CabFs *self = g_new0 (CabFs, 1);
  self->cache = cache;
  atomic_init (&self->options, options);
  atomic_init (&self->configured, configured_names (options));
  atomic_init (&self->ttl, kernel_ttl (options));
  self->outdated = g_ptr_array_new_with_free_func ((GDestroyNotify) g_strfreev);
  self->tree = cab_tree_new ();
  self->told = cab_told_new ();
  self->reached = cab_reached_new ();
  self->missing = cab_missing_new ();
  self->products = cab_products_new (cache);
  self->park = cab_park_new ();
  self->errors = cab_errors_new ();
  self->budget = cab_budget_new ();
  self->handles = cab_handles_new (cache);
  clock_gettime (CLOCK_REALTIME, &self->started);
  pthread_mutex_init (&self->lock, NULL);
  pthread_cond_init (&self->idle, NULL);
  self->open_files = g_hash_table_new_full (NULL, NULL, cab_file_free, NULL);
  self->open_dirs = g_hash_table_new_full (NULL, NULL, (GDestroyNotify) cab_dir_free, NULL);
  return self;
}

void cab_fs_attach (CabFs *self, struct fuse_session *se) {
  self->notify = cab_notify_new (se);
}

void cab_fs_detach (CabFs *self) {
  {
    CAB_LOCK_SCOPE (&self->lock);
    while (self->calls > 0)
      pthread_cond_wait (&self->idle, &self->lock);
  }
  if (self->notify != NULL)
    cab_notify_stop (self->notify);
}

void cab_fs_set_waits_func (CabFs *self, void (*func) (gpointer data), gpointer data) {
  self->waits = func;
  self->waits_data = data;
}

void cab_fs_free (CabFs *self) {
  if (self == NULL)
    return;
  cab_fs_detach (self);
  cab_notify_free (self->notify);
  cab_park_free (self->park);
  g_hash_table_unref (self->open_files);
  g_hash_table_unref (self->open_dirs);
  cab_tree_free (self->tree);
  cab_told_free (self->told);
  cab_reached_free (self->reached);
  cab_missing_free (self->missing);
  cab_products_free (self->products);
  cab_errors_free (self->errors);
  cab_budget_free (self->budget);
  cab_handles_free (self->handles);
  g_strfreev (self->configured);
  g_ptr_array_unref (self->outdated);
  pthread_cond_destroy (&self->idle);
  pthread_mutex_destroy (&self->lock);
  g_free (self);
}

/* The kernel may know the names for a while yet: what they are taken for is another thing at once. */
static void set_families (CabFs *self) {
  g_autoptr (CabNode) root = cab_tree_root (self->tree);
  g_autoptr (GArray) inodes = cab_tree_known (self->tree, root);
  for (guint i = 0; i < inodes->len; i++) {
    g_autoptr (CabNode) node = cab_tree_get (self->tree, g_array_index (inodes, guint64, i));
    if (node != NULL && node->kind == CAB_NODE_APPLICATION)
      atomic_store (&node->family, cab_fs_family_of (self, node->name));
  }
}

void cab_fs_change (CabFs *self, const CabFsOptions *options) {
  atomic_store (&self->options, options);
  atomic_store (&self->ttl, kernel_ttl (options));
  char **before = atomic_exchange (&self->configured, configured_names (options));
  {
    CAB_LOCK_SCOPE (&self->lock);
    g_ptr_array_add (self->outdated, before);
  }
  atomic_fetch_add (&self->changes, 1);
  set_families (self);
  g_autoptr (CabNode) root = cab_tree_root (self->tree);
  cab_fs_refresh (self, root, NULL, NULL);
}

const char *cab_fs_family_of (CabFs *fs, const char *application) {
  const CabFsOptions *options = fs->options;
  for (guint i = 0; i < options->n_applications; i++)
    if (strcmp (options->applications[i].id, application) == 0)
      return options->applications[i].family;
  const char *family = cab_products_family (fs->products, application);
  return family != NULL ? family : options->default_family;
}

gboolean cab_fs_is_listed (CabFs *fs, const char *application) {
  return g_strv_contains ((const char *const *) fs->configured, application) ||
         cab_products_family (fs->products, application) != NULL;
}

/* --- requests that wait ------------------------------------------------------------------------------------- */

CabCall *cab_call_new (fuse_req_t req, const char *operation, CabNode *node, const char *name) {
  CabCall *call = g_new0 (CabCall, 1);
  call->fs = fuse_req_userdata (req);
  {
    CAB_LOCK_SCOPE (&call->fs->lock);
    call->fs->calls++;
  }
  call->operation = operation;
  call->node = cab_node_ref (node);
  call->name = g_strdup (name);
  call->parked = cab_park_add (call->fs->park, req);
  if (call->fs->waits != NULL)
    call->fs->waits (call->fs->waits_data);
  return call;
}

fuse_req_t cab_call_take (CabCall *call) {
  return cab_park_take (g_steal_pointer (&call->parked));
}

void cab_call_free (CabCall *call) {
  g_assert (call->parked == NULL);
  cab_node_unref (call->node);
  g_free (call->name);
  g_free (call->program);
  CabFs *fs = call->fs;
  g_free (call);
  CAB_LOCK_SCOPE (&fs->lock); /* the last thing that is done with it */
  if (--fs->calls == 0)
    pthread_cond_broadcast (&fs->idle);
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
  gboolean denied = g_error_matches (error, CAB_ERROR, CAB_ERROR_DENIED);
  if (denied && is_undownloadable (call->node))
    reason =
        g_error_new (CAB_ERROR, CAB_ERROR_DENIED, "the service lists it as not downloadable for this account");
  else if (denied && call->spent)
    reason = g_error_new (CAB_ERROR, CAB_ERROR_SPENT,
                          "%s has had downloaded what it may in a minute (key budget)", call->program);
  if (req != NULL)
    cab_reply_error (req, call->operation, call->node, call->name, reason != NULL ? reason : error);
  cab_call_free (call);
}

static char *path_in (const CabNode *node, const char *name) {
  g_autofree char *directory = cab_node_path (node);
  return g_strconcat (directory, name != NULL && node->parent != NULL ? "/" : "", name, NULL);
}

void cab_fs_settle (CabFs *fs, const char *operation, const CabNode *node, const char *name) {
  static const char *const order[] = {"list", "read", "open", "stat", "lookup", NULL};
  if (G_LIKELY (cab_errors_are_settled (fs->errors)))
    return;
  guint from = 0;
  while (strcmp (order[from], operation) != 0)
    from++;
  g_autofree char *path = path_in (node, name);
  cab_errors_settle (fs->errors, path, order + from);
}

void cab_reply_error (fuse_req_t req, const char *operation, const CabNode *node, const char *name,
                      const GError *error) {
  CabFs *fs = fuse_req_userdata (req);
  int number = cab_errno_from_error (error);
  g_autofree char *path = path_in (node, name);
  /* A program in `deny` tries all it finds: what it is told is no failure, and nobody else's affair. */
  if (number == EACCES && cab_fs_reach (fs, req) == CAB_REACH_LOCAL) {
    g_info ("%s %s: the program is one of the key deny (%s)", operation, path, g_strerror (number));
    fuse_reply_err (req, number);
    return;
  }
  /* That there is no such name, or that the mount ends, is no failure; that the host has not what is listed is one. */
  gboolean by_name = g_str_equal (operation, "lookup") || g_str_equal (operation, "list");
  gboolean quiet = number == EINTR || (number == ENOENT && by_name);
  g_log (G_LOG_DOMAIN, quiet ? G_LOG_LEVEL_INFO : G_LOG_LEVEL_WARNING, "%s %s: %s (%s)", operation, path,
         error->message, g_strerror (number));
  if (!quiet) {
    cab_metric_add (CAB_METRIC_ERRORS, 1);
    cab_errors_add (fs->errors, g_get_real_time () / G_USEC_PER_SEC, operation, path, number, error);
  }
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

/* --- programs that may cause only so much ------------------------------------------------------------------- */

void cab_fs_charge (CabFs *fs, const char *program, guint64 bytes) {
  if (program != NULL)
    cab_budget_charge (fs->budget, program, bytes, g_get_monotonic_time ());
}

static gboolean is_spent (CabFs *fs, const char *program, guint64 budget) {
  guint64 spent = cab_budget_spent (fs->budget, program, g_get_monotonic_time ());
  if (spent < budget)
    return FALSE;
  if (cab_budget_is_news (fs->budget, program))
    g_warning ("budget: %s has had %" G_GUINT64_FORMAT
               " bytes downloaded within a minute, of %" G_GUINT64_FORMAT
               " it may; until that is over it can open only CABs that are in the cache (key budget, "
               "cabfs.conf(5); this is said once)",
               program, spent, budget);
  return TRUE;
}

CabReach cab_fs_reach_bytes (CabFs *fs, fuse_req_t req, const CabNode *node, CabPayer *payer) {
  const struct fuse_ctx *who = fuse_req_ctx (req);
  guint64 budget = fs->options->budget;
  CabReach reach = is_undownloadable (node) ? CAB_REACH_LOCAL : cab_fs_reach (fs, req);
  *payer = (CabPayer){0};
  if (budget == 0 || reach == CAB_REACH_LOCAL || node->kind == CAB_NODE_TRACE)
    return reach;
  cab_program_of (who->pid, who->uid, payer->program);
  payer->spent = is_spent (fs, payer->program, budget);
  return payer->spent ? CAB_REACH_LOCAL : reach;
}

void cab_call_set_payer (CabCall *call, const CabPayer *payer) {
  call->program = payer->program[0] != '\0' ? g_strdup (payer->program) : NULL;
  call->spent = payer->spent;
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
    .ioctl = cab_op_ioctl,
    .statfs = op_statfs,
    .getxattr = cab_op_getxattr,
    .listxattr = cab_op_listxattr,
};

const struct fuse_lowlevel_ops *cab_fs_operations (void) {
  return &operations;
}
