/* Stack traces that are kept: one question however many want one, and how long an answer is good.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cache/stacktrace.h"

#include "client/error.h"
#include "fake-client.h"
#include "latch.h"

#include <string.h>

#define TTL_S     300
#define TIMEOUT_S 60
#define SECOND    G_USEC_PER_SEC
#define START     (1000 * SECOND)

typedef struct {
  CabStacktraces *traces;
  CabScope *scope;
} Fixture;

static void set_up (Fixture *f, gconstpointer unused) {
  const CabStacktracesOptions options = {.ttl_s = TTL_S, .timeout_ms = TIMEOUT_S * 1000};
  fake_start ();
  f->traces = cab_stacktraces_new (&options);
  f->scope = cab_scope_new ("desktop", "10238467886765136388", "1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed");
}

static void tear_down (Fixture *f, gconstpointer unused) {
  fake_stop ();
  cab_stacktraces_free (f->traces);
  cab_scope_free (f->scope);
}

/* What a call brought. */
typedef struct {
  Latch latch;
  GBytes *text;
  GError *error;
} Result;

#define RESULT(name) g_auto (Result) name = {.latch = LATCH_INIT}

static void result_clear (Result *self) {
  g_clear_pointer (&self->text, g_bytes_unref);
  g_clear_error (&self->error);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Result, result_clear)

static void on_text (gpointer data, GBytes *text, const GError *error) {
  Result *self = data;
  g_assert_true ((text != NULL) == (error == NULL));
  self->text = text != NULL ? g_bytes_ref (text) : NULL;
  self->error = error != NULL ? g_error_copy (error) : NULL;
  latch_up (&self->latch);
}

static void ask (Fixture *f, const char *id, CabReach reach, gint64 now_us, Result *result) {
  cab_stacktraces_get (f->traces, f->scope, id, reach, now_us, on_text, result);
}

static void answer_text (const char *text) {
  g_autoptr (GBytes) bytes = g_bytes_new (text, strlen (text));
  FakeRequest *request = fake_take ();
  g_assert_cmpint (request->kind, ==, FAKE_STACKTRACE);
  fake_answer_stacktrace (request, bytes, NULL);
}

static void answer_error (CabErrorCode code) {
  g_autoptr (GError) error = g_error_new_literal (CAB_ERROR, (gint) code, "in words");
  fake_answer_stacktrace (fake_take (), NULL, error);
}

static void check_text (const Result *result, const char *text) {
  g_assert_no_error (result->error);
  gsize len;
  const void *bytes = g_bytes_get_data (result->text, &len);
  g_assert_cmpuint (len, ==, strlen (text));
  g_assert_true (memcmp (bytes, text, len) == 0);
}

/* What is known at that time: NULL if it would have to be asked for. */
static void check_known (Fixture *f, const char *id, gint64 now_us, const char *text) {
  RESULT (result);
  ask (f, id, CAB_REACH_LOCAL, now_us, &result);
  g_assert_cmpuint (latch_count (&result.latch), ==, 1);
  if (text != NULL)
    check_text (&result, text);
  else
    g_assert_error (result.error, CAB_ERROR, CAB_ERROR_DENIED);
}

/* An error that is had at that time without a request. */
static void check_kept_error (Fixture *f, gint64 now_us, CabErrorCode code) {
  guint before = fake_count (FAKE_STACKTRACE);
  RESULT (result);
  ask (f, "a", CAB_REACH_NETWORK, now_us, &result);
  g_assert_cmpuint (latch_count (&result.latch), ==, 1);
  g_assert_error (result.error, CAB_ERROR, (gint) code);
  g_assert_cmpuint (fake_count (FAKE_STACKTRACE), ==, before);
}

static void get_text (Fixture *f, const char *id, gint64 now_us, const char *text) {
  RESULT (result);
  ask (f, id, CAB_REACH_NETWORK, now_us, &result);
  g_assert_cmpuint (latch_count (&result.latch), ==, 0);
  answer_text (text);
  check_text (&result, text);
}

