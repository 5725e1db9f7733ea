/* map.h - the text of a .map file: which bytes of its CAB a cache file holds, and their checksums.  Pure.
 *
 * interface.md section 6.  Lines of "key value", the last one a SHA-256 over all before it, so that a torn, flipped
 * or swapped map is seen:
 *
 *     cabfs-map 2
 *     id fb57b37b-d364-4caf-995b-d99ae651ee18
 *     owner driver/13984104677400476   whose CAB it is: ids are unique within an application
 *     size 6406
 *     etag "0x8D4C5A1"             (if known)
 *     md5 99b81719acc5c40b…        (if known)
 *     modified 1494165223          (if known)
 *     file 2621441 1494165223.5    inode and birth time of the data file this map belongs to; of a CAB that is
 *                                  wholly here, also the time of the last write
 *     have 0 6406 8f0e5d…          a line for each range, [start, end), with a sum (sums.h) for each chunk of it; where
 *                                  a chunk has several pieces, a line for each; of a member without sums
 *     sum 4f1c…
 *
 * The birth time ties a map to one data file: another process may have removed that file and made a new one of
 * the same name, and file systems give inode numbers out again.  The time of the last write shows that somebody else
 * wrote into it; while bytes are missing it tells nothing, because maps are written less often than data.
 *
 * A map of another version is as good as none: what it speaks of is fetched again.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CACHE_MAP_H
#define CABFS_CACHE_MAP_H

#include "cache/sums.h"

typedef struct {
  char *id;        /* owned, as are the other strings */
  char *owner;     /* family and application, as the table of contents has it */
  guint64 size;    /* bytes of the whole CAB */
  char *etag;      /* NULL or empty if not known, NULL when parsed */
  char *md5;       /* 32 hexadecimal digits; else the same */
  gint64 modified; /* Unix seconds, or CAB_TIME_UNKNOWN */
  guint64 inode;
  char *born; /* the times of the data file, opaque */
  CabRanges have;
  CabSums sums;           /* of every byte of `have`, or of none */
  gboolean written_since; /* not of the text: who opened the data file found it changed */
} CabMap;

void cab_map_clear (CabMap *self);

char *cab_map_format (const CabMap *self);

/* Fills @self, which must be zeroed.  CAB_ERROR_INVALID, with the line, for anything that cab_map_format() would not
 * have written, CAB_ERROR_NOT_FOUND for the map of another version: @text needs no terminator and may hold anything. */
gboolean cab_map_parse (const char *text, gsize len, CabMap *self, GError **error);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CabMap, cab_map_clear)

#endif
