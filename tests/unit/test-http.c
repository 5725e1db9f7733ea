/* The transport by itself: places, order, limits, headers, ends.
 *
 * SPDX-License-Identifier: MIT
 */
#include "client/error.h"
#include "client/http.h"
#include "tests/unit/latch.h"
#include "tests/unit/server.h"

#include <string.h>

enum { LANE_ONE, LANE_THREE, LANE_PACKED, LANE_EIGHT, LANE_SPARE, LANE_PACED, LANES };

typedef struct {
  Server *server;
  CabHttp *http;
} Stage;

/* What came of a request. */
typedef struct {
  Latch latch;
  CabHttp *http;
  CabRequest *request;
  int status;
  char *body;
  char *header; /* X-Told */
  GError *error;
  guint ends;
  CabBody choice; /* of `head` */
  gsize streamed;
  gsize enough; /* `body` stops there, if not 0 */
  const char *go_to;
} Result;

static void handler (Exchange *exchange, gpointer data) {
  server_header (exchange, "X-Told", "%u", exchange->index);
  if (g_str_has_prefix (exchange->path, "/held"))
    exchange->hold = TRUE;
  if (g_str_has_prefix (exchange->path, "/held-503"))
    exchange->status = 503;
  if (g_str_equal (exchange->path, "/redirect")) {
    exchange->status = 302;
    server_header (exchange, "Location", "/elsewhere");
  } else if (g_str_equal (exchange->path, "/stall")) {
    exchange->fate = FATE_STALL;
    exchange->stop_at = 3;
  } else if (g_str_equal (exchange->path, "/drip")) {
    exchange->drip_us = 60000;
    g_string_set_size (exchange->body, 5 * 1024);
    memset (exchange->body->str, 'x', exchange->body->len);
  } else if (g_str_equal (exchange->path, "/refused")) {
    exchange->status = 500;
  } else if (g_str_equal (exchange->path, "/packed")) {
    static const guint8 packed[] = {0x1f, 0x8b, 8,    0,    0,    0,    0, 0, 0, 3, 0x4b,
                                    4,    0,    0x43, 0xbe, 0xb7, 0xe8, 1, 0, 0, 0};
    server_header (exchange, "Content-Encoding", "gzip");
    g_string_append_len (exchange->body, (const char *) packed, sizeof packed);
    server_header (exchange, "X-Asked", "%s", exchange->accept_encoding != NULL ? "yes" : "no");
    return;
  }
  server_body (exchange, "%s %s %s", exchange->method, exchange->path, exchange->form);
}

static void stage_init (Stage *self) {
  g_autoptr (GError) error = NULL;
  const CabLane lanes[LANES] = {[LANE_ONE] = {.parallel = 1},
                                [LANE_THREE] = {.parallel = 3, .buffer = 512 * 1024},
                                [LANE_PACKED] = {.parallel = 1, .http2 = TRUE, .compressed = TRUE},
                                [LANE_EIGHT] = {.parallel = 8},
                                [LANE_SPARE] = {.parallel = 4, .spare = 1},
                                [LANE_PACED] = {.parallel = 8, .paced = TRUE}};
  const CabHttpOptions options = {.name = "test", .lanes = lanes, .n_lanes = LANES};
  self->server = server_new (handler, self);
  self->http = cab_http_new (&options, &error);
  g_assert_no_error (error);
}

static void stage_clear (Stage *self) {
  cab_http_free (self->http);
  server_free (self->server);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Stage, stage_clear)

static void result_init (Result *self) {
  *self = (Result){.latch = LATCH_INIT};
}

static void result_clear (Result *self) {
  cab_request_unref (self->request);
  g_free (self->body);
  g_free (self->header);
  g_clear_error (&self->error);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Result, result_clear)

#define STAGE(name)                                                                                            \
  g_auto (Stage) name;                                                                                         \
  stage_init (&name)
#define RESULT(name)                                                                                           \
  g_auto (Result) name;                                                                                        \
  result_init (&name)

static CabBody on_head (gpointer data, const CabAnswer *answer) {
  Result *self = data;
  return self->choice;
}

