/* SPDX-License-Identifier: MIT */
#include "tests/unit/rig.h"

#include "client/times.h"

#include <glib/gstdio.h>
#include <string.h>

static char *secret_file (Rig *self) {
  char *path = g_build_filename (self->directory, "secret", NULL);
  g_assert_true (g_file_set_contents_full (path, "s3cr+t/=~\n", -1, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
  return path;
}

/* All that is logged, at every level, passes here. */
static void check_log (const char *domain, GLogLevelFlags level, const char *message, gpointer data) {
  static const char *const secrets[] = {"sig=s", "token-1", "token-2", "s3cr"};
  for (gsize i = 0; i < G_N_ELEMENTS (secrets); i++)
    if (strstr (message, secrets[i]) != NULL)
      g_error ("a secret in the log");
  if ((level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING)) != 0)
    g_log_default_handler (domain, level, message, NULL);
}

Rig *rig_new (ServerHandler api, ServerHandler blobs, gpointer data) {
  Rig *self = g_new0 (Rig, 1);
  g_log_set_debug_enabled (TRUE);
  g_log_set_default_handler (check_log, NULL);
  self->api = server_new (api, data);
  self->blobs = server_new (blobs, data);
  self->directory = g_dir_make_tmp ("cabfs-XXXXXX", NULL);
  self->scope = cab_scope_new ("driver", RIG_APP, RIG_HASH);
  char *hosts[] = {g_strdup (server_url (self->blobs) + strlen ("http://")), NULL};
  self->options = (CabClientOptions){.api_url = g_strdup (server_url (self->api)),
                                     .login_url = g_strdup (server_url (self->api)),
                                     .token_version = 1,
                                     .token = {.tenant = g_strdup ("contoso.example"),
                                               .client_id = g_strdup ("client"),
                                               .client_secret_file = secret_file (self)},
                                     .blob_hosts = g_strdupv (hosts),
                                     .allow_http = TRUE,
                                     .days = 30,
                                     .connections = 4,
                                     .api_connections = 4,
                                     .size_connections = 8,
                                     .timeout_ms = 20000,
                                     .retries = 5};
  g_free (hosts[0]);
  return self;
}

void rig_start (Rig *self) {
  g_autoptr (GError) error = NULL;
  self->client = cab_client_new (&self->options, &error);
  g_assert_no_error (error);
}

void rig_free (Rig *self) {
  if (self == NULL)
    return;
  g_autofree char *secret = g_build_filename (self->directory, "secret", NULL);
  cab_client_free (self->client);
  server_free (self->api);
  server_free (self->blobs);
  cab_client_options_clear (&self->options);
  cab_scope_free (self->scope);
  g_unlink (secret);
  g_rmdir (self->directory);
  g_free (self->directory);
  g_free (self);
}

gboolean rig_answer_token (Exchange *exchange, guint lifetime_s) {
  if (g_strcmp0 (exchange->path, "/contoso.example/oauth2/token") != 0)
    return FALSE;
  g_assert_cmpstr (exchange->method, ==, "POST");
  g_assert_cmpstr (exchange->form, ==,
                   "grant_type=client_credentials&client_id=client&client_secret=s3cr%2Bt%2F%3D~&"
                   "resource=https%3A%2F%2Fmanage.devcenter.microsoft.com");
  server_body (exchange, "{\"token_type\":\"Bearer\",\"expires_in\":\"%u\",\"access_token\":\"token-%u\"}",
               lifetime_s, exchange->index + 1);
  return TRUE;
}

char *rig_expiry (gint life_s) {
  return cab_time_format_iso (g_get_real_time () / G_USEC_PER_SEC + life_s);
}

/* --- outcomes ----------------------------------------------------------------------------------------------- */

void outcome_init (Outcome *self) {
  *self = (Outcome){.latch = LATCH_INIT, .bytes = g_byte_array_new ()};
}

void outcome_clear (Outcome *self) {
  g_byte_array_unref (self->bytes);
  g_free (self->etag);
  g_free (self->md5);
  g_free (self->message);
  g_clear_pointer (&self->records, cab_records_unref);
}

static void take_error (Outcome *self, const GError *error) {
  self->ends++;
  self->failed = error != NULL;
  if (error != NULL) {
    g_assert_true (error->domain == CAB_ERROR);
    self->code = (CabErrorCode) error->code;
    self->message = g_strdup (error->message);
    g_assert_null (strstr (error->message, "sig=s"));
    g_assert_null (strstr (error->message, "token-1"));
  }
}

static void take_facts (Outcome *self, const CabFacts *facts) {
  if (self->facts++ > 0) {
    g_assert_cmpuint (self->size, ==, facts->size);
    g_assert_cmpstr (self->etag, ==, facts->etag);
  }
  self->size = facts->size;
  g_free (self->etag);
  self->etag = g_strdup (facts->etag);
  g_free (self->md5);
  self->md5 = g_strdup (facts->md5);
  self->modified = facts->modified;
}

static gboolean on_facts (gpointer data, const CabFacts *facts, GError **error) {
  take_facts (data, facts);
  return TRUE;
}

static gboolean on_write (gpointer data, guint64 off, const void *bytes, gsize len, GError **error) {
  Outcome *self = data;
  g_assert_cmpuint (self->facts, >, 0);
  g_assert_cmpuint (off, ==, self->next);
  g_assert_cmpuint (len, >, 0);
  self->next += len;
  g_byte_array_append (self->bytes, bytes, (guint) len);
  if (self->stop_at == 0 || self->next < self->stop_at)
    return TRUE;
  g_set_error_literal (error, CAB_ERROR, CAB_ERROR_NO_SPACE, "the disk is full");
  return FALSE;
}

static void on_done (gpointer data, const GError *error) {
  Outcome *self = data;
  take_error (self, error);
  latch_up (&self->latch);
}

const CabSink outcome_sink = {.facts = on_facts, .write = on_write, .done = on_done};

void outcome_probed (gpointer data, const CabFacts *facts, const GError *error) {
  Outcome *self = data;
  g_assert_true ((facts == NULL) == (error != NULL));
  if (facts != NULL)
    take_facts (self, facts);
  on_done (self, error);
}

static void on_page (gpointer data) {
  Outcome *self = data;
  self->pages++;
}

static void on_listed (gpointer data, CabRecords *records, const GError *error) {
  Outcome *self = data;
  g_assert_true ((records == NULL) == (error != NULL));
  self->records = records == NULL ? NULL : cab_records_ref (records);
  on_done (self, error);
}

const CabListSink outcome_list_sink = {.progress = on_page, .done = on_listed};

/* --- calls -------------------------------------------------------------------------------------------------- */

CabBlob *rig_blob (Rig *self, const char *url, gint64 date) {
  const CabRecord record = {
      .id = RIG_CAB, .url = url, .date = date, .expires = CAB_TIME_UNKNOWN, .downloadable = TRUE};
  return cab_blob_new (self->client, self->scope, &record);
}

void rig_get (CabBlob *blob, guint64 off, guint64 len, const char *etag, Outcome *outcome) {
  outcome->next = off;
  cab_transfer_unref (cab_blob_get (blob, off, len, etag, CAB_PRIORITY_READER, &outcome_sink, outcome));
  latch_wait (&outcome->latch, 1);
}

void rig_probe (CabBlob *blob, Outcome *outcome) {
  cab_blob_probe (blob, CAB_PRIORITY_READER, outcome_probed, outcome);
  latch_wait (&outcome->latch, 1);
}

void rig_list (Rig *self, Outcome *outcome) {
  cab_client_list (self->client, self->scope, &outcome_list_sink, outcome);
  latch_wait (&outcome->latch, 1);
}

/* --- bytes -------------------------------------------------------------------------------------------------- */

char rig_byte (guint64 at) {
  return (char) ((at * 2654435761u) >> 11);
}

void rig_fill (guint64 at, char *bytes, gsize len) {
  for (gsize i = 0; i < len; i++)
    bytes[i] = rig_byte (at + i);
}

void rig_check_bytes (const Outcome *outcome, guint64 off, gsize len) {
  g_assert_cmpuint (outcome->bytes->len, ==, len);
  for (gsize i = 0; i < len; i++)
    if ((char) outcome->bytes->data[i] != rig_byte (off + i))
      g_error ("a wrong byte at %" G_GUINT64_FORMAT, off + i);
}
