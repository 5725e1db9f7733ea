/* stream.c - the transfers that bring the bytes of a content.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cache/content-private.h"
#include "client/error.h"

struct Stream {
  CabRefs refs;
  CabContent *content; /* a reference */
  guint64 start;
  CabSummer *summer; /* the transfer's, and who ends it */

  /* owner's lock */
  CabPriority priority;
  CabTransfer *transfer; /* NULL until cab_blob_get() has returned; stays until the stream is freed, as does: */
  CabPeerTransfer *peer; /* that of another mount, which came before it */
  guint64 pos, end;      /* [pos, end) is still to come */
  gboolean cancelled;    /* by us: somebody may want its bytes again */
};

static void stream_drop (Stream *stream) {
  if (!cab_ref_drop (&stream->refs))
    return;
  cab_transfer_unref (stream->transfer);
  cab_peer_transfer_unref (stream->peer);
  cab_summer_free (stream->summer);
  cab_content_drop (stream->content);
  g_free (stream);
}

/* A transfer that brings bytes and has no more than this to go is let finish when nobody reads any more: giving it up
 * would cost a connection, and the bytes once more for who comes next. */
#define LINGER ((guint64) 1 << 20)

/* From another mount so many ranges are fetched ahead at a time: it has connections enough itself. */
#define PEER_STREAMS 2

/* --- what a transfer tells ---------------------------------------------------------------------------------- */

static gboolean is_same (const CabContent *self, const CabFacts *facts, GError **error) {
  if (self->size == facts->size && (self->etag == NULL || g_strcmp0 (self->etag, facts->etag) == 0))
    return TRUE;
  g_set_error (error, CAB_ERROR, CAB_ERROR_CHANGED,
               "the blob was replaced: %" G_GUINT64_FORMAT " bytes, ETag %s, and now %" G_GUINT64_FORMAT
               " bytes, ETag %s",
               self->size, self->etag != NULL ? self->etag : "unknown", facts->size,
               facts->etag != NULL ? facts->etag : "unknown");
  return FALSE;
}

static gboolean on_facts (gpointer data, const CabFacts *facts, GError **error) {
  Stream *stream = data;
  CabContent *self = stream->content;
  GQueue openers = G_QUEUE_INIT;
  gboolean first;
  {
    CAB_LOCK_SCOPE (&self->owner->lock);
    first = self->phase == CONTENT_OPENING;
    if (first) {
      cab_content_set_facts (self, facts->size, facts->etag, facts->modified);
      if (facts->md5 != NULL) {
        g_free (self->md5);
        self->md5 = g_strdup (facts->md5);
      }
      stream->end = MIN (stream->end, self->size);
      cab_ranges_remove (&self->coming, self->size, G_MAXUINT64);
      atomic_store (&self->complete, self->size == 0);
      if (self->size == 0)
        self->unsaved = 1; /* that it is empty is worth a map */
      self->progress_us = g_get_monotonic_time ();
      cab_content_ready_locked (self, &openers);
    }
  }
  if (!first)
    return is_same (self, facts, error);
  self->owner->options.learned (self->owner->options.learned_data, self->scope, self->id, facts);
  cab_content_answer_openers (self, &openers, NULL);
  return TRUE;
}

static void progress_locked (CabContent *self, gsize len) {
  self->progress_us = g_get_monotonic_time ();
  cab_rate_add (&self->rate, self->progress_us, len);
  atomic_fetch_add (&self->brought, len);
  g_clear_error (&self->trouble);
}

/* The bytes are in the store. */
static void arrived (Stream *stream, guint64 off, const void *bytes, gsize len) {
  CabContent *self = stream->content;
  GQueue satisfied = G_QUEUE_INIT;
  gboolean save;
  {
    CAB_LOCK_SCOPE (&self->owner->lock);
    cab_ranges_add (&self->have, off, off + len);
    cab_ranges_remove (&self->coming, off, off + len);
    stream->pos = off + len;
    self->unsaved += len;
    progress_locked (self, len);
    cab_content_hand_out_locked (self, off, off + len, bytes, stream->end);
    cab_content_take_satisfied_locked (self, &satisfied);
    if (stream->pos == stream->end)
      cab_summer_take (stream->summer, &self->sums);
    cab_content_note_complete_locked (self);
    save = cab_content_save_due_locked (self);
  }
  cab_content_answer_readers (self, &satisfied, NULL);
  if (save)
    cab_content_push_save (self);
}

/* The store has no room for the bytes: who waits for them gets them, and nobody else.  FALSE if nobody waits for what
 * follows. */
