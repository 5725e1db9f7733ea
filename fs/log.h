/* log.h - where messages go: the writer behind g_debug(), g_info(), g_message(), g_warning() and libfuse's log.
 *
 * One line for each message, "2026-11-21T10:30:00.123Z warning: text", written by a single write(2) to stderr, or
 * handed to syslog(3).  Nobody else opens a log.
 *
 * Secrets must not get here at all; should one, in a message of ours or of a library, its value is replaced by
 * REDACTED (redact.h).
 *
 * Threads: messages from any thread; no lock is held here.  cab_log_start() before there is a second thread.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_LOG_H
#define CABFS_FS_LOG_H

#include <glib.h>

/* Of GLib's levels, ERROR and CRITICAL are errors, MESSAGE is information. */
typedef enum { CAB_LOG_ERROR, CAB_LOG_WARNING, CAB_LOG_INFO, CAB_LOG_DEBUG } CabLogLevel;

/* "error", "warning", "info", "debug", NULL: by CabLogLevel. */
extern const char *const cab_log_level_names[];

/* Takes over the messages of GLib and libfuse; those above @level are dropped.  To stderr.  Once in a process; again
 * only changes the level. */
void cab_log_start (CabLogLevel level);

/* One line that somebody has asked for: written whatever the level is, as information. */
void cab_log_always (const char *message);

/* From now on to syslog(3), as "cabfs[pid]". */
void cab_log_to_syslog (void);

#endif
