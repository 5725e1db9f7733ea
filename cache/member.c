/* SPDX-License-Identifier: MIT */
#include "cache/member.h"

#include <string.h>

#include "cache/content-private.h"
#include "client/error.h"

/* How long a list is kept that nobody asks for, and how much memory all of them may take then. */
#define KEEP_US    (300 * G_USEC_PER_SEC)
#define KEEP_BYTES ((gsize) 8 << 20)

/* A list that could not be made is not tried again before: for want of bytes, and because the archive is at fault. */
#define UNFED_US   (1 * G_USEC_PER_SEC)
#define REFUSED_US (10 * G_USEC_PER_SEC)

/* So often it is looked whether the CAB of a list is still the same one. */
#define CHECK_US (1 * G_USEC_PER_SEC)

/* As long as any of the kinds needs (cab_content_kind()). */
#define MAGIC_LEN 8

#define BARE_NAME "memory.dmp"

typedef struct {
  CabMembersDone done;
  gpointer data;
} Waiter;

typedef struct {
  CabMembers *owner; /* set at creation */
  char *key;         /* set at creation */

  /* owner's lock */
  CabMemberList *list; /* NULL: none */
  GError *failed;      /* why there is none, until not_before_us */
  gint64 not_before_us;
  gint64 used_us;
  gint64 checked_us;
  gboolean in_flight;
  GQueue waiters; /* of Waiter, owned; each is answered once */
  GList link;     /* in `order` */
} Entry;

struct CabMembers {
  CabMembersOptions options; /* set at creation */
  pthread_mutex_t lock;
  GHashTable *entries; /* lock: key of a CAB to Entry, owned */
  GQueue order;        /* lock: of Entry; the last one was used last */
  gsize bytes;         /* lock: of all lists */
};

/* A list that is being made. */
typedef struct {
  CabRefs refs; /* one for its end, one for each call that will come back */
  Entry *entry; /* is there as long as it is in flight */
  CabContent *cab;
  CabMemberListBuilder *builder;
  CabUnpack *job;       /* set before the reference of who makes it is dropped */
  CabUnpack *asking;    /* the same, while it waits for bytes of the CAB */
  _Atomic gboolean fed; /* what goes wrong is not the archive's fault */
} Flight;

/* --- the table ---------------------------------------------------------------------------------------------- */

static void drop_list_locked (Entry *entry) {
  if (entry->list != NULL)
    entry->owner->bytes -= cab_member_list_weight (entry->list);
  g_clear_pointer (&entry->list, cab_member_list_unref);
}

static void entry_free (gpointer data) {
  Entry *entry = data;
  g_assert (g_queue_is_empty (&entry->waiters));
  drop_list_locked (entry);
  g_clear_error (&entry->failed);
  g_free (entry->key);
  g_free (entry);
}

CabMembers *cab_members_new (const CabMembersOptions *options) {
  CabMembers *self = g_new0 (CabMembers, 1);
  self->options = *options;
  pthread_mutex_init (&self->lock, NULL);
  self->entries = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, entry_free);
  return self;
}

void cab_members_free (CabMembers *self) {
  if (self == NULL)
    return;
  g_hash_table_unref (self->entries);
  pthread_mutex_destroy (&self->lock);
  g_free (self);
}

static void touch_locked (Entry *entry, gint64 now_us) {
  CabMembers *self = entry->owner;
  entry->used_us = now_us;
  g_queue_unlink (&self->order, &entry->link);
  g_queue_push_tail_link (&self->order, &entry->link);
}

/* @key is taken over. */
static Entry *entry_get_locked (CabMembers *self, char *key, gint64 now_us) {
  Entry *entry = g_hash_table_lookup (self->entries, key);
  if (entry == NULL) {
    entry = g_new0 (Entry, 1);
    entry->owner = self;
    entry->key = key;
    entry->link.data = entry;
    g_queue_init (&entry->waiters);
    g_queue_push_tail_link (&self->order, &entry->link);
    g_hash_table_insert (self->entries, entry->key, entry);
  } else {
    g_free (key);
  }
  touch_locked (entry, now_us);
  return entry;
}

