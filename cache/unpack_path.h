/* unpack_path.h - the names that archives give their members, as text.  Pure.
 *
 * Archives hold bytes, in whatever code page their maker had.  What is not UTF-8 becomes %XX, a byte each, so
 * that no name is lost and none is made up; "\" is the separator of the system that dumps come from, and
 * becomes "/".  Nothing else is changed: ".." and a leading "/" stay what they are, and are for others to deal
 * with.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CACHE_UNPACK_PATH_H
#define CABFS_CACHE_UNPACK_PATH_H

#include <glib.h>

/* @bytes may be NULL, which is "".  At most @max bytes, cut between two characters. */
char *cab_unpack_path (const char *bytes, gsize max);

#endif
