/* SPDX-License-Identifier: MIT */
#include "tests/unit/server.h"

#include "client/sync.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

struct Server {
  ServerHandler handler;
  gpointer data;
  struct MHD_Daemon *daemon;
  char *url;
  pthread_mutex_t handling; /* one call of the handler at a time */
  pthread_mutex_t lock;
  pthread_cond_t changed;
  GHashTable *paths;  /* lock: path to number of requests */
  GPtrArray *log;     /* lock: "METHOD target" */
  GPtrArray *details; /* lock: header lines */
  gboolean released;  /* lock */
  gboolean closing;   /* lock */
  guint active, peak; /* lock */
  guint connections;  /* lock */
};

typedef struct {
  Exchange exchange;
  Server *server;
  struct MHD_Connection *connection;
  char *target, *path;
  GString *form;
  gboolean answered;
} Work;

/* --- the handler's words ------------------------------------------------------------------------------------ */

void server_header (Exchange *exchange, const char *name, const char *format, ...) {
  va_list args;
  va_start (args, format);
  g_ptr_array_add (exchange->headers, g_strdup (name));
  g_ptr_array_add (exchange->headers, g_strdup_vprintf (format, args));
  va_end (args);
}

void server_body (Exchange *exchange, const char *format, ...) {
  va_list args;
  va_start (args, format);
  g_string_append_vprintf (exchange->body, format, args);
  va_end (args);
}

void server_blob (Exchange *exchange, const char *bytes, gsize len, const char *etag) {
  guint64 first = 0, last = len > 0 ? len - 1 : 0;
  exchange->status = 200;
  if (etag != NULL)
    server_header (exchange, "ETag", "%s", etag);
  if (exchange->if_match != NULL && g_strcmp0 (exchange->if_match, etag) != 0) {
    exchange->status = 412;
    server_body (exchange, "<?xml version=\"1.0\"?><Error><Code>ConditionNotMet</Code></Error>");
    return;
  }
  if (exchange->range != NULL && g_str_equal (exchange->method, "GET")) {
    g_assert_cmpint (sscanf (exchange->range, "bytes=%" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT, &first, &last),
                     ==, 2);
    if (first >= len) {
      exchange->status = 416;
      server_header (exchange, "Content-Range", "bytes */%zu", len);
      server_body (exchange, "<?xml version=\"1.0\"?><Error><Code>InvalidRange</Code></Error>");
      return;
    }
    last = MIN (last, len - 1);
    exchange->status = 206;
    server_header (exchange, "Content-Range", "bytes %" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT "/%zu", first,
                   last, len);
  }
  if (len > 0)
    g_string_append_len (exchange->body, bytes + first, (gssize) (last - first + 1));
}

/* --- sending ------------------------------------------------------------------------------------------------ */

/* FALSE when the server is going. */
static gboolean wait_for_release (Server *self) {
  CAB_LOCK_SCOPE (&self->lock);
  while (!self->released && !self->closing)
    pthread_cond_wait (&self->changed, &self->lock);
  return !self->closing;
}

