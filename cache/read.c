/* read.c - the readers of a content: who gets his bytes at once, and who waits for them.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cache/content-private.h"
#include "client/error.h"
#include "client/metrics.h"

#include <string.h>

/* --- readers ------------------------------------------------------------------------------------------------ */

static void reader_free (Reader *reader) {
  cab_ranges_clear (&reader->got);
  g_free (reader->bytes);
  g_free (reader);
}

/* Fills in from the store what was not handed out. */
static gboolean complete_bytes (CabContent *self, Reader *reader, GError **error) {
  CabRange missing;
  guint64 end = reader->off + reader->len;
  if (reader->bytes == NULL)
    reader->bytes = g_malloc (reader->len);
  for (guint64 at = reader->off; cab_ranges_next_missing (&reader->got, at, end, &missing); at = missing.end)
    if (!cab_object_read (self->object, missing.start, reader->bytes + (missing.start - reader->off),
                          (gsize) (missing.end - missing.start), error))
      return FALSE;
  return TRUE;
}

void cab_content_answer_readers (CabContent *self, GQueue *readers, const GError *error) {
  for (Reader *reader = g_queue_pop_head (readers); reader != NULL; reader = g_queue_pop_head (readers)) {
    g_autoptr (GError) local = NULL;
    gboolean good = error == NULL && complete_bytes (self, reader, &local);
    if (reader->pin > 0)
      cab_content_unpin (self, reader->pin);
    if (good)
      reader->done (reader->data, reader->bytes, reader->len, NULL);
    else
      reader->done (reader->data, NULL, 0, error != NULL ? error : local);
    reader_free (reader);
  }
}

static gboolean is_satisfied_locked (const CabContent *self, const Reader *reader) {
  CabRange missing;
  guint64 end = reader->off + reader->len;
  for (guint64 at = reader->off; cab_ranges_next_missing (&reader->got, at, end, &missing); at = missing.end)
    if (!cab_ranges_has (&self->have, missing.start, missing.end))
      return FALSE;
  return TRUE;
}

void cab_content_take_satisfied_locked (CabContent *self, GQueue *into) {
  if (cab_content_is_unverified_locked (self))
    return;
  for (GList *link = self->readers.head, *next; link != NULL; link = next) {
    next = link->next;
    if (!is_satisfied_locked (self, link->data))
      continue;
    ((Reader *) link->data)->pin = cab_content_pin_locked (self);
    g_queue_unlink (&self->readers, link);
    g_queue_push_tail_link (into, link);
  }
}

gboolean cab_content_hand_out_locked (CabContent *self, guint64 off, guint64 end, const char *bytes,
                                      guint64 stream_end) {
  gboolean wanted = FALSE;
  for (GList *link = self->readers.head; link != NULL; link = link->next) {
    Reader *reader = link->data;
    CabRange part = {MAX (off, reader->off), MIN (end, reader->off + reader->len)};
    wanted = wanted || (reader->off < stream_end && reader->off + reader->len > end);
    if (part.start >= part.end)
      continue;
    if (reader->bytes == NULL)
      reader->bytes = g_malloc (reader->len);
    memcpy (reader->bytes + (part.start - reader->off), bytes + (part.start - off), part.end - part.start);
    cab_ranges_add (&reader->got, part.start, part.end);
  }
  return wanted;
}

void cab_content_take_bereft_locked (CabContent *self, CabRange lost, GQueue *into) {
  for (GList *link = self->readers.head, *next; link != NULL; link = next) {
    const Reader *reader = link->data;
    CabRange part = {MAX (lost.start, reader->off), MIN (lost.end, reader->off + reader->len)};
    next = link->next;
    if (part.start >= part.end || cab_ranges_has (&self->have, part.start, part.end))
      continue;
    g_queue_unlink (&self->readers, link);
    g_queue_push_tail_link (into, link);
  }
}

void cab_content_trouble_locked (CabContent *self, const GError *error) {
  g_clear_error (&self->trouble);
  self->trouble = g_error_copy (error);
  self->trouble_us = g_get_monotonic_time ();
}

gboolean cab_content_is_in_trouble_locked (const CabContent *self) {
  return self->trouble != NULL && g_get_monotonic_time () - self->trouble_us < CAB_TROUBLE_US;
}

/* --- reading ------------------------------------------------------------------------------------------------ */

/* Nothing is fetched ahead for which there is no room. */
static CabPlanLimits limits (const CabContent *self) {
  const CabContentsOptions *options = &self->owner->options;
  return (CabPlanLimits){cab_object_takes (self->object) ? options->read_ahead : 0, options->connections};
}

static CabZone plan_read_locked (CabContent *self, guint64 start, guint64 end) {
  const CabPlanLimits now = limits (self);
  self->ahead = cab_plan_read (&self->plan, start, end, self->size, &now);
  return self->ahead;
}

/* @len cut at the end of the file. */
static gsize clamp (const CabContent *self, guint64 off, gsize len) {
  return off >= self->size ? 0 : (gsize) MIN (len, self->size - off);
}

