/* text.h - how both programs write sizes and lines for people: in the log, to a service manager, at a terminal; and how
 * they read what is written elsewhere.  Pure but for that.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_TEXT_H
#define CABFS_FS_TEXT_H

#include <glib.h>

/* "6406 B", "1.5 MiB": the largest unit of which it is at least one, with a tenth, so that columns of them stand
 * still. */
char *cab_text_size (guint64 bytes);

/* "120.0 of 384.0 MiB": both in the unit of @all. */
char *cab_text_part (guint64 bytes, guint64 all);

/* What can be read from @fd until its end: the size of a file that is made while it is read tells little.  NULL with errno,
 * EFBIG if there are more than @most bytes. */
GString *cab_text_read (int fd, gsize most);

/* Adds a line, owned, to @lines. */
void cab_text_add_line (GPtrArray *lines, const char *format, ...) G_GNUC_PRINTF (2, 3);

#endif
