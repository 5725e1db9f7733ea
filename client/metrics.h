/* metrics.h - what the process has done since it started, as named counters.
 *
 * One table for the whole process; add a line to CAB_METRICS and count.  Threads: any, without a lock.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_METRICS_H
#define CABFS_CLIENT_METRICS_H

#include <glib.h>

/* X (constant, one sentence of help) */
#define CAB_METRICS(X)                                                                                         \
  X (RETRIES, "Requests that were tried again.")                                                               \
  X (BYTES_RECEIVED, "Bytes of CABs received from blob hosts.")                                                \
  X (BYTES_SHARED, "Bytes of CABs received from other mounts on the same cache directory.")                    \
  X (BYTES_CACHED, "Bytes of CABs answered from the cache.")                                                   \
  X (BYTES_SERVED, "Bytes of CABs and members given to the kernel, which keeps some for later.")               \
  X (READS_WAITED, "Reads that had to wait for the network.")                                                  \
  X (CABS_EVICTED, "Cached CABs and members removed, expired or over the limit.")                              \
  X (BYTES_EVICTED, "Bytes of cached CABs and members removed, expired or over the limit.")                    \
  X (MEMBERS_EXTRACTED, "Members taken out of CABs.")                                                          \
  X (CACHE_DAMAGED, "Cache files found damaged, dropped and to be fetched again.")                             \
  X (ERRORS, "Operations answered with an error.")

typedef enum {
#define CAB_METRIC_ENUM(constant, help) CAB_METRIC_##constant,
  CAB_METRICS (CAB_METRIC_ENUM)
#undef CAB_METRIC_ENUM
      CAB_METRIC_LAST
} CabMetric;

void cab_metric_add (CabMetric metric, guint64 n);
guint64 cab_metric_get (CabMetric metric);

/* --- requests ----------------------------------------------------------------------------------------------- */

/* X (constant, name): what is asked of the services.  LIST is of CABs and products, HITS of failures, LOCATE of the new
 * address of a CAB, HEAD of its size, by whichever method. */
#define CAB_REQUESTS(X)                                                                                        \
  X (TOKEN, "token")                                                                                           \
  X (LIST, "list")                                                                                             \
  X (HITS, "hits")                                                                                             \
  X (LOCATE, "locate")                                                                                         \
  X (HEAD, "head")                                                                                             \
  X (RANGE, "range")                                                                                           \
  X (STACKTRACE, "stacktrace")

typedef enum {
#define CAB_REQUEST_ENUM(constant, name) CAB_REQUEST_##constant,
  CAB_REQUESTS (CAB_REQUEST_ENUM)
#undef CAB_REQUEST_ENUM
      CAB_REQUEST_KINDS
} CabRequestKind;

/* A try was sent; it came to nothing: no answer, or one of status 400 and above.  One that nobody wants any more is
 * no failure. */
void cab_metric_count_sent (CabRequestKind kind);
void cab_metric_count_failed (CabRequestKind kind);

guint64 cab_metric_sent (CabRequestKind kind);
guint64 cab_metric_failed (CabRequestKind kind);

/* "token"; static. */
const char *cab_metric_kind_name (CabRequestKind kind);

/* What @metric counts; static. */
const char *cab_metric_help (CabMetric metric);

#endif
