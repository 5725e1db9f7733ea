/* addresses.h - the addresses seen of late, by name: bounded, the oldest go first.
 *
 * Two generations: what is added goes into the young one; when that is full it becomes the old one, and what the
 * old one held is dropped.
 *
 * Threads: belongs to one.  Secrets: values are wiped when they go.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_ADDRESSES_H
#define CABFS_CLIENT_ADDRESSES_H

#include <glib.h>

typedef struct CabAddresses CabAddresses;

/* Holds the last @count at least, twice that at most. */
CabAddresses *cab_addresses_new (guint count);
void cab_addresses_free (CabAddresses *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabAddresses, cab_addresses_free)

/* @url "" says that there is none. */
void cab_addresses_add (CabAddresses *self, const char *name, const char *url);

/* NULL if it is not known; valid until the next call. */
const char *cab_addresses_get (const CabAddresses *self, const char *name);

void cab_addresses_drop (CabAddresses *self, const char *name);

#endif
