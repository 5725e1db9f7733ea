/* The login host: api-contract.md section 2.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/emulator/login.h"
#include "client/sync.h"
#include "tests/emulator/assertion.h"
#include "tests/emulator/config.h"
#include "tests/emulator/dates.h"
#include "tests/emulator/http.h"
#include "tests/emulator/stats.h"
#include <string.h>

#define ASSERTION_TYPE "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
/* Real tokens are long; a buffer that is too small must show. */
#define TOKEN_LENGTH 1600

struct EmuTokens {
  pthread_mutex_t lock;
  guint64 last;       /* lock */
  GHashTable *tokens; /* lock: token -> gint64 ms at which it ends */
};

EmuTokens *emu_tokens_new (void) {
  EmuTokens *self = g_new0 (EmuTokens, 1);
  pthread_mutex_init (&self->lock, NULL);
  self->tokens = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  return self;
}

void emu_tokens_free (EmuTokens *self) {
  if (self == NULL)
    return;
  g_hash_table_unref (self->tokens);
  pthread_mutex_destroy (&self->lock);
  g_free (self);
}

char *emu_tokens_issue (EmuTokens *self, gint64 life) {
  GString *token = g_string_new ("eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIn0.");
  gint64 *end = g_new (gint64, 1);
  *end = emu_now_ms () + life * 1000;
  CAB_LOCK_SCOPE (&self->lock);
  self->last++;
  for (guint64 i = 0; token->len < TOKEN_LENGTH; i++) {
    g_autofree char *seed =
        g_strdup_printf ("%" G_GUINT64_FORMAT ".%" G_GUINT64_FORMAT ".%" G_GINT64_FORMAT, self->last, i, *end);
    g_autofree char *part = g_compute_checksum_for_string (G_CHECKSUM_SHA256, seed, -1);
    g_string_append (token, part);
  }
  g_hash_table_insert (self->tokens, g_strdup (token->str), end);
  return g_string_free (token, FALSE);
}

gboolean emu_tokens_valid (EmuTokens *self, const char *token) {
  CAB_LOCK_SCOPE (&self->lock);
  const gint64 *end = g_hash_table_lookup (self->tokens, token);
  return end != NULL && emu_now_ms () < *end;
}

void emu_tokens_revoke (EmuTokens *self) {
  CAB_LOCK_SCOPE (&self->lock);
  g_hash_table_remove_all (self->tokens);
}

/* --- errors ------------------------------------------------------------------------------------------------- */

/* What can be wrong, api-contract.md 2.3. */
typedef struct {
  int aadsts;
  const char *error;
  guint status;
  const char *text;
} LoginError;

static const LoginError errors[] = {
    {900144, "invalid_request", 400, "The request body must contain the following parameter: 'grant_type'."},
    {90002, "invalid_request", 400, "Tenant not found. Check to make sure you have the correct tenant ID."},
    {700016, "unauthorized_client", 400,
     "Application with the given identifier was not found in the directory."},
    {7000215, "invalid_client", 401,
     "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, "
     "not the client secret ID."},
    {7000222, "invalid_client", 401, "The provided client secret keys are expired."},
    {50027, "invalid_request", 400, "JWT token is invalid or malformed."},
    {700021, "invalid_client", 401,
     "Client assertion application identifier doesn't match 'client_id' parameter."},
    {700023, "invalid_client", 401, "Client assertion audience claim does not match Realm issuer."},
    {700024, "invalid_client", 401, "Client assertion is not within its valid time range."},
    {700027, "invalid_client", 401,
     "The certificate with identifier used to sign the client assertion is not registered on application."},
    {700213, "invalid_request", 401,
     "No matching federated identity record found for presented assertion subject."},
    {500011, "invalid_resource", 400, "The resource principal was not found in the tenant."},
    {70011, "invalid_scope", 400, "The provided value for the input parameter 'scope' is not valid."},
    {70003, "unsupported_grant_type", 400, "The app requested an unsupported grant type."},
    {90033, "temporarily_unavailable", 503, "A transient error has occurred. Please try again."},
    {50196, "invalid_grant", 429,
     "The server terminated an operation because it encountered a client request loop."},
};

