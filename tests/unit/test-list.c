/* Lists over all their pages, and what else an API host may answer.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/unit/rig.h"

#include <stdio.h>
#include <string.h>

#define PAGE        100u
#define DETAILS     "/v1.0/my/analytics/driver/failuredetails"
#define CABDOWNLOAD "/v1.0/my/analytics/driver/cabdownload"
#define GET_BATCH   "GET " RIG_BATCH

typedef struct {
  Rig *rig;
  guint rows; /* in the list */
  void (*batch) (Exchange *exchange, gpointer data);
  guint lifetime_s;     /* of tokens */
  guint valid_token;    /* the API takes no other; 0: any */
  char *location;       /* what cabdownload redirects to */
  guint details_status; /* of failuredetails, if not 200 */
} Scene;

static guint number (Exchange *exchange, const char *name) {
  g_autofree char *key = g_strdup_printf ("&%s=", name);
  const char *at = strstr (exchange->target, key);
  g_assert_nonnull (at);
  return (guint) g_ascii_strtoull (at + strlen (key), NULL, 10);
}

static void put_rows (Exchange *exchange, guint first, guint end) {
  server_body (exchange, "{\"Value\":[");
  for (guint i = first; i < end; i++)
    server_body (exchange,
                 "%s{\"applicationId\":\"" RIG_APP "\",\"failureHash\":\"" RIG_HASH
                 "\",\"cabIdHash\":\"cab-%06u\","
                 "\"cabUrl\":\"https://h.blob.core.windows.net/c/%u?sig=s\",\"date\":\"2025-01-02 03:04:05\"}",
                 i > first ? "," : "", i, i);
  server_body (exchange, "]}");
}

static void good (Exchange *exchange, gpointer data) {
  Scene *self = data;
  guint skip = number (exchange, "skip");
  g_assert_cmpuint (number (exchange, "top"), ==, PAGE);
  put_rows (exchange, MIN (skip, self->rows), MIN (skip + PAGE, self->rows));
}

static void refuse (Exchange *exchange, guint status) {
  exchange->status = status;
  server_header (exchange, "MS-CorrelationId", "c0ffee00-1111-2222-3333-444444444444");
  server_body (exchange, "{\"code\":\"Outer\",\"innererror\":{\"code\":\"Inner\",\"message\":\"in words\"}}");
}

static void details (Exchange *exchange, Scene *self) {
  if (self->details_status != 200)
    refuse (exchange, self->details_status);
  else
    server_body (exchange, "{\"Value\":[{\"failureHash\":\"" RIG_HASH "\",\"cabIdHash\":\"from-details\"}]}");
}

static void api (Exchange *exchange, gpointer data) {
  Scene *self = data;
  if (rig_answer_token (exchange, self->lifetime_s))
    return;
  guint token = 0;
  g_assert_nonnull (exchange->authorization);
  g_assert_cmpint (sscanf (exchange->authorization, "Bearer token-%u", &token), ==, 1);
  if (self->valid_token != 0 && token != self->valid_token)
    refuse (exchange, 401);
  else if (g_str_equal (exchange->path, RIG_BATCH))
    self->batch (exchange, self);
  else if (g_str_equal (exchange->path, DETAILS))
    details (exchange, self);
  else if (g_str_equal (exchange->path, CABDOWNLOAD)) {
    exchange->status = 302;
    if (self->location != NULL)
      server_header (exchange, "Location", "%s", self->location);
  } else
    exchange->status = 404;
}

static void blobs (Exchange *exchange, gpointer data) {
  server_blob (exchange, "0123456789", 10, NULL);
}

static void scene_init (Scene *self, void (*batch) (Exchange *exchange, gpointer data), guint rows) {
  *self = (Scene){.batch = batch, .rows = rows, .lifetime_s = 3600, .details_status = 404};
  self->rig = rig_new (api, blobs, self);
}

static void scene_clear (Scene *self) {
  rig_free (self->rig);
  g_free (self->location);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Scene, scene_clear)

