/* SPDX-License-Identifier: MIT */
#include "fs/snapshot.h"

#include "client/times.h"
#include "fs/names.h"
#include "fs/text.h"

void cab_snapshot_clear (CabSnapshot *self) {
  g_clear_pointer (&self->downloads, g_array_unref);
  g_clear_pointer (&self->unpackings, g_array_unref);
  g_clear_pointer (&self->hosts, g_array_unref);
  g_clear_pointer (&self->failures, g_ptr_array_unref);
}

char *cab_snapshot_path (const CabDownload *download) {
  gboolean member = download->member != NULL;
  return g_strconcat ("/", download->application, "/", download->failure, "/", download->id,
                      member ? CAB_NAME_OPEN "/" : CAB_NAME_CAB, member ? download->member : "", NULL);
}

gint64 cab_snapshot_seconds_left (const CabDownload *download) {
  if (!download->has_size || download->rate == 0)
    return -1;
  guint64 left = download->size - MIN (download->size, download->cached);
  return (gint64) ((left + download->rate - 1) / download->rate);
}

/* --- one line ----------------------------------------------------------------------------------------------- */

static char *headline_of (const char *doing, const GArray *downloads) {
  guint64 cached = 0, size = 0, rate = 0;
  for (guint i = 0; i < downloads->len; i++) {
    const CabDownload *download = &g_array_index (downloads, CabDownload, i);
    cached += download->has_size ? download->cached : 0;
    size += download->has_size ? download->size : 0;
    rate += download->rate;
  }
  g_autoptr (GString) line = g_string_new (NULL);
  g_autofree char *part = cab_text_part (cached, size);
  g_autofree char *speed = cab_text_size (rate);
  g_string_printf (line, "%s%s", doing, downloads->len > 1 ? "s" : "");
  if (size > 0)
    g_string_append_printf (line, ", %s", part);
  if (rate > 0)
    g_string_append_printf (line, ", %s/s", speed);
  else
    g_string_append (line, ", waiting for bytes");
  return g_string_free (g_steal_pointer (&line), FALSE);
}

char *cab_snapshot_headline (const GArray *downloads, const GArray *unpackings) {
  gboolean reading = downloads->len > 0;
  const GArray *shown = reading ? downloads : unpackings;
  g_autofree char *doing = g_strdup_printf (reading ? "Reading %u CAB" : "Unpacking %u file", shown->len);
  return shown->len > 0 ? headline_of (doing, shown) : NULL;
}

/* --- the log ------------------------------------------------------------------------------------------------ */

/* "120.0 of 384.0 MiB, 52.0 MiB/s, 6 s left". */
static char *progress_of (const CabDownload *download) {
  g_autofree char *part =
      download->has_size ? cab_text_part (download->cached, download->size) : g_strdup ("size not known yet");
  g_autofree char *speed = cab_text_size (download->rate);
  gint64 left = cab_snapshot_seconds_left (download);
  g_autofree char *time = left < 0 ? g_strdup ("") : g_strdup_printf (", %" G_GINT64_FORMAT " s left", left);
  return g_strdup_printf ("%s, %s/s%s", part, speed, time);
}

static void add_downloads (GPtrArray *lines, const GArray *downloads) {
  for (guint i = 0; i < downloads->len; i++) {
    const CabDownload *download = &g_array_index (downloads, CabDownload, i);
    g_autofree char *path = cab_snapshot_path (download);
    g_autofree char *progress = progress_of (download);
    cab_text_add_line (lines, "download %s: %s; %u waiting, %u ranges under way", path, progress,
                       download->readers, download->connections);
  }
}

static void add_unpackings (GPtrArray *lines, const GArray *unpackings) {
  for (guint i = 0; i < unpackings->len; i++) {
    const CabDownload *unpacking = &g_array_index (unpackings, CabDownload, i);
    g_autofree char *path = cab_snapshot_path (unpacking);
    g_autofree char *progress = progress_of (unpacking);
    cab_text_add_line (lines, "unpacking %s: %s; %u waiting", path, progress, unpacking->readers);
  }
}

