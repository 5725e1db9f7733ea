/* SPDX-License-Identifier: MIT */
#include "client/http_private.h"

#include "client/address.h"
#include "client/clock.h"
#include "client/thread.h"
#include "client/wipe.h"

#include <errno.h>

#define MAX_SLEEP_MS 60000
#define LOOK_MS      1000 /* while requests run: the machine may have slept, and nothing else would wake this thread */

/* --- memory ------------------------------------------------------------------------------------------------- */

static char **copy_all (const char *const *texts) {
  if (texts == NULL)
    return NULL;
  g_autoptr (GPtrArray) copy = g_ptr_array_new ();
  for (gsize i = 0; texts[i] != NULL; i++)
    g_ptr_array_add (copy, g_strdup (texts[i]));
  g_ptr_array_add (copy, NULL);
  return (char **) g_ptr_array_steal (copy, NULL);
}

static CabRequest *request_ref (CabRequest *self) {
  cab_ref_take (&self->refs);
  return self;
}

void cab_request_unref (CabRequest *self) {
  if (self == NULL || !cab_ref_drop (&self->refs))
    return;
  cab_wipe_free (self->url);
  cab_wipe_free (self->form);
  cab_wipe_freev (self->headers);
  if (self->answer.kept != NULL) {
    cab_wipe_bytes (self->answer.kept->data, self->answer.kept->len);
    g_byte_array_unref (self->answer.kept);
  }
  g_free (self->host);
  g_free (self->gathered);
  g_free (self);
}

/* --- the end of a request ----------------------------------------------------------------------------------- */

static void leave_state (CabRequest *self) {
  CabHttp *http = self->http;
  cab_lane_leave (&http->lanes[self->lane], self);
  if (self->state == STATE_RUNNABLE)
    g_queue_unlink (&http->runnable, &self->link);
  if (self->state == STATE_RUNNING)
    cab_wire_stop (self);
  cab_http_forget (http, &self->stall);
  if (self->gathered_len > 0)
    g_queue_unlink (&http->ungiven, &self->ungiven);
  self->gathered_len = 0;
  self->state = STATE_OVER;
  g_queue_unlink (&http->all, &self->all);
}

static const char *method_name (const CabRequest *self) {
  static const char *const names[] = {
      [CAB_METHOD_GET] = "GET", [CAB_METHOD_HEAD] = "HEAD", [CAB_METHOD_POST] = "POST"};
  return names[self->method];
}

static void tell (const CabRequest *self, const GError *error) {
  if (!g_log_get_debug_enabled () || self->url == NULL) /* at some 10,000 a second even a dropped line counts */
    return;
  g_autofree char *url = cab_address_redact (self->url);
  g_debug ("%s %s: %d%s%s", method_name (self), url, self->answer.status, error != NULL ? ", " : "",
           error != NULL ? error->message : "");
}

static gboolean is_failure (const CabRequest *self, const GError *error) {
  return error != NULL ? !g_error_matches (error, CAB_ERROR, CAB_ERROR_CANCELLED) : self->answer.status >= 400;
}

static void finish (CabRequest *self, const GError *error) {
  if (self->state == STATE_RUNNING && is_failure (self, error))
    cab_metric_count_failed (self->kind);
  leave_state (self);
  tell (self, error);
  self->sink.done (self->data, &self->answer, error);
  cab_wire_put_back (self);
  cab_request_unref (self);
}

void cab_request_end (CabRequest *self) {
  finish (self, NULL);
}

void cab_request_fail (CabRequest *self, CabErrorCode code, const char *what) {
  g_autoptr (GError) error = g_error_new (CAB_ERROR, (int) code, "%s %s: %s", method_name (self),
                                          self->host != NULL ? self->host : "(no host)", what);
  finish (self, error);
}

static void stalled (gpointer data) {
  CabRequest *self = data;
  gint64 left_us = self->heard_us + (gint64) self->stall_ms * 1000 - g_get_monotonic_time ();
  self->stall = NULL;
  if (self->http->stopping)
    cab_request_fail (self, CAB_ERROR_CANCELLED, "ended");
  else if (left_us > 0)
    self->stall = cab_http_after (self->http, left_us / 1000 + 1, stalled, self);
  else
    cab_request_fail (self, CAB_ERROR_TIMEOUT, "not a byte for too long");
}

/* --- places ------------------------------------------------------------------------------------------------- */

static void make_runnable (CabRequest *self) {
  self->state = STATE_RUNNABLE;
  g_queue_push_tail_link (&self->http->runnable, &self->link);
}

