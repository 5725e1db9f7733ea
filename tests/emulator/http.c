/* SPDX-License-Identifier: MIT */
#include "tests/emulator/http.h"
#include "tests/emulator/dates.h"
#include "tests/emulator/reply.h"
#include "tests/emulator/stats.h"
#include <arpa/inet.h>
#include <string.h>

#define CONNECTIONS    20000
#define MEMORY         (64 * 1024) /* of a connection, for the headers: tokens are long */
#define STACK          (256 * 1024)
#define LISTEN_BACKLOG 4096

struct EmuDaemon {
  Emu *emu;
  const EmuHost *host;
  struct MHD_Daemon *daemon;
};

/* The stages of a request, in order. */
enum { STAGE_NEW, STAGE_BODY, STAGE_ARRIVED, STAGE_DELAYED, STAGE_HELD };

/* --- requests ----------------------------------------------------------------------------------------------- */

const char *emu_request_param (EmuRequest *request, const char *name) {
  return MHD_lookup_connection_value (request->connection, MHD_GET_ARGUMENT_KIND, name);
}

const char *emu_request_header (EmuRequest *request, const char *name) {
  return MHD_lookup_connection_value (request->connection, MHD_HEADER_KIND, name);
}

gboolean emu_request_is (EmuRequest *request, const char *method) {
  return strcmp (request->method, method) == 0;
}

EmuFault *emu_request_fault (EmuRequest *request, EmuFaultKind kind) {
  return request->faults.by_kind[kind];
}

typedef struct {
  const char *const *known;
  const char *unknown;
} UnknownSearch;

static enum MHD_Result look_unknown (void *data, enum MHD_ValueKind kind, const char *key, const char *value) {
  UnknownSearch *search = data;
  if (search->unknown == NULL && !g_strv_contains (search->known, key))
    search->unknown = key;
  return MHD_YES;
}

const char *emu_request_unknown_param (EmuRequest *request, const char *const *known) {
  UnknownSearch search = {known, NULL};
  MHD_get_connection_values (request->connection, MHD_GET_ARGUMENT_KIND, look_unknown, &search);
  return search.unknown;
}

static char *decode (const char *text) {
  g_autofree char *blanks = g_strdelimit (g_strdup (text), "+", ' ');
  char *decoded = g_uri_unescape_string (blanks, NULL);
  if (decoded == NULL)
    decoded = g_strdup ("");
  return decoded;
}

GHashTable *emu_form_parse (const void *bytes, gsize len) {
  GHashTable *form = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  g_autofree char *text = g_strndup (bytes, len);
  g_auto (GStrv) pairs = g_strsplit (text, "&", -1);
  for (guint i = 0; pairs[i] != NULL; i++) {
    char *value = strchr (pairs[i], '=');
    if (value == NULL)
      continue;
    *value++ = '\0';
    g_hash_table_replace (form, decode (pairs[i]), decode (value));
  }
  return form;
}

/* --- replies ------------------------------------------------------------------------------------------------ */

EmuReply *emu_reply_new (guint status) {
  EmuReply *self = g_new0 (EmuReply, 1);
  self->status = status;
  self->headers = g_ptr_array_new_with_free_func (g_free);
  return self;
}

void emu_reply_free (EmuReply *self) {
  g_ptr_array_unref (self->headers);
  if (self->bytes != NULL)
    g_bytes_unref (self->bytes);
  emu_cab_unref (self->cab);
  g_free (self);
}

void emu_reply_header (EmuReply *reply, const char *name, const char *value) {
  if (value == NULL)
    return;
  g_ptr_array_add (reply->headers, g_strdup (name));
  g_ptr_array_add (reply->headers, g_strdup (value));
}

void emu_reply_take (EmuReply *reply, const char *type, char *text, gsize len) {
  if (reply->bytes != NULL)
    g_bytes_unref (reply->bytes);
  reply->bytes = g_bytes_new_take (text, len);
  reply->len = len;
  emu_reply_header (reply, "Content-Type", type);
}

void emu_reply_text (EmuReply *reply, const char *type, const char *text) {
  emu_reply_take (reply, type, g_strdup (text), strlen (text));
}

EmuReply *emu_reply_json (guint status, json_t *json) {
  EmuReply *reply = emu_reply_new (status);
  char *text = json_dumps (json, JSON_COMPACT | JSON_ENCODE_ANY);
  emu_reply_text (reply, "application/json; charset=utf-8", text != NULL ? text : "null");
  free (text);
  json_decref (json);
  return reply;
}

void emu_reply_cab (EmuReply *reply, EmuCab *cab, guint64 off, guint64 len) {
  reply->cab = cab;
  reply->off = off;
  reply->len = len;
}

/* --- faults that any answer can have ------------------------------------------------------------------------- */

