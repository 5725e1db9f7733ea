/* metrics.h - what the process has done since it started, as named counters.
 *
 * One table for the whole process; add a line to CAB_METRICS and count.  Threads: any, without a lock.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_METRICS_H
#define CABFS_CLIENT_METRICS_H

#include <glib.h>

/* X (constant, name as OpenMetrics has it, one sentence of help) */
#define CAB_METRICS(X)                                                                                            \
  X (TOKEN_REQUESTS, "token_requests", "Access tokens asked for, from whatever source.")                         \
  X (LIST_REQUESTS, "list_requests", "Pages of listings asked of the API.")                                      \
  X (LOCATE_REQUESTS, "locate_requests", "Requests for a new address of a CAB.")                                 \
  X (STACKTRACE_REQUESTS, "stacktrace_requests", "Requests for the service's stack trace of a CAB.")             \
  X (SIZE_REQUESTS, "size_requests", "HEAD requests for the size of a CAB.")                                     \
  X (RANGE_REQUESTS, "range_requests", "Range requests for the bytes of a CAB.")                                 \
  X (RETRIES, "retries", "Requests that were tried again.")                                                      \
  X (BYTES_RECEIVED, "bytes_received", "Bytes of CABs received from blob hosts.")                                \
  X (BYTES_CACHED, "bytes_cached", "Bytes of CABs answered from the cache.")                                     \
  X (READS_WAITED, "reads_waited", "Reads that had to wait for the network.")                                    \
  X (CABS_EVICTED, "cabs_evicted", "Cached CABs and members removed, expired or over the limit.")                  \
  X (MEMBERS_EXTRACTED, "members_extracted", "Members taken out of CABs.")                                       \
  X (CACHE_DAMAGED, "cache_damaged", "Cache files found damaged, dropped and to be fetched again.")              \
  X (ERRORS, "errors", "Operations answered with an error.")

typedef enum {
#define CAB_METRIC_ENUM(constant, name, help) CAB_METRIC_##constant,
  CAB_METRICS (CAB_METRIC_ENUM)
#undef CAB_METRIC_ENUM
      CAB_METRIC_LAST
} CabMetric;

void cab_metric_add (CabMetric metric, guint64 n);
guint64 cab_metric_get (CabMetric metric);

/* Name and help of @metric; static. */
const char *cab_metric_name (CabMetric metric);
const char *cab_metric_help (CabMetric metric);

#endif
