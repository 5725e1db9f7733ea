/* SPDX-License-Identifier: MIT */
#include "client/api.h"
#include "client/error.h"
#include "tests/unit/field.h"

#include <string.h>

#define APPLICATION "14000000000000001"
#define FAILURE     "0f0e0d0c-0b0a-0908-0706-050403020100"

/* The members are not const, the strings are never written. */
#define TEXT(literal) ((char *) (guintptr) (literal))

static CabScope cab_list = {TEXT ("driver"), TEXT (APPLICATION), TEXT (FAILURE)};
static CabScope failure_list = {TEXT ("driver"), TEXT (APPLICATION), NULL};

#define DESKTOP_APPLICATION "10238467886765136388"
#define DESKTOP_FAILURE     "1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed"
#define STORE_APPLICATION   "9NBLGGGZ5QDR"
#define STORE_FAILURE       "07c94f42-fed1-4c1f-9d6e-5a3b2c1d0e0f"

/* What is asked in a folder of tests/unit/api/, by the word that its name begins with. */
static const struct {
  const char *word;
  CabScope scope;
  guint way;
} questions[] = {
    {"batch-", {TEXT ("driver"), TEXT (APPLICATION), TEXT (FAILURE)}, 0},
    {"error-", {TEXT ("driver"), TEXT (APPLICATION), TEXT (FAILURE)}, 0},
    {"details-", {TEXT ("driver"), TEXT (APPLICATION), TEXT (FAILURE)}, 1},
    {"hits-", {TEXT ("driver"), TEXT (APPLICATION), NULL}, 0},
    {"products-", {TEXT ("driver"), NULL, NULL}, 0},
    {"desktop-", {TEXT ("desktop"), TEXT (DESKTOP_APPLICATION), TEXT (DESKTOP_FAILURE)}, 0},
    {"desktophits-", {TEXT ("desktop"), TEXT (DESKTOP_APPLICATION), NULL}, 0},
    {"insights-", {TEXT ("desktop"), NULL, NULL}, 0},
    {"store-", {TEXT ("store"), TEXT (STORE_APPLICATION), TEXT (STORE_FAILURE)}, 0},
    {"applications-", {TEXT ("store"), NULL, NULL}, 0},
    {"ihvdriver-", {TEXT ("ihvdriver"), TEXT ("ihvdriver"), TEXT (FAILURE)}, 0},
    {"ihvdriverhits-", {TEXT ("ihvdriver"), TEXT ("ihvdriver"), NULL}, 0},
    {"hardware-", {TEXT ("hardware"), TEXT ("hardware"), TEXT (FAILURE)}, 0},
};

/* --- questions ----------------------------------------------------------------------------------------------- */

static void test_families (void) {
  static const char *const names[] = {"driver", "desktop", "store", "ihvdriver", "hardware"};
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    g_assert_nonnull (cab_family_find (names[i]));
  g_assert_null (cab_family_find ("Driver"));
  g_assert_null (cab_family_find ("xbox"));
  g_assert_null (cab_family_find (NULL));
  CabScope unknown = {TEXT ("xbox"), TEXT ("9NBLGGGZ5QDR"), TEXT (FAILURE)};
  CabScope nothing = {TEXT ("driver"), NULL, TEXT (FAILURE)};
  CabScope no_products = {TEXT ("ihvdriver"), NULL, NULL};
  g_assert_cmpuint (cab_api_ways (&unknown), ==, 0);
  g_assert_cmpuint (cab_api_ways (&nothing), ==, 0);
  g_assert_cmpuint (cab_api_ways (&no_products), ==, 0);
  g_assert_cmpuint (cab_api_ways (&cab_list), ==, 2);
  g_assert_cmpuint (cab_api_ways (&failure_list), ==, 1);
}

static void test_window (void) {
  gint64 now = cab_time_parse ("2017-05-07 13:53:43");
  const struct {
    guint days;
    const char *start, *end, *first, *last;
  } cases[] = {
      {30, NULL, NULL, "2017-04-07", "2017-05-08"},
      {0, NULL, NULL, "2017-05-07", "2017-05-08"},
      {30, "2017-01-02", NULL, "2017-01-02", "2017-05-08"},
      {30, NULL, "2017-05-01", "2017-04-07", "2017-05-01"},
      {30, "2017-01-02", "2017-01-03", "2017-01-02", "2017-01-03"},
      {G_MAXUINT, NULL, NULL, "1601-01-01", "2017-05-08"},
  };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    CabWindow window = cab_window_make (now, cases[i].days, cases[i].start, cases[i].end);
    g_autofree char *first = cab_time_format_day (window.first, CAB_DATE_YMD);
    g_autofree char *last = cab_time_format_day (window.last, CAB_DATE_YMD);
    g_assert_cmpstr (first, ==, cases[i].first);
    g_assert_cmpstr (last, ==, cases[i].last);
  }
}

