/* Sizes and bytes of a blob, and all that a host may do instead of sending them.
 *
 * SPDX-License-Identifier: MIT
 */
#include "client/metrics.h"
#include "tests/unit/rig.h"

#include <stdio.h>
#include <string.h>

#define SIZE     100000u
#define ETAG     "\"0x8D1\""
#define OTHER    "\"0x8D2\""
#define BLOB     "/kernel/" RIG_CAB ".ext.zip"
#define GET_BLOB "GET " BLOB
#define KIB      1024u

/* What the servers do; set before the client starts. */
typedef struct {
  Rig *rig;
  char bytes[SIZE];
  void (*blob) (Exchange *exchange, gpointer data);
  gint life_s;      /* of the addresses that the API gives */
  gboolean gone;    /* the API lists the CAB no longer */
  gboolean no_url;  /* lists it without an address */
  const char *host; /* of the address, instead of ours */
  guint locates;    /* the API's answers so far */
  guint requests;   /* that the blob host got */
} Scene;

static void check_nothing_leaks (Exchange *exchange) {
  g_assert_null (exchange->authorization);
  g_assert_null (exchange->accept_encoding);
  g_assert_cmpstr (exchange->user_agent, ==, "cabfs/" CABFS_VERSION);
}

static char *address (Scene *self, gint life_s, guint number) {
  g_autofree char *expiry = rig_expiry (life_s);
  return g_strdup_printf ("%s" BLOB "?sv=2015-07-08&sr=b&sig=s%u%%2Bx%%3D&se=%s&sp=r",
                          self->host != NULL ? self->host : server_url (self->rig->blobs), number, expiry);
}

static void api (Exchange *exchange, gpointer data) {
  Scene *self = data;
  if (rig_answer_token (exchange, 3600))
    return;
  g_assert_true (g_str_equal (exchange->path, RIG_BATCH));
  g_assert_true (g_str_has_prefix (exchange->authorization, "Bearer token-"));
  self->locates++;
  if (self->gone) {
    server_body (exchange, "{\"Value\":[]}");
    return;
  }
  g_autofree char *url = address (self, self->life_s, self->locates);
  server_body (exchange,
               "{\"Value\":[{\"applicationId\":\"" RIG_APP "\",\"failureHash\":\"" RIG_HASH
               "\",\"cabIdHash\":\"" RIG_CAB "\",\"cabUrl\":%s%s%s,\"date\":\"2025-01-02 03:04:05\"}]}",
               self->no_url ? "" : "\"", self->no_url ? "null" : url, self->no_url ? "" : "\"");
}

static void fail_with (Exchange *exchange, guint status, const char *code) {
  exchange->status = status;
  server_body (exchange, "<?xml version=\"1.0\"?><Error><Code>%s</Code><Message>no</Message></Error>", code);
}

static void blob_server (Exchange *exchange, gpointer data) {
  Scene *self = data;
  check_nothing_leaks (exchange);
  g_assert_true (g_str_has_prefix (exchange->path, BLOB));
  g_assert_nonnull (strstr (exchange->target, "%2Bx%3D&se=")); /* not decoded, not encoded again */
  self->requests++;
  g_autofree char *now = rig_expiry (0);
  const char *expiry = strstr (exchange->target, "&se=") + 4;
  if (strncmp (now, expiry, strlen (now)) > 0)
    fail_with (exchange, 403, "AuthenticationFailed");
  else
    self->blob (exchange, self);
}

static void good (Exchange *exchange, gpointer data) {
  Scene *self = data;
  server_header (exchange, "Last-Modified", "Wed, 01 Jan 2025 00:00:00 GMT");
  server_header (exchange, "x-ms-blob-content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==");
  server_blob (exchange, self->bytes, SIZE, ETAG);
}

static void scene_init (Scene *self, void (*blob) (Exchange *exchange, gpointer data)) {
  *self = (Scene){.blob = blob, .life_s = 3600};
  rig_fill (0, self->bytes, SIZE);
  self->rig = rig_new (api, blob_server, self);
}

static void scene_clear (Scene *self) {
  rig_free (self->rig); /* the servers may still call, and need it */
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Scene, scene_clear)

#define SCENE(name, blob)                                                                                      \
  g_auto (Scene) name;                                                                                         \
  scene_init (&name, blob)

static CabBlob *blob_with_address (Scene *self, gint life_s) {
  g_autofree char *url = address (self, life_s, 0);
  if (self->rig->client == NULL)
    rig_start (self->rig);
  return rig_blob (self->rig, url, CAB_TIME_UNKNOWN);
}

static void assert_range (Scene *self, guint nth, const char *expected) {
  g_autofree char *request = server_request (self->rig->blobs, GET_BLOB, nth);
  g_assert_nonnull (request);
  g_autofree char *line = g_strdup_printf ("Range: bytes=%s\n", expected);
  if (strstr (request, line) == NULL)
    g_error ("request %u has not %s but\n%s", nth, line, request);
}

static gboolean has_if_match (Scene *self, guint nth) {
  g_autofree char *request = server_request (self->rig->blobs, GET_BLOB, nth);
  g_assert_nonnull (request);
  return strstr (request, "If-Match: " ETAG "\n") != NULL;
}

/* --- the good days ------------------------------------------------------------------------------------------ */