static EmuReply *reply_error (EmuRequest *request, guint status, const LoginError *error, const char *message) {
  gint64 now = emu_now_ms () / 1000;
  g_autofree char *time = emu_date_text (now, EMU_DATE_BLANK);
  g_autofree char *trace = g_uuid_string_random ();
  g_autofree char *correlation = g_uuid_string_random ();
  g_autofree char *text =
      g_strdup_printf ("AADSTS%d: %s\r\nTrace ID: %s\r\nCorrelation ID: %s\r\nTimestamp: %sZ", error->aadsts,
                       message != NULL ? message : error->text, trace, correlation, time);
  emu_stats_token (request->emu->stats, FALSE);
  EmuReply *reply =
      emu_reply_json (status, json_pack ("{s:s, s:s, s:[i], s:s, s:s, s:s, s:s}", "error", error->error,
                                         "error_description", text, "error_codes", error->aadsts, "timestamp",
                                         time, "trace_id", trace, "correlation_id", correlation, "error_uri",
                                         "https://login.microsoftonline.com/error"));
  emu_reply_header (reply, "x-ms-request-id", trace);
  return reply;
}

static EmuReply *reply_aadsts (EmuRequest *request, int aadsts) {
  guint i = 0;
  while (errors[i].aadsts != aadsts)
    i++;
  return reply_error (request, errors[i].status, &errors[i], NULL);
}

/* An injected status: its @code may be an AADSTS number ("7000222"), else one that goes with the status. */
static EmuReply *refuse (EmuRequest *request, guint status, const char *code, const char *message) {
  int wanted = code != NULL ? atoi (code) : status == 401 ? 7000215 : status == 429 ? 50196 : 90033;
  for (guint i = 0; i < G_N_ELEMENTS (errors); i++)
    if (errors[i].aadsts == wanted)
      return reply_error (request, status, &errors[i], message);
  LoginError other = {wanted, code != NULL ? code : "server_error", status, "An error."};
  return reply_error (request, status, &other, message);
}

/* --- the token call ------------------------------------------------------------------------------------------ */

static gboolean same (EmuConfig *config, EmuSetting setting, const char *given) {
  g_autofree char *wanted = emu_config_string (config, setting);
  return wanted != NULL && g_strcmp0 (wanted, given) == 0;
}

/* HTTP Basic instead of the form's fields: v2 only. */
static void take_basic (EmuRequest *request, GHashTable *form) {
  const char *header = emu_request_header (request, "Authorization");
  gsize len;
  if (header == NULL || !g_str_has_prefix (header, "Basic ") || g_hash_table_contains (form, "client_id"))
    return;
  g_autofree guchar *decoded = g_base64_decode (header + 6, &len);
  g_autofree char *text = g_strndup ((const char *) decoded, len);
  char *colon = strchr (text, ':');
  if (colon == NULL)
    return;
  g_hash_table_replace (form, g_strdup ("client_id"), g_uri_unescape_segment (text, colon, NULL));
  g_hash_table_replace (form, g_strdup ("client_secret"), g_uri_unescape_string (colon + 1, NULL));
}

/* By the name that it was asked for, which a test may have put in between. */
static int check_assertion (EmuRequest *request, GHashTable *form, const char *assertion) {
  EmuConfig *config = request->emu->config;
  const char *host = emu_request_header (request, "Host");
  g_autofree char *certificates = emu_config_string (config, EMU_SETTING_CERTIFICATE);
  g_autofree char *federated = emu_config_string (config, EMU_SETTING_ASSERTION);
  g_autofree char *endpoint = g_strconcat ("http://", host != NULL ? host : "", request->path, NULL);
  const EmuAssertionRule rule = {.certificates = certificates,
                                 .endpoint = endpoint,
                                 .client_id = g_hash_table_lookup (form, "client_id"),
                                 .now = emu_now_ms () / 1000};
  if (federated == NULL)
    return emu_assertion_check (&rule, assertion);
  return strcmp (federated, assertion) == 0 ? 0 : 700213;
}

/* The AADSTS number of what is wrong with the secret, or what stands in for it, or 0. */
static int check_proof (EmuRequest *request, GHashTable *form) {
  const char *type = g_hash_table_lookup (form, "client_assertion_type");
  const char *assertion = g_hash_table_lookup (form, "client_assertion");
  if (type == NULL)
    return same (request->emu->config, EMU_SETTING_CLIENT_SECRET, g_hash_table_lookup (form, "client_secret"))
               ? 0
               : 7000215;
  return strcmp (type, ASSERTION_TYPE) == 0 && assertion != NULL ? check_assertion (request, form, assertion)
                                                                 : 900144;
}

