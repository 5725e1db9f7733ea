/* The control host: what tests set, ask and wait for.  README.md has the same table for people.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/emulator/build.h"
#include "tests/emulator/config.h"
#include "tests/emulator/dates.h"
#include "tests/emulator/http.h"
#include "tests/emulator/login.h"
#include "tests/emulator/sas.h"
#include "tests/emulator/stats.h"
#include <string.h>

#define TIMEOUT_MS   10000
#define CONTENT_MOST (64 * 1024 * 1024)

static EmuReply *refuse (EmuRequest *request, guint status, const char *code, const char *message) {
  return emu_reply_json (status, json_pack ("{s:s}", "error", message != NULL ? message : "refused"));
}

static EmuReply *wrong (const GError *error) {
  return refuse (NULL, 400, NULL, error->message);
}

static EmuReply *ok (void) {
  return emu_reply_json (200, json_pack ("{s:b}", "ok", 1));
}

static gint64 param_int (EmuRequest *request, const char *name, gint64 otherwise) {
  const char *text = emu_request_param (request, name);
  gint64 value;
  return text != NULL && g_ascii_string_to_signed (text, 10, G_MININT64, G_MAXINT64, &value, NULL) ? value
                                                                                                   : otherwise;
}

static gint64 body_int (json_t *body, const char *name, gint64 otherwise) {
  json_t *value = json_object_get (body, name);
  return json_is_integer (value) ? json_integer_value (value) : otherwise;
}

/* --- data --------------------------------------------------------------------------------------------------- */

static EmuReply *reply_ids (json_t *ids, json_t *body, const GError *error) {
  if (ids == NULL)
    return wrong (error);
  if (!json_is_false (json_object_get (body, "reply")))
    return emu_reply_json (200, json_pack ("{s:o}", "ids", ids));
  json_decref (ids);
  return ok ();
}

static EmuReply *post_dataset (EmuRequest *request, json_t *body) {
  g_autoptr (GError) error = NULL;
  json_t *ids = emu_build_dataset (request->emu->data, request->emu->payloads, body, &error);
  return reply_ids (ids, body, error);
}

static EmuReply *post_cabs (EmuRequest *request, json_t *body) {
  g_autoptr (GError) error = NULL;
  json_t *ids = emu_build_cabs (request->emu->data, request->emu->payloads, body, &error);
  return reply_ids (ids, body, error);
}

static EmuReply *post_cab_change (EmuRequest *request, json_t *body) {
  g_autoptr (GError) error = NULL;
  return emu_build_change (request->emu->data, request->emu->payloads, body, &error) ? ok () : wrong (error);
}

static EmuReply *post_cab_remove (EmuRequest *request, json_t *body) {
  const char *id = json_string_value (json_object_get (body, "id"));
  emu_data_lock_write (request->emu->data);
  gboolean removed = id != NULL && emu_data_remove_cab_locked (request->emu->data, id);
  emu_data_unlock (request->emu->data);
  return removed ? ok () : refuse (request, 400, NULL, "no such CAB");
}

static json_t *cab_json (const EmuCab *cab) {
  return json_pack ("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:s, s:b, s:b, s:O}", "id", cab->id, "family",
                    emu_family_row (cab->family)->name, "application", cab->application, "failure",
                    cab->failure, "date", (json_int_t) cab->date, "expires", (json_int_t) cab->expires, "size",
                    (json_int_t) emu_payload_size (cab->payload), "path", cab->path, "etag", cab->etag,
                    "downloadable", cab->downloadable, "gone", cab->gone, "fields", cab->fields);
}

static void list_failure (const EmuFailure *failure, json_t *array) {
  for (guint i = 0; i < failure->cabs->len; i++)
    json_array_append_new (array, cab_json (failure->cabs->pdata[i]));
}

/* All CABs, or those of an application, or of one of its failures. */
static EmuReply *get_cabs (EmuRequest *request, json_t *body) {
  const char *application = emu_request_param (request, "application");
  const char *hash = emu_request_param (request, "failure");
  json_t *array = json_array ();
  emu_data_lock_read (request->emu->data);
  GPtrArray *order = emu_data_applications_locked (request->emu->data);
  for (guint a = 0; a < order->len; a++) {
    const EmuApplication *item = order->pdata[a];
    if (application != NULL && strcmp (item->id, application) != 0)
      continue;
    for (guint f = 0; f < item->failure_order->len; f++) {
      const EmuFailure *failure = item->failure_order->pdata[f];
      if (hash == NULL || g_ascii_strcasecmp (failure->hash, hash) == 0)
        list_failure (failure, array);
    }
  }
  emu_data_unlock (request->emu->data);
  return emu_reply_json (200, json_pack ("{s:o}", "cabs", array));
}

static EmuReply *no_such_cab (EmuRequest *request) {
  return refuse (request, 400, NULL, "cab: no such CAB");
}

static EmuCab *param_cab (EmuRequest *request) {
  const char *id = emu_request_param (request, "cab");
  return id != NULL ? emu_data_cab (request->emu->data, id) : NULL;
}

