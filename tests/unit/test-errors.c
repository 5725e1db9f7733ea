/* SPDX-License-Identifier: MIT */
#include "fs/errors.h"

#include <errno.h>
#include <string.h>

#include "client/error.h"
#include "client/sync.h"

#define NOW 1479743999 /* any */

static GError *refusal (const char *message, int status, const char *code, const char *correlation) {
  GError *error = g_error_new_literal (CAB_ERROR, CAB_ERROR_FAILED, message);
  const CabErrorAnswer answer = {status, code, correlation};
  cab_error_set_answer (error, &answer);
  return error;
}

static void add (CabErrors *errors, const char *path, const char *message) {
  g_autoptr (GError) error = g_error_new_literal (CAB_ERROR, CAB_ERROR_FAILED, message);
  cab_errors_add (errors, NOW, "read", path, EIO, error);
}

static void test_fields (void) {
  g_autoptr (CabErrors) errors = cab_errors_new ();
  g_autoptr (GError) error = refusal ("HTTP status 500", 500, "InternalError", "abc-1");
  g_prefix_error (&error, "page 3: ");
  cab_errors_add (errors, NOW, "list", "/1/2", EIO, error);
  g_autoptr (CabFailure) failure = cab_errors_find (errors, "/1/2");
  g_assert_nonnull (failure);
  g_assert_cmpint (failure->time, ==, NOW);
  g_assert_cmpstr (failure->operation, ==, "list");
  g_assert_cmpstr (failure->path, ==, "/1/2");
  g_assert_cmpint (failure->number, ==, EIO);
  g_assert_cmpstr (failure->name, ==, "EIO");
  g_assert_cmpint (failure->status, ==, 500);
  g_assert_cmpstr (failure->code, ==, "InternalError");
  g_assert_cmpstr (failure->correlation, ==, "abc-1");
  g_assert_cmpstr (failure->message, ==, "page 3: HTTP status 500");
}

/* Network, disk: nobody answered; another domain than ours has no answers at all. */
static void test_without_answer (void) {
  g_autoptr (CabErrors) errors = cab_errors_new ();
  g_autoptr (GError) other = g_error_new_literal (G_FILE_ERROR, G_FILE_ERROR_IO, "disk");
  cab_errors_add (errors, NOW, "read", "/disk", ENOSPC, other);
  cab_errors_add (errors, NOW, "read", "/none", ETIMEDOUT, NULL);
  g_autoptr (CabFailure) disk = cab_errors_find (errors, "/disk");
  g_autoptr (CabFailure) none = cab_errors_find (errors, "/none");
  g_assert_cmpint (disk->status, ==, 0);
  g_assert_null (disk->code);
  g_assert_null (disk->correlation);
  g_assert_cmpstr (disk->name, ==, "ENOSPC");
  g_assert_cmpstr (none->name, ==, "ETIMEDOUT");
  g_assert_cmpstr (none->message, ==, g_strerror (ETIMEDOUT));
}

static void test_secrets (void) {
  static const struct {
    const char *message;
    const char *shown;
  } rows[] = {
      {"GET /v1.0/my/x?applicationId=1&sig=SECRET: HTTP status 500", "GET /v1.0/my/x: HTTP status 500"},
      {"https://h/b.cab?sv=1&sig=SECRET refused", "https://h/b.cab refused"},
      {"at \"/a?b=SECRET\", twice (/a?c=SECRET)", "at \"/a\", twice (/a)"},
      {"POST https://l/t: HTTP status 404 (is login-url or tenant mistyped?)",
       "POST https://l/t: HTTP status 404 (is login-url or tenant mistyped?)"},
      {"what? nothing?", "what? nothing?"},
      {"Authorization: Bearer SECRET", "Authorization: REDACTED"},
      {"client_secret=SECRET and on", "client_secret=REDACTED and on"},
      {"two\nlines", "two lines"},
      {"ends in /a?b=SECRET", "ends in /a"},
  };
  g_autoptr (CabErrors) errors = cab_errors_new ();
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    add (errors, "/x", rows[i].message);
    g_autoptr (CabFailure) failure = cab_errors_find (errors, "/x");
    g_assert_cmpstr (failure->message, ==, rows[i].shown);
  }
  g_autoptr (GError) error = refusal ("no", 403, "sig=SECRET", "sig=SECRET");
  cab_errors_add (errors, NOW, "read", "/sig=SECRET", EACCES, error);
  g_autoptr (CabFailure) failure = cab_errors_find (errors, "/sig=SECRET");
  g_assert_nonnull (failure);
  g_assert_null (strstr (failure->path, "SECRET"));
  g_assert_null (strstr (failure->code, "SECRET"));
  g_assert_null (strstr (failure->correlation, "SECRET"));
}

