/* rig.h - a client between two servers of the test: one that is login host and API, one that is a blob host.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_TESTS_RIG_H
#define CABFS_TESTS_RIG_H

#include "client/client.h"
#include "client/error.h"
#include "tests/unit/latch.h"
#include "tests/unit/server.h"

#define RIG_BATCH "/v1.0/my/analytics/driver/cabdownloadbatch"
#define RIG_APP   "14000000000000001"
#define RIG_HASH  "0f0e0d0c-0b0a-0908-0706-050403020100"
#define RIG_CAB   "11111111-2222-3333-4444-555555555555"

typedef struct {
  Server *api;
  Server *blobs;
  CabClient *client;
  CabScope *scope; /* of RIG_HASH */
  CabClientOptions options;
  char *directory;
} Rig;

/* The handlers get @data.  Options are those of a patient client with little patience: 5 tries, 20 s. */
Rig *rig_new (ServerHandler api, ServerHandler blobs, gpointer data);
void rig_free (Rig *self);

/* Makes the client from `options`, which the test may have changed. */
void rig_start (Rig *self);

/* In an API handler: the token endpoint; TRUE if it was asked for.  Tokens are "token-1", "token-2", … */
gboolean rig_answer_token (Exchange *exchange, guint lifetime_s);

/* An expiry for a SAS, @life_s from now, as "2025-01-10T02:37:28Z". */
char *rig_expiry (gint life_s);

/* What came of a call. */
typedef struct {
  Latch latch;
  GByteArray *bytes;
  guint64 next; /* where the next byte has to come */
  guint facts;  /* times they were told */
  guint64 size;
  char *etag, *md5;
  gint64 modified;
  CabRecords *records;
  guint pages;
  guint ends;
  CabErrorCode code; /* if @failed */
  gboolean failed;
  char *message;
  guint64 stop_at; /* `write` fails there, if not 0 */
} Outcome;

void outcome_init (Outcome *self);
void outcome_clear (Outcome *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Outcome, outcome_clear)

#define OUTCOME(name)                                                                                          \
  g_auto (Outcome) name;                                                                                       \
  outcome_init (&name)

extern const CabSink outcome_sink;
extern const CabListSink outcome_list_sink;
void outcome_probed (gpointer data, const CabFacts *facts, const GError *error);

/* @url may be NULL. */
CabBlob *rig_blob (Rig *self, const char *url, gint64 date);

/* These wait for the end. */
void rig_get (CabBlob *blob, guint64 off, guint64 len, const char *etag, Outcome *outcome);
void rig_probe (CabBlob *blob, Outcome *outcome);
void rig_list (Rig *self, Outcome *outcome);

/* The bytes that blobs are made of. */
char rig_byte (guint64 at);
void rig_fill (guint64 at, char *bytes, gsize len);
void rig_check_bytes (const Outcome *outcome, guint64 off, gsize len);

#define rig_assert_error(outcome, expected)                                                                    \
  G_STMT_START {                                                                                               \
    if (!(outcome)->failed)                                                                                    \
      g_error ("%s:%d: no error where %s was expected", __FILE__, __LINE__, #expected);                        \
    if ((outcome)->code != (expected))                                                                         \
      g_error ("%s:%d: code %d instead of %s: %s", __FILE__, __LINE__, (int) (outcome)->code, #expected,       \
               (outcome)->message);                                                                            \
  }                                                                                                            \
  G_STMT_END
#define rig_assert_ok(outcome)                                                                                 \
  G_STMT_START {                                                                                               \
    if ((outcome)->failed)                                                                                     \
      g_error ("%s:%d: %s", __FILE__, __LINE__, (outcome)->message);                                           \
  }                                                                                                            \
  G_STMT_END

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Rig, rig_free)

#endif
