/* values.h - a value of the configuration, from text.  Pure.
 *
 * Errors are CAB_ERROR_INVALID and go on after "cache-size: ": what is wrong with the value and what is allowed.  @out
 * is set on success only.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_VALUES_H
#define CABFS_FS_VALUES_H

#include <glib.h>

/* Makes such an error.  Always FALSE, so that a function can return it. */
gboolean cab_value_refuse (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);

/* A number, then K, M, G or T for powers of 1024, or none: bytes. */
gboolean cab_value_size (const char *text, guint64 *out, GError **error);

/* A number, then s, m, h or d, or none for seconds; @min <= it <= @max. */
gboolean cab_value_time (const char *text, gint64 min, gint64 max, gint64 *out_s, GError **error);

/* @min <= it <= @max. */
gboolean cab_value_number (const char *text, guint min, guint max, guint *out, GError **error);

/* yes, true, on, 1; no, false, off, 0. */
gboolean cab_value_flag (const char *text, gboolean *out, GError **error);

/* "5%", 0 to 100, is a share; all else a size. */
gboolean cab_value_share (const char *text, guint *out_percent, guint64 *out_bytes, GError **error);

/* The index of @text in the NULL-terminated @words. */
gboolean cab_value_choice (const char *text, const char *const *words, guint *out, GError **error);

/* A day of the calendar, yyyy-mm-dd. */
gboolean cab_value_date (const char *text, char **out, GError **error);

/* http or https, a host, no user, query or fragment; slashes at the end are taken away. */
gboolean cab_value_url (const char *text, char **out, GError **error);

/* What stands between semicolons, without blanks around it and without empty items.  Never NULL. */
char **cab_value_list (const char *text);

#endif
