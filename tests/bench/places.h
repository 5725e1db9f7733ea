/* places.h - the places of a random reader, the same for every contestant.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_BENCH_PLACES_H
#define CABFS_BENCH_PLACES_H

#include <glib.h>

/* @count offsets in a file of @size bytes, multiples of @block, none of them twice. */
static inline guint64 *places_new (guint64 size, guint64 block, guint count, guint32 seed) {
  g_autoptr (GRand) chance = g_rand_new_with_seed (seed);
  g_autoptr (GHashTable) taken = g_hash_table_new (g_int64_hash, g_int64_equal);
  guint64 *places = g_new (guint64, count), blocks = size / block;
  g_assert (blocks >= count && blocks <= G_MAXINT32);
  for (guint i = 0; i < count; i++) {
    do
      places[i] = block * (guint64) g_rand_int_range (chance, 0, (gint32) blocks);
    while (g_hash_table_contains (taken, &places[i]));
    g_hash_table_add (taken, &places[i]);
  }
  return places;
}

#endif
