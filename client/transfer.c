/* Bytes of a blob, in order, from wherever they are missing.
 *
 * What a host may answer to a range, and what is made of it:
 *   206  the range has to begin where it was asked for and to tell the whole size; it may end earlier, then the rest
 *        is asked for; what goes beyond is dropped
 *   200  the whole blob: what lies before is read over if it is not much, what lies behind is not read
 *   416  the end of the blob lies before; the blob may be empty
 * An answer that contradicts itself is asked for once more: hosts and proxies have their moments.
 *
 * SPDX-License-Identifier: MIT
 */
#include "client/blob.h"
#include "client/error.h"
#include "client/metrics.h"
#include "client/reach.h"

/* Most that is read and thrown away where a host ignores ranges. */
#define MAX_SKIP (1024u * 1024)

struct CabTransfer {
  CabRefs refs;
  /* set at creation */
  CabClient *client;
  guint64 off;
  CabSink sink;
  gpointer data;
  atomic_bool cancelled;
  atomic_bool over;
  /* owned by the thread of the transport */
  CabBlob *blob;
  CabReach *reach; /* NULL: not begun, or over */
  guint priority;
  guint64 next; /* the first byte that is missing */
  guint64 end;  /* the first that is not wanted */
  CabKnown known;
  guint64 skip;  /* bytes of this answer that lie before `next` */
  guint64 got;   /* wanted bytes of this answer */
  gboolean more; /* this answer goes beyond `end` */
  guint odd;     /* answers that contradict themselves, since a byte came */
  GError *odd_error;
  GError *error; /* the sink's, or ours: the end */
};

/* --- the question ------------------------------------------------------------------------------------------- */

static const char *etag_of (const CabTransfer *self) {
  if (self->known.etag != NULL)
    return cab_etag_is_strong (self->known.etag) ? self->known.etag : NULL;
  return cab_etag_is_strong (self->blob->known.etag) ? self->blob->known.etag : NULL;
}

static CabReachQuestion question (gpointer data) {
  CabTransfer *self = data;
  self->skip = 0;
  self->got = 0;
  self->more = FALSE;
  g_clear_error (&self->odd_error);
  return (CabReachQuestion){.method = CAB_METHOD_GET,
                            .has_range = TRUE,
                            .first = self->next,
                            .last = self->end - 1,
                            .if_match = etag_of (self)};
}

/* --- the headers -------------------------------------------------------------------------------------------- */

static CabBody odd (CabTransfer *self, const char *what) {
  self->odd++;
  g_set_error (&self->odd_error, CAB_ERROR, CAB_ERROR_INVALID, "%s: %s", self->blob->id, what);
  return CAB_BODY_STOP;
}

/* TRUE if it goes on. */
static gboolean tell_facts (CabTransfer *self, const CabAnswer *answer, guint64 size) {
  if (!cab_blob_agree (self->blob, &self->known, answer, size, &self->error))
    return FALSE;
  CabFacts facts = cab_known_facts (&self->known);
  if (!self->sink.facts (self->data, &facts, &self->error))
    return FALSE;
  self->end = MIN (self->end, MAX (size, self->off));
  return TRUE;
}

static CabBody part_comes (CabTransfer *self, const CabAnswer *answer) {
  CabContentRange range;
  if (!cab_content_range_parse (cab_answer_header (answer, "Content-Range"), &range) || !range.has_range ||
      !range.has_total)
    return odd (self, "HTTP status 206 does not tell which bytes it brings");
  if (range.first != self->next)
    return odd (self, "the host sent other bytes than were asked for");
  return tell_facts (self, answer, range.total) ? CAB_BODY_STREAM : CAB_BODY_STOP;
}

static CabBody whole_comes (CabTransfer *self, const CabAnswer *answer) {
  guint64 size = self->known.size;
  if (!cab_length_parse (cab_answer_header (answer, "Content-Length"), &size) && !self->known.known)
    return odd (self, "HTTP status 200 does not tell the size");
  if (!tell_facts (self, answer, size))
    return CAB_BODY_STOP;
  if (self->next >= self->end)
    return CAB_BODY_STOP;
  if (self->next > MAX_SKIP)
    return odd (self, "the host ignores ranges and sends all from the beginning");
  self->skip = self->next;
  self->more = size > self->end;
  return CAB_BODY_STREAM;
}

static CabBody head (gpointer data, const CabAnswer *answer) {
  CabTransfer *self = data;
  switch (cab_answer_status (answer)) {
  case 206:
    return part_comes (self, answer);
  case 200:
    return whole_comes (self, answer);
  default:
    return CAB_BODY_KEEP;
  }
}

/* --- the bytes ---------------------------------------------------------------------------------------------- */

static gboolean body (gpointer data, const void *bytes, gsize len) {
  CabTransfer *self = data;
  if (atomic_load (&self->cancelled))
    return FALSE;
  gsize before = (gsize) MIN (len, self->skip);
  gsize wanted = (gsize) MIN (len - before, self->end - self->next);
  self->skip -= before;
  cab_metric_add (CAB_METRIC_BYTES_RECEIVED, len);
  if (wanted > 0) {
    /* Or a host that ignores ranges, and breaks off before the one that is asked for, would be tried for ever. */
    cab_reach_progress (self->reach);
    guint64 at = self->next;
    self->odd = 0;
    self->got += wanted;
    self->next += wanted;
    if (!self->sink.write (self->data, at, (const char *) bytes + before, wanted, &self->error))
      return FALSE;
  }
  return before + wanted == len && !(self->more && self->next == self->end);
}

/* --- the end of an answer ----------------------------------------------------------------------------------- */