static void test_get (void) {
  SCENE (scene, good);
  g_autoptr (CabBlob) blob = blob_with_address (&scene, 3600);
  OUTCOME (head);
  OUTCOME (tail);
  guint64 ranges = cab_metric_sent (CAB_REQUEST_RANGE);
  guint64 received = cab_metric_get (CAB_METRIC_BYTES_RECEIVED);
  rig_get (blob, 0, 4096, NULL, &head);
  rig_assert_ok (&head);
  rig_check_bytes (&head, 0, 4096);
  g_assert_cmpuint (head.size, ==, SIZE);
  g_assert_cmpstr (head.etag, ==, ETAG);
  g_assert_cmpstr (head.md5, ==, "d41d8cd98f00b204e9800998ecf8427e");
  g_assert_cmpint (head.modified, ==, 1735689600);
  rig_get (blob, SIZE - 100, 5000, ETAG, &tail);
  rig_assert_ok (&tail);
  rig_check_bytes (&tail, SIZE - 100, 100);
  g_assert_cmpuint (server_count (scene.rig->blobs, ""), ==, 2);
  g_assert_cmpuint (server_count (scene.rig->api, ""), ==, 0);
  assert_range (&scene, 0, "0-4095");
  assert_range (&scene, 1, "99900-104899");
  g_assert_cmpuint (cab_metric_sent (CAB_REQUEST_RANGE) - ranges, ==, 2);
  g_assert_cmpuint (cab_metric_get (CAB_METRIC_BYTES_RECEIVED) - received, ==, 4096 + 100);
  g_assert_false (has_if_match (&scene, 0));
  g_assert_true (has_if_match (&scene, 1));
}

static void test_probe (void) {
  SCENE (scene, good);
  g_autoptr (CabBlob) blob = blob_with_address (&scene, 3600);
  OUTCOME (outcome);
  rig_probe (blob, &outcome);
  rig_assert_ok (&outcome);
  g_assert_cmpuint (outcome.size, ==, SIZE);
  g_assert_cmpstr (outcome.etag, ==, ETAG);
  g_assert_cmpuint (server_count (scene.rig->blobs, "HEAD " BLOB), ==, 1);
  g_assert_cmpuint (server_count (scene.rig->blobs, ""), ==, 1);
}

static void head_refused (Exchange *exchange, gpointer data) {
  if (g_str_equal (exchange->method, "HEAD"))
    exchange->status = 405;
  else
    good (exchange, data);
}

static void test_probe_without_head (void) {
  SCENE (scene, head_refused);
  g_autoptr (CabBlob) blob = blob_with_address (&scene, 3600);
  OUTCOME (first);
  OUTCOME (second);
  rig_probe (blob, &first);
  rig_assert_ok (&first);
  g_assert_cmpuint (first.size, ==, SIZE);
  assert_range (&scene, 0, "0-0");
  rig_probe (blob, &second); /* does not ask by HEAD again */
  rig_assert_ok (&second);
  g_assert_cmpuint (server_count (scene.rig->blobs, "HEAD"), ==, 1);
}

/* The row of the one blob host for @use; its host is not to be used. */
static CabHostState host_state (const Scene *scene, const char *use) {
  g_autoptr (GArray) hosts = cab_client_hosts (scene->rig->client);
  for (guint i = 0; i < hosts->len; i++)
    if (g_str_equal (g_array_index (hosts, CabHostState, i).use, use))
      return g_array_index (hosts, CabHostState, i);
  return (CabHostState){0};
}

/* A connection serves one request after the other, refusals included. */
static void test_connections (void) {
  SCENE (scene, good);
  g_autoptr (CabBlob) blob = blob_with_address (&scene, 3600);
  for (guint i = 0; i < 10; i++) {
    OUTCOME (probe);
    OUTCOME (get);
    OUTCOME (refused);
    rig_probe (blob, &probe);
    rig_assert_ok (&probe);
    rig_get (blob, 0, 100, NULL, &get);
    rig_assert_ok (&get);
    rig_get (blob, 0, 100, OTHER, &refused);
    rig_assert_error (&refused, CAB_ERROR_CHANGED);
  }
  g_assert_cmpuint (server_connections (scene.rig->blobs), ==, 1);
  g_assert_cmpuint (host_state (&scene, "bytes").parallel, ==, scene.rig->options.connections);
  g_assert_cmpuint (host_state (&scene, "sizes").parallel, ==, scene.rig->options.size_connections);
  g_assert_null (host_state (&scene, "login").use); /* the address was known: nobody else was asked */
}

static void head_refused_empty (Exchange *exchange, gpointer data) {
  if (g_str_equal (exchange->method, "HEAD"))
    exchange->status = 400;
  else
    server_blob (exchange, "", 0, ETAG);
}

static void empty (Exchange *exchange, gpointer data) {
  server_blob (exchange, "", 0, ETAG);
}

static void empty_200 (Exchange *exchange, gpointer data) {
  server_header (exchange, "ETag", ETAG);
}

static void check_empty (void (*handler) (Exchange *exchange, gpointer data)) {
  SCENE (scene, handler);
  g_autoptr (CabBlob) blob = blob_with_address (&scene, 3600);
  OUTCOME (get);
  OUTCOME (probe);
  rig_get (blob, 0, 4096, NULL, &get);
  rig_assert_ok (&get);
  g_assert_cmpuint (get.facts, ==, 1);
  g_assert_cmpuint (get.size, ==, 0);
  g_assert_cmpuint (get.bytes->len, ==, 0);
  rig_probe (blob, &probe);
  rig_assert_ok (&probe);
  g_assert_cmpuint (probe.size, ==, 0);
}

static void test_empty (void) {
  check_empty (empty);
  check_empty (empty_200);
  check_empty (head_refused_empty);
}

static void test_past_the_end (void) {
  SCENE (scene, good);
  g_autoptr (CabBlob) blob = blob_with_address (&scene, 3600);
  OUTCOME (outcome);
  rig_get (blob, SIZE + 5, 10, NULL, &outcome);
  rig_assert_ok (&outcome);
  g_assert_cmpuint (outcome.size, ==, SIZE);
  g_assert_cmpuint (outcome.bytes->len, ==, 0);
}

/* --- addresses ---------------------------------------------------------------------------------------------- */

