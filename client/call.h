/* call.h - one GET to the API: the token, the retries, and what a status means.
 *
 * Threads: everything on the thread of the API's transport; new and free on any.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_CALL_H
#define CABFS_CLIENT_CALL_H

#include "client/http.h"
#include "client/token.h"
#include "client/ways.h"

typedef struct CabCalls CabCalls;

typedef struct {
  CabHttp *http;
  guint lane;
  guint parallel; /* requests at a time, as the lane has it */
  CabToken *token;
  const char *api_url; /* no slash at the end */
  guint timeout_ms;
  guint tries;
} CabCallsConfig;

CabCalls *cab_calls_new (const CabCallsConfig *config);
void cab_calls_free (CabCalls *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabCalls, cab_calls_free)

/* For calls that begin from now on. */
void cab_calls_change (CabCalls *self, guint timeout_ms, guint tries);

CabHttp *cab_calls_http (const CabCalls *self);

/* How many calls are worth making side by side. */
guint cab_calls_parallel (const CabCalls *self);

/* What has answered so far. */
CabWays *cab_calls_ways (const CabCalls *self);

/* Unix seconds by the API's clock, as of its last answer. */
gint64 cab_calls_time (const CabCalls *self);

/* @answer is of status 2xx or 3xx if there is no @error; with one it is the answer that led to it, or NULL.
 * Errors: DENIED (401 with a fresh token, 403), NOT_FOUND (404, 410), TIMEOUT, INVALID, FAILED, CANCELLED. */
typedef void (*CabCallDone) (gpointer data, const CabAnswer *answer, const GError *error);

typedef struct CabCall CabCall;

/* GET of @path, which begins with '/'; a body longer than @limit is INVALID.  It is counted as @kind.
 * What is returned is valid until @done has begun, which is always after the call has returned. */
CabCall *cab_call_get (CabCalls *self, const char *path, gsize limit, CabRequestKind kind, CabCallDone done,
                       gpointer data);

/* Ends it at once: `done` comes with CAB_ERROR_CANCELLED before the call returns. */
void cab_call_cancel (CabCall *self);

/* TRUE if another way to ask may work where this error came: 403, 404, 410 (api-contract.md 17). */
gboolean cab_call_is_absent (const CabAnswer *answer);

/* TRUE if @error, with which a call has just ended, is the API's refusal of what was asked for (401, 403), and not
 * that we have no token. */
gboolean cab_call_is_refused (const CabCalls *self, const GError *error);

#endif
