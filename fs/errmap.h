/* errmap.h - what went wrong, as an errno: the one table of interface.md section 5.  Pure.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_ERRMAP_H
#define CABFS_FS_ERRMAP_H

#include <glib.h>

/* A positive errno; 0 for NULL; EIO for an error of another domain than CAB_ERROR. */
int cab_errno_from_error (const GError *error);

#endif
