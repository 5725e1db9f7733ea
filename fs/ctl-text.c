/* SPDX-License-Identifier: MIT */
#include "fs/ctl-text.h"

#include <string.h>

#define ELLIPSIS "..."

/* GLib's own casts the const away. */
static const char *next_char (const char *p) {
  return p + g_utf8_skip[(guchar) *p];
}

static void append_octal (GString *text, const char *bytes, gsize len) {
  for (gsize i = 0; i < len; i++)
    g_string_append_printf (text, "\\%03o", (guint) (guchar) bytes[i]);
}

static void append_character (GString *text, const char *bytes, gsize len, gunichar c, gboolean utf8) {
  if (c == '\n')
    g_string_append (text, "\\n");
  else if (c == '\t')
    g_string_append (text, "\\t");
  else if (c == '\\')
    g_string_append (text, "\\\\");
  else if (g_unichar_isprint (c) && (c < 0x80 || utf8))
    g_string_append_len (text, bytes, (gssize) len);
  else
    append_octal (text, bytes, len);
}

char *cab_ctl_quote (const char *name) {
  gboolean utf8 = g_get_charset (NULL);
  GString *text = g_string_new (NULL);
  for (const char *p = name; *p != '\0';) {
    gunichar c = g_utf8_get_char_validated (p, -1);
    gboolean valid = c != (gunichar) -1 && c != (gunichar) -2;
    gsize len = valid ? (gsize) (next_char (p) - p) : 1;
    if (valid)
      append_character (text, p, len, c, utf8);
    else
      append_octal (text, p, 1);
    p += len;
  }
  return g_string_free (text, FALSE);
}

char *cab_ctl_duration (guint64 seconds) {
  guint64 hours = seconds / 3600;
  guint minutes = (guint) (seconds / 60 % 60), rest = (guint) (seconds % 60);
  if (hours > 0)
    return g_strdup_printf ("%" G_GUINT64_FORMAT ":%02u:%02u", hours, minutes, rest);
  return g_strdup_printf ("%u:%02u", minutes, rest);
}

char *cab_ctl_bar (guint64 part, guint64 whole, guint width) {
  guint room = width > 2 ? width - 2 : 0;
  double share = whole > 0 ? (double) MIN (part, whole) / (double) whole : part == 0 ? 1 : 0;
  guint full = (guint) (share * room);
  char *bar = g_malloc ((gsize) room + 3);
  bar[0] = '[';
  memset (bar + 1, '#', full);
  memset (bar + 1 + full, '-', room - full);
  bar[room + 1] = ']';
  bar[room + 2] = '\0';
  return bar;
}

static guint columns_of (gunichar c) {
  if (g_unichar_iszerowidth (c))
    return 0;
  return g_unichar_iswide (c) ? 2 : 1;
}

guint cab_ctl_columns (const char *text) {
  guint columns = 0;
  for (const char *p = text; *p != '\0'; p = next_char (p))
    columns += columns_of (g_utf8_get_char (p));
  return columns;
}

/* The longest beginning of @text that fits into @columns. */
static const char *end_of_fit (const char *text, guint columns) {
  const char *p = text;
  for (guint used = 0; *p != '\0'; p = next_char (p)) {
    used += columns_of (g_utf8_get_char (p));
    if (used > columns)
      break;
  }
  return p;
}

char *cab_ctl_fit (const char *text, guint columns, gboolean keep_start) {
  guint all = cab_ctl_columns (text);
  if (all <= columns)
    return g_strdup (text);
  guint room = columns > strlen (ELLIPSIS) ? columns - (guint) strlen (ELLIPSIS) : 0;
  if (room == 0)
    return g_strndup (text, (gsize) (end_of_fit (text, columns) - text));
  if (keep_start) {
    g_autofree char *start = g_strndup (text, (gsize) (end_of_fit (text, room) - text));
    return g_strconcat (start, ELLIPSIS, NULL);
  }
  const char *from = end_of_fit (text, all - room);
  while (cab_ctl_columns (from) > room)
    from = next_char (from);
  return g_strconcat (ELLIPSIS, from, NULL);
}