/* --- questions ---------------------------------------------------------------------------------------------- */

static void test_single_flight (Fixture *f, gconstpointer unused) {
  RESULT (first);
  RESULT (second);
  RESULT (other);
  ask (f, "a", CAB_REACH_NETWORK, START, &first);
  ask (f, "a", CAB_REACH_NETWORK, START + SECOND, &second);
  ask (f, "b", CAB_REACH_NETWORK, START + SECOND, &other);
  check_known (f, "a", START + SECOND, NULL);
  answer_text ("#0 a\n");
  check_text (&first, "#0 a\n");
  check_text (&second, "#0 a\n");
  g_assert_cmpuint (latch_count (&other.latch), ==, 0);
  answer_text ("#0 b\n");
  check_text (&other, "#0 b\n");
  check_known (f, "a", START + SECOND, "#0 a\n");
  g_assert_cmpuint (fake_count (FAKE_STACKTRACE), ==, 2);
}

/* CABs of one id in two scopes are two. */
static void test_scopes (Fixture *f, gconstpointer unused) {
  get_text (f, "a", START, "#0 desktop\n");
  cab_scope_free (f->scope);
  f->scope = cab_scope_new ("store", "9NBLGGGZ5QDR", "1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed");
  get_text (f, "a", START, "#0 store\n");
  g_assert_cmpuint (fake_count (FAKE_STACKTRACE), ==, 2);
}

static void test_no_such_call (Fixture *f, gconstpointer unused) {
  RESULT (result);
  g_autoptr (CabScope) driver = cab_scope_new ("driver", "13984104677400476", f->scope->failure);
  cab_stacktraces_get (f->traces, driver, "a", CAB_REACH_NETWORK, START, on_text, &result);
  g_assert_error (result.error, CAB_ERROR, CAB_ERROR_NOT_FOUND);
  g_assert_cmpuint (fake_count (FAKE_STACKTRACE), ==, 0);
}

static void test_stop (Fixture *f, gconstpointer unused) {
  RESULT (before);
  RESULT (after);
  ask (f, "a", CAB_REACH_NETWORK, START, &before);
  fake_stop ();
  g_assert_error (before.error, CAB_ERROR, CAB_ERROR_CANCELLED);
  ask (f, "b", CAB_REACH_NETWORK, START, &after);
  g_assert_error (after.error, CAB_ERROR, CAB_ERROR_CANCELLED);
}

/* --- time --------------------------------------------------------------------------------------------------- */

static void test_ttl (Fixture *f, gconstpointer unused) {
  get_text (f, "a", START, "#0 a\n");
  check_known (f, "a", START + TTL_S * SECOND - 1, "#0 a\n");
  check_known (f, "a", START + TTL_S * SECOND, NULL);
  get_text (f, "a", START + TTL_S * SECOND, "#0 other\n");
  check_known (f, "a", START + TTL_S * SECOND, "#0 other\n");
  g_assert_cmpuint (fake_count (FAKE_STACKTRACE), ==, 2);
}

static void test_expiry (Fixture *f, gconstpointer unused) {
  get_text (f, "a", START, "#0 a\n");
  get_text (f, "b", START + SECOND, "#0 bb\n");
  g_assert_cmpuint (cab_stacktraces_bytes (f->traces), ==, 11);
  cab_stacktraces_tick (f->traces, START + TTL_S * SECOND - 1);
  g_assert_cmpuint (cab_stacktraces_bytes (f->traces), ==, 11);
  cab_stacktraces_tick (f->traces, START + TTL_S * SECOND);
  g_assert_cmpuint (cab_stacktraces_bytes (f->traces), ==, 6);
  cab_stacktraces_tick (f->traces, START + (TTL_S + 1) * SECOND);
  g_assert_cmpuint (cab_stacktraces_bytes (f->traces), ==, 0);
}

