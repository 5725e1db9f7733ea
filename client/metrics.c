/* SPDX-License-Identifier: MIT */
#include "client/metrics.h"

#include <stdatomic.h>

static _Atomic guint64 counters[CAB_METRIC_LAST];

static const struct {
  const char *name;
  const char *help;
} descriptions[] = {
#define CAB_METRIC_ROW(constant, name, help) [CAB_METRIC_##constant] = {name, help},
    CAB_METRICS (CAB_METRIC_ROW)
#undef CAB_METRIC_ROW
};

void cab_metric_add (CabMetric metric, guint64 n) {
  g_assert (metric < CAB_METRIC_LAST);
  atomic_fetch_add_explicit (&counters[metric], n, memory_order_relaxed);
}

guint64 cab_metric_get (CabMetric metric) {
  g_assert (metric < CAB_METRIC_LAST);
  return atomic_load_explicit (&counters[metric], memory_order_relaxed);
}

const char *cab_metric_name (CabMetric metric) {
  g_assert (metric < CAB_METRIC_LAST);
  return descriptions[metric].name;
}

const char *cab_metric_help (CabMetric metric) {
  g_assert (metric < CAB_METRIC_LAST);
  return descriptions[metric].help;
}
