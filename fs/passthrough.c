/* SPDX-License-Identifier: MIT */
#include "fs/passthrough.h"

#include "fs/kernel.h"

typedef enum { ENTERED, REFUSED, UNDECIDED } Verdict;

static Verdict entered_locked (CabFile *file, guint64 *before) {
  CabNode *node = file->node;
  guint64 version = cab_content_version (file->content);
  file->backing = node->opens.backing;
  *before = atomic_exchange (&node->version, version);
  if (*before != version)
    node->clean = 0;
  atomic_store (&file->clears, node->clean != version);
  return ENTERED;
}

/* Joins those that are open; UNDECIDED if there are none. */
static Verdict join_locked (CabFile *file, guint64 *before) {
  CabNode *node = file->node;
  if (node->opens.count == 0)
    return UNDECIDED;
  if (node->opens.backing > 0 && atomic_load (&node->version) != cab_content_version (file->content))
    return REFUSED;
  node->opens.count++;
  return entered_locked (file, before);
}

static Verdict join (CabFs *fs, CabFile *file, guint64 *before) {
  CAB_LOCK_SCOPE (&fs->lock);
  return join_locked (file, before);
}

/* The same, or the first one, with @backing. */
static Verdict join_or_begin (CabFs *fs, CabFile *file, int backing, guint64 *before) {
  CAB_LOCK_SCOPE (&fs->lock);
  Verdict verdict = join_locked (file, before);
  if (verdict != UNDECIDED)
    return verdict;
  file->node->opens = (CabOpens){.count = 1, .backing = backing};
  return entered_locked (file, before);
}

gboolean cab_passthrough_enter (CabFs *fs, CabFile *file, guint64 *before) {
  Verdict verdict = join (fs, file, before);
  if (verdict == UNDECIDED) {
    int fd = cab_content_descriptor (file->content);
    int backing = fd >= 0 ? cab_kernel_backing_open (fd) : 0;
    verdict = join_or_begin (fs, file, backing, before);
    if (verdict == REFUSED || file->backing != backing) /* somebody else was first meanwhile */
      cab_kernel_backing_close (backing);
  }
  return verdict == ENTERED;
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
