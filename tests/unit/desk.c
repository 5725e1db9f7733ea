/* SPDX-License-Identifier: MIT */
#include "tests/unit/desk.h"

#include "client/error.h"

#include <glib/gstdio.h>
#include <string.h>

static void login (Exchange *exchange, gpointer data) {
  Desk *self = data;
  exchange->hold = self->hold;
  if (self->check != NULL)
    self->check (self, exchange);
  if (exchange->status != 200)
    return;
  g_assert_true (g_str_equal (exchange->method, "GET") ||
                 strstr (exchange->form, "grant_type=client_credentials") != NULL);
  if (self->must_have != NULL)
    g_assert_nonnull (strstr (exchange->form, self->must_have));
  if (exchange->index < self->failures) {
    exchange->status = self->status;
    server_body (exchange,
                 "{\"error\":\"invalid_client\",\"error_description\":\"AADSTS7000215: Invalid client "
                 "secret.\\r\\nTrace ID: x\",\"correlation_id\":\"c0ffee00-1111-2222-3333-444444444444\"}");
    return;
  }
  server_body (exchange, "{\"token_type\":\"Bearer\",\"expires_in\":%u,\"access_token\":\"token-%u\"}",
               self->lifetime_s, exchange->index + 1);
}

void desk_init (Desk *self) {
  *self = (Desk){.lifetime_s = 3600};
  self->server = server_new (login, self);
  self->directory = g_dir_make_tmp ("cabfs-XXXXXX", NULL);
}

static void remove_all (const char *directory) {
  g_autoptr (GDir) dir = g_dir_open (directory, 0, NULL);
  for (const char *name = g_dir_read_name (dir); name != NULL; name = g_dir_read_name (dir)) {
    g_autofree char *path = g_build_filename (directory, name, NULL);
    g_unlink (path);
  }
  g_rmdir (directory);
}

void desk_clear (Desk *self) {
  cab_http_free (self->http);
  cab_token_free (self->token);
  server_free (self->server);
  remove_all (self->directory);
  g_free (self->directory);
}

char *desk_write (Desk *self, const char *name, const char *text, int mode) {
  char *path = g_build_filename (self->directory, name, NULL);
  g_assert_true (g_file_set_contents_full (path, text, -1, G_FILE_SET_CONTENTS_NONE, mode, NULL));
  g_assert_cmpint (g_chmod (path, mode), ==, 0);
  return path;
}

void desk_open (Desk *self, const CabTokenOptions *options, guint version, guint timeout_ms) {
  g_autoptr (GError) error = NULL;
  const CabLane lanes[] = {{.parallel = 1}};
  const CabHttpOptions http = {.name = "test", .lanes = lanes, .n_lanes = 1};
  self->http = cab_http_new (&http, &error);
  g_assert_no_error (error);
  CabCredentials *credentials = cab_credentials_new (options, &error);
  g_assert_no_error (error);
  const CabTokenConfig config = {.http = self->http,
                                 .login_url = server_url (self->server),
                                 .resource = RESOURCE,
                                 .version = version,
                                 .timeout_ms = timeout_ms,
                                 .tries = 3};
  self->token = cab_token_new (&config, credentials);
}

void desk_open_with_secret (Desk *self, guint version) {
  g_autofree char *path = desk_write (self, "secret", SECRET "\n", 0600);
  char tenant[] = "tenant", id[] = "id";
  const CabTokenOptions options = {.tenant = tenant, .client_id = id, .client_secret_file = path};
  desk_open (self, &options, version, 5000);
}

void desk_open_with_command (Desk *self, const char *command, guint timeout_ms) {
  g_autofree char *copy = g_strdup (command);
  const CabTokenOptions options = {.token_command = copy};
  desk_open (self, &options, 1, timeout_ms);
}

static void have (gpointer data, const char *value, const GError *error) {
  Asked *self = data;
  g_assert_true ((value == NULL) == (error != NULL));
  self->value = g_strdup (value);
  self->error = error == NULL ? NULL : g_error_copy (error);
}

static void have_and_tell (gpointer data, const char *value, const GError *error) {
  Asked *self = data;
  have (self, value, error);
  latch_up (&self->latch);
}

void asked_get (gpointer data) {
  Asked *self = data;
  cab_token_get (self->desk->token, have_and_tell, self);
}

static void do_reject (gpointer data) {
  Asked *self = data;
  self->verdict = cab_token_reject (self->desk->token, self->rejected);
  latch_up (&self->latch);
}

static void do_absolve (gpointer data) {
  Asked *self = data;
  cab_token_absolve (self->desk->token, self->rejected);
  latch_up (&self->latch);
}

void asked_init (Asked *self, Desk *desk) {
  *self = (Asked){.desk = desk, .latch = LATCH_INIT};
}

void asked_clear (Asked *self) {
  g_free (self->value);
  g_clear_error (&self->error);
}

char *desk_get (Desk *desk) {
  Asked asked;
  asked_init (&asked, desk);
  cab_http_run (desk->http, asked_get, &asked);
  latch_wait (&asked.latch, 1);
  g_assert_no_error (asked.error);
  return asked.value;
}

GError *desk_get_error (Desk *desk) {
  Asked asked;
  asked_init (&asked, desk);
  cab_http_run (desk->http, asked_get, &asked);
  latch_wait (&asked.latch, 1);
  g_assert_null (asked.value);
  g_assert_null (strstr (asked.error->message, SECRET));
  return asked.error;
}

gboolean desk_reject (Desk *desk, const char *value) {
  Asked asked;
  asked_init (&asked, desk);
  asked.rejected = value;
  cab_http_run (desk->http, do_reject, &asked);
  latch_wait (&asked.latch, 1);
  return asked.verdict;
}

void desk_absolve (Desk *desk, const char *value) {
  Asked asked;
  asked_init (&asked, desk);
  asked.rejected = value;
  cab_http_run (desk->http, do_absolve, &asked);
  latch_wait (&asked.latch, 1);
}

void desk_assert_token (Desk *desk, const char *expected) {
  g_autofree char *value = desk_get (desk);
  g_assert_cmpstr (value, ==, expected);
}