static const CabScope *question (const char *word) {
  for (gsize i = 0; i < G_N_ELEMENTS (questions); i++)
    if (g_str_equal (questions[i].word, word))
      return &questions[i].scope;
  g_error ("no question %s", word);
}

static void check_path (char *got, const char *expected) {
  g_assert_cmpstr (got, ==, expected);
  g_free (got);
}

static void test_paths (void) {
  CabWindow window = {cab_time_parse ("2017-04-07"), cab_time_parse ("2017-05-08 13:00")};
  check_path (cab_api_list_path (&cab_list, 0, &window, 0),
              "/v1.0/my/analytics/driver/cabdownloadbatch?applicationId=" APPLICATION "&failureHash=" FAILURE
              "&startDate=2017-04-07&endDate=2017-05-08&top=100&skip=0");
  check_path (cab_api_list_path (&cab_list, 0, &window, G_GUINT64_CONSTANT (12345678901)),
              "/v1.0/my/analytics/driver/cabdownloadbatch?applicationId=" APPLICATION "&failureHash=" FAILURE
              "&startDate=2017-04-07&endDate=2017-05-08&top=100&skip=12345678901");
  check_path (cab_api_list_path (&cab_list, 1, &window, 10000),
              "/v1.0/my/analytics/driver/failuredetails?applicationId=" APPLICATION "&failureHash=" FAILURE
              "&startDate=2017-04-07&endDate=2017-05-08&top=10000&skip=10000&orderby=date");
  check_path (cab_api_list_path (&failure_list, 0, &window, 0),
              "/v1.0/my/analytics/driver/failurehits?applicationId=" APPLICATION
              "&startDate=04%2F07%2F2017&endDate=05%2F08%2F2017&top=10000&skip=0"
              "&groupby=failureHash%2CfailureName%2CeventType&aggregationLevel=day");
  static const char *const paths[][2] = {
      {"desktop-", "/v1.0/my/analytics/desktop/failuredetails?applicationId=10238467886765136388"
                   "&failureHash=1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed"
                   "&startDate=2017-04-07&endDate=2017-05-08&top=10000&skip=0&orderby=date"},
      {"desktophits-", "/v1.0/my/analytics/desktop/failurehits?applicationId=10238467886765136388"
                       "&startDate=04%2F07%2F2017&endDate=05%2F08%2F2017&top=10000&skip=0"
                       "&groupby=failureHash%2CfailureName%2CeventType&aggregationLevel=day"},
      {"insights-",
       "/v1.0/my/analytics/desktop/insights?startDate=04%2F07%2F2017&endDate=05%2F08%2F2017"},
      {"store-", "/v1.0/my/analytics/failuredetails?applicationId=9NBLGGGZ5QDR&failureHash=" STORE_FAILURE
                 "&startDate=2017-04-07&endDate=2017-05-08&top=10000&skip=0&orderby=date"},
      {"applications-", "/v1.0/my/applications?top=100&skip=0"},
      {"products-", "/v2.0/my/hardware/products"},
      {"ihvdriver-", "/v1.0/my/analytics/ihvdriver/failuredetails?failureHash=" FAILURE
                     "&startDate=2017-04-07&endDate=2017-05-08&top=10000&skip=0&orderby=date"},
      {"ihvdriverhits-", "/v1.0/my/analytics/ihvdriver/failurehits?startDate=04%2F07%2F2017"
                         "&endDate=05%2F08%2F2017&top=10000&skip=0"
                         "&groupby=failureHash%2CfailureName%2CeventType&aggregationLevel=day"},
      {"hardware-", "/v1.0/my/analytics/hardware/failuredetails?failureHash=" FAILURE
                    "&startDate=2017-04-07&endDate=2017-05-08&top=10000&skip=0&orderby=date"},
  };
  for (gsize i = 0; i < G_N_ELEMENTS (paths); i++)
    check_path (cab_api_list_path (question (paths[i][0]), 0, &window, 0), paths[i][1]);
  CabScope odd = {TEXT ("driver"), TEXT ("1&top=2 #"), TEXT ("\xc3\xa4/..")};
  check_path (
      cab_api_list_path (&odd, 0, &window, 0),
      "/v1.0/my/analytics/driver/cabdownloadbatch?applicationId=1%26top%3D2%20%23&failureHash=%C3%A4%2F.."
      "&startDate=2017-04-07&endDate=2017-05-08&top=100&skip=0");
}