static void check_error (Fixture *f, CabErrorCode code, gint64 kept_us) {
  RESULT (result);
  ask (f, "a", CAB_REACH_NETWORK, START, &result);
  answer_error (code);
  g_assert_error (result.error, CAB_ERROR, (gint) code);
  check_kept_error (f, START + kept_us - 1, code);
  get_text (f, "a", START + kept_us, "#0 a\n");
}

static void test_none (Fixture *f, gconstpointer unused) {
  check_error (f, CAB_ERROR_NOT_FOUND, CAB_STACKTRACE_NONE_US);
}

static void test_denied (Fixture *f, gconstpointer unused) {
  check_error (f, CAB_ERROR_DENIED, CAB_STACKTRACE_NONE_US);
}

static void test_failed (Fixture *f, gconstpointer unused) {
  check_error (f, CAB_ERROR_FAILED, CAB_STACKTRACE_FAILED_US);
}

/* Each waits for as long as it may; the answer that comes at last is good for those who ask next. */
static void test_timeout (Fixture *f, gconstpointer unused) {
  RESULT (first);
  RESULT (second);
  ask (f, "a", CAB_REACH_NETWORK, START, &first);
  ask (f, "a", CAB_REACH_NETWORK, START + 10 * SECOND, &second);
  cab_stacktraces_tick (f->traces, START + TIMEOUT_S * SECOND - 1);
  g_assert_cmpuint (latch_count (&first.latch), ==, 0);
  cab_stacktraces_tick (f->traces, START + TIMEOUT_S * SECOND);
  g_assert_error (first.error, CAB_ERROR, CAB_ERROR_TIMEOUT);
  g_assert_cmpuint (latch_count (&second.latch), ==, 0);
  cab_stacktraces_tick (f->traces, START + (TIMEOUT_S + 10) * SECOND);
  g_assert_error (second.error, CAB_ERROR, CAB_ERROR_TIMEOUT);
  answer_text ("#0 a\n");
  check_known (f, "a", START + (TIMEOUT_S + 10) * SECOND, "#0 a\n");
  g_assert_cmpuint (fake_count (FAKE_STACKTRACE), ==, 1);
}

/* --- memory ------------------------------------------------------------------------------------------------- */

static void test_limit (Fixture *f, gconstpointer unused) {
  g_autofree char *mib = g_strnfill (1 << 20, '#');
  for (guint i = 0; i < 40; i++) {
    g_autofree char *id = g_strdup_printf ("cab-%u", i);
    get_text (f, id, START + i, mib);
    g_assert_cmpuint (cab_stacktraces_bytes (f->traces), <=, CAB_STACKTRACES_LIMIT);
  }
  g_assert_cmpuint (cab_stacktraces_bytes (f->traces), ==, CAB_STACKTRACES_LIMIT);
  check_known (f, "cab-39", START + 40, mib);
  check_known (f, "cab-24", START + 40, mib);
  check_known (f, "cab-23", START + 40, NULL);
  /* One that is larger than all that may be kept is told all the same. */
  g_autofree char *huge = g_strnfill (CAB_STACKTRACES_LIMIT + 1, '#');
  get_text (f, "huge", START + 40, huge);
  check_known (f, "huge", START + 40, NULL);
  g_assert_cmpuint (cab_stacktraces_bytes (f->traces), ==, 0);
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
#define ADD(path, func) g_test_add ("/stacktrace-cache/" path, Fixture, NULL, set_up, func, tear_down)
  ADD ("single-flight", test_single_flight);
  ADD ("scopes", test_scopes);
  ADD ("no-such-call", test_no_such_call);
  ADD ("stop", test_stop);
  ADD ("ttl", test_ttl);
  ADD ("expiry", test_expiry);
  ADD ("none", test_none);
  ADD ("denied", test_denied);
  ADD ("failed", test_failed);
  ADD ("timeout", test_timeout);
  ADD ("limit", test_limit);
  return g_test_run ();
}