static void test_newest_of_a_path (void) {
  g_autoptr (CabErrors) errors = cab_errors_new ();
  g_assert_null (cab_errors_find (errors, "/a"));
  add (errors, "/a", "first");
  add (errors, "/b", "other");
  add (errors, "/a", "second");
  g_autoptr (CabFailure) failure = cab_errors_find (errors, "/a");
  g_assert_cmpstr (failure->message, ==, "second");
  g_assert_null (cab_errors_find (errors, "/"));
}

static void collect (gpointer data, const CabFailure *failure) {
  g_ptr_array_add (data, g_strdup (failure->message));
}

/* The newest first, no more than are shown; of older ones a path still tells, until it is their turn to go. */
static void test_ring (void) {
  g_autoptr (CabErrors) errors = cab_errors_new ();
  const guint all = CAB_ERRORS_KEPT + 10;
  for (guint i = 0; i < all; i++) {
    g_autofree char *path = g_strdup_printf ("/%u", i);
    add (errors, path, path);
    g_autoptr (GPtrArray) shown = g_ptr_array_new_with_free_func (g_free);
    cab_errors_each (errors, collect, shown);
    g_assert_cmpuint (shown->len, ==, MIN (i + 1, CAB_ERRORS_SHOWN));
    for (guint age = 0; age < shown->len; age++) {
      g_autofree char *expected = g_strdup_printf ("/%u", i - age);
      g_assert_cmpstr (g_ptr_array_index (shown, age), ==, expected);
    }
  }
  g_assert_null (cab_errors_find (errors, "/9"));
  g_autoptr (CabFailure) oldest = cab_errors_find (errors, "/10");
  g_assert_nonnull (oldest);
}

enum { ADDERS = 3, ROUNDS = 30, EACH = CAB_ERRORS_KEPT / (ADDERS + 1) };

typedef struct {
  CabErrors *errors;
  guint number;
  pthread_barrier_t *turn;
} Adder;

static char *path_of (guint round, guint number, guint i) {
  return g_strdup_printf ("/%u/%u/%u", round, number, i);
}

static void *adder (void *data) {
  const Adder *self = data;
  for (guint round = 0; round < ROUNDS; round++) {
    for (guint i = 0; i < EACH; i++) {
      g_autofree char *path = path_of (round, self->number, i);
      add (self->errors, path, "text");
    }
    pthread_barrier_wait (self->turn); /* all is noted */
    pthread_barrier_wait (self->turn); /* and was found */
  }
  return NULL;
}

static void look (gpointer data, const CabFailure *failure) {
  g_assert_cmpstr (failure->message, ==, "text");
}

static void assert_all_found (CabErrors *errors, guint round) {
  for (guint number = 0; number < ADDERS; number++)
    for (guint i = 0; i < EACH; i++) {
      g_autofree char *path = path_of (round, number, i);
      g_autoptr (CabFailure) failure = cab_errors_find (errors, path);
      g_assert_nonnull (failure);
    }
}

