/* The families of services over real sockets: what is asked of them, how bytes are located, what happens where one is
 * gone or keeps something from us, and lists of products.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/unit/field.h"
#include "tests/unit/rig.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define ANALYTICS "/v1.0/my/analytics/"

typedef struct {
  Rig *rig;
  /* what the API answers, but for tokens: 0 is what the table below has */
  guint batch, list, cab;  /* statuses of cabdownloadbatch, of other lists, of cabdownload */
  const char *denied_cab;  /* cabdownload answers 401 to it */
  const char *products[4]; /* bodies of the answers to a list of products, in turn */
  guint product_status;
} Scene;

/* --- warnings ----------------------------------------------------------------------------------------------- */

static atomic_uint warnings;

static void count_warning (const char *domain, GLogLevelFlags level, const char *message, gpointer data) {
  atomic_fetch_add (&warnings, 1);
  g_test_message ("%s", message);
}

/* Since the last call. */
static guint warnings_since (void) {
  return atomic_exchange (&warnings, 0);
}

/* --- the service -------------------------------------------------------------------------------------------- */

static void refuse (Exchange *exchange, guint status) {
  exchange->status = status;
  server_body (exchange, "{\"code\":\"Outer\",\"innererror\":{\"code\":\"Inner\",\"message\":\"in words\"}}");
}

static void answer_list (Exchange *exchange, const Scene *self) {
  if (self->list != 0) {
    refuse (exchange, self->list);
    return;
  }
  gboolean store = g_str_has_prefix (exchange->path, ANALYTICS "failure");
  server_body (exchange,
               "{\"Value\":[{\"failureHash\":\"" RIG_HASH "\",\"%s\":\"" RIG_CAB "\",\"eventCount\":1},"
               "{\"failureHash\":\"" RIG_HASH "\",\"%s\":\"77\",\"cabDownloadable\":false}]}",
               store ? "cabId" : "cabIdHash", store ? "cabId" : "cabIdHash");
}

static void answer_batch (Exchange *exchange, const Scene *self) {
  if (self->batch != 0)
    refuse (exchange, self->batch);
  else
    server_body (exchange,
                 "{\"Value\":[{\"failureHash\":\"" RIG_HASH "\",\"cabIdHash\":\"" RIG_CAB
                 "\",\"cabUrl\":\"%s/batch?sig=s\"}]}",
                 server_url (self->rig->blobs));
}

static void answer_cab (Exchange *exchange, const Scene *self) {
  if (self->cab != 0 || (self->denied_cab != NULL && g_str_has_suffix (exchange->target, self->denied_cab))) {
    refuse (exchange, self->cab != 0 ? self->cab : 401);
    return;
  }
  exchange->status = 302;
  server_header (exchange, "Location", "%s/redirected?sig=s", server_url (self->rig->blobs));
}

static void answer_products (Exchange *exchange, const Scene *self) {
  if (self->product_status != 0) {
    refuse (exchange, self->product_status);
    return;
  }
  g_assert_cmpuint (exchange->index, <, G_N_ELEMENTS (self->products));
  g_assert_nonnull (self->products[exchange->index]);
  server_body (exchange, "%s", self->products[exchange->index]);
}

static void api (Exchange *exchange, gpointer data) {
  const Scene *self = data;
  if (rig_answer_token (exchange, 3600))
    return;
  g_assert_true (g_str_has_prefix (exchange->authorization, "Bearer token-"));
  if (g_str_has_suffix (exchange->path, "/cabdownloadbatch"))
    answer_batch (exchange, self);
  else if (g_str_has_suffix (exchange->path, "/cabdownload"))
    answer_cab (exchange, self);
  else if (g_str_has_suffix (exchange->path, "/applications") ||
           g_str_has_suffix (exchange->path, "/hardware/products") ||
           g_str_has_suffix (exchange->path, "/insights"))
    answer_products (exchange, self);
  else
    answer_list (exchange, self);
}

static void blobs (Exchange *exchange, gpointer data) {
  g_assert_null (exchange->authorization);
  server_blob (exchange, "0123456789", 10, NULL);
}

static void scene_init (Scene *self, const char *family, const char *application, const char *failure) {
  *self = (Scene){0};
  self->rig = rig_new (api, blobs, self);
  cab_scope_free (self->rig->scope);
  self->rig->scope = cab_scope_new (family, application, failure);
  rig_start (self->rig);
  warnings_since ();
}

