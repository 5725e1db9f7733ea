/* extract.c - the bytes of a content that is a member: a worker writes them into its object, all, from the first on.
 *
 * A run is one worker's job, and the opening of the CAB before it.  It begins when somebody wants bytes that are not
 * here, and is the only one of its member at a time; while it lasts, the CAB is held open, and so is the member itself.
 * When nobody has the member open any more, it goes on for a while: programs look at a file before they read it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cache/content-private.h"
#include "client/error.h"
#include "client/metrics.h"

/* As long may room be missing: what was read just now is being saved, and cannot go before that. */
#define SHORT_US (2 * G_USEC_PER_SEC)

/* A run that nobody waits for is given up after that time, unless no more than so many bytes are missing. */
#define LINGER_US    (10 * G_USEC_PER_SEC)
#define LINGER_BYTES ((guint64) 16 << 20)

struct CabRun {
  CabRefs refs;         /* one for its end, one for each call that will come back */
  CabContent *content;  /* a reference */
  CabContent *cab;      /* as a user; set before the job is made */
  CabUnpack *asking;    /* the job, while it waits for bytes of the CAB */
  _Atomic gboolean fed; /* what goes wrong is not the archive's fault */

  /* owner's lock */
  CabUnpack *job;     /* NULL until cab_unpack_extract() has returned; stays until the run is freed */
  guint64 end;        /* bytes [0, end) are written */
  guint64 reserved;   /* of the store, for those that are not */
  gint64 short_us;    /* since when there is no room for them; 0: there is */
  CabRange held;      /* bytes of the CAB that the worker waits for until there is room; empty: none */
  gboolean cancelled; /* by us: somebody may want its bytes again */
};

gboolean cab_extraction_runs_locked (const CabContent *self) {
  return self->extraction != NULL && self->extraction->run != NULL;
}

/* --- the life of a run -------------------------------------------------------------------------------------- */

static CabRun *run_new_locked (CabContent *content) {
  CabRun *run = g_new0 (CabRun, 1);
  cab_ref_init (&run->refs);
  atomic_init (&run->fed, FALSE);
  run->content = cab_content_hold (content);
  content->extraction->run = run;
  return run;
}

/* Of the bytes that are reserved @len are on disk, or will not come. */
static void release_room_locked (CabRun *run, guint64 len) {
  len = MIN (len, run->reserved);
  run->reserved -= len;
  cab_store_unreserve (run->content->owner->options.store, len);
}

static void run_drop (CabRun *run) {
  if (!cab_ref_drop (&run->refs))
    return;
  cab_unpack_unref (run->job);
  cab_content_drop (run->content);
  g_free (run);
}

/* All bytes are here.  TRUE if there is a map to be written. */
static gboolean finish_locked (CabContent *self, guint64 size, GQueue *openers, GQueue *readers) {
  if (self->phase == CONTENT_OPENING) { /* nobody knew its size */
    const CabMemberSpec *member = self->extraction->member;
    cab_content_set_facts (self, size, member->stamp, member->modified);
    cab_content_ready_locked (self, openers);
  }
  cab_ranges_add (&self->have, 0, size);
  atomic_store (&self->complete, self->phase == CONTENT_READY);
  self->unsaved = 1;
  cab_content_take_satisfied_locked (self, readers);
  return cab_content_save_due_locked (self);
}

static void succeed (CabRun *run, guint64 size) {
  CabContent *self = run->content;
  GQueue openers = G_QUEUE_INIT, readers = G_QUEUE_INIT;
  gboolean save;
  {
    CAB_LOCK_SCOPE (&self->owner->lock);
    self->extraction->run = NULL;
    save = finish_locked (self, size, &openers, &readers);
  }
  cab_metric_add (CAB_METRIC_MEMBERS_EXTRACTED, 1);
  cab_content_answer_openers (self, &openers, NULL);
  cab_content_answer_readers (self, &readers, NULL);
  if (save)
    cab_content_push_save (self);
}

static void remember_locked (const CabRun *run, const GError *error) {
  CabContent *self = run->content;
  cab_content_trouble_locked (self, error);
  if (atomic_load (&run->fed) || g_error_matches (error, CAB_ERROR, CAB_ERROR_CANCELLED))
    return;
  cab_refusal_add_locked (self, error, self->trouble_us);
  self->trouble_us += CAB_REFUSED_US - CAB_TROUBLE_US; /* for who has it open */
}

