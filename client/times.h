/* times.h - the dates of the services, in and out.  Pure.
 *
 * Seconds are Unix seconds, UTC; CAB_TIME_UNKNOWN stands for what cannot be read.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_TIMES_H
#define CABFS_CLIENT_TIMES_H

#include "client/records.h" /* CAB_TIME_UNKNOWN */

/* Any form of api-contract.md 3.4: yyyy-mm-dd or yyyy/mm/dd or mm/dd/yyyy, then 'T' or blanks and hh:mm[:ss[.fraction]],
 * then 'Z' or an offset; without one it is UTC.  CAB_TIME_UNKNOWN for NULL and for anything else. */
gint64 cab_time_parse (const char *text);

/* A date in an HTTP header, RFC 9110 5.6.7 (all three forms). */
gint64 cab_time_parse_http (const char *text);

/* Retry-After, RFC 9110 10.2.3: seconds to wait from @now; -1 if @text is neither seconds nor a date.  A date that
 * has passed is 0. */
gint64 cab_time_parse_retry_after (const char *text, gint64 now);

typedef enum {
  CAB_DATE_YMD, /* 2017-05-07: details, batch */
  CAB_DATE_MDY, /* 05/07/2017: hits */
} CabDateForm;

/* The UTC day of @when. */
char *cab_time_format_day (gint64 when, CabDateForm form);

/* 2017-05-07T13:53:43Z, and without separators, 20170507T135343Z, as the cache names its directories. */
char *cab_time_format_iso (gint64 when);
char *cab_time_format_basic (gint64 when);

/* The inverse of cab_time_format_basic(), which takes nothing else. */
gint64 cab_time_parse_basic (const char *text);

#endif
