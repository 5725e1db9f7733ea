/* SPDX-License-Identifier: MIT */
#include "fake-client.h"

#include "client/error.h"
#include "client/sync.h"

#include <string.h>

struct CabBlob {
  CabRefs refs;
  char *id;
};

struct CabTransfer {
  CabRefs refs;
  CabBlob *blob;
  CabSink sink;
  gpointer data;
  char *etag;
  atomic_bool cancelled;
  atomic_uint priority;
};

static struct {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  GQueue requests;
  guint counts[FAKE_KINDS];
  gboolean stopped;
  guint64 size;
  char etag[64];
  GBytes *bytes; /* NULL: fake_byte() */
  void (*on_get) (gpointer data, guint64 off);
  gpointer on_get_data;
} fake = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .requests = G_QUEUE_INIT};

guchar fake_byte (guint64 off) {
  guint64 x = (off + 1) * G_GUINT64_CONSTANT (0x9e3779b97f4a7c15);
  return (guchar) (x >> 56);
}

void fake_set_blob (guint64 size, const char *etag) {
  CAB_LOCK_SCOPE (&fake.lock);
  g_clear_pointer (&fake.bytes, g_bytes_unref);
  fake.size = size;
  g_strlcpy (fake.etag, etag, sizeof fake.etag);
}

CabPriority fake_priority (const FakeRequest *request) {
  return (CabPriority) atomic_load (&request->transfer->priority);
}

void fake_on_get (void (*func) (gpointer data, guint64 off), gpointer data) {
  CAB_LOCK_SCOPE (&fake.lock);
  fake.on_get = func;
  fake.on_get_data = data;
}

void fake_set_bytes (GBytes *bytes, const char *etag) {
  fake_set_blob (g_bytes_get_size (bytes), etag);
  CAB_LOCK_SCOPE (&fake.lock);
  fake.bytes = g_bytes_ref (bytes);
}

/* @off and @len are within the blob. */
static void copy_bytes (guint64 off, guchar *into, gsize len) {
  g_autoptr (GBytes) bytes = NULL;
  {
    CAB_LOCK_SCOPE (&fake.lock);
    bytes = fake.bytes != NULL ? g_bytes_ref (fake.bytes) : NULL;
  }
  if (bytes != NULL && off + len <= g_bytes_get_size (bytes)) {
    memcpy (into, (const guchar *) g_bytes_get_data (bytes, NULL) + off, len);
    return;
  }
  for (gsize i = 0; i < len; i++)
    into[i] = fake_byte (off + i);
}

static CabFacts facts_now (char etag[64]) {
  CAB_LOCK_SCOPE (&fake.lock);
  g_strlcpy (etag, fake.etag, sizeof fake.etag);
  return (CabFacts){.size = fake.size, .etag = etag, .modified = CAB_TIME_UNKNOWN};
}

/* FALSE if it was stopped: the caller answers. */
static gboolean push (FakeRequest *request) {
  CAB_LOCK_SCOPE (&fake.lock);
  fake.counts[request->kind]++;
  if (fake.stopped)
    return FALSE;
  g_queue_push_tail (&fake.requests, request);
  pthread_cond_broadcast (&fake.changed);
  return TRUE;
}

FakeRequest *fake_take (void) {
  CAB_LOCK_SCOPE (&fake.lock);
  while (g_queue_is_empty (&fake.requests) && !fake.stopped)
    pthread_cond_wait (&fake.changed, &fake.lock);
  return g_queue_pop_head (&fake.requests);
}

guint fake_count (FakeKind kind) {
  CAB_LOCK_SCOPE (&fake.lock);
  return fake.counts[kind];
}

static GError *cancelled (void) {
  return g_error_new (CAB_ERROR, CAB_ERROR_CANCELLED, "stopped");
}

static void refuse (FakeRequest *request) {
  g_autoptr (GError) error = cancelled ();
  if (request->kind == FAKE_LIST)
    fake_answer_list (request, NULL, error);
  else if (request->kind == FAKE_STACKTRACE)
    fake_answer_stacktrace (request, NULL, error);
  else if (request->kind == FAKE_PROBE)
    fake_answer_probe (request, error);
  else
    fake_answer_get (request, 0, 1, error);
}

void fake_stop (void) {
  GQueue requests;
  {
    CAB_LOCK_SCOPE (&fake.lock);
    fake.stopped = TRUE;
    requests = fake.requests;
    g_queue_init (&fake.requests);
    pthread_cond_broadcast (&fake.changed);
  }
  for (FakeRequest *request = g_queue_pop_head (&requests); request != NULL;
       request = g_queue_pop_head (&requests))
    refuse (request);
}

void fake_start (void) {
  CAB_LOCK_SCOPE (&fake.lock);
  fake.stopped = FALSE;
  memset (fake.counts, 0, sizeof fake.counts);
}

/* --- answers ------------------------------------------------------------------------------------------------- */

static void request_free (FakeRequest *request) {
  g_free (request->id);
  cab_transfer_unref (request->transfer);
  g_free (request);
}

void fake_answer_list (FakeRequest *request, CabRecords *records, const GError *error) {
  if (error == NULL && request->list.progress != NULL)
    request->list.progress (request->data);
  request->list.done (request->data, records, error);
  request_free (request);
}

void fake_answer_stacktrace (FakeRequest *request, GBytes *text, const GError *error) {
  request->stacktrace (request->data, text, error);
  request_free (request);
}

void fake_answer_probe (FakeRequest *request, const GError *error) {
  char etag[64];
  CabFacts facts = facts_now (etag);
  request->probe (request->data, error == NULL ? &facts : NULL, error);
  request_free (request);
}