#define SCENE(name, batch, rows)                                                                               \
  g_auto (Scene) name;                                                                                         \
  scene_init (&name, batch, rows)

static guint requests (Scene *self) {
  return server_count (self->rig->api, "GET");
}

/* --- pages -------------------------------------------------------------------------------------------------- */

static void check_count (guint rows) {
  SCENE (scene, good, rows);
  OUTCOME (outcome);
  rig_start (scene.rig);
  rig_list (scene.rig, &outcome);
  rig_assert_ok (&outcome);
  g_assert_cmpuint (cab_records_count (outcome.records), ==, rows);
  g_assert_cmpuint (requests (&scene), <=, (rows + PAGE - 1) / PAGE + 1);
  g_assert_cmpuint (outcome.pages, ==, requests (&scene));
  g_assert_cmpuint (server_count (scene.rig->api, "POST"), ==, 1);
}

static void test_counts (void) {
  check_count (0);
  check_count (1);
  check_count (100);
  check_count (101);
  check_count (1234);
}

/* A host that ignores skip sends the same for ever. */
static void same_again (Exchange *exchange, gpointer data) {
  put_rows (exchange, 0, PAGE);
}

/* Rows shift while pages are read. */
static void shifts (Exchange *exchange, gpointer data) {
  Scene *self = data;
  guint skip = number (exchange, "skip");
  guint first = skip > 10 ? skip - 10 : skip;
  put_rows (exchange, MIN (first, self->rows), MIN (first + PAGE, self->rows));
}

static void test_paging_faults (void) {
  {
    SCENE (scene, same_again, 0);
    OUTCOME (outcome);
    rig_start (scene.rig);
    rig_list (scene.rig, &outcome);
    rig_assert_ok (&outcome);
    g_assert_cmpuint (cab_records_count (outcome.records), ==, PAGE);
    g_assert_cmpuint (requests (&scene), ==, 2);
  }
  SCENE (scene, shifts, 250);
  OUTCOME (outcome);
  rig_start (scene.rig);
  rig_list (scene.rig, &outcome);
  rig_assert_ok (&outcome);
  g_assert_cmpuint (cab_records_count (outcome.records), ==, 250);
}

/* --- answers that are none ---------------------------------------------------------------------------------- */

static void html (Exchange *exchange, gpointer data) {
  server_body (exchange, "<html>Welcome to the gateway</html>");
}

static void null_rows (Exchange *exchange, gpointer data) {
  server_body (exchange, "{\"Value\":null}");
}

static void redirects (Exchange *exchange, gpointer data) {
  exchange->status = 302;
  server_header (exchange, "Location", "https://login.example/");
}

static void breaks_on_second (Exchange *exchange, gpointer data) {
  if (exchange->index == 0)
    good (exchange, data);
  else
    refuse (exchange, 400);
}

static void check_error (void (*batch) (Exchange *exchange, gpointer data), CabErrorCode code,
                         const char *word) {
  SCENE (scene, batch, 250);
  OUTCOME (outcome);
  rig_start (scene.rig);
  rig_list (scene.rig, &outcome);
  rig_assert_error (&outcome, code);
  g_test_message ("%s", outcome.message);
  g_assert_nonnull (strstr (outcome.message, word));
}

static void test_not_understood (void) {
  check_error (html, CAB_ERROR_INVALID, "page 1");
  check_error (null_rows, CAB_ERROR_INVALID, "page 1");
  check_error (redirects, CAB_ERROR_INVALID, "302");
  check_error (breaks_on_second, CAB_ERROR_FAILED, "Inner");
}

static void refuses_404 (Exchange *exchange, gpointer data) {
  refuse (exchange, 404);
}

static void refuses_403 (Exchange *exchange, gpointer data) {
  refuse (exchange, 403);
}

/* The batch is gone: the details answer, or neither does. */
static void test_ways (void) {
  SCENE (scene, refuses_404, 0);
  OUTCOME (outcome);
  scene.details_status = 200;
  rig_start (scene.rig);
  rig_list (scene.rig, &outcome);
  rig_assert_ok (&outcome);
  g_assert_true (cab_records_find (outcome.records, "from-details", 12, NULL));
  g_assert_cmpuint (requests (&scene), ==, 2);
  check_error (refuses_404, CAB_ERROR_NOT_FOUND, "404");
  check_error (refuses_403, CAB_ERROR_DENIED, "c0ffee00-1111"); /* though the details say 404 */
}