static void test_locate (void) {
  g_assert_cmpint (cab_api_locate_kind (&cab_list, 0), ==, CAB_LOCATE_LIST);
  g_assert_cmpint (cab_api_locate_kind (&cab_list, 1), ==, CAB_LOCATE_REDIRECT);
  g_assert_cmpint (cab_api_locate_kind (&cab_list, 2), ==, CAB_LOCATE_NONE);
  g_assert_cmpint (cab_api_locate_kind (&failure_list, 0), ==, CAB_LOCATE_NONE);
  check_path (cab_api_locate_path (&cab_list, 1, "1111-2222"),
              "/v1.0/my/analytics/driver/cabdownload?applicationId=" APPLICATION "&cabIdHash=1111-2222");
  static const char *const paths[][2] = {
      {"desktop-", "/v1.0/my/analytics/desktop/cabdownload?applicationId=10238467886765136388&cabIdHash=7"},
      {"store-", "/v1.0/my/analytics/cabdownload?applicationId=9NBLGGGZ5QDR&cabId=7"},
      {"ihvdriver-", "/v1.0/my/analytics/ihvdriver/cabdownload?cabIdHash=7"},
      {"hardware-", "/v1.0/my/analytics/hardware/cabdownload?cabIdHash=7"},
  };
  for (gsize i = 0; i < G_N_ELEMENTS (paths); i++) {
    g_assert_cmpint (cab_api_locate_kind (question (paths[i][0]), 0), ==, CAB_LOCATE_REDIRECT);
    check_path (cab_api_locate_path (question (paths[i][0]), 0, "7"), paths[i][1]);
  }
}

static void test_none (void) {
  g_assert_true (cab_api_is_empty (question ("applications-"), 0, 404));
  g_assert_false (cab_api_is_empty (question ("applications-"), 0, 403));
  g_assert_false (cab_api_is_empty (question ("applications-"), 0, 0));
  g_assert_false (cab_api_is_empty (question ("products-"), 0, 404));
  g_assert_false (cab_api_is_empty (question ("products-"), 0, 0));
  g_assert_false (cab_api_is_empty (question ("store-"), 0, 404));
  g_assert_false (cab_api_is_empty (question ("store-"), 1, 404));
}

/* --- answers: a folder each ---------------------------------------------------------------------------------- */

static void append_field (gpointer data, const char *name, const char *value) {
  g_autofree char *escaped = g_strescape (value, NULL);
  g_string_append_printf (data, "  %s=%s\n", name, escaped);
}

static void append_time (GString *text, const char *name, gint64 when) {
  g_autofree char *iso = when != CAB_TIME_UNKNOWN ? cab_time_format_iso (when) : g_strdup ("unknown");
  g_string_append_printf (text, " %s=%s", name, iso);
}

static void append_records (GString *text, const CabRecords *records) {
  for (guint i = 0; i < cab_records_count (records); i++) {
    CabRecord record;
    cab_records_get (records, i, &record);
    g_autofree char *url = cab_records_url (records, i);
    g_string_append (text, record.id);
    append_time (text, "date", record.date);
    append_time (text, "expires", record.expires);
    g_string_append_printf (text, " downloadable=%s\n", record.downloadable ? "yes" : "no");
    if (url != NULL)
      g_string_append_printf (text, "  %s\n", url);
    cab_records_foreach_field (records, i, append_field, text);
  }
  g_string_append_printf (text, "skipped %u\n", cab_records_skipped (records));
}

/* Parses one file of the case; FALSE if there is none. */
static gboolean parse_file (const char *folder, const char *file, const CabScope *scope, guint way,
                            CabRecordsBuilder *builder, GString *text) {
  g_autofree char *path = g_build_filename (folder, file, NULL);
  g_autofree char *bytes = NULL;
  gsize len;
  if (!g_file_get_contents (path, &bytes, &len, NULL))
    return FALSE;
  /* Exactly as large as the answer, so that the sanitizers see a step beyond it. */
  g_autofree char *exact = g_memdup2 (bytes, len);
  g_autoptr (GError) error = NULL;
  CabPage page = {99, 99, FALSE, NULL};
  if (cab_api_parse_page (scope, way, exact, len, builder, &page, &error)) {
    g_string_append_printf (text, "page rows=%u added=%u last=%s\n", page.rows, page.added,
                            page.last ? "yes" : "no");
    if (page.next != NULL)
      g_string_append_printf (text, "next %s\n", page.next);
    g_free (page.next);
  } else {
    g_assert_error (error, CAB_ERROR, CAB_ERROR_INVALID);
    g_assert_cmpuint (page.rows, ==, 99);
    /* Where it happened is the business of test-json.c. */
    const char *where = strstr (error->message, " (about byte ");
    gssize message_len = where != NULL ? where - error->message : (gssize) strlen (error->message);
    g_string_append (text, "error: ");
    g_string_append_len (text, error->message, message_len);
    g_string_append_c (text, '\n');
  }
  return TRUE;
}

