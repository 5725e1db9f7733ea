/* SPDX-License-Identifier: MIT */
#include "client/times.h"

#include <string.h>
#include <time.h>

#define YEAR_FIRST 1601
#define YEAR_LAST  9999

typedef struct {
  int year, month, day, hour, minute, second;
} Parts;

/* --- reading ------------------------------------------------------------------------------------------------- */

static const char *skip_blanks (const char *p) {
  while (*p == ' ' || *p == '\t')
    p++;
  return p;
}

/* Reads @min to @max digits; moves @p behind them. */
static gboolean read_number (const char **p, int min, int max, int *out) {
  int n = 0;
  int value = 0;
  for (; n < max && g_ascii_isdigit (**p); n++, (*p)++)
    value = value * 10 + (**p - '0');
  *out = value;
  return n >= min && !g_ascii_isdigit (**p);
}

static gboolean read_char (const char **p, char wanted) {
  if (**p != wanted)
    return FALSE;
  (*p)++;
  return TRUE;
}

static int days_in_month (int year, int month) {
  static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  gboolean leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return days[month - 1] + (month == 2 && leap ? 1 : 0);
}

static gint64 to_seconds (const Parts *parts) {
  if (parts->year < YEAR_FIRST || parts->year > YEAR_LAST || parts->month < 1 || parts->month > 12 ||
      parts->day < 1 || parts->day > days_in_month (parts->year, parts->month))
    return CAB_TIME_UNKNOWN;
  /* 60: a leap second, which Unix time counts as the first second of the next minute. */
  if (parts->hour > 23 || parts->minute > 59 || parts->second > 60)
    return CAB_TIME_UNKNOWN;
  struct tm tm = {
      .tm_year = parts->year - 1900,
      .tm_mon = parts->month - 1,
      .tm_mday = parts->day,
      .tm_hour = parts->hour,
      .tm_min = parts->minute,
      .tm_sec = parts->second,
  };
  return timegm (&tm);
}

static gboolean read_date (const char **p, Parts *out) {
  gboolean year_first = strspn (*p, "0123456789") == 4;
  int *order[3] = {&out->month, &out->day, &out->year};
  if (year_first) {
    order[0] = &out->year;
    order[1] = &out->month;
    order[2] = &out->day;
  }
  char separator = '\0';
  for (int i = 0; i < 3; i++) {
    gboolean is_year = order[i] == &out->year;
    if (i == 1)
      separator = **p == '/' ? '/' : '-';
    if (i > 0 && !read_char (p, separator))
      return FALSE;
    if (!read_number (p, is_year ? 4 : 1, is_year ? 4 : 2, order[i]))
      return FALSE;
  }
  return TRUE;
}

static gboolean read_clock (const char **p, Parts *out) {
  if (!read_number (p, 1, 2, &out->hour) || !read_char (p, ':') || !read_number (p, 2, 2, &out->minute))
    return FALSE;
  if (!read_char (p, ':'))
    return TRUE;
  if (!read_number (p, 2, 2, &out->second))
    return FALSE;
  if (!read_char (p, '.'))
    return TRUE;
  gsize digits = strspn (*p, "0123456789");
  *p += digits;
  return digits > 0;
}

/* 'Z' or +hh[[:]mm], or nothing; seconds east of UTC. */
static gboolean read_zone (const char **p, gint64 *east) {
  *east = 0;
  if (read_char (p, 'Z') || read_char (p, 'z') || (**p != '+' && **p != '-'))
    return TRUE;
  int sign = *(*p)++ == '-' ? -1 : 1;
  int hours = 0;
  int minutes = 0;
  if (strspn (*p, "0123456789") == 4) {
    read_number (p, 4, 4, &hours);
    minutes = hours % 100;
    hours /= 100;
  } else if (!read_number (p, 2, 2, &hours) || (read_char (p, ':') && !read_number (p, 2, 2, &minutes))) {
    return FALSE;
  }
  *east = sign * (hours * 60 + minutes) * 60;
  return hours <= 23 && minutes <= 59;
}

gint64 cab_time_parse (const char *text) {
  if (text == NULL)
    return CAB_TIME_UNKNOWN;
  const char *p = skip_blanks (text);
  Parts parts = {0};
  gint64 east = 0;
  if (!read_date (&p, &parts))
    return CAB_TIME_UNKNOWN;
  const char *clock = *p == 'T' || *p == 't' ? p + 1 : skip_blanks (p);
  if (clock > p && *clock != '\0') {
    p = clock;
    if (!read_clock (&p, &parts))
      return CAB_TIME_UNKNOWN;
    p = skip_blanks (p);
    if (!read_zone (&p, &east))
      return CAB_TIME_UNKNOWN;
  }
  if (*skip_blanks (p) != '\0')
    return CAB_TIME_UNKNOWN;
  gint64 seconds = to_seconds (&parts);
  return seconds == CAB_TIME_UNKNOWN ? seconds : seconds - east;
}

/* --- HTTP ---------------------------------------------------------------------------------------------------- */

static gboolean read_name (const char **p, const char *const *names, gsize len, int *index) {
  for (int i = 0; names[i] != NULL; i++) {
    gsize n = len > 0 ? len : strlen (names[i]);
    if (g_ascii_strncasecmp (*p, names[i], n) == 0 && !g_ascii_isalpha ((*p)[n])) {
      *p += n;
      *index = i;
      return TRUE;
    }
  }
  return FALSE;
}

