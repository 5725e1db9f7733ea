/* SPDX-License-Identifier: MIT */
#include "cache/unpack_path.h"

/* The piece of text at @from that goes into the path as a whole; moves @from behind what it stands for. */
static const char *next_piece (const char **from, char escaped[4], gsize *len) {
  const char *piece = *from;
  gunichar c = g_utf8_get_char_validated (piece, -1);
  if (c == (gunichar) -1 || c == (gunichar) -2) {
    g_snprintf (escaped, 4, "%%%02X", (guint) (guchar) *piece);
    *from = piece + 1;
    *len = 3;
    return escaped;
  }
  *from = piece + g_unichar_to_utf8 (c, NULL);
  *len = (gsize) (*from - piece);
  return c == '\\' ? "/" : piece;
}

char *cab_unpack_path (const char *bytes, gsize max) {
  GString *path = g_string_new (NULL);
  const char *from = bytes != NULL ? bytes : "";
  while (*from != '\0') {
    char escaped[4];
    gsize len;
    const char *piece = next_piece (&from, escaped, &len);
    if (path->len + len > max)
      break;
    g_string_append_len (path, piece, (gssize) len);
  }
  return g_string_free (path, FALSE);
}