static void test_answer (gconstpointer data) {
  const char *folder = data;
  g_autofree char *name = g_path_get_basename (folder);
  gsize q = 0;
  while (q < G_N_ELEMENTS (questions) && !g_str_has_prefix (name, questions[q].word))
    q++;
  g_assert_cmpuint (q, <, G_N_ELEMENTS (questions));
  const CabScope *scope = &questions[q].scope;
  guint way = questions[q].way;
  g_autoptr (GString) text = g_string_new (NULL);
  CabRecordsBuilder *builder = cab_records_builder_new ();
  g_assert_true (parse_file (folder, "answer.json", scope, way, builder, text));
  parse_file (folder, "answer-2.json", scope, way, builder, text);
  g_autoptr (CabRecords) records = cab_records_builder_end (builder);
  append_records (text, records);
  g_autofree char *path = g_build_filename (folder, "expected.txt", NULL);
  g_autofree char *expected = NULL;
  g_assert_true (g_file_get_contents (path, &expected, NULL, NULL));
  g_assert_cmpstr (text->str, ==, expected);
  /* What goes to disk holds no part of an address. */
  g_autoptr (GBytes) saved = cab_records_save (records);
  gsize len;
  const char *bytes = g_bytes_get_data (saved, &len);
  g_assert_null (memmem (bytes, len, "://", 3));
  g_assert_null (memmem (bytes, len, "sig=", 4));
}

static void add_answers (void) {
  g_autofree char *root = g_build_filename (g_test_get_dir (G_TEST_DIST), "api", NULL);
  g_autoptr (GDir) dir = g_dir_open (root, 0, NULL);
  g_assert_nonnull (dir);
  guint n = 0;
  for (const char *name; (name = g_dir_read_name (dir)) != NULL; n++) {
    g_autofree char *test = g_strdup_printf ("/api/answer/%s", name);
    g_test_add_data_func_full (test, g_build_filename (root, name, NULL), test_answer, g_free);
  }
  g_assert_cmpuint (n, >=, 30);
}

/* --- pages --------------------------------------------------------------------------------------------------- */

/* An answer of @n rows from number @first on. */
static char *make_answer (guint first, guint n, const char *more) {
  GString *text = g_string_new ("{\"Value\":[");
  for (guint i = 0; i < n; i++)
    g_string_append_printf (text, "%s{\"cabIdHash\":\"c-%u\",\"cabUrl\":\"https://h/c-%u\"}", i > 0 ? "," : "",
                            first + i, first + i);
  g_string_append_printf (text, "]%s}", more);
  return g_string_free (text, FALSE);
}

/* When a list is over: api-contract.md 3.5, step 3. */
static void test_page_end (void) {
  const struct {
    guint first, n;
    const char *more;
    guint added;
    gboolean last;
  } cases[] = {
      {0, 0, "", 0, TRUE},
      {0, 0, ",\"@nextLink\":\"x\"", 0, TRUE},
      {0, 99, "", 99, TRUE},
      {0, 99, ",\"@nextLink\":null", 99, TRUE},
      {0, 99, ",\"@nextLink\":\"\"", 99, TRUE},
      {0, 99, ",\"@nextLink\":\" \"", 99, TRUE},
      {0, 99, ",\"@nextLink\":{}", 99, TRUE},
      {0, 99, ",\"@nextLink\":\"driver/cabdownloadbatch?a b\"", 99, FALSE},
      {0, 99, ",\"@NEXTLINK\":\"https://evil.example/\"", 99, FALSE},
      {0, 99, ",\"nextLink\":\"x\"", 99, FALSE},
      {0, 99, ",\"TotalCount\":5000", 99, TRUE},
      {0, 100, "", 100, FALSE},
      {0, 101, "", 101, FALSE},
      {0, 100, ",\"TotalCount\":100", 100, FALSE},
      {950, 100, "", 50, FALSE},
      {900, 100, "", 0, TRUE},
      {900, 100, ",\"@nextLink\":\"x\"", 0, TRUE},
      {900, 99, ",\"@nextLink\":\"x\"", 0, TRUE},
  };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *known = make_answer (900, 100, "");
    g_autofree char *answer = make_answer (cases[i].first, cases[i].n, cases[i].more);
    g_autoptr (CabRecordsBuilder) builder = cab_records_builder_new ();
    CabPage page;
    g_assert_true (cab_api_parse_page (&cab_list, 0, known, strlen (known), builder, &page, NULL));
    g_assert_true (cab_api_parse_page (&cab_list, 0, answer, strlen (answer), builder, &page, NULL));
    g_test_message ("case %" G_GSIZE_FORMAT, i);
    g_assert_cmpuint (page.rows, ==, MIN (cases[i].n, 100)); /* `top`: more do not move the next page */
    g_assert_cmpuint (page.added, ==, cases[i].added);
    g_assert_cmpint (page.last, ==, cases[i].last);
  }
}