/* What several note at a time is all there, whoever looks meanwhile. */
static void test_threads (void) {
  g_autoptr (CabErrors) errors = cab_errors_new ();
  pthread_barrier_t turn;
  pthread_t threads[ADDERS];
  Adder adders[ADDERS];
  g_assert_cmpint (pthread_barrier_init (&turn, NULL, ADDERS + 1), ==, 0);
  for (guint i = 0; i < ADDERS; i++) {
    adders[i] = (Adder){errors, i, &turn};
    g_assert_cmpint (pthread_create (&threads[i], NULL, adder, &adders[i]), ==, 0);
  }
  for (guint round = 0; round < ROUNDS; round++) {
    for (guint i = 0; i < 10; i++) {
      g_autofree char *path = path_of (round, 0, i);
      g_autoptr (CabFailure) failure = cab_errors_find (errors, path);
      g_assert_true (failure == NULL || failure->number == EIO);
      cab_errors_each (errors, look, NULL);
    }
    pthread_barrier_wait (&turn);
    assert_all_found (errors, round);
    pthread_barrier_wait (&turn);
  }
  for (guint i = 0; i < ADDERS; i++)
    pthread_join (threads[i], NULL);
  pthread_barrier_destroy (&turn);
}

static void fail (CabErrors *errors, const char *operation, const char *path) {
  cab_errors_add (errors, NOW, operation, path, EIO, NULL);
}

static void assert_found (CabErrors *errors, const char *path, const char *operation) {
  g_autoptr (CabFailure) failure = cab_errors_find (errors, path);
  g_assert_cmpstr (failure != NULL ? failure->operation : NULL, ==, operation);
}

/* What succeeded takes with it what it is made of, and nothing else. */
static void test_settle (void) {
  static const char *const opened[] = {"open", "stat", NULL};
  g_autoptr (CabErrors) errors = cab_errors_new ();
  g_assert_true (cab_errors_are_settled (errors));
  fail (errors, "read", "/a");
  fail (errors, "open", "/a");
  fail (errors, "open", "/b");
  fail (errors, "stat", "/a");
  assert_found (errors, "/a", "stat");
  cab_errors_settle (errors, "/a", opened);
  assert_found (errors, "/a", "read");
  assert_found (errors, "/b", "open");
  g_assert_false (cab_errors_are_settled (errors));
  static const char *const read[] = {"read", NULL};
  cab_errors_settle (errors, "/a", read);
  cab_errors_settle (errors, "/a", read);
  cab_errors_settle (errors, "/b", opened);
  assert_found (errors, "/a", NULL);
  g_assert_true (cab_errors_are_settled (errors));
  /* Those that are pushed out count no more, settled or not. */
  for (guint i = 0; i < 3 * CAB_ERRORS_KEPT; i++)
    fail (errors, "read", i % 2 != 0 ? "/a" : "/b");
  cab_errors_settle (errors, "/a", read);
  g_assert_false (cab_errors_are_settled (errors));
  cab_errors_settle (errors, "/b", read);
  g_assert_true (cab_errors_are_settled (errors));
}

/* A directory tells of names in it that could not be looked up, and of nothing deeper. */
static void test_lookups (void) {
  g_autoptr (CabErrors) errors = cab_errors_new ();
  fail (errors, "lookup", "/1/2");
  fail (errors, "read", "/3/4");
  fail (errors, "lookup", "/5");
  assert_found (errors, "/1", "lookup");
  assert_found (errors, "/1/2", "lookup");
  assert_found (errors, "/", "lookup");
  assert_found (errors, "/3", NULL);
  assert_found (errors, "/1/", NULL);
  g_autoptr (CabFailure) failure = cab_errors_find (errors, "/");
  g_assert_cmpstr (failure->path, ==, "/5");
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/errors/fields", test_fields);
  g_test_add_func ("/errors/without-answer", test_without_answer);
  g_test_add_func ("/errors/secrets", test_secrets);
  g_test_add_func ("/errors/newest-of-a-path", test_newest_of_a_path);
  g_test_add_func ("/errors/ring", test_ring);
  g_test_add_func ("/errors/threads", test_threads);
  g_test_add_func ("/errors/settle", test_settle);
  g_test_add_func ("/errors/lookups", test_lookups);
  return g_test_run ();
}
