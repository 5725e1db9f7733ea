/* content.c - the life of a content: opening, users, the end.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cache/content-private.h"
#include "client/error.h"

#include <string.h>

/* --- the table ---------------------------------------------------------------------------------------------- */

CabContents *cab_contents_new (const CabContentsOptions *options) {
  CabContents *self = g_new0 (CabContents, 1);
  self->options = *options;
  pthread_mutex_init (&self->lock, NULL);
  pthread_cond_init (&self->emptied, NULL);
  pthread_cond_init (&self->unpinned, NULL);
  self->table = g_hash_table_new (g_str_hash, g_str_equal);
  self->refused = cab_extraction_refusals_new ();
  atomic_init (&self->spoilt, 0);
  return self;
}

void cab_contents_change (CabContents *self, guint64 read_ahead, guint64 size_limit, guint timeout_ms) {
  atomic_store (&self->options.read_ahead, read_ahead);
  atomic_store (&self->options.size_limit, size_limit);
  atomic_store (&self->options.timeout_ms, timeout_ms);
}

void cab_contents_free (CabContents *self) {
  if (self == NULL)
    return;
  {
    CAB_LOCK_SCOPE (&self->lock);
    while (self->contents > 0)
      pthread_cond_wait (&self->emptied, &self->lock);
  }
  g_hash_table_unref (self->table);
  g_hash_table_unref (self->refused);
  pthread_cond_destroy (&self->emptied);
  pthread_cond_destroy (&self->unpinned);
  pthread_mutex_destroy (&self->lock);
  g_free (self);
}

char *cab_content_owner (const CabScope *scope) {
  return g_strconcat (scope->family, "/", scope->application, NULL);
}

/* One CAB of an application is one content, under whichever failure it is opened; so is each of its members. */
char *cab_content_key (const CabScope *scope, const CabRecord *record, const CabMemberSpec *member) {
  g_autofree char *dir = cab_store_dir_name (record->expires);
  g_autofree char *owner = cab_content_owner (scope);
  g_autofree char *number =
      member != NULL ? g_strdup_printf ("/%" G_GUINT64_FORMAT, member->id) : g_strdup ("");
  return g_strconcat (owner, "/", dir, "/", record->id, number, NULL);
}

gboolean cab_content_leave_locked (CabContent *self) {
  if (g_hash_table_lookup (self->owner->table, self->key) != self)
    return FALSE;
  g_hash_table_remove (self->owner->table, self->key);
  return TRUE;
}

void cab_queue_steal (GQueue *from, GQueue *into) {
  *into = *from;
  g_queue_init (from);
}

/* --- references --------------------------------------------------------------------------------------------- */

CabContent *cab_content_hold (CabContent *self) {
  cab_ref_take (&self->refs);
  return self;
}

void cab_content_drop (CabContent *self) {
  if (!cab_ref_drop (&self->refs))
    return;
  g_assert (g_queue_is_empty (&self->readers) && g_queue_is_empty (&self->openers));
  cab_object_close (self->object);
  cab_peer_link_unref (self->link);
  cab_blob_unref (self->blob);
  cab_extraction_free (self->extraction);
  cab_scope_free (self->scope);
  cab_ranges_clear (&self->have);
  cab_ranges_clear (&self->coming);
  cab_ranges_clear (&self->doubted);
  cab_sums_clear (&self->sums);
  g_clear_error (&self->failed);
  g_clear_error (&self->trouble);
  g_free (self->key);
  g_free (self->id);
  g_free (self->etag);
  g_free (self->md5);
  CabContents *owner = self->owner;
  g_free (self);
  CAB_LOCK_SCOPE (&owner->lock); /* the last thing that is done with it */
  if (--owner->contents == 0)
    pthread_cond_broadcast (&owner->emptied);
}

CabContent *cab_content_ref_locked (CabContent *self) {
  self->users++;
  return cab_content_hold (self);
}

CabContent *cab_content_ref (CabContent *self) {
  CAB_LOCK_SCOPE (&self->owner->lock);
  return cab_content_ref_locked (self);
}

void cab_content_unref (CabContent *self) {
  if (self == NULL)
    return;
  GQueue orphans = G_QUEUE_INIT;
  gboolean last;
  {
    CAB_LOCK_SCOPE (&self->owner->lock);
    last = --self->users == 0;
    if (last) /* reads of callers that were interrupted: nobody waits for their bytes */
      cab_queue_steal (&self->readers, &orphans);
  }
  if (last) {
    g_autoptr (GError) error = g_error_new_literal (CAB_ERROR, CAB_ERROR_CANCELLED, "closed");
    cab_content_cancel (self); /* what nobody reads is not fetched on */
    cab_content_answer_readers (self, &orphans, error);
    cab_content_settle (self);
  }
  cab_content_drop (self);
}

