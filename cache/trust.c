/* trust.c - which bytes on the disk are believed: sums of what comes, and what an earlier mount left compared with them.
 *
 * What has arrived in this life of the content is believed as it is.  So is a CAB that is wholly here and was not
 * written into since its map: it is handed to the kernel as it is, and to look through all of it with each mount would
 * take minutes of a large cache.
 *
 * Where the host tells an MD5, nobody gets the last of the bytes before all of them were compared with it (save.c): who
 * copies a CAB gets an error rather than a wrong copy.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cache/content-private.h"
#include "client/metrics.h"

gboolean cab_content_doubts_locked (const CabContent *self, guint64 start, guint64 end) {
  return self->doubted.count > 0 && cab_ranges_touches (&self->doubted, start, end);
}

void cab_content_note_complete_locked (CabContent *self) {
  if (self->phase != CONTENT_FAILED && self->doubted.count == 0 && cab_ranges_has (&self->have, 0, self->size))
    atomic_store (&self->complete, TRUE);
}

/* Bytes that have come since the last map was written; with those of earlier ones they are all. */
gboolean cab_content_is_unverified_locked (const CabContent *self) {
  return self->extraction == NULL && self->md5 != NULL && self->size > 0 && self->unsaved > 0 &&
         self->phase == CONTENT_READY && !atomic_load (&self->verified) &&
         cab_ranges_has (&self->have, 0, self->size);
}

/* The first piece that is doubted and has a byte of [start, end). */
static gboolean next_doubt (CabContent *self, guint64 start, guint64 end, CabSum *sum) {
  CAB_LOCK_SCOPE (&self->owner->lock);
  if (self->phase == CONTENT_FAILED || !cab_content_doubts_locked (self, start, end))
    return FALSE;
  for (guint i = cab_sums_find (&self->sums, start); i < self->sums.count; i++) {
    *sum = self->sums.items[i];
    if (sum->piece.start >= end)
      break;
    if (cab_ranges_touches (&self->doubted, sum->piece.start, sum->piece.end))
      return TRUE;
  }
  return FALSE;
}

/* TRUE if this is to be told. */
static gboolean settle_doubt (CabContent *self, const CabSum *sum, gboolean good) {
  CAB_LOCK_SCOPE (&self->owner->lock);
  CabRange piece = sum->piece;
  if (!cab_content_doubts_locked (self, piece.start, piece.end))
    return FALSE; /* another thread was faster: it may be another piece by now */
  cab_ranges_remove (&self->doubted, piece.start, piece.end);
  if (good && self->phase == CONTENT_READY)
    cab_content_note_complete_locked (self);
  if (good)
    return FALSE;
  cab_ranges_remove (&self->have, piece.start, piece.end);
  cab_sums_remove (&self->sums, piece.start, piece.end);
  self->unsaved++; /* the map says more than is true */
  cab_metric_add (CAB_METRIC_CACHE_DAMAGED, 1);
  gboolean first = !self->damaged;
  self->damaged = TRUE;
  return first;
}

void cab_content_check (CabContent *self, guint64 start, guint64 end) {
  CabSum sum;
  g_autofree char *bytes = NULL;
  while (next_doubt (self, start, end, &sum)) {
    CabRange piece = sum.piece;
    gsize len = (gsize) (piece.end - piece.start);
    if (bytes == NULL)
      bytes = g_malloc (CAB_SUM_CHUNK);
    gboolean good =
        cab_object_read (self->object, piece.start, bytes, len, NULL) && cab_sum_of (bytes, len) == sum.sum;
    if (settle_doubt (self, &sum, good))
      g_warning ("cache: %s is damaged at byte %" G_GUINT64_FORMAT
                 ": that is fetched again, and so is whatever else of it "
                 "is found so",
                 self->id, piece.start);
  }
}

void cab_content_sum_up (CabContent *self, CabSummer *summer, guint64 off, const char *bytes, gsize len) {
  for (gsize done = 0; done < len;) {
    if (cab_summer_is_over (summer, off + done)) {
      CAB_LOCK_SCOPE (&self->owner->lock);
      cab_summer_take (summer, &self->sums);
    }
    done += cab_summer_feed (summer, off + done, bytes + done, len - done);
  }
}

void cab_content_vouch_locked (const CabContent *self, CabMap *map) {
  if (self->extraction != NULL) {
    cab_ranges_copy (&self->have, &map->have);
    return;
  }
  for (guint i = 0; i < self->sums.count; i++) {
    const CabSum *sum = &self->sums.items[i];
    if (!cab_ranges_has (&self->have, sum->piece.start, sum->piece.end))
      continue;
    cab_ranges_add (&map->have, sum->piece.start, sum->piece.end);
    cab_sums_add (&map->sums, sum);
  }
}