static void reset_connection (struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info (connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  struct sockaddr nobody = {.sa_family = AF_UNSPEC};
  connect (info->connect_fd, &nobody, sizeof nobody);
}

static ssize_t read_body (void *data, uint64_t at, char *bytes, size_t max) {
  Work *work = data;
  Exchange *exchange = &work->exchange;
  guint64 size = exchange->fill != NULL ? exchange->size : exchange->body->len;
  if (exchange->fate != FATE_NONE && at >= exchange->stop_at) {
    if (exchange->fate == FATE_RESET)
      reset_connection (work->connection);
    if (exchange->fate == FATE_STALL)
      wait_for_release (work->server);
    return MHD_CONTENT_READER_END_WITH_ERROR;
  }
  gsize len = (gsize) MIN ((guint64) max, size - at);
  if (exchange->fate != FATE_NONE)
    len = (gsize) MIN ((guint64) len, exchange->stop_at - at);
  if (exchange->drip_us > 0) {
    len = MIN (len, 1024);
    g_usleep (exchange->drip_us);
  }
  if (exchange->fill != NULL)
    exchange->fill (at, bytes, len);
  else
    memcpy (bytes, exchange->body->str + at, len);
  return (ssize_t) len;
}

static enum MHD_Result send_answer (Work *work) {
  Exchange *exchange = &work->exchange;
  guint64 size = exchange->fill != NULL ? exchange->size : exchange->body->len;
  if (exchange->hold && !wait_for_release (work->server))
    return MHD_NO;
  struct MHD_Response *response = MHD_create_response_from_callback (size, 64 * 1024, read_body, work, NULL);
  for (guint i = 0; i + 1 < exchange->headers->len; i += 2)
    MHD_add_response_header (response, exchange->headers->pdata[i], exchange->headers->pdata[i + 1]);
  time_t now = time (NULL) + exchange->date_offset_s;
  struct tm tm;
  char date[64];
  strftime (date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r (&now, &tm));
  MHD_add_response_header (response, "Date", date);
  enum MHD_Result result = MHD_queue_response (work->connection, exchange->status, response);
  MHD_destroy_response (response);
  return result;
}

/* --- receiving ---------------------------------------------------------------------------------------------- */

static const char *header (Work *work, const char *name) {
  return MHD_lookup_connection_value (work->connection, MHD_HEADER_KIND, name);
}

static void remember (Work *work) {
  Server *self = work->server;
  Exchange *exchange = &work->exchange;
  GString *detail = g_string_new (NULL);
  const char *names[] = {"Range", "If-Match", "Authorization", "User-Agent"};
  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    if (header (work, names[i]) != NULL)
      g_string_append_printf (detail, "%s: %s\n", names[i], header (work, names[i]));
  CAB_LOCK_SCOPE (&self->lock);
  exchange->index = GPOINTER_TO_UINT (g_hash_table_lookup (self->paths, work->path));
  g_hash_table_replace (self->paths, g_strdup (work->path), GUINT_TO_POINTER (exchange->index + 1));
  g_ptr_array_add (self->log, g_strdup_printf ("%s %s", exchange->method, exchange->target));
  g_ptr_array_add (self->details, g_string_free (detail, FALSE));
  self->active++;
  self->peak = MAX (self->peak, self->active);
  pthread_cond_broadcast (&self->changed);
}

static enum MHD_Result answer (Work *work, const char *method) {
  Exchange *exchange = &work->exchange;
  exchange->method = method;
  exchange->target = work->target;
  exchange->path = work->path;
  exchange->form = work->form->str;
  exchange->range = header (work, "Range");
  exchange->if_match = header (work, "If-Match");
  exchange->authorization = header (work, "Authorization");
  exchange->user_agent = header (work, "User-Agent");
  exchange->accept_encoding = header (work, "Accept-Encoding");
  exchange->metadata = header (work, "Metadata");
  exchange->status = 200;
  exchange->body = g_string_new (NULL);
  exchange->headers = g_ptr_array_new_with_free_func (g_free);
  work->answered = TRUE;
  remember (work);
  {
    CAB_LOCK_SCOPE (&work->server->handling);
    work->server->handler (exchange, work->server->data);
  }
  return send_answer (work);
}

static enum MHD_Result on_request (void *data, struct MHD_Connection *connection, const char *url,
                                   const char *method, const char *version, const char *upload,
                                   size_t *upload_size, void **state) {
  Work *work = *state;
  if (work->connection == NULL) {
    work->server = data;
    work->connection = connection;
    return MHD_YES;
  }
  if (*upload_size > 0) {
    g_string_append_len (work->form, upload, (gssize) *upload_size);
    *upload_size = 0;
    return MHD_YES;
  }
  return work->answered ? MHD_YES : answer (work, method);
}

/* Before MHD takes the URI apart. */
static void *on_uri (void *data, const char *uri, struct MHD_Connection *connection) {
  Work *work = g_new0 (Work, 1);
  work->target = g_strdup (uri);
  work->path = g_strndup (uri, strcspn (uri, "?"));
  work->form = g_string_new (NULL);
  return work;
}

static void on_end (void *data, struct MHD_Connection *connection, void **state,
                    enum MHD_RequestTerminationCode code) {
  Server *self = data;
  Work *work = *state;
  if (work == NULL)
    return;
  if (work->answered) {
    CAB_LOCK_SCOPE (&self->lock);
    self->active--;
  }
  if (work->exchange.body != NULL)
    g_string_free (work->exchange.body, TRUE);
  if (work->exchange.headers != NULL)
    g_ptr_array_unref (work->exchange.headers);
  g_string_free (work->form, TRUE);
  g_free (work->target);
  g_free (work->path);
  g_free (work);
}

static void on_connection (void *data, struct MHD_Connection *connection, void **state,
                           enum MHD_ConnectionNotificationCode code) {
  Server *self = data;
  CAB_LOCK_SCOPE (&self->lock);
  self->connections += code == MHD_CONNECTION_NOTIFY_STARTED;
}

/* --- life --------------------------------------------------------------------------------------------------- */

Server *server_new (ServerHandler handler, gpointer data) {
  Server *self = g_new0 (Server, 1);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
  self->handler = handler;
  self->data = data;
  self->paths = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  self->log = g_ptr_array_new_with_free_func (g_free);
  self->details = g_ptr_array_new_with_free_func (g_free);
  pthread_mutex_init (&self->handling, NULL);
  pthread_mutex_init (&self->lock, NULL);
  pthread_cond_init (&self->changed, NULL);
  self->daemon = MHD_start_daemon (
      MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_SUPPRESS_DATE_NO_CLOCK, 0, NULL,
      NULL, on_request, self, MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_URI_LOG_CALLBACK, on_uri, NULL,
      MHD_OPTION_NOTIFY_COMPLETED, on_end, self, MHD_OPTION_NOTIFY_CONNECTION, on_connection, self,
      MHD_OPTION_END);
  g_assert_nonnull (self->daemon);
  self->url = g_strdup_printf ("http://127.0.0.1:%u",
                               (guint) MHD_get_daemon_info (self->daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
  return self;
}

void server_free (Server *self) {
  if (self == NULL)
    return;
  {
    CAB_LOCK_SCOPE (&self->lock);
    self->closing = TRUE;
    pthread_cond_broadcast (&self->changed);
  }
  MHD_stop_daemon (self->daemon);
  pthread_cond_destroy (&self->changed);
  pthread_mutex_destroy (&self->lock);
  pthread_mutex_destroy (&self->handling);
  g_hash_table_unref (self->paths);
  g_ptr_array_unref (self->log);
  g_ptr_array_unref (self->details);
  g_free (self->url);
  g_free (self);
}

const char *server_url (const Server *self) {
  return self->url;
}

/* --- the test's questions ----------------------------------------------------------------------------------- */

static guint count_locked (Server *self, const char *what) {
  guint count = 0;
  for (guint i = 0; i < self->log->len; i++)
    count += g_str_has_prefix (self->log->pdata[i], what);
  return count;
}

guint server_count (Server *self, const char *what) {
  CAB_LOCK_SCOPE (&self->lock);
  return count_locked (self, what);
}

guint server_count_with (Server *self, const char *part) {
  CAB_LOCK_SCOPE (&self->lock);
  guint count = 0;
  for (guint i = 0; i < self->log->len; i++)
    count += strstr (self->log->pdata[i], part) != NULL ? 1 : 0;
  return count;
}

char *server_request (Server *self, const char *what, guint nth) {
  CAB_LOCK_SCOPE (&self->lock);
  for (guint i = 0; i < self->log->len; i++)
    if (g_str_has_prefix (self->log->pdata[i], what) && nth-- == 0)
      return g_strdup (self->details->pdata[i]);
  return NULL;
}

void server_wait (Server *self, const char *what, guint count) {
  struct timespec until;
  clock_gettime (CLOCK_REALTIME, &until);
  until.tv_sec += 20;
  CAB_LOCK_SCOPE (&self->lock);
  int rc = 0;
  while (count_locked (self, what) < count && rc == 0)
    rc = pthread_cond_timedwait (&self->changed, &self->lock, &until);
  g_assert_cmpuint (count_locked (self, what), >=, count);
}

void server_release (Server *self) {
  CAB_LOCK_SCOPE (&self->lock);
  self->released = TRUE;
  pthread_cond_broadcast (&self->changed);
}

void server_hold (Server *self) {
  CAB_LOCK_SCOPE (&self->lock);
  self->released = FALSE;
}

guint server_connections (Server *self) {
  CAB_LOCK_SCOPE (&self->lock);
  return self->connections;
}

guint server_peak (Server *self) {
  CAB_LOCK_SCOPE (&self->lock);
  return self->peak;
}
