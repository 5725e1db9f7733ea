/* Stack traces as text: what is asked, and what any answer becomes.
 *
 * SPDX-License-Identifier: MIT
 */
#include "client/api.h"
#include "client/error.h"

#include <string.h>

/* The members are not const, the strings are never written. */
#define TEXT(literal) ((char *) (guintptr) (literal))

#define FAILURE "1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed"
#define CAB     "11111111-2222-3333-4444-555555555555"

/* --- questions ---------------------------------------------------------------------------------------------- */

static void test_paths (void) {
  static const struct {
    CabScope scope;
    const char *id;
    const char *path; /* NULL: the family has no such call */
  } cases[] = {
      {{TEXT ("desktop"), TEXT ("10238467886765136388"), TEXT (FAILURE)},
       CAB,
       "/v1.0/my/analytics/desktop/stacktrace?applicationId=10238467886765136388&cabIdHash=" CAB},
      {{TEXT ("store"), TEXT ("9NBLGGGZ5QDR"), TEXT (FAILURE)},
       "1336373323853",
       "/v1.0/my/analytics/stacktrace?applicationId=9NBLGGGZ5QDR&cabId=1336373323853"},
      {{TEXT ("store"), TEXT ("9NBLGGGZ5QDR"), TEXT (FAILURE)},
       "1&x=\xc3\xa4",
       "/v1.0/my/analytics/stacktrace?applicationId=9NBLGGGZ5QDR&cabId=1%26x%3D%C3%A4"},
      {{TEXT ("driver"), TEXT ("13984104677400476"), TEXT (FAILURE)}, CAB, NULL},
      {{TEXT ("ihvdriver"), TEXT ("ihvdriver"), TEXT (FAILURE)}, CAB, NULL},
      {{TEXT ("hardware"), TEXT ("hardware"), TEXT (FAILURE)}, CAB, NULL},
      {{TEXT ("xbox"), TEXT ("9NBLGGGZ5QDR"), TEXT (FAILURE)}, CAB, NULL},
      {{TEXT ("desktop"), TEXT ("10238467886765136388"), NULL}, CAB, NULL},
  };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_assert_cmpint (cab_api_has_stacktrace (&cases[i].scope), ==, cases[i].path != NULL);
    if (cases[i].path == NULL)
      continue;
    g_autofree char *path = cab_api_stacktrace_path (&cases[i].scope, cases[i].id);
    g_assert_cmpstr (path, ==, cases[i].path);
  }
}

/* --- answers ------------------------------------------------------------------------------------------------ */

/* As the test Partner Center has it, of the Store's call. */
#define SAMPLE                                                                                                 \
  "{\"Value\":["                                                                                               \
  "{\"level\":\"0\",\"image\":\"contoso\",\"function\":\"Crash_1\",\"offset\":\"0x1c4\","                      \
  "\"isBlamedFrame\":true},"                                                                                   \
  "{\"level\":\"1\",\"image\":\"contoso\",\"function\":\"Contoso::Worker::Run\",\"offset\":\"0x22\","          \
  "\"isBlamedFrame\":false},"                                                                                  \
  "{\"level\":\"2\",\"image\":\"unknown_module\",\"function\":\"null\",\"offset\":\"0x0\","                    \
  "\"isBlamedFrame\":false},"                                                                                  \
  "{\"level\":\"3\",\"image\":\"ntdll\",\"function\":\"\",\"offset\":\"0x7ffb2c1a\","                          \
  "\"isBlamedFrame\":false}],\"@nextLink\":null,\"TotalCount\":4}"
#define SAMPLE_TEXT                                                                                            \
  "#0 contoso!Crash_1+0x1c4 (blamed)\n"                                                                        \
  "#1 contoso!Contoso::Worker::Run+0x22\n"                                                                     \
  "#2 unknown_module+0x0\n"                                                                                    \
  "#3 ntdll+0x7ffb2c1a\n"

#define FRAME "\"level\":\"0\",\"image\":\"a\",\"function\":\"f\",\"offset\":\"0x1\""

