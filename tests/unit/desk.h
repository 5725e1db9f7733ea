/* desk.h - a token and the login host that it is asked of, for tests.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_TESTS_DESK_H
#define CABFS_TESTS_DESK_H

#include "client/token.h"
#include "tests/unit/latch.h"
#include "tests/unit/server.h"

#define V1       "POST /tenant/oauth2/token"
#define V2       "POST /tenant/oauth2/v2.0/token"
#define RESOURCE "https://service.example"
#define SECRET   "hushhush-1234567890"

typedef struct Desk Desk;
struct Desk {
  Server *server;
  CabHttp *http;
  CabToken *token;
  char *directory;
  guint lifetime_s;
  guint status; /* the answer to the first `failures` requests */
  guint failures;
  gboolean hold;
  const char *must_have; /* in the form */
  void (*check) (Desk *self,
                 Exchange *exchange); /* further, of any request; may answer with a status of its own */
  gpointer data;                      /* for it */
};

typedef struct {
  Desk *desk;
  Latch latch;
  char *value;
  GError *error;
  gboolean before_return; /* it came before the call returned */
  gboolean verdict;
  const char *rejected;
} Asked;

void desk_init (Desk *self);
void desk_clear (Desk *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Desk, desk_clear)

#define DESK(name)                                                                                             \
  g_auto (Desk) name;                                                                                          \
  desk_init (&name)

/* A file in its directory; the path. */
char *desk_write (Desk *self, const char *name, const char *text, int mode);

void desk_open (Desk *self, const CabTokenOptions *options, guint version, guint timeout_ms);
void desk_open_with_secret (Desk *self, guint version);
void desk_open_with_command (Desk *self, const char *command, guint timeout_ms);

void asked_init (Asked *self, Desk *desk);
void asked_clear (Asked *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Asked, asked_clear)

/* For cab_http_run(): asks for a token, and raises the latch when there is an answer. */
void asked_get (gpointer data);

/* A token, or the error in its stead. */
char *desk_get (Desk *desk);
GError *desk_get_error (Desk *desk);
void desk_assert_token (Desk *desk, const char *expected);

gboolean desk_reject (Desk *desk, const char *value);
void desk_absolve (Desk *desk, const char *value);

#endif