gboolean cab_content_read_now (CabContent *self, guint64 off, gsize len, void *bytes, gsize *got) {
  *got = clamp (self, off, len);
  guint pin = 0;
  if (!atomic_load (&self->complete) || !atomic_load (&self->verified)) {
    CabZone zone;
    guint64 end = off + *got;
    {
      CAB_LOCK_SCOPE (&self->owner->lock);
      if (self->phase != CONTENT_READY || !cab_ranges_has (&self->have, off, end) ||
          cab_content_doubts_locked (self, off, end) || cab_content_is_unverified_locked (self))
        return FALSE;
      zone = plan_read_locked (self, off, end);
      pin = cab_content_pin_locked (self);
    }
    cab_content_fetch (self, zone, end);
  }
  gboolean good = cab_object_read (self->object, off, bytes, *got, NULL);
  if (pin > 0)
    cab_content_unpin (self, pin);
  if (!good)
    return FALSE;
  cab_metric_add (CAB_METRIC_BYTES_CACHED, *got);
  return TRUE;
}

static Reader *reader_new (CabContent *content, guint64 off, gsize len, CabReadDone done, gpointer data) {
  Reader *self = g_new (Reader, 1);
  *self = (Reader){.off = off,
                   .len = clamp (content, off, len),
                   .done = done,
                   .data = data,
                   .since_us = g_get_monotonic_time ()};
  return self;
}

gboolean cab_content_peek (CabContent *self, guint64 off, void *bytes, gsize len) {
  guint pin;
  {
    CAB_LOCK_SCOPE (&self->owner->lock);
    if (self->phase != CONTENT_READY || !cab_ranges_has (&self->have, off, off + len) ||
        cab_content_doubts_locked (self, off, off + len))
      return FALSE;
    pin = cab_content_pin_locked (self);
  }
  gboolean good = cab_object_read (self->object, off, bytes, len, NULL);
  cab_content_unpin (self, pin);
  return good;
}

typedef enum { READ_HERE, READ_WAITS } ReadResult;

/* Takes @reader: answers him, or lets him wait; then there is a reference that the caller drops: once he can be answered,
 * the file can be closed.  @zone: what is to be fetched; an empty one is planned. */
static ReadResult enter (CabContent *self, Reader *reader, CabZone *zone) {
  GQueue now = G_QUEUE_INIT;
  guint64 off = reader->off, end = reader->off + reader->len;
  g_autoptr (GError) error = NULL;
  cab_content_check (self, off, end);
  {
    CAB_LOCK_SCOPE (&self->owner->lock);
    if (self->phase == CONTENT_FAILED) {
      error = g_error_copy (self->failed);
    } else if (cab_ranges_has (&self->have, off, end) && !cab_content_is_unverified_locked (self)) {
      reader->pin = cab_content_pin_locked (self);
    } else if (cab_content_is_in_trouble_locked (self)) {
      error = g_error_copy (self->trouble);
    } else {
      g_queue_push_tail (&self->readers, reader);
      cab_content_hold (self);
      if (zone->end == 0)
        *zone = plan_read_locked (self, off, end);
      return READ_WAITS;
    }
  }
  g_queue_push_tail (&now, reader);
  cab_content_answer_readers (self, &now, error);
  return READ_HERE;
}

void cab_content_read (CabContent *self, guint64 off, gsize len, CabReadDone done, gpointer data) {
  Reader *reader = reader_new (self, off, len, done, data);
  CabRange range = {off, off + reader->len};
  CabZone zone = {0};
  if (enter (self, reader, &zone) == READ_HERE)
    return;
  cab_metric_add (CAB_METRIC_READS_WAITED, 1);
  cab_content_hurry (self, range);
  cab_content_fetch (self, zone, range.end);
  cab_content_drop (self);
}

void cab_content_lend_read (CabContent *self, CabZone zone, gsize len, CabReadDone done, gpointer data) {
  CabRange range = {zone.start, zone.start + len};
  if (!cab_object_takes (self->object))
    zone.end = range.end; /* as for a reader: nothing is fetched ahead for which there is no room */
  if (enter (self, reader_new (self, range.start, len, done, data), &zone) == READ_HERE)
    return;
  cab_content_hurry (self, range);
  cab_content_fetch (self, zone, range.end);
  cab_content_drop (self);
}

/* TRUE if every byte of [start, end) is here or on its way. */
static gboolean will_be_here_locked (const CabContent *self, guint64 start, guint64 end) {
  const CabZone zone = cab_plan_zone (start, end);
  CabRange gap;
  return !cab_plan_gap (&self->have, &self->coming, &zone, &gap);
}

void cab_content_head (CabContent *self, gsize len, CabReadDone done, gpointer data) {
  Reader *reader = reader_new (self, 0, MIN (len, CAB_HEAD), done, data);
  GQueue now = G_QUEUE_INIT;
  g_autoptr (GError) error = NULL;
  reader->head = TRUE;
  cab_content_check (self, 0, reader->len);
  {
    CAB_LOCK_SCOPE (&self->owner->lock);
    if (self->phase != CONTENT_READY || !will_be_here_locked (self, 0, reader->len)) {
      error = g_error_new_literal (CAB_ERROR, CAB_ERROR_NOT_FOUND, "its first bytes are not on their way");
      g_queue_push_tail (&now, reader);
    } else if (cab_ranges_has (&self->have, 0, reader->len) && !cab_content_is_unverified_locked (self)) {
      reader->pin = cab_content_pin_locked (self);
      g_queue_push_tail (&now, reader);
    } else {
      g_queue_push_tail (&self->readers, reader);
    }
  }
  cab_content_answer_readers (self, &now, error);
}
