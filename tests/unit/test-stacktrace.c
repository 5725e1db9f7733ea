/* The call for a stack trace over real sockets: tokens, tries, limits, and what a status means.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/unit/rig.h"

#include "client/metrics.h"

#include <string.h>

#define DESKTOP "/v1.0/my/analytics/desktop/stacktrace?applicationId=10238467886765136388&cabIdHash=" RIG_CAB
#define STORE   "/v1.0/my/analytics/stacktrace?applicationId=9NBLGGGZ5QDR&cabId=" RIG_CAB

typedef struct {
  Rig *rig;
  guint statuses[8]; /* of the answers in turn; 0: 200 with `body` */
  const char *body;
  gboolean hold;
  gboolean endless; /* a body larger than anybody would take */
} Scene;

static void fill (guint64 at, char *bytes, gsize len) {
  memset (bytes, ' ', len);
}

static void api (Exchange *exchange, gpointer data) {
  const Scene *self = data;
  if (rig_answer_token (exchange, 3600))
    return;
  g_assert_true (g_str_has_prefix (exchange->authorization, "Bearer token-"));
  guint status = exchange->index < G_N_ELEMENTS (self->statuses) ? self->statuses[exchange->index] : 0;
  exchange->hold = self->hold;
  if (status != 0) {
    exchange->status = status;
    server_body (exchange, "{\"code\":\"Outer\",\"innererror\":{\"code\":\"Inner\",\"message\":\"in words\"}}");
  } else if (self->endless) {
    exchange->size = 64u << 20;
    exchange->fill = fill;
  } else {
    server_body (exchange, "%s", self->body);
  }
}

G_NORETURN static void blobs (Exchange *exchange, gpointer data) {
  g_assert_not_reached ();
}

static void scene_init (Scene *self, const char *family, const char *application) {
  *self =
      (Scene){.body = "{\"Value\":[{\"level\":\"0\",\"image\":\"a\",\"function\":\"f\",\"offset\":\"0x1\"}]}"};
  self->rig = rig_new (api, blobs, self);
  cab_scope_free (self->rig->scope);
  self->rig->scope = cab_scope_new (family, application, RIG_HASH);
  rig_start (self->rig);
}

static void scene_clear (Scene *self) {
  rig_free (self->rig);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Scene, scene_clear)

#define SCENE(name, family, application)                                                                       \
  g_auto (Scene) name;                                                                                         \
  scene_init (&name, family, application)
#define DESKTOP_SCENE(name) SCENE (name, "desktop", "10238467886765136388")

static guint asked (Scene *self, const char *path) {
  g_autofree char *what = g_strconcat ("GET ", path, NULL);
  return server_count (self->rig->api, what);
}

static void on_text (gpointer data, GBytes *text, const GError *error) {
  Outcome *outcome = data;
  gsize len = 0;
  const void *bytes = text != NULL ? g_bytes_get_data (text, &len) : NULL;
  g_assert_true ((text != NULL) == (error == NULL));
  g_byte_array_append (outcome->bytes, bytes, (guint) len);
  outcome->failed = error != NULL;
  if (error != NULL) {
    g_assert_true (error->domain == CAB_ERROR);
    outcome->code = (CabErrorCode) error->code;
    outcome->message = g_strdup (error->message);
    g_assert_nonnull (strstr (error->message, "stack trace of " RIG_CAB));
    g_assert_null (strstr (error->message, "token-"));
  }
  latch_up (&outcome->latch);
}

static void ask (Scene *self, Outcome *outcome) {
  cab_client_stacktrace (self->rig->client, self->rig->scope, RIG_CAB, on_text, outcome);
  latch_wait (&outcome->latch, 1);
}

static void check_text (Scene *self, const char *text) {
  OUTCOME (outcome);
  ask (self, &outcome);
  rig_assert_ok (&outcome);
  g_byte_array_append (outcome.bytes, (const guint8 *) "", 1);
  g_assert_cmpstr ((const char *) outcome.bytes->data, ==, text);
}

static void check_error (Scene *self, CabErrorCode code) {
  OUTCOME (outcome);
  ask (self, &outcome);
  rig_assert_error (&outcome, code);
  g_test_message ("%s", outcome.message);
}

/* --- the call ----------------------------------------------------------------------------------------------- */

