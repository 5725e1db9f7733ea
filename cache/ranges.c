/* SPDX-License-Identifier: MIT */
#include "cache/ranges.h"

#include <string.h>

void cab_ranges_clear (CabRanges *self) {
  g_free (self->items);
  *self = (CabRanges) CAB_RANGES_INIT;
}

/* Index of the first range that ends at or behind @offset. */
static guint first_ending_from (const CabRanges *self, guint64 offset) {
  guint low = 0, high = self->count;
  while (low < high) {
    guint middle = low + (high - low) / 2;
    if (self->items[middle].end < offset)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/* Replaces @n ranges from @at by the @m of @with. */
static void splice (CabRanges *self, guint at, guint n, const CabRange *with, guint m) {
  guint count = self->count - n + m;
  if (count > self->room) {
    self->room = MAX (count, self->room * 2);
    self->items = g_renew (CabRange, self->items, self->room);
  }
  if (self->count > at + n)
    memmove (self->items + at + m, self->items + at + n, sizeof (CabRange) * (self->count - at - n));
  if (m > 0)
    memcpy (self->items + at, with, sizeof (CabRange) * m);
  self->count = count;
}

void cab_ranges_add (CabRanges *self, guint64 start, guint64 end) {
  if (start >= end)
    return;
  guint at = first_ending_from (self, start);
  guint n = 0;
  CabRange merged = {start, end};
  for (; at + n < self->count && self->items[at + n].start <= end; n++) {
    merged.start = MIN (merged.start, self->items[at + n].start);
    merged.end = MAX (merged.end, self->items[at + n].end);
  }
  splice (self, at, n, &merged, 1);
}

void cab_ranges_remove (CabRanges *self, guint64 start, guint64 end) {
  if (start >= end)
    return;
  guint at = first_ending_from (self, start);
  guint n = 0, m = 0;
  CabRange rest[2];
  for (; at + n < self->count && self->items[at + n].start < end; n++) {
    CabRange item = self->items[at + n];
    if (item.start < start)
      rest[m++] = (CabRange){item.start, MIN (item.end, start)};
    if (item.end > end)
      rest[m++] = (CabRange){end, item.end};
  }
  splice (self, at, n, rest, m);
}

gboolean cab_ranges_has (const CabRanges *self, guint64 start, guint64 end) {
  CabRange missing;
  return !cab_ranges_next_missing (self, start, end, &missing);
}

gboolean cab_ranges_touches (const CabRanges *self, guint64 start, guint64 end) {
  guint at = first_ending_from (self, start + 1);
  return at < self->count && self->items[at].start < end;
}

gboolean cab_ranges_next_missing (const CabRanges *self, guint64 start, guint64 end, CabRange *missing) {
  guint at = first_ending_from (self, start);
  if (at < self->count && self->items[at].start <= start) {
    start = MAX (start, self->items[at].end);
    at++;
  }
  if (start >= end)
    return FALSE;
  *missing = (CabRange){start, end};
  if (at < self->count)
    missing->end = MIN (end, self->items[at].start);
  return TRUE;
}

guint64 cab_ranges_total (const CabRanges *self) {
  guint64 total = 0;
  for (guint i = 0; i < self->count; i++)
    total += self->items[i].end - self->items[i].start;
  return total;
}

void cab_ranges_copy (const CabRanges *self, CabRanges *to) {
  CabRange *items = g_new (CabRange, MAX (self->count, 1));
  if (self->count > 0)
    memcpy (items, self->items, sizeof (CabRange) * self->count);
  g_free (to->items);
  to->items = items;
  to->count = self->count;
  to->room = MAX (self->count, 1);
}
