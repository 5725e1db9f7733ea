/* http_private.h - between http.c, which speaks to libcurl, http_lanes.c, which decides who is next, and http_thread.c,
 * which has the rest.
 *
 * Life of a request, all on the transport's thread:
 *   waiting  - in a queue of its lane
 *   placed   - counts against a limit of the lane; the owner was told and will say go
 *   runnable - will be sent at once, or else waits again
 *   running  - with libcurl
 *   over     - `done` runs or has run; only references keep it
 * From each it can go straight to over.  Queues hold a request by its own link; the transport's list of all holds a
 * reference.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_HTTP_PRIVATE_H
#define CABFS_CLIENT_HTTP_PRIVATE_H

#include "client/error.h"
#include "client/hosts.h"
#include "client/http.h"
#include "client/inbox.h"
#include "client/pace.h"
#include "client/sync.h"
#include "client/throttle.h"

#define CAB_PRIORITIES 2

typedef enum { STATE_WAITING, STATE_PLACED, STATE_RUNNABLE, STATE_RUNNING, STATE_OVER } CabRequestState;

struct CabAnswer {
  int status;
  void *easy;         /* libcurl's handle; NULL: nothing was sent */
  GByteArray *kept;   /* owned; NULL until there is something */
  gsize header_bytes; /* of all header lines so far */
  gboolean slept;     /* the machine did, and the connection is dead */
};

struct CabRequest {
  CabRefs refs;
  /* set at creation */
  CabHttp *http;
  CabMethod method;
  char *form;
  guint lane;
  const void *flow;
  guint stall_ms;
  guint connect_ms;
  gsize limit;
  gboolean fresh;
  CabRequestKind kind;
  CabRequestSink sink;
  gpointer data;
  /* owned by the transport's thread once it was sent */
  GList link; /* in a queue of the lane or among the runnable */
  GList all;  /* in the transport's list */
  CabRequestState state;
  guint priority;
  char *url;
  char *host;
  gboolean seeking; /* it was placed without an address, and has no place for its transfer yet */
  gboolean counted; /* among those that its host has under way, */
  guint round;      /* since when (throttle.h) */
  char **headers;
  void *easy;         /* libcurl's handle, while running */
  void *easy_headers; /* and its list of headers */
  CabAnswer answer;
  CabBody body;
  gboolean head_seen;
  gboolean enough; /* the sink wants no more */
  gboolean too_long;
  char *gathered; /* of a body that is streamed: what the sink has not got yet; NULL until there is some */
  gsize gathered_len;
  GList ungiven; /* in the transport's queue while there is some */
  gint64 sent_us;
  gint64 heard_us; /* monotonic time of the last byte, or of the start */
  CabTimer *stall;
  char message[256]; /* libcurl's */
};

typedef struct {
  CabLane config;
  guint placed;                       /* requests that are placed, runnable or running, but for */
  guint seeking;                      /* those that look for their address; as many more may */
  GQueue waiting[CAB_PRIORITIES];     /* with an address, */
  GQueue unaddressed[CAB_PRIORITIES]; /* and without */
  GHashTable *flows;                  /* flow to how many places it has (guint), those that have one */
  CabThrottle *throttle;              /* lock: CabHttp's `tables` */
  CabPace *pace;                      /* NULL: the lane has none */
  guint64 bytes;                      /* of all bodies */
  gint64 heard_us;
} CabLaneState;

struct CabHttp {
  /* set at creation */
  char *name;
  char *ca_file;
  char *proxy;
  CabInbox *inbox;
  int wake_fd; /* an eventfd: other threads wake ours by it */
  pthread_t thread;
  pthread_mutex_t start; /* held until `thread` is set */
  CabLaneState *lanes;   /* the array; its elements are the thread's */
  guint n_lanes;
  /* owned by the thread */
  void *multi; /* libcurl's; NULL before the first request */
  CabTimers *timers;
  GQueue all;      /* of CabRequest, a reference each */
  GQueue runnable; /* of CabRequest */
  GQueue ungiven;  /* of CabRequest: with bytes that libcurl handed out and the sink has not got */
  GPtrArray *idle; /* of libcurl's handles, to be used again */
  gint64 gate_us;  /* when the first host opens that a request waits for */
  gint64 slept_us; /* boot clock less monotonic clock */
  gint64 woke_us;  /* monotonic time when the machine last woke up, 0 if it has not slept */
  gboolean stopping;
  /* the thread's, which writes them only under this lock: others look into them */
  pthread_mutex_t tables;
  CabHosts *hosts; /* and `throttle` of each lane */
};

/* --- http.c ------------------------------------------------------------------------------------------------- */

/* FALSE with errno. */
gboolean cab_wire_open (CabHttp *http);
void cab_wire_close (CabHttp *http);

/* Any thread. */
void cab_wire_wake (CabHttp *http);

/* Moves bytes; ends the requests that are complete or broken. */
void cab_wire_work (CabHttp *http);

/* Waits for bytes, a wake-up or the time. */
void cab_wire_wait (CabHttp *http, int wait_ms);

void cab_wire_start (CabRequest *request);

/* Takes a running request from libcurl.  Unless the answer was complete its connection is closed; one with HTTP/2 goes on
 * with the other requests that it has, and is kept for the next ones where it was heard of lately. */
void cab_wire_stop (CabRequest *request);

/* After `done`: the handle goes back, the answer's headers with it. */
void cab_wire_put_back (CabRequest *request);

/* --- http_lanes.c ------------------------------------------------------------------------------------------- */

void cab_lane_open (CabLaneState *self, const CabLane *config);
void cab_lane_close (CabLaneState *self);

/* Into its queue; into that of @priority, now or, if it is in none, should it wait again. */
void cab_lane_wait (CabLaneState *self, CabRequest *request);
void cab_lane_move (CabLaneState *self, CabRequest *request, guint priority);

/* Who is next, if somebody may have a place at @now; who has it is placed. */
CabRequest *cab_lane_next (CabHttp *http, CabLaneState *self, gint64 now);
void cab_lane_place (CabLaneState *self, CabRequest *request);

/* FALSE if the host of @request takes no more for now, or the lane, if it was placed without an address.  Else it counts
 * there, until it leaves. */
gboolean cab_lane_launch (CabLaneState *self, CabRequest *request);

/* Gives up what @request has, and puts it before all who wait. */
void cab_lane_wait_again (CabLaneState *self, CabRequest *request);

/* @request has another host than it had when it was placed. */
void cab_lane_rehost (CabLaneState *self, CabRequest *request);

/* From whichever state. */
void cab_lane_leave (CabLaneState *self, CabRequest *request);

/* The first bytes of the answer to @request have come; bytes of a body have; what may begin at @now has begun. */
void cab_lane_answered (CabLaneState *self, const CabRequest *request);
void cab_lane_received (CabLaneState *self, gsize len);
void cab_lane_tick (CabLaneState *self, gint64 now);

/* --- http_thread.c ------------------------------------------------------------------------------------------ */

/* FALSE if the host of @request wants none before some time, when the thread will look again. */
gboolean cab_http_host_is_open (CabHttp *self, const CabRequest *request, gint64 now);

/* The end of a request.  @what is for the message. */
void cab_request_end (CabRequest *self);
void cab_request_fail (CabRequest *self, CabErrorCode code, const char *what);

#endif
