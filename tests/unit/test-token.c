/* Where tokens come from, and how long they are used.
 *
 * SPDX-License-Identifier: MIT
 */
#include "client/error.h"
#include "tests/unit/desk.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* --- the login host ----------------------------------------------------------------------------------------- */

static void test_versions (void) {
  {
    DESK (desk);
    desk.must_have = "&client_id=id&client_secret=" SECRET "&resource=https%3A%2F%2Fservice.example";
    desk_open_with_secret (&desk, 1);
    desk_assert_token (&desk, "token-1");
    desk_assert_token (&desk, "token-1");
    g_assert_cmpuint (server_count (desk.server, V1), ==, 1);
  }
  DESK (desk);
  desk.must_have = "&scope=https%3A%2F%2Fservice.example%2F.default";
  desk_open_with_secret (&desk, 2);
  desk_assert_token (&desk, "token-1");
  g_assert_cmpuint (server_count (desk.server, V2), ==, 1);
}

static void test_single_flight (void) {
  enum { MANY = 20 };
  DESK (desk);
  Asked asked[MANY];
  desk.hold = TRUE;
  desk_open_with_secret (&desk, 1);
  for (guint i = 0; i < MANY; i++) {
    asked_init (&asked[i], &desk);
    cab_http_run (desk.http, asked_get, &asked[i]);
  }
  server_wait (desk.server, V1, 1);
  server_release (desk.server);
  for (guint i = 0; i < MANY; i++) {
    latch_wait (&asked[i].latch, 1);
    g_assert_cmpstr (asked[i].value, ==, "token-1");
    asked_clear (&asked[i]);
  }
  g_assert_cmpuint (server_count (desk.server, V1), ==, 1);
}

/* Two seconds of life: half of it is the margin. */
static void test_renewed_ahead (void) {
  DESK (desk);
  desk.lifetime_s = 2;
  desk_open_with_secret (&desk, 1);
  desk_assert_token (&desk, "token-1");
  g_usleep (1200 * 1000);
  desk_assert_token (&desk, "token-1"); /* not waited for */
  server_wait (desk.server, V1, 2);
  g_autofree char *value = NULL;
  for (guint i = 0; i < 200 && g_strcmp0 (value, "token-2") != 0; i++) {
    g_free (value);
    value = desk_get (&desk);
    g_usleep (2000);
  }
  g_assert_cmpstr (value, ==, "token-2");
  g_assert_cmpuint (server_count (desk.server, V1), ==, 2);
}

static void test_expired (void) {
  DESK (desk);
  desk.lifetime_s = 1;
  desk_open_with_secret (&desk, 1);
  desk_assert_token (&desk, "token-1");
  g_usleep (1100 * 1000);
  desk_assert_token (&desk, "token-2");
}

static void test_rejected (void) {
  DESK (desk);
  desk_open_with_secret (&desk, 1);
  desk_assert_token (&desk, "token-1");
  g_assert_true (desk_reject (&desk, "token-1"));
  desk_assert_token (&desk, "token-2");
  g_assert_true (desk_reject (&desk, "token-1")); /* there is another already */
  desk_assert_token (&desk, "token-2");
  desk_absolve (&desk, "token-2"); /* it got 401 as well: no use to go on */
  g_assert_false (desk_reject (&desk, "token-2"));
  desk_assert_token (&desk, "token-2");
  g_assert_cmpuint (server_count (desk.server, V1), ==, 2);
}

static void test_refused_login (void) {
  DESK (desk);
  desk.status = 401;
  desk.failures = 1;
  desk_open_with_secret (&desk, 1);
  g_autoptr (GError) error = desk_get_error (&desk);
  g_assert_error (error, CAB_ERROR, CAB_ERROR_DENIED);
  g_assert_nonnull (strstr (error->message, "AADSTS7000215"));
  g_assert_nonnull (strstr (error->message, "c0ffee00-1111-2222-3333-444444444444"));
  g_autoptr (GError) again = desk_get_error (&desk); /* remembered */
  g_assert_cmpstr (again->message, ==, error->message);
  g_assert_cmpuint (server_count (desk.server, V1), ==, 1);
}

static void test_login_passes (void) {
  DESK (desk);
  desk.status = 503;
  desk.failures = 1;
  desk_open_with_secret (&desk, 1);
  desk_assert_token (&desk, "token-2");
  g_assert_cmpuint (server_count (desk.server, V1), ==, 2);
}

/* --- secrets ------------------------------------------------------------------------------------------------ */

static void check_refused (const char *path, CabErrorCode code, const char *word) {
  g_autofree char *copy = g_strdup (path);
  char tenant[] = "tenant", id[] = "id";
  const CabTokenOptions options = {.tenant = tenant, .client_id = id, .client_secret_file = copy};
  g_autoptr (GError) error = NULL;
  g_assert_null (cab_credentials_new (&options, &error));
  g_assert_error (error, CAB_ERROR, (int) code);
  g_assert_nonnull (strstr (error->message, word));
  g_assert_null (strstr (error->message, SECRET));
}

