/* The form of a list's answer: envelope, next link, and all faults that bend it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/emulator/api.h"
#include "tests/emulator/dates.h"
#include <string.h>

void emu_shape_query (EmuQuery *query) {
  const EmuFault *paging = emu_request_fault (query->request, EMU_FAULT_PAGING);
  guint64 rows = (guint64) MAX (emu_fault_int (paging, "rows", 1), 1);
  if (emu_fault_is (paging, "form", "skip-ignored"))
    query->skip = 0;
  else if (emu_fault_is (paging, "form", "overlap"))
    query->overlap = rows;
  else if (emu_fault_is (paging, "form", "short"))
    query->top = MIN (query->top, rows);
}

/* --- rows --------------------------------------------------------------------------------------------------- */

static void repeat_rows (const EmuQuery *query, json_t **rows) {
  if (!emu_fault_is (emu_request_fault (query->request, EMU_FAULT_PAGING), "form", "repeat"))
    return;
  json_t *twice = json_array ();
  for (size_t i = 0; i < json_array_size (*rows); i++) {
    json_array_append (twice, json_array_get (*rows, i));
    json_array_append_new (twice, json_deep_copy (json_array_get (*rows, i)));
  }
  json_decref (*rows);
  *rows = twice;
}

/* A row like the first with another identifier; NULL: without. */
static json_t *row_with (const EmuQuery *query, json_t *rows, json_t *id) {
  json_t *first = json_array_get (rows, 0);
  json_t *row = first != NULL ? json_deep_copy (first) : json_object ();
  if (id != NULL)
    json_object_set_new (row, query->call->key, id);
  else
    json_object_del (row, query->call->key);
  return row;
}

static void add_hostile_rows (const EmuQuery *query, json_t *rows) {
  static const char *const hostile[] = {"",    ".",    "..",          "../x",  "/etc/passwd", ".hidden", "a/b",
                                        "a b", "a\nb", "caf\xc3\xa9", "a%2fb", "a\\b",        "-",       "a:b"};
  if (emu_request_fault (query->request, EMU_FAULT_IDENTIFIERS) == NULL)
    return;
  g_autofree char *long_id = g_strnfill (300, 'a');
  g_autoptr (GPtrArray) more = g_ptr_array_new ();
  for (guint i = 0; i < G_N_ELEMENTS (hostile); i++)
    g_ptr_array_add (more, row_with (query, rows, json_string (hostile[i])));
  g_ptr_array_add (more, row_with (query, rows, json_stringn ("nul\0byte", 8)));
  g_ptr_array_add (more, row_with (query, rows, json_string (long_id)));
  g_ptr_array_add (more, row_with (query, rows, json_null ()));
  g_ptr_array_add (more, row_with (query, rows, json_true ()));
  g_ptr_array_add (more, row_with (query, rows, json_array ()));
  g_ptr_array_add (more, row_with (query, rows, NULL));
  for (guint i = 0; i < more->len; i++)
    json_array_insert_new (rows, 0, more->pdata[i]);
}

static void add_foreign_row (const EmuQuery *query, json_t *rows) {
  const EmuFault *fault = emu_request_fault (query->request, EMU_FAULT_FOREIGN_ROWS);
  const char *field = emu_fault_text (fault, "field");
  if (fault == NULL)
    return;
  json_t *row = row_with (query, rows, json_string ("f0f0f0f0-0000-4000-8000-00000000f0f0"));
  json_object_set_new (row, field != NULL ? field : "applicationId", json_string ("99999999999999999"));
  json_array_insert_new (rows, 0, row);
}

static const struct {
  const char *name;
  EmuDateForm form;
} date_forms[] = {
    {"blank", EMU_DATE_BLANK}, {"day", EMU_DATE_DAY},           {"slashes", EMU_DATE_SLASHES},
    {"us", EMU_DATE_US},       {"us-short", EMU_DATE_US_SHORT}, {"t", EMU_DATE_T},
    {"z", EMU_DATE_Z},         {"fraction", EMU_DATE_FRACTION}, {"offset", EMU_DATE_OFFSET},
};

