/* SPDX-License-Identifier: MIT */
#include "client/heap.h"

#include <string.h>

void cab_heap_init (CabHeap *self) {
  memset (self, 0, sizeof *self);
  cab_heap_add (self, "", 0);
}

void cab_heap_clear (CabHeap *self) {
  g_clear_pointer (&self->bytes, g_free);
  self->len = self->size = 0;
}

gsize cab_heap_room (const CabHeap *self) {
  return G_MAXUINT32 - self->len;
}

static void reserve (CabHeap *self, gsize len) {
  if (self->size - self->len >= len)
    return;
  /* The pages behind the end are not touched, so room that is not used costs next to nothing. */
  self->size = MAX (self->size + self->size / 2, self->len + len);
  self->size = MAX (self->size, 256);
  self->bytes = g_realloc (self->bytes, self->size);
}

guint32 cab_heap_add (CabHeap *self, const char *bytes, gsize len) {
  g_assert (len < cab_heap_room (self));
  reserve (self, len + 1);
  gsize offset = self->len;
  memcpy (self->bytes + offset, bytes, len);
  self->bytes[offset + len] = '\0';
  self->len = offset + len + 1;
  return (guint32)offset;
}

static gboolean is_at (const CabHeap *self, guint32 offset, const char *bytes, gsize len) {
  return self->len - offset > len && memcmp (self->bytes + offset, bytes, len) == 0 &&
         self->bytes[offset + len] == '\0';
}

guint32 cab_heap_intern (CabHeap *self, const char *bytes, gsize len) {
  guint32 *slot = &self->recent[cab_hash_bytes (CAB_HASH_SEED, bytes, len) % CAB_HEAP_RECENT];
  if (!is_at (self, *slot, bytes, len))
    *slot = cab_heap_add (self, bytes, len);
  return *slot;
}

char *cab_heap_steal (CabHeap *self, guint32 *len) {
  char *bytes = g_realloc (g_steal_pointer (&self->bytes), self->len);
  *len = (guint32)self->len;
  self->len = self->size = 0;
  return bytes;
}

guint64 cab_hash_bytes (guint64 hash, const void *bytes, gsize len) {
  const guint8 *p = bytes;
  for (gsize i = 0; i < len; i++)
    hash = (hash ^ p[i]) * G_GUINT64_CONSTANT (1099511628211);
  return hash;
}
