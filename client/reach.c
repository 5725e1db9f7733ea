/* SPDX-License-Identifier: MIT */
#include "client/reach.h"

#include "client/api.h"
#include "client/error.h"
#include "client/metrics.h"
#include "client/wipe.h"

/* Most of an error's body that is kept. */
#define BODY_LIMIT (64u * 1024)
/* A silent connection is given up after half of the time that a reader may wait, but not sooner than this. */
#define LEAST_STALL_MS 2000

struct CabReach {
  CabBlob *blob;
  CabReachSink sink;
  gpointer data;
  CabAsk *ask;
  char *url;        /* of the try under way */
  gboolean renewed; /* after a refusal, and no byte came since */
  char range[64];   /* headers of the try */
  char *if_match;
  const char *headers[3];
};

/* --- the address -------------------------------------------------------------------------------------------- */

/* A new address on its way from the API's thread. */
typedef struct {
  CabAsk *ask;
  CabReach *reach; /* valid as long as the ask is not over */
  CabHttp *http;
  char *url;
  GError *error;
} Located;

static void send_to_address (CabReach *self) {
  cab_wipe_free (self->url);
  self->url = g_strdup (self->blob->url);
  cab_ask_go (self->ask, self->url, NULL);
}

static void arrive (gpointer data) {
  g_autofree Located *located = data;
  g_autoptr (CabAsk) ask = located->ask;
  g_autoptr (GError) error = located->error;
  CabReach *self = located->reach;
  if (cab_ask_is_over (ask)) {
    cab_wipe_free (located->url);
    return;
  }
  if (error != NULL) {
    cab_ask_end (ask, error);
  } else {
    cab_blob_set_address (self->blob, located->url);
    send_to_address (self);
  }
  cab_wipe_free (located->url);
}

/* On the API's thread. */
static void have_address (gpointer data, const char *url, const GError *error) {
  Located *located = data;
  located->url = g_strdup (url);
  located->error = error == NULL ? NULL : g_error_copy (error);
  cab_http_run (located->http, arrive, located);
}

static void locate (CabReach *self) {
  CabBlob *blob = self->blob;
  Located *located = g_new0 (Located, 1);
  located->ask = cab_ask_ref (self->ask);
  located->reach = self;
  located->http = blob->client->blob_http;
  cab_locate (blob->client->locator, blob->scope, blob->id, blob->date, blob->url, have_address, located);
}

static void ready (gpointer data) {
  CabReach *self = data;
  CabBlob *blob = self->blob;
  g_autoptr (GError) error = NULL;
  if (!blob->downloadable) {
    error = g_error_new (CAB_ERROR, CAB_ERROR_DENIED,
                         "%s: the service says that this account cannot download it", blob->id);
    cab_ask_end (self->ask, error);
  } else if (!cab_blob_has_address (blob)) {
    locate (self);
  } else if (!blob->checked && !cab_address_check (&blob->client->rule, blob->url, &error)) {
    cab_ask_end (self->ask, error);
  } else {
    blob->checked = TRUE;
    send_to_address (self);
  }
}

/* --- the question ------------------------------------------------------------------------------------------- */

static void question (gpointer data, CabRequestSpec *spec) {
  CabReach *self = data;
  CabReachQuestion asked = self->sink.question (self->data);
  guint count = 0;
  g_clear_pointer (&self->if_match, g_free);
  if (asked.has_range) {
    g_snprintf (self->range, sizeof self->range, "Range: bytes=%" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT,
                asked.first, asked.last);
    self->headers[count++] = self->range;
  }
  if (asked.if_match != NULL) {
    self->if_match = g_strconcat ("If-Match: ", asked.if_match, NULL);
    self->headers[count++] = self->if_match;
  }
  self->headers[count] = NULL;
  spec->method = asked.method;
  if (cab_blob_has_address (self->blob)) /* else its host is not known */
    spec->url = self->blob->url;
  spec->headers = self->headers;
  spec->limit = BODY_LIMIT;
}

/* --- refusals ----------------------------------------------------------------------------------------------- */

static char *code_of_answer (const CabAnswer *answer) {
  const char *header = cab_answer_header (answer, "x-ms-error-code");
  gsize len = 0;
  const void *body = cab_answer_body (answer, &len);
  return header != NULL ? g_strdup (header) : cab_api_error_code (body, len);
}

static CabErrorCode code_of_status (int status) {
  switch (status) {
  case 401:
  case 403:
    return CAB_ERROR_DENIED;
  case 404:
  case 410:
    return CAB_ERROR_NOT_FOUND;
  case 412:
    return CAB_ERROR_CHANGED;
  default:
    return status < 400 ? CAB_ERROR_INVALID : CAB_ERROR_FAILED;
  }
}

