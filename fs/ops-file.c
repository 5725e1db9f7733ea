/* ops-file.c - opening and reading CABs, members and stack traces.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <fcntl.h>

#include "client/error.h"
#include "client/metrics.h"
#include "fs/kernel.h"
#include "fs/ops-private.h"
#include "fs/passthrough.h"

static CabFile *file_of (const struct fuse_file_info *info) {
  return (CabFile *) (gsize) info->fh;
}

void cab_file_free (gpointer data) {
  CabFile *file = data;
  cab_content_unref (file->content);
  g_clear_pointer (&file->text, g_bytes_unref);
  cab_node_unref (file->node);
  g_free (file->program);
  g_free (file);
}

static void pay (CabFs *fs, const CabFile *file) {
  if (file->program != NULL && file->content != NULL)
    cab_fs_charge (fs, file->program, cab_content_take_brought (file->content));
}

static void close_file (CabFs *fs, CabFile *file) {
  pay (fs, file);
  {
    CAB_LOCK_SCOPE (&fs->lock);
    g_hash_table_steal (fs->open_files, file);
  }
  if (file->content != NULL)
    cab_passthrough_leave (fs, file);
  /* How much of it is here has changed. */
  cab_notify_attributes (fs->notify, file->node->ino);
  cab_file_free (file);
}

/* --- open --------------------------------------------------------------------------------------------------- */

/* TRUE if the kernel has another size.  It would cut the file there, or show zeros behind its end, however fresh its
 * pages are; an ESTALE makes it look the name up once more, and open again.  So does each that is opened until then: the
 * first that is refused here tells the kernel nothing for the others. */
static gboolean is_resized (CabFs *fs, fuse_req_t req, const CabFile *file) {
  guint64 size = cab_content_size (file->content);
  atomic_store (&file->node->size, size);
  return !cab_told_has (fs->told, file->node, size, fuse_req_ctx (req)->pid);
}

static void reply_file (CabFs *fs, fuse_req_t req, struct fuse_file_info *info, CabFile *file) {
  CabNode *node = file->node;
  guint64 before;
  if (is_resized (fs, req, file) || !cab_passthrough_enter (fs, file, &before)) {
    cab_file_free (file);
    fuse_reply_err (req, ESTALE);
    return;
  }
  {
    CAB_LOCK_SCOPE (&fs->lock);
    g_hash_table_add (fs->open_files, file);
  }
  info->fh = (guint64) (gsize) file;
  /* Pages the kernel holds are good as long as the blob is the same one. */
  info->keep_cache = !atomic_load (&file->clears);
  info->noflush = 1; /* nothing is ever written */
  if (before != 0 && before != cab_content_version (file->content))
    cab_notify_attributes (fs->notify, node->ino);
  if (cab_kernel_reply_open (req, info, file->backing) != 0)
    close_file (fs, file);
}

/* A text is read past the kernel's pages, which are those of the inode: who has an older one open goes on with that. */
static void hand_over_text (CabFs *fs, fuse_req_t req, struct fuse_file_info *info, CabFile *file) {
  {
    CAB_LOCK_SCOPE (&fs->lock);
    g_hash_table_add (fs->open_files, file);
  }
  info->fh = (guint64) (gsize) file;
  info->direct_io = 1;
  info->noflush = 1;
  if (fuse_reply_open (req, info) != 0)
    close_file (fs, file);
}

static void reply_text (CabFs *fs, fuse_req_t req, struct fuse_file_info *info, CabFile *file) {
  guint64 size = g_bytes_get_size (file->text);
  if (atomic_exchange (&file->node->size, size) != size)
    cab_notify_attributes (fs->notify, file->node->ino);
  hand_over_text (fs, req, info, file);
}

static void open_state (CabFs *fs, fuse_req_t req, struct fuse_file_info *info, CabNode *node) {
  CabFile *file = g_new0 (CabFile, 1);
  file->node = cab_node_ref (node);
  file->text = cab_state_text (fs, node);
  hand_over_text (fs, req, info, file);
}

/* Answers with what @opened has besides its node. */
static void reply_opened (CabCall *call, const CabFile *opened) {
  fuse_req_t req = cab_call_take (call);
  CabFile *file = g_memdup2 (opened, sizeof *opened);
  file->node = cab_node_ref (call->node);
  file->program = g_steal_pointer (&call->program);
  cab_fs_settle (call->fs, call->operation, call->node, NULL);
  if (req == NULL)
    cab_file_free (file);
  else if (file->text != NULL)
    reply_text (call->fs, req, &call->info, file);
  else
    reply_file (call->fs, req, &call->info, file);
  cab_call_free (call);
}

