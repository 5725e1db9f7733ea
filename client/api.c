/* SPDX-License-Identifier: MIT */
#include "client/api.h"

#include "client/api_family.h"
#include "client/error.h"
#include "client/json.h"

#include <string.h>

#define DAY_S 86400

/* --- questions ----------------------------------------------------------------------------------------------- */

CabWindow cab_window_make (gint64 now, guint days, const char *start_date, const char *end_date) {
  gint64 first = cab_time_parse (start_date);
  gint64 last = cab_time_parse (end_date);
  return (CabWindow){
      .first = first != CAB_TIME_UNKNOWN ? first : now - (gint64) days * DAY_S,
      .last = last != CAB_TIME_UNKNOWN ? last : now + DAY_S,
  };
}

guint cab_api_ways (const CabScope *scope) {
  guint n = 0;
  while (cab_api_way (scope, n) != NULL)
    n++;
  return n;
}

static void append_parameter (GString *path, const char *name, const char *value) {
  g_autofree char *encoded = g_uri_escape_string (value, NULL, FALSE);
  g_string_append_printf (path, "%c%s=%s", strchr (path->str, '?') != NULL ? '&' : '?', name, encoded);
}

static void append_day (GString *path, const char *name, gint64 when, CabDateForm form) {
  g_autofree char *day = cab_time_format_day (when, form);
  append_parameter (path, name, day);
}

static void append_number (GString *path, const char *name, guint64 number) {
  g_autofree char *text = g_strdup_printf ("%" G_GUINT64_FORMAT, number);
  append_parameter (path, name, text);
}

static void append_application (GString *path, const CabScope *scope) {
  if (scope->application != NULL && cab_family_has_application (cab_family_find (scope->family)))
    append_parameter (path, "applicationId", scope->application);
}

char *cab_api_list_path (const CabScope *scope, guint way, const CabWindow *window, guint64 skip) {
  const CabWay *call = cab_api_way (scope, way);
  g_return_val_if_fail (call != NULL, NULL);
  GString *path = g_string_new (call->path);
  append_application (path, scope);
  if (scope->failure != NULL)
    append_parameter (path, "failureHash", scope->failure);
  if (!call->undated) {
    append_day (path, "startDate", window->first, call->dates);
    append_day (path, "endDate", window->last, call->dates);
  }
  if (call->top > 0) {
    append_number (path, "top", call->top);
    append_number (path, "skip", skip);
  }
  if (call->parameters != NULL)
    g_string_append (path, call->parameters);
  return g_string_free (path, FALSE);
}

guint cab_api_page_size (const CabScope *scope, guint way) {
  const CabWay *call = cab_api_way (scope, way);
  return call == NULL ? 0 : call->top;
}

gboolean cab_api_is_empty (const CabScope *scope, guint way, int status) {
  const CabWay *call = cab_api_way (scope, way);
  return call != NULL && call->none_status != 0 && call->none_status == status;
}

CabLocateKind cab_api_locate_kind (const CabScope *scope, guint way) {
  const CabWay *call = cab_api_way (scope, way);
  if (call == NULL || scope->failure == NULL)
    return CAB_LOCATE_NONE;
  if (call->locate_path != NULL)
    return CAB_LOCATE_REDIRECT;
  return call->has_urls ? CAB_LOCATE_LIST : CAB_LOCATE_NONE;
}

char *cab_api_locate_path (const CabScope *scope, guint way, const char *cab_id) {
  const CabWay *call = cab_api_way (scope, way);
  g_return_val_if_fail (call != NULL && call->locate_path != NULL, NULL);
  GString *path = g_string_new (call->locate_path);
  append_application (path, scope);
  append_parameter (path, call->locate_key, cab_id);
  return g_string_free (path, FALSE);
}

gboolean cab_api_has_stacktrace (const CabScope *scope) {
  const CabFamily *family = cab_family_find (scope->family);
  return family != NULL && family->stacktrace_path != NULL && scope->failure != NULL;
}

char *cab_api_stacktrace_path (const CabScope *scope, const char *cab_id) {
  g_return_val_if_fail (cab_api_has_stacktrace (scope), NULL);
  const CabFamily *family = cab_family_find (scope->family);
  GString *path = g_string_new (family->stacktrace_path);
  append_application (path, scope);
  append_parameter (path, family->stacktrace_key, cab_id);
  return g_string_free (path, FALSE);
}

/* --- rows ---------------------------------------------------------------------------------------------------- */

static gboolean is_among (const char *name, const char *const *names) {
  for (; *names != NULL; names++)
    if (g_ascii_strcasecmp (name, *names) == 0)
      return TRUE;
  return FALSE;
}

static gint64 get_time (json_t *row, const char *key) {
  return cab_time_parse (cab_json_text (cab_json_get (row, key)));
}

/* The key of @row, and under which name it was; NULL if it has none. */
static char *get_id (json_t *row, const char *const *names, const char **found) {
  for (; *names != NULL; names++) {
    char *id = cab_json_get_text (row, *names);
    *found = *names;
    if (id != NULL)
      return id;
  }
  return NULL;
}

/* TRUE if the row says itself that it answers another question. */
static gboolean is_foreign (const CabScope *scope, json_t *row) {
  g_autofree char *application = cab_json_get_text (row, "applicationId");
  g_autofree char *failure = cab_json_get_text (row, "failureHash");
  gboolean echoes = scope->application != NULL && cab_family_has_application (cab_family_find (scope->family));
  if (echoes && application != NULL && g_strcmp0 (application, scope->application) != 0)
    return TRUE;
  return scope->failure != NULL && failure != NULL && g_ascii_strcasecmp (failure, scope->failure) != 0;
}

