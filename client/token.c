/* SPDX-License-Identifier: MIT */
#include "client/token.h"

#include "client/api.h"
#include "client/clock.h"
#include "client/command.h"
#include "client/error.h"
#include "client/metrics.h"
#include "client/retry.h"
#include "client/sync.h"
#include "client/token_hints.h"
#include "client/wipe.h"

#define MAX_ANSWER    (256u * 1024)
#define REMEMBER_US   (60 * G_USEC_PER_SEC) /* refusals, and that a token is not at fault */
#define BRIEFLY_US    (5 * G_USEC_PER_SEC)  /* other failures that trying again at once would not end */
#define MARGIN_US     (120 * G_USEC_PER_SEC)
#define BACKGROUND_US (10 * G_USEC_PER_SEC) /* between renewals that fail while the old token lives */

/* A metadata service is on the machine itself; without one, packets are answered by nobody. */
#define METADATA_CONNECT_MS 3000
/* Clocks that differ by less are no reason for a refusal. */
#define CLOCKS_DIFFER_S 60

typedef struct {
  CabTokenDone done;
  gpointer data;
} Waiter;

struct CabToken {
  /* set at creation */
  CabHttp *http;
  guint lane;
  char *url; /* of the host that is asked; NULL if none is */
  char *resource;
  guint version;
  guint timeout_ms;
  guint tries;
  CabCredentials *credentials;
  /* owned by the transport's thread; times are of the boot clock */
  char *value; /* NULL: none */
  gint64 renew_at_us;
  gint64 expires_at_us;
  gint64 absolved_until_us;
  GError *failure; /* the last, if it is remembered */
  gint64 failed_until_us;
  gint64 background_at_us; /* not before */
  gboolean renewing;
  gboolean outdated;   /* this renewal began before what it goes by was changed */
  guint failed;        /* tries of this renewal */
  gint64 proved_at;    /* Unix seconds in the last proof */
  gboolean clock_told; /* in this renewal, the host's clock was taken once */
  GArray *waiters;
  CabCommand *command;
  CabTimer *deadline; /* of the command */
  gboolean timed_out;
};

/* What a command brought, on its way from the command's thread. */
typedef struct {
  CabToken *token;
  char *output;
  gsize len;
  GError *error;
} Brought;

/* --- the end of a renewal ----------------------------------------------------------------------------------- */

static void answer_all (CabToken *self, const GError *error) {
  g_autoptr (GArray) waiters = g_steal_pointer (&self->waiters);
  g_autofree char *value = g_strdup (self->value); /* a waiter may reject it */
  self->waiters = g_array_new (FALSE, FALSE, sizeof (Waiter));
  for (guint i = 0; i < waiters->len; i++) {
    const Waiter *waiter = &g_array_index (waiters, Waiter, i);
    waiter->done (waiter->data, error == NULL ? value : NULL, error);
  }
  if (value != NULL)
    cab_wipe_bytes (value, strlen (value));
}

static void drop_value (CabToken *self) {
  cab_wipe_free (g_steal_pointer (&self->value));
}

static gboolean is_alive (const CabToken *self, gint64 now) {
  return self->value != NULL && now < self->expires_at_us;
}

/* Who asks within @remember_us hears it again. */
static void fail (CabToken *self, GError *error, gint64 remember_us) {
  gint64 now = cab_clock_boot_us ();
  g_autoptr (GError) owned = error;
  self->renewing = FALSE;
  self->background_at_us = now + BACKGROUND_US;
  g_clear_error (&self->failure);
  if (remember_us > 0 && !self->outdated) {
    self->failure = g_error_copy (error);
    self->failed_until_us = now + remember_us;
    self->background_at_us = self->failed_until_us;
  }
  if (self->waiters->len == 0 && !g_error_matches (error, CAB_ERROR, CAB_ERROR_CANCELLED))
    g_warning ("access token, renewed ahead of its end: %s",
               error->message); /* else those who wait will tell */
  self->outdated = FALSE;
  answer_all (self, owned);
}

