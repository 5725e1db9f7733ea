/* missing.h - failures that were asked for by name and that the services do not know, for a little while.
 *
 * The kernel is not told to remember that a name is not there, since it could not be made to forget it (ops-ioctl.c).
 * Where the answer costs a request it is remembered here: a bounded number of them, the oldest goes first.
 *
 * Threads: any.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_MISSING_H
#define CABFS_FS_MISSING_H

#include <glib.h>

typedef struct CabMissing CabMissing;

CabMissing *cab_missing_new (void);
void cab_missing_free (CabMissing *self);

/* Another number after each cab_missing_clear(): to be asked for before the services are asked for a failure. */
guint cab_missing_clears (CabMissing *self);

/* Nothing if @clears is another one by now: what the services answered may be from before.  @now_us: monotonic. */
void cab_missing_add (CabMissing *self, guint clears, const char *application, const char *failure,
                      gint64 now_us);
gboolean cab_missing_has (CabMissing *self, const char *application, const char *failure, gint64 now_us);

/* Those of @application, or with NULL all. */
void cab_missing_clear (CabMissing *self, const char *application);

#endif