static CabContent *content_new_locked (CabContents *owner, const CabScope *scope, const CabRecord *record,
                                       const CabMemberSpec *member, char *key) {
  CabContent *self = g_new0 (CabContent, 1);
  self->owner = owner;
  owner->contents++;
  cab_ref_init (&self->refs);
  self->key = key;
  self->scope = cab_scope_copy (scope);
  self->id = member != NULL ? cab_member_object_id (record->id, member->id) : g_strdup (record->id);
  self->expires = record->expires;
  if (member != NULL)
    self->extraction = cab_extraction_new (scope, record, member);
  else
    self->blob = cab_blob_new (owner->options.client, scope, record);
  atomic_init (&self->complete, FALSE);
  atomic_init (&self->verified, FALSE);
  atomic_init (&self->failing, FALSE);
  self->progress_us = g_get_monotonic_time ();
  g_queue_init (&self->streams);
  g_queue_init (&self->openers);
  g_queue_init (&self->readers);
  return self;
}

/* --- opening ------------------------------------------------------------------------------------------------ */

static Opener *opener_new (const CabScope *scope, const CabRecord *record, const char *md5,
                           const CabMemberSpec *member, CabReach reach, CabOpenDone done, gpointer data) {
  Opener *self = g_new0 (Opener, 1);
  self->scope = cab_scope_copy (scope);
  self->record = *record;
  self->record.id = self->id = g_strdup (record->id);
  self->record.url = self->url = g_strdup (record->url);
  self->md5 = g_strdup (md5);
  self->member = cab_member_spec_copy (member);
  self->reach = reach;
  self->done = done;
  self->data = data;
  self->since_us = g_get_monotonic_time ();
  return self;
}

static void opener_free (Opener *self) {
  cab_scope_free (self->scope);
  g_free (self->id);
  g_free (self->url);
  g_free (self->md5);
  cab_member_spec_free (self->member);
  g_free (self);
}

void cab_content_ready_locked (CabContent *self, GQueue *openers) {
  self->phase = CONTENT_READY;
  cab_queue_steal (&self->openers, openers);
  for (guint i = 0; i < openers->length; i++)
    cab_content_ref_locked (self);
}

/* Once, with one of the two. */
static void answer_opener (Opener *opener, CabContent *content, const GError *error) {
  opener->done (opener->data, content, error);
  opener_free (opener);
}

void cab_content_answer_openers (CabContent *self, GQueue *openers, const GError *error) {
  for (Opener *opener = g_queue_pop_head (openers); opener != NULL; opener = g_queue_pop_head (openers))
    answer_opener (opener, error == NULL ? self : NULL, error);
}

static void set_version (CabContent *self) {
  /* FNV-1a over what tells versions of a blob apart.  Bytes that were wrong were told apart by nothing: after some of
   * those everything is another version, whoever may have kept them. */
  g_autofree char *text = g_strdup_printf ("%u %" G_GUINT64_FORMAT " %s", atomic_load (&self->owner->spoilt),
                                           self->size, self->etag != NULL ? self->etag : "");
  self->version = G_GUINT64_CONSTANT (14695981039346656037);
  for (const char *p = text; *p != '\0'; p++)
    self->version = (self->version ^ (guint8) *p) * G_GUINT64_CONSTANT (1099511628211);
}

void cab_content_set_facts (CabContent *self, guint64 size, const char *etag, gint64 modified) {
  self->size = size;
  self->etag = g_strdup (etag);
  self->modified = modified;
  set_version (self);
}

/* Takes over what the store has; TRUE if that is enough to answer who opens. */
static gboolean take_map_locked (CabContent *self, CabMap *map) {
  if (map->born == NULL || (map->have.count == 0 && map->size > 0))
    return FALSE;
  cab_content_set_facts (self, map->size, map->etag, map->modified);
  if (map->md5 != NULL) {
    g_free (self->md5);
    self->md5 = g_steal_pointer (&map->md5);
  }
  self->have = map->have;
  map->have = (CabRanges) CAB_RANGES_INIT;
  self->sums = map->sums;
  map->sums = (CabSums){0};
  gboolean complete = cab_ranges_has (&self->have, 0, self->size) && !map->written_since;
  if (!complete)
    cab_ranges_copy (&self->have, &self->doubted);
  self->unsaved = map->written_since ? 1 : 0; /* its map has to be written anew */
  atomic_store (&self->verified, complete);   /* it was when it was saved as complete */
  atomic_store (&self->complete, complete);
  return TRUE;
}

/* What is open is what looks show from now on, whatever the host has by then: else whoever is shown the one size and then
 * opens the other would be sent to look again, for ever. */