static void test_no_address (void) {
  SCENE (scene, good);
  rig_start (scene.rig);
  g_autoptr (CabBlob) blob = rig_blob (scene.rig, NULL, 1735787045); /* 2025-01-02 03:04:05 */
  OUTCOME (outcome);
  rig_get (blob, 0, 10, NULL, &outcome);
  rig_assert_ok (&outcome);
  rig_check_bytes (&outcome, 0, 10);
  g_assert_cmpuint (server_count (scene.rig->api,
                                  "GET " RIG_BATCH "?applicationId=" RIG_APP "&failureHash=" RIG_HASH
                                  "&startDate=2025-01-01&endDate=2025-01-03&top=100&skip=0"),
                    ==, 1);
  g_assert_cmpuint (server_count (scene.rig->api, "GET"), ==, 1);
}

static void test_expired (void) {
  SCENE (scene, good);
  g_autoptr (CabBlob) blob = blob_with_address (&scene, -5);
  OUTCOME (outcome);
  rig_get (blob, 0, 10, NULL, &outcome);
  rig_assert_ok (&outcome);
  g_assert_cmpuint (scene.requests, ==, 1); /* the old address was not even tried */
  g_assert_cmpuint (scene.locates, ==, 1);
}

static void ahead_of_us (Exchange *exchange, gpointer data) {
  good (exchange, data);
  exchange->date_offset_s = 7200;
}

/* What counts is the clock of the host, once it is known: to it, an address for an hour has run out. */
static void test_clock_is_off (void) {
  SCENE (scene, ahead_of_us);
  g_autoptr (CabBlob) blob = blob_with_address (&scene, 3600);
  OUTCOME (first);
  OUTCOME (second);
  rig_get (blob, 0, 10, NULL, &first);
  rig_assert_ok (&first);
  g_assert_cmpuint (scene.locates, ==, 0);
  rig_get (blob, 0, 10, NULL, &second);
  rig_assert_ok (&second);
  g_assert_cmpuint (scene.locates, ==, 1);
}

static void slow (Exchange *exchange, gpointer data) {
  Scene *self = data;
  server_blob (exchange, self->bytes, SIZE, ETAG);
  exchange->fate = FATE_CLOSE;
  exchange->stop_at = 16 * KIB;
  exchange->drip_us = 64000; /* 16 KiB in a second */
}

/* Every address lives for two seconds, the read takes several times as long, and breaks every 16 KiB. */
static void test_short_lived (void) {
  SCENE (scene, slow);
  scene.life_s = 2;
  g_autoptr (CabBlob) blob = blob_with_address (&scene, 2);
  OUTCOME (outcome);
  rig_get (blob, 0, 64 * KIB, NULL, &outcome);
  rig_assert_ok (&outcome);
  rig_check_bytes (&outcome, 0, 64 * KIB);
  g_assert_cmpuint (scene.locates, >=, 1);
  assert_range (&scene, 0, "0-65535");
  g_assert_true (has_if_match (&scene, 1));
}

static void denied_until_renewed (Exchange *exchange, gpointer data) {
  if (strstr (exchange->target, "sig=s0") != NULL)
    fail_with (exchange, 403, "AuthenticationFailed");
  else
    good (exchange, data);
}

static void test_refused_address (void) {
  SCENE (scene, denied_until_renewed);
  g_autoptr (CabBlob) blob = blob_with_address (&scene, 3600);
  OUTCOME (outcome);
  rig_get (blob, 0, 10, NULL, &outcome);
  rig_assert_ok (&outcome);
  g_assert_cmpuint (scene.requests, ==, 2);
  g_assert_cmpuint (scene.locates, ==, 1);
}

static void never_authentic (Exchange *exchange, gpointer data) {
  fail_with (exchange, 403, "AuthenticationFailed");
}

static void not_permitted (Exchange *exchange, gpointer data) {
  fail_with (exchange, 403, "AuthorizationPermissionMismatch");
}

static void test_denied (void) {
  {
    SCENE (scene, never_authentic);
    g_autoptr (CabBlob) blob = blob_with_address (&scene, 3600);
    OUTCOME (outcome);
    rig_get (blob, 0, 10, NULL, &outcome);
    rig_assert_error (&outcome, CAB_ERROR_DENIED);
    g_assert_nonnull (strstr (outcome.message, "AuthenticationFailed"));
    g_assert_cmpuint (scene.requests, ==, 2);
    g_assert_cmpuint (scene.locates, ==, 1);
  }
  SCENE (scene, not_permitted);
  g_autoptr (CabBlob) blob = blob_with_address (&scene, 3600);
  OUTCOME (outcome);
  OUTCOME (probe);
  rig_get (blob, 0, 10, NULL, &outcome);
  rig_assert_error (&outcome, CAB_ERROR_DENIED);
  g_assert_cmpuint (scene.requests, ==, 1);
  g_assert_cmpuint (scene.locates, ==, 0);
  rig_probe (blob, &probe);
  rig_assert_error (&probe, CAB_ERROR_DENIED);
}

static void check_locate_error (gboolean gone, gboolean no_url, const char *host, CabErrorCode expected) {
  SCENE (scene, good);
  scene.gone = gone;
  scene.no_url = no_url;
  scene.host = host;
  rig_start (scene.rig);
  g_autoptr (CabBlob) blob = rig_blob (scene.rig, NULL, CAB_TIME_UNKNOWN);
  OUTCOME (outcome);
  rig_get (blob, 0, 10, NULL, &outcome);
  rig_assert_error (&outcome, expected);
  g_assert_cmpuint (scene.requests, ==, 0);
}

static void test_locate_errors (void) {
  check_locate_error (TRUE, FALSE, NULL, CAB_ERROR_NOT_FOUND);
  check_locate_error (FALSE, TRUE, NULL, CAB_ERROR_DENIED);
  check_locate_error (FALSE, FALSE, "https://evil.example", CAB_ERROR_DENIED);
  check_locate_error (FALSE, FALSE, "http://127.0.0.1:1", CAB_ERROR_DENIED);
}

