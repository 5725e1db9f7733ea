/* ctl-text.h - how cabfsctl writes names and times, for people.  Pure, but for the character set of the locale.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_CTL_TEXT_H
#define CABFS_FS_CTL_TEXT_H

#include <glib.h>

/* @name as it may be printed: control characters, bytes that are no text, a backslash, and what the terminal's
 * character set has not, as "\n", "\t", "\\", or "\ooo" for each byte. */
char *cab_ctl_quote (const char *name);

/* "0:07", "1:02:03". */
char *cab_ctl_duration (guint64 seconds);

/* "[#####---------------]" of @width columns, the brackets included; @part of @whole.  An unknown @whole, 0, is an
 * empty bar, unless @part is 0 too: nothing of nothing is all. */
char *cab_ctl_bar (guint64 part, guint64 whole, guint width);

/* Columns that @text, which is printable, takes at a terminal. */
guint cab_ctl_columns (const char *text);

/* As much of @text as @columns have room for: its end, after "...", or with @keep_start its beginning. */
char *cab_ctl_fit (const char *text, guint columns, gboolean keep_start);

#endif
