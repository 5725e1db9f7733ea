/* The size of a blob: HEAD, or where that is refused a range of one byte.
 *
 * SPDX-License-Identifier: MIT
 */
#include "client/blob.h"
#include "client/error.h"
#include "client/reach.h"

typedef struct {
  CabBlob *blob;
  CabProbeDone done;
  gpointer data;
  guint priority; /* in the lane */
  gboolean by_range;
  CabKnown known;
} Probe;

static CabReachQuestion question (gpointer data) {
  Probe *self = data;
  self->by_range = self->by_range || self->blob->client->no_head;
  return (CabReachQuestion){.method = self->by_range ? CAB_METHOD_GET : CAB_METHOD_HEAD,
                            .has_range = self->by_range};
}

/* The whole blob in place of a byte of it is not read. */
static CabBody head (gpointer data, const CabAnswer *answer) {
  Probe *self = data;
  return self->by_range && cab_answer_status (answer) == 200 ? CAB_BODY_STOP : CAB_BODY_KEEP;
}

static CabReachNext take (Probe *self, const CabAnswer *answer, guint64 size, GError **error) {
  return cab_blob_agree (self->blob, &self->known, answer, size, error) ? CAB_REACH_DONE : CAB_REACH_FAIL;
}

static CabReachNext by_range (Probe *self) {
  self->by_range = TRUE;
  return CAB_REACH_AGAIN;
}

static CabReachNext head_answered (Probe *self, const CabAnswer *answer, GError **error) {
  const char *code = cab_answer_header (answer, "x-ms-error-code");
  guint64 size = 0;
  switch (cab_answer_status (answer)) {
  case 200:
    if (cab_length_parse (cab_answer_header (answer, "Content-Length"), &size))
      return take (self, answer, size, error);
    return by_range (self);
  case 405:
  case 501:
    self->blob->client->no_head = TRUE;
    return by_range (self);
  case 400:
    return by_range (self);
  case 403: /* of which a GET would tell more, unless it says already that the address ran out */
    return g_strcmp0 (code, "AuthenticationFailed") == 0 ? CAB_REACH_REFUSED : by_range (self);
  default:
    return CAB_REACH_REFUSED;
  }
}

static CabReachNext range_answered (Probe *self, const CabAnswer *answer, GError **error) {
  int status = cab_answer_status (answer);
  CabContentRange range;
  guint64 size = 0;
  gboolean told =
      cab_content_range_parse (cab_answer_header (answer, "Content-Range"), &range) && range.has_total;
  if (status == 206 && told)
    return take (self, answer, range.total, error);
  if (status == 200 && cab_length_parse (cab_answer_header (answer, "Content-Length"), &size))
    return take (self, answer, size, error);
  if (status == 416) /* only a blob without bytes has no first one */
    return take (self, answer, told ? range.total : 0, error);
  if (status != 200 && status != 206)
    return CAB_REACH_REFUSED;
  g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID, "%s: HTTP status %d does not tell the size", self->blob->id,
               status);
  return CAB_REACH_FAIL;
}

static CabReachNext answered (gpointer data, const CabAnswer *answer, GError **error) {
  Probe *self = data;
  return self->by_range ? range_answered (self, answer, error) : head_answered (self, answer, error);
}

static void done (gpointer data, const GError *error) {
  Probe *self = data;
  CabClient *client = self->blob->client;
  CabFacts facts = cab_known_facts (&self->known);
  self->done (self->data, error == NULL ? &facts : NULL, error);
  cab_known_clear (&self->known);
  cab_blob_unref (self->blob);
  g_free (self);
  cab_client_end (client);
}

static void begin (gpointer data) {
  Probe *self = data;
  CabReachSink sink = {.question = question, .head = head, .answered = answered, .done = done};
  cab_reach_new (self->blob, CAB_LANE_SIZES, self->priority, &sink, self);
}

void cab_blob_probe (CabBlob *self, CabPriority priority, CabProbeDone func, gpointer data) {
  Probe *probe = g_new0 (Probe, 1);
  cab_client_begin (self->client);
  probe->blob = cab_blob_ref (self);
  probe->priority = priority == CAB_PRIORITY_READER ? 0 : 1;
  probe->done = func;
  probe->data = data;
  cab_http_run (self->client->blob_http, begin, probe);
}