static void test_foreign_host (void) {
  SCENE (scene, good);
  rig_start (scene.rig);
  g_autoptr (CabBlob) blob = rig_blob (scene.rig, "file:///etc/passwd", CAB_TIME_UNKNOWN);
  OUTCOME (outcome);
  rig_get (blob, 0, 10, NULL, &outcome);
  rig_assert_error (&outcome, CAB_ERROR_DENIED);
}

/* --- broken answers ----------------------------------------------------------------------------------------- */

static void breaks (Exchange *exchange, gpointer data) {
  good (exchange, data);
  if (exchange->index < 2) {
    exchange->fate = exchange->index == 0 ? FATE_RESET : FATE_CLOSE;
    exchange->stop_at = 20000;
  }
}

static void test_resumes (void) {
  SCENE (scene, breaks);
  g_autoptr (CabBlob) blob = blob_with_address (&scene, 3600);
  OUTCOME (outcome);
  rig_get (blob, 1000, 60000, NULL, &outcome);
  rig_assert_ok (&outcome);
  rig_check_bytes (&outcome, 1000, 60000);
  g_assert_cmpuint (scene.requests, ==, 3);
  g_assert_cmpuint (outcome.facts, ==, 3);
  assert_range (&scene, 0, "1000-60999");
  /* A reset may take bytes with it that had been sent. */
  g_autofree char *second = server_request (scene.rig->blobs, GET_BLOB, 1);
  guint64 from = 0;
  g_assert_cmpint (sscanf (strstr (second, "Range: bytes="), "Range: bytes=%" G_GUINT64_FORMAT "-60999", &from),
                   ==, 1);
  g_assert_cmpuint (from, >=, 1000);
  g_assert_cmpuint (from, <=, 21000);
  g_autofree char *third = g_strdup_printf ("%" G_GUINT64_FORMAT "-60999", from + 20000);
  assert_range (&scene, 2, third);
  g_assert_true (has_if_match (&scene, 2));
}

static void changes (Exchange *exchange, gpointer data) {
  Scene *self = data;
  exchange->if_match = NULL; /* a host that does not know it */
  server_blob (exchange, self->bytes, SIZE, exchange->index == 0 ? ETAG : OTHER);
  exchange->fate = exchange->index == 0 ? FATE_CLOSE : FATE_NONE;
  exchange->stop_at = 100;
}

static void test_changed_etag (void) {
  SCENE (scene, changes);
  g_autoptr (CabBlob) blob = blob_with_address (&scene, 3600);
  OUTCOME (outcome);
  OUTCOME (anew);
  rig_get (blob, 0, 1000, NULL, &outcome);
  rig_assert_error (&outcome, CAB_ERROR_CHANGED);
  g_assert_cmpuint (outcome.bytes->len, ==, 100);
  rig_get (blob, 0, 1000, NULL, &anew);
  rig_assert_ok (&anew);
  g_assert_cmpstr (anew.etag, ==, OTHER);
}

static void shrinks (Exchange *exchange, gpointer data) {
  Scene *self = data;
  exchange->if_match = NULL;
  server_blob (exchange, self->bytes, exchange->index == 0 ? SIZE : 5000, NULL);
  exchange->fate = exchange->index == 0 ? FATE_CLOSE : FATE_NONE;
  exchange->stop_at = 9000;
}

static void test_changed_size (void) {
  SCENE (scene, shrinks);
  g_autoptr (CabBlob) blob = blob_with_address (&scene, 3600);
  OUTCOME (outcome);
  rig_get (blob, 0, 50000, NULL, &outcome);
  rig_assert_error (&outcome, CAB_ERROR_CHANGED);
}

static void test_precondition (void) {
  SCENE (scene, good);
  g_autoptr (CabBlob) blob = blob_with_address (&scene, 3600);
  OUTCOME (outcome);
  rig_get (blob, 0, 1000, OTHER, &outcome);
  rig_assert_error (&outcome, CAB_ERROR_CHANGED);
  g_assert_cmpuint (scene.requests, ==, 1);
}

static void wrong_range (Exchange *exchange, gpointer data) {
  exchange->status = 206;
  server_header (exchange, "Content-Range", "bytes 7-16/100000");
  server_body (exchange, "0123456789");
}

static void test_wrong_range (void) {
  SCENE (scene, wrong_range);
  g_autoptr (CabBlob) blob = blob_with_address (&scene, 3600);
  OUTCOME (outcome);
  rig_get (blob, 0, 10, NULL, &outcome);
  rig_assert_error (&outcome, CAB_ERROR_INVALID);
  g_assert_cmpuint (outcome.bytes->len, ==, 0);
  g_assert_cmpuint (scene.requests, ==, 2);
}

static void ignores_ranges (Exchange *exchange, gpointer data) {
  Scene *self = data;
  exchange->range = NULL;
  server_blob (exchange, self->bytes, SIZE, ETAG);
}

static void huge_without_ranges (Exchange *exchange, gpointer data) {
  exchange->fill = rig_fill;
  exchange->size = G_GUINT64_CONSTANT (5) * 1024 * 1024 * 1024;
}