/* Who waits is told, and whoever asks in the next time too. */
static void give_up (CabRun *run, const GError *error) {
  CabContent *self = run->content;
  GQueue readers = G_QUEUE_INIT;
  /* Of an archive that is at fault nothing that was shown so far can be believed; and others have a use for the room. */
  gboolean drop = !atomic_load (&run->fed) || g_error_matches (error, CAB_ERROR, CAB_ERROR_NO_SPACE);
  gboolean opening;
  {
    CAB_LOCK_SCOPE (&self->owner->lock);
    self->extraction->run = NULL;
    opening = self->phase == CONTENT_OPENING;
    cab_queue_steal (&self->readers, &readers);
    if (!run->cancelled)
      remember_locked (run, error);
    if (drop)
      cab_ranges_clear (&self->have);
  }
  if (drop)
    cab_object_empty (self->object, NULL);
  if (opening)
    cab_content_fail (self, error);
  cab_content_answer_readers (self, &readers, error);
}

/* We ended it, and somebody came back meanwhile. */
static gboolean begins_again (CabRun *run) {
  CabContent *self = run->content;
  CAB_LOCK_SCOPE (&self->owner->lock);
  if (!run->cancelled || self->phase == CONTENT_FAILED ||
      (g_queue_is_empty (&self->openers) && g_queue_is_empty (&self->readers)))
    return FALSE;
  self->extraction->run = NULL;
  return TRUE;
}

static void start_again (gpointer data) {
  CabContent *self = data;
  cab_extraction_start (self);
  cab_content_drop (self);
}

/* Before anybody who is answered looks at it. */
static void count_brought (CabRun *run) {
  if (run->cab != NULL)
    atomic_fetch_add (&run->content->brought, cab_content_take_brought (run->cab));
}

/* Drops the run's own reference. */
static void run_over (CabRun *run, guint64 size, const GError *error) {
  CabContent *self = run->content;
  gboolean held;
  {
    CAB_LOCK_SCOPE (&self->owner->lock);
    release_room_locked (run, run->reserved);
    held = run->held.end > 0;
    run->held = (CabRange){0, 0};
  }
  if (held)
    run_drop (run);
  count_brought (run);
  if (error == NULL)
    succeed (run, size);
  else if (begins_again (run))
    cab_pool_push (self->owner->options.pool, start_again, cab_content_hold (self));
  else
    give_up (run, error);
  cab_content_unref (run->cab);
  cab_content_settle (self);
  run_drop (run);
}

/* --- what the worker tells ---------------------------------------------------------------------------------- */

static void on_bytes (gpointer data, const void *bytes, gsize len, const GError *error) {
  CabRun *run = data;
  count_brought (run);
  if (error != NULL) {
    atomic_store (&run->fed, TRUE);
    cab_unpack_fail (run->asking, error);
  } else {
    cab_unpack_give (run->asking, bytes, len);
  }
  run_drop (run);
}

static gboolean lacks_room (CabStore *store) {
  return cab_store_is_full (store) || cab_store_is_short (store);
}

/* Makes @range wait if there is no room for what would be made of it. */
static gboolean hold_back (CabRun *run, CabRange range) {
  if (!lacks_room (run->content->owner->options.store))
    return FALSE;
  CAB_LOCK_SCOPE (&run->content->owner->lock);
  run->held = range;
  return TRUE;
}

static void on_need (gpointer data, CabUnpack *job, guint64 off, gsize len) {
  CabRun *run = data;
  cab_ref_take (&run->refs);
  run->asking = job;
  if (!hold_back (run, (CabRange){off, off + len}))
    cab_content_read (run->cab, off, len, on_bytes, run);
}

static void on_written (gpointer data, guint64 end) {
  CabRun *run = data;
  CabContent *self = run->content;
  GQueue satisfied = G_QUEUE_INIT;
  guint64 len;
  {
    CAB_LOCK_SCOPE (&self->owner->lock);
    /* The last byte is not shown before the worker says that all of it is right: checksums stand at the end. */
    const CabMemberSpec *member = self->extraction->member;
    end = member->has_size ? MIN (end, member->size - 1) : end;
    len = end > run->end ? end - run->end : 0;
    run->end += len;
    release_room_locked (run, len);
    cab_ranges_add (&self->have, 0, run->end);
    self->progress_us = g_get_monotonic_time ();
    cab_rate_add (&self->rate, self->progress_us, len);
    g_clear_error (&self->trouble);
    cab_content_take_satisfied_locked (self, &satisfied);
  }
  cab_object_wrote (self->object, len);
  cab_content_answer_readers (self, &satisfied, NULL);
}

