/* SPDX-License-Identifier: MIT */
#include "cache/sums.h"

#include <string.h>
#include <xxhash.h>

struct CabSummer {
  CabRange piece; /* empty: nothing was fed since the last one was taken */
  XXH3_state_t *state;
};

void cab_sums_clear (CabSums *self) {
  g_free (self->items);
  *self = (CabSums){0};
}

guint cab_sums_find (const CabSums *self, guint64 off) {
  guint low = 0, high = self->count;
  while (low < high) {
    guint middle = low + (high - low) / 2;
    if (self->items[middle].piece.end <= off)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/* How many from @at begin before @end. */
static guint count_before (const CabSums *self, guint at, guint64 end) {
  guint n = 0;
  while (at + n < self->count && self->items[at + n].piece.start < end)
    n++;
  return n;
}

void cab_sums_remove (CabSums *self, guint64 start, guint64 end) {
  guint at = cab_sums_find (self, start);
  guint n = start < end ? count_before (self, at, end) : 0;
  if (n == 0)
    return;
  memmove (self->items + at, self->items + at + n, sizeof (CabSum) * (self->count - at - n));
  self->count -= n;
}

void cab_sums_add (CabSums *self, const CabSum *sum) {
  if (sum->piece.start >= sum->piece.end)
    return;
  cab_sums_remove (self, sum->piece.start, sum->piece.end);
  if (self->count == self->room) {
    self->room = MAX (16, self->room * 2);
    self->items = g_renew (CabSum, self->items, self->room);
  }
  guint at = cab_sums_find (self, sum->piece.start);
  memmove (self->items + at + 1, self->items + at, sizeof (CabSum) * (self->count - at));
  self->items[at] = *sum;
  self->count++;
}

guint64 cab_sum_of (const void *bytes, gsize len) {
  return XXH3_64bits (bytes, len);
}

CabSummer *cab_summer_new (void) {
  CabSummer *self = g_new0 (CabSummer, 1);
  self->state = XXH3_createState ();
  g_assert (self->state != NULL);
  return self;
}

void cab_summer_free (CabSummer *self) {
  if (self == NULL)
    return;
  XXH3_freeState (self->state);
  g_free (self);
}

gboolean cab_summer_is_over (const CabSummer *self, guint64 off) {
  return self->piece.end > self->piece.start && (self->piece.end != off || off % CAB_SUM_CHUNK == 0);
}

gsize cab_summer_feed (CabSummer *self, guint64 off, const void *bytes, gsize len) {
  if (self->piece.start == self->piece.end) {
    self->piece = (CabRange){off, off};
    XXH3_64bits_reset (self->state);
  }
  gsize taken = (gsize) MIN (len, CAB_SUM_CHUNK - off % CAB_SUM_CHUNK);
  XXH3_64bits_update (self->state, bytes, taken);
  self->piece.end += taken;
  return taken;
}

void cab_summer_take (CabSummer *self, CabSums *sums) {
  if (self->piece.start == self->piece.end)
    return;
  const CabSum sum = {self->piece, XXH3_64bits_digest (self->state)};
  cab_sums_add (sums, &sum);
  self->piece = (CabRange){0, 0};
}
