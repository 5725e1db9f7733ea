/* locate.h - the present address of one CAB.
 *
 * Asked for once however many wait for it: by a call that answers with a redirect, or by a list narrowed to the
 * CAB's day, never by reading the whole list again (api-contract.md 5.1).  What such a list says of other CABs is
 * kept for a while, so that neighbours need not ask.  That the redirecting call refused a CAB is kept too, for a
 * minute: it says nothing of others, nor of our credentials (section 0, finding 2).
 *
 * Threads: any; callbacks run on the thread of the API's transport.
 * Secrets: addresses are; they are wiped when they go.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_LOCATE_H
#define CABFS_CLIENT_LOCATE_H

#include "client/address.h"
#include "client/api.h"
#include "client/call.h"

typedef struct CabLocator CabLocator;

typedef struct {
  const CabAddressRule *rule; /* borrowed: lives as long as the locator */
  guint days;                 /* the window where a CAB's day is not known, as cab_window_make() */
  const char *start_date;     /* borrowed */
  const char *end_date;       /* borrowed */
} CabLocatorConfig;

CabLocator *cab_locator_new (CabCalls *calls, const CabLocatorConfig *config);
/* The window of lists from now on; the dates are borrowed, as at creation.  On the transport's thread. */
void cab_locator_change (CabLocator *self, guint days, const char *start_date, const char *end_date);

/* After the transport was freed. */
void cab_locator_free (CabLocator *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabLocator, cab_locator_free)

/* @url passed the rule, and lives as long as the callback. */
typedef void (*CabLocateDone) (gpointer data, const char *url, const GError *error);

/* @date: of the record, or CAB_TIME_UNKNOWN.  @not_this: an address that is known to be of no use, or NULL.
 * Errors: NOT_FOUND (no longer listed), DENIED (listed without an address, host not allowed, 401, 403), and those
 * of cab_call_get(). */
void cab_locate (CabLocator *self, const CabScope *scope, const char *cab_id, gint64 date, const char *not_this,
                 CabLocateDone done, gpointer data);

#endif
