/* SPDX-License-Identifier: MIT */
#include "tests/emulator/dates.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *const forms[] = {
    [EMU_DATE_BLANK] = "%Y-%m-%d %H:%M:%S",
    [EMU_DATE_DAY] = "%Y-%m-%d",
    [EMU_DATE_SLASHES] = "%Y/%m/%d",
    [EMU_DATE_US] = "%m/%d/%Y",
    [EMU_DATE_US_SHORT] = "%-m/%-d/%Y",
    [EMU_DATE_T] = "%Y-%m-%dT%H:%M:%S",
    [EMU_DATE_Z] = "%Y-%m-%dT%H:%M:%SZ",
    [EMU_DATE_FRACTION] = "%Y-%m-%dT%H:%M:%S.1234567Z",
    [EMU_DATE_OFFSET] = "%Y-%m-%dT%H:%M:%S+02:30",
    [EMU_DATE_COMPACT] = "%Y%m%d",
    [EMU_DATE_HTTP] = "%a, %d %b %Y %H:%M:%S GMT",
};

char *emu_date_text (gint64 seconds, EmuDateForm form) {
  if (form == EMU_DATE_OFFSET)
    seconds += 2 * 3600 + 30 * 60;
  g_autoptr (GDateTime) time = g_date_time_new_from_unix_utc (seconds);
  if (time == NULL)
    return g_strdup ("");
  /* Without a locale set, names of days and months are the English ones HTTP wants. */
  return g_date_time_format (time, forms[form]);
}

/* Reads digits of one number, at least one and at most @most. */
static gboolean number (const char **text, guint most, int *out) {
  guint digits = 0;
  *out = 0;
  while (digits < most && g_ascii_isdigit (**text)) {
    *out = *out * 10 + g_ascii_digit_value (**text);
    (*text)++;
    digits++;
  }
  return digits > 0;
}

static gboolean separator (const char **text, char *kind) {
  if ((**text != '-' && **text != '/') || (*kind != 0 && **text != *kind))
    return FALSE;
  *kind = *(*text)++;
  return TRUE;
}

/* yyyy-mm-dd, or mm-dd-yyyy with either separator, both the same. */
static gboolean day (const char **text, int *year, int *month, int *mday) {
  int a, b, c;
  char kind = 0;
  const char *start = *text;
  if (!number (text, 4, &a))
    return FALSE;
  gboolean year_first = *text - start == 4;
  if (!separator (text, &kind) || !number (text, 2, &b) || !separator (text, &kind))
    return FALSE;
  start = *text;
  if (!number (text, year_first ? 2 : 4, &c) || (!year_first && *text - start != 4))
    return FALSE;
  *year = year_first ? a : c;
  *month = year_first ? b : a;
  *mday = year_first ? c : b;
  return TRUE;
}

/* hh:mm[:ss[.fraction]][Z]; the fraction is told in milliseconds. */
static gboolean clock_time (const char **text, int *hour, int *minute, int *second, int *ms) {
  if (!number (text, 2, hour) || *(*text)++ != ':' || !number (text, 2, minute))
    return FALSE;
  if (**text == ':') {
    (*text)++;
    if (!number (text, 2, second))
      return FALSE;
    if (**text == '.') {
      int scale = 100;
      for ((*text)++; g_ascii_isdigit (**text); (*text)++, scale /= 10)
        *ms += g_ascii_digit_value (**text) * scale;
    }
  }
  return TRUE;
}

static gboolean parse (const char *text, gint64 *ms, gboolean *has_time, gboolean *has_zone) {
  int year, month, mday, hour = 0, minute = 0, second = 0, fraction = 0;
  if (!day (&text, &year, &month, &mday))
    return FALSE;
  *has_time = *text == 'T' || *text == ' ';
  if (*has_time) {
    text++;
    if (!clock_time (&text, &hour, &minute, &second, &fraction))
      return FALSE;
  }
  *has_zone = *text == 'Z';
  if (*has_zone)
    text++;
  g_autoptr (GDateTime) time =
      *text == '\0' ? g_date_time_new_utc (year, month, mday, hour, minute, second) : NULL;
  if (time == NULL)
    return FALSE;
  *ms = g_date_time_to_unix (time) * 1000 + fraction;
  return TRUE;
}

gboolean emu_date_parse (const char *text, gint64 *seconds, gboolean *has_time) {
  gint64 ms;
  gboolean timed, zone;
  if (!parse (text, &ms, &timed, &zone))
    return FALSE;
  *seconds = ms / 1000;
  if (has_time != NULL)
    *has_time = timed;
  return TRUE;
}

gboolean emu_date_parse_sas (const char *text, gint64 *ms) {
  gboolean timed, zone;
  return strchr (text, '/') == NULL && parse (text, ms, &timed, &zone) && (zone || !timed);
}

gboolean emu_date_parse_http (const char *text, gint64 *seconds) {
  struct tm tm = {0};
  const char *end = strptime (text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
  if (end == NULL || *end != '\0')
    return FALSE;
  *seconds = (gint64) timegm (&tm);
  return TRUE;
}

gint64 emu_date_midnight (gint64 seconds) {
  return seconds - ((seconds % EMU_DAY) + EMU_DAY) % EMU_DAY;
}

gint64 emu_date_bucket (gint64 seconds, const char *level) {
  g_autoptr (GDateTime) time = g_date_time_new_from_unix_utc (seconds);
  gint64 midnight = emu_date_midnight (seconds);
  if (g_strcmp0 (level, "week") == 0)
    return midnight - (g_date_time_get_day_of_week (time) - 1) * EMU_DAY;
  if (g_strcmp0 (level, "month") == 0)
    return midnight - (g_date_time_get_day_of_month (time) - 1) * EMU_DAY;
  if (g_strcmp0 (level, "hour") == 0)
    return seconds - seconds % 3600;
  return midnight;
}