static gboolean on_body (gpointer data, const void *bytes, gsize len) {
  Result *self = data;
  self->streamed += len;
  return self->enough == 0 || self->streamed < self->enough;
}

static void on_done (gpointer data, const CabAnswer *answer, const GError *error) {
  Result *self = data;
  gsize len = 0;
  const char *body = cab_answer_body (answer, &len);
  self->ends++;
  self->status = cab_answer_status (answer);
  self->body = g_strndup (len > 0 ? body : "", len);
  self->header = g_strdup (cab_answer_header (answer, "x-TOLD"));
  self->error = error == NULL ? NULL : g_error_copy (error);
  latch_up (&self->latch);
}

static void send (Stage *self, const char *path, CabRequestSpec spec, Result *result) {
  CabRequestSink sink = {.head = on_head, .body = on_body, .done = on_done};
  g_autofree char *url =
      g_strconcat (strstr (path, "://") != NULL ? "" : server_url (self->server), path, NULL);
  spec.url = url;
  spec.stall_ms = spec.stall_ms != 0 ? spec.stall_ms : 10000;
  spec.limit = spec.limit != 0 ? spec.limit : 1024;
  result->request = cab_http_send (self->http, &spec, &sink, result);
}

static void send_and_wait (Stage *self, const char *path, CabRequestSpec spec, Result *result) {
  send (self, path, spec, result);
  latch_wait (&result->latch, 1);
}

static void test_methods (void) {
  STAGE (stage);
  RESULT (get);
  RESULT (head);
  RESULT (post);
  send_and_wait (&stage, "/a%2Bb/./c", (CabRequestSpec){0}, &get);
  g_assert_no_error (get.error);
  g_assert_cmpint (get.status, ==, 200);
  g_assert_cmpstr (get.body, ==, "GET /a%2Bb/./c ");
  g_assert_cmpstr (get.header, ==, "0");
  send_and_wait (&stage, "/h", (CabRequestSpec){.method = CAB_METHOD_HEAD}, &head);
  g_assert_no_error (head.error);
  g_assert_cmpstr (head.body, ==, "");
  send_and_wait (&stage, "/p", (CabRequestSpec){.method = CAB_METHOD_POST, .form = "a=b%2B"}, &post);
  g_assert_no_error (post.error);
  g_assert_cmpstr (post.body, ==, "POST /p a=b%2B");
}

static void test_no_redirect (void) {
  STAGE (stage);
  RESULT (result);
  send_and_wait (&stage, "/redirect", (CabRequestSpec){0}, &result);
  g_assert_no_error (result.error);
  g_assert_cmpint (result.status, ==, 302);
  g_assert_cmpuint (server_count (stage.server, ""), ==, 1);
}

static void check_refused (const char *url, CabErrorCode code) {
  STAGE (stage);
  RESULT (result);
  send_and_wait (&stage, url, (CabRequestSpec){0}, &result);
  g_assert_error (result.error, CAB_ERROR, (int) code);
  g_assert_cmpint (result.status, ==, 0);
  g_assert_null (strstr (result.error->message, "secret"));
}

static void test_cannot_be_sent (void) {
  check_refused ("file:///etc/passwd?secret", CAB_ERROR_INVALID);
  check_refused ("gopher://127.0.0.1/secret", CAB_ERROR_INVALID);
  check_refused ("http://127.0.0.1:1/?sig=secret", CAB_ERROR_FAILED);
}

static void test_limit (void) {
  STAGE (stage);
  RESULT (good);
  RESULT (long_one);
  RESULT (refused);
  send_and_wait (&stage, "/12345", (CabRequestSpec){.limit = 11}, &good);
  g_assert_no_error (good.error);
  send_and_wait (&stage, "/123456", (CabRequestSpec){.limit = 11}, &long_one);
  g_assert_error (long_one.error, CAB_ERROR, CAB_ERROR_INVALID);
  send_and_wait (&stage, "/refused", (CabRequestSpec){.limit = 2}, &refused); /* the status tells enough */
  g_assert_no_error (refused.error);
  g_assert_cmpint (refused.status, ==, 500);
}

