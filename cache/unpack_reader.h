/* unpack_reader.h - archives through libarchive: the part of the worker that meets hostile bytes.
 *
 * Knows nothing of processes and sockets: bytes come from a CabArchive's `read`, what is found goes to the
 * callbacks.  So that tests and fuzzers run the same code within their own process.
 *
 * Of libarchive's formats only those two are switched on that the first bytes ask for, without any filter; of
 * the methods of a ZIP only stored and deflate.  Directories, links and devices are left out.
 *
 * Bounds: CAB_ARCHIVE_MEMBERS_MAX headers in all; `limit` bytes of one extraction; a member that, beyond 64
 * MiB, unpacks to more than 2000 times what was read for it is taken for a bomb (deflate can do 1032:1, MSZIP
 * 780:1; a dump of nothing but zeros is 590:1 in a cabinet).
 *
 * Errors: INVALID for what is wrong with the archive, NO_SPACE for the limit, and what `write` gives.
 * Threads: none; what belongs to one call belongs to one thread.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CACHE_UNPACK_READER_H
#define CABFS_CACHE_UNPACK_READER_H

#include "cache/unpack.h"

enum {
  CAB_ARCHIVE_MEMBERS_MAX = 100000,
  CAB_ARCHIVE_PATH_MAX = 60000,
};

typedef struct {
  guint64 size;
  gpointer data;
  /* The bytes at @off, which is below @size: at least one, good until the next call.  0: there will be no more,
   * give up. */
  gsize (*read) (gpointer data, guint64 off, const void **bytes);
  /* cab_archive_list() only. */
  void (*member) (gpointer data, const CabMember *member);
  /* What went wrong without being an error of the whole, for a log. */
  void (*note) (gpointer data, const char *text);
  /* cab_archive_extract() only: in order, from 0. */
  gboolean (*write) (gpointer data, const void *bytes, gsize len, GError **error);
} CabArchive;

gboolean cab_archive_list (const CabArchive *archive, GError **error);

/* @expected: the size it has to have, or G_MAXUINT64.  @size: what was written. */
gboolean cab_archive_extract (const CabArchive *archive, guint outer, guint ordinal, guint64 expected,
                              guint64 limit, guint64 *size, GError **error);

#endif
