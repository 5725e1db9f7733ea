/* What is remembered of ways that answered, and of questions that were refused.
 *
 * SPDX-License-Identifier: MIT
 */
#include "client/error.h"
#include "client/refusals.h"
#include "client/ways.h"

static void test_first (void) {
  g_autoptr (CabWays) ways = cab_ways_new ();
  gint64 now = 1000;
  g_assert_cmpuint (cab_ways_first (ways, "driver", now), ==, 0);
  g_assert_true (cab_ways_settle (ways, "driver", 1, now));
  g_assert_cmpuint (cab_ways_first (ways, "driver", now), ==, 1);
  g_assert_cmpuint (cab_ways_first (ways, "desktop", now), ==, 0);
  /* The preferred one is tried again in time, however often the other was used meanwhile. */
  g_assert_false (cab_ways_settle (ways, "driver", 1, now + CAB_WAYS_KEPT_US - 1));
  g_assert_cmpuint (cab_ways_first (ways, "driver", now + CAB_WAYS_KEPT_US - 1), ==, 1);
  g_assert_cmpuint (cab_ways_first (ways, "driver", now + CAB_WAYS_KEPT_US), ==, 0);
  /* Still the same: not worth another line. */
  now += CAB_WAYS_KEPT_US;
  g_assert_false (cab_ways_settle (ways, "driver", 1, now));
  g_assert_cmpuint (cab_ways_first (ways, "driver", now + CAB_WAYS_KEPT_US - 1), ==, 1);
  /* It came back, and went again. */
  g_assert_false (cab_ways_settle (ways, "driver", 0, now));
  g_assert_cmpuint (cab_ways_first (ways, "driver", now), ==, 0);
  g_assert_true (cab_ways_settle (ways, "driver", 1, now));
}

static void test_missed (void) {
  g_autoptr (CabWays) ways = cab_ways_new ();
  g_assert_true (cab_ways_missed (ways, "hardware"));
  g_assert_false (cab_ways_missed (ways, "hardware"));
  cab_ways_heard (ways, "driver"); /* so what is missed later is an application, not the family */
  g_assert_false (cab_ways_missed (ways, "driver"));
}

static void test_refusals (void) {
  g_autoptr (CabRefusals) refusals = cab_refusals_new (2);
  g_autoptr (GError) a = g_error_new_literal (CAB_ERROR, CAB_ERROR_DENIED, "a");
  g_autoptr (GError) b = g_error_new_literal (CAB_ERROR, CAB_ERROR_DENIED, "b");
  g_assert_null (cab_refusals_get (refusals, "x", 0));
  cab_refusals_add (refusals, "x", a, 0);
  g_assert_cmpstr (cab_refusals_get (refusals, "x", CAB_REFUSALS_KEPT_US - 1)->message, ==, "a");
  g_assert_null (cab_refusals_get (refusals, "y", 0));
  g_assert_null (cab_refusals_get (refusals, "x", CAB_REFUSALS_KEPT_US));
  /* A newer one of the same name outlives the older. */
  cab_refusals_add (refusals, "x", a, 100);
  cab_refusals_add (refusals, "x", b, 200);
  g_assert_cmpstr (cab_refusals_get (refusals, "x", 100 + CAB_REFUSALS_KEPT_US)->message, ==, "b");
  cab_refusals_add (refusals, "y", a, 300);
  cab_refusals_add (refusals, "z", a, 400);
  g_assert_null (cab_refusals_get (refusals, "x", 400));
  g_assert_nonnull (cab_refusals_get (refusals, "y", 400));
  g_assert_nonnull (cab_refusals_get (refusals, "z", 400));
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/ways/first", test_first);
  g_test_add_func ("/ways/missed", test_missed);
  g_test_add_func ("/ways/refusals", test_refusals);
  return g_test_run ();
}