/* The AADSTS number of what is wrong with the form, or 0. */
static int check_form (EmuRequest *request, GHashTable *form, gboolean v2) {
  EmuConfig *config = request->emu->config;
  const char *grant = g_hash_table_lookup (form, "grant_type");
  const char *audience = g_hash_table_lookup (form, v2 ? "scope" : "resource");
  g_autofree char *resource = emu_config_string (config, EMU_SETTING_RESOURCE);
  g_autofree char *scope = g_strconcat (resource, "/.default", NULL);
  if (grant == NULL || g_hash_table_lookup (form, "client_id") == NULL || (v2 && audience == NULL))
    return 900144;
  if (strcmp (grant, "client_credentials") != 0)
    return 70003;
  if (!same (config, EMU_SETTING_CLIENT_ID, g_hash_table_lookup (form, "client_id")))
    return 700016;
  int wrong = check_proof (request, form);
  if (wrong != 0)
    return wrong;
  if (g_strcmp0 (audience, v2 ? scope : resource) != 0)
    return v2 ? 70011 : 500011;
  return 0;
}

static void set_number (json_t *answer, const char *name, gint64 value, gboolean as_text) {
  g_autofree char *text = g_strdup_printf ("%" G_GINT64_FORMAT, value);
  json_object_set_new (answer, name, as_text ? json_string (text) : json_integer (value));
}

void emu_login_apply_fault (const EmuFault *fault, json_t *answer) {
  json_t *expires = emu_fault_arg (fault, "expiresIn"), *type = emu_fault_arg (fault, "tokenType");
  if (expires != NULL)
    json_object_set (answer, "expires_in", expires);
  if (type != NULL)
    json_object_set (answer, "token_type", type);
  if (emu_fault_text (fault, "remove") != NULL)
    json_object_del (answer, emu_fault_text (fault, "remove"));
}

/* v1 writes its numbers as texts, v2 as numbers (api-contract.md 2.2). */
static EmuReply *reply_token (EmuRequest *request, gboolean v2) {
  gint64 life = emu_config_int (request->emu->config, EMU_SETTING_TOKEN_LIFE), now = emu_now_ms () / 1000;
  g_autofree char *token = emu_tokens_issue (request->emu->tokens, life);
  json_t *answer = json_object ();
  json_object_set_new (answer, "token_type", json_string ("Bearer"));
  set_number (answer, "expires_in", life, !v2);
  set_number (answer, "ext_expires_in", life, !v2);
  if (!v2) {
    g_autofree char *resource = emu_config_string (request->emu->config, EMU_SETTING_RESOURCE);
    set_number (answer, "expires_on", now + life, TRUE);
    set_number (answer, "not_before", now, TRUE);
    json_object_set_new (answer, "resource", json_string (resource));
  }
  json_object_set_new (answer, "access_token", json_string (token));
  emu_login_apply_fault (emu_request_fault (request, EMU_FAULT_TOKEN), answer);
  emu_stats_token (request->emu->stats, TRUE);
  EmuReply *reply = emu_reply_json (200, answer);
  emu_reply_header (reply, "Cache-Control", "no-store, no-cache");
  return reply;
}

/* "/<tenant>/oauth2/token" and "/<tenant>/oauth2/v2.0/token". */
static char *tenant_of (const char *path, gboolean *v2) {
  *v2 = g_str_has_suffix (path, "/oauth2/v2.0/token");
  const char *rest = strstr (path, *v2 ? "/oauth2/v2.0/token" : "/oauth2/token");
  if (path[0] != '/' || rest == NULL || rest == path || !g_str_has_suffix (path, "/token"))
    return NULL;
  return g_strndup (path + 1, (gsize) (rest - path - 1));
}

static EmuReply *answer (EmuRequest *request) {
  gboolean v2;
  g_autofree char *tenant = tenant_of (request->path, &v2);
  const char *type = emu_request_header (request, "Content-Type");
  if (tenant == NULL || strchr (tenant, '/') != NULL)
    return emu_reply_new (404);
  if (!emu_request_is (request, "POST"))
    return emu_reply_new (405);
  if (!same (request->emu->config, EMU_SETTING_TENANT, tenant))
    return reply_aadsts (request, 90002);
  if (request->body == NULL || type == NULL || !g_str_has_prefix (type, "application/x-www-form-urlencoded"))
    return reply_aadsts (request, 900144);
  g_autoptr (GHashTable) form = emu_form_parse (request->body->data, request->body->len);
  if (v2)
    take_basic (request, form);
  int wrong = check_form (request, form, v2);
  return wrong != 0 ? reply_aadsts (request, wrong) : reply_token (request, v2);
}

static EmuEndpoint classify (EmuRequest *request, char **cab) {
  gboolean v2;
  g_autofree char *tenant = tenant_of (request->path, &v2);
  return tenant != NULL ? EMU_LOGIN : EMU_OTHER;
}

const EmuHost emu_login_host = {EMU_HOST_LOGIN, FALSE, classify, answer, refuse};