static void change_date (json_t *row, const char *name, const char *form) {
  json_t *value = json_object_get (row, name);
  gint64 seconds;
  if (value == NULL || !emu_date_parse (json_string_value (value), &seconds, NULL))
    return;
  if (strcmp (form, "missing") == 0)
    json_object_del (row, name);
  else if (strcmp (form, "nonsense") == 0)
    json_object_set_new (row, name, json_string ("2026-13-45 99:99"));
  for (guint i = 0; i < G_N_ELEMENTS (date_forms); i++) {
    if (strcmp (date_forms[i].name, form) != 0)
      continue;
    g_autofree char *text = emu_date_text (seconds, date_forms[i].form);
    json_object_set_new (row, name, json_string (text));
  }
}

/* A number that no integer holds, as a text that unquote() makes a number of. */
#define BIG "@number:"

static gboolean is_big (const char *digits) {
  return strlen (digits) >= 19 && strlen (digits) <= 20 && digits[0] != '0' &&
         digits[strspn (digits, "0123456789")] == '\0';
}

static char *unquote (const char *json) {
  if (strstr (json, BIG) == NULL)
    return g_strdup (json);
  g_autoptr (GRegex) regex = g_regex_new ("\"" BIG "(\\d+)\"", 0, 0, NULL);
  return g_regex_replace (regex, json, -1, 0, "\\1", 0, NULL);
}

/* Numbers become texts or get a fraction; texts of digits become numbers. */
static void change_numbers (json_t *row, const char *how) {
  const char *key;
  json_t *value;
  g_autoptr (GPtrArray) keys = g_ptr_array_new ();
  json_object_foreach (row, key, value) g_ptr_array_add (keys, (gpointer) (guintptr) key);
  for (guint i = 0; i < keys->len; i++) {
    value = json_object_get (row, keys->pdata[i]);
    gint64 number;
    if (json_is_number (value) && strcmp (how, "fraction") == 0) {
      json_object_set_new (row, keys->pdata[i], json_real (json_number_value (value) + 0.142857));
    } else if (json_is_number (value)) {
      g_autofree char *text = json_is_integer (value)
                                  ? g_strdup_printf ("%" JSON_INTEGER_FORMAT, json_integer_value (value))
                                  : g_strdup_printf ("%.0f", json_number_value (value));
      json_object_set_new (row, keys->pdata[i], json_string (text));
    } else if (strcmp (how, "string") == 0 && json_is_string (value) &&
               g_ascii_string_to_signed (json_string_value (value), 10, 0, G_MAXINT64, &number, NULL)) {
      json_object_set_new (row, keys->pdata[i], json_integer (number));
    } else if (strcmp (how, "string") == 0 && json_is_string (value) && is_big (json_string_value (value))) {
      g_autofree char *marked = g_strconcat (BIG, json_string_value (value), NULL);
      json_object_set_new (row, keys->pdata[i], json_string (marked));
    }
  }
}

static void change_types (const EmuQuery *query, json_t *row, const EmuFault *fault) {
  const char *numbers = emu_fault_text (fault, "numbers"), *null = emu_fault_text (fault, "null");
  json_t *id = json_object_get (row, query->call->key);
  if (json_is_true (emu_fault_arg (fault, "blanks")) && json_is_string (id)) {
    g_autofree char *padded = g_strconcat (json_string_value (id), "  ", NULL);
    json_object_set_new (row, query->call->key, json_string (padded));
  }
  if (null != NULL)
    json_object_set_new (row, null, json_null ());
  if (numbers != NULL)
    change_numbers (row, numbers);
  if (json_is_true (emu_fault_arg (fault, "unknown"))) {
    json_object_set_new (row, "praid", json_string ("App"));
    json_object_set_new (row, "somethingNew", json_pack ("{s:[i,n,b]}", "nested", 1, 1));
  }
}

static char *recase (const char *key, const char *how) {
  if (strcmp (how, "lower") == 0)
    return g_ascii_strdown (key, -1);
  char *text = strcmp (how, "upper") == 0 ? g_ascii_strup (key, -1) : g_strdup (key);
  if (strcmp (how, "title") == 0)
    text[0] = g_ascii_toupper (text[0]);
  return text;
}

