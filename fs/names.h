/* names.h - names of files and what they stand for.  Pure.
 *
 * A name that is not well-formed is ENOENT without a request, so these checks decide what a file manager's probe
 * for ".hidden" or "desktop.ini" costs (interface.md section 1).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_NAMES_H
#define CABFS_FS_NAMES_H

#include <glib.h>

/* 8 to 20 digits, or a Store ID. */
gboolean cab_name_is_application (const char *name);

/* 12 upper-case letters and digits. */
gboolean cab_name_is_store (const char *name);

/* 16 to 64 of [0-9A-Za-z-], at least one of them a digit. */
gboolean cab_name_is_failure (const char *name);

/* What follows the id in the name of a CAB, and in that of its directory, the open CAB. */
#define CAB_NAME_CAB  ".cab"
#define CAB_NAME_OPEN ".cab.d"

/* "<id>.cab" of a CAB's id. */
char *cab_name_from_cab (const char *id);

/* The inverse: TRUE and the length of the id at the head of @name, where that is a safe id followed by ".cab".
 * Says nothing of whether there is such a CAB. */
gboolean cab_name_to_cab (const char *name, gsize *id_len);

/* As cab_name_to_cab(), of an open CAB. */
gboolean cab_name_to_open (const char *name, gsize *id_len);

/* The inode number of @path, which is relative to the mount point, without a slash at either end: the same on every
 * machine and for all time, so do not change how it is made.  Never 0 and never 1, which is the root's
 * (FUSE_ROOT_ID).  Two paths have one number with a chance of 2^-64. */
guint64 cab_name_inode (const char *path);

#endif
