/* The blob host: api-contract.md 12.2 to 12.5.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/emulator/config.h"
#include "tests/emulator/dates.h"
#include "tests/emulator/http.h"
#include "tests/emulator/sas.h"
#include "tests/emulator/stats.h"
#include <string.h>

#define MD5_RANGE_MOST (4 * 1024 * 1024)
#define BLOB_MD5_SINCE "2016-05-31" /* x-ms-blob-content-md5 on ranges, api-contract.md 12.4 */

/* One read, from what is asked to what is answered. */
typedef struct {
  EmuRequest *request;
  EmuCab *cab;     /* borrowed */
  guint64 size;    /* of the blob as it shows */
  char *etag;      /* as it shows; owned; NULL: none */
  gboolean ranged; /* a range was asked for that can be read */
  guint64 first;
  guint64 last;
} Read;

/* --- errors ------------------------------------------------------------------------------------------------- */

static const struct {
  guint status;
  const char *code;
  const char *message;
} known[] = {
    {400, "InvalidAuthenticationInfo", "Authentication information is not given in the correct format."},
    {400, "InvalidHeaderValue", "The value for one of the HTTP headers is not in the correct format."},
    {403, "AuthenticationFailed", "Server failed to authenticate the request."},
    {403, "AuthorizationPermissionMismatch",
     "This request is not authorized to perform this operation using this permission."},
    {404, "BlobNotFound", "The specified blob does not exist."},
    {404, "ContainerNotFound", "The specified container does not exist."},
    {404, "ResourceNotFound", "The specified resource does not exist."},
    {405, "UnsupportedHttpVerb", "The resource doesn't support specified Http Verb."},
    {409, "BlobArchived", "This operation is not permitted on an archived blob."},
    {412, "ConditionNotMet", "The condition specified using HTTP conditional header(s) is not met."},
    {416, "InvalidRange", "The range specified is invalid for the current size of the resource."},
    {500, "InternalError", "The server encountered an internal error. Please retry the request."},
    {503, "ServerBusy", "The server is busy."},
};

static const char *code_for (guint status) {
  for (guint i = 0; i < G_N_ELEMENTS (known); i++)
    if (known[i].status == status)
      return known[i].code;
  return "InternalError";
}

static const char *message_for (const char *code) {
  for (guint i = 0; i < G_N_ELEMENTS (known); i++)
    if (strcmp (known[i].code, code) == 0)
      return known[i].message;
  return "The request could not be served.";
}

static EmuReply *reply_error (EmuRequest *request, guint status, const char *code, const char *message,
                              const char *detail) {
  EmuReply *reply = emu_reply_new (status);
  g_autofree char *id = g_uuid_string_random ();
  g_autofree char *time = emu_date_text (emu_now_ms () / 1000, EMU_DATE_FRACTION);
  g_autofree char *more = detail != NULL ? g_markup_printf_escaped ("<AuthenticationErrorDetail>%s"
                                                                    "</AuthenticationErrorDetail>",
                                                                    detail)
                                         : g_strdup ("");
  g_autofree char *body = g_markup_printf_escaped (
      "\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>%s</Code><Message>%s\nRequestId:%s\n"
      "Time:%s</Message>",
      code, message != NULL ? message : message_for (code), id, time);
  g_autofree char *xml = g_strconcat (body, more, "</Error>", NULL);
  emu_reply_header (reply, "x-ms-request-id", id);
  if (emu_request_fault (request, EMU_FAULT_NO_ERROR_CODE) == NULL)
    emu_reply_header (reply, "x-ms-error-code", code);
  if (!emu_request_is (request, "HEAD"))
    emu_reply_text (reply, "application/xml", xml);
  return reply;
}

static EmuReply *refuse (EmuRequest *request, guint status, const char *code, const char *message) {
  return reply_error (request, status, code != NULL ? code : code_for (status), message, NULL);
}

/* --- who may read what --------------------------------------------------------------------------------------- */

