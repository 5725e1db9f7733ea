/* Pages of one list, several at a time: what is asked for, and that nothing but the time it takes depends on it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/unit/rig.h"

#include <string.h>

#define PAGE      100u
#define GET_BATCH "GET " RIG_BATCH

typedef struct Scene {
  Rig *rig;
  guint rows; /* in the list */
  /* Before the rows of the page that begins at @skip are put: TRUE if it made an answer of its own. */
  gboolean (*odd) (Exchange *exchange, struct Scene *self, guint skip);
  guint odd_skip;     /* the page that is odd, for those that need one */
  guint odd_done;     /* how often it was */
  guint64 total;      /* TotalCount, if not 0 */
  guint64 link_shift; /* links are wrong by so many rows; G_MAXUINT64: there are none */
  guint size;         /* rows of a page, whatever is asked for */
  guint tokens;       /* those with a lower number are refused */
} Scene;

static guint64 number (Exchange *exchange, const char *name) {
  g_autofree char *key = g_strdup_printf ("&%s=", name);
  const char *at = strstr (exchange->target, key);
  g_assert_nonnull (at);
  return g_ascii_strtoull (at + strlen (key), NULL, 10);
}

static void put_rows (Exchange *exchange, guint first, guint end) {
  server_body (exchange, "{\"Value\":[");
  for (guint i = first; i < end; i++)
    server_body (exchange,
                 "%s{\"cabIdHash\":\"cab-%06u\",\"cabUrl\":\"https://h.blob.core.windows.net/%u?sig=s\"}",
                 i > first ? "," : "", i, i);
  server_body (exchange, "]");
}

static void put_page (Exchange *exchange, const Scene *self, guint64 skip, guint size) {
  guint first = (guint) MIN (skip, self->rows);
  guint end = MIN (first + size, self->rows);
  put_rows (exchange, first, end);
  if (self->total > 0)
    server_body (exchange, ",\"TotalCount\":%" G_GUINT64_FORMAT, self->total);
  if (self->link_shift != G_MAXUINT64 && end < self->rows)
    server_body (exchange, ",\"@nextLink\":\"driver/x?top=100&skip=%" G_GUINT64_FORMAT "\"",
                 end + self->link_shift);
  server_body (exchange, "}");
}

static void refuse (Exchange *exchange, guint status) {
  exchange->status = status;
  server_body (exchange, "{\"code\":\"Refused\",\"message\":\"in words\"}");
}

static void api (Exchange *exchange, gpointer data) {
  Scene *self = data;
  if (rig_answer_token (exchange, 3600))
    return;
  g_assert_nonnull (exchange->authorization);
  if (g_ascii_strtoull (exchange->authorization + strlen ("Bearer token-"), NULL, 10) < self->tokens) {
    refuse (exchange, 401);
    return;
  }
  guint skip = (guint) number (exchange, "skip");
  if (self->odd == NULL || !self->odd (exchange, self, skip))
    put_page (exchange, self, skip, MIN (self->size, (guint) number (exchange, "top")));
}

static void no_blobs (Exchange *exchange, gpointer data) {
  exchange->status = 404;
}

static void scene_init (Scene *self, guint rows) {
  *self = (Scene){.rows = rows, .size = PAGE, .link_shift = G_MAXUINT64};
  self->rig = rig_new (api, no_blobs, self);
}

static void scene_clear (Scene *self) {
  rig_free (self->rig);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Scene, scene_clear)

#define SCENE(name, rows)                                                                                      \
  g_auto (Scene) name;                                                                                         \
  scene_init (&name, rows)

static guint requests (Scene *self) {
  return server_count (self->rig->api, GET_BATCH);
}

static void check_rows (const Scene *self, const Outcome *outcome) {
  rig_assert_ok (outcome);
  g_assert_cmpuint (cab_records_count (outcome->records), ==, self->rows);
  for (guint i = 0; i < self->rows; i++) {
    CabRecord record;
    char id[16];
    cab_records_get (outcome->records, i, &record);
    g_snprintf (id, sizeof id, "cab-%06u", i);
    g_assert_cmpstr (record.id, ==, id);
  }
}

/* Lists the scene, and checks that every row is there. */
static void check_list (Scene *self) {
  OUTCOME (outcome);
  if (self->rig->client == NULL)
    rig_start (self->rig);
  rig_list (self->rig, &outcome);
  check_rows (self, &outcome);
}

/* --- what is asked for ------------------------------------------------------------------------------------------ */

