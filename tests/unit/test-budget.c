/* SPDX-License-Identifier: MIT */
#include "fs/budget.h"

#include <pthread.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define S ((gint64) G_USEC_PER_SEC)

static void test_minute (void) {
  g_autoptr (CabBudget) budget = cab_budget_new ();
  g_assert_cmpuint (cab_budget_spent (budget, "a", 1000 * S), ==, 0);
  cab_budget_charge (budget, "a", 100, 1000 * S);
  cab_budget_charge (budget, "a", 10, 1030 * S);
  cab_budget_charge (budget, "b", 7, 1030 * S);
  cab_budget_charge (budget, "b", 0, 1030 * S);
  g_assert_cmpuint (cab_budget_spent (budget, "a", 1054 * S), ==, 110);
  g_assert_cmpuint (cab_budget_spent (budget, "a", 1060 * S), ==, 10);
  g_assert_cmpuint (cab_budget_spent (budget, "a", 1089 * S), ==, 10);
  g_assert_cmpuint (cab_budget_spent (budget, "a", 1090 * S), ==, 0);
  g_assert_cmpuint (cab_budget_spent (budget, "b", 1031 * S), ==, 7);
}

/* Each moment of an hour against a plain sum. */
static void test_sliding (void) {
  g_autoptr (CabBudget) budget = cab_budget_new ();
  guint64 bytes[3600];
  for (gint64 now = 0; now < 3600; now++) {
    bytes[now] = (guint64) (g_test_rand_int_range (0, 4) == 0 ? g_test_rand_int_range (0, 1000) : 0);
    cab_budget_charge (budget, "a", bytes[now], now * S);
    guint64 spent = 0;
    for (gint64 then = MAX (0, now / 5 * 5 - 55); then <= now; then++)
      spent += bytes[then];
    g_assert_cmpuint (cab_budget_spent (budget, "a", now * S), ==, spent);
  }
}

/* News once; and programs that had nothing lately make room for others. */
static void test_programs (void) {
  g_autoptr (CabBudget) budget = cab_budget_new ();
  g_assert_false (cab_budget_is_news (budget, "a"));
  cab_budget_charge (budget, "a", 1, 0);
  g_assert_true (cab_budget_is_news (budget, "a"));
  g_assert_false (cab_budget_is_news (budget, "a"));
  for (guint i = 0; i < 10000; i++) {
    g_autofree char *name = g_strdup_printf ("%u", i);
    cab_budget_charge (budget, name, 1, (gint64) i * S);
  }
  g_assert_cmpuint (cab_budget_spent (budget, "9999", 9999 * S), ==, 1);
  g_assert_true (cab_budget_is_news (budget, "9999"));
}

static void *name_thread (void *data) {
  prctl (PR_SET_NAME, "a-thread");
  cab_program_of ((pid_t) syscall (SYS_gettid), 7, data);
  return NULL;
}

/* By the name of the process, whatever its threads are called. */
static void test_name (void) {
  char program[CAB_PROGRAM_SIZE], mine[CAB_PROGRAM_SIZE];
  cab_program_of (getpid (), 7, mine);
  g_assert_true (g_str_has_suffix (mine, " of user 7"));
  g_assert_false (g_str_has_prefix (mine, "?"));
  pthread_t thread;
  g_assert_cmpint (pthread_create (&thread, NULL, name_thread, program), ==, 0);
  pthread_join (thread, NULL);
  g_assert_cmpstr (program, ==, mine);
  cab_program_of (0, 7, program);
  g_assert_cmpstr (program, ==, "? of user 7");
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/budget/minute", test_minute);
  g_test_add_func ("/budget/sliding", test_sliding);
  g_test_add_func ("/budget/programs", test_programs);
  g_test_add_func ("/budget/name", test_name);
  return g_test_run ();
}
