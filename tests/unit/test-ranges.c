/* SPDX-License-Identifier: MIT */
#include "cache/plan.h"
#include "cache/ranges.h"

#include <string.h>

#define SPACE 256

static void assert_is (const CabRanges *ranges, const gboolean *model) {
  guint64 total = 0;
  for (guint i = 0; i < SPACE; i++) {
    g_assert_cmpint (cab_ranges_has (ranges, i, i + 1), ==, model[i]);
    gboolean touches = FALSE;
    for (guint at = i; at < MIN (SPACE, i + 5); at++)
      touches = touches || model[at];
    g_assert_cmpint (cab_ranges_touches (ranges, i, i + 5), ==, touches);
    total += model[i];
  }
  g_assert_cmpuint (cab_ranges_total (ranges), ==, total);
  for (guint i = 0; i < ranges->count; i++) {
    g_assert_cmpuint (ranges->items[i].start, <, ranges->items[i].end);
    if (i > 0) /* neither overlap nor touch */
      g_assert_cmpuint (ranges->items[i - 1].end, <, ranges->items[i].start);
  }
}

/* Against a set that is too simple to be wrong. */
static void test_model (void) {
  for (guint round = 0; round < 200; round++) {
    g_auto (CabRanges) ranges = CAB_RANGES_INIT;
    gboolean model[SPACE] = {0};
    for (guint step = 0; step < 60; step++) {
      guint64 start = (guint64) g_test_rand_int_range (0, SPACE),
              end = (guint64) g_test_rand_int_range (0, SPACE + 1);
      gboolean add = g_test_rand_int_range (0, 3) > 0;
      if (add)
        cab_ranges_add (&ranges, start, end);
      else
        cab_ranges_remove (&ranges, start, end);
      for (guint64 i = start; i < end; i++)
        model[i] = add;
      assert_is (&ranges, model);
    }
  }
}

static void test_next_missing (void) {
  g_auto (CabRanges) ranges = CAB_RANGES_INIT;
  CabRange missing;
  cab_ranges_add (&ranges, 10, 20);
  cab_ranges_add (&ranges, 30, 40);
  g_assert_true (cab_ranges_next_missing (&ranges, 0, 100, &missing));
  g_assert_cmpuint (missing.start, ==, 0);
  g_assert_cmpuint (missing.end, ==, 10);
  g_assert_true (cab_ranges_next_missing (&ranges, 15, 100, &missing));
  g_assert_cmpuint (missing.start, ==, 20);
  g_assert_cmpuint (missing.end, ==, 30);
  g_assert_true (cab_ranges_next_missing (&ranges, 35, 100, &missing));
  g_assert_cmpuint (missing.start, ==, 40);
  g_assert_cmpuint (missing.end, ==, 100);
  g_assert_false (cab_ranges_next_missing (&ranges, 12, 20, &missing));
  g_assert_false (cab_ranges_next_missing (&ranges, 50, 50, &missing));
}

static void test_large_offsets (void) {
  g_auto (CabRanges) ranges = CAB_RANGES_INIT;
  guint64 five_gib = (guint64) 5 << 30;
  cab_ranges_add (&ranges, five_gib, five_gib + 1);
  cab_ranges_add (&ranges, 0, 1);
  cab_ranges_remove (&ranges, 1, G_MAXUINT64);
  g_assert_cmpuint (cab_ranges_total (&ranges), ==, 1);
}

static void test_copy (void) {
  g_auto (CabRanges) from = CAB_RANGES_INIT;
  g_auto (CabRanges) to = CAB_RANGES_INIT;
  cab_ranges_add (&to, 7, 8);
  cab_ranges_copy (&from, &to);
  g_assert_cmpuint (to.count, ==, 0);
  cab_ranges_add (&from, 1, 2);
  cab_ranges_copy (&from, &to);
  cab_ranges_add (&to, 2, 3);
  g_assert_cmpuint (cab_ranges_total (&from), ==, 1);
  g_assert_cmpuint (cab_ranges_total (&to), ==, 2);
}

/* --- plan ---------------------------------------------------------------------------------------------------- */

#define KIB ((guint64) 1 << 10)
#define MIB ((guint64) 1 << 20)