/* Name, value, name, value, …, NULL; they live as long as @row. */
static GPtrArray *collect_fields (const CabWay *call, json_t *row, const char *id_name, gboolean downloadable) {
  GPtrArray *fields = g_ptr_array_new ();
  const char *name;
  json_t *value;
  json_object_foreach (row, name, value) {
    const char *text = cab_json_text (value);
    if (text == NULL || g_ascii_strcasecmp (name, id_name) == 0 || is_among (name, call->drop))
      continue;
    if (downloadable && g_ascii_strcasecmp (name, "cabDownloadable") == 0)
      continue;
    g_ptr_array_add (fields, (gpointer) (guintptr) name);
    g_ptr_array_add (fields, (gpointer) (guintptr) text);
  }
  g_ptr_array_add (fields, NULL);
  return fields;
}

/* TRUE if the row was new. */
static gboolean read_row (const CabScope *scope, const CabWay *call, json_t *row, CabRecordsBuilder *builder) {
  const char *id_name = NULL;
  g_autofree char *id = get_id (row, call->ids, &id_name);
  if (id == NULL || is_foreign (scope, row)) {
    cab_records_builder_skip (builder);
    return FALSE;
  }
  gboolean downloadable = cab_json_get_bool (row, "cabDownloadable", TRUE);
  g_autofree char *url = call->count == NULL ? cab_json_get_text (row, "cabUrl") : NULL;
  g_autoptr (GPtrArray) fields = collect_fields (call, row, id_name, downloadable);
  const CabRecord record = {
      .id = id,
      .url = url,
      .date = get_time (row, "date"),
      .expires = get_time (row, "cabExpirationTime"),
      .downloadable = downloadable && (url != NULL || !call->has_urls),
  };
  return cab_records_builder_add (builder, &record, (const char *const *) fields->pdata, call->count);
}

/* Returns the number of those that were new. */
static guint read_rows (const CabScope *scope, const CabWay *call, json_t *rows, CabRecordsBuilder *builder) {
  guint added = 0;
  size_t i;
  json_t *row;
  cab_records_builder_begin_page (builder);
  json_array_foreach (rows, i, row) {
    if (read_row (scope, call, row, builder))
      added++;
  }
  return added;
}

/* --- pages --------------------------------------------------------------------------------------------------- */

/* An error's body has an empty array `data` (contract 11.1): it must not pass for a list without rows. */
static gboolean is_error (json_t *root) {
  static const char *const keys[] = {"code", "error", "statusCode"};
  for (gsize i = 0; i < G_N_ELEMENTS (keys); i++)
    if (cab_json_get (root, keys[i]) != NULL)
      return TRUE;
  return json_array_size (cab_json_get (root, "errors")) > 0;
}

json_t *cab_api_rows (json_t *root, GError **error) {
  json_t *rows = cab_json_get (root, "Value");
  if (rows == NULL && !is_error (root))
    rows = cab_json_get (root, "data");
  if (json_is_array (rows))
    return rows;
  if (!json_is_object (root))
    g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID, "unexpected answer: $ is %s, not an object",
                 cab_json_kind (root));
  else
    g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID, "unexpected answer: $.Value is %s, not an array of rows",
                 cab_json_kind (rows));
  return NULL;
}

static guint64 get_total (json_t *root) {
  g_autofree char *text = cab_json_get_text (root, "TotalCount");
  guint64 total = 0;
  return text != NULL && g_ascii_string_to_unsigned (text, 10, 0, G_MAXUINT64, &total, NULL) ? total : 0;
}

gboolean cab_api_parse_page (const CabScope *scope, guint way, const void *bytes, gsize len,
                             CabRecordsBuilder *builder, CabPage *page, GError **error) {
  const CabWay *call = cab_api_way (scope, way);
  if (call == NULL) {
    g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID, "family \"%s\" has no such list", scope->family);
    return FALSE;
  }
  json_auto_t *root = cab_json_parse (bytes, len, error);
  json_t *rows = root != NULL ? cab_api_rows (root, error) : NULL;
  if (rows == NULL)
    return FALSE;
  g_autofree char *link = cab_api_link (root);
  g_autofree char *next = NULL;
  if (call->top == 0 && link != NULL && (next = cab_api_link_path (call, link, error)) == NULL)
    return FALSE;
  guint n = (guint) json_array_size (rows);
  guint added = builder != NULL ? read_rows (scope, call, rows, builder) : 0;
  gboolean counted = call->top > 0;
  gboolean old = builder != NULL ? added == 0 : n == 0;
  *page = (CabPage){
      .rows = counted ? MIN (n, call->top)
                      : n, /* doubled ones, above what was asked for, do not move the next page */
      .added = added,
      /* The rows of a linked page may all be of applications that are known, and those of the next not. */
      .last = counted ? old || (n < call->top && link == NULL) : n == 0 || next == NULL,
      .surplus = counted && n > call->top ? n - call->top : 0,
      .linked = link != NULL,
      .link_skip = link != NULL ? cab_api_link_skip (link) : CAB_SKIP_UNKNOWN,
      .total = get_total (root),
  };
  if (!page->last)
    page->next = g_steal_pointer (&next);
  return TRUE;
}
