/* SPDX-License-Identifier: MIT */
#include "client/parts.h"

#include "client/clock.h"
#include "client/error.h"
#include "client/list.h"
#include "client/wipe.h"

/* What tokens are for (api-contract.md 2.1): the service itself, wherever api_url points. */
#define RESOURCE "https://manage.devcenter.microsoft.com"

/* Large reads cost fewer system calls than libcurl's own buffer. */
#define BYTES_BUFFER (512u * 1024)

/* An answer to HEAD has some 700 bytes. */
#define SIZES_BUFFER 2048u

/* With so many connections one is kept for who waits for the first bytes of a file, whatever is fetched ahead. */
#define ENOUGH_TO_SPARE 4

/* --- options ------------------------------------------------------------------------------------------------ */

void cab_client_options_clear (CabClientOptions *options) {
  g_free (options->api_url);
  g_free (options->login_url);
  g_free (options->token.token_file);
  g_free (options->token.token_command);
  g_free (options->token.managed_identity);
  g_free (options->token.managed_url);
  g_free (options->token.tenant);
  g_free (options->token.client_id);
  g_free (options->token.client_certificate_file);
  g_free (options->token.federated_token_file);
  g_free (options->token.client_secret_file);
  g_strfreev (options->blob_hosts);
  g_free (options->ca_file);
  cab_wipe_free (options->proxy);
  g_free (options->start_date);
  g_free (options->end_date);
  *options = (CabClientOptions){0};
}

static char *without_slash (const char *url) {
  char *copy = g_strdup (url != NULL ? url : "");
  for (gsize len = strlen (copy); len > 0 && copy[len - 1] == '/'; len--)
    copy[len - 1] = '\0';
  return copy;
}

static CabClientOptions copy_options (const CabClientOptions *options) {
  CabClientOptions copy = *options;
  copy.api_url = without_slash (options->api_url);
  copy.login_url = without_slash (options->login_url);
  copy.token.token_file = g_strdup (options->token.token_file);
  copy.token.token_command = g_strdup (options->token.token_command);
  copy.token.managed_identity = g_strdup (options->token.managed_identity);
  copy.token.managed_url = g_strdup (options->token.managed_url);
  copy.token.tenant = g_strdup (options->token.tenant);
  copy.token.client_id = g_strdup (options->token.client_id);
  copy.token.client_certificate_file = g_strdup (options->token.client_certificate_file);
  copy.token.federated_token_file = g_strdup (options->token.federated_token_file);
  copy.token.client_secret_file = g_strdup (options->token.client_secret_file);
  copy.blob_hosts = g_strdupv (options->blob_hosts);
  copy.ca_file = g_strdup (options->ca_file);
  copy.proxy = g_strdup (options->proxy);
  copy.start_date = g_strdup (options->start_date);
  copy.end_date = g_strdup (options->end_date);
  copy.connections = MAX (1, options->connections);
  copy.api_connections = MAX (1, options->api_connections);
  copy.size_connections = MAX (1, options->size_connections);
  copy.retries = MAX (1, options->retries);
  copy.timeout_ms = MAX (1, options->timeout_ms);
  return copy;
}

static gboolean check_date (const char *name, const char *date, GError **error) {
  if (date == NULL || cab_time_parse (date) != CAB_TIME_UNKNOWN)
    return TRUE;
  g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID, "%s: '%s' is no date; write yyyy-mm-dd", name, date);
  return FALSE;
}

