/* The API host: who may ask, what must be asked, and what is answered.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/emulator/api.h"
#include "tests/emulator/dates.h"
#include "tests/emulator/login.h"
#include <string.h>

gboolean emu_words_have (const char *words, const char *word) {
  g_auto (GStrv) list = g_strsplit (words != NULL ? words : "", " ", -1);
  return g_strv_contains ((const char *const *) list, word);
}

/* --- errors ------------------------------------------------------------------------------------------------- */

static EmuReply *with_correlation (EmuRequest *request, EmuReply *reply) {
  const char *given = emu_request_header (request, "MS-CorrelationId");
  g_autofree char *made = g_uuid_string_random ();
  g_autofree char *id = g_uuid_string_random ();
  emu_reply_header (reply, "MS-CorrelationId", given != NULL ? given : made);
  emu_reply_header (reply, "MS-RequestId", id);
  return reply;
}

EmuReply *emu_api_error (EmuRequest *request, guint status, const char *code, const char *inner,
                         const char *detail) {
  json_t *data = json_array ();
  if (detail != NULL)
    json_array_append_new (data, json_string (detail));
  json_t *innererror = json_pack ("{s:s, s:s, s:s, s:o, s:[]}", "code", inner, "message",
                                  status == 400 ? "One or more query parameters has invalid values."
                                                : "The request was refused.",
                                  "source", "AnalyticsAPI", "data", data, "details");
  return emu_reply_json (status, json_pack ("{s:s, s:s, s:s, s:[], s:[], s:o}", "code", code, "message",
                                            "The request could not be served.", "source", "AnalyticsAPI",
                                            "data", "details", "innererror", innererror));
}

static EmuReply *bad_parameter (EmuRequest *request, const char *format, ...) G_GNUC_PRINTF (2, 3);
static EmuReply *bad_parameter (EmuRequest *request, const char *format, ...) {
  va_list args;
  va_start (args, format);
  g_autofree char *detail = g_strdup_vprintf (format, args);
  va_end (args);
  return emu_api_error (request, 400, "BadRequest", "InvalidQueryParameters", detail);
}

static EmuReply *unauthorized (EmuRequest *request, const char *message) {
  g_autofree char *correlation = g_uuid_string_random ();
  return emu_reply_json (
      401, json_pack ("{s:i, s:s, s:s}", "statusCode", 401, "message", message, "correlationId", correlation));
}

static EmuReply *refuse (EmuRequest *request, guint status, const char *code, const char *message) {
  static const struct {
    guint status;
    const char *code;
  } known[] = {
      {400, "BadRequest"},    {403, "Forbidden"},       {404, "NotFound"},   {409, "Conflict"},
      {410, "Gone"},          {429, "TooManyRequests"}, {502, "BadGateway"}, {503, "ServiceUnavailable"},
      {504, "GatewayTimeout"}};
  const char *name = "InternalServerError";
  for (guint i = 0; i < G_N_ELEMENTS (known); i++)
    if (known[i].status == status)
      name = known[i].code;
  EmuReply *reply =
      status == 401
          ? unauthorized (request, message != NULL ? message : "The identity could not be authorized.")
          : emu_api_error (request, status, name, code != NULL ? code : name, message);
  return with_correlation (request, reply);
}

/* --- checks ------------------------------------------------------------------------------------------------- */

static gboolean has_bearer (EmuRequest *request) {
  const char *header = emu_request_header (request, "Authorization");
  return header != NULL && g_ascii_strncasecmp (header, "Bearer ", 7) == 0 &&
         emu_tokens_valid (request->emu->tokens, header + 7);
}

static EmuReply *check_names (EmuRequest *request, const EmuCall *call) {
  g_autofree char *all = g_strjoin (" ", call->required, call->optional, NULL);
  g_auto (GStrv) known = g_strsplit (all, " ", -1);
  g_auto (GStrv) required = g_strsplit (call->required, " ", -1);
  for (guint i = 0; required[i] != NULL; i++) {
    const char *value = emu_request_param (request, required[i]);
    if (value == NULL || value[0] == '\0')
      return bad_parameter (request, "%s is required", required[i]);
  }
  const char *unknown = emu_request_unknown_param (request, (const char *const *) known);
  return unknown != NULL ? bad_parameter (request, "%s is not a parameter of this call", unknown) : NULL;
}