/* --- time --------------------------------------------------------------------------------------------------- */

/* Takes longer than a silence may, without one, and breaks off. */
static void drips_and_breaks (Exchange *exchange, gpointer data) {
  good (exchange, data);
  if (exchange->index > 0)
    return;
  exchange->drip_us = 220 * 1000;
  exchange->fate = FATE_RESET;
  exchange->stop_at = 17 * 1024;
}

static void test_broken_after_long (void) {
  SCENE (scene, drips_and_breaks, 90);
  OUTCOME (outcome);
  scene.rig->options.timeout_ms = 2000;
  rig_start (scene.rig);
  rig_list (scene.rig, &outcome);
  rig_assert_ok (&outcome);
  g_assert_cmpuint (requests (&scene), ==, 2);
}

/* A host whose clock is ahead asks for a pause of a second, as a date. */
static void asks_for_pause (Exchange *exchange, gpointer data) {
  exchange->date_offset_s = 7200;
  if (exchange->index > 0) {
    good (exchange, data);
    return;
  }
  g_autoptr (GDateTime) now = g_date_time_new_now_utc ();
  g_autoptr (GDateTime) then = g_date_time_add_seconds (now, exchange->date_offset_s + 1);
  g_autofree char *date = g_date_time_format (then, "%a, %d %b %Y %H:%M:%S GMT");
  refuse (exchange, 429);
  server_header (exchange, "Retry-After", "%s", date);
}

static void test_pause_by_its_clock (void) {
  SCENE (scene, asks_for_pause, 10);
  OUTCOME (outcome);
  gint64 began = g_get_monotonic_time ();
  rig_start (scene.rig);
  rig_list (scene.rig, &outcome);
  rig_assert_ok (&outcome);
  g_assert_cmpint (g_get_monotonic_time () - began, <, 60 * G_USEC_PER_SEC);
}

/* --- tokens ------------------------------------------------------------------------------------------------- */

static void test_401_once (void) {
  SCENE (scene, good, 10);
  OUTCOME (outcome);
  scene.valid_token = 2;
  rig_start (scene.rig);
  rig_list (scene.rig, &outcome);
  rig_assert_ok (&outcome);
  g_assert_cmpuint (requests (&scene), ==, 2);
  g_assert_cmpuint (server_count (scene.rig->api, "POST"), ==, 2);
}

static void test_401_always (void) {
  SCENE (scene, good, 10);
  OUTCOME (outcome);
  OUTCOME (again);
  scene.valid_token = 99;
  rig_start (scene.rig);
  rig_list (scene.rig, &outcome);
  rig_assert_error (&outcome, CAB_ERROR_DENIED);
  g_assert_cmpuint (requests (&scene), ==, 2);
  rig_list (scene.rig, &again); /* a walk over the mount does not cost a token for each failure */
  rig_assert_error (&again, CAB_ERROR_DENIED);
  g_assert_cmpuint (requests (&scene), ==, 3);
  g_assert_cmpuint (server_count (scene.rig->api, "POST"), ==, 2);
}

static void set (char **option, const char *value) {
  g_free (*option);
  *option = g_strdup (value);
}

static void test_no_token (void) {
  SCENE (scene, good, 10);
  OUTCOME (outcome);
  set (&scene.rig->options.login_url, "http://127.0.0.1:1");
  scene.rig->options.retries = 2;
  rig_start (scene.rig);
  rig_list (scene.rig, &outcome);
  rig_assert_error (&outcome, CAB_ERROR_FAILED);
  g_assert_nonnull (strstr (outcome.message, "access token: "));
  g_assert_cmpuint (requests (&scene), ==, 0);
}