static void test_200_to_a_range (void) {
  {
    SCENE (scene, ignores_ranges);
    g_autoptr (CabBlob) blob = blob_with_address (&scene, 3600);
    OUTCOME (outcome);
    OUTCOME (whole);
    rig_get (blob, 50000, 1000, NULL, &outcome);
    rig_assert_ok (&outcome);
    rig_check_bytes (&outcome, 50000, 1000);
    rig_get (blob, 0, SIZE, NULL, &whole);
    rig_assert_ok (&whole);
    rig_check_bytes (&whole, 0, SIZE);
  }
  SCENE (scene, huge_without_ranges);
  g_autoptr (CabBlob) blob = blob_with_address (&scene, 3600);
  OUTCOME (head);
  OUTCOME (far);
  OUTCOME (probe);
  rig_get (blob, 0, 1000, NULL, &head);
  rig_assert_ok (&head);
  rig_check_bytes (&head, 0, 1000);
  g_assert_cmpuint (head.size, ==, G_GUINT64_CONSTANT (5) * 1024 * 1024 * 1024);
  rig_get (blob, 64 * 1024 * KIB, 1000, NULL, &far);
  rig_assert_error (&far, CAB_ERROR_INVALID);
  rig_probe (blob, &probe);
  rig_assert_ok (&probe);
  g_assert_cmpuint (probe.size, ==, head.size);
}

static void no_content_range (Exchange *exchange, gpointer data) {
  exchange->status = 206;
  server_body (exchange, "0123456789");
}

static void no_length (Exchange *exchange, gpointer data) {
  exchange->fill = rig_fill;
  exchange->size = G_MAXUINT64; /* libmicrohttpd sends it in chunks, for ever */
}

static void no_bytes (Exchange *exchange, gpointer data) {
  exchange->status = 206;
  server_header (exchange, "Content-Range", "bytes 0-9/100");
}

static void too_many_bytes (Exchange *exchange, gpointer data) {
  exchange->status = 206;
  server_header (exchange, "Content-Range", "bytes 0-9/100");
  exchange->fill = rig_fill;
  exchange->size = 50;
}

static void check_odd (void (*handler) (Exchange *exchange, gpointer data), CabErrorCode code, guint requests) {
  SCENE (scene, handler);
  scene.rig->options.retries = 3;
  g_autoptr (CabBlob) blob = blob_with_address (&scene, 3600);
  OUTCOME (outcome);
  rig_get (blob, 0, 10, NULL, &outcome);
  rig_assert_error (&outcome, code);
  g_assert_cmpuint (outcome.bytes->len, ==, 0);
  g_assert_cmpuint (scene.requests, ==, requests);
}

static void test_odd_answers (void) {
  check_odd (no_content_range, CAB_ERROR_INVALID, 2);
  check_odd (no_length, CAB_ERROR_INVALID, 2);
  check_odd (no_bytes, CAB_ERROR_FAILED, 3);
  {
    SCENE (scene, no_length);
    g_autoptr (CabBlob) blob = blob_with_address (&scene, 3600);
    OUTCOME (probe);
    rig_probe (blob, &probe);
    rig_assert_error (&probe, CAB_ERROR_INVALID);
    g_assert_cmpuint (scene.requests, ==, 2);
  }
  SCENE (scene, too_many_bytes);
  g_autoptr (CabBlob) blob = blob_with_address (&scene, 3600);
  OUTCOME (outcome);
  rig_get (blob, 0, 10, NULL, &outcome);
  rig_assert_ok (&outcome);
  rig_check_bytes (&outcome, 0, 10);
}

/* The host sends less than was asked for, and says so: the rest is asked for. */
static void in_pieces (Exchange *exchange, gpointer data) {
  Scene *self = data;
  guint64 first = 0;
  g_assert_cmpint (sscanf (exchange->range, "bytes=%" G_GUINT64_FORMAT, &first), ==, 1);
  g_autofree char *range =
      g_strdup_printf ("bytes=%" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT, first, first + 999);
  exchange->range = range;
  server_blob (exchange, self->bytes, SIZE, ETAG);
}

static void test_pieces (void) {
  SCENE (scene, in_pieces);
  g_autoptr (CabBlob) blob = blob_with_address (&scene, 3600);
  OUTCOME (outcome);
  rig_get (blob, 500, 2500, NULL, &outcome);
  rig_assert_ok (&outcome);
  rig_check_bytes (&outcome, 500, 2500);
  g_assert_cmpuint (scene.requests, ==, 3);
  assert_range (&scene, 1, "1500-2999");
}

static void ends_early (Exchange *exchange, gpointer data) {
  if (exchange->index == 0)
    good (exchange, data);
  else
    fail_with (exchange, 416, "InvalidRange");
}

static void test_416_within (void) {
  SCENE (scene, ends_early);
  g_autoptr (CabBlob) blob = blob_with_address (&scene, 3600);
  OUTCOME (first);
  OUTCOME (second);
  rig_get (blob, 0, 10, NULL, &first);
  rig_assert_ok (&first);
  rig_get (blob, 1000, 10, NULL, &second);
  rig_assert_error (&second, CAB_ERROR_CHANGED);
}

static void redirects (Exchange *exchange, gpointer data) {
  exchange->status = 302;
  server_header (exchange, "Location", "%s" BLOB, server_url (((Scene *) data)->rig->blobs));
}

static void test_no_redirect (void) {
  SCENE (scene, redirects);
  g_autoptr (CabBlob) blob = blob_with_address (&scene, 3600);
  OUTCOME (outcome);
  rig_get (blob, 0, 10, NULL, &outcome);
  rig_assert_error (&outcome, CAB_ERROR_INVALID);
  g_assert_cmpuint (scene.requests, ==, 1);
}

static void missing (Exchange *exchange, gpointer data) {
  fail_with (exchange, 404, "BlobNotFound");
}

static void test_not_found (void) {
  SCENE (scene, missing);
  g_autoptr (CabBlob) blob = blob_with_address (&scene, 3600);
  OUTCOME (outcome);
  OUTCOME (probe);
  rig_get (blob, 0, 10, NULL, &outcome);
  rig_assert_error (&outcome, CAB_ERROR_NOT_FOUND);
  rig_probe (blob, &probe);
  rig_assert_error (&probe, CAB_ERROR_NOT_FOUND);
  g_assert_cmpuint (scene.requests, ==, 2);
}

/* --- retries ------------------------------------------------------------------------------------------------ */

