/* content-private.h - what content.c (life), late.c (deadlines), read.c (readers), stream.c (transfers), extract.c (bytes of
 * members), trust.c (checksums), trim.c (room), save.c (disk) and lend.c (other mounts) share.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CACHE_CONTENT_PRIVATE_H
#define CABFS_CACHE_CONTENT_PRIVATE_H

#include "cache/content.h"
#include "cache/rate.h"
#include "client/sync.h"

struct CabContents {
  CabContentsOptions options; /* set at creation */
  pthread_mutex_t lock;
  pthread_cond_t emptied;  /* lock: signalled when the last content is freed */
  guint contents;          /* lock: not freed yet; those that failed are not in the table any more */
  GHashTable *table;       /* lock: key of a content to the content, which it has a reference of */
  GHashTable *refused;     /* lock: key of a member that could not be extracted to why, owned by extract.c */
  pthread_cond_t unpinned; /* lock: signalled when the last one lets go of a side */
  atomic_bool no_holes;    /* files here do not lose bytes from their middle */
  atomic_uint spoilt;      /* contents that failed when somebody could have read them */
};

typedef enum { CONTENT_OPENING, CONTENT_READY, CONTENT_FAILED, CONTENT_RETIRING } ContentPhase;

typedef struct {
  /* Owned, as are the strings: what a content that retires meanwhile is opened anew from.  NULL: it is of another mount,
   * which hears then that it is not here. */
  CabScope *scope;
  CabRecord record;
  char *id, *url; /* the record's */
  char *md5;
  CabMemberSpec *member; /* of that CAB; NULL: the CAB itself */
  CabReach reach;
  CabOpenDone done;
  gpointer data;
  gint64 since_us;
} Opener;

typedef struct {
  guint64 off;
  gsize len;
  CabReadDone done;
  gpointer data;
  gint64 since_us;
  gboolean head; /* wants what comes at once, and waits no longer */
  /* What he was handed as it came: the bytes of `got`, at their place; NULL while there is none. */
  char *bytes;
  CabRanges got;
  guint pin; /* 0: none */
} Reader;

/* One transfer under way; known to stream.c only. */
typedef struct Stream Stream;

/* One job of a worker under way; known to extract.c only. */
typedef struct CabRun CabRun;

/* Where the bytes of a member come from. */
typedef struct {
  CabMemberSpec *member; /* all set at creation */
  CabRecord record;      /* of the CAB, without an address; its id is ours */
  char *cab_id;
  char *cab_key;

  /* owner's lock */
  CabRun *run;    /* NULL: none */
  gint64 idle_us; /* when nobody had it open any more */
} CabExtraction;

struct CabContent {
  CabContents *owner;        /* set at creation */
  CabRefs refs;              /* the table, each user, stream and save job */
  char *key;                 /* set at creation */
  CabScope *scope;           /* set at creation */
  char *id;                  /* set at creation: of the object in the store */
  gint64 expires;            /* set at creation */
  CabBlob *blob;             /* set at creation: of a CAB, */
  CabExtraction *extraction; /* or of a member; the other one is NULL */

  /* Set under owner's lock, since it may fail meanwhile, by the thread that opens, or opens again, before READY; NULL
   * before that, and when it has retired. */
  CabObject *object;
  CabPeerLink *link; /* set likewise; NULL: the file is ours, or nobody else's */
  guint looks;       /* for others who have it, by who opens again */
  guint64 size;      /* set before READY, as are the next three */
  char *etag;
  gint64 modified;
  guint64 version;

  atomic_bool complete; /* every byte is here: reads need no lock */
  atomic_bool verified; /* and they were compared with the MD5, or none is known */
  atomic_bool failing;  /* FAILED, for who has not the lock */