static gboolean passed_by (Stream *stream, guint64 off, const void *bytes, gsize len) {
  CabContent *self = stream->content;
  GQueue satisfied = G_QUEUE_INIT;
  gboolean wanted;
  {
    CAB_LOCK_SCOPE (&self->owner->lock);
    cab_ranges_remove (&self->coming, off, off + len);
    stream->pos = off + len;
    progress_locked (self, len);
    wanted = cab_content_hand_out_locked (self, off, off + len, bytes, stream->end);
    stream->cancelled = stream->cancelled || !wanted;
    cab_content_take_satisfied_locked (self, &satisfied);
  }
  cab_content_answer_readers (self, &satisfied, NULL);
  return wanted;
}

static gboolean on_write (gpointer data, guint64 off, const void *bytes, gsize len, GError **error) {
  Stream *stream = data;
  g_autoptr (GError) local = NULL;
  if (atomic_load (&stream->content->failing)) {
    g_set_error (error, CAB_ERROR, CAB_ERROR_CANCELLED, "its content has failed");
    return FALSE;
  }
  if (cab_object_write (stream->content->object, off, bytes, len, &local)) {
    cab_content_sum_up (stream->content, stream->summer, off, bytes, len);
    arrived (stream, off, bytes, len);
    return TRUE;
  }
  if (!g_error_matches (local, CAB_ERROR, CAB_ERROR_NO_SPACE)) {
    g_propagate_error (error, g_steal_pointer (&local));
    return FALSE;
  }
  if (passed_by (stream, off, bytes, len))
    return TRUE;
  g_set_error (error, CAB_ERROR, CAB_ERROR_CANCELLED, "nobody waits for the rest");
  return FALSE;
}

/* Readers that a stream we cancelled leaves behind: somebody opened the CAB again meanwhile. */
void cab_content_fetch_for_readers (CabContent *self) {
  g_autoptr (GArray) zones = g_array_new (FALSE, FALSE, sizeof (CabRange));
  {
    CAB_LOCK_SCOPE (&self->owner->lock);
    for (const GList *link = self->readers.head; link != NULL; link = link->next) {
      const Reader *reader = link->data;
      CabRange zone = {reader->off, reader->off + reader->len};
      g_array_append_val (zones, zone);
    }
  }
  for (guint i = 0; i < zones->len; i++) {
    CabRange zone = g_array_index (zones, CabRange, i);
    cab_content_fetch (self, cab_plan_zone (zone.start, zone.end), zone.end);
  }
}

static gboolean has_peer (const CabContent *self) {
  return self->link != NULL && cab_peer_link_is_good (self->link);
}

/* Nothing is to be had there any more, and the other mount may close the CAB. */
static void leave_peer (CabContent *self) {
  if (has_peer (self))
    cab_peer_link_leave (self->link);
}

static void on_done (gpointer data, const GError *error) {
  Stream *stream = data;
  CabContent *self = stream->content;
  GQueue bereft = G_QUEUE_INIT;
  gboolean cancelled, opening;
  CabZone ahead;
  {
    CAB_LOCK_SCOPE (&self->owner->lock);
    g_queue_remove (&self->streams, stream);
    cab_ranges_remove (&self->coming, stream->pos, stream->end);
    cab_summer_take (stream->summer, &self->sums);
    opening = self->phase == CONTENT_OPENING;
    cancelled = stream->cancelled && !opening;
    if (error != NULL && !cancelled)
      cab_content_take_bereft_locked (self, (CabRange){stream->pos, stream->end}, &bereft);
    if (!g_queue_is_empty (&bereft))
      cab_content_trouble_locked (self, error);
    ahead = error == NULL ? self->ahead : (CabZone){0};
  }
  if (error != NULL && !cancelled &&
      (opening || g_error_matches (error, CAB_ERROR, CAB_ERROR_CHANGED) ||
       g_error_matches (error, CAB_ERROR, CAB_ERROR_NOT_FOUND)))
    cab_content_fail (self, error);
  cab_content_answer_readers (self, &bereft, error);
  if (cancelled)
    cab_content_fetch_for_readers (self);
  else if (ahead.end > 0)
    cab_content_fetch (self, ahead, 0);
  if (atomic_load (&self->complete))
    leave_peer (self);
  cab_content_settle (self);
  stream_drop (stream);
}

/* --- transfers ---------------------------------------------------------------------------------------------- */

