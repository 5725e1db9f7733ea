/* ctl-status-view.h - status.json as lines for people.  Pure.
 *
 * Takes any JSON: what is missing, null or of another kind is left out, what is not known is passed over, so that it
 * shows what an older or newer cabfs writes.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_CTL_STATUS_VIEW_H
#define CABFS_FS_CTL_STATUS_VIEW_H

#include "client/json.h"

/* Printable lines; @width of a terminal, or 0.  Nothing in them changes with the time alone. */
GPtrArray *cab_status_view (json_t *status, guint width);

#endif
