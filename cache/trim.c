/* trim.c - a CAB that is larger than the cache and stays open: it gives up what was read first.
 *
 * Nothing that is open is removed to make room, so that one large file could fill the cache, and the rest of it would go
 * by without being kept, and without being fetched ahead.  Instead it loses chunks that nobody reads near.
 *
 * Bytes are in a reader's way until nobody reads them: they leave `have`, are held as if they were coming, so that nobody
 * fetches them, and those who had found them before are waited for.  Then the file loses them.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cache/content-private.h"

/* So much is kept around a reader, besides what was fetched ahead for him. */
#define NEAR CAB_SUM_CHUNK

/* Only a CAB that has more than this part of the cache gives something up: others are not why it is full. */
#define LARGE_PART 4

/* More than was asked for is given, or the next one would ask soon. */
#define EXTRA_PART 8

guint cab_content_pin_locked (CabContent *self) {
  self->pins[self->side]++;
  return self->side + 1;
}

void cab_content_unpin (CabContent *self, guint pin) {
  CAB_LOCK_SCOPE (&self->owner->lock);
  if (--self->pins[pin - 1] == 0)
    pthread_cond_broadcast (&self->owner->unpinned);
}

static gboolean is_near_locked (const CabContent *self, guint64 start, guint64 end) {
  for (guint i = 0; i < CAB_PLAN_CURSORS; i++) {
    const CabCursor *cursor = &self->plan.cursors[i];
    guint64 before = cursor->next > NEAR ? cursor->next - NEAR : 0;
    if (cursor->used > 0 && start < cursor->next + cursor->window + NEAR && end > before)
      return TRUE;
  }
  for (const GList *link = self->readers.head; link != NULL; link = link->next) {
    const Reader *reader = link->data;
    if (start < reader->off + reader->len && end > reader->off)
      return TRUE;
  }
  return FALSE;
}

static gboolean is_eligible_locked (const CabContent *self) {
  return self->extraction == NULL && self->phase == CONTENT_READY && !atomic_load (&self->complete);
}

/* Chooses whole chunks of which there is something in `have`, from the beginning, until they are @bytes.  However large the
 * CAB is said to be, only what is here is looked at. */
static void choose_locked (const CabContent *self, guint64 bytes, CabRanges *given) {
  guint64 total = 0, next = 0;
  for (guint i = 0; i < self->have.count && total < bytes; i++) {
    CabRange range = self->have.items[i];
    guint64 at = MAX (range.start - range.start % CAB_SUM_CHUNK, next);
    for (; at < range.end && total < bytes; at = next) {
      next = MIN (at + CAB_SUM_CHUNK, self->size);
      if (cab_ranges_touches (&self->coming, at, next) || is_near_locked (self, at, next))
        continue;
      cab_ranges_add (given, at, next);
      total += next - at;
    }
  }
}

/* How many bytes that are. */
static guint64 give_up_locked (CabContent *self, guint64 bytes, CabRanges *given) {
  guint64 before = cab_ranges_total (&self->have);
  if (is_eligible_locked (self)) /* it may have changed since it was found */
    choose_locked (self, bytes, given);
  for (guint i = 0; i < given->count; i++) {
    CabRange range = given->items[i];
    cab_ranges_remove (&self->have, range.start, range.end);
    cab_ranges_remove (&self->doubted, range.start, range.end);
    cab_sums_remove (&self->sums, range.start, range.end);
    cab_ranges_add (&self->coming, range.start, range.end);
  }
  self->unsaved += given->count;
  return before - cab_ranges_total (&self->have);
}

/* The largest that may give something up, as a user; NULL if there is none. */
static CabContent *find_large_locked (CabContents *self, GHashTable *tried, guint64 used) {
  CabContent *largest = NULL;
  guint64 most = used / LARGE_PART;
  GHashTableIter iter;
  gpointer value;
  g_hash_table_iter_init (&iter, self->table);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    CabContent *content = value;
    guint64 total = cab_ranges_total (&content->have);
    if (!is_eligible_locked (content) || total <= most || g_hash_table_contains (tried, content))
      continue;
    most = total;
    largest = content;
  }
  if (largest != NULL) {
    cab_content_ref_locked (largest);
    g_hash_table_add (tried, largest);
  }
  return largest;
}

/* Nobody reads any more what had left `have` before. */
static void wait_for_readers_locked (CabContent *self) {
  guint before = self->side;
  self->side = 1 - before;
  while (self->pins[before] > 0)
    pthread_cond_wait (&self->owner->unpinned, &self->owner->lock);
}

/* Bytes of the disk that the file lost. */
static guint64 give_up (CabContent *self, guint64 bytes) {
  g_auto (CabRanges) given = CAB_RANGES_INIT;
  guint64 freed;
  {
    CAB_LOCK_SCOPE (&self->owner->lock);
    freed = give_up_locked (self, bytes, &given);
    wait_for_readers_locked (self);
  }
  for (guint i = 0; i < given.count; i++)
    if (!cab_object_punch (self->object, given.items[i].start, given.items[i].end)) {
      atomic_store (&self->owner->no_holes,
                    TRUE); /* a file system without them: to try again would only lose bytes */
      freed = 0;
    }
  {
    CAB_LOCK_SCOPE (&self->owner->lock);
    for (guint i = 0; i < given.count; i++)
      cab_ranges_remove (&self->coming, given.items[i].start, given.items[i].end);
  }
  cab_content_fetch_for_readers (self); /* somebody may have come back for them */
  return freed;
}

guint64 cab_contents_trim (CabContents *self, guint64 bytes, guint64 used) {
  g_autoptr (GHashTable) tried = g_hash_table_new (NULL, NULL);
  guint64 freed = 0;
  while (freed < bytes && !atomic_load (&self->no_holes)) {
    CabContent *content;
    {
      CAB_LOCK_SCOPE (&self->lock);
      content = find_large_locked (self, tried, used);
    }
    if (content == NULL)
      break;
    freed += give_up (content, MAX (bytes - freed, used / EXTRA_PART));
    cab_content_unref (content);
  }
  return freed;
}