static void test_secret_file (void) {
  DESK (desk);
  g_autofree char *open_to_all = desk_write (&desk, "a", SECRET, 0644);
  g_autofree char *open_to_group = desk_write (&desk, "b", SECRET, 0640);
  g_autofree char *blank = desk_write (&desk, "c", " \n", 0600);
  g_autofree char *alien = desk_write (&desk, "d", SECRET, 0600);
  check_refused (open_to_all, CAB_ERROR_DENIED, "chmod 600");
  check_refused (open_to_group, CAB_ERROR_DENIED, "chmod 600");
  check_refused (blank, CAB_ERROR_INVALID, "empty");
  check_refused ("/does/not/exist", CAB_ERROR_FAILED, "/does/not/exist");
  check_refused (desk.directory, CAB_ERROR_INVALID, "regular");
  if (geteuid () == 0) {
    g_assert_cmpint (chown (alien, 12345, (gid_t) -1), ==, 0);
    check_refused (alien, CAB_ERROR_DENIED, "12345");
  }
}

static void test_nothing_set (void) {
  const CabTokenOptions options = {0};
  g_autoptr (GError) error = NULL;
  g_assert_null (cab_credentials_new (&options, &error));
  g_assert_error (error, CAB_ERROR, CAB_ERROR_INVALID);
  g_assert_nonnull (strstr (error->message, "tenant is not set"));
}

static void test_environment (void) {
  DESK (desk);
  g_setenv ("AZURE_TENANT_ID", "tenant", TRUE);
  g_setenv ("AZURE_CLIENT_ID", "from env", TRUE);
  g_setenv ("AZURE_CLIENT_SECRET", "env secret", TRUE);
  const CabTokenOptions options = {.use_environment = TRUE};
  const CabTokenOptions none = {0};
  desk.must_have = "client_id=from%20env&client_secret=env%20secret&";
  const char *place = g_getenv ("AZURE_CLIENT_SECRET");
  g_assert_null (cab_credentials_new (&none, NULL));
  g_assert_cmpstr (place, ==, "env secret");
  desk_open (&desk, &options, 1, 5000);
  desk_assert_token (&desk, "token-1");
  g_assert_null (g_getenv ("AZURE_CLIENT_SECRET"));
  g_assert_cmpstr (place, ==, ""); /* /proc/PID/environ shows what stands there */
  g_unsetenv ("AZURE_TENANT_ID");
  g_unsetenv ("AZURE_CLIENT_ID");
  g_unsetenv ("AZURE_CLIENT_SECRET");
}

static void test_credentials_directory (void) {
  DESK (desk);
  g_free (desk_write (&desk, "client-secret", "stood in", 0440));
  g_free (desk_write (&desk, "named", "by name", 0440));
  char tenant[] = "tenant", id[] = "id", name[] = "named";
  CabTokenOptions options = {.tenant = tenant, .client_id = id};
  g_setenv ("CREDENTIALS_DIRECTORY", desk.directory, TRUE);
  g_autoptr (CabCredentials) first = cab_credentials_new (&options, NULL);
  options.client_secret_file = name;
  g_autoptr (CabCredentials) second = cab_credentials_new (&options, NULL);
  options.token_file = name;
  g_autoptr (CabCredentials) third = cab_credentials_new (&options, NULL);
  g_unsetenv ("CREDENTIALS_DIRECTORY");
  const CabFormInput input = {.version = 1, .resource = RESOURCE, .endpoint = "https://login.example"};
  g_autofree char *form = cab_credentials_form (first, &input, NULL);
  g_assert_nonnull (strstr (form, "client_secret=stood%20in&"));
  g_autofree char *other = cab_credentials_form (second, &input, NULL);
  g_assert_nonnull (strstr (other, "client_secret=by%20name&"));
  gsize len = 0;
  g_autofree char *bytes = cab_credentials_read_token (third, &len, NULL);
  g_assert_cmpstr (bytes, ==, "by name");
}

/* --- file and command --------------------------------------------------------------------------------------- */

static void test_token_file (void) {
  DESK (desk);
  g_autofree char *path = desk_write (&desk, "token", "first-token\n", 0600);
  const CabTokenOptions options = {.token_file = path};
  desk_open (&desk, &options, 1, 5000);
  desk_assert_token (&desk, "first-token");
  g_free (desk_write (&desk, "token",
                      "{\"accessToken\":\"second-token\",\"expiresOn\":\"2099-01-01 00:00:00\"}", 0600));
  desk_assert_token (&desk, "first-token");
  g_assert_true (desk_reject (&desk, "first-token"));
  desk_assert_token (&desk, "second-token");
  g_assert_cmpint (g_unlink (path), ==, 0);
  g_assert_true (desk_reject (&desk, "second-token"));
  g_autoptr (GError) error = desk_get_error (&desk);
  g_assert_nonnull (strstr (error->message, path));
  g_free (desk_write (&desk, "token", "third-token", 0600)); /* and a file that comes back is taken at once */
  desk_assert_token (&desk, "third-token");
}

