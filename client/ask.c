/* SPDX-License-Identifier: MIT */
#include "client/ask.h"

#include "client/error.h"
#include "client/metrics.h"
#include "client/sync.h"
#include "client/wipe.h"

struct CabAsk {
  CabRefs refs; /* the owner's, and one each for a request, and for itself until it is over */
  CabAskConfig config;
  CabAskSink sink;
  gpointer data;
  CabRequest *request; /* the try under way */
  char *url;           /* of it */
  CabTimer *pause;     /* until the next try */
  CabTimer *watch;
  gint64 quiet_us; /* monotonic time since when nothing came */
  guint failed;    /* tries since the last progress */
  gboolean streaming;
  gboolean fresh; /* the next try is to have a new connection */
  gboolean over;
  GError *last; /* what the last try failed with */
};

CabAsk *cab_ask_ref (CabAsk *self) {
  cab_ref_take (&self->refs);
  return self;
}

void cab_ask_unref (CabAsk *self) {
  if (self == NULL || !cab_ref_drop (&self->refs))
    return;
  cab_wipe_free (self->url);
  g_clear_error (&self->last);
  g_free (self);
}

gboolean cab_ask_is_over (const CabAsk *self) {
  return self->over;
}

static void end_with (CabAsk *self, const CabAnswer *answer, const GError *error) {
  if (self->over)
    return;
  self->over = TRUE;
  cab_http_forget (self->config.http, &self->pause);
  cab_http_forget (self->config.http, &self->watch);
  if (self->request != NULL)
    cab_request_cancel (self->request);
  self->sink.done (self->data, answer, error);
  cab_ask_unref (self);
}

void cab_ask_end (CabAsk *self, const GError *error) {
  end_with (self, NULL, error);
}

/* --- silence ------------------------------------------------------------------------------------------------ */

/* While bytes are streamed only cab_ask_progress() counts: a host that sends headers and then nothing, try after
 * try, is silent. */
static gint64 quiet_since (const CabAsk *self) {
  gint64 heard = 0;
  if (self->request != NULL && cab_request_is_waiting (self->request))
    heard = cab_http_heard (self->config.http, self->config.lane);
  else if (self->request != NULL && !self->streaming)
    heard = cab_request_heard (self->request);
  return MAX (self->quiet_us, heard);
}

static void time_out (CabAsk *self) {
  g_autoptr (GError) error =
      g_error_new (CAB_ERROR, CAB_ERROR_TIMEOUT, "not a byte for %u.%u s%s%s", self->config.timeout_ms / 1000,
                   self->config.timeout_ms % 1000 / 100, self->last != NULL ? "; before that: " : "",
                   self->last != NULL ? self->last->message : "");
  const CabErrorAnswer answer = cab_error_answer (self->last);
  cab_error_set_answer (error, &answer);
  end_with (self, NULL, error);
}

static void look (gpointer data) {
  CabAsk *self = data;
  gint64 left_us = quiet_since (self) + (gint64) self->config.timeout_ms * 1000 - g_get_monotonic_time ();
  self->watch = NULL;
  if (cab_http_stopped (self->config.http)) {
    g_autoptr (GError) error = g_error_new_literal (CAB_ERROR, CAB_ERROR_CANCELLED, "ended");
    end_with (self, NULL, error);
  } else if (left_us > 0) {
    self->watch = cab_http_after (self->config.http, left_us / 1000 + 1, look, self);
  } else {
    time_out (self);
  }
}

void cab_ask_progress (CabAsk *self) {
  self->quiet_us = g_get_monotonic_time ();
  self->failed = 0;
}

/* --- a try -------------------------------------------------------------------------------------------------- */

static void send (CabAsk *self);

static void resend (gpointer data) {
  CabAsk *self = data;
  self->pause = NULL;
  send (self);
}

/* @status 0: there was no answer. */
static void retry (CabAsk *self, const CabAnswer *answer, int status, const GError *error) {
  gint64 retry_after = status == 0 ? -1 : cab_answer_retry_after (answer);
  CabRetryInput input = {.kind = self->config.kind,
                         .tries = self->config.tries,
                         .failed = ++self->failed,
                         .status = status,
                         .retry_after = retry_after,
                         .chance = g_random_double ()};
  gint64 delay_ms = cab_retry_delay_ms (&input);
  if (delay_ms < 0) {
    end_with (self, answer, error);
    return;
  }
  g_debug ("try %u of %u failed, next in %" G_GINT64_FORMAT " ms: %s", self->failed, self->config.tries,
           delay_ms, error->message);
  g_clear_error (&self->last);
  self->last = g_error_copy (error);
  cab_metric_add (CAB_METRIC_RETRIES, 1);
  if (cab_retry_pauses_host (status, retry_after))
    cab_http_pause (self->config.http, self->url, delay_ms);
  self->pause = cab_http_after (self->config.http, delay_ms, resend, self);
}