static GError *refusal (const CabReach *self, const CabAnswer *answer) {
  gsize len = 0;
  const void *body = cab_answer_body (answer, &len);
  int status = cab_answer_status (answer);
  g_autofree char *host = cab_address_host (self->url);
  const char *correlation = cab_answer_header (answer, "x-ms-request-id");
  g_autofree char *text = cab_api_error_text (body, len, correlation);
  g_autofree char *code = cab_api_error_word (cab_answer_header (answer, "x-ms-error-code"));
  GError *error = g_error_new (CAB_ERROR, (int) code_of_status (status), "%s: %s: HTTP status %d%s%s%s%s",
                               self->blob->id, host, status, code != NULL ? " " : "", code != NULL ? code : "",
                               text[0] != '\0' ? ": " : "", text);
  cab_api_error_mark (error, status, body, len, code, correlation);
  return error;
}

/* A 403 may mean no more than that the address ran out.  Azure says AuthenticationFailed then, others other things;
 * in an answer to HEAD the code may be missing. */
static gboolean may_have_run_out (const CabReach *self, const CabAnswer *answer) {
  g_autofree char *code = code_of_answer (answer);
  gint64 expires = cab_address_expires (self->url);
  if (cab_answer_status (answer) != 403)
    return FALSE;
  return code == NULL || g_str_equal (code, "AuthenticationFailed") ||
         (expires != CAB_TIME_UNKNOWN && expires <= cab_http_time (self->blob->client->blob_http, self->url));
}

static CabAskNext refused (CabReach *self, const CabAnswer *answer, GError **error) {
  if (may_have_run_out (self, answer) && !self->renewed) {
    self->renewed = TRUE;
    cab_blob_refuse_address (self->blob, self->url);
    return CAB_ASK_AGAIN;
  }
  if (cab_answer_status (answer) == 412)
    cab_known_clear (&self->blob->known);
  g_propagate_error (error, refusal (self, answer));
  return CAB_ASK_RETRY;
}

static CabAskNext answered (gpointer data, const CabAnswer *answer, GError **error) {
  CabReach *self = data;
  switch (self->sink.answered (self->data, answer, error)) {
  case CAB_REACH_DONE:
    return CAB_ASK_DONE;
  case CAB_REACH_AGAIN:
    return CAB_ASK_AGAIN;
  case CAB_REACH_FAULT:
    return CAB_ASK_FAULT;
  case CAB_REACH_FAIL:
    return CAB_ASK_FAIL;
  case CAB_REACH_REFUSED:
    break;
  }
  return refused (self, answer, error);
}

/* --- life --------------------------------------------------------------------------------------------------- */

static CabBody head (gpointer data, const CabAnswer *answer) {
  CabReach *self = data;
  return self->sink.head == NULL ? CAB_BODY_KEEP : self->sink.head (self->data, answer);
}

static gboolean body (gpointer data, const void *bytes, gsize len) {
  CabReach *self = data;
  return self->sink.body (self->data, bytes, len);
}

static void done (gpointer data, const CabAnswer *answer, const GError *error) {
  CabReach *self = data;
  self->sink.done (self->data, error);
  cab_blob_unref (self->blob);
  cab_ask_unref (self->ask);
  cab_wipe_free (self->url);
  g_free (self->if_match);
  g_free (self);
}

static guint stall_ms (guint timeout_ms, guint tries) {
  return tries < 2 ? timeout_ms : MIN (timeout_ms, MAX (LEAST_STALL_MS, timeout_ms / 2));
}

CabReach *cab_reach_new (CabBlob *blob, guint lane, guint priority, const CabReachSink *sink, gpointer data) {
  CabReach *self = g_new0 (CabReach, 1);
  guint timeout_ms = atomic_load (&blob->client->timeout_ms);
  guint tries = atomic_load (&blob->client->tries);
  self->blob = cab_blob_ref (blob);
  self->sink = *sink;
  self->data = data;
  CabAskConfig config = {.http = blob->client->blob_http,
                         .lane = lane,
                         .priority = priority,
                         .flow = lane == CAB_LANE_BYTES ? blob : NULL,
                         .kind = CAB_RETRY_BLOB,
                         .counts_as = lane == CAB_LANE_BYTES ? CAB_REQUEST_RANGE : CAB_REQUEST_HEAD,
                         .tries = tries,
                         .timeout_ms = timeout_ms,
                         .stall_ms = stall_ms (timeout_ms, tries)};
  CabAskSink ask = {
      .question = question, .ready = ready, .head = head, .body = body, .answered = answered, .done = done};
  self->ask = cab_ask_new (&config, &ask, self);
  return self;
}

void cab_reach_end (CabReach *self, const GError *error) {
  cab_ask_end (self->ask, error);
}

void cab_reach_set_priority (CabReach *self, guint priority) {
  cab_ask_set_priority (self->ask, priority);
}

void cab_reach_progress (CabReach *self) {
  self->renewed = FALSE;
  cab_ask_progress (self->ask);
}