static void test_command (void) {
  DESK (desk);
  g_setenv ("AZURE_CLIENT_SECRET", SECRET, TRUE);
  desk_open_with_command (&desk, "cat; test -z \"$AZURE_CLIENT_SECRET\" && echo printed-token; echo words >&2",
                          5000);
  desk_assert_token (&desk, "printed-token");
  desk_assert_token (&desk, "printed-token");
  g_unsetenv ("AZURE_CLIENT_SECRET");
}

static void check_command (const char *line, CabErrorCode code, const char *word) {
  DESK (desk);
  desk_open_with_command (&desk, line, 5000);
  g_autoptr (GError) error = desk_get_error (&desk);
  g_assert_error (error, CAB_ERROR, (int) code);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, word));
}

static void test_command_fails (void) {
  check_command ("echo 'please run az login client_secret=" SECRET "' >&2; exit 3", CAB_ERROR_FAILED,
                 "status 3: please run az login");
  check_command ("kill -9 $$", CAB_ERROR_FAILED, "signal 9");
  check_command ("no-such-program-here", CAB_ERROR_FAILED, "status 127");
  check_command ("head -c 100000 /dev/zero", CAB_ERROR_INVALID, "65536");
  check_command ("echo 'two words'", CAB_ERROR_INVALID, "");
}

static pid_t read_pid (Desk *desk) {
  g_autofree char *path = g_build_filename (desk->directory, "pid", NULL);
  g_autofree char *text = NULL;
  while (!g_file_get_contents (path, &text, NULL, NULL) || strchr (text, '\n') == NULL) {
    g_clear_pointer (&text, g_free);
    g_usleep (5000);
  }
  return (pid_t) g_ascii_strtoll (text, NULL, 10);
}

/* A process that was killed may be a zombie for a moment, until its new parent looks. */
static void assert_dies (pid_t pid) {
  g_autofree char *path = g_strdup_printf ("/proc/%d/stat", (int) pid);
  for (guint i = 0; i < 1000; i++) {
    g_autofree char *text = NULL;
    if (!g_file_get_contents (path, &text, NULL, NULL) || strstr (text, ") Z ") != NULL)
      return;
    g_usleep (5000);
  }
  g_error ("process %d lives", (int) pid);
}

static void test_command_deadline (void) {
  DESK (desk);
  g_autofree char *line = g_strdup_printf ("sleep 1000 & echo $! > %s/pid; wait", desk.directory);
  desk_open_with_command (&desk, line, 300);
  gint64 start = g_get_monotonic_time ();
  g_autoptr (GError) error = desk_get_error (&desk);
  g_assert_error (error, CAB_ERROR, CAB_ERROR_TIMEOUT);
  g_assert_cmpint (g_get_monotonic_time () - start, <, 10 * G_USEC_PER_SEC);
  assert_dies (read_pid (&desk)); /* the whole group */
}

/* What the command leaves behind does not keep us waiting. */
static void test_command_leaves_child (void) {
  DESK (desk);
  g_autofree char *line = g_strdup_printf ("sleep 1000 & echo $! > %s/pid; echo a-token", desk.directory);
  desk_open_with_command (&desk, line, 20000);
  desk_assert_token (&desk, "a-token");
  kill (read_pid (&desk), SIGKILL);
}

static void test_stop_while_command_runs (void) {
  DESK (desk);
  Asked asked;
  asked_init (&asked, &desk);
  g_autofree char *line = g_strdup_printf ("echo $$ > %s/pid; sleep 1000", desk.directory);
  desk_open_with_command (&desk, line, 600000);
  cab_http_run (desk.http, asked_get, &asked);
  pid_t pid = read_pid (&desk);
  cab_http_free (g_steal_pointer (&desk.http));
  g_assert_error (asked.error, CAB_ERROR, CAB_ERROR_CANCELLED);
  assert_dies (pid);
  asked_clear (&asked);
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
  g_log_set_always_fatal (G_LOG_FATAL_MASK);
  g_test_add_func ("/token/versions", test_versions);
  g_test_add_func ("/token/single-flight", test_single_flight);
  g_test_add_func ("/token/renewed-ahead", test_renewed_ahead);
  g_test_add_func ("/token/expired", test_expired);
  g_test_add_func ("/token/rejected", test_rejected);
  g_test_add_func ("/token/refused-login", test_refused_login);
  g_test_add_func ("/token/login-passes", test_login_passes);
  g_test_add_func ("/token/secret-file", test_secret_file);
  g_test_add_func ("/token/nothing-set", test_nothing_set);
  g_test_add_func ("/token/environment", test_environment);
  g_test_add_func ("/token/credentials-directory", test_credentials_directory);
  g_test_add_func ("/token/file", test_token_file);
  g_test_add_func ("/token/command", test_command);
  g_test_add_func ("/token/command-fails", test_command_fails);
  g_test_add_func ("/token/command-deadline", test_command_deadline);
  g_test_add_func ("/token/command-leaves-child", test_command_leaves_child);
  g_test_add_func ("/token/stop-while-command-runs", test_stop_while_command_runs);
  return g_test_run ();
}