static void remove_locked (Entry *entry) {
  CabMembers *self = entry->owner;
  g_queue_unlink (&self->order, &entry->link);
  g_hash_table_remove (self->entries, entry->key);
}

void cab_members_tick (CabMembers *self, gint64 now_us) {
  CAB_LOCK_SCOPE (&self->lock);
  for (GList *link = self->order.head, *next; link != NULL; link = next) {
    Entry *entry = link->data;
    next = link->next;
    if (now_us - entry->used_us < KEEP_US && self->bytes <= KEEP_BYTES)
      return;
    if (!entry->in_flight)
      remove_locked (entry);
  }
}

void cab_members_forget (CabMembers *self, const CabScope *scope, gint64 expires, const char *id) {
  const CabRecord record = {.id = id, .expires = expires};
  g_autofree char *key = cab_content_key (scope, &record, NULL);
  CAB_LOCK_SCOPE (&self->lock);
  Entry *entry = g_hash_table_lookup (self->entries, key);
  if (entry != NULL)
    drop_list_locked (entry);
}

/* --- the flight --------------------------------------------------------------------------------------------- */

static void flight_drop (Flight *flight) {
  if (!cab_ref_drop (&flight->refs))
    return;
  cab_unpack_unref (flight->job);
  cab_member_list_builder_free (flight->builder);
  g_free (flight);
}

static void answer_all (GQueue *waiters, CabMemberList *list, const GError *error) {
  for (Waiter *waiter = g_queue_pop_head (waiters); waiter != NULL; waiter = g_queue_pop_head (waiters)) {
    waiter->done (waiter->data, list, error);
    g_free (waiter);
  }
}

/* Takes @list over; @error if there is none.  Drops the flight's own reference. */
static void land (Flight *flight, CabMemberList *list, const GError *error) {
  Entry *entry = flight->entry;
  GQueue waiters;
  gint64 now_us = g_get_monotonic_time ();
  {
    CAB_LOCK_SCOPE (&entry->owner->lock);
    drop_list_locked (entry);
    g_clear_error (&entry->failed);
    if (list != NULL) {
      entry->list = cab_member_list_ref (list);
      entry->owner->bytes += cab_member_list_weight (list);
    } else {
      entry->failed = g_error_copy (error);
      entry->not_before_us = now_us + (atomic_load (&flight->fed) ? UNFED_US : REFUSED_US);
    }
    entry->in_flight = FALSE;
    entry->checked_us = now_us;
    touch_locked (entry, now_us);
    cab_queue_steal (&entry->waiters, &waiters);
  }
  answer_all (&waiters, list, error);
  cab_member_list_unref (list);
  cab_content_unref (flight->cab);
  flight_drop (flight);
}

static void land_builder (Flight *flight) {
  g_autofree char *stamp = cab_content_stamp (flight->cab);
  g_autoptr (GError) error = NULL;
  CabMemberList *list = cab_member_list_end (g_steal_pointer (&flight->builder), stamp, &error);
  land (flight, list, error);
}

static void on_bytes (gpointer data, const void *bytes, gsize len, const GError *error) {
  Flight *flight = data;
  if (error != NULL) {
    atomic_store (&flight->fed, TRUE);
    cab_unpack_fail (flight->asking, error);
  } else {
    cab_unpack_give (flight->asking, bytes, len);
  }
  flight_drop (flight);
}

static void on_need (gpointer data, CabUnpack *job, guint64 off, gsize len) {
  Flight *flight = data;
  cab_ref_take (&flight->refs);
  flight->asking = job;
  cab_content_read (flight->cab, off, len, on_bytes, flight);
}

static void on_member (gpointer data, const CabMember *member) {
  Flight *flight = data;
  const CabMemberEntry entry = {.path = member->path,
                                .id = cab_member_id (member->outer, member->ordinal),
                                .has_size = member->has_size,
                                .size = member->size,
                                .modified = member->modified};
  cab_member_list_add (flight->builder, &entry);
}

static void on_done (gpointer data, guint64 size, const GError *error) {
  Flight *flight = data;
  if (error != NULL)
    land (flight, NULL, error);
  else
    land_builder (flight);
}

