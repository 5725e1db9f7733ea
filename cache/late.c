/* late.c - who has waited for a content for too long: those who open it, and those who read.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cache/content-private.h"
#include "client/error.h"

static gboolean is_late (gint64 since_us, const CabContent *content, gint64 now_us) {
  gint64 timeout_us = (gint64) content->owner->options.timeout_ms * 1000;
  return now_us - MAX (since_us, content->progress_us) >= timeout_us;
}

/* Every byte is here, and the save job compares them, or waits for its turn: that is no matter of the blob host, unless it
 * has to be asked. */
static gboolean is_being_verified_locked (const CabContent *content) {
  return content->saving && !content->asked && cab_content_is_unverified_locked (content);
}

static gboolean is_late_reader_locked (const Reader *reader, const CabContent *content, gint64 now_us) {
  return reader->head ? now_us - reader->since_us >= CAB_HEAD_PATIENCE_US
                      : is_late (reader->since_us, content, now_us) && !is_being_verified_locked (content);
}

static void take_late_locked (CabContent *content, gint64 now_us, const GError *error, GQueue *openers,
                              GQueue *readers) {
  if (content->extraction != NULL)
    return; /* the worker ends by itself, and so do the reads of the CAB that he waits for */
  for (GList *link = content->openers.head, *next; link != NULL; link = next) {
    next = link->next;
    if (!is_late (((const Opener *) link->data)->since_us, content, now_us))
      continue;
    g_queue_unlink (&content->openers, link);
    g_queue_push_tail_link (openers, link);
  }
  for (GList *link = content->readers.head, *next; link != NULL; link = next) {
    const Reader *reader = link->data;
    next = link->next;
    if (!is_late_reader_locked (reader, content, now_us))
      continue;
    g_queue_unlink (&content->readers, link);
    g_queue_push_tail_link (readers, link);
    if (!reader->head)
      cab_content_trouble_locked (content, error);
  }
}

void cab_contents_tick (CabContents *self, gint64 now_us) {
  GQueue openers = G_QUEUE_INIT, readers = G_QUEUE_INIT;
  g_autoptr (GError) error = g_error_new (
      CAB_ERROR, CAB_ERROR_TIMEOUT, "not a byte from the blob host for %u s", self->options.timeout_ms / 1000);
  {
    CAB_LOCK_SCOPE (&self->lock);
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init (&iter, self->table);
    while (g_hash_table_iter_next (&iter, NULL, &value))
      take_late_locked (value, now_us, error, &openers, &readers);
  }
  cab_content_answer_openers (NULL, &openers, error);
  cab_content_answer_readers (NULL, &readers, error);
  cab_extractions_tick (self, now_us);
}
