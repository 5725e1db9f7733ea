/* snapshot-json.c - status.json.
 *
 * SPDX-License-Identifier: MIT
 */
#include "client/times.h"
#include "fs/snapshot.h"

/* --- JSON --------------------------------------------------------------------------------------------------- */

/* An object or array that is being written: one member a line, so that grep finds it. */
typedef struct {
  GString *text;
  guint depth;
  gboolean first; /* nothing was written yet at this depth */
} Writer;

static void append_string (GString *text, const char *value) {
  g_autofree char *valid = g_utf8_make_valid (value, -1);
  g_string_append_c (text, '"');
  for (const char *p = valid; *p != '\0'; p++) {
    if (*p == '"' || *p == '\\')
      g_string_append_printf (text, "\\%c", *p);
    else if ((guchar) *p < 0x20)
      g_string_append_printf (text, "\\u%04x", (guint) (guchar) *p);
    else
      g_string_append_c (text, *p);
  }
  g_string_append_c (text, '"');
}

static void new_line (const Writer *self) {
  g_string_append_printf (self->text, "\n%*s", (int) self->depth * 2, "");
}

/* What stands before a member; an element of an array has no @name. */
static void begin_member (Writer *self, const char *name) {
  if (!self->first)
    g_string_append_c (self->text, ',');
  self->first = FALSE;
  if (self->depth > 0)
    new_line (self);
  if (name == NULL)
    return;
  append_string (self->text, name);
  g_string_append (self->text, ": ");
}

static void open_group (Writer *self, const char *name, char bracket) {
  begin_member (self, name);
  g_string_append_c (self->text, bracket);
  self->depth++;
  self->first = TRUE;
}

static void close_group (Writer *self, char bracket) {
  self->depth--;
  if (!self->first)
    new_line (self);
  g_string_append_c (self->text, bracket);
  self->first = FALSE;
}

static void add_null (Writer *self, const char *name) {
  begin_member (self, name);
  g_string_append (self->text, "null");
}

static void add_text (Writer *self, const char *name, const char *value) {
  if (value == NULL) {
    add_null (self, name);
    return;
  }
  begin_member (self, name);
  append_string (self->text, value);
}

static void add_number (Writer *self, const char *name, guint64 value) {
  begin_member (self, name);
  g_string_append_printf (self->text, "%" G_GUINT64_FORMAT, value);
}

/* Without @known, null. */
static void add_known (Writer *self, const char *name, gboolean known, guint64 value) {
  if (known)
    add_number (self, name, value);
  else
    add_null (self, name);
}

static void add_flag (Writer *self, const char *name, gboolean value) {
  begin_member (self, name);
  g_string_append (self->text, value ? "true" : "false");
}

static void add_time (Writer *self, const char *name, gint64 when) {
  g_autofree char *text = cab_time_format_iso (when);
  add_text (self, name, text);
}

/* --- the members -------------------------------------------------------------------------------------------- */

/* What CABs and members have in common; @have: the name of the bytes that are here. */
static void add_progress (Writer *writer, const CabDownload *download, const char *have) {
  g_autofree char *path = cab_snapshot_path (download);
  gint64 left = cab_snapshot_seconds_left (download);
  add_text (writer, "path", path);
  add_known (writer, "size", download->has_size, download->size);
  add_number (writer, have, download->cached);
  add_number (writer, "rate", download->rate);
  add_known (writer, "secondsLeft", left >= 0, (guint64) left);
  add_number (writer, "readers", download->readers);
}

static void add_downloads (Writer *writer, const GArray *downloads) {
  open_group (writer, "downloads", '[');
  for (guint i = 0; i < downloads->len; i++) {
    const CabDownload *download = &g_array_index (downloads, CabDownload, i);
    open_group (writer, NULL, '{');
    add_progress (writer, download, "cached");
    add_number (writer, "connections", download->connections);
    close_group (writer, '}');
  }
  close_group (writer, ']');
}

static void add_unpackings (Writer *writer, const GArray *unpackings) {
  open_group (writer, "unpacking", '[');
  for (guint i = 0; i < unpackings->len; i++) {
    open_group (writer, NULL, '{');
    add_progress (writer, &g_array_index (unpackings, CabDownload, i), "unpacked");
    close_group (writer, '}');
  }
  close_group (writer, ']');
}