static const struct {
  const char *bytes;
  const char *text; /* NULL: an error */
  CabErrorCode code;
} answers[] = {
    {SAMPLE, SAMPLE_TEXT, 0},
    /* casing, a mark, unknown keys, other envelopes, no envelope beyond the rows */
    {"\xef\xbb\xbf{\"VALUE\":[{\"LEVEL\":\"7\",\"Image\":\"a\",\"FUNCTION\":\"f\",\"offSet\":\"0x1\","
     "\"somethingNew\":{\"nested\":[1,null]},\"ISBLAMEDFRAME\":\"True\"}],\"totalcount\":1}",
     "#7 a!f+0x1 (blamed)\n", 0},
    {"{\"data\":[{" FRAME "}]}", "#0 a!f+0x1\n", 0},
    {"{\"value\":[{" FRAME "}],\"@nextLink\":\"desktop/stacktrace?skip=1\"}", "#0 a!f+0x1\n", 0},
    /* types */
    {"{\"Value\":[{\"level\":12,\"image\":77,\"function\":1.50,\"offset\":452,\"isBlamedFrame\":1}]}",
     "#12 77!1.50+452 (blamed)\n", 0},
    {"{\"Value\":[{\"level\":\" 3 \",\"image\":\" a \",\"function\":\" operator ()<int, 3> \","
     "\"offset\":\"0x1 \",\"isBlamedFrame\":\"no\"}]}",
     "#3 a!operator ()<int, 3>+0x1\n", 0},
    {"{\"Value\":[{\"level\":\"0\",\"image\":\"a\",\"function\":[\"f\"],\"offset\":{\"x\":1},"
     "\"isBlamedFrame\":[true]}]}",
     "#0 a\n", 0},
    /* what is not there */
    {"{\"Value\":[{\"level\":null,\"image\":null,\"function\":\"f\",\"offset\":null,\"isBlamedFrame\":null}]}",
     "#0 ?!f\n", 0},
    {"{\"Value\":[{\"offset\":\"0x7ffb\"},{\"image\":\"a\"},{\"image\":\"NULL\",\"function\":\"Null\","
     "\"offset\":\"0x2\"}]}",
     "#0 ?+0x7ffb\n#1 a\n#2 ?+0x2\n", 0},
    {"{\"Value\":[17,null,\"row\",[],{},{\"level\":\"5\"},{\"function\":\"null\"},{\"image\":\"a\"}]}",
     "#7 a\n", 0},
    /* order: that of the levels; frames of one level as they came; a level that is none is the place */
    {"{\"Value\":[{\"level\":\"2\",\"image\":\"c\"},{\"level\":\"10\",\"image\":\"d\"},"
     "{\"level\":\"0\",\"image\":\"a\"},{\"level\":\"0\",\"image\":\"b\"}]}",
     "#0 a\n#0 b\n#2 c\n#10 d\n", 0},
    {"{\"Value\":[{\"level\":\"-1\",\"image\":\"a\"},{\"level\":\"0x1\",\"image\":\"b\"},"
     "{\"level\":\"99999999999999999999\",\"image\":\"c\"},{\"level\":\"2.5\",\"image\":\"d\"},"
     "{\"level\":\"999999999\",\"image\":\"e\"}]}",
     "#0 a\n#1 b\n#2 c\n#3 d\n#999999999 e\n", 0},
    /* hostile names: lines, terminals, directions of writing, NUL */
    {"{\"Value\":[{\"level\":\"0\",\"image\":\"a\\nb\\r\\t\\u001b[31m\",\"function\":"
     "\"f\\u2028g\\u202eh\\u0085\","
     "\"offset\":\"0x1\\n#1 b\"}]}",
     "#0 a?b???[31m!f?g?h?+0x1?#1 b\n", 0},
    {"{\"Value\":[{\"image\":\"../../etc/passwd\",\"function\":\"a\\u0000b\",\"offset\":\"%s%n\"}]}",
     "#0 ../../etc/passwd+%s%n\n", 0},
    {"{\"Value\":[{\"image\":\"b\xc3\xa4r.dll\",\"function\":\"\\ud83d\\ude00\"}]}",
     "#0 b\xc3\xa4r.dll!\xf0\x9f\x98\x80\n", 0},
    /* none */
    {"{\"Value\":[]}", NULL, CAB_ERROR_NOT_FOUND},
    {"{\"value\":[],\"@nextLink\":null,\"TotalCount\":0}", NULL, CAB_ERROR_NOT_FOUND},
    /* nothing that can be understood */
    {"{\"Value\":[{},null,{\"level\":\"1\",\"function\":\"null\"}]}", NULL, CAB_ERROR_INVALID},
    {"{\"Value\":null}", NULL, CAB_ERROR_INVALID},
    {"{\"Value\":{\"0\":{" FRAME "}}}", NULL, CAB_ERROR_INVALID},
    {"{\"Value\":\"#0 a\"}", NULL, CAB_ERROR_INVALID},
    {"{}", NULL, CAB_ERROR_INVALID},
    {"[{" FRAME "}]", NULL, CAB_ERROR_INVALID},
    {"null", NULL, CAB_ERROR_INVALID},
    {"", NULL, CAB_ERROR_INVALID},
    {" \n", NULL, CAB_ERROR_INVALID},
    {"<html>503</html>", NULL, CAB_ERROR_INVALID},
    {"{\"code\":\"BadRequest\",\"data\":[],\"details\":[]}", NULL, CAB_ERROR_INVALID},
    {"{\"Value\":[{" FRAME "}]", NULL, CAB_ERROR_INVALID},
    {"{\"Value\":[{" FRAME "}]} x", NULL, CAB_ERROR_INVALID},
    {"{\"Value\":[{\"image\":\"\xff\xfe\"}]}", NULL, CAB_ERROR_INVALID},
    /* as the desktop's page prints its sample: commas are missing */
    {"{\"Value\":[{\"level\":\"0\" \"image\":\"a\"}]}", NULL, CAB_ERROR_INVALID},
};