  /* owner's lock */
  ContentPhase phase;
  GError *failed; /* why it is FAILED */
  guint users;
  char *md5;         /* of the whole; NULL if not known */
  CabRanges have;    /* bytes in the store */
  CabRanges coming;  /* bytes that streams will bring */
  CabSums sums;      /* of what is in the store, but for what arrived last; none for a member */
  CabRanges doubted; /* of `have`: bytes of an earlier time, not compared with their sums yet */
  gboolean damaged;  /* some did not fit, and it was told */
  GQueue streams;    /* of Stream */
  GQueue openers;    /* of Opener, owned; each is answered once, as are readers */
  GQueue readers;    /* of Reader, owned */
  CabPlan plan;
  CabZone
      ahead; /* of the latest read: what it asked for that had no connection yet is begun when one is free */
  atomic_ullong brought; /* by streams, since somebody took the count */
  gint64 progress_us;
  CabRate rate;    /* of what streams bring */
  GError *trouble; /* why a read that waited failed; NULL if none did since the last byte */
  gint64 trouble_us;
  guint64 unsaved; /* bytes that no map speaks of */
  guint pins[2];   /* who is reading from the store what was in `have`: on the side where he began, */
  guint side;      /* which is the other one once trim.c waits for those of the one before */
  gboolean saving;
  gboolean asked; /* the host, for its MD5, because the bytes have another one: once, by the save job */
};

/* A read that failed is not tried again before that: readers whom the kernel makes wait for the same page come one
 * after the other, and each would wait as long as the first. */
#define CAB_TROUBLE_US (1 * G_USEC_PER_SEC)

/* A map is written after that many new bytes, besides when all are here and when nobody has the CAB open. */
#define CAB_SAVE_STEP ((guint64) 64 << 20)

/* Of the table: @member may be NULL. */
char *cab_content_key (const CabScope *scope, const CabRecord *record, const CabMemberSpec *member);

CabContent *cab_content_hold (CabContent *self);

/* content.c: cab_content_ref(). */
CabContent *cab_content_ref_locked (CabContent *self);
void cab_content_drop (CabContent *self);

/* content.c: what the host, or the map, says of the blob; once, before READY. */
void cab_content_set_facts (CabContent *self, guint64 size, const char *etag, gint64 modified);

/* content.c: READY from now on; @openers become what waited and are users.  The caller answers them. */
void cab_content_ready_locked (CabContent *self, GQueue *openers);
void cab_content_answer_openers (CabContent *self, GQueue *openers, const GError *error);

/* content.c: nobody lends it to us: whoever had its file may have closed it.  TRUE if the store has it for us now, and who
 * waited was answered; else what is fetched goes to the store if nobody else has the file by now, and if somebody has,
 * `link` is a new one, a few times.  While OPENING, by the thread that would ask the host for its first bytes; no lock
 * held. */
gboolean cab_content_open_again (CabContent *self);

/* content.c: nobody finds it any more; TRUE if the table had it, then the caller drops the table's reference. */
gboolean cab_content_leave_locked (CabContent *self);

/* content.c: opens the content of a member, whatever speaks against it. */
void cab_contents_join_member (CabContents *self, const CabScope *scope, const CabRecord *record,
                               const CabMemberSpec *member, CabReach reach, CabOpenDone done, gpointer data);

/* Moves all of @from to the empty @into. */
void cab_queue_steal (GQueue *from, GQueue *into);

/* content.c: goes on to the next phase of its end if nobody uses it: saves, retires.  No lock held. */
void cab_content_settle (CabContent *self);

/* stream.c: starts what is needed for the bytes of @zone; those before @urgent first.  No lock held. */
void cab_content_fetch (CabContent *self, CabZone zone, guint64 urgent);

/* stream.c: asks the streams to end, but those that are nearly there unless it has failed.  No lock held. */
void cab_content_cancel (CabContent *self);

/* stream.c: the blob is another one, or the bytes are wrong: everything waiting fails with @error, what is on disk goes.
 * One that retires is left to do so: nobody waits for it.  No lock held. */
void cab_content_fail (CabContent *self, const GError *error);

/* read.c: notes why readers are answered with @error. */
void cab_content_trouble_locked (CabContent *self, const GError *error);

/* read.c: TRUE for a while after that, unless bytes came. */
gboolean cab_content_is_in_trouble_locked (const CabContent *self);

/* read.c: moves those whose bytes are all here; none while the whole is being compared (trust.c). */
void cab_content_take_satisfied_locked (CabContent *self, GQueue *into);

/* read.c: gives the readers what they want of [off, end) out of hand: while it is warm, and where the store has no room
 * for it.  TRUE if somebody wants bytes of [end, stream_end) too. */
gboolean cab_content_hand_out_locked (CabContent *self, guint64 off, guint64 end, const char *bytes,
                                      guint64 stream_end);

