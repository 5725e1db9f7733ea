/* SPDX-License-Identifier: MIT */
#include "cache/map.h"

#include "client/error.h"
#include "client/records.h"

#include <string.h>

#define VERSIONS   "cabfs-map "
#define FIRST_LINE VERSIONS "2"
#define SUM_LEN    16

void cab_map_clear (CabMap *self) {
  g_free (self->id);
  g_free (self->owner);
  g_free (self->etag);
  g_free (self->md5);
  g_free (self->born);
  cab_ranges_clear (&self->have);
  cab_sums_clear (&self->sums);
  *self = (CabMap){0};
}

/* Pieces that lie end to end and were cut between two chunks share a line. */
static void format_sums (GString *text, const CabSums *sums) {
  for (guint i = 0; i < sums->count;) {
    guint n = 1;
    while (i + n < sums->count && sums->items[i + n].piece.start == sums->items[i + n - 1].piece.end &&
           sums->items[i + n].piece.start % CAB_SUM_CHUNK == 0)
      n++;
    g_string_append_printf (text, "have %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT, sums->items[i].piece.start,
                            sums->items[i + n - 1].piece.end);
    for (; n > 0; n--)
      g_string_append_printf (text, " %016" G_GINT64_MODIFIER "x", sums->items[i++].sum);
    g_string_append_c (text, '\n');
  }
}

static void format_ranges (GString *text, const CabRanges *have) {
  for (guint i = 0; i < have->count; i++)
    g_string_append_printf (text, "have %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT "\n", have->items[i].start,
                            have->items[i].end);
}

char *cab_map_format (const CabMap *self) {
  GString *text = g_string_new (FIRST_LINE "\n");
  g_string_append_printf (text, "id %s\nowner %s\nsize %" G_GUINT64_FORMAT "\n", self->id, self->owner,
                          self->size);
  if (self->etag != NULL && *self->etag != '\0')
    g_string_append_printf (text, "etag %s\n", self->etag);
  if (self->md5 != NULL && *self->md5 != '\0')
    g_string_append_printf (text, "md5 %s\n", self->md5);
  if (self->modified != CAB_TIME_UNKNOWN)
    g_string_append_printf (text, "modified %" G_GINT64_FORMAT "\n", self->modified);
  g_string_append_printf (text, "file %" G_GUINT64_FORMAT " %s\n", self->inode, self->born);
  if (self->sums.count > 0)
    format_sums (text, &self->sums);
  else
    format_ranges (text, &self->have);
  g_autofree char *sum = g_compute_checksum_for_data (G_CHECKSUM_SHA256, (const guchar *) text->str, text->len);
  g_string_append_printf (text, "sum %s\n", sum);
  return g_string_free (text, FALSE);
}

/* Cuts the "sum" line off @text and checks it: the length of what it covers, or 0. */
static gsize check_sum (const char *text, gsize len) {
  const gsize sum_line = strlen ("sum \n") + 64;
  if (len < sum_line || memchr (text, '\0', len) != NULL)
    return 0;
  gsize covered = len - sum_line;
  g_autofree char *sum = g_compute_checksum_for_data (G_CHECKSUM_SHA256, (const guchar *) text, covered);
  g_autofree char *expected = g_strdup_printf ("sum %s\n", sum);
  return memcmp (text + covered, expected, sum_line) == 0 ? covered : 0;
}

static gboolean parse_number (const char *text, guint64 *out) {
  return g_ascii_string_to_unsigned (text, 10, 0, G_MAXUINT64, out, NULL);
}

static gboolean parse_sum (const char *text, guint64 *out) {
  return strlen (text) == SUM_LEN && g_ascii_string_to_unsigned (text, 16, 0, G_MAXUINT64, out, NULL);
}