static EmuReply *get_content (EmuRequest *request, json_t *body) {
  g_autoptr (EmuCab) cab = param_cab (request);
  if (cab == NULL)
    return no_such_cab (request);
  guint64 size = emu_payload_size (cab->payload);
  guint64 off = MIN ((guint64) MAX (param_int (request, "off", 0), 0), size);
  guint64 len = MIN ((guint64) MAX (param_int (request, "len", (gint64) size), 0), size - off);
  if (len > CONTENT_MOST)
    return refuse (request, 400, NULL, "len: at most 64 MiB at once");
  char *bytes = g_malloc (len + 1);
  emu_payload_read (cab->payload, off, bytes, (gsize) len);
  EmuReply *reply = emu_reply_new (200);
  emu_reply_take (reply, "application/octet-stream", bytes, (gsize) len);
  return reply;
}

static EmuReply *get_sha256 (EmuRequest *request, json_t *body) {
  g_autoptr (EmuCab) cab = param_cab (request);
  if (cab == NULL)
    return no_such_cab (request);
  g_autofree char *text = emu_payload_sha256 (cab->payload);
  return emu_reply_json (
      200, json_pack ("{s:s, s:I}", "sha256", text, "size", (json_int_t) emu_payload_size (cab->payload)));
}

/* A signed URL of a CAB, for tests that talk to the blob host themselves. */
static EmuReply *get_url (EmuRequest *request, json_t *body) {
  g_autoptr (EmuCab) cab = param_cab (request);
  if (cab == NULL)
    return no_such_cab (request);
  gint64 life = param_int (request, "life", emu_config_int (request->emu->config, EMU_SETTING_SAS_LIFE));
  g_autofree char *expiry = emu_sas_time (emu_now_ms () + life);
  g_autofree char *start = emu_sas_time (emu_now_ms () + param_int (request, "start", 0));
  const char *permissions = emu_request_param (request, "sp"), *resource = emu_request_param (request, "sr");
  const char *version = emu_request_param (request, "sv");
  EmuSas sas = {
      .version = version != NULL ? version : EMU_SAS_VERSION,
      .resource = resource != NULL ? resource : "b",
      .start = emu_request_param (request, "start") != NULL ? start : NULL,
      .expiry = expiry,
      .permissions = permissions != NULL ? permissions : "r",
  };
  g_autofree char *signature = emu_sas_sign (&sas, cab->path);
  sas.signature = signature;
  g_autofree char *query = emu_sas_query (&sas);
  g_autofree char *path = g_uri_escape_string (cab->path, "/", FALSE);
  g_autofree char *url = g_strconcat (request->emu->urls[EMU_HOST_BLOB], path, "?", query, NULL);
  return emu_reply_json (200, json_pack ("{s:s}", "url", url));
}

/* --- settings, tokens, faults ------------------------------------------------------------------------------- */

static EmuReply *get_config (EmuRequest *request, json_t *body) {
  return emu_reply_json (200, emu_config_dump (request->emu->config));
}

static EmuReply *post_config (EmuRequest *request, json_t *body) {
  g_autoptr (GError) error = NULL;
  return emu_config_update (request->emu->config, body, &error) ? ok () : wrong (error);
}

static EmuReply *post_token (EmuRequest *request, json_t *body) {
  g_autofree char *token = emu_tokens_issue (request->emu->tokens, body_int (body, "life", 3599));
  return emu_reply_json (200, json_pack ("{s:s}", "token", token));
}

static EmuReply *post_revoke (EmuRequest *request, json_t *body) {
  emu_tokens_revoke (request->emu->tokens);
  return ok ();
}

static EmuReply *get_faults (EmuRequest *request, json_t *body) {
  return emu_reply_json (200, json_pack ("{s:o}", "faults", emu_faults_list (request->emu->faults)));
}

static EmuReply *get_fault_table (EmuRequest *request, json_t *body) {
  return emu_reply_json (200, json_pack ("{s:o}", "faults", emu_faults_table ()));
}

static EmuReply *post_faults (EmuRequest *request, json_t *body) {
  g_autoptr (GError) error = NULL;
  guint id = emu_faults_add (request->emu->faults, body, &error);
  return id != 0 ? emu_reply_json (200, json_pack ("{s:i}", "id", (int) id)) : wrong (error);
}

/* Whoever is held by a fault that goes is let go too. */
static void end_faults (Emu *emu, guint id) {
  emu_faults_remove (emu->faults, id);
  emu_park_release (emu->park, id, 0);
}

static EmuReply *post_faults_remove (EmuRequest *request, json_t *body) {
  end_faults (request->emu, (guint) body_int (body, "id", 0));
  return ok ();
}

static EmuReply *post_release (EmuRequest *request, json_t *body) {
  guint n =
      emu_park_release (request->emu->park, (guint) body_int (body, "id", 0), (guint) body_int (body, "n", 0));
  return emu_reply_json (200, json_pack ("{s:i}", "released", (int) n));
}