static void check_cost (guint rows, gboolean linked, guint64 total, guint connections, guint most) {
  SCENE (scene, rows);
  scene.link_shift = linked ? 0 : G_MAXUINT64;
  scene.total = total;
  scene.rig->options.api_connections = connections;
  check_list (&scene);
  g_assert_cmpuint (requests (&scene), >=, (rows + PAGE - 1) / PAGE);
  g_assert_cmpuint (requests (&scene), <=, most);
  g_assert_cmpuint (server_peak (scene.rig->api), <=, connections);
}

static void test_cost (void) {
  static const guint connections[] = {1, 2, 4, 16};
  static const guint rows[] = {0, 1, 99, 100, 101, 199, 200, 201, 250, 300, 301, 1234, 2000};
  for (guint c = 0; c < G_N_ELEMENTS (connections); c++)
    for (guint r = 0; r < G_N_ELEMENTS (rows); r++) {
      guint whole = rows[r] / PAGE + 1; /* the page that is not full shows the end */
      guint ahead = connections[c] == 1 || rows[r] < 3 * PAGE ? 0 : 1;
      check_cost (rows[r], FALSE, 0, connections[c], whole + ahead);
      check_cost (rows[r], TRUE, 0, connections[c], whole + ahead);
      check_cost (rows[r], TRUE, rows[r], connections[c], whole);
      check_cost (rows[r], FALSE, 17 * rows[r], connections[c], whole + 1);
      check_cost (rows[r], TRUE, rows[r] / 3 + 1, connections[c], whole + ahead);
      check_cost (rows[r], FALSE, G_MAXUINT64, connections[c], whole + 1);
    }
}

/* One page does not come, and those behind it do. */
static gboolean holds_one (Exchange *exchange, Scene *self, guint skip) {
  exchange->hold = skip == self->odd_skip;
  return FALSE;
}

static void test_any_order (void) {
  static const guint late[] = {0, 100, 300, 400, 900, 1900};
  for (guint i = 0; i < G_N_ELEMENTS (late); i++) {
    SCENE (scene, 1950);
    OUTCOME (outcome);
    scene.odd = holds_one;
    scene.odd_skip = late[i];
    scene.total = 1950;
    rig_start (scene.rig);
    cab_client_list (scene.rig->client, scene.rig->scope, &outcome_list_sink, &outcome);
    server_wait (scene.rig->api, GET_BATCH, late[i] < 200 ? late[i] / PAGE + 1 : 20);
    g_assert_cmpuint (outcome.ends, ==, 0);
    server_release (scene.rig->api);
    latch_wait (&outcome.latch, 1);
    rig_assert_ok (&outcome);
    g_assert_cmpuint (cab_records_count (outcome.records), ==, 1950);
    g_assert_cmpuint (requests (&scene), ==, 20);
  }
}

/* Who lists two failures at a time waits for both, not for one after the other; and the places are no more. */
static void test_two_lists (void) {
  SCENE (scene, 1500);
  OUTCOME (one);
  OUTCOME (two);
  rig_start (scene.rig);
  cab_client_list (scene.rig->client, scene.rig->scope, &outcome_list_sink, &one);
  cab_client_list (scene.rig->client, scene.rig->scope, &outcome_list_sink, &two);
  latch_wait (&one.latch, 1);
  latch_wait (&two.latch, 1);
  g_assert_cmpuint (cab_records_count (one.records), ==, 1500);
  g_assert_cmpuint (cab_records_count (two.records), ==, 1500);
  g_assert_cmpuint (server_peak (scene.rig->api), <=, scene.rig->options.api_connections);
}

/* --- services that do not count as they say --------------------------------------------------------------------- */

/* A page lacks half of its rows, which are on the next one; nothing says so but the rows that follow. */
static gboolean short_in_the_middle (Exchange *exchange, Scene *self, guint skip) {
  if (skip == self->odd_skip)
    put_page (exchange, self, skip, PAGE / 2);
  return skip == self->odd_skip;
}

static void test_short_page (void) {
  for (guint skip = 300; skip <= 900; skip += 100) {
    SCENE (scene, 1234);
    scene.odd = short_in_the_middle;
    scene.odd_skip = skip;
    scene.link_shift = 0;
    check_list (&scene);
  }
}

static gboolean short_and_late (Exchange *exchange, Scene *self, guint skip) {
  exchange->hold = skip == self->odd_skip;
  return short_in_the_middle (exchange, self, skip);
}

