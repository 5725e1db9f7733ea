/* SPDX-License-Identifier: MIT */
#include "client/call.h"

#include "client/api.h"
#include "client/ask.h"
#include "client/error.h"
#include "client/wipe.h"

struct CabCalls {
  CabHttp *http;
  guint lane;
  guint parallel;
  CabToken *token;
  CabWays *ways;
  char *api_url;
  guint timeout_ms;
  guint tries;
};

struct CabCall {
  const CabCalls *calls;
  CabAsk *ask;
  char *url;
  char *path; /* for messages */
  gsize limit;
  CabCallDone done;
  gpointer data;
  char *value;   /* of the token that the last try used */
  char *refused; /* that of the token which a 401 has cost already; NULL: none */
};

static void call_free (CabCall *self) {
  g_free (self->url);
  g_free (self->path);
  cab_wipe_free (self->value);
  cab_wipe_free (self->refused);
  g_free (self);
}

static void question (gpointer data, CabRequestSpec *spec) {
  CabCall *self = data;
  spec->url = self->url;
  spec->limit = self->limit;
}

/* --- the token ---------------------------------------------------------------------------------------------- */

/* A wait for the token cannot be called off: this outlives a call that ends before. */
typedef struct {
  CabAsk *ask;
  CabCall *call; /* valid as long as the ask is not over */
} TokenWait;

static void go_with (CabCall *self, const char *value) {
  char *authorization = g_strconcat ("Authorization: Bearer ", value, NULL);
  const char *const headers[] = {authorization, "Accept: application/json", NULL};
  cab_wipe_free (self->value);
  self->value = g_strdup (value);
  cab_ask_go (self->ask, NULL, headers);
  cab_wipe_free (authorization);
}

static void have_token (gpointer data, const char *value, const GError *error) {
  g_autofree TokenWait *wait = data;
  g_autoptr (CabAsk) ask = wait->ask;
  CabCall *self = wait->call;
  if (cab_ask_is_over (ask))
    return;
  if (error == NULL && g_strcmp0 (value, self->refused) == 0) {
    g_autoptr (GError) same =
        g_error_new (CAB_ERROR, CAB_ERROR_DENIED,
                     "GET %s: HTTP status 401, and the source of tokens still gives the same", self->path);
    cab_error_set_answer (same, &(CabErrorAnswer){.status = 401});
    cab_token_absolve (self->calls->token, value);
    cab_ask_end (ask, same);
  } else if (error == NULL) {
    go_with (self, value);
  } else {
    g_autoptr (GError) told = g_error_copy (error);
    g_prefix_error (&told, "access token: ");
    cab_ask_end (ask, told);
  }
}

static void ready (gpointer data) {
  CabCall *self = data;
  TokenWait *wait = g_new0 (TokenWait, 1);
  wait->ask = cab_ask_ref (self->ask);
  wait->call = self;
  cab_token_get (self->calls->token, have_token, wait);
}

/* --- the answer --------------------------------------------------------------------------------------------- */

static CabErrorCode code_of (int status) {
  switch (status) {
  case 401:
  case 403:
    return CAB_ERROR_DENIED;
  case 404:
  case 410:
    return CAB_ERROR_NOT_FOUND;
  default:
    return CAB_ERROR_FAILED;
  }
}

static GError *refusal (const CabCall *self, const CabAnswer *answer) {
  gsize len = 0;
  const void *body = cab_answer_body (answer, &len);
  int status = cab_answer_status (answer);
  const char *correlation = cab_answer_header (answer, "MS-CorrelationId");
  g_autofree char *text = cab_api_error_text (body, len, correlation);
  GError *error = g_error_new (CAB_ERROR, (int) code_of (status), "GET %s: HTTP status %d%s%s", self->path,
                               status, text[0] != '\0' ? ": " : "", text);
  cab_api_error_mark (error, status, body, len, NULL, correlation);
  return error;
}

static CabAskNext answered (gpointer data, const CabAnswer *answer, GError **error) {
  CabCall *self = data;
  int status = cab_answer_status (answer);
  if (status < 400)
    return CAB_ASK_DONE;
  if (status == 401 && self->refused == NULL && cab_token_reject (self->calls->token, self->value)) {
    self->refused = g_strdup (self->value);
    return CAB_ASK_AGAIN;
  }
  if (status == 401 && self->refused != NULL)
    cab_token_absolve (self->calls->token, self->value);
  g_propagate_error (error, refusal (self, answer));
  return CAB_ASK_RETRY;
}

static void done (gpointer data, const CabAnswer *answer, const GError *error) {
  CabCall *self = data;
  self->done (self->data, answer, error);
  cab_ask_unref (self->ask);
  call_free (self);
}

gboolean cab_call_is_absent (const CabAnswer *answer) {
  int status = answer == NULL ? 0 : cab_answer_status (answer);
  return status == 403 || status == 404 || status == 410;
}

gboolean cab_call_is_refused (const CabCalls *self, const GError *error) {
  return g_error_matches (error, CAB_ERROR, CAB_ERROR_DENIED) && cab_token_is_here (self->token);
}

CabCall *cab_call_get (CabCalls *self, const char *path, gsize limit, CabRequestKind kind, CabCallDone func,
                       gpointer data) {
  CabCall *call = g_new0 (CabCall, 1);
  call->calls = self;
  call->url = g_strconcat (self->api_url, path, NULL);
  call->path = g_strdup (path);
  call->limit = limit;
  call->done = func;
  call->data = data;
  CabAskConfig config = {.http = self->http,
                         .lane = self->lane,
                         .kind = CAB_RETRY_API,
                         .counts_as = kind,
                         .tries = self->tries,
                         .timeout_ms = self->timeout_ms,
                         .stall_ms = self->timeout_ms};
  CabAskSink sink = {.question = question, .ready = ready, .answered = answered, .done = done};
  call->ask = cab_ask_new (&config, &sink, call);
  return call;
}

void cab_call_cancel (CabCall *self) {
  g_autoptr (GError) error = g_error_new_literal (CAB_ERROR, CAB_ERROR_CANCELLED, "not wanted any more");
  cab_ask_end (self->ask, error);
}

guint cab_calls_parallel (const CabCalls *self) {
  return self->parallel;
}

CabHttp *cab_calls_http (const CabCalls *self) {
  return self->http;
}

CabWays *cab_calls_ways (const CabCalls *self) {
  return self->ways;
}

gint64 cab_calls_time (const CabCalls *self) {
  return cab_http_time (self->http, self->api_url);
}

CabCalls *cab_calls_new (const CabCallsConfig *config) {
  CabCalls *self = g_new0 (CabCalls, 1);
  self->http = config->http;
  self->lane = config->lane;
  self->parallel = config->parallel;
  self->token = config->token;
  self->ways = cab_ways_new ();
  self->api_url = g_strdup (config->api_url);
  self->timeout_ms = config->timeout_ms;
  self->tries = config->tries;
  return self;
}

void cab_calls_change (CabCalls *self, guint timeout_ms, guint tries) {
  self->timeout_ms = timeout_ms;
  self->tries = tries;
}

void cab_calls_free (CabCalls *self) {
  if (self == NULL)
    return;
  cab_ways_free (self->ways);
  g_free (self->api_url);
  g_free (self);
}
