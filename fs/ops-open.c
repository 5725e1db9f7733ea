/* ops-open.c - opening CABs, members and stack traces.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "client/metrics.h"
#include "fs/kernel.h"
#include "fs/ops-private.h"
#include "fs/passthrough.h"

/* --- the answer --------------------------------------------------------------------------------------------- */

/* TRUE if the kernel has another size.  It would cut the file there, or show zeros behind its end, however fresh its
 * pages are; an ESTALE makes it look the name up once more, and open again.  So does each that is opened until then: the
 * first that is refused here tells the kernel nothing for the others. */
static gboolean is_resized (CabFs *fs, fuse_req_t req, const CabFile *file) {
  guint64 size = cab_content_size (file->content);
  atomic_store (&file->node->size, size);
  return !cab_told_has (fs->told, file->node, size, fuse_req_ctx (req)->pid);
}

/* An open that is answered in its turn (passthrough.h). */
typedef struct {
  CabCall *call; /* until it waits for its turn only; then the next two */
  fuse_req_t req;
  struct fuse_file_info info;
  CabFile *file;
  gsize len; /* of the first bytes, where the kernel has none of the file's pages */
  char bytes[CAB_HEAD];
} Turn;

static void take_turn (gpointer data);

static void wait_for_turn (CabFs *fs, Turn *turn) {
  turn->file->in_turn = TRUE;
  cab_notify_then (fs->notify, take_turn, turn);
}

/* Gives the kernel the first pages together with the open file. */
static void give_head (CabFs *fs, const CabNode *node, const Turn *turn) {
  if (turn->len > 0 && cab_notify_pages (fs->notify, node->ino, turn->bytes, turn->len))
    cab_metric_add (CAB_METRIC_BYTES_SERVED, turn->len);
}

/* Whoever opens it by a descriptor that stands for it (/proc/self/fd, as Samba does) gives no name that the kernel would look
 * up: the next who looks at its size, before he opens it, is told the new one. */
static void refuse (CabFs *fs, fuse_req_t req, CabFile *file) {
  cab_notify_attributes (fs->notify, file->node->ino);
  cab_file_free (file);
  fuse_reply_err (req, ESTALE);
}

/* @turn: NULL if it is not in turn.  Takes over @file. */
static void reply_file (CabFs *fs, fuse_req_t req, const struct fuse_file_info *info, CabFile *file,
                        const Turn *turn) {
  struct fuse_file_info reply = *info;
  guint64 before;
  CabEntry entry = is_resized (fs, req, file) ? CAB_ENTRY_REFUSED : cab_passthrough_enter (fs, file, &before);
  if (entry == CAB_ENTRY_REFUSED) {
    refuse (fs, req, file);
    return;
  }
  if (entry == CAB_ENTRY_LATER) {
    Turn *later = g_new0 (Turn, 1);
    later->req = req;
    later->info = *info;
    later->file = file;
    wait_for_turn (fs, later);
    return;
  }
  {
    CAB_LOCK_SCOPE (&fs->lock);
    g_hash_table_add (fs->open_files, file);
  }
  if (turn != NULL && before == 0 && file->backing == 0)
    give_head (fs, file->node, turn);
  reply.fh = (guint64) (gsize) file;
  /* Pages the kernel holds are good as long as the blob is the same one. */
  reply.keep_cache = !atomic_load (&file->clears);
  reply.noflush = 1; /* nothing is ever written */
  if (before != 0 && before != cab_content_version (file->content))
    cab_notify_attributes (fs->notify, file->node->ino);
  if (cab_kernel_reply_open (req, &reply, file->backing) != 0)
    cab_file_close (fs, file);
}

static void take_turn (gpointer data) {
  g_autofree Turn *turn = data;
  CabFs *fs = fuse_req_userdata (turn->req);
  g_autoptr (CabNode) node = cab_node_ref (turn->file->node);
  reply_file (fs, turn->req, &turn->info, turn->file, turn);
  cab_passthrough_end_turn (fs, node);
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
    cab_file_close (fs, file);
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

/* --- what was waited for ------------------------------------------------------------------------------------ */

/* What @opened has besides its node. */
static CabFile *file_new (CabCall *call, const CabFile *opened) {
  CabFile *file = g_memdup2 (opened, sizeof *opened);
  file->node = cab_node_ref (call->node);
  file->program = g_steal_pointer (&call->program);
  return file;
}

static void reply_opened (CabCall *call, const CabFile *opened) {
  fuse_req_t req = cab_call_take (call);
  CabFile *file = file_new (call, opened);
  cab_fs_settle (call->fs, call->operation, call->node, NULL);
  if (req == NULL)
    cab_file_free (file);
  else if (file->text != NULL)
    reply_text (call->fs, req, &call->info, file);
  else
    reply_file (call->fs, req, &call->info, file, NULL);
  cab_call_free (call);
}

/* That there are no first bytes is for who reads them to find out. */
static void on_head (gpointer data, const void *bytes, gsize len, const GError *error) {
  Turn *turn = data;
  CabCall *call = g_steal_pointer (&turn->call);
  CabFs *fs = call->fs;
  turn->req = cab_call_take (call);
  if (error == NULL) {
    memcpy (turn->bytes, bytes, len);
    turn->len = len;
  }
  if (turn->req != NULL) {
    cab_fs_settle (fs, call->operation, call->node, NULL);
    wait_for_turn (fs, turn);
  } else {
    cab_passthrough_end_turn (fs, call->node);
    cab_file_free (turn->file);
    g_free (turn);
  }
  cab_call_free (call);
}

/* The kernel's first read is of 16 KiB at least, whatever a program asks for: more than a new connection brings in its
 * first round trip, so that the beginning of those bytes would wait for their end, a round trip more.  What is there by
 * then is given to the kernel before the file is open. */
static void await_head (CabCall *call, CabContent *content) {
  Turn *turn = g_new0 (Turn, 1);
  turn->call = call;
  turn->info = call->info;
  turn->file = file_new (call, &(CabFile){.content = content});
  cab_content_head (content, CAB_HEAD, on_head, turn);
}

/* What is whole here is read as fast as it could be given. */
static gboolean is_coming (const CabNode *node, CabContent *content) {
  return node->kind == CAB_NODE_CAB && cab_content_size (content) > 0 && !cab_content_is_whole (content);
}

static void on_open (gpointer data, CabContent *content, const GError *error) {
  CabCall *call = data;
  if (error != NULL)
    cab_call_fail (call, error);
  else if (is_coming (call->node, content) && cab_passthrough_begin_turn (call->fs, call->node))
    await_head (call, content);
  else
    reply_opened (call, &(CabFile){.content = content});
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
