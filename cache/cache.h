/* cache.h - what cabfs has, what is on its way, what must go: the front door of cache/.
 *
 * fs/ asks here for lists and bytes and is answered from memory or disk at once where possible, else when the
 * client brings them.  fs/ includes no other header of cache/.
 *
 * Threads: call from any thread; nothing here waits for the network.  A callback runs exactly once, on the thread
 * that brought the answer or inside the call itself, with no lock held.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CACHE_CACHE_H
#define CABFS_CACHE_CACHE_H

#include "cache/memberlist.h"
#include "client/client.h"

typedef struct {
  char *dir;              /* CACHE-DIR of interface.md section 6; made if missing, 0700 */
  guint64 size_limit;     /* bytes on disk; 0: no limit */
  guint64 free_bytes;     /* keep this much of the file system free, */
  guint free_percent;     /* or this much of its size, whichever is more */
  gint64 keep_s;          /* seconds a CAB is kept after its download */
  gint64 listing_ttl_s;   /* seconds before a listing is asked for again */
  guint64 read_ahead;     /* most bytes fetched ahead of a sequential reader */
  guint connections;      /* transfers one file may use at a time */
  guint size_connections; /* HEADs at a time, and so how far sizes are asked for ahead */
  guint timeout_ms;       /* without progress before who waits, unless for an MD5, gets CAB_ERROR_TIMEOUT */
  gboolean members;       /* FALSE: nobody will ask what is inside a CAB */
  guint64 member_limit;   /* most bytes that one archive may unpack to */
  char *unpack_program;   /* of the worker that reads archives; NULL: where it is installed */
} CabCacheOptions;

void cab_cache_options_clear (CabCacheOptions *options);

typedef struct CabCache CabCache;

/* Opens or makes the cache directory and starts the worker threads.  @options is copied; @client must outlive the
 * cache.  Errors: FAILED (directory cannot be made or is not ours), INVALID (version not understood). */
CabCache *cab_cache_new (const CabCacheOptions *options, CabClient *client, GError **error);

/* Begins to keep the directory within its limits, until then it only grows; and to share what is being downloaded with
 * other mounts on it.  Threads that have much to do from the first moment, for when the program that makes the cache
 * starts no others. */
void cab_cache_begin (CabCache *self);

/* Takes from @options what can be another thing while there are files open: `size_limit`, `free_bytes`, `free_percent`,
 * `keep_s`, `listing_ttl_s`, `read_ahead` and `timeout_ms`. */
void cab_cache_change (CabCache *self, const CabCacheOptions *options);

/* Stops the client, which answers everything that waits with CAB_ERROR_CANCELLED. */
void cab_cache_stop (CabCache *self);

/* Saves what is known and frees.  It was stopped before, and no file is open. */
void cab_cache_free (CabCache *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabCache, cab_cache_free)

/* How far a question may go: CAB_REACH_LOCAL is answered from memory and disk, or with CAB_ERROR_DENIED. */
typedef enum { CAB_REACH_NETWORK, CAB_REACH_LOCAL } CabReach;

/* --- lists -------------------------------------------------------------------------------------------------- */

typedef struct {
  CabRecords *records; /* take a reference to keep it */
  gboolean stale;      /* it is past its time to live and the services could not be asked */
  gboolean expired;    /* who may ask the services should: cab_cache_expire_list() */
  guint64 version;     /* another number whenever the records are other ones */
} CabListing;

typedef void (*CabListingDone) (gpointer data, const CabListing *listing, const GError *error);

/* The list of @scope: from memory, else from disk, else from the services.  One that is past `listing_ttl_s` is
 * given all the same, and asked for anew behind it; an error comes only where there is no list at all. */
void cab_cache_list (CabCache *self, const CabScope *scope, CabReach reach, CabListingDone done, gpointer data);

/* The same as far as it is in memory and may be shown without asking: else FALSE.  @listing->records is a new
 * reference. */
gboolean cab_cache_peek_list (CabCache *self, const CabScope *scope, CabReach reach, CabListing *listing);

/* @func runs for each list of failures or CABs that is in memory or on disk, on this thread with no lock held; the first
 * call reads all of those on disk. */
typedef void (*CabEachList) (gpointer data, const CabScope *scope, CabRecords *records);
void cab_cache_each_list (CabCache *self, CabEachList func, gpointer data);

/* Another number whenever one of them is another one, or there is one more in memory; 0: there was none yet. */
guint64 cab_cache_lists_version (CabCache *self);