static void retry_after (EmuReply *reply, json_t *value) {
  g_autofree char *text = NULL;
  json_t *date = json_object_get (value, "date");
  if (json_is_integer (value))
    text = g_strdup_printf ("%" JSON_INTEGER_FORMAT, json_integer_value (value));
  else if (json_is_integer (date))
    text = emu_date_text (emu_now_ms () / 1000 + json_integer_value (date), EMU_DATE_HTTP);
  else
    text = g_strdup (json_string_value (value));
  emu_reply_header (reply, "Retry-After", text);
}

static EmuReply *reply_status (EmuRequest *request, const EmuFault *fault) {
  guint status = (guint) emu_fault_int (fault, "status", 503);
  EmuReply *reply;
  if (emu_fault_is (fault, "body", "empty")) {
    reply = emu_reply_new (status);
  } else if (emu_fault_is (fault, "body", "html")) {
    reply = emu_reply_new (status);
    emu_reply_text (reply, "text/html",
                    "<!DOCTYPE html>\n<html><head><title>Service Unavailable</title></head>"
                    "<body><h1>Our services aren't available right now</h1></body></html>\n");
  } else {
    reply = request->host->refuse (request, status, emu_fault_text (fault, "code"),
                                   emu_fault_text (fault, "message"));
  }
  retry_after (reply, emu_fault_arg (fault, "retryAfter"));
  return reply;
}

static EmuReply *reply_raw (const EmuFault *fault) {
  EmuReply *reply = emu_reply_new ((guint) emu_fault_int (fault, "status", 200));
  const char *text = emu_fault_text (fault, "text"), *type = emu_fault_text (fault, "type");
  emu_reply_text (reply, type != NULL ? type : "application/json", text != NULL ? text : "");
  return reply;
}

static EmuReply *make_reply (EmuRequest *request) {
  const EmuFault *status = emu_request_fault (request, EMU_FAULT_STATUS);
  const EmuFault *raw = emu_request_fault (request, EMU_FAULT_ANSWER);
  if (status != NULL)
    return reply_status (request, status);
  return raw != NULL ? reply_raw (raw) : request->host->answer (request);
}

/* --- the way of a request ------------------------------------------------------------------------------------ */

static enum MHD_Result send_reply (EmuRequest *request, EmuReply *reply) {
  const EmuFault *header = emu_request_fault (request, EMU_FAULT_HEADER);
  guint status = reply->status;
  if (emu_fault_text (header, "name") != NULL)
    emu_reply_header (reply, emu_fault_text (header, "name"), emu_fault_text (header, "value"));
  if (!request->host->may_block)
    emu_stats_answer (request->emu->stats, request->number, request->endpoint, status);
  struct MHD_Response *response = emu_stream_response (request, reply);
  enum MHD_Result rc = MHD_queue_response (request->connection, status, response);
  MHD_destroy_response (response);
  return rc;
}

/* TRUE if the request has to wait before it goes on. */
static gboolean delay (EmuRequest *request) {
  EmuFault *latency = emu_request_fault (request, EMU_FAULT_LATENCY);
  if (latency == NULL)
    return FALSE;
  gint64 ms = emu_fault_int (latency, "ms", 100), most = emu_fault_int (latency, "maxMs", ms);
  ms += (gint64) emu_fault_random (latency, (guint64) MAX (most - ms, 0) + 1);
  return emu_park_wait (request->emu->park, &request->parked, request->connection,
                        g_get_monotonic_time () + ms * 1000, 0);
}

static gboolean hold (EmuRequest *request) {
  const EmuFault *fault = emu_request_fault (request, EMU_FAULT_HOLD);
  return fault != NULL && emu_park_wait (request->emu->park, &request->parked, request->connection, G_MAXINT64,
                                         emu_fault_id (fault));
}

static enum MHD_Result drop (EmuRequest *request, const EmuFault *fault) {
  if (emu_fault_is (fault, "how", "reset"))
    emu_stream_reset (request->connection);
  return MHD_NO;
}

static void arrive (EmuRequest *request) {
  g_autofree char *cab = NULL;
  const char *range = emu_request_header (request, "x-ms-range");
  request->endpoint = request->host->classify (request, &cab);
  if (range == NULL)
    range = emu_request_header (request, "Range");
  request->number =
      emu_stats_begin (request->emu->stats, request->endpoint, cab, request->method, request->uri, range);
  emu_faults_take (request->emu->faults, request->endpoint, request->uri, &request->faults);
}

static enum MHD_Result go_on (EmuRequest *request) {
  if (request->stage > STAGE_ARRIVED &&
      (request->parked.woken == EMU_WOKEN_GONE || request->parked.woken == EMU_WOKEN_STOPPED))
    return MHD_NO;
  if (request->stage < STAGE_ARRIVED && !request->host->may_block) {
    arrive (request);
    request->stage = STAGE_ARRIVED;
  }
  if (request->stage == STAGE_ARRIVED) {
    request->stage = STAGE_DELAYED;
    if (delay (request))
      return MHD_YES;
  }
  if (request->stage == STAGE_DELAYED) {
    request->stage = STAGE_HELD;
    if (hold (request))
      return MHD_YES;
  }
  const EmuFault *dropped = emu_request_fault (request, EMU_FAULT_DROP);
  return dropped != NULL ? drop (request, dropped) : send_reply (request, make_reply (request));
}