/* A file that nobody writes anew: the same token is not sent twice. */
static void test_same_token (void) {
  SCENE (scene, good, 10);
  OUTCOME (outcome);
  scene.valid_token = 2;
  set (&scene.rig->options.token.token_file, scene.rig->options.token.client_secret_file);
  g_assert_true (g_file_set_contents (scene.rig->options.token.token_file, "token-1", -1, NULL));
  rig_start (scene.rig);
  rig_list (scene.rig, &outcome);
  rig_assert_error (&outcome, CAB_ERROR_DENIED);
  g_assert_cmpuint (requests (&scene), ==, 1);
}

/* --- patience ----------------------------------------------------------------------------------------------- */

static void throttles_once (Exchange *exchange, gpointer data) {
  if (exchange->index > 0) {
    good (exchange, data);
    return;
  }
  refuse (exchange, 429);
  server_header (exchange, "Retry-After", "1");
}

static void test_retry_after (void) {
  SCENE (scene, throttles_once, 10);
  OUTCOME (outcome);
  rig_start (scene.rig);
  gint64 start = g_get_monotonic_time ();
  rig_list (scene.rig, &outcome);
  rig_assert_ok (&outcome);
  g_assert_cmpint (g_get_monotonic_time () - start, >=, 950000);
  g_assert_cmpuint (requests (&scene), ==, 2);
}

static void never_answers (Exchange *exchange, gpointer data) {
  exchange->hold = TRUE;
}

static void test_timeout (void) {
  SCENE (scene, never_answers, 10);
  OUTCOME (outcome);
  scene.rig->options.timeout_ms = 700;
  rig_start (scene.rig);
  rig_list (scene.rig, &outcome);
  rig_assert_error (&outcome, CAB_ERROR_TIMEOUT);
}

static void test_nobody_there (void) {
  SCENE (scene, good, 10);
  OUTCOME (outcome);
  g_free (scene.rig->options.api_url);
  scene.rig->options.api_url = g_strdup ("http://127.0.0.1:1");
  scene.rig->options.retries = 2;
  rig_start (scene.rig);
  rig_list (scene.rig, &outcome);
  rig_assert_error (&outcome, CAB_ERROR_FAILED);
}

static void test_parallel (void) {
  enum { MANY = 20 };
  SCENE (scene, good, 150);
  Outcome outcomes[MANY];
  scene.rig->options.api_connections = 3;
  rig_start (scene.rig);
  for (guint i = 0; i < MANY; i++) {
    outcome_init (&outcomes[i]);
    cab_client_list (scene.rig->client, scene.rig->scope, &outcome_list_sink, &outcomes[i]);
  }
  for (guint i = 0; i < MANY; i++) {
    latch_wait (&outcomes[i].latch, 1);
    rig_assert_ok (&outcomes[i]);
    g_assert_cmpuint (cab_records_count (outcomes[i].records), ==, 150);
    outcome_clear (&outcomes[i]);
  }
  g_assert_cmpuint (server_peak (scene.rig->api), <=, 3);
  g_assert_cmpuint (server_count (scene.rig->api, "POST"), ==, 1);
}

/* --- one address -------------------------------------------------------------------------------------------- */

static CabBlob *blob_named (Scene *self, const char *id, gint64 date) {
  const CabRecord record = {.id = id, .date = date, .expires = CAB_TIME_UNKNOWN, .downloadable = TRUE};
  return cab_blob_new (self->rig->client, self->rig->scope, &record);
}

static void with_our_addresses (Exchange *exchange, gpointer data) {
  Scene *self = data;
  guint skip = number (exchange, "skip");
  server_body (exchange, "{\"Value\":[");
  for (guint i = skip; i < MIN (skip + PAGE, self->rows); i++)
    server_body (exchange, "%s{\"cabIdHash\":\"cab-%06u\",\"cabUrl\":\"%s/%u?sig=s\"}", i > skip ? "," : "", i,
                 server_url (self->rig->blobs), i);
  server_body (exchange, "]}");
}

static void check_fetch (CabBlob *blob) {
  OUTCOME (outcome);
  rig_get (blob, 0, 10, NULL, &outcome);
  rig_assert_ok (&outcome);
  g_assert_cmpuint (outcome.bytes->len, ==, 10);
}

