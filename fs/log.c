/* SPDX-License-Identifier: MIT */
#include "fs/log.h"

#include <fuse_log.h>
#include <stdatomic.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "fs/redact.h"

enum { LINE_MAX_BYTES = 4096 }; /* what a pipe takes in one piece */

const char *const cab_log_level_names[] = {"error", "warning", "info", "debug", NULL};

static atomic_int threshold = CAB_LOG_WARNING;
static atomic_bool to_syslog;

static CabLogLevel level_from_glib (GLogLevelFlags flags) {
  if ((flags & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL)) != 0)
    return CAB_LOG_ERROR;
  if ((flags & G_LOG_LEVEL_WARNING) != 0)
    return CAB_LOG_WARNING;
  if ((flags & (G_LOG_LEVEL_MESSAGE | G_LOG_LEVEL_INFO)) != 0)
    return CAB_LOG_INFO;
  return CAB_LOG_DEBUG;
}

static void append_time (GString *line) {
  struct timespec now;
  clock_gettime (CLOCK_REALTIME, &now);
  struct tm utc;
  gmtime_r (&now.tv_sec, &utc);
  g_string_append_printf (line, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ ", utc.tm_year + 1900, utc.tm_mon + 1,
                          utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, now.tv_nsec / 1000000);
}

static void write_stderr (CabLogLevel level, const char *text) {
  g_autoptr (GString) line = g_string_sized_new (strlen (text) + 48);
  append_time (line);
  g_string_append_printf (line, "%s: %s", cab_log_level_names[level], text);
  if (line->len >= LINE_MAX_BYTES) {
    g_string_truncate (line, LINE_MAX_BYTES - 4);
    g_string_append (line, "...");
  }
  g_string_append_c (line, '\n');
  /* Nobody is left to tell if this fails. */
  ssize_t written = write (STDERR_FILENO, line->str, line->len);
  (void) written;
}

static void write_out (CabLogLevel level, const char *message) {
  static const int priorities[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};
  g_autofree char *text = cab_redact_line (message);
  if (atomic_load_explicit (&to_syslog, memory_order_relaxed))
    syslog (priorities[level], "%s: %s", cab_log_level_names[level], text);
  else
    write_stderr (level, text);
}

static void write_line (CabLogLevel level, const char *domain, const char *message) {
  if ((int) level > atomic_load_explicit (&threshold, memory_order_relaxed))
    return;
  g_autofree char *full = domain == NULL ? NULL : g_strconcat (domain, ": ", message, NULL);
  write_out (level, full != NULL ? full : message);
}

void cab_log_always (const char *message) {
  write_out (CAB_LOG_INFO, message);
}

static char *copy_field (const GLogField *field) {
  const char *value = field->value;
  return field->length < 0 ? g_strdup (value) : g_strndup (value, (gsize) field->length);
}

static GLogWriterOutput write_glib (GLogLevelFlags flags, const GLogField *fields, gsize n_fields,
                                    gpointer data) {
  g_autofree char *message = NULL;
  g_autofree char *domain = NULL;
  for (gsize i = 0; i < n_fields; i++) {
    if (message == NULL && strcmp (fields[i].key, "MESSAGE") == 0)
      message = copy_field (&fields[i]);
    else if (domain == NULL && strcmp (fields[i].key, "GLIB_DOMAIN") == 0)
      domain = copy_field (&fields[i]);
  }
  gboolean ours = domain == NULL || strcmp (domain, "cabfs") == 0;
  write_line (level_from_glib (flags), ours ? NULL : domain, message != NULL ? message : "(no message)");
  return G_LOG_WRITER_HANDLED;
}

static void write_fuse (enum fuse_log_level fuse_level, const char *format, va_list args) G_GNUC_PRINTF (2, 0);
static void write_fuse (enum fuse_log_level fuse_level, const char *format, va_list args) {
  CabLogLevel level = CAB_LOG_DEBUG;
  if (fuse_level <= FUSE_LOG_ERR)
    level = CAB_LOG_ERROR;
  else if (fuse_level == FUSE_LOG_WARNING)
    level = CAB_LOG_WARNING;
  else if (fuse_level <= FUSE_LOG_INFO)
    level = CAB_LOG_INFO;
  g_autofree char *message = g_strdup_vprintf (format, args);
  /* libfuse writes its name before most messages, and ends all with a newline. */
  char *text = g_str_has_prefix (message, "fuse: ") ? message + strlen ("fuse: ") : message;
  write_line (level, "libfuse", g_strchomp (text));
}

void cab_log_start (CabLogLevel level) {
  static gboolean started;
  atomic_store (&threshold, level);
  g_log_set_debug_enabled (level >= CAB_LOG_DEBUG); /* spares others the making of lines that nobody will see */
  if (started)
    return;
  started = TRUE;
  g_log_set_writer_func (write_glib, NULL, NULL);
  fuse_set_log_func ((fuse_log_func_t) write_fuse);
}

void cab_log_to_syslog (void) {
  openlog ("cabfs", LOG_PID | LOG_NDELAY, LOG_DAEMON);
  atomic_store (&to_syslog, TRUE);
}
