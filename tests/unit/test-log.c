/* SPDX-License-Identifier: MIT */
#include "fs/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fs/redact.h"

/* --- redaction ---------------------------------------------------------------------------------------------------- */

static void check (const char *text, const char *expected) {
  g_autofree char *got = cab_redact_line (text);
  g_assert_cmpstr (got, ==, expected);
}

static void test_redact_url (void) {
  check ("GET https://h/c/a.cab?sv=2015-07-08&sr=b&sig=ab%2Fc%3D&se=2017&sp=r 403",
         "GET https://h/c/a.cab?sv=2015-07-08&sr=b&sig=REDACTED&se=2017&sp=r 403");
  check ("https://h/a?sig=abc", "https://h/a?sig=REDACTED");
  check ("https://h/a?SIG=abc\"", "https://h/a?SIG=REDACTED\"");
  check ("url=https%3A%2F%2Fh%2Fa%3Fsv%3D1%26sig%3Dabc%252F%26se%3D2",
         "url=https%3A%2F%2Fh%2Fa%3Fsv%3D1%26sig%3DREDACTED%26se%3D2");
  check ("https://user:pass@proxy.example:8080/", "https://REDACTED@proxy.example:8080/");
  check ("http://u:p/with@h/x", "http://u:p/with@h/x"); /* a path, not a user */
  check ("//@h and http://@h", "//@h and http://@h");   /* an empty one */
  check ("the sign of a design=x is no sig", "the sign of a design=x is no sig");
}

static void test_redact_token (void) {
  check ("> Authorization: Bearer abc.def-g", "> Authorization: REDACTED");
  check ("proxy-authorization: Basic dXNlcjpwYXNz", "proxy-authorization: REDACTED");
  check ("Authorization: Bearer abc\r\nHost: h", "Authorization: REDACTED  Host: h");
  check ("sent bearer abc.def", "sent bearer REDACTED");
  check ("{\"token_type\":\"Bearer\",\"access_token\":\"abc\",\"expires_in\":3599}",
         "{\"token_type\":\"Bearer\",\"access_token\":\"REDACTED\",\"expires_in\":3599}");
  check ("{ \"accessToken\" : \"abc\", \"tenant\": \"t\" }",
         "{ \"accessToken\" : \"REDACTED\", \"tenant\": \"t\" }");
  check ("{\\\"access_token\\\":\\\"abc\\\"}", "{\\\"access_token\\\":\\\"REDACTED\\\"}");
  check ("grant_type=client_credentials&client_id=1&client_secret=a%2Bb~c.d&resource=r",
         "grant_type=client_credentials&client_id=1&client_secret=REDACTED&resource=r");
  check ("AZURE_CLIENT_SECRET=hunter2", "AZURE_CLIENT_SECRET=REDACTED");
  check ("got eyJ0eXAi.eyJhdWQi.c2ln, good", "got REDACTED, good");
  check ("bearer a%2Bb%3D&c", "bearer REDACTED&c");
  check ("password= \"access_token\":\"abc\"", "password= \"access_token\":\"REDACTED\"");
  check ("client_secret=password&a", "client_secret=REDACTED&a");
  check ("client-secret-file: /a/b cannot be read", "client-secret-file: /a/b cannot be read");
}

static void test_redact_lines (void) {
  check ("one\ntwo\r\n\x1b[31m", "one two   [31m");
  check ("", "");
  check ("sig=", "sig=");
  check ("Bearer", "Bearer");
  check ("\xc3\xa4 stays", "\xc3\xa4 stays");
  check ("13984104677400476/1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed/FB57.cab",
         "13984104677400476/1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed/FB57.cab");
}

/* --- the writer ------------------------------------------------------------------------------------------------------ */

typedef void (*Act) (void);

/* What @act writes to stderr. */
static char *capture (Act act) {
  int kept = dup (STDERR_FILENO);
  int file = memfd_create ("stderr", MFD_CLOEXEC);
  g_assert_cmpint (file, >=, 0);
  g_assert_cmpint (fcntl (file, F_SETFL, O_APPEND), ==, 0); /* its position is not safe for threads */
  dup2 (file, STDERR_FILENO);
  act ();
  dup2 (kept, STDERR_FILENO);
  close (kept);
  off_t len = lseek (file, 0, SEEK_END);
  char *text = g_malloc0 ((gsize) len + 1);
  g_assert_cmpint (pread (file, text, (gsize) len, 0), ==, len);
  close (file);
  return text;
}