static void on_open (gpointer data, CabContent *content, const GError *error) {
  if (error != NULL)
    cab_call_fail (data, error);
  else
    reply_opened (data, &(CabFile){.content = content});
}

static void on_text (gpointer data, GBytes *text, const GError *error) {
  if (error != NULL)
    cab_call_fail (data, error);
  else
    reply_opened (data, &(CabFile){.text = g_bytes_ref (text)});
}

/* Answers by the kind of what is opened. */
static void open_node (CabFs *fs, CabNode *node, CabReach reach, CabCall *call) {
  if (node->kind == CAB_NODE_MEMBER) {
    cab_member_open (fs, node, reach, on_open, call);
    return;
  }
  char id[CAB_NAME_SIZE];
  CabRecord record = cab_node_record (node, id);
  CabScope scope = cab_node_scope (node);
  if (node->kind == CAB_NODE_TRACE)
    cab_cache_stacktrace (fs->cache, &scope, id, reach, on_text, call);
  else
    cab_cache_open (fs->cache, &scope, &record, reach, on_open, call);
}

void cab_op_open (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info) {
  CabFs *fs = fuse_req_userdata (req);
  g_autoptr (CabNode) node = cab_tree_get (fs->tree, ino);
  if (node == NULL || (node->kind != CAB_NODE_CAB && node->kind < CAB_NODE_MEMBER)) {
    fuse_reply_err (req, node == NULL ? ESTALE : EISDIR);
    return;
  }
  if ((info->flags & O_ACCMODE) != O_RDONLY) {
    fuse_reply_err (req, EROFS);
    return;
  }
  if (node->kind == CAB_NODE_STATE_FILE) {
    open_state (fs, req, info, node);
    return;
  }
  CabPayer payer;
  CabReach reach = cab_fs_reach_bytes (fs, req, node, &payer);
  CabCall *call = cab_call_new (req, "open", node, NULL);
  cab_call_set_payer (call, &payer);
  call->info = *info;
  open_node (fs, node, reach, call);
}

void cab_op_release (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info) {
  close_file (fuse_req_userdata (req), file_of (info));
  fuse_reply_err (req, 0);
}

/* --- read --------------------------------------------------------------------------------------------------- */

static void reply_bytes (fuse_req_t req, const void *bytes, gsize len) {
  cab_metric_add (CAB_METRIC_BYTES_SERVED, len);
  fuse_reply_buf (req, bytes, len);
}

static void on_read (gpointer data, const void *bytes, gsize len, const GError *error) {
  CabCall *call = data;
  if (error != NULL) {
    if (g_error_matches (error, CAB_ERROR, CAB_ERROR_CHANGED))
      cab_notify_attributes (call->fs->notify, call->node->ino); /* the size may be another one now */
    cab_call_fail (call, error);
    return;
  }
  cab_fs_settle (call->fs, call->operation, call->node, NULL);
  fuse_req_t req = cab_call_take (call);
  if (req != NULL)
    reply_bytes (req, bytes, len);
  cab_call_free (call);
}

static void read_text (fuse_req_t req, GBytes *file_text, gsize size, guint64 off) {
  /* Once the kernel has the answer the file may be closed, before the call has returned. */
  g_autoptr (GBytes) text = g_bytes_ref (file_text);
  gsize len;
  const char *bytes = g_bytes_get_data (text, &len);
  gsize from = (gsize) MIN (off, len);
  fuse_reply_buf (req, bytes + from, MIN (size, len - from));
}

/* The kernel has dropped the pages it held when @file was opened: the program has its descriptor only after that.  Until
 * then all who open the CAB have them dropped, lest one who is faster than the first reads old ones. */
static void note_cleared (CabFs *fs, CabFile *file) {
  if (!atomic_load (&file->clears))
    return;
  atomic_store (&file->clears, FALSE);
  guint64 version = cab_content_version (file->content);
  CAB_LOCK_SCOPE (&fs->lock);
  if (atomic_load (&file->node->version) == version)
    file->node->clean = version;
}

void cab_op_read (fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *info) {
  CabFile *file = file_of (info);
  if (file->text != NULL) {
    read_text (req, file->text, size, (guint64) off);
    return;
  }
  pay (fuse_req_userdata (req), file);
  note_cleared (fuse_req_userdata (req), file);
  g_autofree char *bytes = g_malloc (size);
  gsize got;
  if (cab_content_read_now (file->content, (guint64) off, size, bytes, &got))
    reply_bytes (req, bytes, got);
  else
    cab_content_read (file->content, (guint64) off, size, on_read,
                      cab_call_new (req, "read", file->node, NULL));
}