static void scene_clear (Scene *self) {
  rig_free (self->rig);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Scene, scene_clear)

#define SCENE(name, family, application, failure)                                                              \
  g_auto (Scene) name;                                                                                         \
  scene_init (&name, family, application, failure)

static guint asked (Scene *self, const char *path) {
  g_autofree char *what = g_strconcat ("GET ", path, NULL);
  return server_count (self->rig->api, what);
}

static guint tokens (Scene *self) {
  return server_count (self->rig->api, "POST");
}

/* --- lists and bytes ---------------------------------------------------------------------------------------- */

static CabBlob *blob_of (Scene *self, const char *id) {
  const CabRecord record = {
      .id = id, .date = CAB_TIME_UNKNOWN, .expires = CAB_TIME_UNKNOWN, .downloadable = TRUE};
  return cab_blob_new (self->rig->client, self->rig->scope, &record);
}

static void fetch (Scene *self, const char *id) {
  OUTCOME (outcome);
  g_autoptr (CabBlob) blob = blob_of (self, id);
  rig_get (blob, 0, 10, NULL, &outcome);
  rig_assert_ok (&outcome);
  g_assert_cmpuint (outcome.bytes->len, ==, 10);
}

static void fetch_denied (Scene *self, const char *id) {
  OUTCOME (outcome);
  g_autoptr (CabBlob) blob = blob_of (self, id);
  rig_get (blob, 0, 10, NULL, &outcome);
  rig_assert_error (&outcome, CAB_ERROR_DENIED);
  g_test_message ("%s", outcome.message);
}

/* Takes the records over. */
static CabRecords *list (Scene *self) {
  OUTCOME (outcome);
  rig_list (self->rig, &outcome);
  rig_assert_ok (&outcome);
  return g_steal_pointer (&outcome.records);
}

static void list_fails (Scene *self, CabErrorCode code) {
  OUTCOME (outcome);
  rig_list (self->rig, &outcome);
  rig_assert_error (&outcome, code);
  g_test_message ("%s", outcome.message);
}

static const struct {
  const char *family, *application;
  const char *hits, *details, *cab; /* what their requests begin with; of the CAB, the whole of it */
} families[] = {
    {"desktop", "10238467886765136388",
     ANALYTICS "desktop/failurehits?applicationId=10238467886765136388&startDate=",
     ANALYTICS "desktop/failuredetails?applicationId=10238467886765136388&failureHash=" RIG_HASH "&startDate=",
     ANALYTICS "desktop/cabdownload?applicationId=10238467886765136388&cabIdHash=" RIG_CAB},
    {"store", "9NBLGGGZ5QDR", ANALYTICS "failurehits?applicationId=9NBLGGGZ5QDR&startDate=",
     ANALYTICS "failuredetails?applicationId=9NBLGGGZ5QDR&failureHash=" RIG_HASH "&startDate=",
     ANALYTICS "cabdownload?applicationId=9NBLGGGZ5QDR&cabId=" RIG_CAB},
    {"ihvdriver", "ihvdriver", ANALYTICS "ihvdriver/failurehits?startDate=",
     ANALYTICS "ihvdriver/failuredetails?failureHash=" RIG_HASH "&startDate=",
     ANALYTICS "ihvdriver/cabdownload?cabIdHash=" RIG_CAB},
    {"hardware", "hardware", ANALYTICS "hardware/failurehits?startDate=",
     ANALYTICS "hardware/failuredetails?failureHash=" RIG_HASH "&startDate=",
     ANALYTICS "hardware/cabdownload?cabIdHash=" RIG_CAB},
};

static void test_family (gconstpointer data) {
  gsize i = GPOINTER_TO_SIZE (data);
  SCENE (scene, families[i].family, families[i].application, NULL);
  g_autoptr (CabRecords) failures = list (&scene);
  g_assert_true (cab_records_find (failures, RIG_HASH, strlen (RIG_HASH), NULL));
  g_assert_cmpuint (asked (&scene, families[i].hits), ==, 1);
  scene.rig->scope->failure = g_strdup (RIG_HASH);
  g_autoptr (CabRecords) cabs = list (&scene);
  guint index = 0;
  CabRecord record;
  g_assert_true (cab_records_find (cabs, RIG_CAB, strlen (RIG_CAB), &index));
  cab_records_get (cabs, index, &record);
  g_assert_true (record.downloadable);
  g_assert_true (cab_records_find (cabs, "77", 2, &index));
  cab_records_get (cabs, index, &record);
  g_assert_false (record.downloadable);
  g_assert_cmpuint (asked (&scene, families[i].details), ==, 1);
  fetch (&scene, RIG_CAB);
  g_assert_cmpuint (asked (&scene, families[i].cab), ==, 1);
  g_assert_cmpuint (asked (&scene, ""), ==, 3);
  /* Whoever wants it next gets the address that is there. */
  fetch (&scene, RIG_CAB);
  g_assert_cmpuint (asked (&scene, ""), ==, 3);
  g_assert_cmpuint (tokens (&scene), ==, 1);
  g_assert_cmpuint (server_count (scene.rig->blobs, "GET /redirected?sig=s"), ==, 2);
}

