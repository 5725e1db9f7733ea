/* content.h - the bytes of open CABs: what is here, what is coming, who waits for which.
 *
 * A content is shared by all who have the CAB open, and is in the table while anybody has or bytes are on their way
 * to the disk.  A range is fetched by one transfer however many want it, and a reader is served as soon as his bytes
 * are there, while the transfer goes on.  Its phases:
 *
 *   OPENING   the first range is asked for; who opens, waits
 *   READY     size and ETag are known; reads are answered from the store, or wait for a transfer
 *   FAILED    the blob is another one: every read fails, the next open begins anew
 *   RETIRING  nobody has it open, what can be kept of it is saved, and its file is being closed: it does not fail any
 *             more, and who opens it now begins anew when it is gone
 *
 * A content is a CAB, or a member of one: then its bytes are written by a worker (unpack.h) that reads the CAB's, from
 * the first to the last one; it is kept only when all are there.
 *
 * Threads and callbacks: as cache.h.  One lock for the table and all contents; it is never held across a callback,
 * the store, or the client.  The client must be stopped before the table is freed.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CACHE_CONTENT_H
#define CABFS_CACHE_CONTENT_H

#include <stdatomic.h>

#include "cache/cache.h"
#include "cache/peer.h"
#include "cache/plan.h"
#include "cache/pool.h"
#include "cache/store.h"
#include "cache/unpack.h"

typedef struct CabContents CabContents;

/* One member of one version of a CAB. */
typedef struct {
  CabMemberId id;
  gboolean has_size;
  guint64 size; /* bytes, as declared */
  gint64 modified;
  const char *stamp; /* of the CAB that the list was made from */
  const char *path;  /* in that list */
} CabMemberSpec;

typedef struct {
  CabStore *store; /* these outlive the table */
  CabPool *pool;
  CabClient *client;
  CabPeers *peers;
  CabUnpacker *unpacker; /* NULL: @unpacker_missing says why */
  const GError *unpacker_missing;
  atomic_ullong read_ahead; /* bytes */
  guint connections;        /* transfers of one CAB at a time, unless readers wait for more */
  atomic_uint timeout_ms;
  atomic_ullong size_limit; /* bytes on disk; 0: no limit */
  /* A host told a CAB's size; no lock held. */
  void (*learned) (gpointer data, const CabScope *scope, const char *id, const CabFacts *facts);
  gpointer learned_data;
  /* As cab_cache_open(), for the CAB of a member; no lock held. */
  void (*open) (gpointer data, const CabScope *scope, const CabRecord *record, CabReach reach, CabOpenDone done,
                gpointer done_data);
  /* What was taken out of a CAB is worth nothing any more; no lock held. */
  void (*spoilt) (gpointer data, const CabScope *scope, gint64 expires, const char *id);
  gpointer data; /* of these two */
} CabContentsOptions;

CabContents *cab_contents_new (const CabContentsOptions *options);

/* From now on; any thread. */
void cab_contents_change (CabContents *self, guint64 read_ahead, guint64 size_limit, guint timeout_ms);

/* Waits until each content has closed its file, and until what can be kept of it is saved; nobody has one open, and the
 * pool still runs. */
void cab_contents_free (CabContents *self);

/* As cab_cache_open().  @md5 of the whole CAB if it is known from elsewhere, else NULL. */
void cab_contents_open (CabContents *self, const CabScope *scope, const CabRecord *record, const char *md5,
                        CabReach reach, CabOpenDone done, gpointer data);

/* A member as a content.  Its bytes come from the store, or from a worker that is started when somebody reads them: all
 * of them, in order, into the store.  Errors: as cab_contents_open() and unpack.h; CHANGED if the CAB is not that of
 * @member->stamp any more.  One that could not be extracted is refused for a while without being tried. */
void cab_contents_open_member (CabContents *self, const CabScope *scope, const CabRecord *record,
                               const CabMemberSpec *member, CabReach reach, CabOpenDone done, gpointer data);

/* What tells versions of a CAB apart: size, time and ETag. */
char *cab_content_stamp (const CabContent *self);

/* The same of a CAB as it is here, open or on disk; NULL if it is not. */
char *cab_contents_stamp (CabContents *self, const CabScope *scope, const CabRecord *record);

/* Whose CABs they are that the list of @scope has: an id is unique within that.  For CabObjectKey. */
char *cab_content_owner (const CabScope *scope);

/* TRUE if every byte of the CAB is here. */
gboolean cab_contents_has_all (CabContents *self, const CabScope *scope, const CabRecord *record);

/* Bytes of the CAB, or of a member, that are here: FALSE if it is not in the table.  Of @member the id tells. */
gboolean cab_contents_bytes (CabContents *self, const CabScope *scope, const CabRecord *record,
                             const CabMemberSpec *member, guint64 *bytes);

/* As cab_cache_local() and cab_cache_member_local(): FALSE if it is not in the table. */
gboolean cab_contents_local (CabContents *self, const CabScope *scope, const CabRecord *record,
                             const CabMemberSpec *member, CabLocal *out);

/* The same for what the disk has and nobody has open. */
guint64 cab_contents_bytes_on_disk (CabContents *self, const CabRecord *record, const CabMemberSpec *member);
void cab_contents_look_at_disk (CabContents *self, const CabScope *scope, const CabRecord *record,
                                const CabMemberSpec *member, CabLocal *out);

/* What is on the way: of CabDownload, for the caller to unref. */
GArray *cab_contents_downloads (CabContents *self, gint64 now_us);
GArray *cab_contents_unpackings (CabContents *self, gint64 now_us);

/* The cache is too full, and what somebody has open cannot be removed: CABs that take much of the @used bytes give up what
 * nobody is reading near, of which the first bytes first, until @bytes are free.  How many are.  Blocks. */
guint64 cab_contents_trim (CabContents *self, guint64 bytes, guint64 used);

/* Ends the waits that have been without progress for too long.  @now_us: monotonic. */
void cab_contents_tick (CabContents *self, gint64 now_us);

/* "cab", "zip", "minidump", "kernel-dump" or "other" by the first @len bytes (8 are enough, api-contract.md 13.1);
 * static. */
const char *cab_content_kind (const void *bytes, gsize len);

/* --- what other mounts on the directory take from here (peer.h): lend.c, read.c --- */

/* The CAB @key as for who opens it, if it is open here and the file in the directory is ours; one that is opening is waited
 * for.  NOT_FOUND otherwise, at once; or why it did not open. */
void cab_contents_lend (CabContents *self, const char *key, CabOpenDone done, gpointer data);

/* What the host has said of it.  @facts->etag is the content's, @facts->md5 the caller's to free. */
void cab_content_lend_facts (CabContent *self, CabFacts *facts);

/* [start, end) of a CAB as who reads ahead has it fetched. */
CabZone cab_content_lend_zone (const CabContent *self, CabRange range);

/* Copies @len bytes at @off: FALSE if they are not all here, or not looked through yet.  Begins nothing. */
gboolean cab_content_peek (CabContent *self, guint64 off, void *bytes, gsize len);

/* The first @len bytes of @zone, as cab_content_read(); all of it is fetched, and nothing beyond, since who asks plans for
 * himself. */
void cab_content_lend_read (CabContent *self, CabZone zone, gsize len, CabReadDone done, gpointer data);

#endif
