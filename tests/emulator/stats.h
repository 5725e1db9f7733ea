/* stats.h - what the emulator was asked and what it answered: counters and a log, for tests to assert on.
 *
 * A request counts when it has arrived whole, before any fault delays it; its status is added when it is answered.
 * Bytes of blobs are counted as they are handed to the socket.  Control requests never count.
 *
 * Threads: any.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_EMULATOR_STATS_H
#define CABFS_EMULATOR_STATS_H

#include "tests/emulator/emu.h"
#include <jansson.h>

EmuStats *emu_stats_new (void);
void emu_stats_free (EmuStats *self);

/* A request has come.  @cab may be NULL; @uri is logged without its signature; @range may be NULL.
 * Returns its number, for the calls below. */
guint64 emu_stats_begin (EmuStats *self, EmuEndpoint endpoint, const char *cab, const char *method,
                         const char *uri, const char *range);
void emu_stats_answer (EmuStats *self, guint64 request, EmuEndpoint endpoint, guint status);
/* @bytes of the body of a blob, of @cab, went out. */
void emu_stats_bytes (EmuStats *self, const char *cab, guint64 bytes);
/* The request is over, answered or not. */
void emu_stats_end (EmuStats *self, guint64 request, EmuEndpoint endpoint, guint64 body_bytes);

void emu_stats_token (EmuStats *self, gboolean issued);
void emu_stats_authorization_at_blob (EmuStats *self);
/* @delta is 1 or -1. */
void emu_stats_connection (EmuStats *self, EmuHostId host, int delta);

/* Everything to 0, except what counts things under way; the log is emptied. */
void emu_stats_reset (EmuStats *self);

/* New references. */
json_t *emu_stats_counters (EmuStats *self, gboolean with_cabs);
/* The last @count entries that fit; EMU_ENDPOINT_COUNT and NULL fit all. */
json_t *emu_stats_log (EmuStats *self, guint count, EmuEndpoint endpoint, const char *cab);

/* Waits until at least @count requests were made of @endpoint (EMU_ENDPOINT_COUNT: any), of @cab if not NULL.
 * FALSE after @timeout_ms or emu_stats_stop(). */
gboolean emu_stats_wait (EmuStats *self, EmuEndpoint endpoint, const char *cab, guint64 count,
                         gint64 timeout_ms);

/* Lets all who wait go, for good. */
void emu_stats_stop (EmuStats *self);

/* @uri with the value of `sig` replaced; new text. */
char *emu_stats_redact (const char *uri);

#endif
