/* save.c - what a content leaves on the disk: its map, written when that is worth it and only after its data.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cache/content-private.h"
#include "client/error.h"
#include "client/metrics.h"

#include <string.h>

gboolean cab_content_save_due_locked (CabContent *self) {
  gboolean idle = self->users == 0 && g_queue_is_empty (&self->streams);
  if (self->phase != CONTENT_READY || self->saving || self->unsaved == 0 ||
      !(idle || cab_ranges_has (&self->have, 0, self->size) || self->unsaved >= CAB_SAVE_STEP))
    return FALSE;
  if (self->extraction != NULL && !atomic_load (&self->complete))
    return FALSE; /* a part of a member is not kept */
  self->saving = TRUE;
  return TRUE;
}

/* Who waits for the end of it waits for something that goes on. */
static void note_progress (CabContent *self) {
  CAB_LOCK_SCOPE (&self->owner->lock);
  self->progress_us = g_get_monotonic_time ();
}

/* The MD5 of the whole, from the store; NULL if it cannot be read. */
static char *compute_md5 (CabContent *self) {
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_MD5);
  g_autofree guchar *block = g_malloc (CAB_PLAN_BLOCK);
  for (guint64 off = 0; off < self->size; off += CAB_PLAN_BLOCK) {
    if (off % CAB_SAVE_STEP == 0)
      note_progress (self);
    gsize len = (gsize) MIN (CAB_PLAN_BLOCK, self->size - off);
    if (!cab_object_read (self->object, off, block, len, NULL))
      return NULL;
    g_checksum_update (sum, block, (gssize) len);
  }
  return g_strdup (g_checksum_get_string (sum));
}

/* FALSE if the bytes are not those the host gave the MD5 of. */
static gboolean verify (CabContent *self, const CabMap *map, GError **error) {
  if (atomic_load (&self->verified) || !cab_ranges_has (&map->have, 0, map->size))
    return TRUE;
  g_autofree char *md5 = map->md5 != NULL ? compute_md5 (self) : NULL;
  if (g_strcmp0 (md5, map->md5) == 0) {
    atomic_store (&self->verified, TRUE);
    return TRUE;
  }
  g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID, "%s: its bytes have MD5 %s, the blob host says %s",
               self->id, md5 != NULL ? md5 : "none (unreadable)", map->md5);
  return FALSE;
}

/* What is here at this moment: what arrives later is left to the next map.  FALSE if that is all, and some of it is still
 * in doubt: a whole one is believed as it is by the next mount. */
static gboolean snapshot (CabContent *self, CabMap *map, guint64 *bytes) {
  CAB_LOCK_SCOPE (&self->owner->lock);
  if (self->doubted.count > 0 && cab_ranges_has (&self->have, 0, self->size))
    return FALSE;
  *bytes = self->unsaved;
  *map = (CabMap){.id = g_strdup (self->id),
                  .owner = cab_content_owner (self->scope),
                  .size = self->size,
                  .etag = g_strdup (self->etag),
                  .md5 = g_strdup (self->md5),
                  .modified = self->modified};
  cab_content_vouch_locked (self, map);
  return TRUE;
}

/* Of what is all here nothing is left in doubt: it is handed out as it is from then on. */
static void check_whole (CabContent *self) {
  gboolean whole;
  {
    CAB_LOCK_SCOPE (&self->owner->lock);
    whole = cab_ranges_has (&self->have, 0, self->size);
  }
  if (!whole || self->extraction != NULL)
    return;
  cab_content_check (self, 0, self->size);
  CAB_LOCK_SCOPE (&self->owner->lock);
  cab_content_note_complete_locked (self);
}

static void save_work (gpointer data);

static void on_probe (gpointer data, const CabFacts *facts, const GError *error) {
  CabContent *self = data;
  if (error == NULL) {
    self->owner->options.learned (self->owner->options.learned_data, self->scope, self->id, facts);
    CAB_LOCK_SCOPE (&self->owner->lock);
    if (facts->md5 != NULL) {
      g_free (self->md5);
      self->md5 = g_strdup (facts->md5);
    }
  }
  cab_pool_push (self->owner->options.pool, save_work, self);
}

/* The MD5 that is known may be that of a blob which was replaced before these bytes were fetched, and a range does not
 * tell its own (api-contract.md 12.4): the host is asked, once, and the job begins anew. */
static gboolean ask_again (CabContent *self) {
  {
    CAB_LOCK_SCOPE (&self->owner->lock);
    if (self->asked)
      return FALSE;
    self->asked = TRUE;
  }
  cab_blob_probe (self->blob, CAB_PRIORITY_READER, on_probe, self);
  return TRUE;
}

static void answer_all_satisfied (CabContent *self) {
  GQueue satisfied = G_QUEUE_INIT;
  {
    CAB_LOCK_SCOPE (&self->owner->lock);
    cab_content_take_satisfied_locked (self, &satisfied);
  }
  cab_content_answer_readers (self, &satisfied, NULL);
}

static void save_work (gpointer data) {
  CabContent *self = data;
  g_autoptr (GError) error = NULL;
  g_auto (CabMap) map = {0};
  guint64 bytes;
  do
    check_whole (self);
  while (!snapshot (self, &map, &bytes)); /* the last bytes may come in between */
  gboolean good = verify (self, &map, &error);
  if (!good && ask_again (self))
    return;
  if (good)
    answer_all_satisfied (self); /* who need not wait for the disk */
  if (!good) {
    g_warning ("cache: %s; dropped, to be fetched again", error->message);
    cab_metric_add (CAB_METRIC_CACHE_DAMAGED, 1);
    cab_content_fail (self, error);
  } else if (!cab_object_save (self->object, &map, &error)) {
    cab_store_tell_unusable (self->owner->options.store, error);
  } else {
    cab_store_note (self->owner->options.store, FALSE);
    if (atomic_load (&self->complete))
      cab_object_share (self->object);
  }
  gboolean again;
  {
    CAB_LOCK_SCOPE (&self->owner->lock);
    self->saving = FALSE;
    self->unsaved -= bytes;
    again = cab_content_save_due_locked (self);
  }
  answer_all_satisfied (self); /* who came meanwhile */
  if (again)
    cab_content_push_save (self);
  else
    cab_content_settle (self);
  cab_content_drop (self);
}

void cab_content_push_save (CabContent *self) {
  cab_pool_push (self->owner->options.pool, save_work, cab_content_hold (self));
}