static gboolean check_options (const CabClientOptions *options, const CabCredentials *credentials,
                               GError **error) {
  if (!cab_address_check_base (options->api_url, options->allow_http, error)) {
    g_prefix_error (error, "api-url: ");
    return FALSE;
  }
  if (cab_credentials_source (credentials) == CAB_SOURCE_MANAGED &&
      !cab_address_check_metadata (options->token.managed_url, options->allow_http, error)) {
    g_prefix_error (error, "managed-identity-url: ");
    return FALSE;
  }
  if (cab_credentials_need_login (credentials) &&
      !cab_address_check_base (options->login_url, options->allow_http, error)) {
    g_prefix_error (error, "login-url: ");
    return FALSE;
  }
  if (options->token_version != 1 && options->token_version != 2) {
    g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID, "token-version: %u is neither 1 nor 2",
                 options->token_version);
    return FALSE;
  }
  if (options->ca_file != NULL && !g_file_test (options->ca_file, G_FILE_TEST_IS_REGULAR)) {
    g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID, "ca-file: there is no file '%s'", options->ca_file);
    return FALSE;
  }
  return check_date ("start-date", options->start_date, error) &&
         check_date ("end-date", options->end_date, error);
}

/* --- start and stop ----------------------------------------------------------------------------------------- */

static CabHttp *start_api (const CabClientOptions *options, GError **error) {
  const CabLane lanes[CAB_API_LANES] = {
      [CAB_LANE_API] = {.parallel = options->api_connections, .http2 = TRUE, .compressed = TRUE},
      [CAB_LANE_LOGIN] = {.parallel = 1, .compressed = TRUE},
  };
  const CabHttpOptions http = {.name = "cabfs-api",
                               .ca_file = options->ca_file,
                               .proxy = options->proxy,
                               .lanes = lanes,
                               .n_lanes = CAB_API_LANES};
  return cab_http_new (&http, error);
}

static CabHttp *start_blobs (const CabClientOptions *options, GError **error) {
  const CabLane lanes[CAB_BLOB_LANES] = {
      [CAB_LANE_BYTES] = {.parallel = options->connections,
                          .spare = options->connections >= ENOUGH_TO_SPARE ? 1 : 0,
                          .paced = TRUE,
                          .early = TRUE,
                          .buffer = BYTES_BUFFER},
      [CAB_LANE_SIZES] = {.parallel = options->size_connections, .buffer = SIZES_BUFFER},
  };
  const CabHttpOptions http = {.name = "cabfs-blobs",
                               .ca_file = options->ca_file,
                               .proxy = options->proxy,
                               .lanes = lanes,
                               .n_lanes = CAB_BLOB_LANES};
  return cab_http_new (&http, error);
}

static void make_parts (CabClient *self, CabCredentials *credentials) {
  const CabClientOptions *options = &self->options;
  const CabTokenConfig token = {.http = self->api_http,
                                .lane = CAB_LANE_LOGIN,
                                .login_url = options->login_url,
                                .resource = RESOURCE,
                                .version = options->token_version,
                                .timeout_ms = options->timeout_ms,
                                .tries = options->retries};
  self->token = cab_token_new (&token, credentials);
  const CabCallsConfig calls = {.http = self->api_http,
                                .lane = CAB_LANE_API,
                                .parallel = options->api_connections,
                                .token = self->token,
                                .api_url = options->api_url,
                                .timeout_ms = options->timeout_ms,
                                .tries = options->retries};
  self->calls = cab_calls_new (&calls);
  const CabLocatorConfig locator = {.rule = &self->rule,
                                    .days = options->days,
                                    .start_date = options->start_date,
                                    .end_date = options->end_date};
  self->locator = cab_locator_new (self->calls, &locator);
}

static void free_parts (CabClient *self) {
  g_clear_pointer (&self->locator, cab_locator_free);
  g_clear_pointer (&self->calls, cab_calls_free);
  g_clear_pointer (&self->token, cab_token_free);
  cab_client_options_clear (&self->options);
  pthread_cond_destroy (&self->idle);
  pthread_mutex_destroy (&self->lock);
  g_free (self);
}

