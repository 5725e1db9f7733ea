/* SPDX-License-Identifier: MIT */
#include "cache/plan.h"

/* The kernel sends the reads of one reader from several threads, so they come out of order by about its read-ahead;
 * and a small jump forward is cheaper to fetch through than to start anew. */
#define SLACK ((guint64) 1 << 20)

#define WINDOW_FIRST ((guint64) 1 << 20)

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

CabRange cab_plan_read (CabPlan *self, guint64 start, guint64 end, guint64 size, guint64 read_ahead) {
  CabCursor *cursor = find_cursor (self, start);
  gboolean known = cursor->used > 0;
  cursor->used = ++self->reads;
  if (known && end > cursor->next && end - cursor->start >= cursor->window / 4)
    cursor->window = MIN (read_ahead, MAX (WINDOW_FIRST, 4 * cursor->window));
  cursor->next = MAX (cursor->next, end);
  CabRange zone = {start - start % CAB_PLAN_BLOCK, MAX (end, cursor->next + cursor->window)};
  /* In steps of the window, or each read would ask for the few bytes by which it moved the end. */
  guint64 step = CLAMP (cursor->window / 4, CAB_PLAN_BLOCK, CAB_PLAN_CHUNK_MIN);
  guint64 over = zone.end % step;
  zone.end = MIN (size, over > 0 ? zone.end + step - over : zone.end);
  return zone;
}

guint64 cab_plan_chunk (guint64 read_ahead, guint connections) {
  guint64 share = read_ahead / MAX (1, connections);
  return CLAMP (share - share % CAB_PLAN_BLOCK, CAB_PLAN_CHUNK_MIN, CAB_PLAN_CHUNK_MAX);
}

gboolean cab_plan_gap (const CabRanges *have, const CabRanges *coming, CabRange zone, guint64 chunk,
                       CabRange *gap) {
  CabRange missing;
  while (cab_ranges_next_missing (have, zone.start, zone.end, &missing)) {
    if (cab_ranges_next_missing (coming, missing.start, missing.end, gap)) {
      gap->end = MIN (gap->end, (gap->start / chunk + 1) * chunk);
      return TRUE;
    }
    zone.start = missing.end;
  }
  return FALSE;
}
