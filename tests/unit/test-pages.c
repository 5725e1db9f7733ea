/* Which pages of a list are asked for, against services of every kind.
 *
 * SPDX-License-Identifier: MIT
 */
#include "client/pages.h"

#define STEP  10u
#define FIRST (CAB_PAGES_FIRST * STEP)

typedef enum { LINKS_NONE, LINKS_TRUE, LINKS_ALWAYS } Links;
typedef enum { FIRST_FIRST, LAST_FIRST, ANY_FIRST } Order;

typedef struct {
  guint rows; /* at least FIRST */
  guint parallel;
  guint promised;
  Links links;
  Order order;
} Service;

typedef struct {
  guint asked;
  guint beyond; /* of them those without a row */
  guint most;   /* under way at a time */
  guint rounds; /* until all had come, if those under way come together */
} Cost;

static guint pages_of (const Service *service) {
  return (service->rows + STEP - 1) / STEP;
}

static gboolean is_linked (const Service *service, guint page) {
  return service->links == LINKS_ALWAYS || (service->links == LINKS_TRUE && (page + 1) * STEP < service->rows);
}

static CabPageKind kind_of (const Service *service, guint page) {
  if (page >= pages_of (service))
    return CAB_PAGE_NONE;
  return (page + 1) * STEP <= service->rows ? CAB_PAGE_FULL : CAB_PAGE_SHORT;
}

static void ask_more (CabPages *pages, const Service *service, GArray *under_way, GHashTable *asked,
                      Cost *cost) {
  guint page;
  while (cab_pages_next (pages, &page)) {
    g_assert_true (g_hash_table_add (asked, GUINT_TO_POINTER (page)));
    g_array_append_val (under_way, page);
    cost->asked++;
    cost->beyond += page >= pages_of (service) ? 1 : 0;
  }
  cost->most = MAX (cost->most, under_way->len);
}

static guint choose (const Service *service, guint len) {
  if (service->order == ANY_FIRST)
    return (guint) g_test_rand_int_range (0, (gint32) len);
  return service->order == FIRST_FIRST ? 0 : len - 1;
}

/* Until the page that shows the end has come, and all before it. */
static gboolean is_complete (const Service *service, GHashTable *come) {
  guint last = service->rows % STEP == 0 ? pages_of (service) : pages_of (service) - 1;
  return g_hash_table_size (come) > last && g_hash_table_contains (come, GUINT_TO_POINTER (last));
}

static Cost list (const Service *service, gboolean in_rounds) {
  Cost cost = {0};
  gboolean linked = is_linked (service, CAB_PAGES_FIRST - 1);
  g_autoptr (CabPages) pages = cab_pages_new (service->parallel, service->promised, linked);
  g_autoptr (GArray) under_way = g_array_new (FALSE, FALSE, sizeof (guint));
  g_autoptr (GHashTable) asked = g_hash_table_new (NULL, NULL);
  g_autoptr (GHashTable) come = g_hash_table_new (NULL, NULL);
  for (guint page = 0; page < CAB_PAGES_FIRST; page++) {
    g_hash_table_add (asked, GUINT_TO_POINTER (page));
    g_hash_table_add (come, GUINT_TO_POINTER (page));
  }
  ask_more (pages, service, under_way, asked, &cost);
  while (!is_complete (service, come)) {
    g_assert_cmpuint (under_way->len, >, 0);
    cost.rounds++;
    for (guint n = in_rounds ? under_way->len : 1; n > 0; n--) {
      guint i = choose (service, in_rounds ? n : under_way->len);
      guint page = g_array_index (under_way, guint, i);
      g_array_remove_index (under_way, i);
      g_hash_table_add (come, GUINT_TO_POINTER (page));
      cab_pages_came (pages, page, kind_of (service, page), is_linked (service, page));
    }
    ask_more (pages, service, under_way, asked, &cost);
  }
  return cost;
}