static void test_choices (void) {
  STAGE (stage);
  RESULT (stopped);
  RESULT (streamed);
  RESULT (enough);
  stopped.choice = CAB_BODY_STOP;
  send_and_wait (&stage, "/a", (CabRequestSpec){0}, &stopped);
  g_assert_no_error (stopped.error);
  g_assert_cmpint (stopped.status, ==, 200);
  g_assert_cmpstr (stopped.body, ==, "");
  streamed.choice = CAB_BODY_STREAM;
  send_and_wait (&stage, "/a", (CabRequestSpec){.limit = 1}, &streamed);
  g_assert_no_error (streamed.error);
  g_assert_cmpuint (streamed.streamed, ==, strlen ("GET /a "));
  enough.choice = CAB_BODY_STREAM;
  enough.enough = 1;
  send_and_wait (&stage, "/a", (CabRequestSpec){0}, &enough);
  g_assert_no_error (enough.error);
}

static void test_packed (void) {
  STAGE (stage);
  RESULT (packed);
  RESULT (verbatim);
  send_and_wait (&stage, "/packed", (CabRequestSpec){.lane = LANE_PACKED}, &packed);
  g_assert_no_error (packed.error);
  g_assert_cmpstr (packed.body, ==, "a");
  verbatim.choice = CAB_BODY_STREAM;
  send_and_wait (&stage, "/packed", (CabRequestSpec){.lane = LANE_ONE}, &verbatim);
  g_assert_no_error (verbatim.error);
  g_assert_cmpuint (verbatim.streamed, ==, 21);
}

static void test_stall (void) {
  STAGE (stage);
  RESULT (result);
  send_and_wait (&stage, "/stall", (CabRequestSpec){.stall_ms = 200}, &result);
  g_assert_error (result.error, CAB_ERROR, CAB_ERROR_TIMEOUT);
  g_assert_cmpint (result.status, ==, 200);
  g_assert_cmpstr (result.body, ==, "GET");
  RESULT (slow); /* longer than that in all, but never silent so long */
  send_and_wait (&stage, "/drip", (CabRequestSpec){.stall_ms = 200, .limit = 10000}, &slow);
  g_assert_no_error (slow.error);
}

static void test_lanes (void) {
  enum { MANY = 12 };
  STAGE (stage);
  Result results[MANY];
  RESULT (other);
  for (guint i = 0; i < MANY; i++) {
    result_init (&results[i]);
    send (&stage, "/held", (CabRequestSpec){.lane = LANE_THREE}, &results[i]);
  }
  server_wait (stage.server, "GET /held", 3);
  send_and_wait (&stage, "/other", (CabRequestSpec){.lane = LANE_ONE},
                 &other); /* a full lane is no other's affair */
  g_assert_cmpuint (server_count (stage.server, "GET /held"), ==, 3);
  server_release (stage.server);
  for (guint i = 0; i < MANY; i++) {
    latch_wait (&results[i].latch, 1);
    g_assert_no_error (results[i].error);
    result_clear (&results[i]);
  }
  g_assert_cmpuint (server_peak (stage.server), <=, 4);
}

/* --- who is next ---------------------------------------------------------------------------------------------- */

/* Until the transport had its chance to send what it would. */
static void settle (Stage *self) {
  RESULT (result);
  send_and_wait (self, "/settle", (CabRequestSpec){.lane = LANE_ONE}, &result);
}

static void send_many (Stage *self, const char *path, CabRequestSpec spec, Result *results, guint n) {
  for (guint i = 0; i < n; i++) {
    result_init (&results[i]);
    send (self, path, spec, &results[i]);
  }
}

static void wait_for_all (Result *results, guint n, int status) {
  for (guint i = 0; i < n; i++) {
    latch_wait (&results[i].latch, 1);
    g_assert_no_error (results[i].error);
    g_assert_cmpint (results[i].status, ==, status);
    result_clear (&results[i]);
  }
}