void cab_request_go (CabRequest *self, const char *url, const char *const *headers) {
  if (self->state != STATE_PLACED)
    return;
  if (url != NULL && g_strcmp0 (url, self->url) != 0) {
    cab_lane_rehost (&self->http->lanes[self->lane], self);
    cab_wipe_free (self->url);
    g_free (self->host);
    self->url = g_strdup (url);
    self->host = cab_address_host (url);
  }
  if (headers != NULL) {
    cab_wipe_freev (self->headers);
    self->headers = copy_all (headers);
  }
  g_assert (self->url != NULL);
  make_runnable (self);
}

static void give_place (CabRequest *self) {
  cab_lane_place (&self->http->lanes[self->lane], self);
  self->state = STATE_PLACED;
  if (self->sink.ready != NULL)
    self->sink.ready (self->data);
  else
    make_runnable (self);
}

gboolean cab_http_host_is_open (CabHttp *self, const CabRequest *request, gint64 now) {
  gint64 open_at = cab_hosts_open_at (self->hosts, request->host);
  if (open_at <= now)
    return TRUE;
  self->gate_us = MIN (self->gate_us, open_at);
  return FALSE;
}

static void launch (CabRequest *self) {
  g_queue_unlink (&self->http->runnable, &self->link);
  self->state = STATE_RUNNING;
  self->sent_us = self->heard_us = g_get_monotonic_time ();
  self->stall = cab_http_after (self->http, self->stall_ms, stalled, self);
  cab_metric_count_sent (self->kind);
  cab_wire_start (self);
}

/* Those whose host has no room, or rests, wait again: others are not to be kept from theirs. */
static void launch_runnable (CabHttp *self, gint64 now) {
  for (GList *link = self->runnable.head, *next = NULL; link != NULL; link = next) {
    CabRequest *request = link->data;
    next = link->next;
    if (cab_http_host_is_open (self, request, now) && cab_lane_launch (&self->lanes[request->lane], request))
      launch (request);
  }
  for (GList *link = self->runnable.tail; link != NULL; link = self->runnable.tail) {
    CabRequest *request = link->data;
    g_queue_unlink (&self->runnable, link);
    request->state = STATE_WAITING;
    cab_lane_wait_again (&self->lanes[request->lane], request);
  }
}

static void start_requests (CabHttp *self) {
  gint64 now = g_get_monotonic_time ();
  self->gate_us = G_MAXINT64;
  for (guint i = 0; i < self->n_lanes; i++) {
    CabLaneState *lane = &self->lanes[i];
    CabRequest *request = NULL;
    while ((request = cab_lane_next (self, lane, now)) != NULL)
      give_place (request);
  }
  launch_runnable (self, now);
  for (guint i = 0; i < self->n_lanes; i++)
    cab_lane_tick (&self->lanes[i], now);
}

gboolean cab_request_is_waiting (const CabRequest *self) {
  return self->state == STATE_WAITING;
}

gint64 cab_request_heard (const CabRequest *self) {
  return self->answer.header_bytes > 0 ? self->heard_us : 0;
}

/* --- what comes from other threads -------------------------------------------------------------------------- */

static void admit (gpointer data) {
  CabRequest *self = data;
  g_queue_push_tail_link (&self->http->all, &self->all);
  cab_lane_wait (&self->http->lanes[self->lane], self);
  if (self->http->stopping)
    cab_request_fail (self, CAB_ERROR_CANCELLED, "ended");
}

CabRequest *cab_http_send (CabHttp *self, const CabRequestSpec *spec, const CabRequestSink *sink,
                           gpointer data) {
  g_assert (spec->lane < self->n_lanes && spec->priority < CAB_PRIORITIES);
  g_assert (spec->url != NULL || sink->ready != NULL);
  CabRequest *request = g_new0 (CabRequest, 1);
  cab_ref_init (&request->refs);
  request->http = self;
  request->method = spec->method;
  request->url = g_strdup (spec->url);
  request->host = spec->url == NULL ? NULL : cab_address_host (spec->url);
  request->headers = copy_all (spec->headers);
  request->form = g_strdup (spec->form);
  request->lane = spec->lane;
  request->flow = spec->flow;
  request->priority = spec->priority;
  request->stall_ms = MAX (1, spec->stall_ms);
  request->connect_ms = spec->connect_ms > 0 ? spec->connect_ms : request->stall_ms;
  request->limit = spec->limit;
  request->fresh = spec->fresh;
  request->kind = spec->kind;
  request->sink = *sink;
  request->data = data;
  request->link.data = request;
  request->all.data = request;
  request->ungiven.data = request;
  cab_http_run (self, admit, request_ref (request));
  return request;
}