static void test_families (void) {
  static const struct {
    const char *family, *application, *path;
  } cases[] = {{"desktop", "10238467886765136388", DESKTOP}, {"store", "9NBLGGGZ5QDR", STORE}};
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    SCENE (scene, cases[i].family, cases[i].application);
    guint64 before = cab_metric_sent (CAB_REQUEST_STACKTRACE);
    check_text (&scene, "#0 a!f+0x1\n");
    g_assert_cmpuint (asked (&scene, cases[i].path), ==, 1);
    g_assert_cmpuint (asked (&scene, ""), ==, 1);
    g_assert_cmpuint (cab_metric_sent (CAB_REQUEST_STACKTRACE) - before, ==, 1);
  }
}

static void test_no_such_call (void) {
  static const char *const cases[][2] = {
      {"driver", RIG_APP}, {"ihvdriver", "ihvdriver"}, {"hardware", "hardware"}};
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    SCENE (scene, cases[i][0], cases[i][1]);
    OUTCOME (outcome);
    g_assert_false (cab_client_has_stacktrace (scene.rig->scope));
    cab_client_stacktrace (scene.rig->client, scene.rig->scope, RIG_CAB, on_text, &outcome);
    g_assert_cmpuint (latch_count (&outcome.latch), ==, 1);
    rig_assert_error (&outcome, CAB_ERROR_NOT_FOUND);
    g_assert_cmpuint (server_count (scene.rig->api, ""), ==, 0);
  }
}

/* --- what goes wrong ---------------------------------------------------------------------------------------- */

static void test_tries (void) {
  DESKTOP_SCENE (scene);
  scene.statuses[0] = 503;
  scene.statuses[1] = 500;
  check_text (&scene, "#0 a!f+0x1\n");
  g_assert_cmpuint (asked (&scene, DESKTOP), ==, 3);
}

static void test_new_token (void) {
  DESKTOP_SCENE (scene);
  scene.statuses[0] = 401;
  check_text (&scene, "#0 a!f+0x1\n");
  g_assert_cmpuint (asked (&scene, DESKTOP), ==, 2);
  g_assert_cmpuint (server_count (scene.rig->api, "POST"), ==, 2);
}

static void test_statuses (void) {
  static const struct {
    guint status;
    CabErrorCode code;
  } cases[] = {{404, CAB_ERROR_NOT_FOUND}, {410, CAB_ERROR_NOT_FOUND}, {403, CAB_ERROR_DENIED},
               {400, CAB_ERROR_FAILED},    {302, CAB_ERROR_INVALID},   {204, CAB_ERROR_INVALID}};
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    DESKTOP_SCENE (scene);
    scene.statuses[0] = cases[i].status;
    check_error (&scene, cases[i].code);
    g_assert_cmpuint (asked (&scene, ""), ==, 1);
  }
}

static void test_no_frames (void) {
  DESKTOP_SCENE (scene);
  scene.body = "{\"Value\":[]}";
  check_error (&scene, CAB_ERROR_NOT_FOUND);
  scene.body = "{\"Value\":null}";
  check_error (&scene, CAB_ERROR_INVALID);
  g_assert_cmpuint (asked (&scene, ""), ==, 2);
}

static void test_too_much (void) {
  DESKTOP_SCENE (scene);
  scene.endless = TRUE;
  check_error (&scene, CAB_ERROR_INVALID);
}

static void test_stop (void) {
  DESKTOP_SCENE (scene);
  scene.hold = TRUE;
  OUTCOME (outcome);
  cab_client_stacktrace (scene.rig->client, scene.rig->scope, RIG_CAB, on_text, &outcome);
  server_wait (scene.rig->api, "GET " DESKTOP, 1);
  cab_client_stop (scene.rig->client);
  g_assert_cmpuint (latch_count (&outcome.latch), ==, 1);
  rig_assert_error (&outcome, CAB_ERROR_CANCELLED);
  check_error (&scene, CAB_ERROR_CANCELLED);
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/stacktrace/families", test_families);
  g_test_add_func ("/stacktrace/no-such-call", test_no_such_call);
  g_test_add_func ("/stacktrace/tries", test_tries);
  g_test_add_func ("/stacktrace/new-token", test_new_token);
  g_test_add_func ("/stacktrace/statuses", test_statuses);
  g_test_add_func ("/stacktrace/no-frames", test_no_frames);
  g_test_add_func ("/stacktrace/too-much", test_too_much);
  g_test_add_func ("/stacktrace/stop", test_stop);
  return g_test_run ();
}
