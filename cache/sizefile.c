/* SPDX-License-Identifier: MIT */
#include "cache/sizefile.h"

#include <string.h>

#define CHECK_LEN 8

void cab_sizefile_append (GString *text, const char *id, guint64 size, const char *md5) {
  gsize start = text->len;
  g_string_append_printf (text, "%s %" G_GUINT64_FORMAT " %s", id, size,
                          md5 != NULL && *md5 != '\0' ? md5 : "-");
  g_autofree char *check =
      g_compute_checksum_for_data (G_CHECKSUM_MD5, (const guchar *) text->str + start, text->len - start);
  g_string_append_printf (text, " %.*s\n", CHECK_LEN, check);
}

static gboolean is_md5 (const char *text) {
  return strlen (text) == 32 && strspn (text, "0123456789abcdef") == 32;
}

static gboolean parse_line (char *line, CabSizeLine func, gpointer data) {
  char *check = strrchr (line, ' ');
  if (check == NULL)
    return FALSE;
  *check++ = '\0';
  g_autofree char *expected = g_compute_checksum_for_string (G_CHECKSUM_MD5, line, -1);
  if (strlen (check) != CHECK_LEN || strncmp (check, expected, CHECK_LEN) != 0)
    return FALSE;
  g_auto (GStrv) words = g_strsplit (line, " ", 3);
  guint64 size;
  if (g_strv_length (words) != 3 || *words[0] == '\0' ||
      !g_ascii_string_to_unsigned (words[1], 10, 0, G_MAXINT64, &size, NULL) ||
      !(strcmp (words[2], "-") == 0 || is_md5 (words[2])))
    return FALSE;
  func (data, words[0], size, *words[2] == '-' ? NULL : words[2]);
  return TRUE;
}

guint cab_sizefile_parse (const char *text, gsize len, CabSizeLine func, gpointer data) {
  guint bad = 0;
  for (gsize at = 0; at < len;) { /* of an empty file there may be no text at all */
    const char *newline = memchr (text + at, '\n', len - at);
    gsize line_len = newline != NULL ? (gsize) (newline - text) - at : len - at;
    g_autofree char *line = g_strndup (text + at, line_len);
    if (line_len > 0 && (newline == NULL || strlen (line) != line_len || !parse_line (line, func, data)))
      bad++;
    at += line_len + 1;
  }
  return bad;
}