/* Without a link it is the end (api-contract.md 3.5), unless rows of a later page have come before it. */
static void test_short_page_untold (void) {
  SCENE (scene, 1234);
  scene.odd = short_and_late;
  scene.odd_skip = 300;
  rig_start (scene.rig);
  OUTCOME (outcome);
  cab_client_list (scene.rig->client, scene.rig->scope, &outcome_list_sink, &outcome);
  server_wait (scene.rig->api, GET_BATCH, 6); /* more than pages 0 to 4: so page 4 has come, and is full */
  server_release (scene.rig->api);
  latch_wait (&outcome.latch, 1);
  check_rows (&scene, &outcome);
}

static void test_small_pages (void) {
  SCENE (scene, 1000);
  scene.size = 30;
  scene.link_shift = 0;
  check_list (&scene);
  g_assert_cmpuint (requests (&scene), <=, 34 + 1);
}

/* Links that lead elsewhere than counting does: then only counting is left, a page at a time. */
static void test_other_links (void) {
  SCENE (scene, 1000);
  scene.link_shift = 7;
  check_list (&scene);
  g_assert_cmpuint (requests (&scene), ==, 11);
  g_assert_cmpuint (server_peak (scene.rig->api), ==, 1);
}

/* From some page on the rows move by a few. */
static gboolean overlaps (Exchange *exchange, Scene *self, guint skip) {
  if (skip >= self->odd_skip)
    put_page (exchange, self, skip - 7, PAGE);
  return skip >= self->odd_skip;
}

static gboolean repeats (Exchange *exchange, Scene *self, guint skip) {
  if (skip >= self->odd_skip)
    put_page (exchange, self, skip, 2 * PAGE);
  return skip >= self->odd_skip;
}

/* A host that knows of no more than so many rows to skip. */
static gboolean same_again (Exchange *exchange, Scene *self, guint skip) {
  put_page (exchange, self, MIN (skip, self->odd_skip), PAGE);
  return TRUE;
}

/* The same, and what was asked for beyond the page that shows it takes longer than that page. */
static gboolean same_again_later (Exchange *exchange, Scene *self, guint skip) {
  exchange->hold = skip > self->odd_skip + PAGE;
  return same_again (exchange, self, skip);
}

static void test_rows_that_move (void) {
  for (guint skip = 100; skip <= 800; skip += 100) {
    SCENE (scene, 1234);
    scene.odd = overlaps;
    scene.odd_skip = skip;
    check_list (&scene);
    scene_clear (&scene);
    scene_init (&scene, 1234);
    scene.odd = repeats;
    scene.odd_skip = skip;
    check_list (&scene);
  }
}

static guint list_with_skip_ignored (guint skip,
                                     gboolean (*odd) (Exchange *exchange, Scene *self, guint skip)) {
  SCENE (scene, 5000);
  OUTCOME (outcome);
  scene.odd = odd;
  scene.odd_skip = skip;
  rig_start (scene.rig);
  rig_list (scene.rig, &outcome);
  rig_assert_ok (&outcome);
  g_assert_cmpuint (cab_records_count (outcome.records), ==, skip + PAGE);
  return requests (&scene);
}

static void test_skip_ignored (void) {
  const guint parallel = 4; /* of the rig */
  for (guint skip = 0; skip <= 900; skip += 100) {
    list_with_skip_ignored (skip, same_again);
    guint asked = list_with_skip_ignored (skip, same_again_later);
    g_assert_cmpuint (asked, <=, skip == 0 ? 2 : skip / PAGE + 2 + parallel - 1);
  }
}

/* Pages of a row each, without an end. */
static void test_endless (void) {
  SCENE (scene, 1000000);
  OUTCOME (outcome);
  scene.size = 1;
  scene.link_shift = 0;
  scene.rig->options.api_connections = 8;
  rig_start (scene.rig);
  rig_list (scene.rig, &outcome);
  rig_assert_error (&outcome, CAB_ERROR_INVALID);
  g_assert_nonnull (strstr (outcome.message, "the list has no end after 20000 pages"));
}

/* --- pages that fail -------------------------------------------------------------------------------------------- */

static gboolean refuses_one (Exchange *exchange, Scene *self, guint skip) {
  if (skip == self->odd_skip)
    refuse (exchange, 400);
  return skip == self->odd_skip;
}

static gboolean not_json (Exchange *exchange, Scene *self, guint skip) {
  if (skip == self->odd_skip)
    server_body (exchange, "<html>");
  return skip == self->odd_skip;
}

static void check_failure (gboolean (*odd) (Exchange *exchange, Scene *self, guint skip), CabErrorCode code,
                           const char *word) {
  for (guint skip = 100; skip < 1200; skip += 100) {
    SCENE (scene, 1234);
    OUTCOME (outcome);
    scene.odd = odd;
    scene.odd_skip = skip;
    rig_start (scene.rig);
    rig_list (scene.rig, &outcome);
    rig_assert_error (&outcome, code);
    g_assert_null (outcome.records);
    g_assert_nonnull (strstr (outcome.message, word));
    g_assert_cmpuint (requests (&scene), <=, 14);
  }
}