static void add_cache (GPtrArray *lines, const CabSnapshot *self) {
  const CabCacheState *cache = &self->cache;
  g_autofree char *used = cache->known ? cab_text_size (cache->bytes) : g_strdup ("not counted yet");
  g_autofree char *limit = cache->limit > 0 ? cab_text_size (cache->limit) : g_strdup ("any");
  g_autofree char *evicted = cab_text_size (self->metrics[CAB_METRIC_BYTES_EVICTED]);
  cab_text_add_line (lines,
                     "cache %s: %s of %s, %" G_GUINT64_FORMAT " files; %" G_GUINT64_FORMAT
                     " removed (%s), %" G_GUINT64_FORMAT " damaged%s%s",
                     cache->dir, used, limit, cache->files, self->metrics[CAB_METRIC_CABS_EVICTED], evicted,
                     self->metrics[CAB_METRIC_CACHE_DAMAGED], cache->full ? "; full" : "",
                     cache->writable ? "" : "; not writable");
}

static void add_requests (GPtrArray *lines, const CabSnapshot *self) {
  g_autoptr (GString) line = g_string_new ("requests:");
  for (guint kind = 0; kind < CAB_REQUEST_KINDS; kind++)
    g_string_append_printf (line, "%s %s %" G_GUINT64_FORMAT " (%" G_GUINT64_FORMAT " failed)",
                            kind > 0 ? "," : "", cab_metric_kind_name (kind), self->sent[kind],
                            self->failed[kind]);
  g_ptr_array_add (lines, g_string_free (g_steal_pointer (&line), FALSE));
}

static void add_hosts (GPtrArray *lines, const CabSnapshot *self) {
  for (guint i = 0; i < self->hosts->len; i++) {
    const CabHostState *host = &g_array_index (self->hosts, CabHostState, i);
    gint64 pause_ms = MAX (host->paused_until_us - self->now_us, 0) / 1000;
    cab_text_add_line (
        lines, "host %s, %s: %u of %u connections, paused for %" G_GINT64_FORMAT ".%" G_GINT64_FORMAT " s",
        host->host, host->use, host->connections, host->parallel, pause_ms / 1000, pause_ms % 1000 / 100);
  }
}

static void add_failures (GPtrArray *lines, const GPtrArray *failures) {
  for (guint i = 0; i < failures->len; i++) {
    const CabFailure *failure = g_ptr_array_index (failures, i);
    g_autofree char *when = cab_time_format_iso (failure->time);
    cab_text_add_line (lines, "error %s %s %s: %s (%s)", when, failure->operation, failure->path,
                       failure->message, failure->name);
  }
}

char **cab_snapshot_lines (const CabSnapshot *self) {
  GPtrArray *lines = g_ptr_array_new ();
  g_autofree char *started = cab_time_format_iso (self->started);
  g_autofree char *received = cab_text_size (self->metrics[CAB_METRIC_BYTES_RECEIVED]);
  g_autofree char *served = cab_text_size (self->metrics[CAB_METRIC_BYTES_SERVED]);
  cab_text_add_line (
      lines,
      "cabfs %s, account %s, since %s: %u downloads, %u requests waiting, %u files open, %" G_GUINT64_FORMAT
      " entries known; %s downloaded, %s served",
      CABFS_VERSION, self->account, started, self->downloads->len, self->waiting, self->open_files,
      self->entries, received, served);
  add_downloads (lines, self->downloads);
  add_unpackings (lines, self->unpackings);
  add_cache (lines, self);
  add_requests (lines, self);
  add_hosts (lines, self);
  add_failures (lines, self->failures);
  g_ptr_array_add (lines, NULL);
  return (char **) g_ptr_array_free (lines, FALSE);
}