static gboolean read_month (const char **p, int *month) {
  static const char *const names[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul",
                                      "Aug", "Sep", "Oct", "Nov", "Dec", NULL};
  int index = 0;
  gboolean found = read_name (p, names, 0, &index);
  *month = index + 1;
  return found;
}

static gboolean read_http_clock (const char **p, Parts *out) {
  return read_number (p, 2, 2, &out->hour) && read_char (p, ':') && read_number (p, 2, 2, &out->minute) &&
         read_char (p, ':') && read_number (p, 2, 2, &out->second);
}

/* Sun, 06 Nov 1994 08:49:37 GMT; Sunday, 06-Nov-94 08:49:37 GMT */
static gboolean read_http_comma (const char **p, Parts *out) {
  *p = skip_blanks (*p);
  if (!read_number (p, 1, 2, &out->day))
    return FALSE;
  char separator = **p == '-' ? '-' : ' ';
  gboolean ok = read_char (p, separator) && read_month (p, &out->month) && read_char (p, separator);
  gboolean short_year = strspn (*p, "0123456789") == 2;
  if (!ok || !read_number (p, short_year ? 2 : 4, 4, &out->year))
    return FALSE;
  if (short_year)
    out->year += out->year < 70 ? 2000 : 1900;
  ok = read_char (p, ' ') && read_http_clock (p, out) && read_char (p, ' ');
  if (!ok || (g_ascii_strncasecmp (*p, "GMT", 3) != 0 && g_ascii_strncasecmp (*p, "UTC", 3) != 0))
    return FALSE;
  *p += 3;
  return TRUE;
}

/* Sun Nov  6 08:49:37 1994 */
static gboolean read_http_asctime (const char **p, Parts *out) {
  *p = skip_blanks (*p);
  if (!read_month (p, &out->month))
    return FALSE;
  *p = skip_blanks (*p);
  return read_number (p, 1, 2, &out->day) && read_char (p, ' ') && read_http_clock (p, out) &&
         read_char (p, ' ') && read_number (p, 4, 4, &out->year);
}

gint64 cab_time_parse_http (const char *text) {
  static const char *const days[] = {"Sunday",   "Monday", "Tuesday",  "Wednesday",
                                     "Thursday", "Friday", "Saturday", NULL};
  if (text == NULL)
    return CAB_TIME_UNKNOWN;
  const char *p = skip_blanks (text);
  Parts parts = {0};
  int weekday;
  if (!read_name (&p, days, 3, &weekday) && !read_name (&p, days, 0, &weekday))
    return CAB_TIME_UNKNOWN;
  gboolean ok = read_char (&p, ',') ? read_http_comma (&p, &parts) : read_http_asctime (&p, &parts);
  return ok && *skip_blanks (p) == '\0' ? to_seconds (&parts) : CAB_TIME_UNKNOWN;
}

gint64 cab_time_parse_retry_after (const char *text, gint64 now) {
  if (text == NULL)
    return -1;
  const char *p = skip_blanks (text);
  gsize digits = strspn (p, "0123456789");
  if (digits > 0 && *skip_blanks (p + digits) == '\0')
    return (gint64)MIN (g_ascii_strtoull (p, NULL, 10), (guint64)G_MAXINT32);
  gint64 when = cab_time_parse_http (text);
  if (when == CAB_TIME_UNKNOWN)
    return -1;
  return MAX (when - now, 0);
}

/* --- writing ------------------------------------------------------------------------------------------------- */

/* What four digits of a year cannot say is moved to the nearest that they can. */
static Parts to_parts (gint64 when) {
  const Parts first = {YEAR_FIRST, 1, 1, 0, 0, 0};
  const Parts last = {YEAR_LAST, 12, 31, 23, 59, 59};
  time_t seconds = CLAMP (when, to_seconds (&first), to_seconds (&last));
  struct tm tm;
  gmtime_r (&seconds, &tm);
  return (Parts){tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec};
}

char *cab_time_format_day (gint64 when, CabDateForm form) {
  Parts parts = to_parts (when);
  if (form == CAB_DATE_MDY)
    return g_strdup_printf ("%02d/%02d/%04d", parts.month, parts.day, parts.year);
  return g_strdup_printf ("%04d-%02d-%02d", parts.year, parts.month, parts.day);
}

char *cab_time_format_iso (gint64 when) {
  Parts parts = to_parts (when);
  return g_strdup_printf ("%04d-%02d-%02dT%02d:%02d:%02dZ", parts.year, parts.month, parts.day, parts.hour,
                          parts.minute, parts.second);
}

char *cab_time_format_basic (gint64 when) {
  Parts parts = to_parts (when);
  return g_strdup_printf ("%04d%02d%02dT%02d%02d%02dZ", parts.year, parts.month, parts.day, parts.hour,
                          parts.minute, parts.second);
}

gint64 cab_time_parse_basic (const char *text) {
  int n[6];
  static const int widths[] = {4, 2, 2, 2, 2, 2};
  const char *p = text;
  for (int i = 0; i < 6; i++) {
    if (i == 3 && !read_char (&p, 'T'))
      return CAB_TIME_UNKNOWN;
    n[i] = 0;
    for (int digit = 0; digit < widths[i]; digit++, p++) {
      if (!g_ascii_isdigit (*p))
        return CAB_TIME_UNKNOWN;
      n[i] = n[i] * 10 + (*p - '0');
    }
  }
  if (strcmp (p, "Z") != 0 || n[5] > 59)
    return CAB_TIME_UNKNOWN;
  return to_seconds (&(Parts){n[0], n[1], n[2], n[3], n[4], n[5]});
}
