/* heap.h - many strings in one block, each known by its 32-bit offset.
 *
 * Offset 0 is the empty string.  Offsets stay valid while the block grows, addresses do not.
 * Belongs to one thread.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_HEAP_H
#define CABFS_CLIENT_HEAP_H

#include <glib.h>

#define CAB_HEAP_RECENT 4096

typedef struct {
  char *bytes;
  gsize len;
  gsize size;
  guint32 recent[CAB_HEAP_RECENT]; /* offset of the last string interned, by its hash */
} CabHeap;

void cab_heap_init (CabHeap *self);
void cab_heap_clear (CabHeap *self);

/* Bytes that may still be added, terminators included: ask before adding. */
gsize cab_heap_room (const CabHeap *self);

/* Adds @len bytes and a terminator; returns their offset. */
guint32 cab_heap_add (CabHeap *self, const char *bytes, gsize len);

/* The same, but takes an equal string that was interned of late, if there is one.  It forgets: a table of all
 * strings would be larger than what it saves, and values that repeat do so soon. */
guint32 cab_heap_intern (CabHeap *self, const char *bytes, gsize len);

/* Hands the block over, cut to its length; the heap is empty after. */
char *cab_heap_steal (CabHeap *self, guint32 *len);

static inline const char *cab_heap_at (const CabHeap *self, guint32 offset) {
  return self->bytes + offset;
}

/* A hash of bytes: FNV-1a, begun with CAB_HASH_SEED or the result of an earlier call. */
#define CAB_HASH_SEED G_GUINT64_CONSTANT (14695981039346656037)
guint64 cab_hash_bytes (guint64 hash, const void *bytes, gsize len);

#endif
