/* SPDX-License-Identifier: MIT */
#include "client/times.h"

#define NONE CAB_TIME_UNKNOWN

typedef struct {
  const char *text;
  gint64 seconds;
} Case;

static const Case dates[] = {
    /* every form of the specification */
    {"2017-05-07 13:53:43", 1494165223},
    {"2017-05-07T13:53:43", 1494165223},
    {"2017-05-07T13:53:43Z", 1494165223},
    {"2017-05-07t13:53:43z", 1494165223},
    {"2017/05/07 13:53:43", 1494165223},
    {"05/07/2017 13:53:43", 1494165223},
    {"5/7/2017 13:53:43", 1494165223},
    {"05-07-2017", 1494115200},
    {"2017-05-07", 1494115200},
    {"2017/05/07", 1494115200},
    {"05/07/2017", 1494115200},
    {"2017-05-07 13:53", 1494165180},
    {"2017-05-07T13:53Z", 1494165180},
    {"2017-05-07 3:53:43", 1494129223},
    {"2017-05-07T13:53:43.1234567Z", 1494165223},
    {"2017-05-07T13:53:43.9", 1494165223},
    {"2017-05-07T15:53:43+02:00", 1494165223},
    {"2017-05-07T15:53:43 +0200", 1494165223},
    {"2017-05-07T09:23:43-04:30", 1494165223},
    {"2017-05-07T15:53:43+02", 1494165223},
    {"2017-05-07  13:53:43", 1494165223},
    {"  2017-05-07 13:53:43\t", 1494165223},
    {"2017-05-07 ", 1494115200},
    /* the calendar */
    {"1970-01-01", 0},
    {"1969-12-31 23:59:59", -1},
    {"2000-02-29", 951782400},
    {"2016-02-29", 1456704000},
    {"2017-02-28T24:00:00", NONE},
    {"2016-12-31T23:59:60Z", 1483228800},
    {"2038-01-19T03:14:08Z", G_GINT64_CONSTANT (2147483648)},
    {"1601-01-01", G_GINT64_CONSTANT (-11644473600)},
    {"9999-12-31 23:59:59", G_GINT64_CONSTANT (253402300799)},
    {"1900-02-29", NONE},
    {"2017-02-29", NONE},
    {"2017-02-31", NONE},
    {"2017-04-31", NONE},
    {"2017-13-01", NONE},
    {"13/01/2017", NONE},
    {"2017-00-01", NONE},
    {"2017-01-00", NONE},
    {"1600-12-31", NONE},
    {"0001-01-01T00:00:00", NONE},
    {"10000-01-01", NONE},
    {"2017-05-07 23:60:00", NONE},
    {"2017-05-07 23:59:61", NONE},
    {"2017-05-07T13:53:43+24:00", NONE},
    {"2017-05-07T13:53:43+02:60", NONE},
    /* anything else */
    {NULL, NONE},
    {"", NONE},
    {" ", NONE},
    {"yesterday", NONE},
    {"1494165223", NONE},
    {"2017", NONE},
    {"2017-05", NONE},
    {"2017-05/07", NONE},
    {"2017.05.07", NONE},
    {"17-05-07", NONE},
    {"2017-05-07T", NONE},
    {"2017-05-07 13", NONE},
    {"2017-05-07 13:5", NONE},
    {"2017-05-07 13:53:", NONE},
    {"2017-05-07 13:53:43.", NONE},
    {"2017-05-07 13:53:43 PM", NONE},
    {"2017-05-07T13:53:43+", NONE},
    {"2017-05-07T13:53:43+2", NONE},
    {"2017-05-07T13:53:43+02:", NONE},
    {"2017-05-07T13:53:43ZZ", NONE},
    {"2017-05-07Z", NONE},
    {"-2017-05-07", NONE},
    {"2017-05-071", NONE},
    {"2017-05-07 113:53:43", NONE},
};

static void test_dates (void) {
  for (gsize i = 0; i < G_N_ELEMENTS (dates); i++) {
    gint64 got = cab_time_parse (dates[i].text);
    if (got != dates[i].seconds)
      g_test_message ("\"%s\"", dates[i].text);
    g_assert_cmpint (got, ==, dates[i].seconds);
  }
}

