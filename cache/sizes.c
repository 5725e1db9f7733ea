/* SPDX-License-Identifier: MIT */
#include "cache/sizes.h"

#include "cache/files.h"
#include "cache/listing.h"
#include "cache/sizefile.h"
#include "client/error.h"
#include "client/metrics.h"
#include "client/sync.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define SIZEFILE_LIMIT ((gsize) 1 << 30)
#define UNKNOWN        G_MAXUINT64

/* Lines are written in batches: when nothing is under way any more, or this many wait. */
#define SAVE_BATCH 256

/* A walk: looks at most this far apart.  Several threads of one walker come out of order. */
#define WALK_STRIDE       8
#define WALK_FIRST_WINDOW 16

#define NOBODY G_MAXUINT

typedef struct {
  guint64 size;
  guint8 md5[16]; /* all zero: not known */
} Row;

typedef struct {
  CabSizeDone done;
  gpointer data;
  gint64 since_us;
} Waiter;

typedef struct {
  CabSizes *owner; /* set at creation */
  CabScope *scope; /* set at creation */

  /* owner's lock */
  CabRecords *records;
  Row *rows;          /* one for each record */
  GHashTable *probes; /* id (owned) to GQueue of Waiter (owned): HEADs under way */
  GString *unsaved;   /* lines for the disk */
  guint unsaved_count;
  gint64 progress_us;
  guint last;    /* index looked at last, or the furthest of a walk; NOBODY at first */
  guint window;  /* how far ahead of it is asked; 0: nobody walks */
  guint asked;   /* index that was not asked for by this walk yet */
  gboolean hold; /* nothing is to be asked ahead before there is another list */
} Table;

struct CabSizes {
  CabSizesOptions options; /* set at creation */
  pthread_mutex_t lock;
  GHashTable *tables; /* lock: CabScope to Table; a table stays until the end */
};

static void queue_free (gpointer data) {
  GQueue *waiters = data;
  g_assert (g_queue_is_empty (waiters));
  g_queue_free (waiters);
}

static void table_free (gpointer data) {
  Table *table = data;
  cab_scope_free (table->scope);
  g_clear_pointer (&table->records, cab_records_unref);
  g_hash_table_unref (table->probes);
  g_string_free (table->unsaved, TRUE);
  g_free (table->rows);
  g_free (table);
}

CabSizes *cab_sizes_new (const CabSizesOptions *options) {
  CabSizes *self = g_new0 (CabSizes, 1);
  self->options = *options;
  pthread_mutex_init (&self->lock, NULL);
  self->tables = g_hash_table_new_full (cab_scope_hash, cab_scope_equal, NULL, table_free);
  return self;
}

void cab_sizes_change (CabSizes *self, guint timeout_ms) {
  atomic_store (&self->options.timeout_ms, timeout_ms);
}

void cab_sizes_free (CabSizes *self) {
  if (self == NULL)
    return;
  g_hash_table_unref (self->tables);
  pthread_mutex_destroy (&self->lock);
  g_free (self);
}

static Table *table_get_locked (CabSizes *self, const CabScope *scope) {
  Table *table = g_hash_table_lookup (self->tables, scope);
  if (table == NULL) {
    table = g_new0 (Table, 1);
    table->owner = self;
    table->scope = cab_scope_copy (scope);
    table->probes = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, queue_free);
    table->unsaved = g_string_new (NULL);
    table->last = NOBODY;
    g_hash_table_insert (self->tables, table->scope, table);
  }
  return table;
}

/* The row of @id, or NULL: it is in no list that is known. */
static Row *row_locked (const Table *table, const char *id) {
  guint index;
  if (table->records == NULL || !cab_records_find (table->records, id, strlen (id), &index))
    return NULL;
  return &table->rows[index];
}

static gboolean is_known (const Row *row) {
  return row != NULL && row->size != UNKNOWN;
}

/* --- md5 as 16 bytes ---------------------------------------------------------------------------------------- */

static void md5_pack (const char *text, guint8 md5[16]) {
  memset (md5, 0, 16);
  if (text == NULL || strlen (text) != 32)
    return;
  for (guint i = 0; i < 16; i++)
    md5[i] = (guint8) (g_ascii_xdigit_value (text[2 * i]) << 4 | g_ascii_xdigit_value (text[2 * i + 1]));
}

static void md5_unpack (const guint8 md5[16], char text[33]) {
  static const guint8 none[16];
  *text = '\0';
  if (memcmp (md5, none, 16) != 0)
    for (guint i = 0; i < 16; i++)
      g_snprintf (text + 2 * i, 3, "%02x", md5[i]);
}

