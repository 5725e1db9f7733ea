/* pool.h - a few threads for work that may block on the disk: saving maps and listings.
 *
 * Threads: push from any thread; work runs on one of the pool's, in order of arrival, with no lock held.
 * Work must end by itself: nothing here waits for the network.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CACHE_POOL_H
#define CABFS_CACHE_POOL_H

#include <glib.h>

typedef struct CabPool CabPool;
typedef void (*CabWork) (gpointer data);

CabPool *cab_pool_new (guint threads);

/* Runs @work (@data) once; @data is the work's to free. */
void cab_pool_push (CabPool *self, CabWork work, gpointer data);

/* Runs what was pushed, also by that work itself, then ends the threads. */
void cab_pool_free (CabPool *self);

#endif
