/* Tokens without a secret: by a certificate, by a token of another issuer, by the machine's own identity.
 *
 * SPDX-License-Identifier: MIT
 */
#include "client/error.h"
#include "tests/unit/desk.h"
#include "tests/unit/identity.h"

#include <glib/gstdio.h>
#include <string.h>

#define DAY      86400L
#define NOW      (g_get_real_time () / G_USEC_PER_SEC)
#define METADATA "GET /metadata/identity/oauth2/token"
#define TYPE     "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"

static Identity *first, *second; /* making keys takes long */

static char tenant[] = "tenant", id[] = "id";

/* --- certificates ------------------------------------------------------------------------------------------- */

static char *assertion_of (const Exchange *exchange) {
  const char *found = strstr (exchange->form, "&" TYPE "&client_assertion=");
  g_assert_nonnull (found);
  found += strlen ("&" TYPE "&client_assertion=");
  g_assert_null (strstr (exchange->form, "client_secret"));
  return g_strndup (found, strcspn (found, "&"));
}

/* What a login host does, by its own clock; `data` is whose certificate it knows. */
static void check_proof (Desk *desk, Exchange *exchange) {
  g_autofree char *jwt = assertion_of (exchange);
  g_autofree char *endpoint = g_strconcat (server_url (desk->server), exchange->path, NULL);
  identity_verify (desk->data, jwt, endpoint, id, NOW);
}

static void open_with_certificate (Desk *desk, const Identity *identity, guint version) {
  g_autofree char *pem = identity_pem (identity);
  g_autofree char *path = desk_write (desk, "certificate", pem, 0600);
  const CabTokenOptions options = {.tenant = tenant, .client_id = id, .client_certificate_file = path};
  desk_open (desk, &options, version, 5000);
}

static void test_certificate (void) {
  DESK (desk);
  desk.check = check_proof;
  desk.data = first;
  desk.must_have = "&resource=https%3A%2F%2Fservice.example";
  open_with_certificate (&desk, first, 1);
  desk_assert_token (&desk, "token-1");
  g_assert_cmpuint (server_count (desk.server, V1), ==, 1);
  /* the next one is proved by what the file holds then */
  g_autofree char *pem = identity_pem (second);
  g_free (desk_write (&desk, "certificate", pem, 0600));
  desk.data = second;
  g_assert_true (desk_reject (&desk, "token-1"));
  desk_assert_token (&desk, "token-2");
}

static void test_certificate_v2 (void) {
  DESK (desk);
  desk.check = check_proof;
  desk.data = first;
  desk.must_have = "&scope=https%3A%2F%2Fservice.example%2F.default";
  open_with_certificate (&desk, first, 2);
  desk_assert_token (&desk, "token-1");
  g_assert_cmpuint (server_count (desk.server, V2), ==, 1);
}

static void check_refused (const char *path, CabErrorCode code, const char *word) {
  g_autofree char *copy = g_strdup (path);
  const CabTokenOptions options = {.tenant = tenant, .client_id = id, .client_certificate_file = copy};
  g_autoptr (GError) error = NULL;
  g_assert_null (cab_credentials_new (&options, &error));
  g_assert_error (error, CAB_ERROR, (int) code);
  g_assert_nonnull (strstr (error->message, path));
  g_assert_nonnull (strstr (error->message, word));
}

static void test_certificate_file (void) {
  DESK (desk);
  g_autofree char *pem = identity_pem (first);
  g_autofree char *certificate = identity_certificate (first);
  g_autofree char *open_to_all = desk_write (&desk, "a", pem, 0644);
  g_autofree char *no_key = desk_write (&desk, "b", certificate, 0600);
  check_refused (open_to_all, CAB_ERROR_DENIED, "chmod 600");
  check_refused (no_key, CAB_ERROR_INVALID, "no private key");
  check_refused ("/does/not/exist", CAB_ERROR_FAILED, "/does/not/exist");
  g_autofree char *good = desk_write (&desk, "c", pem, 0600);
  const CabTokenOptions options = {.client_id = id, .client_certificate_file = good};
  g_autoptr (GError) error = NULL;
  g_assert_null (cab_credentials_new (&options, &error));
  g_assert_nonnull (strstr (error->message, "tenant is not set"));
}