/* As after the start. */
static EmuReply *post_reset (EmuRequest *request, json_t *body) {
  Emu *emu = request->emu;
  end_faults (emu, 0);
  emu_data_lock_write (emu->data);
  emu_data_clear_locked (emu->data);
  emu_data_unlock (emu->data);
  emu_tokens_revoke (emu->tokens);
  emu_config_reset (emu->config);
  emu_stats_reset (emu->stats);
  return ok ();
}

/* --- counters and waiting ------------------------------------------------------------------------------------ */

static EmuReply *get_counters (EmuRequest *request, json_t *body) {
  json_t *counters = emu_stats_counters (request->emu->stats, param_int (request, "cabs", 1) != 0);
  json_object_set_new (counters, "held", json_integer (emu_park_held (request->emu->park, 0)));
  return emu_reply_json (200, counters);
}

static EmuReply *post_reset_counters (EmuRequest *request, json_t *body) {
  emu_stats_reset (request->emu->stats);
  return ok ();
}

/* Without "endpoint": EMU_ENDPOINT_COUNT, that is any. */
static gboolean param_endpoint (EmuRequest *request, EmuEndpoint *endpoint) {
  const char *name = emu_request_param (request, "endpoint");
  *endpoint = name != NULL ? emu_endpoint_find (name) : EMU_ENDPOINT_COUNT;
  return name == NULL || *endpoint != EMU_ENDPOINT_COUNT;
}

static EmuReply *get_log (EmuRequest *request, json_t *body) {
  EmuEndpoint endpoint;
  if (!param_endpoint (request, &endpoint))
    return refuse (request, 400, NULL, "endpoint: no such endpoint");
  json_t *log = emu_stats_log (request->emu->stats, (guint) param_int (request, "n", 1000), endpoint,
                               emu_request_param (request, "cab"));
  return emu_reply_json (200, json_pack ("{s:o}", "log", log));
}

static gint64 timeout_ms (EmuRequest *request) {
  return param_int (request, "timeout", TIMEOUT_MS);
}

/* 200 when it has come about, 408 when not in time. */
static EmuReply *waited (gboolean came) {
  return came ? ok () : refuse (NULL, 408, NULL, "not within the timeout");
}

static EmuReply *get_wait_requests (EmuRequest *request, json_t *body) {
  EmuEndpoint endpoint;
  if (!param_endpoint (request, &endpoint))
    return refuse (request, 400, NULL, "endpoint: no such endpoint");
  return waited (emu_stats_wait (request->emu->stats, endpoint, emu_request_param (request, "cab"),
                                 (guint64) param_int (request, "n", 1), timeout_ms (request)));
}

static EmuReply *get_wait_held (EmuRequest *request, json_t *body) {
  return waited (emu_park_wait_held (request->emu->park, (guint) param_int (request, "id", 0),
                                     (guint) param_int (request, "n", 1), timeout_ms (request)));
}

/* --- the table ---------------------------------------------------------------------------------------------- */

static const struct {
  const char *method;
  const char *path;
  EmuReply *(*answer) (EmuRequest *request, json_t *body); /* @body: an object; of a GET empty */
} routes[] = {
    {"POST", "/dataset", post_dataset},
    {"POST", "/cabs", post_cabs},
    {"GET", "/cabs", get_cabs},
    {"POST", "/cab/change", post_cab_change},
    {"POST", "/cab/remove", post_cab_remove},
    {"GET", "/content", get_content},
    {"GET", "/sha256", get_sha256},
    {"GET", "/url", get_url},
    {"GET", "/config", get_config},
    {"POST", "/config", post_config},
    {"POST", "/token", post_token},
    {"POST", "/tokens/revoke", post_revoke},
    {"GET", "/fault-table", get_fault_table},
    {"GET", "/faults", get_faults},
    {"POST", "/faults", post_faults},
    {"POST", "/faults/remove", post_faults_remove},
    {"POST", "/release", post_release},
    {"GET", "/wait-held", get_wait_held},
    {"GET", "/wait-requests", get_wait_requests},
    {"GET", "/counters", get_counters},
    {"POST", "/reset-counters", post_reset_counters},
    {"GET", "/log", get_log},
    {"POST", "/reset", post_reset},
};

static json_t *read_body (EmuRequest *request) {
  if (request->body == NULL)
    return json_object ();
  json_t *body = json_loadb ((const char *) request->body->data, request->body->len, JSON_ALLOW_NUL, NULL);
  if (body != NULL && !json_is_object (body)) {
    json_decref (body);
    return NULL;
  };
  return body;
}

static EmuReply *answer (EmuRequest *request) {
  for (guint i = 0; i < G_N_ELEMENTS (routes); i++) {
    if (strcmp (routes[i].path, request->path) != 0 || !emu_request_is (request, routes[i].method))
      continue;
    json_t *body = read_body (request);
    if (body == NULL)
      return refuse (request, 400, NULL, "the body is no JSON object");
    EmuReply *reply = routes[i].answer (request, body);
    json_decref (body);
    return reply;
  }
  return refuse (request, 404, NULL, "no such call; see tests/emulator/README.md");
}

static EmuEndpoint classify (EmuRequest *request, char **cab) {
  return EMU_OTHER;
}

const EmuHost emu_control_host = {EMU_HOST_CONTROL, TRUE, classify, answer, refuse};