static EmuReply *read_number (EmuRequest *request, const char *name, guint64 otherwise, guint64 *out) {
  const char *text = emu_request_param (request, name);
  *out = otherwise;
  if (text == NULL || g_ascii_string_to_unsigned (text, 10, 0, G_MAXINT32, out, NULL))
    return NULL;
  return bad_parameter (request, "%s is not a number: %s", name, text);
}

/* A day without a time ends with its last second: endDate is inclusive. */
static EmuReply *read_dates (EmuQuery *query) {
  gint64 today = emu_date_midnight (emu_now_ms () / 1000);
  const char *start = emu_request_param (query->request, "startDate");
  const char *end = emu_request_param (query->request, "endDate");
  gboolean timed = FALSE;
  query->from = today - query->call->start_days * EMU_DAY;
  query->to = today;
  if (start != NULL && !emu_date_parse (start, &query->from, NULL))
    return bad_parameter (query->request, "startDate is not a date: %s", start);
  if (end != NULL && !emu_date_parse (end, &query->to, &timed))
    return bad_parameter (query->request, "endDate is not a date: %s", end);
  if (!timed)
    query->to += EMU_DAY - 1;
  if (query->to < query->from)
    return bad_parameter (query->request, "endDate is before startDate");
  return NULL;
}

static EmuReply *read_selection (EmuQuery *query) {
  EmuRequest *request = query->request;
  g_autoptr (GError) error = NULL;
  const char *filter = emu_request_param (request, "filter");
  query->orderby = emu_request_param (request, "orderby");
  query->groupby = emu_request_param (request, "groupby");
  query->level = emu_request_param (request, "aggregationLevel");
  if (query->level != NULL && !emu_words_have (query->call->levels, query->level))
    return bad_parameter (request, "aggregationLevel is none of %s: %s", query->call->levels, query->level);
  if (filter != NULL && (query->filter = emu_filter_parse (filter, query->call->filter, &error)) == NULL)
    return bad_parameter (request, "filter: %s", error->message);
  const char *sorted = query->call->orderby != NULL ? query->call->orderby : query->call->filter;
  if (query->orderby != NULL && !emu_order_check (query->orderby, sorted, &error))
    return bad_parameter (request, "orderby: %s", error->message);
  g_auto (GStrv) groups = g_strsplit (query->groupby != NULL ? query->groupby : "", ",", -1);
  for (guint i = 0; groups[i] != NULL; i++)
    if (!emu_words_have (query->call->groupby, g_strstrip (groups[i])))
      return bad_parameter (request, "groupby has no field %s", groups[i]);
  return NULL;
}

static EmuReply *read_query (EmuQuery *query) {
  EmuRequest *request = query->request;
  query->application = emu_request_param (request, "applicationId");
  query->failure = emu_request_param (request, "failureHash");
  const char *skip = query->call->skip_name != NULL ? query->call->skip_name : "skip";
  EmuReply *wrong = read_number (request, "top", query->call->default_top, &query->top);
  if (wrong == NULL && (query->top > query->call->max_top || query->top == 0))
    wrong = bad_parameter (request, query->top == 0 ? "top must be 1 or more" : "top cannot exceed %u",
                           query->call->max_top);
  if (wrong == NULL)
    wrong = read_number (request, skip, 0, &query->skip);
  if (wrong == NULL)
    wrong = read_dates (query);
  return wrong != NULL ? wrong : read_selection (query);
}

/* --- the calls ---------------------------------------------------------------------------------------------- */

static EmuReply *answer_list (EmuRequest *request, const EmuCall *call) {
  EmuQuery query = {.request = request, .call = call};
  EmuReply *reply = read_query (&query);
  if (reply == NULL) {
    guint64 total = 0;
    emu_shape_query (&query);
    json_t *rows = emu_rows_page (&query, &total);
    if (rows == NULL)
      reply = emu_api_error (request, 404, "NotFound", "NotFound", "applicationId is not known");
    else if (total == 0 && call->none_status != 0)
      reply = emu_api_error (request, call->none_status, "NotFound", "NotFound", "the account has none");
    else
      reply = emu_shape_answer (&query, json_incref (rows), total);
    json_decref (rows);
  }
  emu_filter_free (query.filter);
  return reply;
}