static const Case http_dates[] = {
    {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
    {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
    {"Sun Nov  6 08:49:37 1994", 784111777},
    {"Wed Nov 16 08:49:37 1994", 784975777},
    {"sun, 06 nov 1994 08:49:37 gmt", 784111777},
    {"  Sun, 06 Nov 1994 08:49:37 GMT ", 784111777},
    {"Sun, 6 Nov 1994 08:49:37 GMT", 784111777},
    {"Sat, 21 Nov 2026 10:00:00 UTC", 1795255200},
    {"Saturday, 21-Nov-26 10:00:00 GMT", 1795255200},
    {NULL, NONE},
    {"", NONE},
    {"06 Nov 1994 08:49:37 GMT", NONE},
    {"Xyz, 06 Nov 1994 08:49:37 GMT", NONE},
    {"Sun, 06 Nox 1994 08:49:37 GMT", NONE},
    {"Sun, 31 Feb 1994 08:49:37 GMT", NONE},
    {"Sun, 06 Nov 1994 08:49:37 PST", NONE},
    {"Sun, 06 Nov 1994 08:49:37", NONE},
    {"Sun, 06 Nov 1994 8:49:37 GMT", NONE},
    {"Sun, 06 Nov 1994 08:49:37 GMT+1", NONE},
    {"Sun, 06 Nov 194 08:49:37 GMT", NONE},
    {"Sun Nov  6 08:49:37 94", NONE},
};

static void test_http_dates (void) {
  for (gsize i = 0; i < G_N_ELEMENTS (http_dates); i++) {
    gint64 got = cab_time_parse_http (http_dates[i].text);
    if (got != http_dates[i].seconds)
      g_test_message ("\"%s\"", http_dates[i].text);
    g_assert_cmpint (got, ==, http_dates[i].seconds);
  }
}

static void test_retry_after (void) {
  const Case cases[] = {
      {"0", 0},
      {"120", 120},
      {" 7 ", 7},
      {"99999999999999999999999", G_MAXINT32},
      {"Sun, 06 Nov 1994 08:49:37 GMT", 37},
      {"Sun, 06 Nov 1994 08:48:00 GMT", 0},
      {NULL, -1},
      {"", -1},
      {"-5", -1},
      {"+5", -1},
      {"1.5", -1},
      {"5 s", -1},
      {"soon", -1},
  };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    g_assert_cmpint (cab_time_parse_retry_after (cases[i].text, 784111740), ==, cases[i].seconds);
}

static void check_text (char *got, const char *expected) {
  g_assert_cmpstr (got, ==, expected);
  g_free (got);
}

static void test_format (void) {
  check_text (cab_time_format_day (1494165223, CAB_DATE_YMD), "2017-05-07");
  check_text (cab_time_format_day (1494165223, CAB_DATE_MDY), "05/07/2017");
  check_text (cab_time_format_day (1494201599, CAB_DATE_YMD), "2017-05-07");
  check_text (cab_time_format_day (1494201600, CAB_DATE_YMD), "2017-05-08");
  check_text (cab_time_format_day (-1, CAB_DATE_YMD), "1969-12-31");
  check_text (cab_time_format_iso (1494165223), "2017-05-07T13:53:43Z");
  check_text (cab_time_format_basic (1494165223), "20170507T135343Z");
  /* what has no four-digit year */
  check_text (cab_time_format_basic (CAB_TIME_UNKNOWN), "16010101T000000Z");
  check_text (cab_time_format_basic (G_MAXINT64), "99991231T235959Z");
}

static void test_basic (void) {
  const Case cases[] = {
      {"20170507T135343Z", 1494165223}, {"20160229T000000Z", 1456704000}, {"", NONE},
      {"20170507T135343", NONE},        {"20170507T135343ZZ", NONE},      {"20170507 135343Z", NONE},
      {"2017-05-07T13:53:43Z", NONE},   {"20170229T000000Z", NONE},       {"20170507T245343Z", NONE},
      {"20170507T135360Z", NONE},       {" 0170507T135343Z", NONE},       {"lost+found", NONE},
  };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    g_assert_cmpint (cab_time_parse_basic (cases[i].text), ==, cases[i].seconds);
}

/* Every day of the range there and back, in each form, through an independent count of days. */
static void test_calendar (void) {
  for (gint64 day = -134774; day < 2932897; day += 97) {
    g_autoptr (GDateTime) epoch = g_date_time_new_from_unix_utc (0);
    g_autoptr (GDateTime) date = g_date_time_add_days (epoch, (gint) day);
    g_autofree char *expected = g_date_time_format (date, "%Y-%m-%d");
    g_autofree char *ymd = cab_time_format_day (day * 86400 + 5, CAB_DATE_YMD);
    g_autofree char *mdy = cab_time_format_day (day * 86400 + 5, CAB_DATE_MDY);
    g_autofree char *basic = cab_time_format_basic (day * 86400 + 5);
    g_assert_cmpstr (ymd, ==, expected);
    g_assert_cmpint (cab_time_parse (ymd), ==, day * 86400);
    g_assert_cmpint (cab_time_parse (mdy), ==, day * 86400);
    g_assert_cmpint (cab_time_parse_basic (basic), ==, day * 86400 + 5);
  }
}

int main (int argc, char **argv) {
  /* Nothing may depend on where the machine stands. */
  g_setenv ("TZ", "America/New_York", TRUE);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/times/dates", test_dates);
  g_test_add_func ("/times/http", test_http_dates);
  g_test_add_func ("/times/retry-after", test_retry_after);
  g_test_add_func ("/times/format", test_format);
  g_test_add_func ("/times/basic", test_basic);
  g_test_add_func ("/times/calendar", test_calendar);
  return g_test_run ();
}