/* One bad page and there is no list: never one that lacks rows. */
static void test_bad_page (void) {
  check_failure (refuses_one, CAB_ERROR_FAILED, "in words");
  check_failure (not_json, CAB_ERROR_INVALID, "page ");
}

static gboolean refuses_beyond (Exchange *exchange, Scene *self, guint skip) {
  if (skip > self->rows)
    refuse (exchange, self->odd_skip);
  return skip > self->rows;
}

/* What a host says of pages that it does not have is nothing to the list. */
static void test_bad_page_beyond (void) {
  static const guint statuses[] = {400, 404, 416, 500, 503};
  for (guint i = 0; i < G_N_ELEMENTS (statuses); i++)
    for (guint rows = 301; rows < 1300; rows += 333) {
      SCENE (scene, rows);
      scene.odd = refuses_beyond;
      scene.odd_skip = statuses[i];
      check_list (&scene);
      g_assert_cmpuint (requests (&scene), <=, (rows + PAGE - 1) / PAGE + 2);
    }
}

static gboolean throttles_once (Exchange *exchange, Scene *self, guint skip) {
  if (skip != self->odd_skip || self->odd_done++ > 0)
    return FALSE;
  refuse (exchange, 429);
  server_header (exchange, "Retry-After", "1");
  return TRUE;
}

/* Throttled in the middle: that page is asked for again, after the pause, and no other. */
static void test_throttled (void) {
  SCENE (scene, 1950);
  scene.total = 1950;
  scene.odd = throttles_once;
  scene.odd_skip = 700;
  gint64 start = g_get_monotonic_time ();
  check_list (&scene);
  g_assert_cmpint (g_get_monotonic_time () - start, >=, 950000);
  g_assert_cmpuint (requests (&scene), ==, 21);
  g_assert_cmpuint (server_count_with (scene.rig->api, "&skip=700"), ==, 2);
}

static gboolean revokes (Exchange *exchange, Scene *self, guint skip) {
  if (skip < self->odd_skip || self->tokens > 0)
    return FALSE;
  self->tokens = 2;
  refuse (exchange, 401);
  return TRUE;
}

/* All that are under way are refused at once, and one token is fetched for them. */
static void test_revoked_token (void) {
  SCENE (scene, 1950);
  scene.total = 1950;
  scene.odd = revokes;
  scene.odd_skip = 700;
  check_list (&scene);
  g_assert_cmpuint (server_count (scene.rig->api, "POST"), ==, 2);
  g_assert_cmpuint (requests (&scene), <=, 20 + 4);
}

/* Everything under way ends when the client does. */
static void test_stop (void) {
  SCENE (scene, 1950);
  OUTCOME (outcome);
  scene.total = 1950;
  scene.odd = holds_one;
  scene.odd_skip = 700;
  rig_start (scene.rig);
  cab_client_list (scene.rig->client, scene.rig->scope, &outcome_list_sink, &outcome);
  server_wait (scene.rig->api, GET_BATCH, 20);
  cab_client_stop (scene.rig->client);
  rig_assert_error (&outcome, CAB_ERROR_CANCELLED);
  g_assert_cmpuint (outcome.ends, ==, 1);
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
  g_log_set_always_fatal (G_LOG_FATAL_MASK);
  g_test_add_func ("/ahead/cost", test_cost);
  g_test_add_func ("/ahead/any-order", test_any_order);
  g_test_add_func ("/ahead/two-lists", test_two_lists);
  g_test_add_func ("/ahead/short-page", test_short_page);
  g_test_add_func ("/ahead/short-page-untold", test_short_page_untold);
  g_test_add_func ("/ahead/small-pages", test_small_pages);
  g_test_add_func ("/ahead/other-links", test_other_links);
  g_test_add_func ("/ahead/rows-that-move", test_rows_that_move);
  g_test_add_func ("/ahead/skip-ignored", test_skip_ignored);
  g_test_add_func ("/ahead/endless", test_endless);
  g_test_add_func ("/ahead/bad-page", test_bad_page);
  g_test_add_func ("/ahead/bad-page-beyond", test_bad_page_beyond);
  g_test_add_func ("/ahead/throttled", test_throttled);
  g_test_add_func ("/ahead/revoked-token", test_revoked_token);
  g_test_add_func ("/ahead/stop", test_stop);
  return g_test_run ();
}