/* Asks for @n at once, which are held: how many were sent. */
static guint under_way (Stage *self, const char *url, Server *server, guint n, guint expected) {
  Result results[32];
  guint before = server_count (server, "GET /held-200");
  g_autofree char *path = g_strconcat (url, "/held-200", NULL);
  server_hold (server);
  send_many (self, path, (CabRequestSpec){.lane = LANE_EIGHT}, results, n);
  server_wait (server, "GET /held-200", before + expected);
  settle (self);
  guint sent = server_count (server, "GET /held-200") - before;
  server_release (server);
  wait_for_all (results, n, 200);
  return sent;
}

/* A host that is asked for too much is asked for half, and for more again with every answer; no other host is. */
static void test_throttle (void) {
  STAGE (stage);
  STAGE (other);
  Result results[8];
  const char *url = server_url (stage.server);
  g_assert_cmpuint (under_way (&stage, url, stage.server, 20, 8), ==, 8);
  server_hold (stage.server);
  send_many (&stage, "/held-503", (CabRequestSpec){.lane = LANE_EIGHT}, results, 8);
  server_wait (stage.server, "GET /held-503", 8);
  server_release (stage.server);
  wait_for_all (results, 8, 503); /* all of them are one refusal */
  g_assert_cmpuint (under_way (&stage, server_url (other.server), other.server, 20, 8), ==, 8);
  g_assert_cmpuint (under_way (&stage, url, stage.server, 20, 4), ==, 4);
  for (guint i = 0; i < 64; i++) {
    RESULT (result);
    send_and_wait (&stage, "/good", (CabRequestSpec){.lane = LANE_EIGHT}, &result);
  }
  g_assert_cmpuint (under_way (&stage, url, stage.server, 20, 8), ==, 8);
}

/* Read-ahead leaves a place for who comes with another file, and shares the others evenly between files. */
static void test_flows (void) {
  enum { MANY = 6 };
  STAGE (stage);
  Result a[MANY], c[2];
  RESULT (b);
  send_many (&stage, "/held-a", (CabRequestSpec){.lane = LANE_SPARE, .priority = 1, .flow = a}, a, MANY);
  server_wait (stage.server, "GET /held-a", 3);
  settle (&stage);
  g_assert_cmpuint (server_count (stage.server, "GET /held-a"), ==, 3);
  send (&stage, "/held-b", (CabRequestSpec){.lane = LANE_SPARE, .flow = &b}, &b);
  server_wait (stage.server, "GET /held-b", 1);
  send_many (&stage, "/held-c", (CabRequestSpec){.lane = LANE_SPARE, .priority = 1, .flow = c}, c, 2);
  settle (&stage);
  g_assert_cmpuint (server_count (stage.server, "GET /held-"), ==, 4);
  cab_request_cancel (b.request); /* its place is the spare one */
  settle (&stage);
  g_assert_cmpuint (server_count (stage.server, "GET /held-"), ==, 4);
  cab_request_cancel (a[0].request); /* A has two places, C none */
  server_wait (stage.server, "GET /held-c", 1);
  cab_request_cancel (a[1].request); /* both have one, and A's next came before C's */
  server_wait (stage.server, "GET /held-a", 4);
  cab_request_cancel (c[0].request); /* A has two, C none */
  server_wait (stage.server, "GET /held-c", 2);
  settle (&stage);
  g_assert_cmpuint (server_count (stage.server, "GET /held-"), ==, 4 + 1 + 2);
  server_release (stage.server);
  for (guint i = 0; i < MANY; i++) {
    latch_wait (&a[i].latch, 1);
    result_clear (&a[i]);
  }
  for (guint i = 0; i < 2; i++) {
    latch_wait (&c[i].latch, 1);
    result_clear (&c[i]);
  }
}

/* How many of a lot are sent ahead; who waits himself is not counted, and comes through. */
static guint sent_ahead (Stage *self, guint expected) {
  enum { MANY = 12 };
  Result ahead[MANY];
  RESULT (urgent);
  guint before = server_count (self->server, "GET /held-ahead");
  server_hold (self->server);
  send_many (self, "/held-ahead", (CabRequestSpec){.lane = LANE_PACED, .priority = 1}, ahead, MANY);
  server_wait (self->server, "GET /held-ahead", before + expected);
  settle (self);
  guint sent = server_count (self->server, "GET /held-ahead") - before;
  if (sent < 8)
    send_and_wait (self, "/urgent", (CabRequestSpec){.lane = LANE_PACED}, &urgent);
  server_release (self->server);
  wait_for_all (ahead, MANY, 200);
  return sent;
}