/* --- CABs that are kept from us ----------------------------------------------------------------------------- */

/* A 401 to the call for a CAB is about the CAB: it costs one new token, and is not repeated. */
static void test_cab_401 (void) {
  SCENE (scene, "desktop", "10238467886765136388", RIG_HASH);
  scene.denied_cab = "=denied";
  fetch_denied (&scene, "denied");
  g_assert_cmpuint (asked (&scene, ""), ==, 2);
  g_assert_cmpuint (tokens (&scene), ==, 2);
  fetch_denied (&scene, "denied");
  g_assert_cmpuint (asked (&scene, ""), ==, 2);
  /* Neither other CABs nor lists suffer from it. */
  fetch (&scene, RIG_CAB);
  g_autoptr (CabRecords) cabs = list (&scene);
  g_assert_cmpuint (cab_records_count (cabs), ==, 2);
  g_assert_cmpuint (asked (&scene, ""), ==, 4);
  g_assert_cmpuint (tokens (&scene), ==, 2);
  /* All others that are denied cost no token more. */
  scene.cab = 401;
  fetch_denied (&scene, "another");
  fetch_denied (&scene, "third");
  g_assert_cmpuint (asked (&scene, ""), ==, 6);
  g_assert_cmpuint (tokens (&scene), ==, 2);
}

static void test_cab_403 (void) {
  SCENE (scene, "ihvdriver", "ihvdriver", RIG_HASH);
  scene.cab = 403;
  fetch_denied (&scene, "denied");
  fetch_denied (&scene, "denied");
  g_assert_cmpuint (asked (&scene, ""), ==, 1);
  g_assert_cmpuint (tokens (&scene), ==, 1);
}

/* What may be another time another way is not remembered. */
static void test_cab_404 (void) {
  SCENE (scene, "store", "9NBLGGGZ5QDR", RIG_HASH);
  scene.cab = 404;
  {
    OUTCOME (outcome);
    g_autoptr (CabBlob) blob = blob_of (&scene, "77");
    rig_get (blob, 0, 10, NULL, &outcome);
    rig_assert_error (&outcome, CAB_ERROR_NOT_FOUND);
  }
  scene.cab = 0;
  fetch (&scene, "77");
}

/* Same token again and again, from a file: nothing to be renewed, and no fault of it either. */
static void test_cab_401_static_token (void) {
  SCENE (scene, "desktop", "10238467886765136388", RIG_HASH);
  g_autofree char *file = g_build_filename (scene.rig->directory, "secret", NULL);
  g_assert_true (g_file_set_contents (file, "token-7", -1, NULL));
  scene.rig->options.token.token_file = g_strdup (file);
  cab_client_free (g_steal_pointer (&scene.rig->client));
  rig_start (scene.rig);
  scene.denied_cab = "=denied";
  fetch_denied (&scene, "denied");
  fetch_denied (&scene, "denied");
  g_assert_cmpuint (asked (&scene, ""), ==, 1);
  fetch (&scene, RIG_CAB);
}

/* --- ways --------------------------------------------------------------------------------------------------- */

/* Where the batch is gone, it is not asked each time, and there is one line about it. */
static void check_ways (guint status) {
  SCENE (scene, "driver", RIG_APP, RIG_HASH);
  scene.batch = status;
  for (guint i = 0; i < 3; i++) {
    g_autoptr (CabRecords) cabs = list (&scene);
    g_assert_cmpuint (cab_records_count (cabs), ==, 2);
  }
  fetch (&scene, RIG_CAB);
  g_assert_cmpuint (asked (&scene, RIG_BATCH), ==, 1);
  g_assert_cmpuint (
      asked (&scene, ANALYTICS "driver/failuredetails?applicationId=" RIG_APP "&failureHash=" RIG_HASH), ==, 3);
  g_assert_cmpuint (asked (&scene, ANALYTICS "driver/cabdownload?applicationId=" RIG_APP "&cabIdHash=" RIG_CAB),
                    ==, 1);
  g_assert_cmpuint (warnings_since (), ==, 1);
}

