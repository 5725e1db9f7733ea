/* How many connections a stream gets, over links of every kind.
 *
 * SPDX-License-Identifier: MIT
 */
#include "client/pace.h"

#define STEP_US  10000
#define MB       1e6
#define NO_LIMIT 1000

typedef struct {
  double each; /* bytes a second that one connection brings */
  double all;  /* that the link has */
  gint64 trip_us;
  guint wanted;    /* ranges there are to be fetched at a time */
  double noise;    /* part of the rate by which it varies */
  gint64 surge_us; /* bytes come all at once, so often; 0: steadily */
} Link;

typedef struct {
  CabPace *pace;
  gint64 now_us;
  double bytes, to_come;
  guint under_way;
  guint least, most; /* limits that were seen */
} Stream;

static void stream_init (Stream *self, guint most, const Link *link) {
  *self = (Stream){.pace = cab_pace_new (most), .now_us = 1000000, .least = G_MAXUINT};
  cab_pace_first_byte (self->pace, link->trip_us);
}

static void stream_clear (Stream *self) {
  cab_pace_free (self->pace);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Stream, stream_clear)

/* Streams for @seconds; a range that is under way stays so for a while, though fewer are allowed. */
static void run (Stream *self, const Link *link, double seconds) {
  gint64 end_us = self->now_us + (gint64) (seconds * G_USEC_PER_SEC);
  for (; self->now_us < end_us; self->now_us += STEP_US) {
    guint limit = cab_pace_limit (self->pace);
    guint target = MIN (limit, link->wanted);
    self->under_way = self->under_way > target ? self->under_way - 1 : target;
    double rate = MIN (link->each * self->under_way, link->all);
    rate *= 1 + link->noise * g_test_rand_double_range (-1, 1);
    self->to_come += rate * STEP_US / G_USEC_PER_SEC;
    if (link->surge_us == 0 || self->now_us % link->surge_us < STEP_US) {
      self->bytes += self->to_come;
      self->to_come = 0;
    }
    self->least = MIN (self->least, limit);
    self->most = MAX (self->most, limit);
    cab_pace_tick (self->pace, self->now_us, (guint64) self->bytes, self->under_way);
  }
}

/* Streams until nothing changes any more, and checks what share of the time it was so. */
static guint usual (Stream *self, const Link *link) {
  guint count[NO_LIMIT] = {0};
  guint usual = 0;
  for (guint i = 0; i < 1000; i++) {
    run (self, link, 0.1);
    guint limit = cab_pace_limit (self->pace);
    if (++count[limit] > count[usual])
      usual = limit;
  }
  g_test_message ("%u for %u of 1000", usual, count[usual]);
  g_assert_cmpuint (count[usual], >=, 900); /* trials cost no more than that */
  return usual;
}

static guint settled (const Link *link, guint most) {
  g_auto (Stream) stream;
  stream_init (&stream, most, link);
  run (&stream, link, 20);
  guint limit = usual (&stream, link);
  g_assert_cmpuint (stream.least, >=, MIN (most, CAB_PACE_LEAST));
  g_assert_cmpuint (stream.most, <=, most);
  return limit;
}

static void test_near (void) {
  const Link near = {1000 * MB, 1000 * MB, 300, NO_LIMIT, 0.1};
  g_assert_cmpuint (settled (&near, 16), ==, 2);
  g_assert_cmpuint (settled (&near, 1), ==, 1);
  g_assert_cmpuint (settled (&near, 2), ==, 2);
  g_assert_cmpuint (settled (&near, 3), ==, 2);
}

/* A near link begins with few, without a trial. */
static void test_near_begins (void) {
  const Link near = {1000 * MB, 1000 * MB, 300, NO_LIMIT, 0.1};
  g_auto (Stream) stream;
  stream_init (&stream, 16, &near);
  run (&stream, &near, 0.4);
  g_assert_cmpuint (stream.most, ==, CAB_PACE_FEW);
}