static void on_done (gpointer data, guint64 size, const GError *error) {
  CabRun *run = data;
  const CabMemberSpec *member = run->content->extraction->member;
  g_autoptr (GError) lie = NULL;
  if (error == NULL && member->has_size && member->size != size)
    lie =
        g_error_new (CAB_ERROR, CAB_ERROR_INVALID,
                     "it has %" G_GUINT64_FORMAT " bytes, and not the %" G_GUINT64_FORMAT " it is listed with",
                     size, member->size);
  run_over (run, size, lie != NULL ? lie : error);
}

/* --- starting ----------------------------------------------------------------------------------------------- */

static void unpack (CabRun *run) {
  static const CabUnpackSink sink = {.need = on_need, .written = on_written, .done = on_done};
  CabContent *self = run->content;
  const CabMemberSpec *member = self->extraction->member;
  cab_ref_take (&run->refs); /* on_done() drops one, maybe before the call returns */
  CabUnpack *job = cab_unpack_extract (self->owner->options.unpacker, cab_content_size (run->cab),
                                       cab_member_outer (member->id), cab_member_ordinal (member->id),
                                       member->has_size ? member->size : G_MAXUINT64,
                                       cab_object_descriptor (self->object), &sink, run);
  gboolean cancelled;
  {
    CAB_LOCK_SCOPE (&self->owner->lock);
    run->job = job;
    cancelled = run->cancelled;
  }
  if (cancelled)
    cab_unpack_cancel (job);
  run_drop (run);
}

/* The CAB is another one than the list was made from. */
static void change (CabRun *run) {
  CabContent *self = run->content;
  const CabContentsOptions *options = &self->owner->options;
  g_autoptr (GError) error =
      g_error_new (CAB_ERROR, CAB_ERROR_CHANGED, "the CAB was replaced since its members were listed");
  options->spoilt (options->data, self->scope, self->expires, self->extraction->cab_id);
  cab_content_fail (self, error);
  run_over (run, 0, error);
}

static void on_cab (gpointer data, CabContent *cab, const GError *error) {
  CabRun *run = data;
  const CabContentsOptions *options = &run->content->owner->options;
  run->cab = cab;
  g_autofree char *stamp = cab != NULL ? cab_content_stamp (cab) : NULL;
  if (error != NULL) {
    atomic_store (&run->fed, TRUE);
    run_over (run, 0, error);
  } else if (options->unpacker == NULL) {
    run_over (run, 0, options->unpacker_missing);
  } else if (g_strcmp0 (stamp, run->content->extraction->member->stamp) != 0) {
    change (run);
  } else {
    unpack (run);
  }
}

static CabRun *run_if_wanted (CabContent *self) {
  CAB_LOCK_SCOPE (&self->owner->lock);
  gboolean open = self->phase == CONTENT_OPENING || self->phase == CONTENT_READY;
  gboolean waited_for = !g_queue_is_empty (&self->openers) || !g_queue_is_empty (&self->readers);
  return open && waited_for && self->extraction->run == NULL && !atomic_load (&self->complete)
             ? run_new_locked (self)
             : NULL;
}

static GError *no_room (const CabContent *self) {
  return g_error_new (CAB_ERROR, CAB_ERROR_NO_SPACE,
                      "the cache has no room for a member of %" G_GUINT64_FORMAT
                      " bytes (cache-size, cache-free)",
                      self->extraction->member->size);
}

/* What an earlier run has left is of no use to this one. */
static gboolean make_room (CabRun *run, GError **error) {
  CabContent *self = run->content;
  const CabContentsOptions *options = &self->owner->options;
  const CabMemberSpec *member = self->extraction->member;
  guint64 size = member->has_size ? member->size : 0;
  if (cab_object_descriptor (self->object) < 0 || (options->size_limit > 0 && size > options->size_limit)) {
    g_propagate_error (error, no_room (self));
    return FALSE;
  }
  {
    CAB_LOCK_SCOPE (&self->owner->lock);
    cab_ranges_clear (&self->have);
    run->reserved = size;
  }
  cab_store_reserve (options->store, size);
  return cab_object_empty (self->object, error);
}

void cab_extraction_start (CabContent *self) {
  CabRun *run = run_if_wanted (self);
  if (run == NULL)
    return;
  const CabContentsOptions *options = &self->owner->options;
  g_autoptr (GError) error = NULL;
  g_debug ("member %s is taken out of its CAB", self->id);
  if (make_room (run, &error)) {
    options->open (options->data, self->scope, &self->extraction->record, CAB_REACH_NETWORK, on_cab, run);
  } else {
    atomic_store (&run->fed, TRUE);
    run_over (run, 0, error);
  }
}

/* --- stopping ----------------------------------------------------------------------------------------------- */

