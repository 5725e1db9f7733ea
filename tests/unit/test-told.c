/* Which size the kernel goes by, as far as can be known.
 *
 * SPDX-License-Identifier: MIT
 */
#include "fs/told.h"

#include <pthread.h>
#include <unistd.h>

typedef struct {
  CabTree *tree;
  CabNode *node;
  CabTold *told;
} Fixture;

static void set_up (Fixture *f, gconstpointer unused) {
  const CabNodeSeed seed = {.kind = CAB_NODE_CAB, .name = "x1.cab", .size = CAB_SIZE_UNKNOWN};
  f->tree = cab_tree_new ();
  g_autoptr (CabNode) root = cab_tree_root (f->tree);
  f->node = cab_tree_child (f->tree, root, &seed);
  f->told = cab_told_new ();
}

static void tear_down (Fixture *f, gconstpointer unused) {
  cab_told_free (f->told);
  cab_node_unref (f->node);
  cab_tree_free (f->tree);
}

/* The first size is nobody's news: before it there was none to go by. */
static void test_first (Fixture *f, gconstpointer unused) {
  g_assert_true (cab_told_has (f->told, f->node, 10, 1));
  cab_told_say (f->told, f->node, 10, 1);
  g_assert_true (cab_told_has (f->told, f->node, 10, 2));
  g_assert_false (cab_told_has (f->told, f->node, 20, 1));
}

/* Another size counts for who was told it, and for all once one of those has asked for more. */
static void test_news (Fixture *f, gconstpointer unused) {
  cab_told_say (f->told, f->node, 10, 1);
  cab_told_say (f->told, f->node, 20, 2);
  cab_told_say (f->told, f->node, 20, 3);
  g_assert_false (cab_told_has (f->told, f->node, 20, 1));
  g_assert_false (cab_told_has (f->told, f->node, 20, 4));
  g_assert_true (cab_told_has (f->told, f->node, 20, 3));
  g_assert_true (cab_told_has (f->told, f->node, 20, 1));
  g_assert_true (cab_told_has (f->told, f->node, 20, 4));
  g_assert_false (cab_told_has (f->told, f->node, 10, 1));
}

/* News of a size that is not the latest are none. */
static void test_overtaken (Fixture *f, gconstpointer unused) {
  cab_told_say (f->told, f->node, 10, 1);
  cab_told_say (f->told, f->node, 20, 2);
  cab_told_say (f->told, f->node, 30, 3);
  g_assert_false (cab_told_has (f->told, f->node, 20, 2));
  g_assert_false (cab_told_has (f->told, f->node, 30, 2));
  g_assert_true (cab_told_has (f->told, f->node, 30, 3));
}

/* However many ask and go away, what is kept of them has a bound, and the latest are known. */
static void test_many (Fixture *f, gconstpointer unused) {
  cab_told_say (f->told, f->node, 10, 1);
  for (pid_t thread = 1; thread <= 10000; thread++)
    cab_told_say (f->told, f->node, 20, thread);
  g_assert_false (cab_told_has (f->told, f->node, 20, 1));
  g_assert_true (cab_told_has (f->told, f->node, 20, 9990));
}

#define CROWD  4
#define ROUNDS 20000

typedef struct {
  Fixture *f;
  pthread_barrier_t *meet;
  guint sent_away;
} Opener;

/* Each time all are told the size, then all open at once. */
static void *open_again_and_again (void *data) {
  Opener *self = data;
  pid_t thread = gettid ();
  for (guint64 size = 1; size <= ROUNDS; size++) {
    cab_told_say (self->f->told, self->f->node, size, thread);
    pthread_barrier_wait (self->meet);
    if (!cab_told_has (self->f->told, self->f->node, size, thread))
      self->sent_away++;
    pthread_barrier_wait (self->meet);
  }
  return NULL;
}

/* Who was told is not sent away because another one is just being believed. */
static void test_crowd (Fixture *f, gconstpointer unused) {
  pthread_barrier_t meet;
  pthread_t threads[CROWD];
  Opener openers[CROWD];
  pthread_barrier_init (&meet, NULL, CROWD);
  for (guint i = 0; i < CROWD; i++) {
    openers[i] = (Opener){.f = f, .meet = &meet};
    pthread_create (&threads[i], NULL, open_again_and_again, &openers[i]);
  }
  for (guint i = 0; i < CROWD; i++) {
    pthread_join (threads[i], NULL);
    g_assert_cmpuint (openers[i].sent_away, ==, 0);
  }
  pthread_barrier_destroy (&meet);
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
#define TOLD_TEST(name, func) g_test_add ("/told/" name, Fixture, NULL, set_up, func, tear_down)
  TOLD_TEST ("first", test_first);
  TOLD_TEST ("news", test_news);
  TOLD_TEST ("overtaken", test_overtaken);
  TOLD_TEST ("many", test_many);
  TOLD_TEST ("crowd", test_crowd);
  return g_test_run ();
}
