/* ways.h - which of a family's ways to list CABs answers, and what of a family was said not to be available.
 *
 * A service may have gone while another that tells the same still answers (api-contract.md section 0, finding 1).
 * Which one did is remembered for a while, so that not every list begins with a question in vain; after that the
 * preferred one gets another chance.  What is missing is told once.
 *
 * Threads: belongs to the thread of the API's transport.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_WAYS_H
#define CABFS_CLIENT_WAYS_H

#include <glib.h>

#define CAB_WAYS_KEPT_US (600 * G_USEC_PER_SEC)

typedef struct CabWays CabWays;

CabWays *cab_ways_new (void);
void cab_ways_free (CabWays *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabWays, cab_ways_free)

/* The way to begin with, for CABs of @family.  @now_us: by the boot clock, here and below. */
guint cab_ways_first (CabWays *self, const char *family, gint64 now_us);

/* Way @way had CABs of @family after those before it, if any, were not available.  TRUE if that is worth a line in
 * the log. */
gboolean cab_ways_settle (CabWays *self, const char *family, guint way, gint64 now_us);

/* Something of @family was answered; or nothing was available.  The second is TRUE if that is worth a line: when it
 * was not said before, and the family has never answered. */
void cab_ways_heard (CabWays *self, const char *family);
gboolean cab_ways_missed (CabWays *self, const char *family);

#endif
