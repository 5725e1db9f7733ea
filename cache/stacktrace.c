/* SPDX-License-Identifier: MIT */
#include "cache/stacktrace.h"

#include "client/error.h"
#include "client/sync.h"

typedef struct {
  CabStacktraceDone done;
  gpointer data;
  gint64 since_us;
} Waiter;

/* A question: under way (then in `flights`), or answered (then in `kept`, by when that was). */
typedef struct {
  CabStacktraces *owner; /* set at creation */
  char *name;            /* set at creation: its key */

  /* owner's lock */
  GList link;
  gboolean in_flight;
  GBytes *text;  /* or */
  GError *error; /* why there is none */
  gint64 asked_us;
  gint64 until_us; /* kept so long */
  GQueue waiters;  /* of Waiter, owned; each is answered once */
} Entry;

struct CabStacktraces {
  CabStacktracesOptions options; /* set at creation */
  pthread_mutex_t lock;
  GHashTable *entries; /* lock: name to Entry, owned */
  GQueue flights;      /* lock: of Entry */
  GQueue kept;         /* lock: of Entry */
  gsize bytes;         /* lock: of all texts */
};

static void entry_free (gpointer data) {
  Entry *entry = data;
  g_assert (g_queue_is_empty (&entry->waiters));
  g_clear_pointer (&entry->text, g_bytes_unref);
  g_clear_error (&entry->error);
  g_free (entry->name);
  g_free (entry);
}

CabStacktraces *cab_stacktraces_new (const CabStacktracesOptions *options) {
  CabStacktraces *self = g_new0 (CabStacktraces, 1);
  self->options = *options;
  pthread_mutex_init (&self->lock, NULL);
  self->entries = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, entry_free);
  return self;
}

void cab_stacktraces_change (CabStacktraces *self, gint64 ttl_s, guint timeout_ms) {
  atomic_store (&self->options.ttl_s, ttl_s);
  atomic_store (&self->options.timeout_ms, timeout_ms);
}

void cab_stacktraces_free (CabStacktraces *self) {
  if (self == NULL)
    return;
  g_assert (g_queue_is_empty (&self->flights));
  g_hash_table_unref (self->entries);
  pthread_mutex_destroy (&self->lock);
  g_free (self);
}

/* No lock is held: they answer the kernel, which may come straight back. */
static void answer_all (GQueue *waiters, GBytes *text, const GError *error) {
  for (Waiter *waiter = g_queue_pop_head (waiters); waiter != NULL; waiter = g_queue_pop_head (waiters)) {
    waiter->done (waiter->data, text, error);
    g_free (waiter);
  }
}

/* --- what is kept ------------------------------------------------------------------------------------------- */

/* Takes it out of `kept`, without what it had. */
static void clear_locked (Entry *entry) {
  CabStacktraces *self = entry->owner;
  g_queue_unlink (&self->kept, &entry->link);
  self->bytes -= entry->text != NULL ? g_bytes_get_size (entry->text) : 0;
  g_clear_pointer (&entry->text, g_bytes_unref);
  g_clear_error (&entry->error);
}

static void drop_first_locked (CabStacktraces *self) {
  Entry *entry = g_queue_peek_head (&self->kept);
  clear_locked (entry);
  g_hash_table_remove (self->entries, entry->name);
}

static void keep_locked (Entry *entry, GBytes *text, const GError *error, gint64 kept_us) {
  CabStacktraces *self = entry->owner;
  g_queue_unlink (&self->flights, &entry->link);
  entry->in_flight = FALSE;
  entry->text = text != NULL ? g_bytes_ref (text) : NULL;
  entry->error = error != NULL ? g_error_copy (error) : NULL;
  entry->until_us = entry->asked_us + kept_us;
  self->bytes += text != NULL ? g_bytes_get_size (text) : 0;
  g_queue_push_tail_link (&self->kept, &entry->link);
  while (self->bytes > CAB_STACKTRACES_LIMIT)
    drop_first_locked (self);
}

/* --- the flight --------------------------------------------------------------------------------------------- */

static gint64 kept_us_of (const CabStacktraces *self, const GError *error) {
  gint64 ttl_us = self->options.ttl_s * G_USEC_PER_SEC;
  gboolean final = g_error_matches (error, CAB_ERROR, CAB_ERROR_NOT_FOUND) ||
                   g_error_matches (error, CAB_ERROR, CAB_ERROR_DENIED);
  if (error == NULL)
    return ttl_us;
  return MIN (ttl_us, final ? CAB_STACKTRACE_NONE_US : CAB_STACKTRACE_FAILED_US);
}

static void on_answer (gpointer data, GBytes *text, const GError *error) {
  Entry *entry = data;
  CabStacktraces *self = entry->owner;
  GQueue waiters;
  {
    CAB_LOCK_SCOPE (&self->lock);
    waiters = entry->waiters;
    g_queue_init (&entry->waiters);
    keep_locked (entry, text, error, kept_us_of (self, error));
  }
  answer_all (&waiters, text, error);
}

