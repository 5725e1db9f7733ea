/* pages.h - which pages of a list to ask for next, so that several are under way at a time.  Pure.
 *
 * The services tell no end that can be trusted (api-contract.md 3.3, 3.5): a list ends with the page that is not full,
 * and who asks blindly ahead asks beyond it.  So two pages at a time are asked for that are not known to be there: the
 * next one, and the frontier.  That leaps as far again as the list is known to reach, up to as many pages as may be
 * under way, and when it comes full, all pages that it leapt over are there too and are fetched side by side.  A
 * frontier that lies beyond the end is followed by steps of one page, and so is a page that has no link to another
 * where others have.  So no more than two pages beyond the end are asked for, the one that shows it counted, whatever
 * the service says.  The number of rows, where it tells one, is no more than a bound of leaps.
 *
 * Pages are numbered from 0.  Those before CAB_PAGES_FIRST have come, one after the other, and were full: that skipping
 * rows works at all had to be seen.
 *
 * Threads: a plan belongs to one.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_PAGES_H
#define CABFS_CLIENT_PAGES_H

#include <glib.h>

typedef struct CabPages CabPages;

typedef enum {
  CAB_PAGE_FULL,
  CAB_PAGE_SHORT, /* has rows, but fewer than a full one: the end, if the service counts rows as it says */
  CAB_PAGE_NONE,  /* without a row, or no answer that can be used: nothing is asked for beyond */
} CabPageKind;

#define CAB_PAGES_FIRST 2

/* @parallel: most pages under way at a time, at least 2.  @promised: pages that there are by the service's word, a
 * hint; 0 if it says nothing.  @linked: the last page said that another one follows. */
CabPages *cab_pages_new (guint parallel, guint promised, gboolean linked);
void cab_pages_free (CabPages *self);

/* The next page to ask for, which is under way from then on.  FALSE: none before another one has come. */
gboolean cab_pages_next (CabPages *self, guint *page);

/* @page, which was under way, has come.  @linked: it said that another one follows. */
void cab_pages_came (CabPages *self, guint page, CabPageKind kind, gboolean linked);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabPages, cab_pages_free)

#endif
