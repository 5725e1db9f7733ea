/* http.h - a transport: one thread that owns one libcurl multi handle and runs any number of requests.
 *
 * A lane is a class of requests with a limit on how many run at a time and two queues, the urgent one first.  Of those
 * in a queue the flow goes first that has the fewest places, else who came first; a host gets no more at a time than it
 * takes (throttle.h).  A request waits in its lane for a place, then (where its sink has `ready`) for the owner's word, so that an
 * address or a token is looked at when it is used and not when it was queued, and then for the pause of its host
 * to end.  Redirects are not followed, nothing is retried, a status is an answer and no error.
 *
 * Threads: what says so may be called from any thread; all else, and every callback, belongs to the transport's
 * own.  No lock is held in a callback; `head` and `body` may run inside libcurl and must only take the bytes.
 * Life: after cab_http_stop() every request and timer, also a later one, ends at once; the thread goes on until
 * cab_http_free(), so that no answer is lost.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_HTTP_H
#define CABFS_CLIENT_HTTP_H

#include "client/metrics.h"
#include "client/timers.h"

typedef struct CabHttp CabHttp;

typedef struct {
  guint parallel;      /* most requests that have a place at the same time */
  guint spare;         /* so many of them are only for urgent ones */
  gboolean paced;      /* others get no more of them than bring more bytes (pace.h) */
  gboolean http2;      /* HTTP/2 where the host speaks it, waiting for a connection that is being made */
  gboolean compressed; /* asks for compressed bodies and unpacks them */
  gboolean early;      /* urgent ones have their first bytes in the first round trip, with TLS too (http_tls.h) */
  guint buffer;        /* bytes of the receive buffer, 0: libcurl's own */
} CabLane;

typedef struct {
  const char *name;    /* of the thread */
  const char *ca_file; /* PEM; NULL: the system's */
  const char *proxy;   /* NULL: from the environment; never used for http, which stays on this machine */
  const CabLane *lanes;
  guint n_lanes;
} CabHttpOptions;

/* Any thread.  Copies @options and starts the thread. */
CabHttp *cab_http_new (const CabHttpOptions *options, GError **error);

/* Any thread.  Ends all requests with CAB_ERROR_CANCELLED and runs all timers, soon. */
void cab_http_stop (CabHttp *self);

/* Any thread but its own.  Stops, waits until nothing is left to do, ends the thread. */
void cab_http_free (CabHttp *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabHttp, cab_http_free)

gboolean cab_http_stopped (const CabHttp *self);

/* Any thread.  Calls @func on the transport's thread, soon and in order. */
void cab_http_run (CabHttp *self, CabTimerFunc func, gpointer data);

/* Any thread.  Between the two cab_http_free() waits: something outside will still call cab_http_run(). */
void cab_http_hold (CabHttp *self);
void cab_http_release (CabHttp *self);

/* Calls @func after @delay_ms, or when the transport is stopped, at once if it is: ask cab_http_stopped() before
 * doing it again. */
CabTimer *cab_http_after (CabHttp *self, gint64 delay_ms, CabTimerFunc func, gpointer data);
/* *@timer has not run yet, or is NULL; becomes NULL. */
void cab_http_forget (CabHttp *self, CabTimer **timer);

/* No request to the host of @url for @ms. */
void cab_http_pause (CabHttp *self, const char *url, gint64 ms);
/* Unix seconds by the clock of the host of @url, as of its last answer; else by the local clock. */
gint64 cab_http_time (const CabHttp *self, const char *url);
/* Monotonic time of the last byte of any body, or of the end of any answer, in @lane; 0 if there was none. */
gint64 cab_http_heard (const CabHttp *self, guint lane);

/* What a host that was asked for something is being asked for now, in one lane. */
typedef struct {
  char *host;
  guint lane;
  guint under_way;   /* requests that have a place */
  guint limit;       /* most that may have */
  gint64 open_at_us; /* monotonic; no request before */
} CabHttpHost;