/* What an answer tells of the pages behind it. */
static void test_page_signs (void) {
  static const struct {
    guint n;
    const char *more;
    guint surplus;
    gboolean linked;
    guint64 link_skip, total;
  } cases[] = {
      {3, "", 0, FALSE, CAB_SKIP_UNKNOWN, 0},
      {3, ",\"TotalCount\":5000", 0, FALSE, CAB_SKIP_UNKNOWN, 5000},
      {3, ",\"totalcount\":\"18446744073709551615\"", 0, FALSE, CAB_SKIP_UNKNOWN, G_MAXUINT64},
      {3, ",\"TotalCount\":-1", 0, FALSE, CAB_SKIP_UNKNOWN, 0},
      {3, ",\"TotalCount\":7.5", 0, FALSE, CAB_SKIP_UNKNOWN, 0},
      {3, ",\"TotalCount\":{}", 0, FALSE, CAB_SKIP_UNKNOWN, 0},
      {3, ",\"@nextLink\":null", 0, FALSE, CAB_SKIP_UNKNOWN, 0},
      {3, ",\"@nextLink\":\"x?top=100&skip=300\"", 0, TRUE, 300, 0},
      {3, ",\"@nextLink\":\"https://h/x?SKIP=300&top=100#f\"", 0, TRUE, 300, 0},
      {3, ",\"@nextLink\":\"x?noskip=1&skip=0\"", 0, TRUE, 0, 0},
      {3, ",\"@nextLink\":\"x&skip=300\"", 0, TRUE, CAB_SKIP_UNKNOWN, 0},
      {3, ",\"@nextLink\":\"x?skip=\"", 0, TRUE, CAB_SKIP_UNKNOWN, 0},
      {3, ",\"@nextLink\":\"x?skip=3e2\"", 0, TRUE, CAB_SKIP_UNKNOWN, 0},
      {3, ",\"@nextLink\":\"x?skip\"", 0, TRUE, CAB_SKIP_UNKNOWN, 0},
      {3, ",\"@nextLink\":\"x?&&=%zz&skip\"", 0, TRUE, CAB_SKIP_UNKNOWN, 0},
      {100, "", 0, FALSE, CAB_SKIP_UNKNOWN, 0},
      {117, "", 17, FALSE, CAB_SKIP_UNKNOWN, 0},
  };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *answer = make_answer (0, cases[i].n, cases[i].more);
    CabPage page;
    g_assert_true (cab_api_parse_page (&cab_list, 0, answer, strlen (answer), NULL, &page, NULL));
    g_test_message ("%s", cases[i].more);
    g_assert_cmpuint (page.rows, ==, MIN (cases[i].n, 100));
    g_assert_cmpuint (page.added, ==, 0);
    g_assert_cmpint (page.last, ==, cases[i].n < 100 && !cases[i].linked);
    g_assert_cmpuint (page.surplus, ==, cases[i].surplus);
    g_assert_cmpint (page.linked, ==, cases[i].linked);
    g_assert_cmpuint (page.link_skip, ==, cases[i].link_skip);
    g_assert_cmpuint (page.total, ==, cases[i].total);
  }
}

/* A page of hits may have no new failure and all the same not be the last: other days of those that are known. */
static void test_page_end_of_hits (void) {
  GString *answers[2];
  for (guint p = 0; p < 2; p++) {
    answers[p] = g_string_new ("{\"Value\":[");
    for (guint i = 0; i < 10000; i++)
      g_string_append_printf (answers[p],
                              "%s{\"failureHash\":\"f-%u\",\"date\":\"2017-%02u-%02u\",\"eventCount\":1}",
                              i > 0 ? "," : "", i % 1000, p + 1, 1 + i / 1000);
    g_string_append (answers[p], "]}");
  }
  CabRecordsBuilder *builder = cab_records_builder_new ();
  const struct {
    guint answer, added;
    gboolean last;
  } steps[] = {{0, 10000, FALSE}, {1, 10000, FALSE}, {1, 0, TRUE}};
  for (gsize i = 0; i < G_N_ELEMENTS (steps); i++) {
    CabPage page;
    const GString *answer = answers[steps[i].answer];
    g_assert_true (cab_api_parse_page (&failure_list, 0, answer->str, answer->len, builder, &page, NULL));
    g_assert_cmpuint (page.added, ==, steps[i].added);
    g_assert_cmpint (page.last, ==, steps[i].last);
  }
  g_autoptr (CabRecords) records = cab_records_builder_end (builder);
  g_assert_cmpuint (cab_records_count (records), ==, 1000);
  g_assert_cmpstr (field_of (records, 500, "eventCount"), ==, "20");
  g_string_free (answers[0], TRUE);
  g_string_free (answers[1], TRUE);
}

static void test_no_such_list (void) {
  CabScope unknown = {TEXT ("xbox"), TEXT ("9NBLGGGZ5QDR"), TEXT (FAILURE)};
  g_autoptr (CabRecordsBuilder) builder = cab_records_builder_new ();
  g_autoptr (GError) error = NULL;
  CabPage page;
  g_assert_false (cab_api_parse_page (&unknown, 0, "{}", 2, builder, &page, &error));
  g_assert_error (error, CAB_ERROR, CAB_ERROR_INVALID);
  g_assert_false (cab_api_parse_page (&failure_list, 1, "{}", 2, builder, &page, NULL));
}