/* What is fetched ahead of a host that is near gets few connections, and all of a far one. */
static void test_pace (void) {
  STAGE (stage);
  RESULT (slow);
  send (&stage, "/held", (CabRequestSpec){.lane = LANE_PACED}, &slow);
  server_wait (stage.server, "GET /held", 1);
  g_usleep (20000); /* as far as that */
  server_release (stage.server);
  latch_wait (&slow.latch, 1);
  g_assert_cmpuint (sent_ahead (&stage, 8), ==, 8);
  for (guint i = 0; i < 100; i++) {
    RESULT (quick);
    send_and_wait (&stage, "/quick", (CabRequestSpec){.lane = LANE_PACED}, &quick);
  }
  g_assert_cmpuint (sent_ahead (&stage, 4), ==, 4);
}

static void cancel_and_tell (gpointer data) {
  Result *self = data;
  cab_request_cancel (self->request);
}

static void test_cancel (void) {
  STAGE (stage);
  RESULT (running);
  RESULT (waiting);
  RESULT (after);
  send (&stage, "/held", (CabRequestSpec){0}, &running);
  server_wait (stage.server, "GET /held", 1);
  send (&stage, "/waits", (CabRequestSpec){.priority = 1}, &waiting);
  cab_request_cancel (waiting.request);
  latch_wait (&waiting.latch, 1);
  g_assert_error (waiting.error, CAB_ERROR, CAB_ERROR_CANCELLED);
  cab_http_run (stage.http, cancel_and_tell, &running); /* on its own thread too */
  latch_wait (&running.latch, 1);
  g_assert_error (running.error, CAB_ERROR, CAB_ERROR_CANCELLED);
  cab_request_cancel (running.request);
  send_and_wait (&stage, "/after", (CabRequestSpec){0}, &after);
  g_assert_no_error (after.error);
  g_assert_cmpuint (running.ends, ==, 1);
  g_assert_cmpuint (server_count (stage.server, "GET /waits"), ==, 0);
}

/* --- a request that asks before it goes --------------------------------------------------------------------- */

static void on_ready (gpointer data) {
  Result *self = data;
  static const char *const headers[] = {"Range: bytes=1-2", NULL};
  if (self->go_to != NULL)
    cab_request_go (self->request, self->go_to, headers);
  else
    latch_up (&self->latch);
}

static void go (gpointer data) {
  Result *self = data;
  cab_request_go (self->request, self->go_to, NULL);
}

/* On the transport's thread, so that the request is known when it is ready. */
static void send_asking (gpointer data) {
  Result *self = data;
  const CabRequestSink sink = {.ready = on_ready, .done = on_done};
  const CabRequestSpec spec = {.stall_ms = 10000, .limit = 1024};
  self->request = cab_http_send (self->http, &spec, &sink, self);
}

static void test_ready (void) {
  STAGE (stage);
  RESULT (at_once);
  RESULT (later);
  RESULT (never);
  g_autofree char *url = g_strconcat (server_url (stage.server), "/chosen", NULL);
  at_once.http = later.http = never.http = stage.http;
  at_once.go_to = url;
  cab_http_run (stage.http, send_asking, &at_once);
  latch_wait (&at_once.latch, 1);
  g_assert_no_error (at_once.error);
  g_autofree char *sent = server_request (stage.server, "GET /chosen", 0);
  g_assert_nonnull (strstr (sent, "Range: bytes=1-2\n"));
  cab_http_run (stage.http, send_asking, &later);
  latch_wait (&later.latch, 1);
  later.go_to = url;
  cab_http_run (stage.http, go, &later);
  latch_wait (&later.latch, 2);
  g_assert_no_error (later.error);
  cab_http_run (stage.http, send_asking, &never);
  latch_wait (&never.latch, 1);
  cab_request_cancel (never.request);
  latch_wait (&never.latch, 2);
  g_assert_error (never.error, CAB_ERROR, CAB_ERROR_CANCELLED);
}