static void test_ways (void) {
  check_ways (404);
  check_ways (410);
  check_ways (403);
}

/* A failure that the batch does not know says nothing of the batch. */
static void nothing_known (Exchange *exchange, gpointer data) {
  const Scene *self = data;
  if (rig_answer_token (exchange, 3600))
    return;
  if (g_str_equal (exchange->path, RIG_BATCH) && strstr (exchange->target, "unknown") != NULL)
    refuse (exchange, 404);
  else if (g_str_equal (exchange->path, RIG_BATCH))
    answer_batch (exchange, self);
  else
    server_body (exchange, "{\"Value\":[]}");
}

static void test_ways_unknown_failure (void) {
  Scene scene = {0};
  scene.rig = rig_new (nothing_known, blobs, &scene);
  rig_start (scene.rig);
  g_free (scene.rig->scope->failure);
  scene.rig->scope->failure = g_strdup ("unknown-1");
  g_autoptr (CabRecords) none = list (&scene);
  g_assert_cmpuint (cab_records_count (none), ==, 0);
  g_free (scene.rig->scope->failure);
  scene.rig->scope->failure = g_strdup (RIG_HASH);
  g_autoptr (CabRecords) some = list (&scene);
  g_assert_cmpuint (cab_records_count (some), ==, 1);
  g_assert_cmpuint (asked (&scene, RIG_BATCH), ==, 2);
  scene_clear (&scene);
}

/* --- families that are gone --------------------------------------------------------------------------------- */

static void check_gone (guint status, CabErrorCode code) {
  SCENE (scene, "hardware", "hardware", NULL);
  scene.list = status;
  list_fails (&scene, code);
  list_fails (&scene, code);
  g_assert_cmpuint (warnings_since (), ==, 1);
  /* The others do not notice. */
  cab_scope_free (scene.rig->scope);
  scene.rig->scope = cab_scope_new ("desktop", "10238467886765136388", NULL);
  scene.list = 0;
  g_autoptr (CabRecords) failures = list (&scene);
  g_assert_cmpuint (cab_records_count (failures), ==, 1);
  /* An application that is not known to a family that is there is not worth a warning. */
  scene.list = status;
  list_fails (&scene, code);
  g_assert_cmpuint (warnings_since (), ==, 0);
}

static void test_gone (void) {
  check_gone (404, CAB_ERROR_NOT_FOUND);
  check_gone (410, CAB_ERROR_NOT_FOUND);
  check_gone (403, CAB_ERROR_DENIED);
}

/* --- products ----------------------------------------------------------------------------------------------- */

static void check_ids (CabRecords *records, const char *expected) {
  g_autoptr (GString) ids = g_string_new (NULL);
  for (guint i = 0; i < cab_records_count (records); i++) {
    CabRecord record;
    cab_records_get (records, i, &record);
    g_string_append_printf (ids, "%s ", record.id);
  }
  g_assert_cmpstr (ids->str, ==, expected);
}

static void test_store_products (void) {
  SCENE (scene, "store", NULL, NULL);
  scene.products[0] = "{\"value\":[{\"id\":\"9NBLGGH4R315\",\"primaryName\":\"b\"},{\"id\":\"9NBLGGGZ5QDR\"}],"
                      "\"@nextLink\":\"applications?skip=2&top=100\",\"totalCount\":3}";
  scene.products[1] = "{\"value\":[{\"id\":\"9WZDNCRFJ3Q2\"}],\"totalCount\":3}";
  g_autoptr (CabRecords) records = list (&scene);
  check_ids (records, "9NBLGGGZ5QDR 9NBLGGH4R315 9WZDNCRFJ3Q2 ");
  g_assert_cmpstr (field_of (records, 1, "primaryName"), ==, "b");
  g_assert_cmpuint (asked (&scene, "/v1.0/my/applications?top=100&skip=0"), ==, 1);
  g_assert_cmpuint (asked (&scene, "/v1.0/my/applications?top=100&skip=2"), ==, 1);
  g_assert_cmpuint (asked (&scene, ""), ==, 2);
}

