/* SPDX-License-Identifier: MIT */
#include "client/metrics.h"

#include <stdatomic.h>

static _Atomic guint64 counters[CAB_METRIC_LAST];
static _Atomic guint64 sent[CAB_REQUEST_KINDS];
static _Atomic guint64 failed[CAB_REQUEST_KINDS];

static const char *const helps[] = {
#define CAB_METRIC_ROW(constant, help) [CAB_METRIC_##constant] = help,
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

const char *cab_metric_help (CabMetric metric) {
  g_assert (metric < CAB_METRIC_LAST);
  return helps[metric];
}

/* --- requests ----------------------------------------------------------------------------------------------- */

static const char *const kind_names[] = {
#define CAB_REQUEST_ROW(constant, name) [CAB_REQUEST_##constant] = name,
    CAB_REQUESTS (CAB_REQUEST_ROW)
#undef CAB_REQUEST_ROW
};

void cab_metric_count_sent (CabRequestKind kind) {
  g_assert (kind < CAB_REQUEST_KINDS);
  atomic_fetch_add_explicit (&sent[kind], 1, memory_order_relaxed);
}

void cab_metric_count_failed (CabRequestKind kind) {
  g_assert (kind < CAB_REQUEST_KINDS);
  atomic_fetch_add_explicit (&failed[kind], 1, memory_order_relaxed);
}

guint64 cab_metric_sent (CabRequestKind kind) {
  g_assert (kind < CAB_REQUEST_KINDS);
  return atomic_load_explicit (&sent[kind], memory_order_relaxed);
}

guint64 cab_metric_failed (CabRequestKind kind) {
  g_assert (kind < CAB_REQUEST_KINDS);
  return atomic_load_explicit (&failed[kind], memory_order_relaxed);
}

const char *cab_metric_kind_name (CabRequestKind kind) {
  g_assert (kind < CAB_REQUEST_KINDS);
  return kind_names[kind];
}
