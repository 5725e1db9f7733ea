/* reach.h - a question to the host of a blob: an address that works, and what the host's refusals mean.
 *
 * The address is looked at when the request has its place, not when it was queued: it may live for seconds.  One
 * that ran out is renewed before it is sent; one the host does not take is renewed once, and once more only after
 * bytes came.  A blob host gets the address and what the question adds: the type of CabReachSink has no room for
 * credentials.
 *
 * Threads: everything on the thread of the blob hosts' transport.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_REACH_H
#define CABFS_CLIENT_REACH_H

#include "client/ask.h"
#include "client/blob.h"

typedef struct CabReach CabReach;

typedef struct {
  CabMethod method;
  gboolean has_range;
  guint64 first, last;  /* of the range */
  const char *if_match; /* NULL: none; copied */
} CabReachQuestion;

typedef enum {
  CAB_REACH_REFUSED, /* no answer to the question: the status decides */
  CAB_REACH_DONE,
  CAB_REACH_AGAIN, /* the question has changed */
  CAB_REACH_FAULT, /* as a fault of the network: try again if there are tries left, else end with @error */
  CAB_REACH_FAIL,  /* with @error */
} CabReachNext;

typedef struct {
  CabReachQuestion (*question) (gpointer data);
  /* As in http.h. */
  CabBody (*head) (gpointer data, const CabAnswer *answer);
  gboolean (*body) (gpointer data, const void *bytes, gsize len);
  CabReachNext (*answered) (gpointer data, const CabAnswer *answer, GError **error);
  /* The end, exactly once.  Errors as in client.h. */
  void (*done) (gpointer data, const GError *error);
} CabReachSink;

/* @lane and @priority of the transport.  Keeps a reference to @blob.  Freed by itself after `done`. */
CabReach *cab_reach_new (CabBlob *blob, guint lane, guint priority, const CabReachSink *sink, gpointer data);

/* Not after `done`. */
void cab_reach_end (CabReach *self, const GError *error);
void cab_reach_set_priority (CabReach *self, guint priority);

/* Bytes came that were wanted. */
void cab_reach_progress (CabReach *self);

#endif