/* @bytes end where the memory does. */
static char *parse (const char *bytes, gsize len, GError **error) {
  g_autofree char *exact = g_memdup2 (bytes, len);
  return cab_api_parse_stacktrace (exact, len, error);
}

static void test_answers (void) {
  for (gsize i = 0; i < G_N_ELEMENTS (answers); i++) {
    g_autoptr (GError) error = NULL;
    g_autofree char *text = parse (answers[i].bytes, strlen (answers[i].bytes), &error);
    g_autofree char *shown = g_strescape (answers[i].bytes, NULL);
    g_test_message ("%.100s: %s", shown, text != NULL ? "frames" : error->message);
    g_assert_cmpstr (text, ==, answers[i].text);
    if (answers[i].text != NULL)
      g_assert_no_error (error);
    else
      g_assert_error (error, CAB_ERROR, (gint) answers[i].code);
  }
}

/* An answer that was cut off is never a shorter stack. */
static void test_cut (void) {
  for (gsize len = 0; len < strlen (SAMPLE); len++) {
    g_autoptr (GError) error = NULL;
    g_assert_null (parse (SAMPLE, len, &error));
    g_assert_error (error, CAB_ERROR, CAB_ERROR_INVALID);
  }
}

/* Whatever byte is another one: frames of printable lines, or an error. */
static void test_spoilt (void) {
  static const char spoilers[] = {'\0', '"', '\\', '{', '}', '[', ']', ',', ':', '\n', (char) 0xff, '9'};
  for (gsize at = 0; at < strlen (SAMPLE); at++)
    for (gsize i = 0; i < G_N_ELEMENTS (spoilers); i++) {
      g_autofree char *bytes = g_strdup (SAMPLE);
      g_autoptr (GError) error = NULL;
      bytes[at] = spoilers[i];
      g_autofree char *text = parse (bytes, strlen (SAMPLE), &error);
      g_assert_true ((text != NULL) == (error == NULL));
      if (text == NULL)
        continue;
      g_assert_true (g_utf8_validate (text, -1, NULL));
      g_assert_true (g_str_has_suffix (text, "\n"));
      for (const char *line = text; *line != '\0'; line = strchr (line, '\n') + 1)
        g_assert_cmpint (*line, ==, '#');
    }
}

/* A stack that ran over, upside down: the text is no longer than the answer was. */
static void test_deep (void) {
  g_autoptr (GString) json = g_string_new ("{\"Value\":[");
  for (guint i = 20000; i > 0; i--)
    g_string_append_printf (json, "%s{\"level\":\"%u\",\"image\":\"a\"}", i < 20000 ? "," : "", i - 1);
  g_string_append (json, "]}");
  g_autoptr (GError) error = NULL;
  g_autofree char *text = parse (json->str, json->len, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (strlen (text), <, json->len);
  g_assert_true (g_str_has_prefix (text, "#0 a\n#1 a\n#2 a\n"));
  g_assert_true (g_str_has_suffix (text, "\n#19998 a\n#19999 a\n"));
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/api-stacktrace/paths", test_paths);
  g_test_add_func ("/api-stacktrace/answers", test_answers);
  g_test_add_func ("/api-stacktrace/cut", test_cut);
  g_test_add_func ("/api-stacktrace/spoilt", test_spoilt);
  g_test_add_func ("/api-stacktrace/deep", test_deep);
  return g_test_run ();
}