/* --- errors -------------------------------------------------------------------------------------------------- */

#define RUN "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiIsIng1dCI6IkFB"

static const struct {
  const char *body, *correlation, *text, *code;
} errors[] = {
    {"{\"code\":\"BadRequest\",\"message\":\"\",\"source\":\"AnalyticsAPI\",\"data\":[],\"details\":[],"
     "\"innererror\":"
     "{\"code\":\"InvalidQueryParameters\",\"message\":\"One or more query parameters are invalid.\",\"data\":"
     "[\"top cannot be more than 10000 rows per request\"],\"details\":[]}}",
     NULL,
     "BadRequest/InvalidQueryParameters: One or more query parameters are invalid. top cannot be more than "
     "10000 rows "
     "per request",
     "InvalidQueryParameters"},
    {"{\"code\":\"Forbidden\",\"message\":\"\",\"innererror\":{\"code\":\"Forbidden\",\"message\":\"User "
     "UnauthorizedException EC5\"}}",
     "8a7c-11", "Forbidden: User UnauthorizedException EC5 (correlation id 8a7c-11)", "Forbidden"},
    {"{\"code\":\"InternalServerError\",\"message\":\"m\",\"innererror\":{\"data\":[]}}", NULL,
     "InternalServerError: m", "InternalServerError"},
    {"{\"Code\":\"X\",\"innererror\":null}", NULL, "X", "X"},
    {"{\"statusCode\":500,\"message\":\"Internal server error\",\"activityId\":\"12-34\"}", NULL,
     "Internal server error (correlation id 12-34)", NULL},
    {"{\"statusCode\":500,\"message\":\"Internal server error\",\"activityId\":\"12-34\"}", "56-78",
     "Internal server error (correlation id 56-78)", NULL},
    {"{\"error\":{\"code\":\"InvalidInput\",\"message\":\"bad\",\"validationErrors\":[]}}", NULL,
     "InvalidInput: bad", "InvalidInput"},
    {"{\"data\":null,\"errors\":[{\"code\":\"E1\",\"message\":\"first\"},{\"code\":\"E2\"}]}", NULL,
     "E1: first", "E1"},
    {"{\"data\":null,\"errors\":[\"only words\"]}", NULL, "only words", NULL},
    {"{\"error\":\"invalid_client\",\"error_description\":\"AADSTS7000215: Invalid client secret "
     "provided.\\r\\nTrace "
     "ID: x\",\"error_codes\":[7000215],\"correlation_id\":\"ab-cd\"}",
     NULL, "invalid_client: AADSTS7000215: Invalid client secret provided. Trace ID: x (correlation id ab-cd)",
     "invalid_client"},
    {"\xef\xbb\xbf<?xml version=\"1.0\" "
     "encoding=\"utf-8\"?><Error><Code>AuthenticationFailed</Code><Message>Server failed "
     "to authenticate the "
     "request.\nRequestId:98-76\nTime:2017-05-07T00:00:00Z</Message><AuthenticationErrorDetail>"
     "Signature not valid in the specified time frame: Start [a] - Expiry "
     "[b]</AuthenticationErrorDetail></Error>",
     NULL,
     "AuthenticationFailed: Server failed to authenticate the request. Signature not valid in the specified "
     "time frame: "
     "Start [a] - Expiry [b] (correlation id 98-76)",
     "AuthenticationFailed"},
    {"<Error><Code>BlobNotFound</Code></Error>", NULL, "BlobNotFound", "BlobNotFound"},
    {"<Error><Code>not a code</Code><Message>m</Message></Error>", NULL, "m", NULL},
    {"<!DOCTYPE html><html><head><title> Bad\n Gateway </title></head></html>", NULL,
     "a web page, \"Bad Gateway\"", NULL},
    {"<HTML><body>x</body></HTML>", NULL, "a web page", NULL},
    {"The identity cannot be authorized", NULL, "The identity cannot be authorized", NULL},
    {"\"quoted words\"", NULL, "quoted words", NULL},
    {"", NULL, "no explanation", NULL},
    {"", "1-2", "no explanation (correlation id 1-2)", NULL},
    {"{}", NULL, "no explanation", NULL},
    {"[]", NULL, "[]", NULL},
    {"null", NULL, "null", NULL},
    {"{\"code\":", NULL, "{\"code\":", NULL},
    {"{\"code\":5,\"message\":[1]}", "a b\r\nX: y", "5", "5"},
    {"a\x01"
     "b\x1b[31m\xe2\x80\xae\xc2\x85z\xff",
     NULL, "a b [31m z\xef\xbf\xbd", NULL},
    {"{\"message\":\"GET https://u:p@h/x?sig=AAAA&se=1 Bearer " RUN "\"}", NULL,
     "GET https://REDACTED@h/x?sig=REDACTED&se=1 Bearer REDACTED", NULL},
    {"<Error><Code>AuthenticationFailed</Code><Message>The MAC signature found in the HTTP request "
     "'Zm9v+YmFy/Zm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyMD0=' is not the same</Message></Error>",
     NULL, "AuthenticationFailed: The MAC signature found in the HTTP request 'REDACTED' is not the same",
     "AuthenticationFailed"},
    {"{\"code\":\"" RUN "\",\"message\":\"m\"}", RUN "AAAA", "m", NULL},
};