/* Ends @run and drops the reference. */
static void stop (CabContents *owner, CabRun *run) {
  CabUnpack *job;
  {
    CAB_LOCK_SCOPE (&owner->lock);
    run->cancelled = TRUE;
    job = run->job;
  }
  if (job != NULL)
    cab_unpack_cancel (job);
  run_drop (run);
}

void cab_extraction_cancel (CabContent *self) {
  CabContents *owner = self->owner;
  CabRun *run = NULL;
  {
    CAB_LOCK_SCOPE (&owner->lock);
    if (self->users > 0 && self->phase != CONTENT_FAILED)
      return; /* somebody came back */
    self->extraction->idle_us = g_get_monotonic_time ();
    gboolean can_come_back = g_hash_table_lookup (owner->table, self->key) == self;
    if (self->extraction->run != NULL && !can_come_back) {
      run = self->extraction->run;
      cab_ref_take (&run->refs);
    }
  }
  if (run != NULL)
    stop (owner, run);
}

/* TRUE if nobody has a use for the run of @self any more. */
static gboolean is_idle_locked (const CabContent *self, gint64 now_us) {
  const CabExtraction *extraction = self->extraction;
  if (extraction->run->cancelled || self->users > 0 || self->openers.length > 0 ||
      now_us - extraction->idle_us < LINGER_US)
    return FALSE;
  const CabMemberSpec *member = extraction->member;
  return !member->has_size || member->size - extraction->run->end > LINGER_BYTES;
}

/* TRUE if @run is to be ended because there has been no room for it for too long. */
static gboolean is_without_room_locked (CabRun *run, gboolean lacking, gint64 now_us) {
  if (!lacking || run->job == NULL)
    run->short_us = 0;
  else if (run->short_us == 0)
    run->short_us = now_us;
  return run->short_us > 0 && now_us - run->short_us >= SHORT_US;
}

/* Gives the worker what he waits for, if he does.  Drops the reference. */
static void go_on (CabRun *run) {
  CabRange range;
  g_autoptr (CabContent) cab = NULL; /* the run may be over before it was read */
  {
    CAB_LOCK_SCOPE (&run->content->owner->lock);
    range = run->held;
    run->held = (CabRange){0, 0};
    if (range.end > 0)
      cab = cab_content_ref_locked (run->cab);
  }
  if (range.end > 0) /* its reference is that of the call that comes back */
    cab_content_read (cab, range.start, (gsize) (range.end - range.start), on_bytes, run);
  run_drop (run);
}

/* Drops the reference. */
static void stop_for_room (CabRun *run) {
  g_autoptr (GError) error = no_room (run->content);
  atomic_store (&run->fed, TRUE);
  cab_unpack_fail (run->job, error);
  run_drop (run);
}

static void add_run (GPtrArray *runs, CabRun *run) {
  cab_ref_take (&run->refs);
  g_ptr_array_add (runs, run);
}

/* What there is to do. */
typedef struct {
  GPtrArray *idle, *roomless, *held;
  gboolean any;
} Chores;

static void find_chores_locked (CabContents *contents, gboolean lacking, gint64 now_us, Chores *chores) {
  GHashTableIter iter;
  gpointer value;
  g_hash_table_iter_init (&iter, contents->table);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    CabContent *content = value;
    CabRun *run = content->extraction != NULL ? content->extraction->run : NULL;
    if (run == NULL)
      continue;
    chores->any = TRUE;
    if (is_without_room_locked (run, lacking, now_us))
      add_run (chores->roomless, run);
    else if (is_idle_locked (content, now_us))
      add_run (chores->idle, run);
    else if (!lacking && run->held.end > 0)
      add_run (chores->held, run);
  }
}

void cab_extractions_tick (CabContents *contents, gint64 now_us) {
  CabStore *store = contents->options.store;
  g_autoptr (GPtrArray) idle = g_ptr_array_new ();
  g_autoptr (GPtrArray) roomless = g_ptr_array_new ();
  g_autoptr (GPtrArray) held = g_ptr_array_new ();
  Chores chores = {idle, roomless, held, FALSE};
  gboolean lacking = lacks_room (store);
  {
    CAB_LOCK_SCOPE (&contents->lock);
    find_chores_locked (contents, lacking, now_us, &chores);
    cab_refusals_expire_locked (contents, now_us);
  }
  for (guint i = 0; i < roomless->len; i++)
    stop_for_room (g_ptr_array_index (roomless, i));
  for (guint i = 0; i < idle->len; i++)
    stop (contents, g_ptr_array_index (idle, i));
  for (guint i = 0; i < held->len; i++)
    go_on (g_ptr_array_index (held, i));
  if (chores.any && lacking)
    cab_store_watch (store);
}