static void write_all_levels (void) {
  g_log (NULL, G_LOG_LEVEL_CRITICAL, "one");
  g_warning ("two");
  g_message ("three");
  g_info ("four");
  g_debug ("five");
}

static void ask_for_a_line (void) {
  cab_log_always ("state: sig=abc");
}

/* What somebody has asked for comes whatever the level is, and without secrets too. */
static void test_always (void) {
  cab_log_start (CAB_LOG_ERROR);
  g_autofree char *text = capture (ask_for_a_line);
  g_assert_true (g_str_has_suffix (text, "Z info: state: sig=REDACTED\n"));
}

static void test_levels (void) {
  cab_log_start (CAB_LOG_DEBUG);
  g_autofree char *all = capture (write_all_levels);
  g_assert_true (
      g_regex_match_simple ("^(\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z (error|warning|info|debug): "
                            "\\w+\n){5}$",
                            all, 0, 0));
  g_assert_nonnull (strstr (all, " error: one\n"));
  g_assert_nonnull (strstr (all, " warning: two\n"));
  g_assert_nonnull (strstr (all, " info: three\n"));
  g_assert_nonnull (strstr (all, " info: four\n"));
  g_assert_nonnull (strstr (all, " debug: five\n"));
  cab_log_start (CAB_LOG_WARNING);
  g_autofree char *some = capture (write_all_levels);
  g_assert_nonnull (strstr (some, ": two\n"));
  g_assert_null (strstr (some, "three"));
  g_assert_null (strstr (some, "five"));
  cab_log_start (CAB_LOG_ERROR);
  g_autofree char *errors = capture (write_all_levels);
  g_assert_nonnull (strstr (errors, ": one\n"));
  g_assert_null (strstr (errors, "two"));
}

static void write_secrets (void) {
  g_log ("GLib-GIO", G_LOG_LEVEL_WARNING, "sent Authorization: Bearer %s", "abcdefgh");
  g_log_structured ("other", G_LOG_LEVEL_WARNING, "MESSAGE", "?sig=%s\nsecond line", "abcdefgh");
  g_autofree char *longer = g_strnfill (100000, 'x');
  g_warning ("%s", longer);
}

static void test_secrets (void) {
  cab_log_start (CAB_LOG_DEBUG);
  g_autofree char *text = capture (write_secrets);
  g_assert_null (strstr (text, "abcdefgh"));
  g_assert_nonnull (strstr (text, " warning: GLib-GIO: sent Authorization: REDACTED\n"));
  g_assert_nonnull (strstr (text, " warning: other: ?sig=REDACTED second line\n"));
  g_assert_true (g_str_has_suffix (text, "x...\n"));
  g_assert_cmpuint (strlen (strrchr (text, 'Z')), <, 4096);
}

enum { WRITERS = 4, LINES = 500 };

static void *write_many (void *data) {
  for (guint i = 0; i < LINES; i++)
    g_warning ("line of a writer");
  return NULL;
}

static void write_in_parallel (void) {
  pthread_t threads[WRITERS];
  for (guint i = 0; i < WRITERS; i++)
    g_assert_cmpint (pthread_create (&threads[i], NULL, write_many, NULL), ==, 0);
  for (guint i = 0; i < WRITERS; i++)
    pthread_join (threads[i], NULL);
}

static void test_threads (void) {
  cab_log_start (CAB_LOG_DEBUG);
  g_autofree char *text = capture (write_in_parallel);
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  g_assert_cmpuint (g_strv_length (lines), ==, WRITERS * LINES + 1);
  for (guint i = 0; i < WRITERS * LINES; i++)
    g_assert_true (g_str_has_suffix (lines[i], "Z warning: line of a writer"));
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
  /* Warnings are what is tested here: they must neither end the test nor be repeated by the test framework. */
  g_log_set_always_fatal (G_LOG_FATAL_MASK);
  g_log_set_default_handler (g_log_default_handler, NULL);
  g_test_add_func ("/log/redact/url", test_redact_url);
  g_test_add_func ("/log/redact/token", test_redact_token);
  g_test_add_func ("/log/redact/lines", test_redact_lines);
  g_test_add_func ("/log/levels", test_levels);
  g_test_add_func ("/log/always", test_always);
  g_test_add_func ("/log/secrets", test_secrets);
  g_test_add_func ("/log/threads", test_threads);
  return g_test_run ();
}