/* A mount begins with one that has expired, whose place another may take. */
static void test_certificate_expired (void) {
  DESK (desk);
  g_autoptr (Identity) old = identity_new (2048, -2 * DAY, -DAY);
  g_test_expect_message (NULL, G_LOG_LEVEL_WARNING, "*certificate: the certificate expired at *");
  open_with_certificate (&desk, old, 1);
  g_test_assert_expected_messages ();
  g_autoptr (GError) error = desk_get_error (&desk);
  g_assert_error (error, CAB_ERROR, CAB_ERROR_INVALID);
  g_assert_nonnull (strstr (error->message, "expired at"));
  g_assert_cmpuint (server_count (desk.server, V1), ==, 0);
  g_autofree char *pem = identity_pem (first);
  g_free (desk_write (&desk, "certificate", pem, 0600));
  desk_assert_token (&desk, "token-1");
}

static void refuse_proof (Desk *desk, Exchange *exchange) {
  exchange->status = 401;
  server_body (exchange,
               "{\"error\":\"invalid_client\",\"error_description\":\"AADSTS700027: The certificate is not "
               "registered.\\r\\nTrace ID: x\",\"correlation_id\":\"c0ffee00-1111-2222-3333-444444444444\"}");
}

static void test_certificate_refused (void) {
  DESK (desk);
  desk.check = refuse_proof;
  open_with_certificate (&desk, first, 1);
  g_autoptr (GError) error = desk_get_error (&desk);
  g_assert_error (error, CAB_ERROR, CAB_ERROR_DENIED);
  g_assert_nonnull (strstr (error->message, "AADSTS700027"));
  g_assert_nonnull (strstr (error->message, "(upload the certificate"));
  g_assert_null (strstr (error->message, "eyJ"));
  g_assert_cmpuint (server_count (desk.server, V1), ==, 1);
}

/* Its clock is three hours ahead of ours, which only its answer tells. */
static void check_later (Desk *desk, Exchange *exchange) {
  g_autofree char *jwt = assertion_of (exchange);
  g_autofree char *endpoint = g_strconcat (server_url (desk->server), exchange->path, NULL);
  exchange->date_offset_s = 3 * 3600;
  if (exchange->index == 0) {
    exchange->status = 401;
    server_body (exchange, "{\"error_description\":\"AADSTS700024: not within its valid time range\"}");
  } else {
    identity_verify (first, jwt, endpoint, id, NOW + 3 * 3600);
  }
}

static void test_clock (void) {
  DESK (desk);
  desk.check = check_later;
  open_with_certificate (&desk, first, 1);
  desk_assert_token (&desk, "token-2");
  g_assert_cmpuint (server_count (desk.server, V1), ==, 2);
}

static void always_too_late (Desk *desk, Exchange *exchange) {
  exchange->date_offset_s = -3 * 3600 * (gint) (exchange->index + 1);
  exchange->status = 400;
  server_body (exchange, "{\"error_description\":\"AADSTS700024: not within its valid time range\"}");
}

static void test_clock_once (void) {
  DESK (desk);
  desk.check = always_too_late;
  open_with_certificate (&desk, first, 1);
  g_autoptr (GError) error = desk_get_error (&desk);
  g_assert_error (error, CAB_ERROR, CAB_ERROR_DENIED);
  g_assert_nonnull (strstr (error->message, "is the clock of this machine right"));
  g_assert_cmpuint (server_count (desk.server, V1), ==, 2);
}

/* --- tokens of another issuer ------------------------------------------------------------------------------- */