/* One request for the address of one CAB brings those of its neighbours. */
static void test_neighbours (void) {
  SCENE (scene, with_our_addresses, 250);
  rig_start (scene.rig);
  gint64 day = 1735787045;
  g_autoptr (CabBlob) last = blob_named (&scene, "cab-000249", day);
  g_autoptr (CabBlob) first = blob_named (&scene, "cab-000000", day);
  g_autoptr (CabBlob) gone = blob_named (&scene, "cab-000250", day);
  check_fetch (last);
  g_assert_cmpuint (requests (&scene), ==, 3);
  check_fetch (first);
  g_assert_cmpuint (requests (&scene), ==, 3);
  OUTCOME (outcome);
  rig_probe (gone, &outcome);
  rig_assert_error (&outcome, CAB_ERROR_NOT_FOUND);
}

/* Many want addresses of one day at the same time. */
static void test_one_flight (void) {
  enum { MANY = 50 };
  SCENE (scene, with_our_addresses, 80);
  Outcome outcomes[MANY];
  CabBlob *blobs_of[MANY];
  rig_start (scene.rig);
  for (guint i = 0; i < MANY; i++) {
    g_autofree char *id = g_strdup_printf ("cab-%06u", i);
    outcome_init (&outcomes[i]);
    blobs_of[i] = blob_named (&scene, id, 1735787045);
    cab_blob_probe (blobs_of[i], CAB_PRIORITY_READER, outcome_probed, &outcomes[i]);
  }
  for (guint i = 0; i < MANY; i++) {
    latch_wait (&outcomes[i].latch, 1);
    rig_assert_ok (&outcomes[i]);
    cab_blob_unref (blobs_of[i]);
    outcome_clear (&outcomes[i]);
  }
  g_assert_cmpuint (requests (&scene), ==, 1);
}

static void html_later (Exchange *exchange, gpointer data) {
  if (exchange->index == 0)
    with_our_addresses (exchange, data);
  else
    html (exchange, data);
}

static void check_locate_fault (void (*batch) (Exchange *exchange, gpointer data), CabErrorCode code) {
  SCENE (scene, batch, 250);
  rig_start (scene.rig);
  g_autoptr (CabBlob) blob = blob_named (&scene, "cab-000249", CAB_TIME_UNKNOWN);
  OUTCOME (outcome);
  rig_get (blob, 0, 10, NULL, &outcome);
  rig_assert_error (&outcome, code);
  g_assert_nonnull (strstr (outcome.message, "address of cab-000249: "));
}

static void test_locate_faults (void) {
  check_locate_fault (html, CAB_ERROR_INVALID);
  check_locate_fault (html_later, CAB_ERROR_INVALID);
  check_locate_fault (redirects, CAB_ERROR_INVALID);
  check_locate_fault (breaks_on_second, CAB_ERROR_FAILED);
}

static void check_redirect (const char *location, gboolean ok, CabErrorCode code) {
  SCENE (scene, refuses_404, 0);
  rig_start (scene.rig);
  scene.location = location == NULL ? NULL
                   : g_str_equal (location, "good")
                       ? g_strdup_printf ("%s/x?sig=s", server_url (scene.rig->blobs))
                       : g_strdup (location);
  g_autoptr (CabBlob) blob = blob_named (&scene, "cab-1", CAB_TIME_UNKNOWN);
  OUTCOME (outcome);
  rig_get (blob, 0, 10, NULL, &outcome);
  if (ok)
    rig_assert_ok (&outcome);
  else
    rig_assert_error (&outcome, code);
  g_assert_cmpuint (
      server_count (scene.rig->api, "GET " CABDOWNLOAD "?applicationId=" RIG_APP "&cabIdHash=cab-1"), ==, 1);
  g_assert_cmpuint (server_count (scene.rig->blobs, ""), ==, ok ? 1 : 0);
}