static CabReachNext past_the_end (CabTransfer *self, const CabAnswer *answer, GError **error) {
  CabContentRange range;
  gboolean told =
      cab_content_range_parse (cab_answer_header (answer, "Content-Range"), &range) && range.has_total;
  gboolean known = told || self->blob->known.known || self->off == 0;
  guint64 size = told ? range.total : self->blob->known.known ? self->blob->known.size : 0;
  if (!known || size > self->next) {
    cab_known_clear (&self->blob->known);
    g_set_error (error, CAB_ERROR, CAB_ERROR_CHANGED,
                 "%s: the host says that the blob ends before byte %" G_GUINT64_FORMAT, self->blob->id,
                 self->next);
    return CAB_REACH_FAIL;
  }
  if (tell_facts (self, answer, size))
    return CAB_REACH_DONE;
  g_propagate_error (error, g_steal_pointer (&self->error));
  return CAB_REACH_FAIL;
}

static CabReachNext answered (gpointer data, const CabAnswer *answer, GError **error) {
  CabTransfer *self = data;
  int status = cab_answer_status (answer);
  if (self->error != NULL) {
    g_propagate_error (error, g_steal_pointer (&self->error));
    return CAB_REACH_FAIL;
  }
  if (self->odd_error != NULL) {
    g_propagate_error (error, g_steal_pointer (&self->odd_error));
    return self->odd > 1 ? CAB_REACH_FAIL : CAB_REACH_FAULT;
  }
  if (status == 416)
    return past_the_end (self, answer, error);
  if (status != 200 && status != 206)
    return CAB_REACH_REFUSED;
  if (self->next >= self->end)
    return CAB_REACH_DONE;
  if (self->got > 0)
    return CAB_REACH_AGAIN;
  g_set_error (error, CAB_ERROR, CAB_ERROR_FAILED, "%s: the answer ended without a byte", self->blob->id);
  return CAB_REACH_FAULT;
}

/* --- life --------------------------------------------------------------------------------------------------- */

static CabTransfer *transfer_ref (CabTransfer *self) {
  cab_ref_take (&self->refs);
  return self;
}

void cab_transfer_unref (CabTransfer *self) {
  if (self == NULL || !cab_ref_drop (&self->refs))
    return;
  cab_blob_unref (self->blob);
  cab_known_clear (&self->known);
  g_clear_error (&self->odd_error);
  g_clear_error (&self->error);
  g_free (self);
}

static void done (gpointer data, const GError *error) {
  CabTransfer *self = data;
  CabClient *client = self->client;
  self->reach = NULL;
  self->sink.done (self->data, error);
  g_clear_pointer (&self->blob, cab_blob_unref);
  atomic_store (&self->over, TRUE);
  cab_transfer_unref (self);
  cab_client_end (client);
}

static void begin (gpointer data) {
  CabTransfer *self = data;
  CabReachSink sink = {.question = question, .head = head, .body = body, .answered = answered, .done = done};
  if (!atomic_load (&self->cancelled)) {
    self->reach = cab_reach_new (self->blob, CAB_LANE_BYTES, self->priority, &sink, self);
    return;
  }
  g_autoptr (GError) error = g_error_new_literal (CAB_ERROR, CAB_ERROR_CANCELLED, "cancelled");
  done (self, error);
}

CabTransfer *cab_blob_get (CabBlob *self, guint64 off, guint64 len, const char *etag, CabPriority priority,
                           const CabSink *sink, gpointer data) {
  g_assert (len > 0);
  CabTransfer *transfer = g_new0 (CabTransfer, 1);
  cab_ref_init (&transfer->refs);
  atomic_init (&transfer->cancelled, FALSE);
  atomic_init (&transfer->over, FALSE);
  transfer->client = self->client;
  transfer->blob = cab_blob_ref (self);
  transfer->off = off;
  transfer->next = off;
  transfer->end = len > G_MAXINT64 - MIN (off, G_MAXINT64) ? G_MAXINT64 : off + len;
  transfer->known = (CabKnown){.etag = g_strdup (etag), .modified = CAB_TIME_UNKNOWN};
  transfer->sink = *sink;
  transfer->data = data;
  transfer->priority = priority == CAB_PRIORITY_READER ? 0 : 1;
  cab_client_begin (self->client);
  cab_http_run (self->client->blob_http, begin, transfer_ref (transfer));
  return transfer;
}

/* --- from other threads ------------------------------------------------------------------------------------- */

static void cancel (gpointer data) {
  g_autoptr (CabTransfer) self = data;
  if (self->reach == NULL)
    return;
  g_autoptr (GError) error = g_error_new_literal (CAB_ERROR, CAB_ERROR_CANCELLED, "cancelled");
  cab_reach_end (self->reach, error);
}

void cab_transfer_cancel (CabTransfer *self) {
  if (!atomic_exchange (&self->cancelled, TRUE) && !atomic_load (&self->over))
    cab_http_run (self->client->blob_http, cancel, transfer_ref (self));
}

static void set_priority (CabTransfer *self, guint priority) {
  self->priority = priority;
  if (self->reach != NULL)
    cab_reach_set_priority (self->reach, priority);
}

static void to_reader (gpointer data) {
  g_autoptr (CabTransfer) self = data;
  set_priority (self, 0);
}

static void to_ahead (gpointer data) {
  g_autoptr (CabTransfer) self = data;
  set_priority (self, 1);
}

void cab_transfer_set_priority (CabTransfer *self, CabPriority priority) {
  if (!atomic_load (&self->over))
    cab_http_run (self->client->blob_http, priority == CAB_PRIORITY_READER ? to_reader : to_ahead,
                  transfer_ref (self));
}