static void show_size (CabContent *self) {
  if (self->extraction != NULL)
    return;
  CabFacts facts = {.size = self->size, .etag = self->etag, .modified = self->modified};
  g_autofree char *md5 = NULL;
  {
    CAB_LOCK_SCOPE (&self->owner->lock);
    md5 = g_strdup (self->md5);
  }
  facts.md5 = md5;
  self->owner->options.learned (self->owner->options.learned_data, self->scope, self->id, &facts);
}

static CabObject *open_object (CabContent *self, CabMap *map) {
  g_autofree char *owner = cab_content_owner (self->scope);
  const CabObjectKey key = {owner, self->expires, self->id, FALSE};
  return cab_object_open (self->owner->options.store, &key, map);
}

/* Answers who opens if the store has enough for that, as @map says; FALSE if it has not.  TRUE also of one that has failed
 * meanwhile, whose openers were told so.  The caller holds a reference. */
static gboolean answer_from_store (CabContent *self, CabMap *map) {
  GQueue openers = G_QUEUE_INIT;
  gboolean ready, save = FALSE;
  {
    /* A directory that is shown asks what is here, also of one that opens. */
    CAB_LOCK_SCOPE (&self->owner->lock);
    if (self->phase != CONTENT_OPENING)
      return TRUE;
    ready = take_map_locked (self, map) || cab_extraction_knows_locked (self);
    if (ready) {
      cab_content_ready_locked (self, &openers);
      save = cab_content_save_due_locked (self);
    }
  }
  if (save)
    cab_content_push_save (self);
  if (ready) {
    show_size (self);
    cab_content_answer_openers (self, &openers, NULL);
    cab_content_settle (self); /* who opened it may have been told meanwhile that it takes too long */
  }
  return ready;
}

/* Opens the store's object and asks for the first bytes if it has none. */
static void begin (CabContent *self) {
  g_auto (CabMap) map = {0};
  CabObject *object = self->extraction != NULL ? cab_extraction_open (self, &map) : open_object (self, &map);
  gboolean foreign = self->extraction == NULL && cab_object_is_private (object), failed;
  CabPeerLink *link = foreign ? cab_peer_link_new (self->owner->options.peers, self->key) : NULL;
  {
    CAB_LOCK_SCOPE (&self->owner->lock);
    self->object = object;
    self->link = link;
    failed = self->phase == CONTENT_FAILED; /* before there was an object to be discarded */
  }
  if (failed)
    cab_object_discard (object);
  if (!answer_from_store (self, &map))
    cab_content_fetch (self, cab_plan_zone (0, CAB_PLAN_HEAD), CAB_PLAN_HEAD);
}

/* Where several want what one closes, the first of them has the file next, and lends it to the others; who closes it at
 * once leaves them to look again.  More often the host is as quick. */
#define LOOKS_MAX 2

/* Somebody else has the file by now. */
static void look_for_others (CabContent *self) {
  if (self->looks == LOOKS_MAX)
    return;
  self->looks++;
  CabPeerLink *link = cab_peer_link_new (self->owner->options.peers, self->key);
  {
    CAB_LOCK_SCOPE (&self->owner->lock);
    CabPeerLink *before = self->link;
    self->link = link;
    link = before;
  }
  cab_peer_link_unref (link);
}

gboolean cab_content_open_again (CabContent *self) {
  g_auto (CabMap) map = {0};
  CabObject *object = open_object (self, &map);
  if (cab_object_is_private (object)) {
    cab_object_close (object);
    look_for_others (self);
    return FALSE;
  }
  CabPeerLink *link;
  {
    CAB_LOCK_SCOPE (&self->owner->lock);
    CabObject *before = self->object;
    self->object = object;
    object = before;
    link = g_steal_pointer (&self->link); /* the file is ours now: others may take from here */
  }
  cab_object_close (object);
  cab_peer_link_unref (link);
  return answer_from_store (self, &map);
}

typedef enum { JOIN_CREATED, JOIN_WAITS, JOIN_ANSWER } JoinResult;

/* Finds or makes the content for @opener, which is queued with it unless it can be answered.  @other: a member of
 * another version of the CAB, which from now on is only there for those who have it open. */
static JoinResult join (CabContents *self, Opener *opener, CabContent **content, CabContent **other) {
  g_autofree char *key = cab_content_key (opener->scope, &opener->record, opener->member);
  CAB_LOCK_SCOPE (&self->lock);
  *content = g_hash_table_lookup (self->table, key);
  if (*content != NULL && !cab_extraction_fits_locked (*content, opener->member)) {
    *other = *content;
    cab_content_leave_locked (*other);
    *content = NULL;
  }
  if (*content == NULL) {
    *content =
        content_new_locked (self, opener->scope, &opener->record, opener->member, g_steal_pointer (&key));
    (*content)->md5 = g_strdup (opener->md5);
    g_hash_table_insert (self->table, (*content)->key, *content);
    g_queue_push_tail (&(*content)->openers, opener);
    cab_content_hold (*content);
    return JOIN_CREATED;
  }
  if ((*content)->phase == CONTENT_READY) {
    cab_content_ref_locked (*content);
    return JOIN_ANSWER;
  }
  g_queue_push_tail (&(*content)->openers, opener);
  return JOIN_WAITS;
}

