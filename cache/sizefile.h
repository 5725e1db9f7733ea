/* sizefile.h - the lines of a .sizes file.  Pure.
 *
 * "id size md5 check": md5 is 32 hexadecimal digits or "-", check the first eight of an MD5 over what stands before
 * it.  Lines are only ever appended; one that is torn or damaged is passed over, as are empty ones: whoever appends
 * begins with one, so that a torn line does not spoil his.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CACHE_SIZEFILE_H
#define CABFS_CACHE_SIZEFILE_H

#include <glib.h>

/* @md5 may be NULL. */
void cab_sizefile_append (GString *text, const char *id, guint64 size, const char *md5);

typedef void (*CabSizeLine) (gpointer data, const char *id, guint64 size, const char *md5);

/* Calls @func for each good line; the number of bad ones. */
guint cab_sizefile_parse (const char *text, gsize len, CabSizeLine func, gpointer data);

#endif