/* read.c: moves those who wait for bytes of @lost that nothing else brings. */
void cab_content_take_bereft_locked (CabContent *self, CabRange lost, GQueue *into);

/* stream.c: a reader now waits for what was fetched ahead.  No lock held. */
void cab_content_hurry (CabContent *self, CabRange range);

/* read.c: answers @readers, with their bytes or with @error, and frees them.  No lock held. */
void cab_content_answer_readers (CabContent *self, GQueue *readers, const GError *error);

/* --- extraction.c: contents that are members --- */

CabMemberSpec *cab_member_spec_copy (const CabMemberSpec *member);
void cab_member_spec_free (CabMemberSpec *member);

/* Of the object that member @id of CAB @cab_id is in the store. */
char *cab_member_object_id (const char *cab_id, CabMemberId id);

GHashTable *cab_extraction_refusals_new (void);

CabExtraction *cab_extraction_new (const CabScope *scope, const CabRecord *record, const CabMemberSpec *member);
void cab_extraction_free (CabExtraction *self);

/* FALSE if @self is the member of another version of the CAB than @member. */
gboolean cab_extraction_fits_locked (const CabContent *self, const CabMemberSpec *member);

/* The object of a member in the store, and what it has: all of it, or nothing.  No lock held. */
CabObject *cab_extraction_open (CabContent *self, CabMap *map);

/* TRUE if its size is known though it is not here: then it is known to @self too. */
gboolean cab_extraction_knows_locked (CabContent *self);

/* The bytes of @cab are wrong or another version's: those of its members are so too.  No lock held. */
void cab_extraction_spoil (CabContent *cab, const GError *error);

/* A member that its worker could not take out is not tried again before: the bytes of an archive do not change. */
#define CAB_REFUSED_US (10 * G_USEC_PER_SEC)

void cab_refusal_add_locked (CabContent *self, const GError *error, gint64 now_us);
void cab_refusals_expire_locked (CabContents *contents, gint64 now_us);

/* --- extract.c: the workers of members --- */

/* TRUE while a worker is at it. */
gboolean cab_extraction_runs_locked (const CabContent *self);

/* Sets a worker to it if somebody waits for bytes.  No lock held. */
void cab_extraction_start (CabContent *self);

/* Nobody has it open, or it has failed: the worker ends, at once or after a while.  No lock held. */
void cab_extraction_cancel (CabContent *self);

/* Ends workers that nobody needs.  No lock held. */
void cab_extractions_tick (CabContents *contents, gint64 now_us);

/* --- trust.c: what an earlier time left --- */

/* TRUE if a byte of [start, end) has to be checked before it is handed out. */
gboolean cab_content_doubts_locked (const CabContent *self, guint64 start, guint64 end);

/* Compares what is doubted of [start, end) with its sums: what does not fit is not here any more.  Reads from the disk,
 * once for each piece.  No lock held. */
void cab_content_check (CabContent *self, guint64 start, guint64 end);

/* Bytes that a transfer, whose @summer it is, has brought into the store.  No lock held. */
void cab_content_sum_up (CabContent *self, CabSummer *summer, guint64 off, const char *bytes, gsize len);

/* What a map may speak of: the pieces that are here and have a sum; of a member, all. */
void cab_content_vouch_locked (const CabContent *self, CabMap *map);

/* All is here, and is being compared with the MD5 that the host tells: who waits for some of it goes on waiting, until
 * save_work() answers him. */
gboolean cab_content_is_unverified_locked (const CabContent *self);

/* All is here and trusted: `complete` from now on. */
void cab_content_note_complete_locked (CabContent *self);

/* --- trim.c: what is given back while it is open --- */

/* Who found bytes in `have` and lets go of the lock to read them holds a pin meanwhile, not 0, or they may be gone. */
guint cab_content_pin_locked (CabContent *self);
void cab_content_unpin (CabContent *self, guint pin);

/* stream.c: begins anew for all who wait.  No lock held. */
void cab_content_fetch_for_readers (CabContent *self);

/* save.c: TRUE if a save job is due; then it is pushed with cab_content_push_save() once the lock is gone. */
gboolean cab_content_save_due_locked (CabContent *self);
void cab_content_push_save (CabContent *self);

#endif