static void test_redirect (void) {
  check_redirect ("good", TRUE, 0);
  check_redirect (NULL, FALSE, CAB_ERROR_INVALID);
  check_redirect ("/relative/path", FALSE, CAB_ERROR_DENIED);
  check_redirect ("https://evil.example/x", FALSE, CAB_ERROR_DENIED);
  check_redirect ("file:///etc/passwd", FALSE, CAB_ERROR_DENIED);
}

/* --- options ------------------------------------------------------------------------------------------------ */

static void check_options (Rig *rig, CabErrorCode code, const char *word) {
  g_autoptr (GError) error = NULL;
  g_assert_null (cab_client_new (&rig->options, &error));
  g_assert_error (error, CAB_ERROR, (int) code);
  g_assert_nonnull (strstr (error->message, word));
}

static void test_options (void) {
  SCENE (scene, good, 0);
  Rig *rig = scene.rig;
  g_autofree char *url = g_strdup (rig->options.api_url);
  rig->options.allow_http = FALSE;
  check_options (rig, CAB_ERROR_DENIED, "api-url");
  rig->options.allow_http = TRUE;
  set (&rig->options.api_url, "http://manage.example");
  check_options (rig, CAB_ERROR_DENIED, "api-url");
  set (&rig->options.api_url, url);
  set (&rig->options.login_url, "ftp://login.example");
  check_options (rig, CAB_ERROR_DENIED, "login-url");
  set (&rig->options.login_url, url);
  set (&rig->options.token.managed_identity, "system");
  set (&rig->options.token.managed_url, "http://metadata.example");
  check_options (rig, CAB_ERROR_DENIED, "managed-identity-url");
  set (&rig->options.token.managed_identity, NULL);
  rig->options.token_version = 3;
  check_options (rig, CAB_ERROR_INVALID, "token-version");
  rig->options.token_version = 1;
  set (&rig->options.start_date, "yesterday");
  check_options (rig, CAB_ERROR_INVALID, "start-date");
  set (&rig->options.start_date, NULL);
  set (&rig->options.ca_file, "/no/such/file");
  check_options (rig, CAB_ERROR_INVALID, "ca-file");
  set (&rig->options.ca_file, NULL);
  set (&rig->options.token.tenant, NULL);
  check_options (rig, CAB_ERROR_INVALID, "tenant");
}

static void test_unknown_family (void) {
  SCENE (scene, good, 0);
  OUTCOME (outcome);
  rig_start (scene.rig);
  g_free (scene.rig->scope->family);
  scene.rig->scope->family = g_strdup ("gameboy");
  rig_list (scene.rig, &outcome);
  rig_assert_error (&outcome, CAB_ERROR_NOT_FOUND);
  g_assert_cmpuint (requests (&scene), ==, 0);
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
  g_log_set_always_fatal (G_LOG_FATAL_MASK);
  g_test_add_func ("/list/counts", test_counts);
  g_test_add_func ("/list/paging-faults", test_paging_faults);
  g_test_add_func ("/list/not-understood", test_not_understood);
  g_test_add_func ("/list/ways", test_ways);
  g_test_add_func ("/list/broken-after-long", test_broken_after_long);
  g_test_add_func ("/list/pause-by-its-clock", test_pause_by_its_clock);
  g_test_add_func ("/list/401-once", test_401_once);
  g_test_add_func ("/list/401-always", test_401_always);
  g_test_add_func ("/list/no-token", test_no_token);
  g_test_add_func ("/list/same-token", test_same_token);
  g_test_add_func ("/list/retry-after", test_retry_after);
  g_test_add_func ("/list/timeout", test_timeout);
  g_test_add_func ("/list/nobody-there", test_nobody_there);
  g_test_add_func ("/list/parallel", test_parallel);
  g_test_add_func ("/list/neighbours", test_neighbours);
  g_test_add_func ("/list/one-flight", test_one_flight);
  g_test_add_func ("/list/locate-faults", test_locate_faults);
  g_test_add_func ("/list/redirect", test_redirect);
  g_test_add_func ("/list/options", test_options);
  g_test_add_func ("/list/unknown-family", test_unknown_family);
  return g_test_run ();
}
