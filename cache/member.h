/* member.h - what is inside CABs: lists of their members, and the members as contents.
 *
 * A list is made by a worker (unpack.h) that reads of the CAB just what it needs for that; once however many ask for
 * it.  It is kept in memory while it is used and for some time, and holds as long as its CAB is the same one.  A CAB that
 * is no archive but a bare dump has one member, the CAB itself, and needs no worker; one that is neither has none.
 * A list that could not be made is not tried again for a while.
 *
 * Threads and callbacks: as cache.h.  The unpacker and the client must be stopped before the table is freed.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CACHE_MEMBER_H
#define CABFS_CACHE_MEMBER_H

#include "cache/content.h"

typedef struct CabMembers CabMembers;

typedef struct {
  CabContents *contents; /* these outlive the table */
  CabUnpacker *unpacker; /* NULL: @unpacker_missing says why */
  const GError *unpacker_missing;
  guint64 limit; /* most bytes that one archive may unpack to */
  /* As cab_cache_open(); no lock held. */
  void (*open) (gpointer data, const CabScope *scope, const CabRecord *record, CabReach reach, CabOpenDone done,
                gpointer done_data);
  gpointer open_data;
} CabMembersOptions;

CabMembers *cab_members_new (const CabMembersOptions *options);
void cab_members_free (CabMembers *self);

/* As cab_cache_members(), cab_cache_peek_members() and cab_cache_open_member(). */
void cab_members_get (CabMembers *self, const CabScope *scope, const CabRecord *record, CabReach reach,
                      CabMembersDone done, gpointer data);
CabMemberList *cab_members_peek (CabMembers *self, const CabScope *scope, const CabRecord *record);
void cab_members_open (CabMembers *self, const CabScope *scope, const CabRecord *record, const char *path,
                       CabReach reach, CabOpenDone done, gpointer data);

/* The list of CAB @id is worth nothing any more. */
void cab_members_forget (CabMembers *self, const CabScope *scope, gint64 expires, const char *id);

/* Lets go lists that nobody has used for long.  @now_us: monotonic. */
void cab_members_tick (CabMembers *self, gint64 now_us);

#endif