/* Whatever the service says, and in whichever order pages come: every page, none twice, at most two beyond the end. */
static void test_bounds (void) {
  static const guint parallels[] = {2, 3, 4, 7, 16, 64};
  for (guint rows = FIRST; rows < 60 * STEP; rows += rows % STEP == 0 ? 1 : STEP - 1) {
    guint pages = (rows + STEP - 1) / STEP;
    const guint promises[] = {0, pages, pages / 2 + 1, pages + 1, 2 * pages, 1, 20000};
    for (guint p = 0; p < G_N_ELEMENTS (parallels); p++)
      for (guint promise = 0; promise < G_N_ELEMENTS (promises); promise++)
        for (Links links = LINKS_NONE; links <= LINKS_ALWAYS; links++)
          for (Order order = FIRST_FIRST; order <= ANY_FIRST; order++) {
            const Service service = {rows, parallels[p], promises[promise], links, order};
            Cost cost = list (&service, FALSE);
            g_assert_cmpuint (cost.beyond, <=, 2);
            g_assert_cmpuint (cost.most, <=, service.parallel);
          }
  }
}

/* Where the service says how many there are, none is asked for in vain; where it does not, a short list costs none. */
static void test_nothing_in_vain (void) {
  for (guint rows = FIRST; rows < 60 * STEP; rows++) {
    Service service = {rows, 4, (rows + STEP - 1) / STEP, LINKS_TRUE, ANY_FIRST};
    guint shown = rows % STEP == 0 ? 1 : 0; /* the page that shows the end */
    guint more = rows < 3 * STEP ? 0 : 1;
    g_assert_cmpuint (list (&service, FALSE).beyond, ==, shown);
    service.promised = 0;
    g_assert_cmpuint (list (&service, FALSE).beyond, <=, shown + more);
    service.links = LINKS_NONE;
    g_assert_cmpuint (list (&service, FALSE).beyond, <=, shown + more);
  }
}

/* A hundred pages over four connections need 25 round trips, and 10 over 10; what is not known costs a few more. */
static void test_rounds (void) {
  Service service = {100 * STEP, 4, 100, LINKS_NONE, FIRST_FIRST};
  g_assert_cmpuint (list (&service, TRUE).rounds, <=, 27);
  service.links = LINKS_TRUE;
  g_assert_cmpuint (list (&service, TRUE).rounds, <=, 27);
  service.promised = 0;
  g_assert_cmpuint (list (&service, TRUE).rounds, <=, 30);
  service.links = LINKS_NONE;
  g_assert_cmpuint (list (&service, TRUE).rounds, <=, 30);
  g_assert_cmpuint (list (&service, TRUE).most, ==, 4);
  service.parallel = 16;
  g_assert_cmpuint (list (&service, TRUE).rounds, <=, 26);
  for (guint rows = 20 * STEP; rows < 200 * STEP; rows += 7) {
    const Service any = {rows, 4, 0, LINKS_NONE, FIRST_FIRST};
    g_assert_cmpuint (list (&any, TRUE).rounds, <=, rows / STEP / 4 + 9);
  }
}

/* A page that fails is as good as none: nothing is asked for beyond it. */
static void test_failed_page (void) {
  g_autoptr (CabPages) pages = cab_pages_new (4, 0, FALSE);
  guint page = 0;
  g_assert_true (cab_pages_next (pages, &page));
  g_assert_cmpuint (page, ==, 2);
  g_assert_false (cab_pages_next (pages, &page));
  cab_pages_came (pages, 2, CAB_PAGE_NONE, FALSE);
  g_assert_false (cab_pages_next (pages, &page));
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/pages/bounds", test_bounds);
  g_test_add_func ("/pages/nothing-in-vain", test_nothing_in_vain);
  g_test_add_func ("/pages/rounds", test_rounds);
  g_test_add_func ("/pages/failed-page", test_failed_page);
  return g_test_run ();
}