static void dispatch (CabContents *self, Opener *opener) {
  CabContent *content, *other = NULL;
  JoinResult result = join (self, opener, &content, &other);
  if (other != NULL) {
    cab_content_cancel (other);
    cab_content_drop (other);
  }
  switch (result) {
  case JOIN_CREATED:
    begin (content);
    cab_content_drop (content);
    break;
  case JOIN_ANSWER:
    show_size (content);
    answer_opener (opener, content, NULL);
    break;
  case JOIN_WAITS:
    break;
  }
}

gboolean cab_contents_has_all (CabContents *self, const CabScope *scope, const CabRecord *record) {
  g_autofree char *key = cab_content_key (scope, record, NULL);
  {
    CAB_LOCK_SCOPE (&self->lock);
    const CabContent *content = g_hash_table_lookup (self->table, key);
    if (content != NULL && content->phase != CONTENT_OPENING) /* that one does not know yet */
      return atomic_load (&content->complete);
  }
  g_auto (CabMap) map = {0};
  g_autofree char *owner = cab_content_owner (scope);
  const CabObjectKey object = {owner, record->expires, record->id, FALSE};
  return cab_store_peek (self->options.store, &object, &map) && cab_ranges_has (&map.have, 0, map.size);
}

void cab_contents_open (CabContents *self, const CabScope *scope, const CabRecord *record, const char *md5,
                        CabReach reach, CabOpenDone done, gpointer data) {
  if (reach == CAB_REACH_LOCAL && !cab_contents_has_all (self, scope, record)) {
    g_autoptr (GError) error = g_error_new (CAB_ERROR, CAB_ERROR_DENIED, "not wholly in the cache");
    done (data, NULL, error);
    return;
  }
  dispatch (self, opener_new (scope, record, md5, NULL, reach, done, data));
}

void cab_contents_join_member (CabContents *self, const CabScope *scope, const CabRecord *record,
                               const CabMemberSpec *member, CabReach reach, CabOpenDone done, gpointer data) {
  dispatch (self, opener_new (scope, record, NULL, member, reach, done, data));
}

/* --- the end ------------------------------------------------------------------------------------------------ */

/* Closes the object before the table lets go, so that who opens the CAB next finds it unlocked.  So does another mount
 * that asked meanwhile. */
static void retire (CabContent *self) {
  if (self->extraction != NULL && !atomic_load (&self->verified))
    cab_object_discard (self->object); /* a part of a member is of no use */
  cab_object_touch (self->object);
  cab_object_close (g_steal_pointer (&self->object));
  GQueue openers;
  gboolean left;
  {
    CAB_LOCK_SCOPE (&self->owner->lock);
    cab_queue_steal (&self->openers, &openers);
    left = cab_content_leave_locked (self);
  }
  g_autoptr (GError) gone = g_error_new_literal (CAB_ERROR, CAB_ERROR_NOT_FOUND, "not here any more");
  for (Opener *opener = g_queue_pop_head (&openers); opener != NULL; opener = g_queue_pop_head (&openers)) {
    if (opener->scope != NULL)
      dispatch (self->owner, opener);
    else
      answer_opener (opener, NULL, gone);
  }
  if (left)
    cab_content_drop (self);
}

void cab_content_settle (CabContent *self) {
  gboolean save, over = FALSE;
  {
    CAB_LOCK_SCOPE (&self->owner->lock);
    if (self->users > 0 || !g_queue_is_empty (&self->streams) || self->saving || self->phase != CONTENT_READY ||
        cab_extraction_runs_locked (self))
      return;
    save = cab_content_save_due_locked (self);
    if (!save) {
      self->phase = CONTENT_RETIRING;
      over = TRUE;
    }
  }
  if (save)
    cab_content_push_save (self);
  if (over)
    retire (self);
}

/* --- looking in --------------------------------------------------------------------------------------------- */

guint64 cab_content_size (const CabContent *self) {
  return self->size;
}

gboolean cab_content_is_whole (const CabContent *self) {
  return atomic_load (&self->complete);
}

guint64 cab_content_take_brought (CabContent *self) {
  return atomic_exchange (&self->brought, 0);
}

int cab_content_descriptor (CabContent *self) {
  gboolean good =
      atomic_load (&self->complete) && atomic_load (&self->verified) && !atomic_load (&self->failing);
  return good ? cab_object_descriptor (self->object) : -1;
}

guint64 cab_content_version (const CabContent *self) {
  return self->version;
}
