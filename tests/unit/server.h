/* server.h - a web server inside a test: a function answers, every request is remembered, faults are made to order.
 *
 * A thread for each connection, so an answer may wait as long as it likes.  The handler runs on those threads, one
 * call at a time.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_TESTS_SERVER_H
#define CABFS_TESTS_SERVER_H

#include <glib.h>

typedef struct Server Server;

/* What happens when `stop_at` bytes of the body were sent. */
typedef enum { FATE_NONE, FATE_CLOSE, FATE_RESET, FATE_STALL } Fate;

typedef struct {
  /* the request */
  const char *method;
  const char *target; /* path and query, as sent */
  const char *path;
  const char *form; /* body of a POST */
  const char *range, *if_match, *authorization, *user_agent, *accept_encoding, *metadata;
  guint index; /* how many requests had the same path before */
  /* the answer: the handler fills it in */
  guint status;
  GString *body;
  guint64 size; /* of the body if it is made up by `fill`, which then is used instead of `body` */
  void (*fill) (guint64 at, char *bytes, gsize len);
  Fate fate;
  guint64 stop_at;
  gboolean hold;      /* not a byte before server_release() */
  guint drip_us;      /* between pieces of 1 KiB */
  gint date_offset_s; /* the server's clock is off */
  GPtrArray *headers; /* name, value, …; use server_header() */
} Exchange;

typedef void (*ServerHandler) (Exchange *exchange, gpointer data);

Server *server_new (ServerHandler handler, gpointer data);
/* Ends what waits. */
void server_free (Server *self);

/* http://127.0.0.1:PORT */
const char *server_url (const Server *self);

/* In the handler. */
void server_header (Exchange *exchange, const char *name, const char *format, ...) G_GNUC_PRINTF (3, 4);
void server_body (Exchange *exchange, const char *format, ...) G_GNUC_PRINTF (2, 3);
/* Answers as a blob host: HEAD, ranges, If-Match.  @etag may be NULL. */
void server_blob (Exchange *exchange, const char *bytes, gsize len, const char *etag);

/* In the test.  @what is a prefix of "METHOD /path?query". */
guint server_count (Server *self, const char *what);
/* How many had @part anywhere in that. */
guint server_count_with (Server *self, const char *part);
/* The @nth such request's header lines of interest: "Range: …\nIf-Match: …\nAuthorization: …\n", or NULL. */
char *server_request (Server *self, const char *what, guint nth);
/* Waits until there were @count such requests; fails the test after 20 s. */
void server_wait (Server *self, const char *what, guint count);
/* Answers that are held go on, and no other is held from now on, or before server_hold(). */
void server_release (Server *self);
void server_hold (Server *self);
/* Connections so far. */
guint server_connections (Server *self);
/* Most requests that were being answered at the same time. */
guint server_peak (Server *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Server, server_free)

#endif
