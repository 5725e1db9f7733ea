/* snapshot-metrics.c - OpenMetrics text, as Prometheus and others read it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "fs/snapshot.h"

/* A unit is the end of the name; counters are told without their "_total". */
static void begin (GString *text, const char *name, const char *type, const char *unit, const char *help) {
  g_string_append_printf (text, "# TYPE %s %s\n", name, type);
  if (unit != NULL)
    g_string_append_printf (text, "# UNIT %s %s\n", name, unit);
  g_string_append_printf (text, "# HELP %s %s\n", name, help);
}

static void add_value (GString *text, const char *name, const char *suffix, guint64 value) {
  g_string_append_printf (text, "%s%s %" G_GUINT64_FORMAT "\n", name, suffix, value);
}

static void add_counter (GString *text, const char *name, const char *unit, const char *help, guint64 value) {
  begin (text, name, "counter", unit, help);
  add_value (text, name, "_total", value);
}

static void add_gauge (GString *text, const char *name, const char *unit, const char *help, guint64 value) {
  begin (text, name, "gauge", unit, help);
  add_value (text, name, "", value);
}

static char *escape (const char *label) {
  GString *text = g_string_new (NULL);
  g_autofree char *valid = g_utf8_make_valid (label, -1);
  for (const char *p = valid; *p != '\0'; p++) {
    if (*p == '"' || *p == '\\')
      g_string_append_c (text, '\\');
    if (*p == '\n')
      g_string_append (text, "\\n");
    else
      g_string_append_c (text, *p);
  }
  return g_string_free (text, FALSE);
}

/* --- the families ------------------------------------------------------------------------------------------- */

static void add_mount (GString *text, const CabSnapshot *self) {
  g_autofree char *account = escape (self->account);
  begin (text, "cabfs_mount", "info", NULL, "Which mount this is.");
  g_string_append_printf (text, "cabfs_mount_info{version=\"%s\",account=\"%s\"} 1\n", CABFS_VERSION, account);
  add_gauge (text, "cabfs_start_time_seconds", "seconds", "When the mount began, in Unix seconds.",
             (guint64) self->started);
  add_gauge (text, "cabfs_entries", NULL, "Files and directories that the kernel knows.", self->entries);
  add_gauge (text, "cabfs_open_files", NULL, "Open files.", self->open_files);
  add_gauge (text, "cabfs_waiting_requests", NULL, "Requests of programs that wait for an answer.",
             self->waiting);
}

static void add_counts (GString *text, const char *name, const char *help, const guint64 *counts) {
  begin (text, name, "counter", NULL, help);
  for (guint kind = 0; kind < CAB_REQUEST_KINDS; kind++)
    g_string_append_printf (text, "%s_total{kind=\"%s\"} %" G_GUINT64_FORMAT "\n", name,
                            cab_metric_kind_name (kind), counts[kind]);
}

static void add_counters (GString *text, const CabSnapshot *self) {
  static const struct {
    const char *name;
    const char *unit;
    CabMetric metric;
  } rows[] = {
      {"cabfs_request_retries", NULL, CAB_METRIC_RETRIES},
      {"cabfs_downloaded_bytes", "bytes", CAB_METRIC_BYTES_RECEIVED},
      {"cabfs_shared_bytes", "bytes", CAB_METRIC_BYTES_SHARED},
      {"cabfs_served_bytes", "bytes", CAB_METRIC_BYTES_SERVED},
      {"cabfs_served_from_cache_bytes", "bytes", CAB_METRIC_BYTES_CACHED},
      {"cabfs_reads_waited", NULL, CAB_METRIC_READS_WAITED},
      {"cabfs_members_extracted", NULL, CAB_METRIC_MEMBERS_EXTRACTED},
      {"cabfs_errors", NULL, CAB_METRIC_ERRORS},
      {"cabfs_cache_evicted_files", NULL, CAB_METRIC_CABS_EVICTED},
      {"cabfs_cache_evicted_bytes", "bytes", CAB_METRIC_BYTES_EVICTED},
      {"cabfs_cache_damaged_files", NULL, CAB_METRIC_CACHE_DAMAGED},
  };
  add_counts (text, "cabfs_requests", "Requests to the services, by kind.", self->sent);
  add_counts (text, "cabfs_requests_failed", "Requests that were refused, or got no answer.", self->failed);
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    add_counter (text, rows[i].name, rows[i].unit, cab_metric_help (rows[i].metric),
                 self->metrics[rows[i].metric]);
}