/* Where the redirect goes: @url, or what a fault says.  New text, or NULL: no Location. */
static char *redirect_target (EmuRequest *request, const EmuCab *cab, const char *url) {
  const EmuFault *fault = emu_request_fault (request, EMU_FAULT_REDIRECT);
  const char *form = emu_fault_text (fault, "form");
  const char *tail = url + strlen (request->emu->urls[EMU_HOST_BLOB]);
  if (emu_fault_text (fault, "location") != NULL)
    return g_strdup (emu_fault_text (fault, "location"));
  if (g_strcmp0 (form, "missing") == 0)
    return NULL;
  if (g_strcmp0 (form, "loop") == 0)
    return g_strconcat (request->emu->urls[EMU_HOST_API], request->uri, NULL);
  if (cab->url != NULL)
    return g_strdup (url);
  if (g_strcmp0 (form, "relative") == 0)
    return g_strdup (tail);
  if (g_strcmp0 (form, "http") == 0)
    return g_strconcat ("http://uswewatcab01.blob.core.windows.net", tail, NULL);
  if (g_strcmp0 (form, "foreign") == 0)
    return g_strconcat ("https://blob.example.invalid", tail, NULL);
  return g_strdup (url);
}

/* The CAB that is asked for, if it is of that family and application; a new reference. */
static EmuCab *wanted_cab (EmuRequest *request, const EmuCall *call) {
  const char *application = emu_request_param (request, "applicationId");
  g_autoptr (EmuCab) cab = emu_data_cab (request->emu->data, emu_request_param (request, call->key));
  if (cab == NULL || cab->family != call->family ||
      (application != NULL && strcmp (cab->application, application) != 0))
    return NULL;
  return g_steal_pointer (&cab);
}

static EmuReply *answer_stack (EmuRequest *request, const EmuCall *call) {
  EmuQuery query = {.request = request, .call = call};
  g_autoptr (EmuCab) cab = wanted_cab (request, call);
  if (cab == NULL)
    return emu_api_error (request, 404, "NotFound", "NotFound", "no such CAB");
  json_t *rows = emu_stack_rows (call, cab);
  return emu_shape_answer (&query, rows, json_array_size (rows));
}

static EmuReply *answer_download (EmuRequest *request, const EmuCall *call) {
  const EmuFault *fault = emu_request_fault (request, EMU_FAULT_REDIRECT);
  g_autoptr (EmuCab) cab = wanted_cab (request, call);
  if (cab == NULL)
    return emu_api_error (request, 404, "NotFound", "NotFound", "no such CAB");
  if (!cab->downloadable)
    return unauthorized (request, "The identity is not authorized for this CAB.");
  if (emu_fault_is (fault, "form", "body")) {
    EmuReply *reply = emu_reply_new (200);
    guint64 size = emu_payload_size (cab->payload);
    emu_reply_header (reply, "Content-Type", "application/octet-stream");
    emu_reply_cab (reply, g_steal_pointer (&cab), 0, size);
    return reply;
  }
  g_autofree char *url = emu_rows_url (request, cab);
  if (url == NULL)
    return emu_api_error (request, 404, "NotFound", "NotFound", "the CAB has no file");
  g_autofree char *target = redirect_target (request, cab, url);
  EmuReply *reply = emu_reply_new ((guint) emu_fault_int (fault, "status", 302));
  emu_reply_header (reply, "Location", target);
  return reply;
}

static EmuReply *answer_call (EmuRequest *request, const EmuCall *call) {
  if (!has_bearer (request))
    return unauthorized (request, "The identity could not be authorized: the token is missing or not valid.");
  if (call == NULL)
    return emu_api_error (request, 404, "NotFound", "NotFound", "no such resource");
  if (!emu_request_is (request, "GET"))
    return emu_api_error (request, 405, "MethodNotAllowed", "MethodNotAllowed", NULL);
  EmuReply *wrong = check_names (request, call);
  if (wrong != NULL)
    return wrong;
  if (call->kind == EMU_CALL_DOWNLOAD)
    return answer_download (request, call);
  return call->kind == EMU_CALL_STACK ? answer_stack (request, call) : answer_list (request, call);
}

static EmuReply *answer (EmuRequest *request) {
  return with_correlation (request, answer_call (request, emu_call_find (request->path)));
}

static EmuEndpoint classify (EmuRequest *request, char **cab) {
  const EmuCall *call = emu_call_find (request->path);
  if (call == NULL)
    return EMU_OTHER;
  if (call->kind == EMU_CALL_DOWNLOAD || call->kind == EMU_CALL_STACK)
    *cab = g_strdup (emu_request_param (request, call->key));
  return call->endpoint;
}

const EmuHost emu_api_host = {EMU_HOST_API, FALSE, classify, answer, refuse};