static void succeed (CabToken *self, const void *bytes, gsize len) {
  CabTokenAnswer answer = {0};
  GError *error = NULL;
  if (!cab_api_parse_token (bytes, len, cab_clock_unix (), &answer, &error)) {
    fail (self, error, BRIEFLY_US);
    return;
  }
  gint64 life_us = CLAMP (answer.expires_in, 1, G_MAXINT32) * G_USEC_PER_SEC;
  gint64 margin_us = MIN (MAX (MARGIN_US, life_us / 20), life_us / 2);
  gint64 now = cab_clock_boot_us ();
  drop_value (self);
  self->value = g_steal_pointer (&answer.access_token);
  self->expires_at_us = now + life_us;
  self->renew_at_us = self->outdated ? 0 : self->expires_at_us - margin_us;
  self->outdated = FALSE;
  self->absolved_until_us = 0;
  self->renewing = FALSE;
  g_clear_error (&self->failure);
  g_debug ("access token: a new one, for %" G_GINT64_FORMAT " s", life_us / G_USEC_PER_SEC);
  answer_all (self, NULL);
}

/* --- from the login host, or the machine's metadata service ------------------------------------------------- */

static void ask (gpointer data);

static gboolean is_managed (const CabToken *self) {
  return cab_credentials_source (self->credentials) == CAB_SOURCE_MANAGED;
}

static gboolean is_refusal (int status) {
  return status == 400 || status == 401 || status == 403;
}

static gint64 memory_of (int status) {
  if (is_refusal (status))
    return REMEMBER_US;
  return status < 500 && status != 408 && status != 429 ? BRIEFLY_US : 0;
}

static GError *refusal (const CabToken *self, const CabAnswer *answer) {
  int status = cab_answer_status (answer);
  gsize len = 0;
  const void *body = cab_answer_body (answer, &len);
  const char *correlation = cab_answer_header (answer, "client-request-id");
  if (correlation == NULL)
    correlation = cab_answer_header (answer, "x-ms-request-id");
  g_autofree char *text = cab_api_error_text (body, len, correlation);
  const char *hint = is_managed (self) ? cab_token_hint_metadata (status) : cab_token_hint_login (text);
  if (hint == NULL && status == 404 && !is_managed (self))
    hint = "is login-url or tenant mistyped?";
  GError *error = g_error_new (CAB_ERROR, is_refusal (status) ? CAB_ERROR_DENIED : CAB_ERROR_FAILED,
                               "%s %s: HTTP status %d%s%s%s%s%s", is_managed (self) ? "GET" : "POST", self->url,
                               status, text[0] != '\0' ? ": " : "", text, hint != NULL ? " (" : "",
                               hint != NULL ? hint : "", hint != NULL ? ")" : "");
  cab_api_error_mark (error, status, body, len, NULL, correlation);
  return error;
}

static gboolean try_again (CabToken *self, int status, gint64 retry_after) {
  CabRetryInput input = {.kind = is_managed (self) ? CAB_RETRY_METADATA : CAB_RETRY_API,
                         .tries = self->tries,
                         .failed = ++self->failed,
                         .status = status,
                         .retry_after = retry_after,
                         .chance = g_random_double ()};
  gint64 delay_ms = cab_http_stopped (self->http) ? -1 : cab_retry_delay_ms (&input);
  if (delay_ms < 0)
    return FALSE;
  cab_metric_add (CAB_METRIC_RETRIES, 1);
  if (cab_retry_pauses_host (status, retry_after))
    cab_http_pause (self->http, self->url, delay_ms);
  cab_http_after (self->http, delay_ms, ask, self);
  return TRUE;
}

static gboolean is_passing (const GError *error) {
  return g_error_matches (error, CAB_ERROR, CAB_ERROR_FAILED) ||
         g_error_matches (error, CAB_ERROR, CAB_ERROR_TIMEOUT);
}

/* Without an answer. */
static void unanswered (CabToken *self, const GError *error) {
  if (is_passing (error) && try_again (self, 0, -1))
    return;
  gboolean nobody = is_managed (self) && is_passing (error) && !cab_http_stopped (self->http);
  GError *told = nobody ? g_error_new (CAB_ERROR, error->code, "managed-identity: %s (%s)", error->message,
                                       cab_token_hint_metadata (0))
                        : g_error_copy (error);
  gboolean untrusted = g_error_matches (error, CAB_ERROR, CAB_ERROR_DENIED);
  fail (self, told, nobody ? REMEMBER_US : untrusted ? BRIEFLY_US : 0);
}

/* A proof says from when to when it is good.  By a clock that is wrong it never is, and the answer told the right one. */
static gboolean mind_clock (CabToken *self, int status) {
  if (cab_credentials_source (self->credentials) != CAB_SOURCE_CERTIFICATE || self->clock_told ||
      (status != 400 && status != 401) || cab_http_stopped (self->http) ||
      ABS (cab_http_time (self->http, self->url) - self->proved_at) < CLOCKS_DIFFER_S)
    return FALSE;
  self->clock_told = TRUE;
  ask (self);
  return TRUE;
}