static const CabPlanLimits limits = {64 * MIB, 16};

static void test_plan_jumps (void) {
  CabPlan plan = {0};
  for (guint i = 1; i < 20; i++) {
    guint64 start = (guint64) i * 100 * MIB + 5;
    CabZone zone = cab_plan_read (&plan, start, start + 4096, 4096 * MIB, &limits);
    g_assert_cmpuint (zone.start, <=, start);
    g_assert_cmpuint (zone.end - zone.start, <=, 2 * CAB_PLAN_BLOCK);
  }
}

/* Small pieces side by side, as a debugger reads them, are no reason to fetch far ahead. */
static void test_plan_pieces (void) {
  CabPlan plan = {0};
  for (guint64 place = 1; place < 20; place++)
    for (guint64 i = 0; i < 16; i++) {
      guint64 start = place * 100 * MIB + i * 8 * KIB;
      CabZone zone = cab_plan_read (&plan, start, start + 8 * KIB, 4096 * MIB, &limits);
      g_assert_cmpuint (zone.end - start, <=, 2 * MIB);
    }
}

static void test_plan_streams (void) {
  CabPlan plan = {0};
  guint64 size = 1000 * MIB, most = 0;
  for (guint64 start = 0; start < 50 * MIB; start += 128 * KIB) {
    CabZone zone = cab_plan_read (&plan, start, start + 128 * KIB, size, &limits);
    g_assert_cmpuint (zone.start, ==, start);
    most = MAX (most, zone.end - start);
  }
  g_assert_cmpuint (most, >, 60 * MIB);
  g_assert_cmpuint (most, <=, 64 * MIB + 4 * MIB + 128 * KIB);
  CabZone last = cab_plan_read (&plan, size - 10, size, size, &limits);
  g_assert_cmpuint (last.end, ==, size);
}

/* Reads move the end of the window in steps, or each would become a request of its own size. */
static void test_plan_requests (void) {
  CabPlan plan = {0};
  g_auto (CabRanges) have = CAB_RANGES_INIT, coming = CAB_RANGES_INIT;
  guint64 size = 256 * MIB;
  guint requests = 0;
  for (guint64 start = 0; start < size; start += 128 * KIB) {
    CabZone zone = cab_plan_read (&plan, start, start + 128 * KIB, size, &limits);
    for (CabRange gap; cab_plan_gap (&have, &coming, &zone, &gap); requests++) {
      g_assert_cmpuint (gap.end - gap.start, <=, zone.chunk + zone.chunk / 4);
      cab_ranges_add (&have, gap.start, gap.end);
    }
  }
  g_assert_cmpuint (cab_ranges_total (&have), ==, size);
  g_assert_cmpuint (requests, <=, 256 / 4 + 32);
}

/* The window is there soon, but not for who reads less than a megabyte in a row. */
static void test_plan_grows (void) {
  CabPlan plan = {0};
  cab_plan_read (&plan, 0, 16 * KIB, 4096 * MIB, &limits);
  for (guint64 start = 0; start < 5 * MIB; start += 128 * KIB) {
    guint64 end = start + 128 * KIB;
    CabZone zone = cab_plan_read (&plan, start, end, 4096 * MIB, &limits);
    g_assert_cmpuint (zone.end, <=, (end < MIB ? 6 : 72) * MIB);
    if (end > 2 * MIB)
      g_assert_cmpuint (zone.end - end, >=, 64 * MIB);
  }
}

static guint64 chunk_of (guint64 read_ahead, guint connections) {
  const CabPlanLimits some = {read_ahead, connections};
  CabPlan plan = {0};
  CabZone zone = {0};
  for (guint64 start = 0; start < 64 * MIB; start += MIB)
    zone = cab_plan_read (&plan, start, start + MIB, 4096 * MIB, &some);
  return zone.chunk;
}

