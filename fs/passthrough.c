/* SPDX-License-Identifier: MIT */
#include "fs/passthrough.h"

#include "fs/kernel.h"

typedef enum { ENTERED, REFUSED, UNDECIDED } Verdict;

static guint64 version_of (const CabFile *file) {
  return cab_content_version (file->content);
}

/* Joins those that are open; UNDECIDED if there are none. */
static Verdict join_locked (CabFile *file) {
  CabOpens *opens = &file->node->opens;
  if (opens->count == 0)
    return UNDECIDED;
  if (opens->backing > 0 && opens->version != version_of (file))
    return REFUSED;
  opens->count++;
  file->backing = opens->backing;
  return ENTERED;
}

gboolean cab_passthrough_enter (CabFs *fs, CabFile *file) {
  CabOpens *opens = &file->node->opens;
  Verdict verdict;
  {
    CAB_LOCK_SCOPE (&fs->lock);
    verdict = join_locked (file);
  }
  if (verdict != UNDECIDED)
    return verdict == ENTERED;
  int fd = cab_content_descriptor (file->content);
  int backing = fd >= 0 ? cab_kernel_backing_open (fd) : 0;
  {
    CAB_LOCK_SCOPE (&fs->lock);
    verdict = join_locked (file); /* somebody else may have opened it meanwhile */
    if (verdict == UNDECIDED) {
      *opens = (CabOpens){.count = 1, .backing = backing, .version = version_of (file)};
      file->backing = backing;
      return TRUE;
    }
  }
  cab_kernel_backing_close (backing);
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
