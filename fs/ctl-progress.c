/* SPDX-License-Identifier: MIT */
#include "fs/ctl-progress.h"

#include "fs/ctl-text.h"
#include "fs/text.h"

#define BAR_WIDTH  22
#define NAME_LEAST 24 /* columns; with less the bar goes */

#define NUMBERS_WIDTH 39 /* of numbers() with all that there can be */

/* A look sooner than this after the last says little. */
#define STEP_US (G_USEC_PER_SEC / 5)

/* How much of the rate is what happened since the last second. */
#define WEIGHT 0.4

static char *numbers (const CabProgress *progress) {
  GString *text = g_string_new (NULL);
  g_autofree char *size = cab_text_size (progress->size >= 0 ? (guint64) progress->size : progress->have);
  if (progress->size > 0)
    g_string_append_printf (text, "%3u%%  ",
                            (guint) (100.0 * (double) progress->have / (double) progress->size));
  else
    g_string_append (text, progress->size == 0 ? "100%  " : "      ");
  g_string_append_printf (text, "%10s", size);
  g_autofree char *rate = progress->rate >= 0 ? cab_text_size ((guint64) progress->rate) : NULL;
  g_autofree char *speed = rate != NULL ? g_strconcat (rate, "/s", NULL) : g_strdup ("");
  g_autofree char *left = progress->left_s >= 0 ? cab_ctl_duration ((guint64) progress->left_s) : g_strdup ("");
  g_string_append_printf (text, "  %12s  %7s", speed, left);
  return g_strchomp (g_string_free (text, FALSE));
}

char *cab_progress_line (const CabProgress *progress, guint width) {
  g_autofree char *right = numbers (progress);
  g_autofree char *bar =
      cab_ctl_bar (progress->have, progress->size >= 0 ? (guint64) progress->size : G_MAXUINT64, BAR_WIDTH);
  if (width == 0)
    return g_strjoin ("  ", progress->name, bar, right, NULL);
  guint taken = NUMBERS_WIDTH + 2;
  gboolean with_bar = width >= taken + BAR_WIDTH + 2 + NAME_LEAST;
  taken += with_bar ? BAR_WIDTH + 2 : 0;
  guint room = width > taken ? width - taken : 0;
  g_autofree char *name = cab_ctl_fit (progress->name, room, FALSE);
  g_autofree char *blanks = g_strnfill (room - MIN (room, cab_ctl_columns (name)), ' ');
  return g_strconcat (name, blanks, "  ", with_bar ? bar : "", with_bar ? "  " : "", right, NULL);
}

gint64 cab_rate_update (CabRate *self, guint64 bytes, gint64 now_us) {
  gint64 span_us = now_us - self->at_us;
  if (self->at_us == 0) {
    self->at_us = now_us;
    self->bytes = bytes;
  } else if (span_us >= STEP_US) {
    double span_s = (double) span_us / G_USEC_PER_SEC;
    double now = (double) (bytes - self->bytes) / span_s;
    double weight = MIN (1, WEIGHT * span_s);
    self->rate = self->known ? weight * now + (1 - weight) * self->rate : now;
    self->known = TRUE;
    self->at_us = now_us;
    self->bytes = bytes;
  }
  return self->known ? (gint64) self->rate : -1;
}