/* Why the services did not give the list when they were asked last, and when that was (Unix seconds); NULL if they did, or
 * were not asked.  There may be an older list all the same. */
GError *cab_cache_list_failure (CabCache *self, const CabScope *scope, gint64 *when);

/* What is known of @scope, or with NULL of every scope, is old from now on: who asks next waits for an answer that the
 * services begin after this call.  Where none comes, the last good list is given, as stale; nothing is thrown away. */
void cab_cache_expire_list (CabCache *self, const CabScope *scope);

/* --- sizes -------------------------------------------------------------------------------------------------- */

/* CAB_LOOK_WALK: somebody looks at this one CAB, and if he is walking down the list, sizes are asked for ahead of
 * him; CAB_LOOK_ASIDE: nobody does, a whole list is being shown. */
typedef enum { CAB_LOOK_ASIDE, CAB_LOOK_WALK } CabLook;

/* TRUE and the size if it is known without a request. */
gboolean cab_cache_peek_size (CabCache *self, const CabScope *scope, const char *id, CabLook look,
                              guint64 *size);

typedef void (*CabSizeDone) (gpointer data, guint64 size, const GError *error);

/* The size of CAB @record (copied); by HEAD where it is not known, and ahead of the caller for the CABs behind it once
 * he walks down the list.  Errors as cab_blob_probe(). */
void cab_cache_size (CabCache *self, const CabScope *scope, const CabRecord *record, CabReach reach,
                     CabSizeDone done, gpointer data);

/* --- stack traces ------------------------------------------------------------------------------------------- */

/* The service's own stack trace of CAB @id, downloadable or not, as client.h tells: from memory if it was asked for
 * within `listing_ttl_s`, else by one request for all who want it.  @done may get another text when it is asked for
 * again: who has told others its length keeps a reference.
 * Errors: NOT_FOUND (at once where the family has none, later where the service has none), DENIED, TIMEOUT, INVALID,
 * FAILED. */
void cab_cache_stacktrace (CabCache *self, const CabScope *scope, const char *id, CabReach reach,
                           CabStacktraceDone done, gpointer data);

/* --- bytes -------------------------------------------------------------------------------------------------- */

/* An open CAB, one for all who have it open. */
typedef struct CabContent CabContent;

typedef void (*CabOpenDone) (gpointer data, CabContent *content, const GError *error);

/* Opens CAB @record (copied; its address is taken from the list): done as soon as its size is known and it is sure that
 * bytes can be had, that is when the host has answered the first range or the cache has some.  @content is a reference
 * the callback owns. */
void cab_cache_open (CabCache *self, const CabScope *scope, const CabRecord *record, CabReach reach,
                     CabOpenDone done, gpointer data);

/* One more user, beside one that is there; and one less: the last closes it. */
CabContent *cab_content_ref (CabContent *self);
void cab_content_unref (CabContent *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabContent, cab_content_unref)

guint64 cab_content_size (const CabContent *self);

/* Another number for each version of the blob's bytes that this process has seen. */
guint64 cab_content_version (const CabContent *self);

/* Bytes that hosts, or another mount, brought for it, or for the CAB that it is taken out of, since this was called last by
 * anybody. */
guint64 cab_content_take_brought (CabContent *self);

/* TRUE if all its bytes are here. */
gboolean cab_content_is_whole (const CabContent *self);

/* A descriptor of the file that has all its bytes, as they are on the host: for who reads it without us.  -1 if they
 * are not all here and compared with the MD5, where that is known.  The content's, valid as long as the reference. */
int cab_content_descriptor (CabContent *self);

typedef void (*CabReadDone) (gpointer data, const void *bytes, gsize len, const GError *error);

/* Copies up to @len bytes at @off to @bytes, less only at the end of the file, and says in @got how many: FALSE if
 * they are not all here, are still being compared with their MD5, or are not to be had. */
gboolean cab_content_read_now (CabContent *self, guint64 off, gsize len, void *bytes, gsize *got);

/* Reads up to @len bytes at @off: less only at the end of the file.  @bytes is valid during the callback. */
void cab_content_read (CabContent *self, guint64 off, gsize len, CabReadDone done, gpointer data);

/* What comes at once, together with the answer to a first request: whole pages, and less than a new connection brings in
 * its first round trip, which is ten segments (RFC 6928) or three TLS records (client/http_tls.h), headers included. */
#define CAB_HEAD             ((gsize) 8 << 10)
#define CAB_HEAD_PATIENCE_US ((gint64) 1 * G_USEC_PER_SEC)