/* A copy of @object with its own keys in another case; takes the reference. */
static json_t *recase_object (json_t *object, const char *how) {
  json_t *other = json_object (), *value;
  const char *key;
  json_object_foreach (object, key, value) {
    g_autofree char *changed = recase (key, how);
    json_object_set (other, changed, value);
  }
  json_decref (object);
  return other;
}

static json_t *recase_envelope (json_t *envelope, const char *how) {
  json_t *links = json_object_get (envelope, "links");
  if (how == NULL)
    return envelope;
  for (size_t i = 0; i < json_array_size (links); i++)
    json_array_set_new (links, i, recase_object (json_incref (json_array_get (links, i)), how));
  return recase_object (envelope, how);
}

static json_t *shape_rows (const EmuQuery *query, json_t *rows) {
  static const char *const dates[] = {"date", "cabExpirationTime", "insightDate", "firstPublishedDate"};
  EmuRequest *request = query->request;
  const EmuFault *types = emu_request_fault (request, EMU_FAULT_TYPES);
  const char *form = emu_fault_text (emu_request_fault (request, EMU_FAULT_DATES), "form");
  const char *casing = emu_fault_text (emu_request_fault (request, EMU_FAULT_CASING), "rows");
  repeat_rows (query, &rows);
  add_hostile_rows (query, rows);
  add_foreign_row (query, rows);
  for (size_t i = 0; i < json_array_size (rows); i++) {
    json_t *row = json_array_get (rows, i);
    if (form != NULL) {
      for (guint n = 0; n < G_N_ELEMENTS (dates); n++)
        change_date (row, dates[n], form);
    }
    if (types != NULL)
      change_types (query, row, types);
    if (casing != NULL)
      json_array_set_new (rows, i, recase_object (json_incref (row), casing));
  }
  return rows;
}

/* --- the next link ------------------------------------------------------------------------------------------ */

static void append_param (GString *link, const char *name, const char *value, gboolean encoded) {
  if (value == NULL)
    return;
  g_string_append_printf (link, "%c%s=", strchr (link->str, '?') == NULL ? '?' : '&', name);
  if (encoded)
    g_string_append_uri_escaped (link, value, NULL, FALSE);
  else
    g_string_append (link, value);
}

static void append_dates (GString *link, const EmuQuery *query, gboolean encoded) {
  g_autofree char *from = emu_date_text (query->from, EMU_DATE_SLASHES);
  g_autofree char *to = emu_date_text (query->to, EMU_DATE_SLASHES);
  if (!emu_words_have (query->call->optional, "startDate"))
    return;
  append_param (link, "startDate", from, encoded);
  append_param (link, "endDate", to, encoded);
}

/* As in the documented samples: dates with slashes, everything else as it was asked. */
static char *link_to (const EmuQuery *query, guint64 skip, gboolean encoded) {
  const EmuCall *call = query->call;
  GString *link = g_string_new (NULL);
  g_autofree char *top = g_strdup_printf ("%" G_GUINT64_FORMAT, query->top);
  g_autofree char *skip_text = g_strdup_printf ("%" G_GUINT64_FORMAT, skip);
  g_string_append_printf (link, "%s%s", call->prefix, call->name);
  append_param (link, "applicationId", query->application, encoded);
  append_param (link, "failureHash", query->failure, encoded);
  append_dates (link, query, encoded);
  append_param (link, "top", emu_words_have (call->optional, "top") ? top : NULL, encoded);
  append_param (link, call->skip_name != NULL ? call->skip_name : "skip", skip_text, encoded);
  append_param (link, "filter", emu_request_param (query->request, "filter"), encoded);
  append_param (link, "groupby", query->groupby, encoded);
  append_param (link, "orderby", query->orderby, encoded);
  append_param (link, "aggregationLevel", query->level, encoded);
  return g_string_free (link, FALSE);
}

