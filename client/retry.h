/* retry.h - whether and when a failed request is tried again.  Pure: time and chance are arguments.
 *
 * api-contract.md 11.2, 11.3 (API, login) and 12.5, 12.6 (blob hosts).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_RETRY_H
#define CABFS_CLIENT_RETRY_H

#include <glib.h>

typedef enum {
  CAB_RETRY_API,      /* base 1 s, factor 2, full jitter, cap 30 s */
  CAB_RETRY_BLOB,     /* base 0.5 s, factor 2, jitter, cap 10 s */
  CAB_RETRY_METADATA, /* base 2 s, factor 2, jitter, cap 30 s; not below 1 s, as Microsoft asks for */
} CabRetryKind;

typedef struct {
  CabRetryKind kind;
  guint tries;        /* most tries of one request */
  guint failed;       /* tries that failed so far without progress, the one in hand included: 1, 2, … */
  int status;         /* HTTP status, 0 if there was no answer */
  gint64 retry_after; /* seconds the host asks for, -1 if it does not */
  double chance;      /* in [0, 1): the jitter */
} CabRetryInput;

/* Milliseconds until the next try, or -1: do not try again.
 * Tried again are: no answer (a network fault), 408, 429, 500, 502, 503, 504; by a metadata service also 404 and 410,
 * which say that it is being updated (410: for up to 70 s, so its pauses are longer), and all above 500, but only once
 * where nobody answers: most likely there is none on this machine.  `retry_after` wins over the rule, capped
 * at CAB_RETRY_AFTER_MAX_S: hosts have sent absurd ones. */
gint64 cab_retry_delay_ms (const CabRetryInput *input);

/* TRUE if the host as a whole asks for a pause: 429, or 503 with Retry-After. */
gboolean cab_retry_pauses_host (int status, gint64 retry_after);

#define CAB_RETRY_AFTER_MAX_S 120

#endif