static void cancel (gpointer data) {
  g_autoptr (CabRequest) self = data;
  if (self->state != STATE_OVER)
    cab_request_fail (self, CAB_ERROR_CANCELLED, "cancelled");
}

void cab_request_cancel (CabRequest *self) {
  cab_http_run (self->http, cancel, request_ref (self));
}

static void raise_priority (gpointer data) {
  g_autoptr (CabRequest) self = data;
  cab_lane_move (&self->http->lanes[self->lane], self, 0);
}

static void lower_priority (gpointer data) {
  g_autoptr (CabRequest) self = data;
  cab_lane_move (&self->http->lanes[self->lane], self, CAB_PRIORITIES - 1);
}

void cab_request_set_priority (CabRequest *self, guint priority) {
  cab_http_run (self->http, priority == 0 ? raise_priority : lower_priority, request_ref (self));
}

void cab_http_run (CabHttp *self, CabTimerFunc func, gpointer data) {
  cab_inbox_add (self->inbox, func, data);
}

void cab_http_hold (CabHttp *self) {
  cab_inbox_hold (self->inbox);
}

void cab_http_release (CabHttp *self) {
  cab_inbox_release (self->inbox);
}

/* Called by the inbox.  The thread itself looks into it before it waits. */
static void wake (gpointer data) {
  CabHttp *self = data;
  if (!pthread_equal (self->thread, pthread_self ()))
    cab_wire_wake (self);
}

/* --- time --------------------------------------------------------------------------------------------------- */

CabTimer *cab_http_after (CabHttp *self, gint64 delay_ms, CabTimerFunc func, gpointer data) {
  return cab_timers_add (self->timers, g_get_monotonic_time () + delay_ms * 1000, func, data);
}

void cab_http_forget (CabHttp *self, CabTimer **timer) {
  if (*timer != NULL)
    cab_timers_remove (self->timers, g_steal_pointer (timer));
}

void cab_http_pause (CabHttp *self, const char *url, gint64 ms) {
  g_autofree char *host = cab_address_host (url);
  CAB_LOCK_SCOPE (&self->tables);
  cab_hosts_pause (self->hosts, host, g_get_monotonic_time () + ms * 1000);
}

typedef struct {
  GArray *into;
  const CabHosts *hosts;
  guint lane;
} Look;

static void look_at (gpointer data, const char *name, guint under_way, guint limit) {
  const Look *look = data;
  CabHttpHost host = {.host = g_strdup (name),
                      .lane = look->lane,
                      .under_way = under_way,
                      .limit = limit,
                      .open_at_us = cab_hosts_open_at (look->hosts, name)};
  g_array_append_val (look->into, host);
}

static void host_clear (gpointer data) {
  CabHttpHost *host = data;
  g_free (host->host);
}

GArray *cab_http_hosts (CabHttp *self) {
  GArray *hosts = g_array_new (FALSE, FALSE, sizeof (CabHttpHost));
  g_array_set_clear_func (hosts, host_clear);
  CAB_LOCK_SCOPE (&self->tables);
  for (guint i = 0; i < self->n_lanes; i++) {
    Look look = {hosts, self->hosts, i};
    cab_throttle_each (self->lanes[i].throttle, look_at, &look);
  }
  return hosts;
}

gint64 cab_http_time (const CabHttp *self, const char *url) {
  g_autofree char *host = cab_address_host (url);
  return cab_hosts_time (self->hosts, host);
}

gint64 cab_http_heard (const CabHttp *self, guint lane) {
  return self->lanes[lane].heard_us;
}

gboolean cab_http_stopped (const CabHttp *self) {
  return self->stopping;
}

/* The connections of all that run are dead: who waits for them would wait in vain. */
static void fail_running (CabHttp *self) {
  g_autoptr (GPtrArray) running = g_ptr_array_new_with_free_func ((GDestroyNotify) cab_request_unref);
  for (const GList *link = self->all.head; link != NULL; link = link->next) {
    CabRequest *request = link->data;
    if (request->state == STATE_RUNNING)
      g_ptr_array_add (running, request_ref (request));
  }
  for (guint i = 0; i < running->len; i++) {
    CabRequest *request = g_ptr_array_index (running, i);
    if (request->state != STATE_RUNNING) /* ended by what the end of another one brought about */
      continue;
    request->answer.slept = TRUE;
    cab_request_fail (request, CAB_ERROR_FAILED, "the machine slept");
  }
}

