/* unpack.h - what is inside an archive, found out by a process of its own.
 *
 * Archive parsers are where the exploits are: they run in a worker (unpack_worker.c) without network, without
 * files beyond the descriptors it was given, without new privileges and with bounded memory.  One CabUnpack is
 * one job of one worker: to list the members of an archive, or to write one of them to a file.  Bytes of the
 * archive are asked of the owner (`need`), who gives them from wherever he has them; so a worker reads just
 * what it needs of an archive that is far away: the head of a cabinet, the end and the head of a ZIP, to list
 * them.
 *
 * Archives are cabinets (stored, MSZIP, LZX) and ZIPs (stored, deflate), told by their first bytes.  A member
 * of a ZIP whose name ends in ".cab" and that is a cabinet is followed, one level deep.
 *
 * Threads: one of the unpacker's own runs all callbacks, with no lock held; they must not block.  All calls may
 * be made from any thread, and from callbacks, but for cab_unpacker_free().
 * Life: cab_unpack_list() and cab_unpack_extract() give a reference; `done` runs exactly once, last, when the
 * worker is no more, also after cab_unpack_cancel(), a crash of the worker, and cab_unpacker_stop().
 *
 * Errors of `done`: INVALID (the archive is damaged, encrypted, of an unknown method, or lies about its sizes),
 * NO_SPACE (more than the limit, or the file's disk is full), CANCELLED, FAILED (the worker crashed or could
 * not be started), or what the owner gave with cab_unpack_fail().
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CACHE_UNPACK_H
#define CABFS_CACHE_UNPACK_H

#include <glib.h>

#include "client/records.h" /* CAB_TIME_UNKNOWN */

typedef struct CabUnpacker CabUnpacker;
typedef struct CabUnpack CabUnpack;

typedef struct {
  const char *program; /* of the worker: cab_unpack_program() */
  guint parallel;      /* workers that have their bytes: while there are so many, further jobs wait in order */
  guint most;          /* workers in all; those whose bytes come go on, however many they are then */
  guint64 limit;       /* most bytes that one job may write: key `member-limit` */
  guint patience_s;    /* of its own CPU time that a worker may spend without a word; 0: 60, see unpack.c */
} CabUnpackerOptions;

typedef struct {
  guint
      outer; /* 0: member of the archive itself; else 1 + the ordinal of the member (an inner .cab of a ZIP) it
                     * lies in */
  guint ordinal; /* of its header in that archive, from 0: with `outer` what cab_unpack_extract() takes */
  const char
      *path; /* as the archive says, '/' between parts, in UTF-8 (unpack_path.h); may be anything else: empty,
                     * absolute, with "..", of 60,000 bytes.  NOT yet safe */
  gboolean has_size;
  guint64 size;    /* as the archive declares it */
  gint64 modified; /* Unix seconds (the archives' local time is taken for UTC), CAB_TIME_UNKNOWN */
} CabMember;       /* regular files only: directories, links, devices are left out by the worker */

typedef struct {
  /* The worker wants bytes [off, off + len) of the archive, 0 < len <= 1 MiB, within its size;
   * cab_unpack_give() or cab_unpack_fail() answers, once.  There is one unanswered need at a time. */
  void (*need) (gpointer data, CabUnpack *job, guint64 off, gsize len);
  void (*member) (gpointer data, const CabMember *member); /* list only: in the order of the archive */
  void (*written) (gpointer data, guint64 end);            /* extract only: bytes [0, end) are in the file */
  void (*done) (gpointer data, guint64 size, const GError *error); /* size: of the whole extracted member */
} CabUnpackSink;

/* Where the worker is: beside a cabfs that runs from its build directory, else where it gets
 * installed.  Nothing in the environment changes it. */
char *cab_unpack_program (void);

CabUnpacker *cab_unpacker_new (const CabUnpackerOptions *options, GError **error);

/* Ends all jobs, also those that come later, with CANCELLED; returns when the `done` of all has run, unless it
 * was called from a callback. */
void cab_unpacker_stop (CabUnpacker *self);

/* Stops it, ends the thread.  Jobs may outlive it. */
void cab_unpacker_free (CabUnpacker *self);

/* @size: of the archive.  @sink is copied.  Callbacks, all of them, may run before these return. */
CabUnpack *cab_unpack_list (CabUnpacker *self, guint64 size, const CabUnpackSink *sink, gpointer data);

/* @fd: open for writing, empty, stays the caller's (the worker gets a duplicate).  @expected: size the listing
 * declared, or G_MAXUINT64; another one is INVALID. */
CabUnpack *cab_unpack_extract (CabUnpacker *self, guint64 size, guint outer, guint ordinal, guint64 expected,
                               int fd, const CabUnpackSink *sink, gpointer data);

/* @bytes are copied; @len as asked.  Nothing happens when the job has ended. */
void cab_unpack_give (CabUnpack *self, const void *bytes, gsize len);

/* Ends the job with a copy of @error. */
void cab_unpack_fail (CabUnpack *self, const GError *error);
void cab_unpack_cancel (CabUnpack *self);
void cab_unpack_unref (CabUnpack *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabUnpacker, cab_unpacker_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabUnpack, cab_unpack_unref)

#endif
