/* ask.h - one question, asked until it has an answer that is final: tries, back-off, silence.
 *
 * What is asked and what an answer means is its owner's affair (call.c for the API, reach.c for blob hosts).  Here
 * is what they share: a try that fails is repeated after the pause that retry.h says, without a thread that sleeps;
 * a host that asks for a pause gets it from everyone; a connection that falls silent is given up after `stall_ms`
 * and the next try, if `timeout_ms` leaves time for one, gets a new one; and all ends with CAB_ERROR_TIMEOUT after
 * `timeout_ms` in which nothing came at all.  Waiting for a place is silence only when the whole lane is silent.
 *
 * Threads: everything on the transport's thread.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_ASK_H
#define CABFS_CLIENT_ASK_H

#include "client/http.h"
#include "client/retry.h"

typedef struct CabAsk CabAsk;

typedef enum {
  CAB_ASK_DONE,  /* that was it */
  CAB_ASK_AGAIN, /* ask again at once: the question has changed */
  CAB_ASK_RETRY, /* ask again if and when retry.h says so, else end with @error */
  CAB_ASK_FAULT, /* the same, as if there had been no answer */
  CAB_ASK_FAIL,  /* end with @error */
} CabAskNext;

typedef struct {
  CabHttp *http;
  guint lane;
  guint priority;
  const void *flow;
  CabRetryKind kind;
  CabRequestKind counts_as;
  guint tries;
  guint timeout_ms; /* without progress, over all tries */
  guint stall_ms;   /* of one try */
} CabAskConfig;

typedef struct {
  /* Fills in what is asked; lane, priority, stall_ms and fresh are set already.  What @spec points to is copied
   * after the call. */
  void (*question) (gpointer data, CabRequestSpec *spec);
  /* There is a place: cab_ask_go() or cab_ask_end(), now or later.  May come again before an answer does (http.h). */
  void (*ready) (gpointer data);
  /* As in http.h. */
  CabBody (*head) (gpointer data, const CabAnswer *answer);
  gboolean (*body) (gpointer data, const void *bytes, gsize len);
  /* An answer is complete, or `head` or `body` wanted no more of it. */
  CabAskNext (*answered) (gpointer data, const CabAnswer *answer, GError **error);
  /* The end, exactly once.  @answer is the one that led to it, or NULL. */
  void (*done) (gpointer data, const CabAnswer *answer, const GError *error);
} CabAskSink;

/* Returns a reference; asks at once. */
CabAsk *cab_ask_new (const CabAskConfig *config, const CabAskSink *sink, gpointer data);
CabAsk *cab_ask_ref (CabAsk *self);
void cab_ask_unref (CabAsk *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabAsk, cab_ask_unref)

/* Sends it, as cab_request_go(). */
void cab_ask_go (CabAsk *self, const char *url, const char *const *headers);

/* Ends it with @error, unless it has ended. */
void cab_ask_end (CabAsk *self, const GError *error);

gboolean cab_ask_is_over (const CabAsk *self);

/* Something useful came: the count of tries and the silence start anew. */
void cab_ask_progress (CabAsk *self);

void cab_ask_set_priority (CabAsk *self, guint priority);

#endif
