/* fake-client.h - the contract of client.h without a network, for tests of cache/: requests lie in a queue until the
 * test answers them, from whichever thread it likes.
 *
 * Bytes: byte @off of the one blob there is, is fake_byte (off).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_TESTS_FAKE_CLIENT_H
#define CABFS_TESTS_FAKE_CLIENT_H

#include "client/client.h"

/* The size and ETag of the blob from now on. */
void fake_set_blob (guint64 size, const char *etag);

/* The same with its bytes, instead of fake_byte(). */
void fake_set_bytes (GBytes *bytes, const char *etag);
guchar fake_byte (guint64 off);

typedef enum { FAKE_LIST, FAKE_STACKTRACE, FAKE_PROBE, FAKE_GET, FAKE_KINDS } FakeKind;

typedef struct {
  FakeKind kind;
  CabListSink list; /* of FAKE_LIST */
  gpointer data;
  CabStacktraceDone stacktrace; /* of FAKE_STACKTRACE */
  CabProbeDone probe;    /* of FAKE_PROBE */
  char *id;              /* of the CAB; of FAKE_LIST, the scope as text */
  CabTransfer *transfer; /* of FAKE_GET, a reference */
  guint64 off, len;
} FakeRequest;

/* The next request, in order of arrival; waits for one.  NULL once fake_stop() was called and none is left. */
FakeRequest *fake_take (void);

/* Requests made so far. */
guint fake_count (FakeKind kind);

/* Answers and frees. */
void fake_answer_list (FakeRequest *request, CabRecords *records, const GError *error);
void fake_answer_stacktrace (FakeRequest *request, GBytes *text, const GError *error);
void fake_answer_probe (FakeRequest *request, const GError *error);

/* Facts, then @len bytes (at most what was asked for, at most what there is) in pieces of at most @piece, then done
 * with @error; stops early where the sink ends the transfer or it was cancelled. */
void fake_answer_get (FakeRequest *request, guint64 len, gsize piece, const GError *error);

/* What was asked for last. */
CabPriority fake_priority (const FakeRequest *request);

/* Calls @func in each cab_blob_get() from now on, with the range's beginning, before that returns.  NULL: no more. */
void fake_on_get (void (*func) (gpointer data, guint64 off), gpointer data);

/* Later requests are answered with CAB_ERROR_CANCELLED, and so are those that wait. */
void fake_stop (void);
void fake_start (void);

#endif
