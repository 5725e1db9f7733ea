/* The stack trace of a CAB as text: api-contract.md 4.3 and 8.1.
 *
 * SPDX-License-Identifier: MIT
 */
#include "client/api_family.h"
#include "client/error.h"

#include <string.h>

/* Levels have so many digits at most: more is no level of a stack. */
#define LEVEL_DIGITS 9

typedef struct {
  guint level;
  guint place; /* in the answer */
  json_t *row; /* borrowed */
} Frame;

/* What the services write for a function that they do not know, besides nothing at all. */
static gboolean is_unknown (const char *text) {
  return text == NULL || g_ascii_strcasecmp (text, "null") == 0;
}

static char *get_word (json_t *row, const char *key) {
  g_autofree char *text = cab_json_get_text (row, key);
  return is_unknown (text) ? NULL : g_steal_pointer (&text);
}

static guint level_of (json_t *row, guint place) {
  g_autofree char *text = cab_json_get_text (row, "level");
  gsize len = text != NULL ? strlen (text) : 0;
  gboolean counts = len > 0 && len <= LEVEL_DIGITS && strspn (text, "0123456789") == len;
  return counts ? (guint) g_ascii_strtoull (text, NULL, 10) : place;
}

/* TRUE if the row says where anything is. */
static gboolean is_frame (json_t *row) {
  g_autofree char *image = get_word (row, "image");
  g_autofree char *function = get_word (row, "function");
  g_autofree char *offset = get_word (row, "offset");
  return image != NULL || function != NULL || offset != NULL;
}

static GArray *collect_frames (json_t *rows) {
  GArray *frames = g_array_new (FALSE, FALSE, sizeof (Frame));
  size_t i;
  json_t *row;
  json_array_foreach (rows, i, row) {
    if (!is_frame (row))
      continue;
    const Frame frame = {level_of (row, (guint) i), (guint) i, row};
    g_array_append_val (frames, frame);
  }
  return frames;
}

/* By level, and those of one level as they came. */
static gint compare_frames (gconstpointer a, gconstpointer b) {
  const Frame *x = a, *y = b;
  if (x->level != y->level)
    return x->level < y->level ? -1 : 1;
  return x->place < y->place ? -1 : x->place > y->place;
}

/* Names come from strangers' machines, and go to terminals. */
static void append_printable (GString *text, char *words) {
  for (char *p = words; *p != '\0'; p = g_utf8_next_char (p)) {
    gunichar c = g_utf8_get_char (p);
    gboolean shows = c == ' ' || (g_unichar_isprint (c) && !g_unichar_isspace (c));
    g_string_append_unichar (text, shows ? c : '?');
  }
}

static void append_frame (GString *text, const Frame *frame) {
  g_autofree char *image = get_word (frame->row, "image");
  g_autofree char *function = get_word (frame->row, "function");
  g_autofree char *offset = get_word (frame->row, "offset");
  g_string_append_printf (text, "#%u ", frame->level);
  if (image != NULL)
    append_printable (text, image);
  else
    g_string_append_c (text, '?');
  if (function != NULL) {
    g_string_append_c (text, '!');
    append_printable (text, function);
  }
  if (offset != NULL) {
    g_string_append_c (text, '+');
    append_printable (text, offset);
  }
  g_string_append (text, cab_json_get_bool (frame->row, "isBlamedFrame", FALSE) ? " (blamed)\n" : "\n");
}

char *cab_api_parse_stacktrace (const void *bytes, gsize len, GError **error) {
  json_auto_t *root = cab_json_parse (bytes, len, error);
  json_t *rows = root != NULL ? cab_api_rows (root, error) : NULL;
  if (rows == NULL)
    return NULL;
  g_autoptr (GArray) frames = collect_frames (rows);
  if (json_array_size (rows) == 0) {
    g_set_error_literal (error, CAB_ERROR, CAB_ERROR_NOT_FOUND, "the service has no stack trace of it");
    return NULL;
  }
  if (frames->len == 0) {
    g_set_error_literal (error, CAB_ERROR, CAB_ERROR_INVALID,
                         "unexpected answer: no row of $.Value is a frame");
    return NULL;
  }
  g_array_sort (frames, compare_frames);
  GString *text = g_string_new (NULL);
  for (guint i = 0; i < frames->len; i++)
    append_frame (text, &g_array_index (frames, Frame, i));
  return g_string_free (text, FALSE);
}