static void check_federated (Desk *desk, Exchange *exchange) {
  g_autofree char *jwt = assertion_of (exchange);
  g_assert_cmpstr (jwt, ==, desk->data);
}

static void test_federated (void) {
  DESK (desk);
  char one[] = "one.of.them", two[] = "two.of-them_";
  g_autofree char *path = desk_write (&desk, "federated", "one.of.them\n", 0644); /* as Kubernetes has it */
  const CabTokenOptions options = {.tenant = tenant, .client_id = id, .federated_token_file = path};
  desk.check = check_federated;
  desk.data = one;
  desk_open (&desk, &options, 2, 5000);
  desk_assert_token (&desk, "token-1");
  g_free (desk_write (&desk, "federated", two, 0644));
  desk.data = two;
  g_assert_true (desk_reject (&desk, "token-1"));
  desk_assert_token (&desk, "token-2");
  g_assert_cmpint (g_unlink (path), ==, 0);
  g_assert_true (desk_reject (&desk, "token-2"));
  g_autoptr (GError) error = desk_get_error (&desk);
  g_assert_nonnull (strstr (error->message, path));
  g_free (desk_write (&desk, "federated", " \n", 0644));
  g_autoptr (GError) empty = desk_get_error (&desk);
  g_assert_nonnull (strstr (empty->message, "empty"));
}

static void test_environment (void) {
  DESK (desk);
  char federated[] = "from.the.environment";
  g_autofree char *path = desk_write (&desk, "federated", federated, 0640);
  g_setenv ("AZURE_TENANT_ID", tenant, TRUE);
  g_setenv ("AZURE_CLIENT_ID", id, TRUE);
  g_setenv ("AZURE_FEDERATED_TOKEN_FILE", path, TRUE);
  const CabTokenOptions options = {.use_environment = TRUE};
  g_autoptr (CabCredentials) federation = cab_credentials_new (&options, NULL);
  g_assert_cmpint (cab_credentials_source (federation), ==, CAB_SOURCE_FEDERATED);
  g_setenv ("AZURE_CLIENT_SECRET", SECRET, TRUE);
  g_autoptr (CabCredentials) secret = cab_credentials_new (&options, NULL); /* comes first */
  g_assert_cmpint (cab_credentials_source (secret), ==, CAB_SOURCE_SECRET);
  g_assert_null (g_getenv ("AZURE_CLIENT_SECRET"));
  desk.check = check_federated;
  desk.data = federated;
  desk_open (&desk, &options, 1, 5000);
  desk_assert_token (&desk, "token-1");
  g_unsetenv ("AZURE_TENANT_ID");
  g_unsetenv ("AZURE_CLIENT_ID");
  g_unsetenv ("AZURE_FEDERATED_TOKEN_FILE");
}

/* --- the machine's own identity ----------------------------------------------------------------------------- */

static void check_metadata (Desk *desk, Exchange *exchange) {
  g_assert_cmpstr (exchange->method, ==, "GET");
  g_assert_cmpstr (exchange->metadata, ==, "true");
  g_assert_null (exchange->authorization);
  g_autofree char *target = g_strconcat (
      "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fservice.example",
      (const char *) desk->data, NULL);
  g_assert_cmpstr (exchange->target, ==, target);
}

static void open_managed (Desk *desk, const char *identity, const char *url) {
  g_autofree char *name = g_strdup (identity);
  g_autofree char *host = g_strdup (url);
  const CabTokenOptions options = {.managed_identity = name, .managed_url = host};
  desk_open (desk, &options, 1, 5000);
}

static void test_managed (void) {
  char none[] = "", given[] = "&client_id=0000-1111";
  {
    DESK (desk);
    desk.check = check_metadata;
    desk.data = none;
    open_managed (&desk, "system", server_url (desk.server));
    desk_assert_token (&desk, "token-1");
    g_assert_true (desk_reject (&desk, "token-1"));
    desk_assert_token (&desk, "token-2");
  }
  DESK (desk);
  g_autofree char *url = g_strconcat (server_url (desk.server), "/", NULL);
  desk.check = check_metadata;
  desk.data = given;
  open_managed (&desk, "0000-1111", url);
  desk_assert_token (&desk, "token-1");
}