/* The first @len bytes, CAB_HEAD at most, less only at the end of the file: from the cache, or from what the opening of
 * the content has asked for.  Fetches nothing, and is no step of a reader.
 * Errors: NOT_FOUND (nothing brings them), TIMEOUT (they are not here after CAB_HEAD_PATIENCE_US), and why they did not
 * come. */
void cab_content_head (CabContent *self, gsize len, CabReadDone done, gpointer data);

/* --- what is inside ----------------------------------------------------------------------------------------- */

typedef void (*CabMembersDone) (gpointer data, CabMemberList *members, const GError *error);

/* The members of CAB @record (copied): from memory, else by a worker that reads as much of the CAB as it takes to list
 * them.  A CAB that is a bare dump has one member, memory.dmp; one that is no archive either has none.  @done takes a
 * reference to keep @members.
 * Errors: as cab_cache_open(); INVALID (the archive is damaged), FAILED (the worker is). */
void cab_cache_members (CabCache *self, const CabScope *scope, const CabRecord *record, CabReach reach,
                        CabMembersDone done, gpointer data);

/* The same as far as it is in memory, a reference; else NULL. */
CabMemberList *cab_cache_peek_members (CabCache *self, const CabScope *scope, const CabRecord *record);

/* Opens the member that the list has as @path: as cab_cache_open(), done as soon as its size is known.  Its first read
 * sets a worker to write it into the store; reads are answered as far as it has come.  One that is whole in the store
 * needs neither worker nor CAB.
 * Errors: besides those above NOT_FOUND (the list has it not, or not any more) and NO_SPACE (the cache has no room for it,
 * or the archive unpacks to more than `member_limit`); those of the worker come with open or with a read. */
void cab_cache_open_member (CabCache *self, const CabScope *scope, const CabRecord *record, const char *path,
                            CabReach reach, CabOpenDone done, gpointer data);

/* Bytes of a member that are on disk here: for st_blocks. */
guint64 cab_cache_member_bytes (CabCache *self, const CabScope *scope, const CabRecord *record, CabMemberId id);

/* --- what is here ------------------------------------------------------------------------------------------- */

/* Bytes of a CAB that are on disk here: for st_blocks. */
guint64 cab_cache_bytes (CabCache *self, const CabScope *scope, const CabRecord *record);

/* What the local cache has of a CAB, without a request and without opening it. */
typedef struct {
  guint64 bytes; /* of the CAB on disk */
  gboolean complete;
  char *etag; /* NULL if not known */
  char *md5;
  char kind[16]; /* interface.md section 4; "" while the first bytes are not here */
} CabLocal;

void cab_local_clear (CabLocal *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CabLocal, cab_local_clear)

void cab_cache_local (CabCache *self, const CabScope *scope, const CabRecord *record, CabLocal *out);

/* The same of a member; no service has an ETag or an MD5 of those. */
void cab_cache_member_local (CabCache *self, const CabScope *scope, const CabRecord *record, CabMemberId id,
                             CabLocal *out);

/* --- how it is doing ---------------------------------------------------------------------------------------- */

/* A CAB that somebody waits for, or that is being fetched ahead of somebody; or a member that is being unpacked. */
typedef struct {
  char *application, *failure, *id; /* of the CAB, under whichever of its names it was opened first */
  char *member;                     /* its path in the CAB; NULL: the CAB itself */
  gboolean has_size;                /* FALSE: the host has not answered yet, or the archive does not tell */
  guint64 size;
  guint64 cached;    /* bytes of it that are here */
  guint64 rate;      /* bytes a second that came in the last few */
  guint readers;     /* reads and opens that wait */
  guint connections; /* ranges that are on the way, or asked for */
} CabDownload;

/* All CABs, or all members, at this moment, in no order: an array of CabDownload, for the caller to unref. */
GArray *cab_cache_downloads (CabCache *self);
GArray *cab_cache_unpackings (CabCache *self);

typedef struct {
  const char *dir;   /* the cache's */
  gboolean known;    /* FALSE: nobody has counted yet what is there */
  guint64 bytes;     /* on disk, of all that share the directory: as counted of late, and what we wrote since */
  guint64 files;     /* CABs and members, likewise */
  guint64 limit;     /* bytes; 0: none */
  gboolean full;     /* nothing is kept until there is room */
  gboolean writable; /* FALSE: the last try to write failed, for another reason */
} CabCacheState;

void cab_cache_state (CabCache *self, CabCacheState *out);

/* As cab_client_hosts(). */
GArray *cab_cache_hosts (CabCache *self);

#endif