static void list_archive (Flight *flight) {
  static const CabUnpackSink sink = {.need = on_need, .member = on_member, .done = on_done};
  const CabMembersOptions *options = &flight->entry->owner->options;
  if (options->unpacker == NULL) {
    land (flight, NULL, options->unpacker_missing);
    return;
  }
  cab_ref_take (&flight->refs); /* on_done() drops one, maybe before the call returns */
  flight->job = cab_unpack_list (options->unpacker, cab_content_size (flight->cab), &sink, flight);
  flight_drop (flight);
}

/* The one member of a CAB that is a dump. */
static void list_dump (Flight *flight) {
  const CabMemberEntry entry = {.path = BARE_NAME,
                                .id = CAB_MEMBER_WHOLE,
                                .has_size = TRUE,
                                .size = cab_content_size (flight->cab),
                                .modified = CAB_TIME_UNKNOWN};
  cab_member_list_add (flight->builder, &entry);
  land_builder (flight);
}

static void on_magic (gpointer data, const void *bytes, gsize len, const GError *error) {
  static const char *const archives[] = {"cab", "zip", NULL}, *const dumps[] = {"minidump", "kernel-dump",
                                                                                NULL};
  Flight *flight = data;
  const char *kind = error == NULL ? cab_content_kind (bytes, len) : NULL;
  if (error != NULL) {
    atomic_store (&flight->fed, TRUE);
    land (flight, NULL, error);
  } else if (g_strv_contains (archives, kind)) {
    list_archive (flight);
  } else if (g_strv_contains (dumps, kind)) {
    list_dump (flight);
  } else {
    land_builder (flight);
  }
}

static void on_cab (gpointer data, CabContent *cab, const GError *error) {
  Flight *flight = data;
  flight->cab = cab;
  if (error == NULL) {
    cab_content_read (cab, 0, MAGIC_LEN, on_magic, flight);
  } else {
    atomic_store (&flight->fed, TRUE);
    land (flight, NULL, error);
  }
}

static void start (Entry *entry, const CabScope *scope, const CabRecord *record) {
  const CabMembersOptions *options = &entry->owner->options;
  Flight *flight = g_new0 (Flight, 1);
  cab_ref_init (&flight->refs);
  atomic_init (&flight->fed, FALSE);
  flight->entry = entry;
  flight->builder = cab_member_list_begin (options->limit);
  options->open (options->open_data, scope, record, CAB_REACH_NETWORK, on_cab, flight);
}

/* --- questions ---------------------------------------------------------------------------------------------- */

/* Drops a list that was made from another version of its CAB than the one that is here now. */
static void check (CabMembers *self, const char *key, const CabScope *scope, const CabRecord *record) {
  g_autoptr (CabMemberList) list = NULL;
  gint64 now_us = g_get_monotonic_time ();
  {
    CAB_LOCK_SCOPE (&self->lock);
    Entry *entry = g_hash_table_lookup (self->entries, key);
    if (entry == NULL || entry->list == NULL || now_us - entry->checked_us < CHECK_US)
      return;
    entry->checked_us = now_us;
    list = cab_member_list_ref (entry->list);
  }
  g_autofree char *stamp = cab_contents_stamp (self->options.contents, scope, record);
  if (stamp == NULL || strcmp (stamp, cab_member_list_stamp (list)) == 0)
    return;
  CAB_LOCK_SCOPE (&self->lock);
  Entry *entry = g_hash_table_lookup (self->entries, key);
  if (entry != NULL && entry->list == list)
    drop_list_locked (entry);
}

CabMemberList *cab_members_peek (CabMembers *self, const CabScope *scope, const CabRecord *record) {
  g_autofree char *key = cab_content_key (scope, record, NULL);
  check (self, key, scope, record);
  CAB_LOCK_SCOPE (&self->lock);
  Entry *entry = g_hash_table_lookup (self->entries, key);
  if (entry == NULL || entry->list == NULL)
    return NULL;
  touch_locked (entry, g_get_monotonic_time ());
  return cab_member_list_ref (entry->list);
}