/* A window keeps all connections busy, with requests that are not so large that the reader waits for the first one. */
static void test_plan_chunk (void) {
  g_assert_cmpuint (chunk_of (64 * MIB, 16), ==, 4 * MIB);
  g_assert_cmpuint (chunk_of (128 * MIB, 16), ==, 8 * MIB);
  g_assert_cmpuint (chunk_of (64 * MIB, 1), ==, 8 * MIB);
  g_assert_cmpuint (chunk_of (MIB, 16), ==, 256 * KIB);
  g_assert_cmpuint (chunk_of (0, 16), ==, 8 * MIB);
  g_assert_cmpuint (chunk_of (100 * MIB, 17), ==, 95 * 64 * KIB);
}

static CabZone first_read (guint64 start, guint64 end, guint64 size, guint *requests) {
  CabPlan plan = {0};
  g_auto (CabRanges) none = CAB_RANGES_INIT, coming = CAB_RANGES_INIT;
  CabZone zone = cab_plan_read (&plan, start, end, size, &limits);
  *requests = 0;
  for (CabRange gap; cab_plan_gap (&none, &coming, &zone, &gap); (*requests)++)
    cab_ranges_add (&coming, gap.start, gap.end);
  return zone;
}

/* Who reads a file from its beginning, as the kernel does it for cat and cp, has all connections started at once, and
 * all of them with as much as there is for each. */
static void test_plan_starts (void) {
  guint requests;
  g_assert_cmpuint (first_read (0, 128 * KIB, 4096 * MIB, &requests).end, <=, 68 * MIB + 128 * KIB);
  g_assert_cmpuint (requests, ==, 17);
  g_assert_cmpuint (first_read (0, 128 * KIB, 24 * MIB, &requests).end, ==, 24 * MIB);
  g_assert_cmpuint (requests, ==, 16);
  g_assert_cmpuint (first_read (0, 128 * KIB, MIB, &requests).end, ==, MIB);
  g_assert_cmpuint (requests, ==, 4);
  g_assert_cmpuint (first_read (0, 16 * KIB, 4096 * MIB, &requests).end, ==, 64 * KIB);
  g_assert_cmpuint (first_read (500 * MIB, 501 * MIB, 4096 * MIB, &requests).end, ==, 501 * MIB);
}

static void test_plan_two_readers (void) {
  CabPlan plan = {0};
  CabZone a, b;
  for (guint64 i = 0; i < 130; i++) { /* 16 MiB, a quarter of the window */
    a = cab_plan_read (&plan, i * 128 * KIB, (i + 1) * 128 * KIB, 4096 * MIB, &limits);
    b = cab_plan_read (&plan, 2000 * MIB + i * 128 * KIB, 2000 * MIB + (i + 1) * 128 * KIB, 4096 * MIB,
                       &limits);
  }
  g_assert_cmpuint (a.end, >, 60 * MIB);
  g_assert_cmpuint (b.end, >, 2060 * MIB);
}

static void test_plan_gap_skips_coming (void) {
  g_auto (CabRanges) have = CAB_RANGES_INIT, coming = CAB_RANGES_INIT;
  CabRange gap;
  cab_ranges_add (&have, 0, 100);
  cab_ranges_add (&coming, 100, 200);
  g_assert_true (cab_plan_gap (&have, &coming, &(CabZone){0, 300, 8 * MIB}, &gap));
  g_assert_cmpuint (gap.start, ==, 200);
  g_assert_cmpuint (gap.end, ==, 300);
  g_assert_false (cab_plan_gap (&have, &coming, &(CabZone){0, 200, 8 * MIB}, &gap));
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/ranges/model", test_model);
  g_test_add_func ("/ranges/next-missing", test_next_missing);
  g_test_add_func ("/ranges/large-offsets", test_large_offsets);
  g_test_add_func ("/ranges/copy", test_copy);
  g_test_add_func ("/plan/jumps", test_plan_jumps);
  g_test_add_func ("/plan/pieces", test_plan_pieces);
  g_test_add_func ("/plan/streams", test_plan_streams);
  g_test_add_func ("/plan/requests", test_plan_requests);
  g_test_add_func ("/plan/grows", test_plan_grows);
  g_test_add_func ("/plan/chunk", test_plan_chunk);
  g_test_add_func ("/plan/starts", test_plan_starts);
  g_test_add_func ("/plan/two-readers", test_plan_two_readers);
  g_test_add_func ("/plan/gap-skips-coming", test_plan_gap_skips_coming);
  return g_test_run ();
}
