/* refusals.h - questions that were refused of late, and with what error: not asked again for a while.
 *
 * A service may list a CAB and keep it from us all the same (api-contract.md section 0, finding 2).  Programs come
 * back to such a file again and again.
 *
 * Threads: belongs to one.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_REFUSALS_H
#define CABFS_CLIENT_REFUSALS_H

#include <glib.h>

#define CAB_REFUSALS_KEPT_US (60 * G_USEC_PER_SEC)

typedef struct CabRefusals CabRefusals;

/* Keeps @count at most; when there are more, the oldest go. */
CabRefusals *cab_refusals_new (guint count);
void cab_refusals_free (CabRefusals *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabRefusals, cab_refusals_free)

/* Copies @name and @error.  @now_us: by the boot clock. */
void cab_refusals_add (CabRefusals *self, const char *name, const GError *error, gint64 now_us);

/* NULL if @name was not refused within the last minute; valid until the next call. */
const GError *cab_refusals_get (CabRefusals *self, const char *name, gint64 now_us);

#endif