/* Makes @waiter wait, and gives the entry if the caller has to start(); or @error says why not. */
static Entry *board (CabMembers *self, char *key, const Waiter *waiter, GError **error) {
  gint64 now_us = g_get_monotonic_time ();
  CAB_LOCK_SCOPE (&self->lock);
  Entry *entry = entry_get_locked (self, key, now_us);
  if (!entry->in_flight && entry->failed != NULL && now_us < entry->not_before_us) {
    g_propagate_error (error, g_error_copy (entry->failed));
    return NULL;
  }
  g_queue_push_tail (&entry->waiters, g_memdup2 (waiter, sizeof *waiter));
  if (entry->in_flight)
    return NULL;
  entry->in_flight = TRUE;
  return entry;
}

void cab_members_get (CabMembers *self, const CabScope *scope, const CabRecord *record, CabReach reach,
                      CabMembersDone done, gpointer data) {
  g_autoptr (GError) error = NULL;
  g_autoptr (CabMemberList) list = cab_members_peek (self, scope, record);
  Entry *entry = NULL;
  const Waiter waiter = {done, data};
  if (list == NULL && reach == CAB_REACH_LOCAL && !cab_contents_has_all (self->options.contents, scope, record))
    error = g_error_new (CAB_ERROR, CAB_ERROR_DENIED, "the CAB is not wholly in the cache");
  else if (list == NULL)
    entry = board (self, cab_content_key (scope, record, NULL), &waiter, &error);
  if (list != NULL || error != NULL)
    done (data, list, error);
  else if (entry != NULL)
    start (entry, scope, record);
}

/* --- opening a member --------------------------------------------------------------------------------------- */

typedef struct {
  CabMembers *members;
  CabScope *scope;
  CabRecord record; /* its id is ours */
  char *id;
  char *path;
  CabReach reach;
  CabOpenDone done;
  gpointer data;
} Opening;

static void opening_free (Opening *self) {
  cab_scope_free (self->scope);
  g_free (self->id);
  g_free (self->path);
  g_free (self);
}

static void open_entry (const Opening *self, const CabMemberList *list, const CabMemberEntry *entry) {
  const CabMembersOptions *options = &self->members->options;
  const CabMemberSpec spec = {.id = entry->id,
                              .has_size = entry->has_size,
                              .size = entry->size,
                              .modified = entry->modified,
                              .stamp = cab_member_list_stamp (list),
                              .path = self->path};
  if (entry->beyond) {
    g_autoptr (GError) error = g_error_new (
        CAB_ERROR, CAB_ERROR_NO_SPACE,
        "its archive unpacks to more than %" G_GUINT64_FORMAT " bytes (member-limit)", options->limit);
    self->done (self->data, NULL, error);
  } else if (entry->id == CAB_MEMBER_WHOLE) {
    options->open (options->open_data, self->scope, &self->record, self->reach, self->done, self->data);
  } else {
    cab_contents_open_member (options->contents, self->scope, &self->record, &spec, self->reach, self->done,
                              self->data);
  }
}

static void on_list (gpointer data, CabMemberList *list, const GError *error) {
  Opening *self = data;
  CabMemberEntry entry;
  guint index;
  if (error != NULL) {
    self->done (self->data, NULL, error);
  } else if (!cab_member_list_find (list, self->path, &index)) {
    g_autoptr (GError) missing = g_error_new (CAB_ERROR, CAB_ERROR_NOT_FOUND, "the CAB has no such member");
    self->done (self->data, NULL, missing);
  } else {
    cab_member_list_get (list, index, &entry);
    open_entry (self, list, &entry);
  }
  opening_free (self);
}

void cab_members_open (CabMembers *self, const CabScope *scope, const CabRecord *record, const char *path,
                       CabReach reach, CabOpenDone done, gpointer data) {
  Opening *opening = g_new (Opening, 1);
  *opening = (Opening){.members = self,
                       .scope = cab_scope_copy (scope),
                       .record = *record,
                       .id = g_strdup (record->id),
                       .path = g_strdup (path),
                       .reach = reach,
                       .done = done,
                       .data = data};
  opening->record.id = opening->id;
  opening->record.url = NULL;
  cab_members_get (self, scope, record, reach, on_list, opening);
}