/* --- questions ---------------------------------------------------------------------------------------------- */

static Entry *entry_get_locked (CabStacktraces *self, const char *name) {
  Entry *entry = g_hash_table_lookup (self->entries, name);
  if (entry == NULL) {
    entry = g_new0 (Entry, 1);
    entry->owner = self;
    entry->name = g_strdup (name);
    entry->link.data = entry;
    g_queue_init (&entry->waiters);
    g_queue_push_tail_link (&self->kept, &entry->link);
    g_hash_table_insert (self->entries, entry->name, entry);
  }
  return entry;
}

/* TRUE if the caller has to ask once it has let the lock go. */
static gboolean board_locked (Entry *entry, const Waiter *waiter) {
  CabStacktraces *self = entry->owner;
  g_queue_push_tail (&entry->waiters, g_memdup2 (waiter, sizeof *waiter));
  if (entry->in_flight)
    return FALSE;
  clear_locked (entry);
  entry->in_flight = TRUE;
  entry->asked_us = waiter->since_us;
  g_queue_push_tail_link (&self->flights, &entry->link);
  return TRUE;
}

typedef struct {
  GBytes *text;
  GError *error;
  Entry *start; /* to be asked for, by the caller */
} Answer;

/* What can be said at once; neither text nor error: @waiter was queued. */
static Answer decide_locked (CabStacktraces *self, const char *name, CabReach reach, const Waiter *waiter) {
  Answer answer = {0};
  const Entry *known = g_hash_table_lookup (self->entries, name);
  gboolean answered = known != NULL && !known->in_flight && waiter->since_us < known->until_us;
  if (answered && known->text != NULL) {
    answer.text = g_bytes_ref (known->text);
  } else if (reach == CAB_REACH_LOCAL) {
    answer.error = g_error_new (CAB_ERROR, CAB_ERROR_DENIED, "not known without asking the services");
  } else if (answered) {
    answer.error = g_error_copy (known->error);
  } else {
    Entry *entry = entry_get_locked (self, name);
    answer.start = board_locked (entry, waiter) ? entry : NULL;
  }
  return answer;
}

void cab_stacktraces_get (CabStacktraces *self, const CabScope *scope, const char *id, CabReach reach,
                          gint64 now_us, CabStacktraceDone done, gpointer data) {
  if (!cab_client_has_stacktrace (scope)) { /* says so at once */
    cab_client_stacktrace (self->options.client, scope, id, done, data);
    return;
  }
  g_autofree char *directory = cab_scope_to_text (scope);
  g_autofree char *name = g_strconcat (directory, "/", id, NULL);
  const Waiter waiter = {done, data, now_us};
  Answer answer;
  {
    CAB_LOCK_SCOPE (&self->lock);
    answer = decide_locked (self, name, reach, &waiter);
  }
  if (answer.start != NULL)
    cab_client_stacktrace (self->options.client, scope, id, on_answer, answer.start);
  if (answer.text != NULL || answer.error != NULL)
    done (data, answer.text, answer.error);
  g_clear_pointer (&answer.text, g_bytes_unref);
  g_clear_error (&answer.error);
}

/* --- time --------------------------------------------------------------------------------------------------- */

static void take_late_locked (Entry *entry, gint64 before_us, GQueue *late) {
  for (GList *link = entry->waiters.head, *next; link != NULL; link = next) {
    const Waiter *waiter = link->data;
    next = link->next;
    if (waiter->since_us > before_us)
      continue;
    g_queue_unlink (&entry->waiters, link);
    g_queue_push_tail_link (late, link);
  }
}

/* Those that are kept shorter than others stay until these have gone: no longer than `ttl_s`. */
static void expire_locked (CabStacktraces *self, gint64 now_us) {
  for (const Entry *first = g_queue_peek_head (&self->kept); first != NULL && first->until_us <= now_us;
       first = g_queue_peek_head (&self->kept))
    drop_first_locked (self);
}

void cab_stacktraces_tick (CabStacktraces *self, gint64 now_us) {
  GQueue late = G_QUEUE_INIT;
  gint64 timeout_us = (gint64) self->options.timeout_ms * 1000;
  {
    CAB_LOCK_SCOPE (&self->lock);
    for (GList *link = self->flights.head; link != NULL; link = link->next)
      take_late_locked (link->data, now_us - timeout_us, &late);
    expire_locked (self, now_us);
  }
  g_autoptr (GError) error = g_error_new (CAB_ERROR, CAB_ERROR_TIMEOUT, "no answer from the services for %u s",
                                          self->options.timeout_ms / 1000);
  answer_all (&late, NULL, error);
}

gsize cab_stacktraces_bytes (CabStacktraces *self) {
  CAB_LOCK_SCOPE (&self->lock);
  return self->bytes;
}