static gboolean write_pieces (CabTransfer *transfer, guint64 off, guint64 len, gsize piece, GError **error) {
  g_autofree guchar *bytes = g_malloc (piece);
  while (len > 0) {
    gsize n = (gsize) MIN (piece, len);
    if (atomic_load (&transfer->cancelled)) {
      g_propagate_error (error, cancelled ());
      return FALSE;
    }
    copy_bytes (off, bytes, n);
    if (!transfer->sink.write (transfer->data, off, bytes, n, error))
      return FALSE;
    off += n;
    len -= n;
  }
  return TRUE;
}

void fake_answer_get (FakeRequest *request, guint64 len, gsize piece, const GError *error) {
  CabTransfer *transfer = request->transfer;
  char etag[64];
  CabFacts facts = facts_now (etag);
  guint64 most = request->off < facts.size ? MIN (request->len, facts.size - request->off) : 0;
  g_autoptr (GError) local = NULL;
  gboolean stays = len > 0 || error == NULL;
  if (stays && transfer->etag != NULL && strcmp (transfer->etag, etag) != 0)
    g_set_error (&local, CAB_ERROR, CAB_ERROR_CHANGED, "other ETag");
  else if (stays && transfer->sink.facts (transfer->data, &facts, &local))
    write_pieces (transfer, request->off, MIN (len, most), piece, &local);
  transfer->sink.done (transfer->data, local != NULL ? local : error);
  request_free (request);
}

/* --- client.h ------------------------------------------------------------------------------------------------ */

GArray *cab_client_hosts (CabClient *self) {
  return g_array_new (FALSE, FALSE, sizeof (CabHostState));
}

void cab_client_stop (CabClient *self) {
  fake_stop ();
}

gboolean cab_client_lists_addresses (const CabScope *scope) {
  return g_str_equal (scope->family, "driver");
}

void cab_client_list (CabClient *self, const CabScope *scope, const CabListSink *sink, gpointer data) {
  FakeRequest *request = g_new0 (FakeRequest, 1);
  request->kind = FAKE_LIST;
  request->id = cab_scope_to_text (scope);
  request->list = *sink;
  request->data = data;
  if (!push (request))
    refuse (request);
}

gboolean cab_client_has_stacktrace (const CabScope *scope) {
  return !g_str_equal (scope->family, "driver");
}

void cab_client_stacktrace (CabClient *self, const CabScope *scope, const char *cab_id, CabStacktraceDone done,
                            gpointer data) {
  if (!cab_client_has_stacktrace (scope)) {
    g_autoptr (GError) error = g_error_new_literal (CAB_ERROR, CAB_ERROR_NOT_FOUND, "no such call");
    done (data, NULL, error);
    return;
  }
  FakeRequest *request = g_new0 (FakeRequest, 1);
  request->kind = FAKE_STACKTRACE;
  request->id = g_strdup (cab_id);
  request->stacktrace = done;
  request->data = data;
  if (!push (request))
    refuse (request);
}

CabBlob *cab_blob_new (CabClient *client, const CabScope *scope, const CabRecord *record) {
  CabBlob *self = g_new0 (CabBlob, 1);
  cab_ref_init (&self->refs);
  self->id = g_strdup (record->id);
  return self;
}

CabBlob *cab_blob_ref (CabBlob *self) {
  cab_ref_take (&self->refs);
  return self;
}

void cab_blob_unref (CabBlob *self) {
  if (self == NULL || !cab_ref_drop (&self->refs))
    return;
  g_free (self->id);
  g_free (self);
}

void cab_blob_probe (CabBlob *self, CabPriority priority, CabProbeDone done, gpointer data) {
  FakeRequest *request = g_new0 (FakeRequest, 1);
  request->kind = FAKE_PROBE;
  request->probe = done;
  request->data = data;
  request->id = g_strdup (self->id);
  if (!push (request))
    refuse (request);
}

static void tell_of_get (guint64 off) {
  void (*func) (gpointer data, guint64 off);
  gpointer data;
  {
    CAB_LOCK_SCOPE (&fake.lock);
    func = fake.on_get;
    data = fake.on_get_data;
  }
  if (func != NULL)
    func (data, off);
}

CabTransfer *cab_blob_get (CabBlob *self, guint64 off, guint64 len, const char *etag, CabPriority priority,
                           const CabSink *sink, gpointer data) {
  CabTransfer *transfer = g_new0 (CabTransfer, 1);
  cab_ref_init (&transfer->refs);
  cab_ref_take (&transfer->refs);
  transfer->blob = cab_blob_ref (self);
  transfer->sink = *sink;
  transfer->data = data;
  transfer->etag = g_strdup (etag);
  atomic_init (&transfer->priority, priority);
  FakeRequest *request = g_new0 (FakeRequest, 1);
  request->kind = FAKE_GET;
  request->id = g_strdup (self->id);
  request->transfer = transfer;
  request->off = off;
  request->len = len;
  if (!push (request))
    refuse (request);
  tell_of_get (off);
  return transfer;
}

void cab_transfer_cancel (CabTransfer *self) {
  atomic_store (&self->cancelled, TRUE);
}

void cab_transfer_set_priority (CabTransfer *self, CabPriority priority) {
  atomic_store (&self->priority, priority);
}

void cab_transfer_unref (CabTransfer *self) {
  if (self == NULL || !cab_ref_drop (&self->refs))
    return;
  cab_blob_unref (self->blob);
  g_free (self->etag);
  g_free (self);
}