/* The link in the form a fault wants; NULL: no key at all. */
static json_t *link_json (const EmuQuery *query, const char *form, guint64 skip) {
  const EmuCall *call = query->call;
  g_autofree char *link = link_to (query, skip, TRUE);
  g_autofree char *made = NULL;
  if (form == NULL && (call->end & EMU_END_LINKS) != 0)
    made = g_strconcat (EMU_HARDWARE_API "/api/v1/", link, NULL);
  else if (form == NULL || strcmp (form, "relative") == 0)
    made = g_steal_pointer (&link);
  else if (strcmp (form, "null") == 0)
    return json_null ();
  else if (strcmp (form, "absent") == 0)
    return NULL;
  else if (strcmp (form, "absolute") == 0)
    made = g_strconcat (query->request->emu->urls[EMU_HOST_API], call->base, link, NULL);
  else if (strcmp (form, "foreign") == 0)
    made = g_strconcat ("https://evil.example.invalid", call->base, link, NULL);
  else if (strcmp (form, "unencoded") == 0)
    made = link_to (query, skip, FALSE);
  else if (strcmp (form, "malformed") == 0)
    made = g_strconcat (call->prefix, call->name, "?applicationId 1&&=%zz&skip", NULL);
  return json_string (made != NULL ? made : "");
}

static void set_link (const EmuQuery *query, json_t *envelope, json_t *link) {
  if ((query->call->end & EMU_END_LINKS) == 0) {
    if (link != NULL)
      json_object_set_new (envelope, "@nextLink", link);
    return;
  }
  json_t *links = json_pack ("[{s:s, s:s, s:s}]", "href", EMU_HARDWARE_API "/api/v1/hardware/products", "rel",
                             "self", "method", "GET");
  if (link != NULL)
    json_array_append_new (links,
                           json_pack ("{s:o, s:s, s:s}", "href", link, "rel", "next_link", "method", "GET"));
  json_object_set_new (envelope, "links", links);
}

static void add_link (const EmuQuery *query, json_t *envelope, gsize rows, guint64 total) {
  const EmuFault *fault = emu_request_fault (query->request, EMU_FAULT_NEXT_LINK);
  guint64 next = query->skip + rows;
  json_t *link = NULL;
  if (next < total || json_is_true (emu_fault_arg (fault, "last")))
    link = link_json (query, emu_fault_text (fault, "form"), next);
  else if (fault == NULL && (query->call->end & EMU_END_NULL) != 0)
    link = json_null ();
  else if (fault == NULL && (query->call->end & EMU_END_EMPTY) != 0)
    link = json_string ("");
  set_link (query, envelope, link);
}

/* --- the answer --------------------------------------------------------------------------------------------- */

static EmuReply *send_json (const EmuQuery *query, json_t *envelope) {
  const EmuFault *types = emu_request_fault (query->request, EMU_FAULT_TYPES);
  char *dumped = json_dumps (envelope, JSON_COMPACT);
  g_autofree char *json = unquote (dumped);
  g_autofree char *body =
      g_strconcat (json_is_true (emu_fault_arg (types, "bom")) ? "\xef\xbb\xbf" : "", json, NULL);
  EmuReply *reply = emu_reply_new (200);
  emu_reply_text (reply, "application/json; charset=utf-8", body);
  free (dumped);
  return reply;
}

EmuReply *emu_shape_answer (const EmuQuery *query, json_t *rows, guint64 total) {
  const EmuFault *casing = emu_request_fault (query->request, EMU_FAULT_CASING);
  gboolean lower = (query->call->end & EMU_END_LOWER) != 0;
  gsize count = json_array_size (rows);
  json_t *envelope = json_object ();
  json_object_set_new (envelope, lower ? "value" : "Value", shape_rows (query, rows));
  add_link (query, envelope, count, total);
  if ((query->call->end & EMU_END_TOTAL) != 0)
    json_object_set_new (envelope, lower ? "totalCount" : "TotalCount", json_integer ((json_int_t) total));
  envelope = recase_envelope (envelope, emu_fault_text (casing, "envelope"));
  EmuReply *reply = send_json (query, envelope);
  json_decref (envelope);
  return reply;
}
