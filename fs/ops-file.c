/* ops-file.c - reading and closing CABs, members and stack traces.
 *
 * SPDX-License-Identifier: MIT
 */
#include "client/error.h"
#include "client/metrics.h"
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

void cab_file_close (CabFs *fs, CabFile *file) {
  pay (fs, file);
  {
    CAB_LOCK_SCOPE (&fs->lock);
    g_hash_table_steal (fs->open_files, file);
  }
  if (file->content != NULL)
    cab_passthrough_leave (fs, file);
  /* How much of it is here has changed. */
  cab_notify_attributes (fs->notify, file->node->ino);
  cab_member_notify_cab (fs, file->node);
  cab_file_free (file);
}

/* --- close -------------------------------------------------------------------------------------------------- */

void cab_op_release (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info) {
  cab_file_close (fuse_req_userdata (req), file_of (info));
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
    file->node->clean = TRUE;
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
  if (cab_content_read_now (file->content, (guint64) off, size, bytes, &got)) {
    reply_bytes (req, bytes, got);
    return;
  }
  /* Once the call waits it may be answered, and the file be closed. */
  g_autoptr (CabContent) content = cab_content_ref (file->content);
  CabCall *call = cab_call_new (req, "read", file->node, NULL);
  cab_content_read (content, (guint64) off, size, on_read, call);
}
