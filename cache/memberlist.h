/* memberlist.h - what is inside one CAB: an immutable, packed snapshot, as it is shown.
 *
 * Whatever the archive says, in a list no two members have one path, none is another's directory, and every path is
 * clean (memberpath.h); CAB_MEMBER_RESERVED is left free for a file that the directory has of its own.  Members are
 * sorted by path, bytewise: those below one directory stand together.  Directories are there only as parts of paths.
 *
 * Life: a builder takes members in the order of the archive, cab_member_list_end() makes the list and frees the builder.
 * Threads: a list may be read and counted from any thread; a builder belongs to one.
 * Ownership: paths handed out live as long as the list.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CACHE_MEMBERLIST_H
#define CABFS_CACHE_MEMBERLIST_H

#include <glib.h>

/* The name at the top of an open CAB that no member of an archive may take. */
#define CAB_MEMBER_RESERVED ".stacktrace.txt"

/* Most parts of a path. */
#define CAB_MEMBER_DEPTH 32

typedef struct CabMemberList CabMemberList;

/* Which member, among those of one version of a CAB: what unpack.h calls `outer` and `ordinal`. */
typedef guint64 CabMemberId;

static inline CabMemberId cab_member_id (guint outer, guint ordinal) {
  return (guint64) outer << 32 | ordinal;
}

static inline guint cab_member_outer (CabMemberId id) {
  return (guint) (id >> 32);
}

static inline guint cab_member_ordinal (CabMemberId id) {
  return (guint) (id & G_MAXUINT32);
}

/* The CAB itself: it is no archive but a bare dump, shown as one member. */
#define CAB_MEMBER_WHOLE G_MAXUINT64

typedef struct {
  const char *path;
  CabMemberId id;
  gboolean has_size;
  guint64 size; /* bytes, as the archive declares it: one that turns out to have another size cannot be read */
  gint64 modified; /* Unix seconds, or CAB_TIME_UNKNOWN */
  gboolean
      beyond; /* it and those before it in the archive unpack to more than the limit: it is not to be had */
} CabMemberEntry;

CabMemberList *cab_member_list_ref (CabMemberList *self);
void cab_member_list_unref (CabMemberList *self);

guint cab_member_list_count (const CabMemberList *self);
void cab_member_list_get (const CabMemberList *self, guint index, CabMemberEntry *out);

/* The first member whose path is not before @path; the count if there is none. */
guint cab_member_list_seek (const CabMemberList *self, const char *path);

gboolean cab_member_list_find (const CabMemberList *self, const char *path, guint *index);

/* TRUE if some member's path begins with @path and a slash. */
gboolean cab_member_list_has_directory (const CabMemberList *self, const char *path);

/* Another number for each list that was made. */
guint64 cab_member_list_version (const CabMemberList *self);

/* What tells the version of the CAB that it was made from: cab_content_stamp(). */
const char *cab_member_list_stamp (const CabMemberList *self);

/* Bytes of memory, about. */
gsize cab_member_list_weight (const CabMemberList *self);

/* --- making one ------------------------------------------------------------------------------------------------- */

typedef struct CabMemberListBuilder CabMemberListBuilder;

/* @limit: most bytes that the archive may unpack to. */
CabMemberListBuilder *cab_member_list_begin (guint64 limit);

/* @member->path as the archive says, copied; `beyond` is found out here. */
void cab_member_list_add (CabMemberListBuilder *self, const CabMemberEntry *member);

/* Frees the builder.  INVALID if more was added than can be shown. */
CabMemberList *cab_member_list_end (CabMemberListBuilder *self, const char *stamp, GError **error);

void cab_member_list_builder_free (CabMemberListBuilder *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabMemberList, cab_member_list_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabMemberListBuilder, cab_member_list_builder_free)

#endif
