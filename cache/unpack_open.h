/* unpack_open.h - one archive, opened: the source of unpack_reader.h, or a member of another archive, under
 * libarchive.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CACHE_UNPACK_OPEN_H
#define CABFS_CACHE_UNPACK_OPEN_H

#include <archive.h>
#include <archive_entry.h>

#include "cache/unpack_reader.h"

typedef struct CabOpen CabOpen;

/* For @wanted: to list, not to extract one. */
#define CAB_OPEN_ALL G_MAXUINT

/* The archive itself.  Of a cabinet, the data of no other member than the one with the ordinal @wanted can be
 * had. */
CabOpen *cab_open_source (const CabArchive *source, guint wanted, GError **error);

/* The member of @outer whose header was read last, if that is a cabinet; NULL without an error if it is
 * something else.  At most @most bytes of it will be read. */
CabOpen *cab_open_member (CabOpen *outer, guint wanted, guint64 most, GError **error);

void cab_open_free (CabOpen *self);

gboolean cab_open_is_zip (const CabOpen *self);

/* @entry is NULL at the end.  A header that libarchive cannot make sense of, but can go on behind, is one too:
 * @entry is then without a type. */
gboolean cab_open_next (CabOpen *self, struct archive_entry **entry, GError **error);

/* The next bytes of the member, good until the next call; @len is 0 at its end. */
gboolean cab_open_data (CabOpen *self, const void **bytes, gsize *len, GError **error);

/* Why the member cannot be extracted, as far as its header tells; NULL if it can. */
const char *cab_open_refusal (CabOpen *self, struct archive_entry *entry);

/* Bytes of the source that were gone through. */
guint64 cab_open_position (const CabOpen *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabOpen, cab_open_free)

#endif
