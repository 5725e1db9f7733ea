/* Who gets a place in a lane.
 *
 * SPDX-License-Identifier: MIT
 */
#include "client/http_private.h"

void cab_lane_open (CabLaneState *self, const CabLane *config) {
  self->config = *config;
  self->flows = g_hash_table_new (NULL, NULL);
  self->throttle = cab_throttle_new (config->parallel);
  self->pace = config->paced ? cab_pace_new (config->parallel) : NULL;
}

void cab_lane_close (CabLaneState *self) {
  g_hash_table_unref (self->flows);
  cab_throttle_free (self->throttle);
  cab_pace_free (self->pace);
}

/* --- queues ------------------------------------------------------------------------------------------------- */

static GQueue *queue_of (CabLaneState *self, const CabRequest *request) {
  return request->url != NULL ? &self->waiting[request->priority] : &self->unaddressed[request->priority];
}

void cab_lane_wait (CabLaneState *self, CabRequest *request) {
  g_queue_push_tail_link (queue_of (self, request), &request->link);
}

void cab_lane_move (CabLaneState *self, CabRequest *request, guint priority) {
  if (request->priority == priority)
    return;
  gboolean waits = request->state == STATE_WAITING;
  if (waits)
    g_queue_unlink (queue_of (self, request), &request->link);
  request->priority = priority;
  if (waits)
    cab_lane_wait (self, request);
}

static guint places_of (const CabLaneState *self, const void *flow) {
  return flow == NULL ? 0 : GPOINTER_TO_UINT (g_hash_table_lookup (self->flows, flow));
}

static void set_places (CabLaneState *self, const void *flow, guint places) {
  if (flow == NULL)
    return;
  if (places > 0)
    g_hash_table_insert (self->flows, (gpointer) (guintptr) flow, GUINT_TO_POINTER (places));
  else
    g_hash_table_remove (self->flows, flow);
}

/* How many of @priority may have a place. */
static guint places_for (const CabLaneState *self, guint priority) {
  if (priority == 0)
    return self->config.parallel;
  guint places = self->config.parallel - self->config.spare;
  return self->pace != NULL ? MIN (places, cab_pace_limit (self->pace)) : places;
}

static CabRequest *next_of (CabHttp *http, CabLaneState *self, const GQueue *queue, gint64 now) {
  CabRequest *best = NULL;
  guint least = G_MAXUINT;
  for (const GList *link = queue->head; link != NULL && least > 0; link = link->next) {
    CabRequest *request = link->data;
    guint places = places_of (self, request->flow);
    if (places >= least || !cab_http_host_is_open (http, request, now) ||
        !cab_throttle_has_room (self->throttle, request->host))
      continue;
    best = request;
    least = places;
  }
  return best;
}

/* Who looks for his address takes no place from those who have one: their hosts answer, though whoever tells addresses may
 * not. */
CabRequest *cab_lane_next (CabHttp *http, CabLaneState *self, gint64 now) {
  CabRequest *request = NULL;
  for (guint priority = 0; priority < CAB_PRIORITIES && request == NULL; priority++) {
    guint places = places_for (self, priority);
    if (self->placed < places)
      request = next_of (http, self, &self->waiting[priority], now);
    if (request == NULL && self->seeking < places)
      request = next_of (http, self, &self->unaddressed[priority], now);
  }
  return request;
}

/* --- places ------------------------------------------------------------------------------------------------- */

static void count (CabLaneState *self, CabRequest *request) {
  request->counted = request->host != NULL;
  if (!request->counted)
    return;
  CAB_LOCK_SCOPE (&request->http->tables);
  cab_throttle_begin (self->throttle, request->host);
}

void cab_lane_place (CabLaneState *self, CabRequest *request) {
  g_queue_unlink (queue_of (self, request), &request->link);
  request->seeking = request->url == NULL;
  *(request->seeking ? &self->seeking : &self->placed) += 1;
  set_places (self, request->flow, places_of (self, request->flow) + 1);
  count (self, request);
}

gboolean cab_lane_launch (CabLaneState *self, CabRequest *request) {
  if ((request->seeking && self->placed >= places_for (self, request->priority)) ||
      (!request->counted && !cab_throttle_has_room (self->throttle, request->host)))
    return FALSE;
  if (request->seeking) {
    request->seeking = FALSE;
    self->seeking--;
    self->placed++;
  }
  if (!request->counted)
    count (self, request);
  request->round = cab_throttle_round (self->throttle, request->host);
  return TRUE;
}

static void discount (CabLaneState *self, CabRequest *request, int status) {
  if (!request->counted)
    return;
  request->counted = FALSE;
  gboolean halved;
  {
    CAB_LOCK_SCOPE (&request->http->tables);
    halved = cab_throttle_end (self->throttle, request->host, request->round, status);
  }
  if (halved)
    g_info ("HTTP status %d: %s is asked for %u at a time from now on", status, request->host,
            cab_throttle_limit (self->throttle, request->host));
}

void cab_lane_rehost (CabLaneState *self, CabRequest *request) {
  discount (self, request, 0);
}

static void give_back (CabLaneState *self, CabRequest *request, int status) {
  *(request->seeking ? &self->seeking : &self->placed) -= 1;
  request->seeking = FALSE;
  set_places (self, request->flow, places_of (self, request->flow) - 1);
  discount (self, request, status);
}

void cab_lane_wait_again (CabLaneState *self, CabRequest *request) {
  give_back (self, request, 0);
  g_queue_push_head_link (queue_of (self, request), &request->link);
}

void cab_lane_leave (CabLaneState *self, CabRequest *request) {
  if (request->state == STATE_WAITING)
    g_queue_unlink (queue_of (self, request), &request->link);
  else
    give_back (self, request, request->state == STATE_RUNNING ? request->answer.status : 0);
}

/* --- pace --------------------------------------------------------------------------------------------------- */

void cab_lane_answered (CabLaneState *self, const CabRequest *request) {
  if (self->pace != NULL)
    cab_pace_first_byte (self->pace, request->heard_us - request->sent_us);
}

void cab_lane_received (CabLaneState *self, gsize len) {
  self->bytes += len;
}

void cab_lane_tick (CabLaneState *self, gint64 now) {
  if (self->pace != NULL)
    cab_pace_tick (self->pace, now, self->bytes, self->placed);
}