/* The CAB's id in "/container/<id>.ext.zip" or "….cab"; new text or NULL. */
static char *id_of (const char *path) {
  static const char *const suffixes[] = {".ext.zip", ".cab"};
  const char *name = strrchr (path, '/');
  for (guint i = 0; name != NULL && i < G_N_ELEMENTS (suffixes); i++)
    if (g_str_has_suffix (name, suffixes[i]))
      return g_strndup (name + 1, strlen (name) - 1 - strlen (suffixes[i]));
  return NULL;
}

static EmuReply *check_access (EmuRequest *request) {
  EmuSas sas = {
      .version = emu_request_param (request, "sv"),
      .resource = emu_request_param (request, "sr"),
      .start = emu_request_param (request, "st"),
      .expiry = emu_request_param (request, "se"),
      .permissions = emu_request_param (request, "sp"),
      .signature = emu_request_param (request, "sig"),
  };
  if (emu_request_header (request, "Authorization") != NULL) {
    emu_stats_authorization_at_blob (request->emu->stats);
    return refuse (request, 400, "InvalidAuthenticationInfo", NULL);
  }
  EmuSasVerdict verdict = emu_sas_check (&sas, request->path, emu_now_ms ());
  g_autofree char *detail = verdict.detail;
  return verdict.status == 0 ? NULL : reply_error (request, verdict.status, verdict.code, NULL, detail);
}

/* A new reference, or NULL and the reply. */
static EmuCab *find_cab (EmuRequest *request, EmuReply **reply) {
  g_autofree char *id = id_of (request->path);
  g_autoptr (EmuCab) cab = id != NULL ? emu_data_cab (request->emu->data, id) : NULL;
  if (cab == NULL || cab->gone || cab->expires <= emu_now_ms () / 1000)
    *reply = refuse (request, 404, "BlobNotFound", NULL);
  else if (strcmp (cab->path, request->path) != 0)
    *reply = refuse (request, 404, "ContainerNotFound", NULL);
  else
    return g_steal_pointer (&cab);
  return NULL;
}

/* --- conditions --------------------------------------------------------------------------------------------- */

static gboolean etag_in (const char *list, const char *etag) {
  g_auto (GStrv) tags = g_strsplit (list, ",", -1);
  for (guint i = 0; tags[i] != NULL; i++) {
    g_strstrip (tags[i]);
    if (strcmp (tags[i], "*") == 0 || g_strcmp0 (tags[i], etag) == 0)
      return TRUE;
  }
  return FALSE;
}

static EmuReply *check_conditions (const Read *read) {
  EmuRequest *request = read->request;
  const char *match = emu_request_header (request, "If-Match");
  const char *none_match = emu_request_header (request, "If-None-Match");
  const char *since = emu_request_header (request, "If-Modified-Since");
  const char *unmodified = emu_request_header (request, "If-Unmodified-Since");
  const EmuFault *fault = emu_request_fault (request, EMU_FAULT_ETAG);
  gint64 time;
  if (fault != NULL && json_is_false (emu_fault_arg (fault, "enforce")))
    return NULL;
  if (match != NULL && !etag_in (match, read->etag))
    return refuse (request, 412, "ConditionNotMet", NULL);
  if (unmodified != NULL && emu_date_parse_http (unmodified, &time) && read->cab->date > time)
    return refuse (request, 412, "ConditionNotMet", NULL);
  if (none_match != NULL && etag_in (none_match, read->etag))
    return emu_reply_new (304);
  if (none_match == NULL && since != NULL && emu_date_parse_http (since, &time) && read->cab->date <= time)
    return emu_reply_new (304);
  return NULL;
}

/* --- ranges ------------------------------------------------------------------------------------------------- */