/* --- disk --------------------------------------------------------------------------------------------------- */

typedef struct {
  CabStore *store;
  char *path;
  char *text;
} SaveJob;

static void save_work (gpointer data) {
  SaveJob *job = data;
  g_autoptr (GError) error = NULL;
  g_autofree char *dir = g_path_get_dirname (job->path);
  g_autofree char *name = g_path_get_basename (job->path);
  g_auto (CabFd) dirfd = cab_dir_make (cab_store_dirfd (job->store), dir, &error);
  g_auto (CabFd) fd = dirfd < 0 ? -1 : openat (dirfd, name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  /* One write for whole lines: what other processes append lands before or behind it.  A short write leaves a torn
   * line, which is passed over when it is read. */
  if (fd < 0 || write (fd, job->text, strlen (job->text)) < 0)
    g_info ("cache: sizes are not kept for the next mount: %s: %s", job->path, g_strerror (errno));
  g_free (job->path);
  g_free (job->text);
  g_free (job);
}

static SaveJob *take_unsaved_locked (Table *table) {
  if (table->unsaved_count == 0 || (table->unsaved_count < SAVE_BATCH && g_hash_table_size (table->probes) > 0))
    return NULL;
  SaveJob *job = g_new (SaveJob, 1);
  *job = (SaveJob){table->owner->options.store, cab_listings_path (table->scope, ".sizes"),
                   g_strconcat ("\n", table->unsaved->str, NULL)};
  g_string_truncate (table->unsaved, 0);
  table->unsaved_count = 0;
  return job;
}

static void push_save (CabSizes *self, SaveJob *job) {
  if (job != NULL)
    cab_pool_push (self->options.pool, save_work, job);
}

static GBytes *load (CabSizes *self, const CabScope *scope) {
  g_autofree char *path = cab_listings_path (scope, ".sizes");
  return cab_file_read (cab_store_dirfd (self->options.store), path, SIZEFILE_LIMIT, NULL);
}

static void apply_line (gpointer data, const char *id, guint64 size, const char *md5) {
  Row *row = row_locked (data, id);
  if (row != NULL) {
    row->size = size;
    md5_pack (md5, row->md5);
  }
}

/* --- following a list --------------------------------------------------------------------------------------- */

/* Both lists are sorted by id: one walk through both. */
static Row *move_rows (CabRecords *from, const Row *from_rows, CabRecords *to) {
  guint n = cab_records_count (to);
  guint m = from != NULL ? cab_records_count (from) : 0;
  Row *rows = g_new0 (Row, MAX (n, 1));
  for (guint i = 0, j = 0; i < n; i++) {
    CabRecord new_record, old_record;
    cab_records_get (to, i, &new_record);
    rows[i].size = UNKNOWN;
    for (; j < m; j++) {
      cab_records_get (from, j, &old_record);
      int order = strcmp (old_record.id, new_record.id);
      if (order == 0)
        rows[i] = from_rows[j];
      if (order >= 0)
        break;
    }
  }
  return rows;
}

void cab_sizes_follow (CabSizes *self, const CabScope *scope, CabRecords *records) {
  if (scope->failure == NULL)
    return;
  g_autoptr (GBytes) bytes = NULL;
  gboolean first;
  {
    CAB_LOCK_SCOPE (&self->lock);
    first = table_get_locked (self, scope)->records == NULL;
  }
  if (first)
    bytes = load (self, scope);
  g_autoptr (CabRecords) old = NULL;
  CAB_LOCK_SCOPE (&self->lock);
  Table *table = table_get_locked (self, scope);
  old = table->records;
  g_autofree Row *old_rows = table->rows;
  table->rows = move_rows (old, old_rows, records);
  table->records = cab_records_ref (records);
  table->hold = FALSE;
  table->asked = 0;
  if (bytes != NULL) {
    gsize len;
    const char *text = g_bytes_get_data (bytes, &len);
    if (cab_sizefile_parse (text, len, apply_line, table) > 0) {
      g_info ("cache: lines of the sizes of %s are torn or damaged, those CABs are asked for again",
              scope->failure);
      cab_metric_add (CAB_METRIC_CACHE_DAMAGED, 1);
    }
  }
}

/* --- what is known ------------------------------------------------------------------------------------------ */

static void learn_locked (Table *table, const char *id, const CabFacts *facts) {
  Row *row = row_locked (table, id);
  guint8 md5[16];
  md5_pack (facts->md5, md5);
  if (row == NULL || (row->size == facts->size && (facts->md5 == NULL || memcmp (row->md5, md5, 16) == 0)))
    return;
  row->size = facts->size;
  memcpy (row->md5, md5, 16);
  cab_sizefile_append (table->unsaved, id, facts->size, facts->md5);
  table->unsaved_count++;
}

void cab_sizes_learn (CabSizes *self, const CabScope *scope, const char *id, const CabFacts *facts) {
  SaveJob *job;
  {
    CAB_LOCK_SCOPE (&self->lock);
    Table *table = table_get_locked (self, scope);
    learn_locked (table, id, facts);
    job = take_unsaved_locked (table);
  }
  push_save (self, job);
}

/* --- asking ------------------------------------------------------------------------------------------------- */

typedef struct {
  Table *table;
  CabBlob *blob;
  char *id;
} Probe;

/* A HEAD to be sent. */
typedef struct {
  CabRecord record;
  CabPriority priority;
} Wanted;

static void answer_all (GQueue *waiters, guint64 size, const GError *error) {
  for (Waiter *waiter = g_queue_pop_head (waiters); waiter != NULL; waiter = g_queue_pop_head (waiters)) {
    waiter->done (waiter->data, size, error);
    g_free (waiter);
  }
}

static void on_probe (gpointer data, const CabFacts *facts, const GError *error) {
  Probe *probe = data;
  Table *table = probe->table;
  CabSizes *self = table->owner;
  GQueue waiters = G_QUEUE_INIT;
  SaveJob *job;
  {
    CAB_LOCK_SCOPE (&self->lock);
    if (error == NULL)
      learn_locked (table, probe->id, facts);
    table->progress_us = g_get_monotonic_time ();
    GQueue *queue = g_hash_table_lookup (table->probes, probe->id);
    waiters = *queue;
    g_queue_init (queue);
    g_hash_table_remove (table->probes, probe->id);
    job = take_unsaved_locked (table);
  }
  push_save (self, job);
  answer_all (&waiters, error == NULL ? facts->size : 0, error);
  cab_blob_unref (probe->blob);
  g_free (probe->id);
  g_free (probe);
}

/* Notes a HEAD for @record, with @waiter if that is not NULL: it goes to @ask if it must be sent. */
static void want_locked (Table *table, const CabRecord *record, const Waiter *waiter, GArray *ask) {
  GQueue *waiters = g_hash_table_lookup (table->probes, record->id);
  if (waiters == NULL) {
    waiters = g_queue_new ();
    g_hash_table_insert (table->probes, g_strdup (record->id), waiters);
    Wanted wanted = {*record, waiter != NULL ? CAB_PRIORITY_READER : CAB_PRIORITY_AHEAD};
    g_array_append_val (ask, wanted);
  }
  if (waiter != NULL)
    g_queue_push_tail (waiters, g_memdup2 (waiter, sizeof *waiter));
}

/* Keeps the HEADs of a walk far enough ahead of it, and further the longer it lasts; in pieces, so that none of the
 * walker's steps takes long. */
static void top_up_locked (Table *table, GArray *ask) {
  guint connections = table->owner->options.connections;
  guint next = table->last + 1;
  if (table->hold || table->asked > next + table->window - MIN (table->window / 2, connections))
    return;
  guint end = MIN (cab_records_count (table->records), next + table->window);
  for (guint i = MAX (table->asked, next); i < end; i++) {
    CabRecord record;
    cab_records_get (table->records, i, &record);
    if (record.downloadable && !is_known (&table->rows[i]) && !g_hash_table_contains (table->probes, record.id))
      want_locked (table, &record, NULL, ask);
  }
  table->asked = MAX (table->asked, end);
  table->window = MIN (2 * table->window, CAB_SIZES_AHEAD * connections);
}

static gboolean is_near_locked (const Table *table, guint index) {
  return table->last != NOBODY && index + WALK_STRIDE >= table->last && index <= table->last + WALK_STRIDE;
}

/* Somebody needs a size that is not known. */
static void note_need_locked (Table *table, guint index, GArray *ask) {
  gboolean walks = is_near_locked (table, index) && (table->window > 0 || index > table->last);
  if (!walks || table->window == 0)
    table->asked = 0;
  table->window = !walks ? 0 : MAX (WALK_FIRST_WINDOW, table->window);
  table->last = walks ? MAX (table->last, index) : index;
  if (walks)
    top_up_locked (table, ask);
}

/* Somebody looks at a CAB whose size is known: that alone starts no walk, but goes on with one. */
static void note_look_locked (Table *table, guint index, GArray *ask) {
  if (table->window == 0)
    table->last = index;
  if (table->window == 0 || !is_near_locked (table, index))
    return;
  table->last = MAX (table->last, index);
  top_up_locked (table, ask);
}

/* Sends a HEAD for each record of @ask, to the address that @records has for it. */
static void send_all (Table *table, CabRecords *records, const GArray *ask) {
  for (guint i = 0; i < ask->len; i++) {
    const Wanted *wanted = &g_array_index (ask, Wanted, i);
    CabRecord record = wanted->record;
    guint index;
    g_autofree char *url = NULL;
    if (records != NULL && cab_records_find (records, record.id, strlen (record.id), &index))
      url = cab_records_url (records, index);
    record.url = url;
    Probe *probe = g_new (Probe, 1);
    *probe = (Probe){table, cab_blob_new (table->owner->options.client, table->scope, &record),
                     g_strdup (record.id)};
    cab_blob_probe (probe->blob, wanted->priority, on_probe, probe);
  }
}

gboolean cab_sizes_peek (CabSizes *self, const CabScope *scope, const char *id, CabLook look, guint64 *size,
                         char *md5) {
  g_autoptr (GArray) ask = g_array_new (FALSE, FALSE, sizeof (Wanted));
  g_autoptr (CabRecords) held = NULL;
  Table *table;
  {
    CAB_LOCK_SCOPE (&self->lock);
    table = g_hash_table_lookup (self->tables, scope);
    guint index;
    if (table == NULL || table->records == NULL ||
        !cab_records_find (table->records, id, strlen (id), &index) || !is_known (&table->rows[index]))
      return FALSE;
    *size = table->rows[index].size;
    if (md5 != NULL)
      md5_unpack (table->rows[index].md5, md5);
    if (look == CAB_LOOK_WALK)
      note_look_locked (table, index, ask);
    held = cab_records_ref (table->records); /* what `ask` points into */
  }
  send_all (table, held, ask);
  return TRUE;
}

void cab_sizes_get (CabSizes *self, const CabScope *scope, const CabRecord *record, CabReach reach,
                    gboolean ahead, CabSizeDone done, gpointer data) {
  Waiter waiter = {done, data, g_get_monotonic_time ()};
  g_autoptr (GArray) ask = g_array_new (FALSE, FALSE, sizeof (Wanted));
  g_autoptr (GError) error = NULL;
  g_autoptr (CabRecords) held = NULL;
  Table *table;
  guint64 size = UNKNOWN;
  {
    CAB_LOCK_SCOPE (&self->lock);
    table = table_get_locked (self, scope);
    guint index;
    gboolean listed =
        table->records != NULL && cab_records_find (table->records, record->id, strlen (record->id), &index);
    if (listed)
      size = table->rows[index].size;
    if (size == UNKNOWN && reach == CAB_REACH_NETWORK) {
      want_locked (table, record, &waiter, ask);
      table->hold = !ahead;
      if (listed)
        note_need_locked (table, index, ask);
    }
    held = table->records != NULL ? cab_records_ref (table->records) : NULL;
  }
  send_all (table, held, ask);
  if (size == UNKNOWN && reach == CAB_REACH_LOCAL)
    error = g_error_new (CAB_ERROR, CAB_ERROR_DENIED, "size not known without asking the blob host");
  if (size != UNKNOWN || error != NULL)
    done (data, error == NULL ? size : 0, error);
}

void cab_sizes_tick (CabSizes *self, gint64 now_us) {
  GQueue late = G_QUEUE_INIT;
  gint64 timeout_us = (gint64) self->options.timeout_ms * 1000;
  {
    CAB_LOCK_SCOPE (&self->lock);
    GHashTableIter tables, probes;
    gpointer table_value, queue_value;
    g_hash_table_iter_init (&tables, self->tables);
    while (g_hash_table_iter_next (&tables, NULL, &table_value)) {
      Table *table = table_value;
      g_hash_table_iter_init (&probes, table->probes);
      while (g_hash_table_iter_next (&probes, NULL, &queue_value)) {
        GQueue *waiters = queue_value;
        for (GList *link = waiters->head, *next; link != NULL; link = next) {
          const Waiter *waiter = link->data;
          next = link->next;
          if (now_us - MAX (waiter->since_us, table->progress_us) < timeout_us)
            continue;
          g_queue_unlink (waiters, link);
          g_queue_push_tail_link (&late, link);
        }
      }
    }
  }
  g_autoptr (GError) error = g_error_new (
      CAB_ERROR, CAB_ERROR_TIMEOUT, "no answer from the blob hosts for %u s", self->options.timeout_ms / 1000);
  answer_all (&late, 0, error);
}
