/* content.h - the bytes of open CABs: what is here, what is coming, who waits for which.
 *
 * A content is shared by all who have the CAB open, and is in the table while anybody has or bytes are on their way
 * to the disk.  A range is fetched by one transfer however many want it, and a reader is served as soon as his bytes
 * are there, while the transfer goes on.  Its phases:
 *
 *   OPENING   the first range is asked for; who opens, waits
 *   READY     size and ETag are known; reads are answered from the store, or wait for a transfer
 *   FAILED    the blob is another one: every read fails, the next open begins anew
 *   RETIRING  nobody has it open and all is saved; who opens it now begins anew when it is gone
 *
 * Threads and callbacks: as cache.h.  One lock for the table and all contents; it is never held across a callback,
 * the store, or the client.  The client must be stopped before the table is freed.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CACHE_CONTENT_H
#define CABFS_CACHE_CONTENT_H

#include "cache/cache.h"
#include "cache/pool.h"
#include "cache/store.h"

typedef struct CabContents CabContents;

typedef struct {
  CabStore *store; /* these outlive the table */
  CabPool *pool;
  CabClient *client;
  guint64 read_ahead; /* bytes */
  guint connections;  /* transfers of one CAB at a time, unless readers wait for more */
  guint timeout_ms;
  /* A host told a CAB's size; no lock held. */
  void (*learned) (gpointer data, const CabScope *scope, const char *id, const CabFacts *facts);
  gpointer learned_data;
} CabContentsOptions;

CabContents *cab_contents_new (const CabContentsOptions *options);

/* Waits until everything is saved that can be; nobody has a content open. */
void cab_contents_free (CabContents *self);

/* As cab_cache_open().  @md5 of the whole CAB if it is known from elsewhere, else NULL. */
void cab_contents_open (CabContents *self, const CabScope *scope, const CabRecord *record, const char *md5,
                        CabReach reach, CabOpenDone done, gpointer data);

/* Whose CABs they are that the list of @scope has: an id is unique within that.  For CabObjectKey. */
char *cab_content_owner (const CabScope *scope);

/* TRUE if every byte of the CAB is here. */
gboolean cab_contents_has_all (CabContents *self, const CabScope *scope, const CabRecord *record);

/* Bytes of the CAB that are here: FALSE if it is not in the table. */
gboolean cab_contents_bytes (CabContents *self, const CabScope *scope, const CabRecord *record, guint64 *bytes);

/* As cab_cache_local(): FALSE if the CAB is not in the table. */
gboolean cab_contents_local (CabContents *self, const CabScope *scope, const CabRecord *record, CabLocal *out);

/* Ends the waits that have been without progress for too long.  @now_us: monotonic. */
void cab_contents_tick (CabContents *self, gint64 now_us);

/* "cab", "zip", "minidump", "kernel-dump" or "other" by the first @len bytes (8 are enough, api-contract.md 13.1);
 * static. */
const char *cab_content_kind (const void *bytes, gsize len);

#endif