static void test_far (void) {
  const Link far = {28 * MB, 10000 * MB, 40000, NO_LIMIT, 0.1};
  g_assert_cmpuint (settled (&far, 16), ==, 16);
  g_assert_cmpuint (settled (&far, 256), ==, 256);
  g_assert_cmpuint (settled (&far, 5), ==, 5);
}

/* A reader waits for the first range of his window, then takes them all and asks for as many more: where a round trip
 * is long, so little of that happens in a moment that what came in it says nothing. */
static void test_surges (void) {
  for (gint64 trip_us = 40000; trip_us <= 160000; trip_us *= 2) {
    const Link far = {28 * MB, 10000 * MB, trip_us, NO_LIMIT, 0.1, 3 * trip_us + 10000};
    g_assert_cmpuint (settled (&far, 16), ==, 16);
  }
}

/* A far link begins with all, and for two seconds nothing is tried. */
static void test_far_begins (void) {
  const Link far = {28 * MB, 10000 * MB, 40000, NO_LIMIT, 0.1};
  g_auto (Stream) stream;
  stream_init (&stream, 16, &far);
  run (&stream, &far, 2);
  g_assert_cmpuint (stream.least, ==, 16);
}

/* As many as it takes to fill the link. */
static void test_enough (void) {
  for (guint enough = 2; enough <= 16; enough *= 2) {
    const Link far = {100 * MB / (enough - 0.2), 100 * MB, 40000, NO_LIMIT, 0.05};
    const Link near = {100 * MB / (enough - 0.2), 100 * MB, 1000, NO_LIMIT, 0.05};
    g_assert_cmpuint (settled (&far, 16), ==, enough);
    g_assert_cmpuint (settled (&near, 16), ==, enough);
  }
}

/* Links change. */
static void test_changes (void) {
  const Link narrow = {30 * MB, 55 * MB, 20000, NO_LIMIT, 0.05};
  const Link wide = {30 * MB, 2000 * MB, 20000, NO_LIMIT, 0.05};
  g_auto (Stream) stream;
  stream_init (&stream, 16, &narrow);
  run (&stream, &narrow, 20);
  g_assert_cmpuint (usual (&stream, &narrow), ==, 2);
  run (&stream, &wide, 130);
  g_assert_cmpuint (usual (&stream, &wide), ==, 16);
  run (&stream, &narrow, 130);
  g_assert_cmpuint (usual (&stream, &narrow), ==, 2);
}

/* Where less is wanted than might be under way, more is not tried, and fewer only as far as all are in use. */
static void test_idle_places (void) {
  const Link slow_reader = {28 * MB, 10000 * MB, 40000, 6, 0.05};
  g_auto (Stream) stream;
  stream_init (&stream, 16, &slow_reader);
  run (&stream, &slow_reader, 100);
  g_assert_cmpuint (cab_pace_limit (stream.pace), ==, 16);
  const Link nothing = {28 * MB, 10000 * MB, 40000, 0, 0};
  guint limit = cab_pace_limit (stream.pace);
  run (&stream, &nothing, 100);
  g_assert_cmpuint (cab_pace_limit (stream.pace), ==, limit);
}

/* Files that are over before anything can be said. */
static void test_short_files (void) {
  const Link far = {28 * MB, 10000 * MB, 40000, NO_LIMIT, 0.05};
  const Link nothing = {28 * MB, 10000 * MB, 40000, 0, 0};
  g_auto (Stream) stream;
  stream_init (&stream, 16, &far);
  for (guint i = 0; i < 200; i++) {
    run (&stream, &far, 0.5);
    run (&stream, &nothing, 0.5);
  }
  g_assert_cmpuint (stream.least, ==, 16);
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/pace/near", test_near);
  g_test_add_func ("/pace/near-begins", test_near_begins);
  g_test_add_func ("/pace/far", test_far);
  g_test_add_func ("/pace/surges", test_surges);
  g_test_add_func ("/pace/far-begins", test_far_begins);
  g_test_add_func ("/pace/enough", test_enough);
  g_test_add_func ("/pace/changes", test_changes);
  g_test_add_func ("/pace/idle-places", test_idle_places);
  g_test_add_func ("/pace/short-files", test_short_files);
  return g_test_run ();
}