/* --- the end ------------------------------------------------------------------------------------------------ */

typedef struct {
  CabHttp *http;
  Latch latch;
  gboolean ran;
  gboolean stopped;
} Timed;

static void timer_ran (gpointer data) {
  Timed *self = data;
  self->ran = TRUE;
  self->stopped = cab_http_stopped (self->http);
  latch_up (&self->latch);
}

static void set_long_timer (gpointer data) {
  Timed *self = data;
  cab_http_after (self->http, 3600 * 1000, timer_ran, self);
}

static void set_short_timer (gpointer data) {
  Timed *self = data;
  CabTimer *forgotten = cab_http_after (self->http, 1, timer_ran, self);
  cab_http_forget (self->http, &forgotten);
  g_assert_null (forgotten);
  cab_http_after (self->http, 20, timer_ran, self);
}

static void test_timers (void) {
  STAGE (stage);
  Timed timed = {.http = stage.http, .latch = LATCH_INIT};
  gint64 start = g_get_monotonic_time ();
  cab_http_run (stage.http, set_short_timer, &timed);
  latch_wait (&timed.latch, 1);
  g_assert_cmpint (g_get_monotonic_time () - start, >=, 20000);
  g_assert_false (timed.stopped);
}

static void test_stop (void) {
  STAGE (stage);
  RESULT (running);
  RESULT (waiting);
  RESULT (late);
  Timed timed = {.http = stage.http, .latch = LATCH_INIT};
  send (&stage, "/held", (CabRequestSpec){0}, &running);
  send (&stage, "/held", (CabRequestSpec){0}, &waiting);
  server_wait (stage.server, "GET /held", 1);
  cab_http_run (stage.http, set_long_timer, &timed);
  cab_http_stop (stage.http);
  latch_wait (&running.latch, 1);
  latch_wait (&waiting.latch, 1);
  latch_wait (&timed.latch, 1);
  g_assert_error (running.error, CAB_ERROR, CAB_ERROR_CANCELLED);
  g_assert_error (waiting.error, CAB_ERROR, CAB_ERROR_CANCELLED);
  g_assert_true (timed.stopped);
  send_and_wait (&stage, "/late", (CabRequestSpec){0}, &late);
  g_assert_error (late.error, CAB_ERROR, CAB_ERROR_CANCELLED);
}

/* A host that says to wait is left alone by all, and no other is. */
static void pause_host (gpointer data) {
  Stage *self = data;
  cab_http_pause (self->http, server_url (self->server), 300);
}

static void test_pause (void) {
  STAGE (stage);
  STAGE (other);
  RESULT (paused);
  RESULT (free_one);
  gint64 start = g_get_monotonic_time ();
  cab_http_run (stage.http, pause_host, &stage);
  send (&stage, "/paused", (CabRequestSpec){0}, &paused);
  g_autofree char *url = g_strconcat (server_url (other.server), "/free", NULL);
  send_and_wait (&stage, url, (CabRequestSpec){0}, &free_one);
  g_assert_cmpuint (server_count (stage.server, ""), ==, 0);
  latch_wait (&paused.latch, 1);
  g_assert_cmpint (g_get_monotonic_time () - start, >=, 290000);
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/http/methods", test_methods);
  g_test_add_func ("/http/no-redirect", test_no_redirect);
  g_test_add_func ("/http/cannot-be-sent", test_cannot_be_sent);
  g_test_add_func ("/http/limit", test_limit);
  g_test_add_func ("/http/choices", test_choices);
  g_test_add_func ("/http/packed", test_packed);
  g_test_add_func ("/http/stall", test_stall);
  g_test_add_func ("/http/lanes", test_lanes);
  g_test_add_func ("/http/throttle", test_throttle);
  g_test_add_func ("/http/flows", test_flows);
  g_test_add_func ("/http/pace", test_pace);
  g_test_add_func ("/http/cancel", test_cancel);
  g_test_add_func ("/http/ready", test_ready);
  g_test_add_func ("/http/timers", test_timers);
  g_test_add_func ("/http/stop", test_stop);
  g_test_add_func ("/http/pause", test_pause);
  return g_test_run ();
}
