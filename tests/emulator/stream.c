/* SPDX-License-Identifier: MIT */
#include "tests/emulator/reply.h"
#include "tests/emulator/stats.h"
#include <string.h>
#include <sys/socket.h>

#define BLOCK (256 * 1024)

typedef struct {
  EmuRequest *request; /* outlives the calls of read_body(), not those of stream_free() */
  EmuReply *reply;
  gboolean stalled;   /* the stall is behind us */
  gboolean piece_due; /* drip: the pause before this piece is over */
  guint64 allowance;  /* bandwidth: bytes that may go now */
  gint64 free_at_us;  /* bandwidth of this response: when its line is free again */
} Stream;

/* What one fault says of the next bytes. */
typedef enum { STEP_GO, STEP_WAIT, STEP_END } Step;

void emu_stream_reset (struct MHD_Connection *connection) {
  int fd = MHD_get_connection_info (connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
  struct sockaddr none = {.sa_family = AF_UNSPEC};
  /* SO_LINGER has no effect here: libmicrohttpd shuts the socket down before it closes it. */
  int rc = connect (fd, &none, sizeof none);
  (void) rc;
}

static void limit (gsize *n, guint64 most) {
  *n = (gsize) MIN ((guint64) *n, most);
}

/* Until the offset in "after" all is well; then TRUE. */
static gboolean reached (const EmuFault *fault, guint64 pos, gsize *n) {
  guint64 after = (guint64) emu_fault_int (fault, "after", 0);
  if (pos >= after)
    return TRUE;
  limit (n, after - pos);
  return FALSE;
}

static Step park (Stream *self, gint64 until_us, const EmuFault *held_by) {
  EmuRequest *request = self->request;
  return emu_park_wait (request->emu->park, &request->parked, request->connection, until_us,
                        held_by != NULL ? emu_fault_id (held_by) : 0)
             ? STEP_WAIT
             : STEP_END;
}

static Step step_end (Stream *self, guint64 pos, gsize *n) {
  const EmuFault *reset = emu_request_fault (self->request, EMU_FAULT_RESET);
  const EmuFault *cut = emu_request_fault (self->request, EMU_FAULT_SHORT);
  if (cut != NULL && reached (cut, pos, n))
    return STEP_END;
  if (reset == NULL || !reached (reset, pos, n))
    return STEP_GO;
  emu_stream_reset (self->request->connection);
  return STEP_END;
}

static Step step_stall (Stream *self, guint64 pos, gsize *n) {
  const EmuFault *stall = emu_request_fault (self->request, EMU_FAULT_STALL);
  if (stall == NULL || self->stalled || !reached (stall, pos, n))
    return STEP_GO;
  gint64 ms = emu_fault_int (stall, "ms", -1);
  self->stalled = TRUE;
  return park (self, ms < 0 ? G_MAXINT64 : g_get_monotonic_time () + ms * 1000, stall);
}

static Step step_drip (Stream *self, guint64 pos, gsize *n) {
  const EmuFault *drip = emu_request_fault (self->request, EMU_FAULT_DRIP);
  if (drip == NULL || !reached (drip, pos, n))
    return STEP_GO;
  if (!self->piece_due) {
    self->piece_due = TRUE;
    return park (self, g_get_monotonic_time () + emu_fault_int (drip, "ms", 100) * 1000, NULL);
  }
  self->piece_due = FALSE;
  limit (n, (guint64) MAX (emu_fault_int (drip, "bytes", 1), 1));
  return STEP_GO;
}

/* Bytes go in portions of a fiftieth of a second; each must wait for the line to be free. */
static Step step_bandwidth (Stream *self, gsize *n) {
  EmuFault *cap = emu_request_fault (self->request, EMU_FAULT_BANDWIDTH);
  if (cap == NULL)
    return STEP_GO;
  gint64 rate = MAX (emu_fault_int (cap, "rate", 1 << 20), 50), now = g_get_monotonic_time ();
  if (self->allowance == 0) {
    gint64 at;
    self->allowance = MIN ((guint64) *n, (guint64) rate / 50);
    if (emu_fault_is (cap, "scope", "total")) {
      at = emu_fault_reserve (cap, self->allowance, rate, now);
    } else {
      at = MAX (self->free_at_us, now);
      self->free_at_us = at + (gint64) (self->allowance * 1000000 / (guint64) rate);
    }
    if (at > now)
      return park (self, at, NULL);
  }
  limit (n, self->allowance);
  self->allowance -= *n;
  return STEP_GO;
}

static void fill (Stream *self, guint64 pos, char *buffer, gsize n) {
  EmuReply *reply = self->reply;
  if (reply->bytes != NULL) {
    memcpy (buffer, (const char *) g_bytes_get_data (reply->bytes, NULL) + pos, n);
    return;
  }
  guint64 off = reply->off + pos;
  emu_payload_read (reply->cab->payload, off, buffer, n);
  const EmuFault *corrupt = emu_request_fault (self->request, EMU_FAULT_CORRUPT);
  guint64 at = (guint64) emu_fault_int (corrupt, "at", 0);
  if (corrupt != NULL && at >= off && at < off + n)
    buffer[at - off] = (char) (buffer[at - off] ^ 0x55);
  emu_stats_bytes (self->request->emu->stats, reply->cab->id, n);
}

static ssize_t read_body (void *data, uint64_t pos, char *buffer, size_t max) {
  Stream *self = data;
  EmuRequest *request = self->request;
  gsize n = (gsize) MIN ((guint64) max, self->reply->len - pos);
  if (request->parked.woken == EMU_WOKEN_GONE || request->parked.woken == EMU_WOKEN_STOPPED)
    return MHD_CONTENT_READER_END_WITH_ERROR;
  Step step = step_end (self, pos, &n);
  if (step == STEP_GO)
    step = step_stall (self, pos, &n);
  if (step == STEP_GO)
    step = step_drip (self, pos, &n);
  if (step == STEP_GO)
    step = step_bandwidth (self, &n);
  if (step != STEP_GO)
    return step == STEP_WAIT ? 0 : MHD_CONTENT_READER_END_WITH_ERROR;
  fill (self, pos, buffer, n);
  request->sent += n;
  return (ssize_t) n;
}

static void stream_free (void *data) {
  Stream *self = data;
  emu_reply_free (self->reply);
  g_free (self);
}

static gboolean has_body_fault (EmuRequest *request) {
  static const EmuFaultKind kinds[] = {EMU_FAULT_STALL, EMU_FAULT_DRIP, EMU_FAULT_RESET, EMU_FAULT_SHORT,
                                       EMU_FAULT_BANDWIDTH};
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    if (emu_request_fault (request, kinds[i]) != NULL)
      return TRUE;
  return FALSE;
}

/* A body that is in memory goes to libmicrohttpd as a whole. */
static struct MHD_Response *at_once (EmuRequest *request, EmuReply *reply) {
  gsize len = 0;
  gconstpointer bytes = reply->bytes != NULL ? g_bytes_get_data (reply->bytes, &len) : NULL;
  g_autofree char *copy = g_memdup2 (bytes, len);
  request->sent = len;
  return MHD_create_response_from_buffer (len, copy, MHD_RESPMEM_MUST_COPY);
}

static struct MHD_Response *by_and_by (EmuRequest *request, EmuReply *reply) {
  Stream *stream = g_new0 (Stream, 1);
  stream->request = request;
  stream->reply = reply;
  return MHD_create_response_from_callback (reply->len, (size_t) MIN (reply->len, (guint64) BLOCK), read_body,
                                            stream, stream_free);
}

struct MHD_Response *emu_stream_response (EmuRequest *request, EmuReply *reply) {
  gboolean whole = reply->len == 0 || (reply->bytes != NULL && !has_body_fault (request));
  struct MHD_Response *response = whole ? at_once (request, reply) : by_and_by (request, reply);
  for (guint i = 0; i < reply->headers->len; i += 2)
    MHD_add_response_header (response, reply->headers->pdata[i], reply->headers->pdata[i + 1]);
  if (whole)
    emu_reply_free (reply);
  return response;
}