/* Asks the host for [@start, @end); takes a reference of @stream, which on_done() drops. */
static void fetch_from_host (Stream *stream, CabRange range) {
  static const CabSink sink = {on_facts, on_write, on_done};
  CabContent *self = stream->content;
  CabPriority priority;
  gboolean cancelled, hurried;
  cab_ref_take (&stream->refs); /* on_done() may have run before the call returns */
  {
    CAB_LOCK_SCOPE (&self->owner->lock);
    priority = stream->priority;
  }
  CabTransfer *transfer = cab_blob_get (self->blob, range.start, range.end - range.start, self->etag, priority,
                                        &sink, stream);
  {
    CAB_LOCK_SCOPE (&self->owner->lock);
    stream->transfer = transfer;
    cancelled = stream->cancelled;
    hurried = stream->priority != priority; /* by who found no transfer yet */
  }
  if (hurried)
    cab_transfer_set_priority (transfer, CAB_PRIORITY_READER);
  if (cancelled)
    cab_transfer_cancel (transfer);
  stream_drop (stream);
}

/* The store has what it was to bring; whoever came meanwhile to wait for it is fetched what he lacks. */
static void give_way (Stream *stream) {
  {
    CAB_LOCK_SCOPE (&stream->content->owner->lock);
    stream->cancelled = TRUE;
  }
  on_done (stream, NULL);
}

/* Another mount has the file by now: another stream asks that one. */
static void begin_again (Stream *stream) {
  CabContent *self = cab_content_hold (stream->content);
  on_done (stream, NULL);
  cab_content_fetch (self, cab_plan_zone (0, CAB_PLAN_HEAD), CAB_PLAN_HEAD);
  cab_content_drop (self);
}

/* Without the other mount the stream goes on where it is; what went wrong there, the host may say here.  What was not to
 * be had there at all may have been kept since. */
static void on_peer_done (gpointer data, const GError *error) {
  Stream *stream = data;
  CabContent *self = stream->content;
  CabRange rest;
  gboolean over, opening;
  {
    CAB_LOCK_SCOPE (&self->owner->lock);
    rest = (CabRange){stream->pos, stream->end};
    over = stream->cancelled || self->phase == CONTENT_FAILED || rest.start >= rest.end;
    opening = self->phase == CONTENT_OPENING;
  }
  if (over || error == NULL || g_error_matches (error, CAB_ERROR, CAB_ERROR_CANCELLED))
    on_done (stream, error);
  else if (opening && cab_content_open_again (self))
    give_way (stream);
  else if (opening && has_peer (self))
    begin_again (stream);
  else
    fetch_from_host (stream, rest);
}

/* FALSE if there is no other mount. */
static gboolean fetch_from_peer (Stream *stream, CabRange range) {
  static const CabSink sink = {on_facts, on_write, on_peer_done};
  CabContent *self = stream->content;
  if (self->link == NULL)
    return FALSE;
  cab_ref_take (&stream->refs);
  CabPeerTransfer *peer = cab_peer_get (self->link, range.start, range.end - range.start, &sink, stream);
  gboolean cancelled;
  {
    CAB_LOCK_SCOPE (&self->owner->lock);
    stream->peer = peer;
    cancelled = stream->cancelled;
  }
  if (cancelled && peer != NULL)
    cab_peer_transfer_cancel (peer);
  stream_drop (stream);
  return peer != NULL;
}

static void stream_start (Stream *stream, CabRange range) {
  if (!fetch_from_peer (stream, range))
    fetch_from_host (stream, range);
}

/* Most that are fetched ahead at a time. */
static guint most_streams (const CabContent *self) {
  guint connections = self->owner->options.connections;
  return has_peer (self) ? MIN (PEER_STREAMS, connections) : connections;
}

/* Somebody came to wait for some of @range, and may have looked for streams to hurry before this one was there. */
static gboolean is_waited_for_locked (const CabContent *self, CabRange range) {
  for (const GList *link = self->readers.head; link != NULL; link = link->next) {
    const Reader *reader = link->data;
    if (reader->off < range.end && reader->off + reader->len > range.start)
      return TRUE;
  }
  return FALSE;
}

/* The stream for the first gap of @zone, or NULL if there is none that may be fetched now. */
static Stream *plan_locked (CabContent *self, CabZone *zone, guint64 urgent, CabRange *gap) {
  if (self->phase == CONTENT_READY) /* the size may have come since the zone was drawn */
    zone->end = MIN (zone->end, self->size);
  if ((self->phase != CONTENT_OPENING && self->phase != CONTENT_READY) ||
      !cab_plan_gap (&self->have, &self->coming, zone, gap))
    return NULL;
  gboolean is_waited_for = is_waited_for_locked (self, *gap);
  if (!is_waited_for && cab_content_is_in_trouble_locked (self))
    return NULL; /* who wanted it may have been told so already */
  gboolean is_urgent = gap->start < urgent || is_waited_for;
  CabPriority priority = is_urgent ? CAB_PRIORITY_READER : CAB_PRIORITY_AHEAD;
  if (priority == CAB_PRIORITY_AHEAD && (self->users == 0 || self->streams.length >= most_streams (self)))
    return NULL;
  Stream *stream = g_new0 (Stream, 1);
  cab_ref_init (&stream->refs);
  stream->content = cab_content_hold (self);
  stream->summer = cab_summer_new ();
  stream->priority = priority;
  stream->start = stream->pos = gap->start;
  stream->end = gap->end;
  cab_ranges_add (&self->coming, gap->start, gap->end);
  g_queue_push_tail (&self->streams, stream);
  return stream;
}