static void add_cache (GString *text, const CabSnapshot *self) {
  const CabCacheState *cache = &self->cache;
  if (cache->known) {
    add_gauge (text, "cabfs_cache_bytes", "bytes", "Bytes of CABs and members in the cache directory.",
               cache->bytes);
    add_gauge (text, "cabfs_cache_files", NULL, "CABs and members in the cache directory.", cache->files);
  }
  add_gauge (text, "cabfs_cache_limit_bytes", "bytes", "What the cache may hold; 0 is no limit.", cache->limit);
  add_gauge (text, "cabfs_cache_full", NULL, "1 while nothing more is kept, for want of room.",
             cache->full ? 1 : 0);
  add_gauge (text, "cabfs_cache_writable", NULL, "0 while the cache directory cannot be written.",
             cache->writable ? 1 : 0);
}

static void add_downloads (GString *text, const GArray *downloads) {
  guint64 ranges = 0, readers = 0, rate = 0;
  for (guint i = 0; i < downloads->len; i++) {
    const CabDownload *download = &g_array_index (downloads, CabDownload, i);
    ranges += download->connections;
    readers += download->readers;
    rate += download->rate;
  }
  add_gauge (text, "cabfs_downloads", NULL, "CABs of which something is on the way.", downloads->len);
  add_gauge (text, "cabfs_download_ranges", NULL, "Ranges of them that are on the way.", ranges);
  add_gauge (text, "cabfs_download_readers", NULL, "Reads and opens that wait for them.", readers);
  add_gauge (text, "cabfs_download_rate_bytes", "bytes", "Bytes a second that came in the last few seconds.",
             rate);
}

typedef guint64 (*HostValue) (const CabHostState *host, gint64 now_us);

static guint64 connections_of (const CabHostState *host, gint64 now_us) {
  return host->connections;
}

static guint64 parallel_of (const CabHostState *host, gint64 now_us) {
  return host->parallel;
}

static guint64 pause_of (const CabHostState *host, gint64 now_us) {
  return (guint64) (MAX (host->paused_until_us - now_us, 0) + G_USEC_PER_SEC - 1) / G_USEC_PER_SEC;
}

static void add_hosts (GString *text, const CabSnapshot *self) {
  static const struct {
    const char *name;
    const char *unit;
    const char *help;
    HostValue value;
  } rows[] = {
      {"cabfs_host_connections", NULL, "Requests that have a connection to the host.", connections_of},
      {"cabfs_host_connections_limit", NULL, "Most requests that the host is given at a time.", parallel_of},
      {"cabfs_host_pause_seconds", "seconds", "How long the host still wants no request.", pause_of},
  };
  for (guint row = 0; row < G_N_ELEMENTS (rows); row++) {
    begin (text, rows[row].name, "gauge", rows[row].unit, rows[row].help);
    for (guint i = 0; i < self->hosts->len; i++) {
      const CabHostState *host = &g_array_index (self->hosts, CabHostState, i);
      g_autofree char *name = escape (host->host);
      g_string_append_printf (text, "%s{host=\"%s\",use=\"%s\"} %" G_GUINT64_FORMAT "\n", rows[row].name, name,
                              host->use, rows[row].value (host, self->now_us));
    }
  }
  guint64 paused = 0;
  for (guint i = 0; i < self->hosts->len; i++)
    paused += g_array_index (self->hosts, CabHostState, i).paused_until_us > self->now_us ? 1 : 0;
  add_gauge (text, "cabfs_hosts_paused", NULL, "Hosts, by use, that want no request for now.", paused);
}

char *cab_snapshot_metrics (const CabSnapshot *self) {
  GString *text = g_string_new (NULL);
  add_mount (text, self);
  add_counters (text, self);
  add_cache (text, self);
  add_downloads (text, self->downloads);
  add_gauge (text, "cabfs_unpacking", NULL, "Members of CABs that are being unpacked.", self->unpackings->len);
  add_hosts (text, self);
  g_string_append (text, "# EOF\n");
  return g_string_free (text, FALSE);
}