static void answered (gpointer data, const CabAnswer *answer, const GError *error) {
  CabToken *self = data;
  int status = cab_answer_status (answer);
  gsize len = 0;
  const void *body = cab_answer_body (answer, &len);
  if (error != NULL)
    unanswered (self, error);
  else if (status == 200)
    succeed (self, body, len);
  else if (!mind_clock (self, status) && !try_again (self, status, cab_answer_retry_after (answer)))
    fail (self, refusal (self, answer), memory_of (status));
}

/* NULL with @error, or without where no form is needed. */
static char *make_form (CabToken *self, GError **error) {
  if (is_managed (self))
    return NULL;
  self->proved_at = cab_http_time (self->http, self->url);
  const CabFormInput input = {
      .version = self->version, .resource = self->resource, .endpoint = self->url, .now = self->proved_at};
  return cab_credentials_form (self->credentials, &input, error);
}

static void ask (gpointer data) {
  CabToken *self = data;
  GError *error = NULL;
  char *form = make_form (self, &error);
  if (error != NULL) {
    fail (self, error, 0); /* looking again costs nothing */
    return;
  }
  static const char *const headers[] = {"Accept: application/json", NULL};
  static const char *const metadata_headers[] = {"Accept: application/json", "Metadata: true", NULL};
  CabRequestSpec spec = {.kind = CAB_REQUEST_TOKEN,
                         .method = form != NULL ? CAB_METHOD_POST : CAB_METHOD_GET,
                         .url = self->url,
                         .headers = form != NULL ? headers : metadata_headers,
                         .form = form,
                         .lane = self->lane,
                         .stall_ms = self->timeout_ms,
                         .connect_ms = form != NULL ? 0 : MIN (METADATA_CONNECT_MS, self->timeout_ms),
                         .limit = MAX_ANSWER,
                         .fresh = self->failed > 0};
  CabRequestSink sink = {.done = answered};
  cab_request_unref (cab_http_send (self->http, &spec, &sink, self));
  cab_wipe_free (form);
}

/* --- from a file or a command ------------------------------------------------------------------------------- */

static void read_file (CabToken *self) {
  GError *error = NULL;
  gsize len = 0;
  cab_metric_count_sent (CAB_REQUEST_TOKEN);
  char *bytes = cab_credentials_read_token (self->credentials, &len, &error);
  if (bytes == NULL) {
    cab_metric_count_failed (CAB_REQUEST_TOKEN);
    g_prefix_error (&error, "token-file: ");
    fail (self, error, 0); /* looking again costs nothing */
    return;
  }
  succeed (self, bytes, len);
  cab_wipe_bytes (bytes, len);
  g_free (bytes);
}

static void command_ended (gpointer data) {
  g_autofree Brought *brought = data;
  CabToken *self = brought->token;
  cab_http_forget (self->http, &self->deadline);
  cab_command_free (g_steal_pointer (&self->command));
  cab_http_release (self->http);
  if (brought->error == NULL) {
    succeed (self, brought->output, brought->len);
  } else if (self->timed_out) {
    cab_metric_count_failed (CAB_REQUEST_TOKEN);
    g_clear_error (&brought->error);
    fail (self,
          g_error_new (CAB_ERROR, CAB_ERROR_TIMEOUT, "token-command did not end within %u s",
                       (self->timeout_ms + 999) / 1000),
          BRIEFLY_US);
  } else {
    gboolean cancelled = g_error_matches (brought->error, CAB_ERROR, CAB_ERROR_CANCELLED);
    if (!cancelled)
      cab_metric_count_failed (CAB_REQUEST_TOKEN);
    fail (self, g_steal_pointer (&brought->error), cancelled ? 0 : BRIEFLY_US);
  }
  cab_wipe_bytes (brought->output, brought->len);
  g_free (brought->output);
}

static void bring (gpointer data, const void *output, gsize len, const GError *error) {
  CabToken *self = data;
  Brought *brought = g_new0 (Brought, 1);
  brought->token = self;
  brought->output = g_memdup2 (output, len);
  brought->len = len;
  brought->error = error == NULL ? NULL : g_error_copy (error);
  cab_http_run (self->http, command_ended, brought);
}

static void give_up_command (gpointer data) {
  CabToken *self = data;
  self->deadline = NULL;
  self->timed_out = !cab_http_stopped (self->http);
  cab_command_kill (self->command);
}