static void update_once (Desk *desk, Exchange *exchange) {
  if (exchange->index > 0)
    return;
  exchange->status = 404;
  server_body (exchange, "updating");
}

static void test_managed_retries (void) {
  DESK (desk);
  desk.check = update_once;
  open_managed (&desk, "system", server_url (desk.server));
  desk_assert_token (&desk, "token-2");
  g_assert_cmpuint (server_count (desk.server, METADATA), ==, 2);
}

static void no_identity (Desk *desk, Exchange *exchange) {
  exchange->status = 400;
  server_body (exchange, "{\"error\":\"invalid_request\",\"error_description\":\"Identity not found\"}");
}

static void elsewhere (Desk *desk, Exchange *exchange) {
  exchange->status = 302;
  server_header (exchange, "Location", "%s/elsewhere", server_url (desk->server));
}

static void check_error (void (*check) (Desk *, Exchange *), CabErrorCode code, const char *word) {
  DESK (desk);
  desk.check = check;
  open_managed (&desk, "system", server_url (desk.server));
  g_autoptr (GError) error = desk_get_error (&desk);
  g_autoptr (GError) again = desk_get_error (&desk); /* remembered */
  g_assert_cmpstr (again->message, ==, error->message);
  g_assert_error (error, CAB_ERROR, (int) code);
  g_assert_nonnull (strstr (error->message, word));
  g_assert_cmpuint (server_count (desk.server, "GET "), ==, 1);
}

static void test_managed_errors (void) {
  check_error (no_identity, CAB_ERROR_DENIED, "Identity not found (has this machine the identity");
  check_error (elsewhere, CAB_ERROR_FAILED, "redirects are not followed");
}

/* A machine where nobody answers. */
static void test_managed_nowhere (void) {
  DESK (desk);
  open_managed (&desk, "system", "http://127.0.0.1:1");
  g_autoptr (GError) error = desk_get_error (&desk);
  g_test_message ("%s", error->message);
  g_assert_error (error, CAB_ERROR, CAB_ERROR_FAILED);
  g_assert_nonnull (strstr (error->message, "managed-identity: "));
  g_assert_nonnull (strstr (error->message, "virtual machine of Azure"));
  gint64 start = g_get_monotonic_time ();
  g_autoptr (GError) again = desk_get_error (&desk);
  g_assert_cmpstr (again->message, ==, error->message);
  g_assert_cmpint (g_get_monotonic_time () - start, <, G_USEC_PER_SEC); /* remembered: at once */
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
  g_log_set_always_fatal (G_LOG_FATAL_MASK);
  first = identity_new (2048, -DAY, DAY);
  second = identity_new (2048, -DAY, DAY);
  g_test_add_func ("/identity/certificate", test_certificate);
  g_test_add_func ("/identity/certificate-v2", test_certificate_v2);
  g_test_add_func ("/identity/certificate-file", test_certificate_file);
  g_test_add_func ("/identity/certificate-expired", test_certificate_expired);
  g_test_add_func ("/identity/certificate-refused", test_certificate_refused);
  g_test_add_func ("/identity/clock", test_clock);
  g_test_add_func ("/identity/clock-once", test_clock_once);
  g_test_add_func ("/identity/federated", test_federated);
  g_test_add_func ("/identity/environment", test_environment);
  g_test_add_func ("/identity/managed", test_managed);
  g_test_add_func ("/identity/managed-retries", test_managed_retries);
  g_test_add_func ("/identity/managed-errors", test_managed_errors);
  g_test_add_func ("/identity/managed-nowhere", test_managed_nowhere);
  int result = g_test_run ();
  identity_free (first);
  identity_free (second);
  return result;
}
