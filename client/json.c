/* SPDX-License-Identifier: MIT */
#include "client/json.h"

#include "client/error.h"

#include <stdlib.h>
#include <string.h>

/* --- numbers ------------------------------------------------------------------------------------------------- */

static gsize skip_digits (const char *p, gsize len, gsize i) {
  while (i < len && g_ascii_isdigit (p[i]))
    i++;
  return i;
}

/* Length of the number at @p by the grammar of RFC 8259; 0 if there is none: jansson will complain of it. */
static gsize measure_number (const char *p, gsize len) {
  gsize i = len > 0 && p[0] == '-' ? 1 : 0;
  gsize digits = i;
  i = skip_digits (p, len, i);
  if (i == digits || (p[digits] == '0' && i > digits + 1))
    return 0;
  if (i < len && p[i] == '.') {
    digits = i + 1;
    i = skip_digits (p, len, digits);
    if (i == digits)
      return 0;
  }
  if (i < len && (p[i] == 'e' || p[i] == 'E')) {
    digits = i + 1;
    if (digits < len && (p[digits] == '+' || p[digits] == '-'))
      digits++;
    i = skip_digits (p, len, digits);
    if (i == digits)
      return 0;
  }
  return i;
}

/* Length of what should have been a number: none of its tails is looked at as one, of which there may be millions. */
static gsize measure_debris (const char *p, gsize len) {
  gsize i = 1;
  while (i < len && (g_ascii_isdigit (p[i]) || p[i] == '.' || p[i] == '-'))
    i++;
  return i;
}

/* Length of the string at @p, with its quotes; up to the end if it has none. */
static gsize measure_string (const char *p, gsize len) {
  gsize i = 1;
  while (i < len && p[i] != '"')
    i += p[i] == '\\' ? 2 : 1;
  return MIN (i + 1, len);
}

/* A key must be a string in the text as well: a number before ':' is left as it is. */
static gboolean is_key (const char *p, gsize len) {
  gsize i = 0;
  while (i < len && g_ascii_isspace (p[i]))
    i++;
  return i < len && p[i] == ':';
}

static void append (GString *out, const char *p, gsize len, gboolean quoted) {
  if (quoted)
    g_string_append_c (out, '"');
  g_string_append_len (out, p, (gssize) len);
  if (quoted)
    g_string_append_c (out, '"');
}

/* Copies @p to @out with numbers in quotes, until @out has @stop bytes; returns how much of @p that took. */
static gsize quote_numbers (const char *p, gsize len, GString *out, gsize stop) {
  gsize i = 0;
  while (i < len && out->len < stop) {
    gsize n = 1;
    gboolean number = FALSE;
    if (p[i] == '"') {
      n = measure_string (p + i, len - i);
    } else if (p[i] == '-' || g_ascii_isdigit (p[i])) {
      n = measure_number (p + i, len - i);
      number = n > 0 && !is_key (p + i + n, len - i - n);
      if (n == 0)
        n = measure_debris (p + i, len - i);
    }
    append (out, p + i, n, number);
    i += n;
  }
  return i;
}

/* --- parsing ------------------------------------------------------------------------------------------------- */

/* jansson's words without the piece of the text that it quotes. */
static void set_error (GError **error, const json_error_t *fault, gsize byte) {
  const char *near = strstr (fault->text, " near '");
  int len = (int)(near != NULL ? (gsize)(near - fault->text) : strlen (fault->text));
  g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID, "not JSON: %.*s (about byte %" G_GSIZE_FORMAT ")", len,
               fault->text, byte);
}

json_t *cab_json_parse (const void *bytes, gsize len, GError **error) {
  const char *text = len > 0 ? bytes : "";
  gsize mark = len >= 3 && memcmp (text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
  g_autoptr (GString) quoted = g_string_sized_new (len + len / 8);
  quote_numbers (text + mark, len - mark, quoted, G_MAXSIZE);
  if (quoted->str[strspn (quoted->str, " \t\r\n")] == '\0') {
    g_set_error_literal (error, CAB_ERROR, CAB_ERROR_INVALID, "not JSON: nothing there");
    return NULL;
  }
  json_error_t fault;
  json_t *value = json_loadb (quoted->str, quoted->len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &fault);
  if (value == NULL) {
    gsize place = (gsize)MAX (fault.position, 0);
    g_string_truncate (quoted, 0);
    set_error (error, &fault, mark + quote_numbers (text + mark, len - mark, quoted, place));
  }
  return value;
}

/* --- reading ------------------------------------------------------------------------------------------------- */

static json_t *find (json_t *object, const char *key) {
  json_t *value = json_object_get (object, key);
  if (value != NULL)
    return value;
  const char *name;
  json_object_foreach (object, name, value) {
    if (g_ascii_strcasecmp (name, key) == 0)
      return value;
  }
  return NULL;
}

json_t *cab_json_get (json_t *object, const char *key) {
  json_t *value = json_is_object (object) ? find (object, key) : NULL;
  return json_is_null (value) ? NULL : value;
}

const char *cab_json_text (json_t *value) {
  if (json_is_boolean (value))
    return json_is_true (value) ? "true" : "false";
  if (!json_is_string (value) || strlen (json_string_value (value)) != json_string_length (value))
    return NULL;
  return json_string_value (value);
}

char *cab_json_get_text (json_t *object, const char *key) {
  const char *text = cab_json_text (cab_json_get (object, key));
  if (text == NULL)
    return NULL;
  g_autofree char *stripped = g_strstrip (g_strdup (text));
  return *stripped != '\0' ? g_steal_pointer (&stripped) : NULL;
}

gboolean cab_json_get_bool (json_t *object, const char *key, gboolean fallback) {
  g_autofree char *text = cab_json_get_text (object, key);
  if (text == NULL)
    return fallback;
  if (g_ascii_strcasecmp (text, "true") == 0 || strcmp (text, "1") == 0)
    return TRUE;
  if (g_ascii_strcasecmp (text, "false") == 0 || strcmp (text, "0") == 0)
    return FALSE;
  return fallback;
}

char *cab_json_quote (const char *text) {
  json_auto_t *value = json_string (text);
  char *dump = json_dumps (value, JSON_ENCODE_ANY); /* not GLib's memory */
  char *copy = g_strdup (dump != NULL ? dump : "\"\"");
  free (dump);
  return copy;
}

const char *cab_json_kind (json_t *value) {
  if (value == NULL)
    return "nothing";
  switch (json_typeof (value)) {
  case JSON_OBJECT:
    return "an object";
  case JSON_ARRAY:
    return "an array";
  case JSON_STRING:
    return "a string or number";
  case JSON_TRUE:
  case JSON_FALSE:
    return "a boolean";
  case JSON_NULL:
  case JSON_INTEGER:
  case JSON_REAL:
  default:
    return "null";
  }
}