/* "bytes=a-b" or "bytes=a-"; what is formed otherwise is as if not there. */
static gboolean parse_range (const char *text, guint64 *first, guint64 *last) {
  char *end;
  if (text == NULL || !g_str_has_prefix (text, "bytes=") || !g_ascii_isdigit (text[6]))
    return FALSE;
  *first = g_ascii_strtoull (text + 6, &end, 10);
  if (*end++ != '-')
    return FALSE;
  *last = G_MAXUINT64;
  if (*end == '\0')
    return TRUE;
  if (!g_ascii_isdigit (*end))
    return FALSE;
  *last = g_ascii_strtoull (end, &end, 10);
  return *end == '\0' && *last >= *first;
}

static EmuReply *read_range (Read *read) {
  EmuRequest *request = read->request;
  const char *text = emu_request_header (request, "x-ms-range");
  if (text == NULL)
    text = emu_request_header (request, "Range");
  read->first = 0;
  read->last = read->size - 1;
  if (emu_request_is (request, "HEAD") || emu_request_fault (request, EMU_FAULT_RANGE_IGNORED) != NULL ||
      !parse_range (text, &read->first, &read->last))
    return NULL;
  read->ranged = TRUE;
  if (read->first >= read->size) {
    EmuReply *reply = refuse (request, 416, "InvalidRange", NULL);
    g_autofree char *total = g_strdup_printf ("bytes */%" G_GUINT64_FORMAT, read->size);
    emu_reply_header (reply, "Content-Range", total);
    return reply;
  }
  const EmuFault *cut = emu_request_fault (request, EMU_FAULT_SHORT_RANGE);
  read->last = MIN (read->last, read->size - 1);
  if (cut != NULL)
    read->last = MIN (read->last, read->first + (guint64) MAX (emu_fault_int (cut, "bytes", 1), 1) - 1);
  return NULL;
}

static void add_content_range (const Read *read, EmuReply *reply) {
  const EmuFault *lie = emu_request_fault (read->request, EMU_FAULT_CONTENT_RANGE);
  json_t *value = emu_fault_arg (lie, "value");
  guint64 shift = (guint64) emu_fault_int (lie, "shift", 0);
  guint64 total = (guint64) emu_fault_int (lie, "total", (gint64) read->size);
  g_autofree char *text =
      g_strdup_printf ("bytes %" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT,
                       read->first + shift, read->last + shift, total);
  emu_reply_header (reply, "Content-Range", value != NULL ? json_string_value (value) : text);
}

/* --- hashes ------------------------------------------------------------------------------------------------- */

static void add_md5 (const Read *read, EmuReply *reply, const char *name, guint8 md5[16]) {
  const EmuFault *fault = emu_request_fault (read->request, EMU_FAULT_MD5);
  if (emu_fault_is (fault, "value", "none"))
    return;
  if (emu_fault_is (fault, "value", "wrong"))
    md5[0] ^= 0xff;
  g_autofree char *text = g_base64_encode (md5, 16);
  emu_reply_header (reply, name, text);
}

/* TRUE if the request is executed with a version that tells the whole blob's hash on a range. */
static gboolean tells_blob_md5 (EmuRequest *request) {
  const char *version = emu_request_header (request, "x-ms-version");
  if (version == NULL)
    version = emu_request_param (request, "sv");
  return g_strcmp0 (version, BLOB_MD5_SINCE) >= 0;
}

/* The rules of api-contract.md 12.4. */
static EmuReply *add_hashes (const Read *read, EmuReply *reply) {
  EmuRequest *request = read->request;
  const char *flag = emu_request_header (request, "x-ms-range-get-content-md5");
  guint64 most = (guint64) emu_config_int (request->emu->config, EMU_SETTING_MD5_LIMIT);
  guint8 md5[16];
  if (flag != NULL && g_ascii_strcasecmp (flag, "true") == 0) {
    if (!read->ranged || read->last - read->first + 1 > MD5_RANGE_MOST)
      return refuse (request, 400, "InvalidHeaderValue", NULL);
    emu_payload_md5_range (read->cab->payload, read->first, read->last - read->first + 1, md5);
    add_md5 (read, reply, "Content-MD5", md5);
  }
  if (emu_payload_size (read->cab->payload) > most || (read->ranged && !tells_blob_md5 (request)))
    return NULL;
  emu_payload_md5 (read->cab->payload, md5);
  add_md5 (read, reply, read->ranged ? "x-ms-blob-content-md5" : "Content-MD5", md5);
  return NULL;
}

