/* SPDX-License-Identifier: MIT */
#include "client/pages.h"

#define NO_PAGE G_MAXUINT

struct CabPages {
  guint parallel;
  gboolean links;    /* the service marks pages that others follow */
  guint promised;    /* pages there are by the service's word; 0: it says nothing, or was found wrong */
  guint under_way;   /* how many */
  guint lowest;      /* of those that were not asked for */
  GArray *ahead;     /* pages (guint) above `lowest` that were, ascending */
  guint full_to;     /* this page was full, so all before it are */
  gboolean marked;   /* as the last one, by a service that marks the others */
  guint end;         /* the lowest page known not to be full; NO_PAGE: none is known */
  gboolean overshot; /* a page was asked for that is not there */
  guint frontier;    /* the page under way of which nothing was known; NO_PAGE: none is */
};

CabPages *cab_pages_new (guint parallel, guint promised, gboolean linked) {
  g_assert (parallel >= 2);
  CabPages *self = g_new0 (CabPages, 1);
  self->parallel = parallel;
  self->links = linked;
  self->promised = promised;
  self->lowest = CAB_PAGES_FIRST;
  self->ahead = g_array_new (FALSE, FALSE, sizeof (guint));
  self->full_to = CAB_PAGES_FIRST - 1;
  self->end = NO_PAGE;
  self->frontier = NO_PAGE;
  return self;
}

void cab_pages_free (CabPages *self) {
  if (self == NULL)
    return;
  g_array_unref (self->ahead);
  g_free (self);
}

/* --- what was asked for ------------------------------------------------------------------------------------- */

static guint ahead_at (const CabPages *self, guint i) {
  return g_array_index (self->ahead, guint, i);
}

static gboolean is_asked (const CabPages *self, guint page) {
  for (guint i = 0; i < self->ahead->len; i++)
    if (ahead_at (self, i) == page)
      return TRUE;
  return page < self->lowest;
}

static void ask (CabPages *self, guint page) {
  guint i = 0;
  while (i < self->ahead->len && ahead_at (self, i) < page)
    i++;
  g_array_insert_val (self->ahead, i, page);
  while (self->ahead->len > 0 && ahead_at (self, 0) == self->lowest) {
    g_array_remove_index (self->ahead, 0);
    self->lowest++;
  }
  self->under_way++;
}

/* --- what comes next ---------------------------------------------------------------------------------------- */

/* Up to this page all may be asked for.  One more than is known to be there: while the frontier is under way, which may
 * have to be tried again and again, the list goes on by steps. */
static guint safe_to (const CabPages *self) {
  gboolean steps = self->frontier != NO_PAGE || !(self->overshot || self->marked);
  return MIN (self->full_to + (steps ? 1 : 0), self->end - 1);
}

/* Pages that are safe and were not asked for. */
static guint backlog (const CabPages *self) {
  guint end = safe_to (self) + 1;
  guint n = end > self->lowest ? end - self->lowest : 0;
  for (guint i = 0; i < self->ahead->len; i++)
    n -= ahead_at (self, i) < end ? 1 : 0;
  return n;
}

/* A page beyond what is known: so far that there is enough to do while it is under way, but unless the service names
 * a number no further than the list is known to reach.  Without that, which pages are asked for depends on the list
 * and not on when answers come. */
static guint leap (const CabPages *self) {
  if (self->overshot || self->marked)
    return self->full_to + 1;
  if (self->promised == 0)
    return self->full_to + MIN (self->parallel, self->full_to);
  guint enough = 2 * self->parallel;
  guint page = self->full_to + enough - MIN (enough, backlog (self));
  return MAX (MIN (page, self->promised - 1), self->full_to + 1);
}

static guint next_frontier (const CabPages *self) {
  if (self->frontier != NO_PAGE || self->full_to + 1 >= self->end)
    return NO_PAGE;
  guint page = leap (self);
  return is_asked (self, page) ? NO_PAGE : page;
}

gboolean cab_pages_next (CabPages *self, guint *page) {
  if (self->under_way >= self->parallel)
    return FALSE;
  guint frontier = next_frontier (self);
  if (frontier != NO_PAGE)
    self->frontier = *page = frontier;
  else if (self->lowest <= safe_to (self))
    *page = self->lowest;
  else
    return FALSE;
  ask (self, *page);
  return TRUE;
}

/* --- what has come ------------------------------------------------------------------------------------------ */

void cab_pages_came (CabPages *self, guint page, CabPageKind kind, gboolean linked) {
  g_assert (self->under_way > 0 && page >= CAB_PAGES_FIRST);
  self->under_way--;
  if (self->frontier == page)
    self->frontier = NO_PAGE;
  if (kind != CAB_PAGE_FULL)
    self->end = MIN (self->end, page);
  if (kind == CAB_PAGE_NONE)
    self->overshot = TRUE;
  if (kind == CAB_PAGE_FULL && page > self->full_to)
    self->marked = self->links && !linked;
  if (kind != CAB_PAGE_NONE)
    self->full_to = MAX (self->full_to, kind == CAB_PAGE_FULL ? page : page - 1);
  if (kind == CAB_PAGE_NONE || page >= self->promised) /* so it was not the number of the rows */
    self->promised = 0;
}