static void busy_twice (Exchange *exchange, gpointer data) {
  if (exchange->index < 2)
    fail_with (exchange, 503, "ServerBusy");
  else
    good (exchange, data);
}

static void test_retries (void) {
  SCENE (scene, busy_twice);
  g_autoptr (CabBlob) blob = blob_with_address (&scene, 3600);
  OUTCOME (outcome);
  guint64 sent = cab_metric_sent (CAB_REQUEST_RANGE), failed = cab_metric_failed (CAB_REQUEST_RANGE);
  rig_get (blob, 0, 10, NULL, &outcome);
  rig_assert_ok (&outcome);
  g_assert_cmpuint (scene.requests, ==, 3);
  g_assert_cmpuint (cab_metric_sent (CAB_REQUEST_RANGE) - sent, ==, 3);
  g_assert_cmpuint (cab_metric_failed (CAB_REQUEST_RANGE) - failed, ==, 2);
}

static void always_busy (Exchange *exchange, gpointer data) {
  fail_with (exchange, 503, "ServerBusy");
}

static void test_gives_up (void) {
  SCENE (scene, always_busy);
  scene.rig->options.retries = 2;
  g_autoptr (CabBlob) blob = blob_with_address (&scene, 3600);
  OUTCOME (outcome);
  rig_get (blob, 0, 10, NULL, &outcome);
  rig_assert_error (&outcome, CAB_ERROR_FAILED);
  g_assert_nonnull (strstr (outcome.message, "ServerBusy"));
  g_assert_cmpuint (scene.requests, ==, 2);
}

static void throttles_first (Exchange *exchange, gpointer data) {
  good (exchange, data);
  if (exchange->index > 0)
    return;
  g_string_truncate (exchange->body, 0);
  exchange->status = 429;
  server_header (exchange, "Retry-After", "1");
}

/* One is told to wait a second: all do, and none is sent meanwhile. */
static void test_pauses_host (void) {
  SCENE (scene, throttles_first);
  scene.rig->options.connections = 1;
  g_autoptr (CabBlob) blob = blob_with_address (&scene, 3600);
  OUTCOME (first);
  OUTCOME (second);
  OUTCOME (probe);
  gint64 start = g_get_monotonic_time ();
  first.next = second.next = 0;
  cab_transfer_unref (cab_blob_get (blob, 0, 10, NULL, CAB_PRIORITY_READER, &outcome_sink, &first));
  server_wait (scene.rig->blobs, GET_BLOB, 1);
  while (host_state (&scene, "bytes").paused_until_us <= start) /* the answer is on its way */
    g_usleep (1000);
  cab_transfer_unref (cab_blob_get (blob, 0, 10, NULL, CAB_PRIORITY_READER, &outcome_sink, &second));
  cab_blob_probe (blob, CAB_PRIORITY_READER, outcome_probed, &probe);
  latch_wait (&probe.latch, 1);
  g_assert_cmpint (g_get_monotonic_time () - start, >=, 950000);
  g_assert_cmpint (host_state (&scene, "bytes").paused_until_us, <=, g_get_monotonic_time ());
  latch_wait (&first.latch, 1);
  latch_wait (&second.latch, 1);
  rig_assert_ok (&first);
  rig_assert_ok (&second);
  rig_assert_ok (&probe);
}

/* --- silence ------------------------------------------------------------------------------------------------ */

static void stalls (Exchange *exchange, gpointer data) {
  good (exchange, data);
  exchange->fate = FATE_STALL;
  exchange->stop_at = exchange->index == 0 ? 3000 : 0;
}

static void test_stall (void) {
  SCENE (scene, stalls);
  scene.rig->options.timeout_ms = 3000;
  g_autoptr (CabBlob) blob = blob_with_address (&scene, 3600);
  OUTCOME (outcome);
  gint64 start = g_get_monotonic_time ();
  rig_get (blob, 0, 10000, NULL, &outcome);
  gint64 took_ms = (g_get_monotonic_time () - start) / 1000;
  rig_assert_error (&outcome, CAB_ERROR_TIMEOUT);
  g_assert_cmpuint (outcome.bytes->len, ==, 3000);
  g_assert_cmpint (took_ms, >=, 2900);
  g_assert_cmpint (took_ms, <, 5000);
  g_assert_cmpuint (scene.requests, ==, 2); /* given up after 2 s, and tried again on another connection */
  assert_range (&scene, 1, "3000-9999");
}

static void stalls_once (Exchange *exchange, gpointer data) {
  good (exchange, data);
  exchange->fate = exchange->index == 0 ? FATE_STALL : FATE_NONE;
}

static void test_stall_passes (void) {
  SCENE (scene, stalls_once);
  scene.rig->options.timeout_ms = 4000;
  g_autoptr (CabBlob) blob = blob_with_address (&scene, 3600);
  OUTCOME (outcome);
  rig_get (blob, 0, 10000, NULL, &outcome);
  rig_assert_ok (&outcome);
  rig_check_bytes (&outcome, 0, 10000);
}

/* More silent transfers than connections: those that wait for one end at the same time. */
static void test_stall_queued (void) {
  enum { READERS = 12 };
  SCENE (scene, stalls);
  Outcome outcomes[READERS];
  CabTransfer *transfers[READERS];
  scene.rig->options.timeout_ms = 1500;
  scene.rig->options.connections = 2;
  g_autoptr (CabBlob) blob = blob_with_address (&scene, 3600);
  gint64 start = g_get_monotonic_time ();
  for (guint i = 0; i < READERS; i++) {
    outcome_init (&outcomes[i]);
    outcomes[i].next = 50000;
    transfers[i] = cab_blob_get (blob, 50000, 10000, NULL, CAB_PRIORITY_READER, &outcome_sink, &outcomes[i]);
  }
  for (guint i = 0; i < READERS; i++) {
    latch_wait (&outcomes[i].latch, 1);
    rig_assert_error (&outcomes[i], CAB_ERROR_TIMEOUT);
    cab_transfer_unref (transfers[i]);
    outcome_clear (&outcomes[i]);
  }
  g_assert_cmpint ((g_get_monotonic_time () - start) / 1000, <, 4500);
}