static void test_store_statuses (void) {
  SCENE (scene, "store", NULL, NULL);
  scene.product_status = 404;
  g_autoptr (CabRecords) none = list (&scene);
  g_assert_cmpuint (cab_records_count (none), ==, 0);
  scene.product_status = 409;
  list_fails (&scene, CAB_ERROR_FAILED);
  scene.product_status = 403;
  list_fails (&scene, CAB_ERROR_DENIED);
  g_assert_cmpuint (asked (&scene, ""), ==, 3);
}

/* Numbers beyond 2^53, pages linked at a host that the token must not get to, and a link that leads back. */
static void test_driver_products (void) {
  SCENE (scene, "driver", NULL, NULL);
  scene.products[0] =
      "{\"value\":[{\"id\":14631253285588839}],\"links\":[{\"rel\":\"self\",\"href\":\"x\"},"
      "{\"rel\":\"next_link\",\"href\":\"https://evil.example/v2.0/my/hardware/products?page=2\"}]}";
  scene.products[1] = "{\"value\":[{\"id\":14631253285588839}],\"links\":["
                      "{\"rel\":\"next_link\",\"href\":\"hardware/products?page=3\"}]}";
  scene.products[2] =
      "{\"value\":[{\"id\":9007199254740993,\"productName\":\"c\"}],\"links\":["
      "{\"rel\":\"next_link\",\"href\":\"https://evil.example/v2.0/my/hardware/products?page=2\"}]}";
  g_autoptr (CabRecords) records = list (&scene);
  check_ids (records, "14631253285588839 9007199254740993 ");
  g_assert_cmpuint (asked (&scene, "/v2.0/my/hardware/products"), ==, 3);
  g_assert_cmpuint (asked (&scene, "/v2.0/my/hardware/products?page=2"), ==, 1);
  g_assert_cmpuint (asked (&scene, "/v2.0/my/hardware/products?page=3"), ==, 1);
}

static void test_desktop_products (void) {
  SCENE (scene, "desktop", NULL, NULL);
  scene.products[0] = "{\"Value\":[{\"applicationId\":\"10238467886765136388\",\"dataType\":\"failure\"},"
                      "{\"applicationId\":\"10238467886765136388\",\"dataType\":\"install\"},"
                      "{\"applicationId\":\"9238467886765136388\"}],\"TotalCount\":3}";
  g_autoptr (CabRecords) records = list (&scene);
  check_ids (records, "10238467886765136388 9238467886765136388 ");
  g_assert_cmpuint (asked (&scene, ANALYTICS "desktop/insights?startDate="), ==, 1);
}

/* A list of products that is not there is no family that is not there: its user decides what to say. */
static void test_products_gone (void) {
  SCENE (scene, "driver", NULL, NULL);
  scene.product_status = 404;
  list_fails (&scene, CAB_ERROR_NOT_FOUND);
  g_assert_cmpuint (warnings_since (), ==, 0);
}

static void test_no_products (void) {
  SCENE (scene, "ihvdriver", NULL, NULL);
  list_fails (&scene, CAB_ERROR_NOT_FOUND);
  g_assert_cmpuint (asked (&scene, ""), ==, 0);
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
  g_log_set_always_fatal (G_LOG_FATAL_MASK);
  g_log_set_handler (NULL, G_LOG_LEVEL_WARNING, count_warning, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (families); i++) {
    g_autofree char *name = g_strconcat ("/families/", families[i].family, NULL);
    g_test_add_data_func (name, GSIZE_TO_POINTER (i), test_family);
  }
  g_test_add_func ("/families/cab-401", test_cab_401);
  g_test_add_func ("/families/cab-403", test_cab_403);
  g_test_add_func ("/families/cab-404", test_cab_404);
  g_test_add_func ("/families/cab-401-static-token", test_cab_401_static_token);
  g_test_add_func ("/families/ways", test_ways);
  g_test_add_func ("/families/ways-unknown-failure", test_ways_unknown_failure);
  g_test_add_func ("/families/gone", test_gone);
  g_test_add_func ("/families/store-products", test_store_products);
  g_test_add_func ("/families/store-statuses", test_store_statuses);
  g_test_add_func ("/families/driver-products", test_driver_products);
  g_test_add_func ("/families/desktop-products", test_desktop_products);
  g_test_add_func ("/families/products-gone", test_products_gone);
  g_test_add_func ("/families/no-products", test_no_products);
  return g_test_run ();
}