/* Any thread.  An array of CabHttpHost, for the caller to unref. */
GArray *cab_http_hosts (CabHttp *self);

/* --- requests ----------------------------------------------------------------------------------------------- */

typedef struct CabRequest CabRequest;
typedef struct CabAnswer CabAnswer;

typedef enum { CAB_METHOD_GET, CAB_METHOD_HEAD, CAB_METHOD_POST } CabMethod;

typedef enum {
  CAB_BODY_KEEP,   /* gather it for `done` */
  CAB_BODY_STREAM, /* hand it to `body` as it comes */
  CAB_BODY_STOP,   /* drop it and the connection: `done` comes without an error */
} CabBody;

typedef struct {
  CabMethod method;
  const char *url;            /* sent as it is; may be NULL with `ready` */
  const char *const *headers; /* "Name: value", NULL-terminated; may be NULL */
  const char *form;           /* of a POST: application/x-www-form-urlencoded */
  guint lane;
  guint priority;   /* 0, which is urgent, before 1 */
  const void *flow; /* what it belongs to, among those that share the lane; only compared; NULL: nothing */
  guint stall_ms;   /* ends with CAB_ERROR_TIMEOUT after so long without a byte, connecting included */
  guint connect_ms; /* likewise, for connecting alone; 0: stall_ms */
  gsize limit;      /* most that is kept: more is CAB_ERROR_INVALID, or cut off where the status is no 2xx */
  gboolean fresh;   /* on a new connection */
  CabRequestKind kind; /* as what it is counted */
} CabRequestSpec;

typedef struct {
  /* The request has a place: cab_request_go() now or later.  NULL: it goes at once.  Where its host cannot be asked at that
   * moment it waits again, and this comes again. */
  void (*ready) (gpointer data);
  /* Status and headers are here.  NULL: keep the body. */
  CabBody (*head) (gpointer data, const CabAnswer *answer);
  /* FALSE: enough, as CAB_BODY_STOP. */
  gboolean (*body) (gpointer data, const void *bytes, gsize len);
  /* The end, exactly once.  @error is CANCELLED, TIMEOUT (stalled), DENIED (the certificate), INVALID (cannot be
   * sent or taken), or FAILED (the network); status and headers may have come all the same. */
  void (*done) (gpointer data, const CabAnswer *answer, const GError *error);
} CabRequestSink;

/* Any thread; from another than the transport's, callbacks may come before it returns.  Copies all; what was copied is
 * wiped when freed.  Returns a reference. */
CabRequest *cab_http_send (CabHttp *self, const CabRequestSpec *spec, const CabRequestSink *sink,
                           gpointer data);

/* Sends a request that is ready.  @url and @headers replace the request's where they are not NULL.  Ignored if the
 * request has ended. */
void cab_request_go (CabRequest *self, const char *url, const char *const *headers);

/* TRUE if it has no place, or none any more. */
gboolean cab_request_is_waiting (const CabRequest *self);

/* Monotonic time of the last byte of the answer, 0 if there was none yet. */
gint64 cab_request_heard (const CabRequest *self);

/* Any thread. */
void cab_request_cancel (CabRequest *self);
void cab_request_set_priority (CabRequest *self, guint priority);
void cab_request_unref (CabRequest *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabRequest, cab_request_unref)

/* An answer lives as long as the callback that shows it. */

/* 0 if there was none. */
int cab_answer_status (const CabAnswer *self);
/* Value of the first header of that name, in any case; NULL if there is none. */
const char *cab_answer_header (const CabAnswer *self, const char *name);
/* What was kept. */
const void *cab_answer_body (const CabAnswer *self, gsize *len);
/* TRUE if the request failed because the machine slept. */
gboolean cab_answer_slept (const CabAnswer *self);
/* Seconds of Retry-After, by the clock of who sent it; -1 if there is none that can be read. */
gint64 cab_answer_retry_after (const CabAnswer *self);

#endif
