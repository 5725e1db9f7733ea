/* dates.h - dates as the services write and read them (api-contract.md 3.4).  Pure.
 *
 * Written apart from the client's own reader on purpose: the one checks the other.  Seconds are Unix seconds, UTC.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_EMULATOR_DATES_H
#define CABFS_EMULATOR_DATES_H

#include <glib.h>

#define EMU_DAY ((gint64) 86400)

/* How a date is written. */
typedef enum {
  EMU_DATE_BLANK,    /* 2026-11-02 03:04:05 */
  EMU_DATE_DAY,      /* 2026-11-02 */
  EMU_DATE_SLASHES,  /* 2026/11/02 */
  EMU_DATE_US,       /* 11/02/2026 */
  EMU_DATE_US_SHORT, /* 11/2/2026 */
  EMU_DATE_T,        /* 2026-11-02T03:04:05 */
  EMU_DATE_Z,        /* 2026-11-02T03:04:05Z */
  EMU_DATE_FRACTION, /* 2026-11-02T03:04:05.1234567Z */
  EMU_DATE_OFFSET,   /* 2026-11-02T05:34:05+02:30 */
  EMU_DATE_COMPACT,  /* 20261102 */
  EMU_DATE_HTTP,     /* Mon, 02 Nov 2026 03:04:05 GMT */
} EmuDateForm;

/* New text. */
char *emu_date_text (gint64 seconds, EmuDateForm form);

/* Any form a request may hold: yyyy-mm-dd, yyyy/mm/dd, m/d/yyyy, mm-dd-yyyy, each with or without a time after a
 * blank or 'T', a fraction and a 'Z'.  @has_time may be NULL. */
gboolean emu_date_parse (const char *text, gint64 *seconds, gboolean *has_time);

/* The RFC 1123 form of HTTP headers. */
gboolean emu_date_parse_http (const char *text, gint64 *seconds);

/* `se` and `st` of a SAS: a day, a day and minutes, a day and seconds with or without a fraction; Z at the end. */
gboolean emu_date_parse_sas (const char *text, gint64 *ms);

/* The start of the day, and of the bucket "hour", "day", "week" (Monday) or "month" of @seconds. */
gint64 emu_date_midnight (gint64 seconds);
gint64 emu_date_bucket (gint64 seconds, const char *level);

#endif
