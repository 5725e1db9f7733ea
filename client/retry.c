/* SPDX-License-Identifier: MIT */
#include "client/retry.h"

typedef struct {
  gint64 base_ms;
  gint64 cap_ms;
  double least; /* part of the delay that chance does not touch */
} Rule;

static const Rule rules[] = {
    [CAB_RETRY_API] = {1000, 30000, 0.0},
    [CAB_RETRY_BLOB] = {500, 10000, 0.5},
    [CAB_RETRY_METADATA] = {2000, 30000, 0.5},
};

/* Four of them are longer than an update of the metadata service. */
#define UPDATE_MS 20000

static gboolean is_transient (CabRetryKind kind, int status) {
  if (kind == CAB_RETRY_METADATA && (status == 404 || status == 410 || status > 500))
    return TRUE;
  static const int statuses[] = {0, 408, 429, 500, 502, 503, 504};
  for (gsize i = 0; i < G_N_ELEMENTS (statuses); i++)
    if (statuses[i] == status)
      return TRUE;
  return FALSE;
}

gint64 cab_retry_delay_ms (const CabRetryInput *input) {
  guint failed = MAX (input->failed, 1);
  gboolean metadata = input->kind == CAB_RETRY_METADATA;
  guint tries = metadata && input->status == 0 ? MIN (input->tries, 2) : input->tries;
  if (failed >= tries || !is_transient (input->kind, input->status))
    return -1;
  if (input->retry_after >= 0)
    return MIN (input->retry_after, CAB_RETRY_AFTER_MAX_S) * 1000;
  if (metadata && input->status == 410)
    return UPDATE_MS;
  const Rule *rule = &rules[input->kind];
  gint64 full = rule->base_ms << MIN (failed - 1, 16);
  full = MIN (full, rule->cap_ms);
  return (gint64) ((double) full * (rule->least + (1.0 - rule->least) * input->chance));
}

gboolean cab_retry_pauses_host (int status, gint64 retry_after) {
  return status == 429 || (status == 503 && retry_after >= 0);
}
