/* SPDX-License-Identifier: MIT */
#include "fs/ctl-status-view.h"

#include "fs/ctl-progress.h"
#include "fs/ctl-text.h"
#include "fs/text.h"

/* --- members ------------------------------------------------------------------------------------------------------ */

/* Printable; "" if there is none. */
static char *text_of (json_t *object, const char *key) {
  g_autofree char *text = cab_json_get_text (object, key);
  return text != NULL ? cab_ctl_quote (text) : g_strdup ("");
}

/* -1 if there is none. */
static gint64 number_of (json_t *object, const char *key) {
  g_autofree char *text = cab_json_get_text (object, key);
  if (text == NULL)
    return -1;
  double value = g_ascii_strtod (text, NULL);
  return value >= 0 && value < (double) G_MAXINT64 ? (gint64) value : -1;
}

static char *size_of (json_t *object, const char *key) {
  gint64 bytes = number_of (object, key);
  return bytes >= 0 ? cab_text_size ((guint64) bytes) : g_strdup ("?");
}

/* --- parts -------------------------------------------------------------------------------------------------------- */

static void add_head (GPtrArray *lines, json_t *status) {
  g_autofree char *account = text_of (status, "account");
  g_autofree char *version = text_of (status, "version");
  g_autofree char *pid = text_of (status, "pid");
  g_autofree char *started = text_of (status, "started");
  cab_text_add_line (lines, "%s: cabfs %s, process %s, since %s", account, version, pid, started);
}

static void add_progress (GPtrArray *lines, json_t *entry, const char *key, guint width) {
  g_autofree char *path = text_of (entry, "path");
  gint64 have = number_of (entry, key);
  const CabProgress progress = {.name = path,
                                .have = have >= 0 ? (guint64) have : 0,
                                .size = number_of (entry, "size"),
                                .rate = number_of (entry, "rate"),
                                .left_s = number_of (entry, "secondsLeft")};
  g_autofree char *line = cab_progress_line (&progress, width > 3 ? width - 3 : width);
  cab_text_add_line (lines, "  %s", line);
}

static void add_downloads (GPtrArray *lines, json_t *downloads, guint width) {
  size_t i;
  json_t *entry;
  cab_text_add_line (lines, "Downloads: %zu", json_array_size (downloads));
  json_array_foreach (downloads, i, entry) {
    add_progress (lines, entry, "cached", width);
  }
}

static void add_unpackings (GPtrArray *lines, json_t *unpackings, guint width) {
  size_t i;
  json_t *entry;
  if (json_array_size (unpackings) > 0)
    cab_text_add_line (lines, "Unpacking: %zu", json_array_size (unpackings));
  json_array_foreach (unpackings, i, entry) {
    add_progress (lines, entry, "unpacked", width);
  }
}

static const char *files_of (gint64 n) {
  return n == 1 ? "file" : "files";
}

static void add_cache (GPtrArray *lines, json_t *cache) {
  if (!json_is_object (cache))
    return;
  gint64 limit = number_of (cache, "limit"), files = number_of (cache, "files");
  gint64 evicted = number_of (cache, "evictedFiles"), damaged = number_of (cache, "damaged");
  g_autofree char *directory = text_of (cache, "directory");
  g_autofree char *bytes = size_of (cache, "bytes");
  g_autofree char *most = size_of (cache, "limit");
  g_autofree char *gone = size_of (cache, "evictedBytes");
  cab_text_add_line (lines, "Cache: %s%s%s in %" G_GINT64_FORMAT " %s, %s", bytes, limit > 0 ? " of " : "",
                     limit > 0 ? most : "", MAX (files, 0), files_of (files), directory);
  if (evicted > 0)
    cab_text_add_line (lines, "  %" G_GINT64_FORMAT " %s (%s) removed, expired or for want of room", evicted,
                       files_of (evicted), gone);
  if (damaged > 0)
    cab_text_add_line (lines, "  %" G_GINT64_FORMAT " damaged %s, to be fetched again", damaged,
                       files_of (damaged));
  if (!cab_json_get_bool (cache, "writable", TRUE))
    cab_text_add_line (lines, "  it cannot be written: nothing is kept");
}

