/* SPDX-License-Identifier: MIT */
#include "cache/rate.h"

/* The first bytes alone would make any number. */
#define LEAST_US (CAB_RATE_SLOT_US / 5)

void cab_rate_add (CabRate *self, gint64 now_us, guint64 bytes) {
  gint64 slot = now_us / CAB_RATE_SLOT_US;
  if (slot - self->slot >= CAB_RATE_SLOTS)
    *self = (CabRate){.slot = slot, .since_us = now_us};
  for (; self->slot < slot; self->slot++)
    self->bytes[(self->slot + 1) % CAB_RATE_SLOTS] = 0;
  self->bytes[slot % CAB_RATE_SLOTS] += bytes;
}

guint64 cab_rate_get (const CabRate *self, gint64 now_us) {
  gint64 first = now_us / CAB_RATE_SLOT_US - CAB_RATE_SLOTS + 1;
  gint64 from_us = MAX (self->since_us, first * CAB_RATE_SLOT_US);
  guint64 bytes = 0;
  for (gint64 slot = MAX (first, 0); slot <= self->slot; slot++)
    bytes += self->bytes[slot % CAB_RATE_SLOTS];
  return bytes * G_USEC_PER_SEC / (guint64) MAX (now_us - from_us, LEAST_US);
}
