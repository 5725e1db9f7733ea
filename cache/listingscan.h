/* listingscan.h - which lists of failures and CABs lie on disk.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CACHE_LISTINGSCAN_H
#define CABFS_CACHE_LISTINGSCAN_H

#include "cache/store.h"
#include "client/scope.h"

typedef void (*CabScopeFunc) (gpointer data, const CabScope *scope);

/* Runs @func for each, on this thread; reads names only.  What cannot be read is not there. */
void cab_listing_scan (CabStore *store, CabScopeFunc func, gpointer data);

#endif
