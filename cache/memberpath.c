/* SPDX-License-Identifier: MIT */
#include "cache/memberpath.h"

#include <string.h>

/* What follows the last dot, with it, is kept if it is no longer: programs go by it. */
#define EXTENSION_MAX 32

#define NO_NAME "unnamed"

static gboolean is_shown (gunichar c) {
  switch (g_unichar_type (c)) {
  case G_UNICODE_CONTROL:
  case G_UNICODE_FORMAT: /* writes from right to left, joins, is not seen */
  case G_UNICODE_LINE_SEPARATOR:
  case G_UNICODE_PARAGRAPH_SEPARATOR:
  case G_UNICODE_SURROGATE:
    return FALSE;
  default:
    return TRUE;
  }
}

/* The length of @text cut to @max bytes, between two characters. */
static gsize cut (const char *text, gsize len, gsize max) {
  if (len <= max)
    return len;
  while (max > 0 && ((guchar) text[max] & 0xc0) == 0x80)
    max--;
  return max;
}

/* Where the extension of a part begins; its end if it has none. */
static gsize extension_of (const char *part, gsize len) {
  const char *dot = memrchr (part, '.', len);
  gsize at = dot == NULL ? len : (gsize) (dot - part);
  return at == 0 || len - at > EXTENSION_MAX ? len : at;
}

/* Appends @part with @infix before its extension, so that all of it has room. */
static void append_part (GString *text, const char *part, gsize len, const char *infix) {
  gsize extension = extension_of (part, len);
  gsize rest = strlen (infix) + len - extension;
  g_string_append_len (text, part, (gssize) cut (part, extension, CAB_MEMBER_PART_SIZE - rest));
  g_string_append (text, infix);
  g_string_append_len (text, part + extension, (gssize) (len - extension));
}

static gboolean leads_nowhere (const char *part, gsize len) {
  return len == 0 || (len <= 2 && memcmp (part, "..", len) == 0);
}

static char *visible (const char *path) {
  g_autofree char *valid = g_utf8_make_valid (path, -1);
  GString *text = g_string_new (NULL);
  for (char *p = valid; *p != '\0'; p = g_utf8_next_char (p)) {
    gunichar c = g_utf8_get_char (p);
    g_string_append_unichar (text, is_shown (c) ? c : '_');
  }
  return g_string_free (text, FALSE);
}

char *cab_member_path_clean (const char *path) {
  g_autofree char *text = visible (path);
  /* Ends of parts, from the last one on. */
  const char *starts[CAB_MEMBER_DEPTH];
  gsize lengths[CAB_MEMBER_DEPTH];
  guint count = 0;
  for (const char *end = text + strlen (text); end > text && count < CAB_MEMBER_DEPTH;) {
    const char *slash = memrchr (text, '/', (gsize) (end - text));
    const char *start = slash != NULL ? slash + 1 : text;
    gsize len = (gsize) (end - start);
    if (!leads_nowhere (start, len)) {
      starts[count] = start;
      lengths[count++] = len;
    }
    end = slash != NULL ? slash : text;
  }
  if (count == 0)
    return g_strdup (NO_NAME);
  GString *clean = g_string_new (NULL);
  while (count-- > 0) {
    append_part (clean, starts[count], lengths[count], "");
    if (count > 0)
      g_string_append_c (clean, '/');
  }
  return g_string_free (clean, FALSE);
}

char *cab_member_path_variant (const char *path, guint n) {
  const char *slash = strrchr (path, '/');
  const char *part = slash != NULL ? slash + 1 : path;
  char infix[16];
  g_snprintf (infix, sizeof infix, "~%u", n);
  GString *text = g_string_new_len (path, part - path);
  append_part (text, part, strlen (part), infix);
  return g_string_free (text, FALSE);
}