/* The sums of @range, a chunk each; or none. */
static gboolean parse_sums (CabMap *self, CabRange range, char *const *words) {
  if (*words == NULL)
    return TRUE;
  for (guint64 at = range.start; at < range.end; words++) {
    CabSum sum = {.piece = {at, MIN (range.end, at - at % CAB_SUM_CHUNK + CAB_SUM_CHUNK)}};
    if (*words == NULL || !parse_sum (*words, &sum.sum))
      return FALSE;
    cab_sums_add (&self->sums, &sum);
    at = sum.piece.end;
  }
  return *words == NULL;
}

/* "start end sum…", behind all ranges before it and within the size. */
static gboolean parse_have (const char *value, CabMap *self) {
  g_auto (GStrv) words = g_strsplit (value, " ", -1);
  CabRange range;
  guint64 last = self->have.count == 0 ? 0 : self->have.items[self->have.count - 1].end;
  if (g_strv_length (words) < 2 || !parse_number (words[0], &range.start) ||
      !parse_number (words[1], &range.end) || range.start < last || range.start >= range.end ||
      range.end > self->size || !parse_sums (self, range, words + 2))
    return FALSE;
  cab_ranges_add (&self->have, range.start, range.end);
  return TRUE;
}

static gboolean parse_file (const char *value, CabMap *self) {
  g_auto (GStrv) words = g_strsplit (value, " ", 2);
  if (g_strv_length (words) != 2 || !parse_number (words[0], &self->inode) || self->born != NULL)
    return FALSE;
  self->born = g_strdup (words[1]);
  return TRUE;
}

static gboolean parse_text (const char *value, char **out) {
  if (*out != NULL || *value == '\0')
    return FALSE;
  *out = g_strdup (value);
  return TRUE;
}

static gboolean parse_line (const char *line, CabMap *self) {
  const char *value = strchr (line, ' ');
  if (value == NULL)
    return FALSE;
  gsize key_len = (gsize) (value++ - line);
  g_autofree char *key = g_strndup (line, key_len);
  if (strcmp (key, "id") == 0)
    return parse_text (value, &self->id);
  if (strcmp (key, "owner") == 0)
    return parse_text (value, &self->owner);
  if (strcmp (key, "size") == 0)
    return parse_number (value, &self->size);
  if (strcmp (key, "etag") == 0)
    return parse_text (value, &self->etag);
  if (strcmp (key, "md5") == 0)
    return parse_text (value, &self->md5);
  if (strcmp (key, "modified") == 0)
    return g_ascii_string_to_signed (value, 10, G_MININT64 + 1, G_MAXINT64, &self->modified, NULL);
  if (strcmp (key, "file") == 0)
    return parse_file (value, self);
  return strcmp (key, "have") == 0 && parse_have (value, self);
}

gboolean cab_map_parse (const char *text, gsize len, CabMap *self, GError **error) {
  gsize covered = check_sum (text, len);
  if (covered == 0) {
    g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID, "its checksum does not fit");
    return FALSE;
  }
  g_auto (CabMap) map = {.modified = CAB_TIME_UNKNOWN};
  g_autofree char *copy = g_strndup (text, covered - 1);
  g_auto (GStrv) lines = g_strsplit (copy, "\n", -1);
  if (lines[0] != NULL && strcmp (lines[0], FIRST_LINE) != 0 && g_str_has_prefix (lines[0], VERSIONS)) {
    g_set_error (error, CAB_ERROR, CAB_ERROR_NOT_FOUND, "it was written by another version of cabfs");
    return FALSE;
  }
  for (guint i = 0; lines[i] != NULL; i++)
    if (i == 0 ? strcmp (lines[i], FIRST_LINE) != 0 : !parse_line (lines[i], &map)) {
      g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID, "line %u is not understood", i + 1);
      return FALSE;
    }
  if (map.id == NULL || map.owner == NULL || map.born == NULL) {
    g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID, "it names no CAB, no owner or no file");
    return FALSE;
  }
  g_autofree char *written = cab_map_format (&map);
  if (strlen (written) != len || memcmp (written, text, len) != 0) {
    g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID, "it says something twice, or in another order");
    return FALSE;
  }
  *self = map;
  map = (CabMap){0};
  return TRUE;
}