static void run_command (CabToken *self) {
  GError *error = NULL;
  self->timed_out = FALSE;
  cab_metric_count_sent (CAB_REQUEST_TOKEN);
  cab_http_hold (self->http);
  self->command = cab_command_start (cab_credentials_command (self->credentials), bring, self, &error);
  if (self->command == NULL) {
    cab_http_release (self->http);
    cab_metric_count_failed (CAB_REQUEST_TOKEN);
    fail (self, error, BRIEFLY_US);
    return;
  }
  self->deadline = cab_http_after (self->http, self->timeout_ms, give_up_command, self);
}

/* --- asking ------------------------------------------------------------------------------------------------- */

static void renew (CabToken *self) {
  if (self->renewing)
    return;
  self->renewing = TRUE;
  self->failed = 0;
  self->clock_told = FALSE;
  if (cab_http_stopped (self->http)) {
    fail (self, g_error_new_literal (CAB_ERROR, CAB_ERROR_CANCELLED, "ended"), 0);
    return;
  }
  switch (cab_credentials_source (self->credentials)) {
  case CAB_SOURCE_FILE:
    read_file (self);
    break;
  case CAB_SOURCE_COMMAND:
    run_command (self);
    break;
  case CAB_SOURCE_MANAGED:
  case CAB_SOURCE_CERTIFICATE:
  case CAB_SOURCE_FEDERATED:
  case CAB_SOURCE_SECRET:
    ask (self);
    break;
  }
}

void cab_token_get (CabToken *self, CabTokenDone done, gpointer data) {
  gint64 now = cab_clock_boot_us ();
  if (is_alive (self, now)) {
    g_autofree char *value = g_strdup (self->value);
    if (now >= self->renew_at_us && now >= self->background_at_us)
      renew (self);
    done (data, value, NULL);
    cab_wipe_bytes (value, strlen (value));
    return;
  }
  if (self->failure != NULL && now < self->failed_until_us) {
    g_autoptr (GError) failure = g_error_copy (self->failure);
    done (data, NULL, failure);
    return;
  }
  Waiter waiter = {.done = done, .data = data};
  g_array_append_val (self->waiters, waiter);
  renew (self);
}

gboolean cab_token_is_here (const CabToken *self) {
  return is_alive (self, cab_clock_boot_us ());
}

gboolean cab_token_reject (CabToken *self, const char *value) {
  if (g_strcmp0 (value, self->value) != 0)
    return TRUE; /* somebody else has seen to it */
  if (cab_clock_boot_us () < self->absolved_until_us)
    return FALSE;
  drop_value (self);
  return TRUE;
}

void cab_token_absolve (CabToken *self, const char *value) {
  if (g_strcmp0 (value, self->value) == 0)
    self->absolved_until_us = cab_clock_boot_us () + REMEMBER_US;
}

void cab_token_change (CabToken *self, guint timeout_ms, guint tries) {
  self->timeout_ms = timeout_ms;
  self->tries = tries;
  self->outdated = self->renewing;
  self->renew_at_us = 0;
  self->background_at_us = 0;
  self->failed_until_us = 0;
}

/* --- life --------------------------------------------------------------------------------------------------- */

CabToken *cab_token_new (const CabTokenConfig *config, CabCredentials *credentials) {
  CabToken *self = g_new0 (CabToken, 1);
  self->http = config->http;
  self->lane = config->lane;
  self->resource = g_strdup (config->resource);
  self->version = config->version;
  self->timeout_ms = config->timeout_ms;
  self->tries = config->tries;
  self->credentials = credentials;
  self->waiters = g_array_new (FALSE, FALSE, sizeof (Waiter));
  if (cab_credentials_source (credentials) == CAB_SOURCE_MANAGED) {
    self->url = cab_credentials_managed_url (credentials, self->resource);
  } else if (cab_credentials_need_login (credentials)) {
    g_autofree char *tenant = g_uri_escape_string (cab_credentials_tenant (credentials), NULL, FALSE);
    self->url =
        g_strdup_printf ("%s/%s/oauth2/%stoken", config->login_url, tenant, self->version == 2 ? "v2.0/" : "");
  }
  return self;
}

void cab_token_free (CabToken *self) {
  if (self == NULL)
    return;
  g_assert (!self->renewing);
  drop_value (self);
  g_clear_error (&self->failure);
  g_array_unref (self->waiters);
  cab_credentials_free (self->credentials);
  g_free (self->url);
  g_free (self->resource);
  g_free (self);
}
