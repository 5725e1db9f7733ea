/* The only file that knows libcurl, but for what http_tls.c has.
 *
 * SPDX-License-Identifier: MIT
 */
#include "client/http_private.h"

#include "client/clock.h"
#include "client/http_tls.h"
#include "client/times.h"
#include "client/wipe.h"

#include <curl/curl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MAX_HEADER_BYTES (256u * 1024)
#define IDLE_S           118 /* how long an unused connection is trusted: libcurl's default */

/* libcurl hands out 16 KiB at a time, however much it has read.  Writing 64 KiB to a file costs half as much a byte,
 * and copying them together, warm as they are, next to nothing. */
#define GATHER (64u * 1024)

/* Handles that are kept for the next requests.  They have their receive buffers: more of them, after a burst, would cost
 * more than making new ones. */
#define MAX_IDLE 4

/* Not a byte for so long: whether the connection lives is not known. */
#define SILENCE_US G_USEC_PER_SEC

G_STATIC_ASSERT (sizeof ((CabRequest *) NULL)->message == CURL_ERROR_SIZE);

/* --- answers ------------------------------------------------------------------------------------------------ */

int cab_answer_status (const CabAnswer *self) {
  return self->status;
}

const char *cab_answer_header (const CabAnswer *self, const char *name) {
  struct curl_header *header = NULL;
  if (self->easy == NULL || curl_easy_header (self->easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
    return NULL;
  return header->value;
}

const void *cab_answer_body (const CabAnswer *self, gsize *len) {
  *len = self->kept == NULL ? 0 : self->kept->len;
  return self->kept == NULL ? NULL : self->kept->data;
}

gint64 cab_answer_retry_after (const CabAnswer *self) {
  gint64 now = cab_time_parse_http (cab_answer_header (self, "Date"));
  const char *text = cab_answer_header (self, "Retry-After");
  return cab_time_parse_retry_after (text, now != CAB_TIME_UNKNOWN ? now : cab_clock_unix ());
}

gboolean cab_answer_slept (const CabAnswer *self) {
  return self->slept;
}

/* --- libcurl's callbacks ------------------------------------------------------------------------------------ */

static void heard (CabRequest *self) {
  self->heard_us = g_get_monotonic_time ();
}

/* Headers alone do not count: a host that sends them and then falls silent would make a lane look alive. */
static void lane_heard (CabRequest *self) {
  self->http->lanes[self->lane].heard_us = self->heard_us;
}

static void head_done (CabRequest *self, int status) {
  self->head_seen = TRUE;
  self->answer.status = status;
  cab_lane_answered (&self->http->lanes[self->lane], self);
  const char *date = cab_answer_header (&self->answer, "Date");
  if (date != NULL) {
    CAB_LOCK_SCOPE (&self->http->tables);
    cab_hosts_heard (self->http->hosts, self->host, cab_time_parse_http (date));
  }
  if (self->sink.head != NULL)
    self->body = self->sink.head (self->data, &self->answer);
  self->enough = self->body == CAB_BODY_STOP;
}

static size_t on_header (char *line, size_t size, size_t count, void *data) {
  CabRequest *self = data;
  gsize len = size * count;
  heard (self);
  self->answer.header_bytes += len;
  if (self->answer.header_bytes > MAX_HEADER_BYTES) {
    self->too_long = TRUE;
    return 0;
  }
  gboolean blank = len == 0 || line[0] == '\r' || line[0] == '\n';
  if (!blank || self->head_seen) /* lines after the first block are trailers */
    return len;
  long status = 0;
  curl_easy_getinfo (self->easy, CURLINFO_RESPONSE_CODE, &status);
  if (status < 200)
    return len;
  head_done (self, (int) status);
  return self->enough ? 0 : len;
}

static gboolean keep (CabRequest *self, const char *bytes, gsize len) {
  CabAnswer *answer = &self->answer;
  gsize have = answer->kept == NULL ? 0 : answer->kept->len;
  if (len > self->limit - have) {
    self->too_long = answer->status >= 200 && answer->status < 300;
    self->enough = !self->too_long;
    return FALSE;
  }
  if (answer->kept == NULL)
    answer->kept = g_byte_array_new ();
  g_byte_array_append (answer->kept, (const guint8 *) bytes, (guint) len);
  return TRUE;
}

/* FALSE if the sink wants no more. */
static gboolean give (CabRequest *self) {
  gsize len = self->gathered_len;
  if (len == 0)
    return TRUE;
  self->gathered_len = 0;
  g_queue_unlink (&self->http->ungiven, &self->ungiven);
  self->enough = !self->sink.body (self->data, self->gathered, len);
  return !self->enough;
}

static gboolean gather (CabRequest *self, const char *bytes, gsize len) {
  if (self->gathered == NULL)
    self->gathered = g_malloc (GATHER);
  for (gsize done = 0; done < len;) {
    gsize n = MIN (len - done, GATHER - self->gathered_len);
    if (self->gathered_len == 0)
      g_queue_push_tail_link (&self->http->ungiven, &self->ungiven);
    memcpy (self->gathered + self->gathered_len, bytes + done, n);
    self->gathered_len += n;
    done += n;
    if (self->gathered_len == GATHER && !give (self))
      return FALSE;
  }
  return TRUE;
}

static size_t on_body (char *bytes, size_t size, size_t count, void *data) {
  CabRequest *self = data;
  gsize len = size * count;
  heard (self);
  lane_heard (self);
  cab_lane_received (&self->http->lanes[self->lane], len);
  gboolean goes_on = self->body == CAB_BODY_KEEP ? keep (self, bytes, len) : gather (self, bytes, len);
  return goes_on ? len : 0;
}

/* --- one request -------------------------------------------------------------------------------------------- */

/* After the machine slept, connections that were open before are dead, which only a long silence would show.  libcurl
 * counts whole seconds and trusts those that were idle for as many as it is told: so a second less, and below one none,
 * which is -1. */
static long trusted_idle_s (const CabHttp *http) {
  if (http->woke_us == 0)
    return IDLE_S;
  return (long) MIN (IDLE_S, (g_get_monotonic_time () - http->woke_us) / G_USEC_PER_SEC - 1);
}

static void set_reuse (CURL *easy, const CabRequest *request) {
  long idle_s = trusted_idle_s (request->http);
  curl_easy_setopt (easy, CURLOPT_MAXAGE_CONN, MAX (idle_s, 0));
  curl_easy_setopt (easy, CURLOPT_FRESH_CONNECT, request->fresh || idle_s < 0 ? 1L : 0L);
}

static void set_security (CURL *easy, const CabHttp *http, const char *url) {
  curl_easy_setopt (easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt (easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt (easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
  curl_easy_setopt (easy, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt (easy, CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
  curl_easy_setopt (easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  if (http->ca_file != NULL)
    curl_easy_setopt (easy, CURLOPT_CAINFO, http->ca_file);
  if (g_ascii_strncasecmp (url, "http:", 5) == 0)
    curl_easy_setopt (easy, CURLOPT_PROXY, "");
  else if (http->proxy != NULL)
    curl_easy_setopt (easy, CURLOPT_PROXY, http->proxy);
}

static void set_connection (CURL *easy, const CabRequest *request) {
  const CabHttp *http = request->http;
  const CabLane *lane = &http->lanes[request->lane].config;
  /* Without TLS nobody says which HTTP it will be, and PIPEWAIT would wait for the first answer to tell. */
  gboolean http2 = lane->http2 && g_ascii_strncasecmp (request->url, "https:", 6) == 0;
  curl_easy_setopt (easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt (easy, CURLOPT_QUICK_EXIT, 1L); /* else ending a request waits for its name look-up */
  curl_easy_setopt (easy, CURLOPT_TCP_NODELAY, 1L);
  curl_easy_setopt (easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt (easy, CURLOPT_TCP_KEEPIDLE, 30L);
  curl_easy_setopt (easy, CURLOPT_TCP_KEEPINTVL, 10L);
  curl_easy_setopt (easy, CURLOPT_CONNECTTIMEOUT_MS, (long) request->connect_ms);
  set_reuse (easy, request);
  curl_easy_setopt (easy, CURLOPT_HTTP_VERSION,
                    http2 ? (long) CURL_HTTP_VERSION_2TLS : (long) CURL_HTTP_VERSION_1_1);
  curl_easy_setopt (easy, CURLOPT_PIPEWAIT, http2 ? 1L : 0L);
  if (lane->buffer > 0)
    curl_easy_setopt (easy, CURLOPT_BUFFERSIZE, (long) lane->buffer);
  if (lane->early && request->priority == 0)
    cab_http_want_short_records (easy);
  if (lane->compressed)
    curl_easy_setopt (easy, CURLOPT_ACCEPT_ENCODING, "");
}

static void set_request (CURL *easy, CabRequest *request) {
  struct curl_slist *headers = NULL;
  for (gsize i = 0; request->headers != NULL && request->headers[i] != NULL; i++)
    headers = curl_slist_append (headers, request->headers[i]);
  request->easy_headers = headers;
  curl_easy_setopt (easy, CURLOPT_URL, request->url);
  curl_easy_setopt (easy, CURLOPT_USERAGENT, "cabfs/" CABFS_VERSION);
  curl_easy_setopt (easy, CURLOPT_HTTPHEADER, headers);
  if (request->method == CAB_METHOD_HEAD)
    curl_easy_setopt (easy, CURLOPT_NOBODY, 1L);
  if (request->method == CAB_METHOD_POST)
    curl_easy_setopt (easy, CURLOPT_POSTFIELDS, request->form);
  curl_easy_setopt (easy, CURLOPT_PRIVATE, (void *) request);
  curl_easy_setopt (easy, CURLOPT_ERRORBUFFER, request->message);
  curl_easy_setopt (easy, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt (easy, CURLOPT_HEADERDATA, (void *) request);
  curl_easy_setopt (easy, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt (easy, CURLOPT_WRITEDATA, (void *) request);
}

static void initialise_libcurl (void) {
  curl_global_init (CURL_GLOBAL_DEFAULT);
}

/* With the first request: the TLS library alone takes 3 MB, and a mount that nobody looks at needs none of it. */
static void open_multi (CabHttp *http) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  long connections = 0;
  pthread_once (&once, initialise_libcurl);
  for (guint i = 0; i < http->n_lanes; i++)
    connections += http->lanes[i].config.parallel;
  http->multi = curl_multi_init ();
  g_assert (http->multi != NULL); /* as g_malloc(): out of memory */
  curl_multi_setopt (http->multi, CURLMOPT_MAXCONNECTS, connections);
}

void cab_wire_start (CabRequest *request) {
  if (request->http->multi == NULL)
    open_multi (request->http);
  GPtrArray *idle = request->http->idle;
  CURL *easy = idle->len > 0 ? g_ptr_array_steal_index_fast (idle, idle->len - 1) : curl_easy_init ();
  g_assert (easy != NULL); /* as g_malloc(): out of memory */
  set_security (easy, request->http, request->url);
  set_connection (easy, request);
  set_request (easy, request);
  request->easy = easy;
  request->answer.easy = easy;
  CURLMcode code = curl_multi_add_handle (request->http->multi, easy);
  g_assert (code == CURLM_OK);
}

void cab_wire_stop (CabRequest *request) {
  /* One that was stopped in a silence may have died with its connection, which with HTTP/2 would serve the next one. */
  if (g_get_monotonic_time () - request->heard_us > SILENCE_US)
    curl_easy_setopt (request->easy, CURLOPT_FORBID_REUSE, 1L);
  curl_multi_remove_handle (request->http->multi, request->easy);
}

void cab_wire_put_back (CabRequest *request) {
  if (request->easy == NULL)
    return;
  struct curl_slist *headers = g_steal_pointer (&request->easy_headers);
  for (struct curl_slist *item = headers; item != NULL; item = item->next)
    cab_wipe_bytes (item->data, strlen (item->data));
  curl_easy_reset (request->easy);
  curl_slist_free_all (headers);
  request->answer.easy = NULL;
  CURL *easy = g_steal_pointer (&request->easy);
  if (request->http->idle->len < MAX_IDLE)
    g_ptr_array_add (request->http->idle, easy);
  else
    curl_easy_cleanup (easy);
}

/* --- all requests ------------------------------------------------------------------------------------------- */

static CabErrorCode code_of (CURLcode code) {
  switch (code) {
  case CURLE_PEER_FAILED_VERIFICATION:
  case CURLE_SSL_CERTPROBLEM:
  case CURLE_SSL_ISSUER_ERROR:
    return CAB_ERROR_DENIED;
  case CURLE_URL_MALFORMAT:
  case CURLE_UNSUPPORTED_PROTOCOL:
  case CURLE_BAD_CONTENT_ENCODING:
  case CURLE_SSL_CACERT_BADFILE:
    return CAB_ERROR_INVALID;
  case CURLE_OPERATION_TIMEDOUT:
    return CAB_ERROR_TIMEOUT;
  default:
    return CAB_ERROR_FAILED;
  }
}

/* No byte waits for those that may come later. */
static void give_all (CabHttp *http) {
  for (CabRequest *request = g_queue_peek_head (&http->ungiven); request != NULL;
       request = g_queue_peek_head (&http->ungiven))
    if (!give (request))
      cab_request_end (request);
}

static void completed (CabRequest *request, CURLcode code) {
  give (request);
  if (code == CURLE_OK)
    lane_heard (request);
  if (request->too_long)
    cab_request_fail (request, CAB_ERROR_INVALID, "the answer is longer than any that makes sense");
  else if (code == CURLE_OK || request->enough)
    cab_request_end (request);
  else
    cab_request_fail (request, code_of (code),
                      request->message[0] != '\0' ? request->message : curl_easy_strerror (code));
}

void cab_wire_work (CabHttp *http) {
  int running = 0;
  int left = 0;
  if (http->multi == NULL)
    return;
  curl_multi_perform (http->multi, &running);
  for (CURLMsg *message = curl_multi_info_read (http->multi, &left); message != NULL;
       message = curl_multi_info_read (http->multi, &left)) {
    char *request = NULL;
    CURLcode code = message->data.result;
    curl_easy_getinfo (message->easy_handle, CURLINFO_PRIVATE, &request);
    completed ((CabRequest *) (void *) request, code);
  }
  give_all (http);
}

void cab_wire_wait (CabHttp *http, int wait_ms) {
  eventfd_t count;
  if (http->multi != NULL) {
    struct curl_waitfd wake = {.fd = http->wake_fd, .events = CURL_WAIT_POLLIN};
    curl_multi_poll (http->multi, &wake, 1, wait_ms, NULL);
  } else {
    struct pollfd wake = {.fd = http->wake_fd, .events = POLLIN};
    poll (&wake, 1, wait_ms);
  }
  eventfd_read (http->wake_fd, &count);
}

void cab_wire_wake (CabHttp *http) {
  eventfd_write (http->wake_fd, 1);
}

gboolean cab_wire_open (CabHttp *http) {
  http->wake_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  return http->wake_fd >= 0;
}

void cab_wire_close (CabHttp *http) {
  for (guint i = 0; i < http->idle->len; i++)
    curl_easy_cleanup (http->idle->pdata[i]);
  curl_multi_cleanup (http->multi);
  if (http->wake_fd >= 0)
    close (http->wake_fd);
}