static void on_answer (CabAsk *self, const CabAnswer *answer) {
  g_autoptr (GError) error = NULL;
  CabAskNext next = self->sink.answered (self->data, answer, &error);
  if (self->over)
    return;
  if (next != CAB_ASK_DONE && !self->streaming)
    self->quiet_us = g_get_monotonic_time (); /* a refusal is an answer too */
  switch (next) {
  case CAB_ASK_DONE:
    end_with (self, answer, NULL);
    break;
  case CAB_ASK_AGAIN:
    send (self);
    break;
  case CAB_ASK_RETRY:
    retry (self, answer, cab_answer_status (answer), error);
    break;
  case CAB_ASK_FAULT:
    retry (self, answer, 0, error);
    break;
  case CAB_ASK_FAIL:
    end_with (self, answer, error);
    break;
  }
}

static void on_done (gpointer data, const CabAnswer *answer, const GError *error) {
  g_autoptr (CabAsk) self = data;
  self->quiet_us = quiet_since (self); /* what came of it counts also where it then broke off */
  cab_request_unref (g_steal_pointer (&self->request));
  if (self->over)
    return;
  self->fresh = g_error_matches (error, CAB_ERROR, CAB_ERROR_TIMEOUT);
  if (error == NULL)
    on_answer (self, answer);
  else if (cab_answer_slept (answer)) /* nobody's fault: no try is spent on it */
    send (self);
  else if (self->fresh || g_error_matches (error, CAB_ERROR, CAB_ERROR_FAILED))
    retry (self, answer, 0, error);
  else
    end_with (self, answer, error);
}

static void on_ready (gpointer data) {
  CabAsk *self = data;
  gint64 heard = cab_http_heard (self->config.http, self->config.lane); /* while it waited */
  self->quiet_us = MAX (self->quiet_us, heard);
  if (!self->over)
    self->sink.ready (self->data);
}

static CabBody on_head (gpointer data, const CabAnswer *answer) {
  CabAsk *self = data;
  if (self->over)
    return CAB_BODY_STOP;
  CabBody body = self->sink.head == NULL ? CAB_BODY_KEEP : self->sink.head (self->data, answer);
  self->streaming = body == CAB_BODY_STREAM;
  return body;
}

static gboolean on_body (gpointer data, const void *bytes, gsize len) {
  CabAsk *self = data;
  return !self->over && self->sink.body (self->data, bytes, len);
}

static void send (CabAsk *self) {
  CabRequestSpec spec = {.kind = self->config.counts_as,
                         .lane = self->config.lane,
                         .priority = self->config.priority,
                         .flow = self->config.flow,
                         .stall_ms = self->config.stall_ms,
                         .fresh = self->fresh};
  CabRequestSink sink = {.ready = on_ready, .head = on_head, .body = on_body, .done = on_done};
  self->sink.question (self->data, &spec);
  self->streaming = FALSE;
  cab_wipe_free (self->url);
  self->url = g_strdup (spec.url);
  self->request = cab_http_send (self->config.http, &spec, &sink, cab_ask_ref (self));
}

void cab_ask_go (CabAsk *self, const char *url, const char *const *headers) {
  if (self->over || self->request == NULL)
    return;
  if (url != NULL) {
    cab_wipe_free (self->url);
    self->url = g_strdup (url);
  }
  cab_request_go (self->request, url, headers);
}

void cab_ask_set_priority (CabAsk *self, guint priority) {
  self->config.priority = priority;
  if (self->request != NULL)
    cab_request_set_priority (self->request, priority);
}

CabAsk *cab_ask_new (const CabAskConfig *config, const CabAskSink *sink, gpointer data) {
  CabAsk *self = g_new0 (CabAsk, 1);
  cab_ref_init (&self->refs);
  self->config = *config;
  self->sink = *sink;
  self->data = data;
  self->quiet_us = g_get_monotonic_time ();
  self->watch = cab_http_after (config->http, config->timeout_ms, look, self);
  cab_ask_ref (self); /* until it is over */
  send (self);
  return self;
}