/* --- the answer --------------------------------------------------------------------------------------------- */

/* How the blob shows itself, which faults can change. */
static void look (Read *read) {
  const EmuFault *size = emu_request_fault (read->request, EMU_FAULT_SIZE);
  const EmuFault *etag = emu_request_fault (read->request, EMU_FAULT_ETAG);
  gint64 real = (gint64) emu_payload_size (read->cab->payload);
  read->size = (guint64) MAX (emu_fault_int (size, "size", real) + emu_fault_int (size, "delta", 0), 0);
  if (etag == NULL)
    read->etag = g_strdup (read->cab->etag);
  else if (emu_fault_arg (etag, "value") != NULL)
    read->etag = g_strdup (emu_fault_text (etag, "value"));
  else
    read->etag = g_strdup_printf ("\"0x8DE%012" G_GINT64_MODIFIER "X\"", read->request->number);
}

static void add_headers (const Read *read, EmuReply *reply) {
  g_autofree char *id = g_uuid_string_random ();
  g_autofree char *modified = emu_date_text (read->cab->date, EMU_DATE_HTTP);
  const char *version = emu_request_param (read->request, "sv");
  emu_reply_header (reply, "Content-Type", "application/octet-stream");
  emu_reply_header (reply, "Accept-Ranges", "bytes");
  emu_reply_header (reply, "ETag", read->etag);
  emu_reply_header (reply, "Last-Modified", modified);
  emu_reply_header (reply, "Server", "Windows-Azure-Blob/1.0 Microsoft-HTTPAPI/2.0");
  emu_reply_header (reply, "x-ms-request-id", id);
  emu_reply_header (reply, "x-ms-version", version);
  emu_reply_header (reply, "x-ms-blob-type", "BlockBlob");
  emu_reply_header (reply, "x-ms-lease-status", "unlocked");
  emu_reply_header (reply, "x-ms-lease-state", "available");
  emu_reply_header (reply, "x-ms-server-encrypted", "true");
  if (read->ranged)
    add_content_range (read, reply);
}

static EmuReply *answer_read (Read *read) {
  look (read);
  EmuReply *wrong = check_conditions (read);
  if (wrong == NULL)
    wrong = read_range (read);
  if (wrong != NULL)
    return wrong;
  EmuReply *reply = emu_reply_new (read->ranged ? 206 : 200);
  add_headers (read, reply);
  wrong = add_hashes (read, reply);
  if (wrong != NULL) {
    emu_reply_free (reply);
    return wrong;
  }
  emu_reply_cab (reply, emu_cab_ref (read->cab), read->first,
                 read->ranged ? read->last - read->first + 1 : read->size);
  return reply;
}

static EmuReply *answer (EmuRequest *request) {
  EmuReply *reply = NULL;
  if (!emu_request_is (request, "GET") && !emu_request_is (request, "HEAD"))
    return refuse (request, 405, "UnsupportedHttpVerb", NULL);
  reply = check_access (request);
  g_autoptr (EmuCab) cab = reply == NULL ? find_cab (request, &reply) : NULL;
  if (cab == NULL)
    return reply;
  Read read = {.request = request, .cab = cab};
  reply = answer_read (&read);
  g_free (read.etag);
  return reply;
}

static EmuEndpoint classify (EmuRequest *request, char **cab) {
  *cab = id_of (request->path);
  if (emu_request_is (request, "HEAD"))
    return EMU_BLOB_HEAD;
  return emu_request_is (request, "GET") ? EMU_BLOB_GET : EMU_OTHER;
}

const EmuHost emu_blob_host = {EMU_HOST_BLOB, FALSE, classify, answer, refuse};