void cab_content_fetch (CabContent *self, CabZone zone, guint64 urgent) {
  if (self->extraction != NULL) {
    cab_extraction_start (self);
    return;
  }
  for (;;) {
    Stream *stream;
    CabRange gap;
    {
      CAB_LOCK_SCOPE (&self->owner->lock);
      stream = plan_locked (self, &zone, urgent, &gap);
    }
    if (stream == NULL)
      return;
    stream_start (stream, gap);
  }
}

/* Copies of the streams that touch @range, with a reference each. */
static GPtrArray *streams_of_locked (CabContent *self, CabRange range) {
  GPtrArray *streams = g_ptr_array_new_with_free_func ((GDestroyNotify) stream_drop);
  for (const GList *link = self->streams.head; link != NULL; link = link->next) {
    Stream *stream = link->data;
    if (stream->pos >= range.end || stream->end <= range.start)
      continue;
    cab_ref_take (&stream->refs);
    g_ptr_array_add (streams, stream);
  }
  return streams;
}

void cab_content_cancel (CabContent *self) {
  if (self->extraction != NULL) {
    cab_extraction_cancel (self);
    return;
  }
  g_autoptr (GPtrArray) streams = NULL;
  g_autoptr (GPtrArray) started = g_ptr_array_new (), lent = g_ptr_array_new ();
  {
    CAB_LOCK_SCOPE (&self->owner->lock);
    if (self->users > 0 && self->phase != CONTENT_FAILED)
      return; /* somebody came back */
    streams = streams_of_locked (self, (CabRange){0, G_MAXUINT64});
    for (guint i = 0; i < streams->len; i++) {
      Stream *stream = g_ptr_array_index (streams, i);
      if (self->phase != CONTENT_FAILED && stream->pos > stream->start && stream->end - stream->pos <= LINGER)
        continue;
      stream->cancelled = TRUE;
      if (stream->transfer != NULL)
        g_ptr_array_add (started, stream->transfer);
      if (stream->peer != NULL)
        g_ptr_array_add (lent, stream->peer);
    }
  }
  for (guint i = 0; i < started->len; i++)
    cab_transfer_cancel (g_ptr_array_index (started, i));
  for (guint i = 0; i < lent->len; i++)
    cab_peer_transfer_cancel (g_ptr_array_index (lent, i));
}

void cab_content_hurry (CabContent *self, CabRange range) {
  g_autoptr (GPtrArray) streams = NULL;
  g_autoptr (GPtrArray) ahead = g_ptr_array_new ();
  {
    CAB_LOCK_SCOPE (&self->owner->lock);
    streams = streams_of_locked (self, range);
    for (guint i = 0; i < streams->len; i++) {
      Stream *stream = g_ptr_array_index (streams, i);
      if (stream->transfer != NULL && stream->priority == CAB_PRIORITY_AHEAD)
        g_ptr_array_add (ahead, stream->transfer);
      stream->priority = CAB_PRIORITY_READER;
    }
  }
  for (guint i = 0; i < ahead->len; i++)
    cab_transfer_set_priority (g_ptr_array_index (ahead, i), CAB_PRIORITY_READER);
}

void cab_content_fail (CabContent *self, const GError *error) {
  GQueue openers, readers;
  gboolean left, was_open;
  CabObject *object;
  {
    CAB_LOCK_SCOPE (&self->owner->lock);
    if (self->phase == CONTENT_FAILED || self->phase == CONTENT_RETIRING)
      return; /* of one that retires the object is being closed: who opens it next finds out for himself */
    object = self->object;
    was_open = self->phase != CONTENT_OPENING;
    if (was_open)
      atomic_fetch_add (&self->owner->spoilt, 1);
    self->phase = CONTENT_FAILED;
    self->failed = g_error_copy (error);
    atomic_store (&self->complete, FALSE);
    atomic_store (&self->failing, TRUE);
    cab_queue_steal (&self->openers, &openers);
    cab_queue_steal (&self->readers, &readers);
    left = cab_content_leave_locked (self);
  }
  cab_content_cancel (self);
  leave_peer (self);
  if (object != NULL)
    cab_object_discard (object);
  cab_content_answer_openers (self, &openers, error);
  cab_content_answer_readers (self, &readers, error);
  if (was_open)
    cab_extraction_spoil (self, error);
  if (left)
    cab_content_drop (self);
}