static void add_cache (Writer *writer, const CabSnapshot *self) {
  const CabCacheState *cache = &self->cache;
  open_group (writer, "cache", '{');
  add_text (writer, "directory", cache->dir);
  add_known (writer, "bytes", cache->known, cache->bytes);
  add_known (writer, "files", cache->known, cache->files);
  add_number (writer, "limit", cache->limit);
  add_number (writer, "evictedFiles", self->metrics[CAB_METRIC_CABS_EVICTED]);
  add_number (writer, "evictedBytes", self->metrics[CAB_METRIC_BYTES_EVICTED]);
  add_number (writer, "damaged", self->metrics[CAB_METRIC_CACHE_DAMAGED]);
  add_flag (writer, "full", cache->full);
  add_flag (writer, "writable", cache->writable);
  close_group (writer, '}');
}

static void add_requests (Writer *writer, const CabSnapshot *self) {
  open_group (writer, "requests", '{');
  for (guint kind = 0; kind < CAB_REQUEST_KINDS; kind++) {
    open_group (writer, cab_metric_kind_name (kind), '{');
    add_number (writer, "sent", self->sent[kind]);
    add_number (writer, "failed", self->failed[kind]);
    close_group (writer, '}');
  }
  close_group (writer, '}');
  open_group (writer, "bytes", '{');
  add_number (writer, "downloaded", self->metrics[CAB_METRIC_BYTES_RECEIVED]);
  add_number (writer, "shared", self->metrics[CAB_METRIC_BYTES_SHARED]);
  add_number (writer, "served", self->metrics[CAB_METRIC_BYTES_SERVED]);
  close_group (writer, '}');
}

static void add_hosts (Writer *writer, const CabSnapshot *self) {
  open_group (writer, "hosts", '[');
  for (guint i = 0; i < self->hosts->len; i++) {
    const CabHostState *host = &g_array_index (self->hosts, CabHostState, i);
    gint64 left_us = MAX (host->paused_until_us - self->now_us, 0);
    open_group (writer, NULL, '{');
    add_text (writer, "host", host->host);
    add_text (writer, "use", host->use);
    add_number (writer, "connections", host->connections);
    add_number (writer, "parallel", host->parallel);
    add_number (writer, "pausedSeconds", (guint64) (left_us + G_USEC_PER_SEC - 1) / G_USEC_PER_SEC);
    close_group (writer, '}');
  }
  close_group (writer, ']');
}

static void add_failures (Writer *writer, const GPtrArray *failures) {
  open_group (writer, "errors", '[');
  for (guint i = 0; i < failures->len; i++) {
    const CabFailure *failure = g_ptr_array_index (failures, i);
    open_group (writer, NULL, '{');
    add_time (writer, "time", failure->time);
    add_text (writer, "operation", failure->operation);
    add_text (writer, "path", failure->path);
    add_text (writer, "error", failure->name);
    add_known (writer, "status", failure->status > 0, (guint64) failure->status);
    add_text (writer, "code", failure->code);
    add_text (writer, "correlationId", failure->correlation);
    add_text (writer, "message", failure->message);
    close_group (writer, '}');
  }
  close_group (writer, ']');
}

char *cab_snapshot_json (const CabSnapshot *self) {
  Writer writer = {.text = g_string_new (NULL), .first = TRUE};
  open_group (&writer, NULL, '{');
  add_text (&writer, "version", CABFS_VERSION);
  add_text (&writer, "account", self->account);
  add_number (&writer, "pid", (guint64) self->pid);
  add_time (&writer, "started", self->started);
  add_time (&writer, "time", self->now);
  add_downloads (&writer, self->downloads);
  add_unpackings (&writer, self->unpackings);
  add_cache (&writer, self);
  add_requests (&writer, self);
  add_hosts (&writer, self);
  add_number (&writer, "waiting", self->waiting);
  add_number (&writer, "openFiles", self->open_files);
  add_number (&writer, "entries", self->entries);
  add_failures (&writer, self->failures);
  close_group (&writer, '}');
  g_string_append_c (writer.text, '\n');
  return g_string_free (writer.text, FALSE);
}