static void add_bytes (GPtrArray *lines, json_t *bytes) {
  if (!json_is_object (bytes))
    return;
  g_autofree char *downloaded = size_of (bytes, "downloaded");
  g_autofree char *shared = size_of (bytes, "shared");
  g_autofree char *served = size_of (bytes, "served");
  gboolean shares = number_of (bytes, "shared") > 0;
  cab_text_add_line (lines, "Bytes: %s downloaded, %s%s%s served", downloaded, shares ? shared : "",
                     shares ? " from other mounts, " : "", served);
}

static void add_requests (GPtrArray *lines, json_t *requests) {
  const char *kind;
  json_t *counts;
  g_autoptr (GString) text = g_string_new (NULL);
  json_object_foreach (requests, kind, counts) {
    gint64 sent = number_of (counts, "sent"), failed = number_of (counts, "failed");
    g_autofree char *name = cab_ctl_quote (kind);
    if (sent < 0)
      continue;
    g_string_append_printf (text, "%s%s %" G_GINT64_FORMAT, text->len > 0 ? ", " : "", name, sent);
    if (failed > 0)
      g_string_append_printf (text, " (%" G_GINT64_FORMAT " failed)", failed);
  }
  if (text->len > 0)
    cab_text_add_line (lines, "Requests: %s", text->str);
}

static void add_hosts (GPtrArray *lines, json_t *hosts) {
  size_t i;
  json_t *entry;
  if (json_array_size (hosts) > 0)
    cab_text_add_line (lines, "Hosts:");
  json_array_foreach (hosts, i, entry) {
    gint64 paused = number_of (entry, "pausedSeconds");
    g_autofree char *host = text_of (entry, "host");
    g_autofree char *use = text_of (entry, "use");
    g_autofree char *open = text_of (entry, "connections");
    g_autofree char *most = text_of (entry, "parallel");
    g_autofree char *pause = paused > 0 ? cab_ctl_duration ((guint64) paused) : NULL;
    cab_text_add_line (lines, "  %s%s%s: %s of %s connections%s%s", host, use[0] != '\0' ? ", " : "", use, open,
                       most, pause != NULL ? ", it asked for a pause: " : "", pause != NULL ? pause : "");
  }
}

static void append_known (GString *text, const char *before, char *owned, const char *after) {
  if (owned[0] != '\0')
    g_string_append_printf (text, "%s%s%s", before, owned, after);
  g_free (owned);
}

static void add_errors (GPtrArray *lines, json_t *errors) {
  size_t i;
  json_t *entry;
  if (json_array_size (errors) > 0)
    cab_text_add_line (lines, "Last errors:");
  json_array_foreach (errors, i, entry) {
    g_autoptr (GString) text = g_string_new ("  ");
    gint64 status = number_of (entry, "status");
    append_known (text, "", text_of (entry, "time"), " ");
    append_known (text, "", text_of (entry, "operation"), " ");
    append_known (text, "", text_of (entry, "path"), ": ");
    append_known (text, "", text_of (entry, "error"), "");
    if (status > 0)
      g_string_append_printf (text, ", HTTP status %" G_GINT64_FORMAT, status);
    append_known (text, " ", text_of (entry, "code"), "");
    append_known (text, ": ", text_of (entry, "message"), "");
    append_known (text, " (correlation id ", text_of (entry, "correlationId"), ")");
    cab_text_add_line (lines, "%s", text->str);
  }
}

GPtrArray *cab_status_view (json_t *status, guint width) {
  GPtrArray *lines = g_ptr_array_new_with_free_func (g_free);
  add_head (lines, status);
  add_downloads (lines, cab_json_get (status, "downloads"), width);
  add_unpackings (lines, cab_json_get (status, "unpacking"), width);
  add_cache (lines, cab_json_get (status, "cache"));
  add_bytes (lines, cab_json_get (status, "bytes"));
  add_requests (lines, cab_json_get (status, "requests"));
  add_hosts (lines, cab_json_get (status, "hosts"));
  add_errors (lines, cab_json_get (status, "errors"));
  return lines;
}