/* --- ends --------------------------------------------------------------------------------------------------- */

static void test_sink_refuses (void) {
  SCENE (scene, good);
  g_autoptr (CabBlob) blob = blob_with_address (&scene, 3600);
  OUTCOME (outcome);
  outcome.stop_at = 1;
  rig_get (blob, 0, SIZE, NULL, &outcome);
  rig_assert_error (&outcome, CAB_ERROR_NO_SPACE);
  g_assert_cmpuint (scene.requests, ==, 1);
}

static void held (Exchange *exchange, gpointer data) {
  good (exchange, data);
  exchange->hold = TRUE;
}

static void test_cancel (void) {
  SCENE (scene, held);
  scene.rig->options.connections = 1;
  g_autoptr (CabBlob) blob = blob_with_address (&scene, 3600);
  OUTCOME (running);
  OUTCOME (queued);
  g_autoptr (CabTransfer) one = cab_blob_get (blob, 0, 10, NULL, CAB_PRIORITY_READER, &outcome_sink, &running);
  g_autoptr (CabTransfer) two = cab_blob_get (blob, 0, 10, NULL, CAB_PRIORITY_AHEAD, &outcome_sink, &queued);
  server_wait (scene.rig->blobs, GET_BLOB, 1);
  cab_transfer_set_priority (two, CAB_PRIORITY_READER);
  cab_transfer_cancel (two);
  latch_wait (&queued.latch, 1);
  rig_assert_error (&queued, CAB_ERROR_CANCELLED);
  cab_transfer_cancel (one);
  cab_transfer_cancel (one);
  latch_wait (&running.latch, 1);
  rig_assert_error (&running, CAB_ERROR_CANCELLED);
  cab_transfer_cancel (one); /* too late, and harmless */
  cab_transfer_set_priority (one, CAB_PRIORITY_AHEAD);
  g_assert_cmpuint (running.ends, ==, 1);
}

static CabTransfer *self_cancelled;

static gboolean cancel_in_write (gpointer data, guint64 off, const void *bytes, gsize len, GError **error) {
  cab_transfer_cancel (self_cancelled);
  return TRUE;
}

static void test_cancel_from_callback (void) {
  SCENE (scene, good);
  g_autoptr (CabBlob) blob = blob_with_address (&scene, 3600);
  OUTCOME (outcome);
  CabSink sink = outcome_sink;
  sink.write = cancel_in_write;
  /* Set before the first byte can come: the host is asked only after the API, which is held up here. */
  scene.life_s = 3600;
  g_autoptr (CabTransfer) transfer = NULL;
  scene.blob = held;
  transfer = self_cancelled = cab_blob_get (blob, 0, SIZE, NULL, CAB_PRIORITY_READER, &sink, &outcome);
  server_wait (scene.rig->blobs, GET_BLOB, 1);
  server_release (scene.rig->blobs);
  latch_wait (&outcome.latch, 1);
  rig_assert_error (&outcome, CAB_ERROR_CANCELLED);
}

static void readers_first (Exchange *exchange, gpointer data) {
  good (exchange, data);
  exchange->hold = exchange->index == 0;
}

static void test_priority (void) {
  SCENE (scene, readers_first);
  scene.rig->options.connections = 1;
  g_autoptr (CabBlob) blob = blob_with_address (&scene, 3600);
  OUTCOME (first);
  OUTCOME (ahead);
  OUTCOME (reader);
  OUTCOME (raised);
  ahead.next = 100;
  reader.next = 200;
  raised.next = 300;
  cab_transfer_unref (cab_blob_get (blob, 0, 10, NULL, CAB_PRIORITY_READER, &outcome_sink, &first));
  server_wait (scene.rig->blobs, GET_BLOB, 1);
  cab_transfer_unref (cab_blob_get (blob, 100, 10, NULL, CAB_PRIORITY_AHEAD, &outcome_sink, &ahead));
  g_autoptr (CabTransfer) d = cab_blob_get (blob, 300, 10, NULL, CAB_PRIORITY_AHEAD, &outcome_sink, &raised);
  cab_transfer_unref (cab_blob_get (blob, 200, 10, NULL, CAB_PRIORITY_READER, &outcome_sink, &reader));
  cab_transfer_set_priority (d, CAB_PRIORITY_READER);
  OUTCOME (after); /* of the jobs above */
  cab_blob_probe (blob, CAB_PRIORITY_READER, outcome_probed, &after);
  latch_wait (&after.latch, 1);
  server_release (scene.rig->blobs);
  latch_wait (&ahead.latch, 1);
  assert_range (&scene, 1, "200-209");
  assert_range (&scene, 2, "300-309");
  assert_range (&scene, 3, "100-109");
  latch_wait (&raised.latch, 1);
}

static void holds_ranges (Exchange *exchange, gpointer data) {
  good (exchange, data);
  exchange->hold = g_str_equal (exchange->method, "GET");
}