static enum MHD_Result handle (void *data, struct MHD_Connection *connection, const char *url,
                               const char *method, const char *version, const char *upload, size_t *upload_size,
                               void **state) {
  EmuRequest *request = *state;
  if (request->stage == STAGE_NEW) {
    request->connection = connection;
    request->method = g_strdup (method);
    request->path = g_strdup (url);
    request->stage = STAGE_BODY;
    return MHD_YES;
  }
  if (*upload_size > 0) {
    if (request->body == NULL)
      request->body = g_byte_array_new ();
    g_byte_array_append (request->body, (const guint8 *) upload, (guint) *upload_size);
    *upload_size = 0;
    return MHD_YES;
  }
  return go_on (request);
}

static void *begin (void *data, const char *uri, struct MHD_Connection *connection) {
  EmuDaemon *self = data;
  EmuRequest *request = g_new0 (EmuRequest, 1);
  request->emu = self->emu;
  request->host = self->host;
  request->connection = connection;
  request->uri = g_strdup (uri);
  return request;
}

static void finish (void *data, struct MHD_Connection *connection, void **state,
                    enum MHD_RequestTerminationCode code) {
  EmuRequest *request = *state;
  if (request == NULL)
    return;
  if (request->number != 0)
    emu_stats_end (request->emu->stats, request->number, request->endpoint, request->sent);
  emu_fault_set_clear (&request->faults);
  if (request->body != NULL)
    g_byte_array_unref (request->body);
  g_free (request->uri);
  g_free (request->method);
  g_free (request->path);
  g_free (request);
  *state = NULL;
}

static void count_connection (void *data, struct MHD_Connection *connection, void **context,
                              enum MHD_ConnectionNotificationCode code) {
  EmuDaemon *self = data;
  emu_stats_connection (self->emu->stats, self->host->id, code == MHD_CONNECTION_NOTIFY_STARTED ? 1 : -1);
}

/* --- hosts -------------------------------------------------------------------------------------------------- */

static struct MHD_Daemon *listen_on (EmuDaemon *self, guint16 port, guint threads) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons (port)};
  struct MHD_OptionItem pool[] = {{MHD_OPTION_THREAD_POOL_SIZE, threads, NULL}, {MHD_OPTION_END, 0, NULL}};
  unsigned flags = MHD_USE_ERROR_LOG | MHD_USE_INTERNAL_POLLING_THREAD;
  address.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
  if (self->host->may_block)
    flags |= MHD_USE_THREAD_PER_CONNECTION;
  else
    flags |= MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME;
  if (self->host->may_block || threads < 2)
    pool[0].option = MHD_OPTION_END;
  return MHD_start_daemon (flags, port, NULL, NULL, handle, self,                     /**/
                           MHD_OPTION_SOCK_ADDR, &address,                            /**/
                           MHD_OPTION_URI_LOG_CALLBACK, begin, self,                  /**/
                           MHD_OPTION_NOTIFY_COMPLETED, finish, self,                 /**/
                           MHD_OPTION_NOTIFY_CONNECTION, count_connection, self,      /**/
                           MHD_OPTION_CONNECTION_LIMIT, (unsigned) CONNECTIONS,       /**/
                           MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t) MEMORY,       /**/
                           MHD_OPTION_THREAD_STACK_SIZE, (size_t) STACK,              /**/
                           MHD_OPTION_LISTEN_BACKLOG_SIZE, (unsigned) LISTEN_BACKLOG, /**/
                           MHD_OPTION_ARRAY, pool, MHD_OPTION_END);
}

EmuDaemon *emu_daemon_start (Emu *emu, const EmuHost *host, guint16 port, guint threads, GError **error) {
  EmuDaemon *self = g_new0 (EmuDaemon, 1);
  self->emu = emu;
  self->host = host;
  self->daemon = listen_on (self, port, threads);
  if (self->daemon == NULL) {
    emu_error_set (error, "cannot listen on 127.0.0.1:%u", port);
    g_free (self);
    return NULL;
  }
  const union MHD_DaemonInfo *info = MHD_get_daemon_info (self->daemon, MHD_DAEMON_INFO_BIND_PORT);
  emu->urls[host->id] = g_strdup_printf ("http://127.0.0.1:%u", info->port);
  return self;
}

void emu_daemon_stop (EmuDaemon *self) {
  if (self == NULL)
    return;
  MHD_stop_daemon (self->daemon);
  g_free (self);
}
