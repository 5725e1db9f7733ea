/* unpack-rig.h - jobs of cache/unpack.h in tests: archives out of memory or made up, what came out of them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_TESTS_UNPACK_RIG_H
#define CABFS_TESTS_UNPACK_RIG_H

#include "cache/unpack.h"
#include "client/error.h"
#include "tests/unit/latch.h"

#include <sys/types.h>

#define RIG_KIB 1024u
#define RIG_MIB (1024u * 1024)

/* One job.  What callbacks set is to be read after `done` was waited for, or in `on_written`. */
typedef struct Run {
  /* what the job gets */
  GBytes *archive; /* bytes behind its end, up to size, are 0 */
  guint64 size;
  void (*fill) (guint8 *bytes, guint64 off, gsize len); /* instead of archive, or NULL */
  gboolean hold;                                        /* needs are not answered but by run_answer() */
  void (*on_written) (struct Run *self, guint64 end);
  CabUnpack *job;
  int fd; /* of what is extracted, -1 to list */
  Latch needs, dones;
  /* what came */
  CabUnpack *seen; /* the job, for callbacks: they may run before `job` is set */
  guint64 need_off;
  gsize need_len;
  guint64 asked;        /* bytes */
  guint64 written_then; /* when the last need came */
  GString *members;     /* a line each: outer/ordinal size path */
  guint member_count;
  guint64 written;
  guint64 result;
  GError *error;
} Run;

/* One with @most workers, and one that has more than @parallel only while some of them wait for bytes. */
CabUnpacker *rig_unpacker (guint most, guint64 limit);
CabUnpacker *rig_unpacker_beyond (guint parallel, guint most, guint64 limit);

/* Instead of g_test_init(): makes unexpected warnings failures, in a way that threads can share. */
void rig_init (int *argc, char ***argv);

/* The worker's path, and that of the one that behaves badly. */
char *rig_program (void);
char *rig_rogue (void);

/* The files of tests/samples, and those that are made; NULL where a test has to be skipped. */
GBytes *rig_sample (const char *name);
GBytes *rig_made (const char *name);
GBytes *rig_foreign (const char *name);

/* Takes @archive. */
void run_init (Run *self, GBytes *archive);
void run_clear (Run *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Run, run_clear)

void run_list (Run *self, CabUnpacker *unpacker);
void run_extract (Run *self, CabUnpacker *unpacker, guint outer, guint ordinal, guint64 expected);
void run_answer (Run *self);
void run_wait (Run *self);
void run_assert_ok (Run *self);

/* @words: a pattern for the message. */
void run_assert_error (Run *self, CabErrorCode code, const char *words);

/* What was extracted. */
GBytes *run_result (Run *self);

/* As make-archives.py has it. */
GBytes *rig_pattern (gsize size);

/* The next warning has to be like @words; another one, or a second, fails the test.  Ends with
 * rig_assert_warned(). */
void rig_expect_warning (const char *words);
void rig_assert_warned (void);

/* Processes that this one started and that live: how many, and one of them. */
guint rig_children (pid_t *any);

#define RUN(name, archive)                                                                                     \
  g_auto (Run) name;                                                                                           \
  run_init (&name, archive)

#endif
