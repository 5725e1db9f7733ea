/* unpack_head.h - the head of a cabinet, changed so that libarchive gets to one member on the shortest
 * way.  Pure.
 *
 * Members of a cabinet lie in folders, each of which is compressed by itself.  libarchive adds up the sizes of
 * the members that are passed over, and takes the sum off the folder that is read first, though all of it may
 * lie in folders before: the member would begin with the wrong byte.  Where one is to be extracted, the members
 * of all other folders are therefore made empty: then nothing of these folders is gone through, and the sum is
 * right.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CACHE_UNPACK_HEAD_H
#define CABFS_CACHE_UNPACK_HEAD_H

#include <glib.h>

/* More than one folder, by the first @len bytes of a cabinet. */
gboolean cab_head_has_folders (const guint8 *bytes, gsize len);

typedef enum {
  CAB_HEAD_DONE,
  CAB_HEAD_MORE, /* the list of members is longer than @len; nothing was changed */
} CabHeadResult;

/* What there is not, as a member @ordinal, stays so: libarchive will tell. */
CabHeadResult cab_head_aim (guint8 *bytes, gsize len, guint ordinal);

#endif
