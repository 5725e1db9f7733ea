/* SPDX-License-Identifier: MIT */
#include "fs/passthrough.h"

#include "fs/kernel.h"

static CabEntry entered_locked (CabFile *file, guint64 *before) {
  CabNode *node = file->node;
  guint64 version = cab_content_version (file->content);
  file->backing = node->opens.backing;
  *before = atomic_exchange (&node->version, version);
  if (*before != version)
    node->clean = *before == 0; /* it holds none but what it is given from now on */
  atomic_store (&file->clears, !node->clean);
  return CAB_ENTRY_MADE;
}

/* Joins those that are open, or waits for its turn; FALSE if neither has to be. */
static gboolean join_locked (CabFile *file, guint64 *before, CabEntry *entry) {
  CabNode *node = file->node;
  if (node->opens.queued > 0 && !file->in_turn) {
    node->opens.queued++;
    *entry = CAB_ENTRY_LATER;
    return TRUE;
  }
  if (node->opens.count == 0)
    return FALSE;
  if (node->opens.backing > 0 && atomic_load (&node->version) != cab_content_version (file->content)) {
    *entry = CAB_ENTRY_REFUSED;
    return TRUE;
  }
  node->opens.count++;
  *entry = entered_locked (file, before);
  return TRUE;
}

static gboolean join (CabFs *fs, CabFile *file, guint64 *before, CabEntry *entry) {
  CAB_LOCK_SCOPE (&fs->lock);
  return join_locked (file, before, entry);
}

/* The same, or the first one, with @backing. */
static CabEntry join_or_begin (CabFs *fs, CabFile *file, int backing, guint64 *before) {
  CabEntry entry;
  CAB_LOCK_SCOPE (&fs->lock);
  if (join_locked (file, before, &entry))
    return entry;
  file->node->opens.count = 1;
  file->node->opens.backing = backing;
  return entered_locked (file, before);
}

CabEntry cab_passthrough_enter (CabFs *fs, CabFile *file, guint64 *before) {
  CabEntry entry;
  if (join (fs, file, before, &entry))
    return entry;
  /* What is coming while it is opened is ours, even if the last byte is here by now: its first pages are given. */
  int fd = file->in_turn ? -1 : cab_content_descriptor (file->content);
  int backing = fd >= 0 ? cab_kernel_backing_open (fd) : 0;
  entry = join_or_begin (fs, file, backing, before);
  if (entry != CAB_ENTRY_MADE || file->backing != backing) /* somebody else was first meanwhile */
    cab_kernel_backing_close (backing);
  return entry;
}

gboolean cab_passthrough_begin_turn (CabFs *fs, CabNode *node) {
  CAB_LOCK_SCOPE (&fs->lock);
  if (atomic_load (&node->version) != 0)
    return FALSE;
  node->opens.queued++;
  return TRUE;
}

void cab_passthrough_end_turn (CabFs *fs, CabNode *node) {
  CAB_LOCK_SCOPE (&fs->lock);
  node->opens.queued--;
}

void cab_passthrough_leave (CabFs *fs, CabFile *file) {
  CabOpens *opens = &file->node->opens;
  int last = 0;
  {
    CAB_LOCK_SCOPE (&fs->lock);
    if (--opens->count == 0)
      last = opens->backing;
  }
  cab_kernel_backing_close (last);
}
