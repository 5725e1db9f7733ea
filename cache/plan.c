/* SPDX-License-Identifier: MIT */
#include "cache/plan.h"

/* The kernel sends the reads of one reader from several threads, so they come out of order by about its read-ahead;
 * and a small jump forward is cheaper to fetch through than to start anew. */
#define SLACK ((guint64) 1 << 20)

/* Of a read that follows another one; and from where on a reader has shown that he goes on. */
#define WINDOW_FIRST ((guint64) 1 << 20)
#define WINDOW_SURE  ((guint64) 4 << 20)

/* A first read that the kernel made so long by itself is of a program that asks for that much at a time. */
#define LONG ((guint64) 128 << 10)

static gboolean follows (const CabCursor *cursor, guint64 start) {
  return cursor->used > 0 && start + SLACK >= cursor->next && start <= cursor->next + SLACK;
}

/* The cursor that expects @start, else the one that was used the longest ago, free again. */
static CabCursor *find_cursor (CabPlan *self, guint64 start) {
  CabCursor *oldest = &self->cursors[0];
  for (guint i = 0; i < CAB_PLAN_CURSORS; i++) {
    CabCursor *cursor = &self->cursors[i];
    if (follows (cursor, start))
      return cursor;
    if (cursor->used < oldest->used)
      oldest = cursor;
  }
  *oldest = (CabCursor){.start = start};
  return oldest;
}

/* The kernel may have the first pages of the file from its opening. */
static gboolean is_beginning (guint64 start) {
  return start < CAB_PLAN_BLOCK;
}

/* Of the reader at @cursor, who now reads [start, end). */
static guint64 next_window (const CabCursor *cursor, guint64 start, guint64 end) {
  if (cursor->used == 0)
    return is_beginning (start) && end >= LONG ? G_MAXUINT64 : 0;
  gboolean goes_on = end > cursor->next && end - cursor->start >= cursor->window / 4;
  if (!goes_on)
    return cursor->window;
  return cursor->window >= WINDOW_SURE ? G_MAXUINT64 : MAX (WINDOW_FIRST, 4 * cursor->window);
}

static guint64 round_up (guint64 value, guint64 step) {
  guint64 over = value % step;
  return over > 0 ? value + step - over : value;
}

/* What is ahead, in as many requests as there are connections. */
static guint64 chunk_of (guint64 ahead, guint connections) {
  return CLAMP (round_up (ahead / MAX (1, connections), CAB_PLAN_BLOCK), CAB_PLAN_CHUNK_MIN,
                CAB_PLAN_CHUNK_MAX);
}

CabZone cab_plan_read (CabPlan *self, guint64 start, guint64 end, guint64 size, const CabPlanLimits *limits) {
  CabCursor *cursor = find_cursor (self, start);
  cursor->window = MIN (limits->read_ahead, next_window (cursor, start, end));
  cursor->used = ++self->reads;
  cursor->next = MAX (cursor->next, end);
  CabZone zone = cab_plan_zone (start - start % CAB_PLAN_BLOCK, MAX (end, cursor->next + cursor->window));
  if (cursor->window > 0) {
    guint64 ahead = MIN (cursor->window, size - MIN (size, cursor->next));
    zone.chunk = chunk_of (ahead, limits->connections);
  }
  /* In steps, or each read would ask for the few bytes by which it moved the end. */
  zone.end = MIN (size, round_up (zone.end, cursor->window > 0 ? zone.chunk : CAB_PLAN_BLOCK));
  return zone;
}

CabZone cab_plan_zone (guint64 start, guint64 end) {
  return (CabZone){start, end, CAB_PLAN_CHUNK_MAX};
}

CabZone cab_plan_cut (CabRange range, guint connections) {
  return (CabZone){range.start, range.end, chunk_of (range.end - range.start, connections)};
}

gboolean cab_plan_gap (const CabRanges *have, const CabRanges *coming, const CabZone *zone, CabRange *gap) {
  CabRange missing;
  for (guint64 at = zone->start; cab_ranges_next_missing (have, at, zone->end, &missing); at = missing.end)
    if (cab_ranges_next_missing (coming, missing.start, missing.end, gap)) {
      guint64 cut = ((gap->start + zone->chunk / 4) / zone->chunk + 1) * zone->chunk;
      gap->end = MIN (gap->end, cut);
      return TRUE;
    }
  return FALSE;
}