static void test_errors (void) {
  for (gsize i = 0; i < G_N_ELEMENTS (errors); i++) {
    gsize len = strlen (errors[i].body);
    g_autofree char *exact = g_memdup2 (errors[i].body, len);
    g_autofree char *text = cab_api_error_text (exact, len, errors[i].correlation);
    g_autofree char *code = cab_api_error_code (exact, len);
    g_assert_cmpstr (text, ==, errors[i].text);
    g_assert_cmpstr (code, ==, errors[i].code);
  }
}

/* What an error carries beside its text is the same, and stays with copies. */
static void test_marks (void) {
  for (gsize i = 0; i < G_N_ELEMENTS (errors); i++) {
    g_autoptr (GError) error = g_error_new_literal (CAB_ERROR, CAB_ERROR_FAILED, "x");
    cab_api_error_mark (error, 503, errors[i].body, strlen (errors[i].body), NULL, errors[i].correlation);
    g_autoptr (GError) copy = g_error_copy (error);
    const CabErrorAnswer answer = cab_error_answer (copy);
    g_autofree char *told = g_strdup_printf ("(correlation id %s)", answer.correlation);
    g_assert_cmpint (answer.status, ==, 503);
    g_assert_cmpstr (answer.code, ==, errors[i].code);
    if (answer.correlation != NULL)
      g_assert_nonnull (strstr (errors[i].text, told));
    else
      g_assert_null (strstr (errors[i].text, "correlation id"));
  }
  g_autoptr (GError) error = g_error_new_literal (CAB_ERROR, CAB_ERROR_FAILED, "x");
  cab_api_error_mark (error, 403, "", 0, "AuthenticationFailed", RUN "AAAA");
  cab_api_error_mark (error, 404, "{}", 2, "BlobNotFound", "1-2");
  const CabErrorAnswer last = cab_error_answer (error);
  g_assert_cmpstr (last.code, ==, "BlobNotFound");
  g_assert_cmpstr (last.correlation, ==, "1-2");
}

static void test_long_error (void) {
  g_autofree char *words = g_strnfill (100000, 'x');
  for (gsize i = 0; i < 100000; i += 10)
    words[i] = ' ';
  g_autofree char *umlauts = g_strdup ("");
  for (guint i = 0; i < 9; i++) {
    g_autofree char *twice = g_strconcat (umlauts, "\xc3\xa4", umlauts, NULL);
    g_free (g_steal_pointer (&umlauts));
    umlauts = g_steal_pointer (&twice);
  }
  g_autofree char *json = g_strdup_printf ("{\"code\":\"C\",\"message\":\"%s\"}", umlauts);
  const char *const bodies[] = {words, umlauts, json};
  for (gsize i = 0; i < G_N_ELEMENTS (bodies); i++) {
    g_autofree char *text = cab_api_error_text (bodies[i], strlen (bodies[i]), "1234");
    g_assert_cmpuint (strlen (text), <=, 300);
    g_assert_true (g_utf8_validate (text, -1, NULL));
    g_assert_true (g_str_has_suffix (text, "… (correlation id 1234)"));
  }
}

/* --- tokens -------------------------------------------------------------------------------------------------- */