/* However much is fetched ahead of one reader, another file's first bytes need not wait for it. */
static void test_spare_place (void) {
  enum { MANY = 6 };
  SCENE (scene, holds_ranges);
  Outcome ahead[MANY];
  OUTCOME (reader);
  OUTCOME (settled);
  g_autoptr (CabBlob) one = blob_with_address (&scene, 3600);
  g_autoptr (CabBlob) other = blob_with_address (&scene, 3600);
  g_assert_cmpuint (scene.rig->options.connections, ==, 4);
  for (guint i = 0; i < MANY; i++) {
    outcome_init (&ahead[i]);
    cab_transfer_unref (cab_blob_get (one, 0, 10, NULL, CAB_PRIORITY_AHEAD, &outcome_sink, &ahead[i]));
  }
  server_wait (scene.rig->blobs, GET_BLOB, 3);
  rig_probe (one, &settled);
  g_assert_cmpuint (server_count (scene.rig->blobs, GET_BLOB), ==, 3);
  cab_transfer_unref (cab_blob_get (other, 0, 11, NULL, CAB_PRIORITY_READER, &outcome_sink, &reader));
  server_wait (scene.rig->blobs, GET_BLOB, 4);
  assert_range (&scene, 3, "0-10");
  server_release (scene.rig->blobs);
  latch_wait (&reader.latch, 1);
  rig_assert_ok (&reader);
  for (guint i = 0; i < MANY; i++) {
    latch_wait (&ahead[i].latch, 1);
    outcome_clear (&ahead[i]);
  }
}

/* Some run, some wait for a place, some for an address, one for its next try: all end, once. */
static void test_free_with_all_under_way (void) {
  enum { MANY = 30 };
  SCENE (scene, held);
  Outcome outcomes[MANY];
  CabTransfer *transfers[MANY];
  CabBlob *with = blob_with_address (&scene, 3600);
  CabBlob *without = rig_blob (scene.rig, NULL, CAB_TIME_UNKNOWN);
  for (guint i = 0; i < MANY; i++) {
    outcome_init (&outcomes[i]);
    transfers[i] = NULL;
    if (i % 3 == 0)
      transfers[i] = cab_blob_get (i % 2 == 0 ? with : without, 0, 10, NULL, CAB_PRIORITY_AHEAD, &outcome_sink,
                                   &outcomes[i]);
    else if (i % 3 == 1)
      cab_blob_probe (with, CAB_PRIORITY_READER, outcome_probed, &outcomes[i]);
    else
      cab_client_list (scene.rig->client, scene.rig->scope, &outcome_list_sink, &outcomes[i]);
  }
  server_wait (scene.rig->blobs, GET_BLOB, 1);
  cab_client_stop (scene.rig->client);
  for (guint i = 0; i < MANY; i++)
    g_assert_cmpuint (outcomes[i].ends, ==, 1);
  OUTCOME (late);
  cab_blob_probe (with, CAB_PRIORITY_READER, outcome_probed, &late);
  latch_wait (&late.latch, 1);
  rig_assert_error (&late, CAB_ERROR_CANCELLED);
  for (guint i = 0; i < MANY; i++) {
    cab_transfer_unref (transfers[i]);
    outcome_clear (&outcomes[i]);
  }
  cab_blob_unref (with);
  cab_blob_unref (without);
}

static void test_not_downloadable (void) {
  SCENE (scene, good);
  rig_start (scene.rig);
  const CabRecord record = {
      .id = RIG_CAB, .date = CAB_TIME_UNKNOWN, .expires = CAB_TIME_UNKNOWN, .downloadable = FALSE};
  g_autoptr (CabBlob) blob = cab_blob_new (scene.rig->client, scene.rig->scope, &record);
  OUTCOME (outcome);
  rig_get (blob, 0, 10, NULL, &outcome);
  rig_assert_error (&outcome, CAB_ERROR_DENIED);
  g_assert_cmpuint (scene.requests + scene.locates, ==, 0);
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/blob/get", test_get);
  g_test_add_func ("/blob/probe", test_probe);
  g_test_add_func ("/blob/probe-without-head", test_probe_without_head);
  g_test_add_func ("/blob/connections", test_connections);
  g_test_add_func ("/blob/empty", test_empty);
  g_test_add_func ("/blob/past-the-end", test_past_the_end);
  g_test_add_func ("/blob/no-address", test_no_address);
  g_test_add_func ("/blob/expired", test_expired);
  g_test_add_func ("/blob/clock-is-off", test_clock_is_off);
  g_test_add_func ("/blob/short-lived", test_short_lived);
  g_test_add_func ("/blob/refused-address", test_refused_address);
  g_test_add_func ("/blob/denied", test_denied);
  g_test_add_func ("/blob/locate-errors", test_locate_errors);
  g_test_add_func ("/blob/foreign-host", test_foreign_host);
  g_test_add_func ("/blob/resumes", test_resumes);
  g_test_add_func ("/blob/changed-etag", test_changed_etag);
  g_test_add_func ("/blob/changed-size", test_changed_size);
  g_test_add_func ("/blob/precondition", test_precondition);
  g_test_add_func ("/blob/wrong-range", test_wrong_range);
  g_test_add_func ("/blob/200-to-a-range", test_200_to_a_range);
  g_test_add_func ("/blob/odd-answers", test_odd_answers);
  g_test_add_func ("/blob/pieces", test_pieces);
  g_test_add_func ("/blob/416-within", test_416_within);
  g_test_add_func ("/blob/no-redirect", test_no_redirect);
  g_test_add_func ("/blob/not-found", test_not_found);
  g_test_add_func ("/blob/retries", test_retries);
  g_test_add_func ("/blob/gives-up", test_gives_up);
  g_test_add_func ("/blob/pauses-host", test_pauses_host);
  g_test_add_func ("/blob/stall", test_stall);
  g_test_add_func ("/blob/stall-passes", test_stall_passes);
  g_test_add_func ("/blob/stall-queued", test_stall_queued);
  g_test_add_func ("/blob/sink-refuses", test_sink_refuses);
  g_test_add_func ("/blob/cancel", test_cancel);
  g_test_add_func ("/blob/cancel-from-callback", test_cancel_from_callback);
  g_test_add_func ("/blob/priority", test_priority);
  g_test_add_func ("/blob/spare-place", test_spare_place);
  g_test_add_func ("/blob/free-with-all-under-way", test_free_with_all_under_way);
  g_test_add_func ("/blob/not-downloadable", test_not_downloadable);
  return g_test_run ();
}