CabClient *cab_client_new (const CabClientOptions *options, GError **error) {
  CabClient *self = g_new0 (CabClient, 1);
  pthread_mutex_init (&self->lock, NULL);
  pthread_cond_init (&self->idle, NULL);
  self->options = copy_options (options);
  atomic_init (&self->timeout_ms, self->options.timeout_ms);
  atomic_init (&self->tries, self->options.retries);
  self->rule = (CabAddressRule){.hosts = self->options.blob_hosts, .allow_http = self->options.allow_http};
  g_autoptr (CabCredentials) credentials = cab_credentials_new (&self->options.token, error);
  if (credentials != NULL && check_options (&self->options, credentials, error) &&
      (self->api_http = start_api (&self->options, error)) != NULL &&
      (self->blob_http = start_blobs (&self->options, error)) != NULL) {
    make_parts (self, g_steal_pointer (&credentials));
    return self;
  }
  cab_http_free (self->api_http);
  free_parts (self);
  return NULL;
}

typedef struct {
  CabClient *client;
  CabClientOptions options;
} Change;

/* On the thread of the API's transport, whose everything here is.  Windows are made when they are needed. */
static void change (gpointer data) {
  Change *job = data;
  CabClient *self = job->client;
  CabClientOptions *now = &self->options, *new = &job->options;
  char *start = now->start_date, *end = now->end_date;
  now->days = new->days;
  now->start_date = g_steal_pointer (&new->start_date);
  now->end_date = g_steal_pointer (&new->end_date);
  cab_locator_change (self->locator, now->days, now->start_date, now->end_date);
  cab_calls_change (self->calls, new->timeout_ms, new->retries);
  cab_token_change (self->token, new->timeout_ms, new->retries);
  g_free (start);
  g_free (end);
  cab_client_options_clear (new);
  g_free (job);
  cab_client_end (self);
}

void cab_client_change (CabClient *self, const CabClientOptions *options) {
  Change *job = g_new (Change, 1);
  *job = (Change){self, copy_options (options)};
  atomic_store (&self->timeout_ms, job->options.timeout_ms);
  atomic_store (&self->tries, job->options.retries);
  cab_client_begin (self);
  cab_http_run (self->api_http, change, job);
}

void cab_client_begin (CabClient *self) {
  CAB_LOCK_SCOPE (&self->lock);
  self->pending++;
}

void cab_client_end (CabClient *self) {
  CAB_LOCK_SCOPE (&self->lock);
  g_assert (self->pending > 0);
  if (--self->pending == 0)
    pthread_cond_broadcast (&self->idle);
}

void cab_client_stop (CabClient *self) {
  cab_http_stop (self->api_http);
  cab_http_stop (self->blob_http);
  CAB_LOCK_SCOPE (&self->lock);
  while (self->pending > 0)
    pthread_cond_wait (&self->idle, &self->lock);
}

void cab_client_free (CabClient *self) {
  if (self == NULL)
    return;
  cab_client_stop (self);
  cab_http_free (self->api_http);
  cab_http_free (self->blob_http);
  free_parts (self);
}

/* --- lists -------------------------------------------------------------------------------------------------- */

typedef struct {
  CabClient *client;
  CabScope *scope;
  CabListSink sink;
  gpointer data;
} List;

static void list_progress (gpointer data) {
  List *self = data;
  if (self->sink.progress != NULL)
    self->sink.progress (self->data);
}

static void list_done (gpointer data, CabRecords *records, const GError *error) {
  g_autofree List *self = data;
  self->sink.done (self->data, records, error);
  cab_scope_free (self->scope);
  cab_client_end (self->client);
}

static void begin_list (gpointer data) {
  List *self = data;
  const CabClientOptions *options = &self->client->options;
  CabWindow window = cab_window_make (cab_clock_unix (), options->days, options->start_date, options->end_date);
  CabListSink sink = {.progress = list_progress, .done = list_done};
  cab_list_run (self->client->calls, self->scope, &window, &sink, self);
}

gboolean cab_client_lists_addresses (const CabScope *scope) {
  return cab_api_locate_kind (scope, 0) == CAB_LOCATE_LIST;
}

void cab_client_list (CabClient *self, const CabScope *scope, const CabListSink *sink, gpointer data) {
  List *list = g_new0 (List, 1);
  cab_client_begin (self);
  list->client = self;
  list->scope = cab_scope_copy (scope);
  list->sink = *sink;
  list->data = data;
  cab_http_run (self->api_http, begin_list, list);
}