static const struct {
  const char *bytes, *token; /* NULL: refused */
  gint64 expires_in;
} tokens[] = {
    /* the login host's two endpoints */
    {"{\"token_type\":\"Bearer\",\"expires_in\":\"3599\",\"ext_expires_in\":\"1\",\"expires_on\":"
     "\"1500000000\",\"access_token\":"
     "\"a.b-c\"}",
     "a.b-c", 3599},
    {"{\"token_type\":\"bearer\",\"expires_in\":86399,\"access_token\":\"a.b-c\"}", "a.b-c", 86399},
    {"{\"ACCESS_TOKEN\":\"abc\",\"Expires_In\":10}", "abc", 10},
    {"\xef\xbb\xbf{\"access_token\":\"abc\"}", "abc", 3600},
    {"{\"access_token\":\"abc\",\"expires_in\":0}", "abc", 3600},
    {"{\"access_token\":\"abc\",\"expires_in\":-5}", "abc", 3600},
    {"{\"access_token\":\"abc\",\"expires_in\":\"soon\"}", "abc", 3600},
    {"{\"access_token\":\"abc\",\"expires_in\":null}", "abc", 3600},
    {"{\"access_token\":\" abc \\n\"}", "abc", 3600},
    /* az */
    {"{\"accessToken\":\"abc\",\"expiresOn\":\"2017-05-07 "
     "09:00:00.123\",\"expires_on\":1494162300,\"subscription\":\"s\","
     "\"tenant\":\"t\",\"tokenType\":\"Bearer\"}",
     "abc", 300},
    {"{\"accessToken\":\"abc\",\"expiresOn\":\"2017-05-07 11:00:00.000000\"}", "abc", 7200},
    {"{\"accessToken\":\"abc\",\"expiresOn\":\"2017-05-07T13:05:00Z\"}", "abc", 300},
    {"{\"accessToken\":\"abc\",\"expiresOn\":\"2017-05-07T15:05:00+02:00\"}", "abc", 300},
    {"{\"accessToken\":\"abc\",\"expiresOn\":\"2017-05-07T08:05:00-05:00\"}", "abc", 300},
    {"{\"accessToken\":\"abc\",\"expires_on\":1400000000}", "abc", 0},
    {"{\"accessToken\":\"abc\",\"expiresOn\":\"2016-05-07 09:00:00\"}", "abc", 0},
    {"{\"accessToken\":\"abc\",\"expiresOn\":\"tomorrow\"}", "abc", 3600},
    /* bare */
    {"abc.DEF-123_~+/=", "abc.DEF-123_~+/=", 3600},
    {"  abc\r\n", "abc", 3600},
    {"\"abc\"\n", "abc", 3600},
    {"12345", "12345", 3600},
    /* none */
    {"", NULL, 0},
    {" \n", NULL, 0},
    {"\"\"", NULL, 0},
    {"{}", NULL, 0},
    {"[]", NULL, 0},
    {"{\"access_token\":\"\"}", NULL, 0},
    {"{\"access_token\":null}", NULL, 0},
    {"{\"access_token\":{\"secret\":1}}", NULL, 0},
    {"{\"access_token\":\"sec ret\"}", NULL, 0},
    {"{\"access_token\":\"secret\\r\\nX: y\"}", NULL, 0},
    {"{\"access_token\":\"secret\\u0000x\"}", NULL, 0},
    {"{\"access_token\":\"s\xc3\xa4"
     "cret\"}",
     NULL, 0},
    {"{\"access_token\":\"secret\",\"token_type\":\"pop-secret\"}", NULL, 0},
    {"{\"error\":\"invalid_client\",\"error_description\":\"secret\"}", NULL, 0},
    {"{\"access_token\":\"secret", NULL, 0},
    {"<html>secret</html>", NULL, 0},
    {"ERROR: please run az login, secret", NULL, 0},
    {"secret1\nsecret2", NULL, 0},
};

static void check_token (const char *bytes, gsize len, const char *token, gint64 expires_in) {
  g_autofree char *exact = g_memdup2 (bytes, len);
  g_autoptr (GError) error = NULL;
  CabTokenAnswer answer = {NULL, -7};
  gboolean ok = cab_api_parse_token (exact, len, 1494162000, &answer, &error);
  g_autofree char *shown = g_strescape (bytes, NULL);
  g_test_message ("%.80s: %s", shown, ok ? "a token" : error->message);
  g_assert_cmpint (ok, ==, token != NULL);
  g_assert_cmpstr (answer.access_token, ==, token);
  g_free (answer.access_token);
  if (ok) {
    g_assert_cmpint (answer.expires_in, ==, expires_in);
    return;
  }
  g_assert_error (error, CAB_ERROR, CAB_ERROR_INVALID);
  g_assert_null (strstr (error->message, "secret"));
  g_assert_cmpint (answer.expires_in, ==, -7);
}

static void test_tokens (void) {
  for (gsize i = 0; i < G_N_ELEMENTS (tokens); i++)
    check_token (tokens[i].bytes, strlen (tokens[i].bytes), tokens[i].token, tokens[i].expires_in);
  check_token ("abc\0def", 7, NULL, 0);
  g_autofree char *large = g_strnfill (65537, 'a');
  check_token (large, 65537, NULL, 0);
}

int main (int argc, char **argv) {
  /* az prints local time; here it is four hours behind UTC. */
  g_setenv ("TZ", "<-04>4", TRUE);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/api/families", test_families);
  g_test_add_func ("/api/window", test_window);
  g_test_add_func ("/api/paths", test_paths);
  g_test_add_func ("/api/locate", test_locate);
  g_test_add_func ("/api/none", test_none);
  add_answers ();
  g_test_add_func ("/api/page-end", test_page_end);
  g_test_add_func ("/api/page-signs", test_page_signs);
  g_test_add_func ("/api/page-end-of-hits", test_page_end_of_hits);
  g_test_add_func ("/api/no-such-list", test_no_such_list);
  g_test_add_func ("/api/errors", test_errors);
  g_test_add_func ("/api/marks", test_marks);
  g_test_add_func ("/api/long-error", test_long_error);
  g_test_add_func ("/api/tokens", test_tokens);
  return g_test_run ();
}
