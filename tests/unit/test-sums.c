/* SPDX-License-Identifier: MIT */
#include "cache/sums.h"

#include <string.h>

#define SPACE 128

/* Against a table that is too simple to be wrong: the number of the sum that each byte has. */
static void assert_is (const CabSums *sums, const guint64 *model) {
  guint64 end = 0;
  for (guint i = 0; i < sums->count; i++) {
    const CabSum *sum = &sums->items[i];
    g_assert_cmpuint (sum->piece.start, >=, end);
    g_assert_cmpuint (sum->piece.start, <, sum->piece.end);
    for (guint64 at = end; at < sum->piece.start; at++)
      g_assert_cmpuint (model[at], ==, 0);
    for (guint64 at = sum->piece.start; at < sum->piece.end; at++)
      g_assert_cmpuint (model[at], ==, sum->sum);
    end = sum->piece.end;
  }
  for (; end < SPACE; end++)
    g_assert_cmpuint (model[end], ==, 0);
  for (guint64 off = 0; off < SPACE; off++) {
    guint at = cab_sums_find (sums, off);
    g_assert_true (at == sums->count || sums->items[at].piece.end > off);
    g_assert_true (at == 0 || sums->items[at - 1].piece.end <= off);
  }
}

/* No byte of [start, end) has a sum any more, nor have those of the same piece. */
static void forget (guint64 *model, guint64 start, guint64 end) {
  for (guint64 at = start; at < end; at++) {
    guint64 gone = model[at];
    for (guint64 i = 0; i < SPACE && gone > 0; i++)
      if (model[i] == gone)
        model[i] = 0;
  }
}

static void test_model (void) {
  guint64 number = 0;
  for (guint round = 0; round < 200; round++) {
    g_auto (CabSums) sums = {0};
    guint64 model[SPACE] = {0};
    for (guint step = 0; step < 60; step++) {
      guint64 start = (guint64) g_test_rand_int_range (0, SPACE);
      guint64 end = start + (guint64) g_test_rand_int_range (0, (gint32) MIN (20, SPACE - start + 1));
      forget (model, start, end);
      if (g_test_rand_int_range (0, 3) == 0) {
        cab_sums_remove (&sums, start, end);
      } else {
        cab_sums_add (&sums, &(const CabSum){{start, end}, ++number});
        for (guint64 at = start; at < end; at++)
          model[at] = number;
      }
      assert_is (&sums, model);
    }
  }
}

static void feed (CabSummer *summer, CabSums *sums, guint64 off, const char *bytes, gsize len) {
  for (gsize done = 0; done < len;) {
    if (cab_summer_is_over (summer, off + done))
      cab_summer_take (summer, sums);
    done += cab_summer_feed (summer, off + done, bytes + done, len - done);
  }
}

/* However the bytes come, the sums are those of their chunks. */
static void test_in_pieces (void) {
  const gsize size = 3 * CAB_SUM_CHUNK + 12345;
  const guint64 begin = CAB_SUM_CHUNK / 2 + 1;
  g_autofree char *bytes = g_malloc (size);
  for (gsize i = 0; i < size; i++)
    bytes[i] = (char) g_test_rand_int ();
  for (guint round = 0; round < 5; round++) {
    g_auto (CabSums) sums = {0};
    CabSummer *summer = cab_summer_new ();
    cab_summer_take (summer, &sums);
    g_assert_cmpuint (sums.count, ==, 0);
    for (guint64 off = begin; off < size;) {
      gsize len = 1 + (gsize) g_test_rand_int_range (0, round < 3 ? 40000 : 3000000);
      len = MIN (len, size - off);
      feed (summer, &sums, off, bytes + off, len);
      off += len;
    }
    cab_summer_take (summer, &sums);
    cab_summer_take (summer, &sums);
    cab_summer_free (summer);
    g_assert_cmpuint (sums.count, ==, 4);
    guint64 end = begin;
    for (guint i = 0; i < sums.count; i++) {
      CabRange piece = sums.items[i].piece;
      g_assert_cmpuint (piece.start, ==, end);
      g_assert_true (piece.end % CAB_SUM_CHUNK == 0 || piece.end == size);
      g_assert_cmpuint (sums.items[i].sum, ==, cab_sum_of (bytes + piece.start, piece.end - piece.start));
      end = piece.end;
    }
    g_assert_cmpuint (end, ==, size);
  }
}

/* What does not follow is a piece of its own. */
static void test_jump (void) {
  g_auto (CabSums) sums = {0};
  CabSummer *summer = cab_summer_new ();
  feed (summer, &sums, 10, "abc", 3);
  feed (summer, &sums, 20, "defg", 4);
  feed (summer, &sums, 24, "h", 1);
  cab_summer_take (summer, &sums);
  cab_summer_free (summer);
  g_assert_cmpuint (sums.count, ==, 2);
  g_assert_cmpuint (sums.items[0].sum, ==, cab_sum_of ("abc", 3));
  g_assert_cmpuint (sums.items[1].piece.end, ==, 25);
  g_assert_cmpuint (sums.items[1].sum, ==, cab_sum_of ("defgh", 5));
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/sums/model", test_model);
  g_test_add_func ("/sums/in-pieces", test_in_pieces);
  g_test_add_func ("/sums/jump", test_jump);
  return g_test_run ();
}