static void notice_sleep (CabHttp *self) {
  gint64 now = g_get_monotonic_time ();
  gint64 slept = cab_clock_boot_us () - now;
  gboolean woke = slept > self->slept_us + G_USEC_PER_SEC;
  self->slept_us = slept;
  if (!woke)
    return;
  self->woke_us = now;
  fail_running (self);
}

/* --- the thread --------------------------------------------------------------------------------------------- */

static void run_timers (CabHttp *self) {
  gint64 now = self->stopping ? G_MAXINT64 : g_get_monotonic_time ();
  CabTimerFunc func = NULL;
  gpointer data = NULL;
  while (cab_timers_take (self->timers, now, &func, &data))
    func (data);
}

static void rest (CabHttp *self) {
  gint64 until = MIN (cab_timers_next (self->timers), self->gate_us);
  gint64 wait_us = until == G_MAXINT64 ? G_MAXINT64 : MAX (0, until - g_get_monotonic_time ());
  gint64 wait_ms =
      MIN (g_queue_is_empty (&self->all) ? MAX_SLEEP_MS : LOOK_MS, wait_us / 1000 + (wait_us % 1000 != 0));
  cab_wire_wait (self, cab_inbox_is_empty (self->inbox) ? (int) wait_ms : 0);
  notice_sleep (self);
}

static gboolean has_ended (CabHttp *self) {
  return self->stopping && g_queue_is_empty (&self->all) && cab_timers_next (self->timers) == G_MAXINT64 &&
         cab_inbox_ended (self->inbox);
}

static void *thread_main (void *data) {
  CabHttp *self = data;
  pthread_mutex_lock (&self->start);
  pthread_mutex_unlock (&self->start);
  for (;;) {
    cab_wire_work (self);
    cab_inbox_run (self->inbox);
    run_timers (self);
    start_requests (self); /* last: what the others completed may have made places, or made requests runnable */
    if (has_ended (self))  /* before the rest: one wake may have stood for both the last job and the end */
      break;
    rest (self);
  }
  return NULL;
}

static void stop (gpointer data) {
  CabHttp *self = data;
  self->stopping = TRUE;
  for (CabRequest *request = g_queue_peek_head (&self->all); request != NULL;
       request = g_queue_peek_head (&self->all))
    cab_request_fail (request, CAB_ERROR_CANCELLED, "ended");
}

void cab_http_stop (CabHttp *self) {
  cab_http_run (self, stop, self);
}

static int start_thread (CabHttp *self) {
  CAB_LOCK_SCOPE (&self->start);
  return cab_thread_start (&self->thread, self->name, thread_main, self);
}

static void free_members (CabHttp *self) {
  cab_wire_close (self);
  g_ptr_array_unref (self->idle);
  cab_inbox_free (self->inbox);
  cab_hosts_free (self->hosts);
  cab_timers_free (self->timers);
  pthread_mutex_destroy (&self->start);
  pthread_mutex_destroy (&self->tables);
  for (guint i = 0; i < self->n_lanes; i++)
    cab_lane_close (&self->lanes[i]);
  g_free (self->lanes);
  cab_wipe_free (self->proxy);
  g_free (self->ca_file);
  g_free (self->name);
  g_free (self);
}

CabHttp *cab_http_new (const CabHttpOptions *options, GError **error) {
  CabHttp *self = g_new0 (CabHttp, 1);
  self->name = g_strndup (options->name, 15);
  self->ca_file = g_strdup (options->ca_file);
  self->proxy = g_strdup (options->proxy);
  self->inbox = cab_inbox_new (wake, self);
  self->hosts = cab_hosts_new ();
  self->timers = cab_timers_new ();
  self->idle = g_ptr_array_new ();
  self->lanes = g_new0 (CabLaneState, options->n_lanes);
  self->n_lanes = options->n_lanes;
  for (guint i = 0; i < options->n_lanes; i++)
    cab_lane_open (&self->lanes[i], &options->lanes[i]);
  self->gate_us = G_MAXINT64;
  self->slept_us = cab_clock_boot_us () - g_get_monotonic_time ();
  pthread_mutex_init (&self->start, NULL);
  pthread_mutex_init (&self->tables, NULL);
  int rc = cab_wire_open (self) ? start_thread (self) : errno;
  if (rc == 0)
    return self;
  g_set_error (error, CAB_ERROR, CAB_ERROR_FAILED, "start a thread: %s", g_strerror (rc));
  free_members (self);
  return NULL;
}

void cab_http_free (CabHttp *self) {
  if (self == NULL)
    return;
  cab_http_stop (self);
  cab_inbox_end (self->inbox);
  pthread_join (self->thread, NULL);
  free_members (self);
}
