/* park.h - requests of the kernel that wait for an answer from elsewhere.
 *
 * Whoever cannot answer a request at once parks it and answers it from a completion.  In between it may be answered
 * here, with EINTR: when the kernel says that its caller was interrupted, and, since the kernel never says so of a
 * read through the page cache, when its caller has died (findings.md); a caller that /proc does not show, when it is gone
 * altogether.  Each request is answered exactly once.
 *
 * Threads: any.  A thread of its own looks after the callers, only while something is parked.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_PARK_H
#define CABFS_FS_PARK_H

#include <fuse_lowlevel.h>
#include <glib.h>

typedef struct CabPark CabPark;
typedef struct CabParked CabParked;

CabPark *cab_park_new (void);

/* Nothing may be parked any more. */
void cab_park_free (CabPark *self);

/* How many requests wait. */
guint cab_park_count (CabPark *self);

/* From here on @req is the park's: take it back to answer it. */
CabParked *cab_park_add (CabPark *self, fuse_req_t req);

/* The request, to be answered by the caller; NULL if that has happened.  Ends the handle. */
fuse_req_t cab_park_take (CabParked *parked);

#endif
