/* SPDX-License-Identifier: MIT */
#include "client/facts.h"

#include "client/error.h"

#include <string.h>

#define MD5_BYTES 16

/* Reads digits and moves @text behind them.  FALSE if there are none or too many. */
static gboolean take_number (const char **text, guint64 *out) {
  guint64 value = 0;
  const char *c = *text;
  for (; g_ascii_isdigit (*c); c++) {
    guint digit = (guint) (*c - '0');
    if (value > (G_MAXUINT64 - digit) / 10)
      return FALSE;
    value = value * 10 + digit;
  }
  gboolean any = c != *text;
  *text = c;
  *out = value;
  return any;
}

static gboolean take_char (const char **text, char expected) {
  if (**text != expected)
    return FALSE;
  (*text)++;
  return TRUE;
}

static gboolean at_end (const char *text) {
  return text[strspn (text, " \t\r\n")] == '\0';
}

gboolean cab_length_parse (const char *text, guint64 *out) {
  return text != NULL && take_number (&text, out) && at_end (text);
}

gboolean cab_content_range_parse (const char *text, CabContentRange *out) {
  *out = (CabContentRange){0};
  if (text == NULL || g_ascii_strncasecmp (text, "bytes", 5) != 0)
    return FALSE;
  text += 5;
  gsize blanks = strspn (text, " \t");
  text += blanks;
  if (blanks == 0)
    return FALSE;
  out->has_range = *text != '*';
  if (out->has_range &&
      !(take_number (&text, &out->first) && take_char (&text, '-') && take_number (&text, &out->last)))
    return FALSE;
  if (!out->has_range)
    text++;
  if (!take_char (&text, '/'))
    return FALSE;
  out->has_total = *text != '*';
  if (out->has_total ? !take_number (&text, &out->total) : !take_char (&text, '*'))
    return FALSE;
  if (out->has_range && (out->last < out->first || (out->has_total && out->last >= out->total)))
    return FALSE;
  return at_end (text);
}

char *cab_md5_parse (const char *text) {
  if (text == NULL || strlen (text) > 64)
    return NULL;
  gsize len = 0;
  g_autofree guchar *bytes = g_base64_decode (text, &len);
  if (len != MD5_BYTES)
    return NULL;
  GString *hex = g_string_new (NULL);
  for (gsize i = 0; i < len; i++)
    g_string_append_printf (hex, "%02x", bytes[i]);
  return g_string_free (hex, FALSE);
}

gboolean cab_etag_is_strong (const char *etag) {
  gsize len = etag == NULL ? 0 : strlen (etag);
  return len >= 2 && etag[0] == '"' && etag[len - 1] == '"';
}

/* --- the same blob? ----------------------------------------------------------------------------------------- */

void cab_known_clear (CabKnown *self) {
  g_free (self->etag);
  g_free (self->md5);
  *self = (CabKnown){.modified = CAB_TIME_UNKNOWN};
}

CabFacts cab_known_facts (const CabKnown *self) {
  return (CabFacts){.size = self->size, .etag = self->etag, .md5 = self->md5, .modified = self->modified};
}

static gboolean differ (const char *a, const char *b) {
  return a != NULL && b != NULL && strcmp (a, b) != 0;
}

static void take_over (char **mine, const char *theirs) {
  if (*mine == NULL)
    *mine = g_strdup (theirs);
}

gboolean cab_known_agree (CabKnown *self, const CabFacts *facts, GError **error) {
  if (self->known && self->size != facts->size) {
    g_set_error (error, CAB_ERROR, CAB_ERROR_CHANGED,
                 "the blob has %" G_GUINT64_FORMAT " bytes now, and had %" G_GUINT64_FORMAT, facts->size,
                 self->size);
    return FALSE;
  }
  if (differ (self->etag, facts->etag) || differ (self->md5, facts->md5)) {
    g_set_error (error, CAB_ERROR, CAB_ERROR_CHANGED, "the blob was replaced: its ETag is %s now, and was %s",
                 facts->etag != NULL ? facts->etag : "missing", self->etag != NULL ? self->etag : "missing");
    return FALSE;
  }
  if (!self->known)
    self->modified = facts->modified;
  self->known = TRUE;
  self->size = facts->size;
  take_over (&self->etag, facts->etag);
  take_over (&self->md5, facts->md5);
  return TRUE;
}
