/* token.h - the bearer token: had from its source, kept, renewed ahead of its end, dropped when refused.
 *
 * One renewal is under way at a time, whoever waits for it.  While the old token lives it is handed out and the
 * renewal happens behind; the margin is the larger of 120 s and 5 % of the lifetime, but never more than half of
 * it.  That the login host refused us is remembered for a minute, and what else would not pass by trying again at once for
 * 5 s, so that a walk over the mount does not hammer it.  Nothing is renewed that nobody asks for.  A certificate's proof
 * that the login host refuses while its clock differs from ours is made once more, by its clock.
 *
 * Threads: everything, callbacks included, on the thread of the transport; new and free on any.
 * Secrets: values are wiped when they go.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_TOKEN_H
#define CABFS_CLIENT_TOKEN_H

#include "client/credentials.h"
#include "client/http.h"

typedef struct CabToken CabToken;

typedef struct {
  CabHttp *http; /* outlived by nothing but the token's memory: see cab_token_free() */
  guint lane;
  const char *login_url; /* no slash at the end */
  const char *resource;  /* what the token is for */
  guint version;         /* 1 or 2 */
  guint timeout_ms;      /* of one request, or of the command */
  guint tries;
} CabTokenConfig;

/* Copies @config, takes ownership of @credentials. */
CabToken *cab_token_new (const CabTokenConfig *config, CabCredentials *credentials);

/* After the transport was freed, which ends a renewal. */
void cab_token_free (CabToken *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabToken, cab_token_free)

/* @value lives as long as the callback. */
typedef void (*CabTokenDone) (gpointer data, const char *value, const GError *error);

/* @done runs before the call returns if a token is at hand.
 * Errors: DENIED (the login host refuses us), FAILED, TIMEOUT, INVALID, CANCELLED. */
void cab_token_get (CabToken *self, CabTokenDone done, gpointer data);

/* TRUE if there is one that has not run out. */
gboolean cab_token_is_here (const CabToken *self);

/* For requests that begin from now on.  The token is renewed behind the next who asks for one, and a failure is not
 * remembered any more: what it is had from may be another thing by now. */
void cab_token_change (CabToken *self, guint timeout_ms, guint tries);

/* The API answered 401 to @value.  TRUE: ask for a token and try again, it will be another one.  FALSE: it is not
 * the token's fault, or another was fetched for this reason so lately that one more would not help. */
gboolean cab_token_reject (CabToken *self, const char *value);

/* The API answered 401 to @value although it was fetched after a 401: what was asked for is not for us.  For a
 * minute no further answer counts against this token. */
void cab_token_absolve (CabToken *self, const char *value);

#endif
