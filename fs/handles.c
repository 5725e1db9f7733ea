/* SPDX-License-Identifier: MIT */
#include "fs/handles.h"

#include "client/sync.h"
#include "fs/names.h"

/* What a row of a list stands for: of failures the directory, of CABs the file and, open, the directory beside it. */
typedef struct {
  guint64 ino;
  guint32 list;     /* in `lists` */
  guint32 row : 31; /* of its records */
  guint32 open : 1;
} Entry;

typedef struct {
  CabScope *scope;
  CabRecords *records;
} List;

struct CabHandles {
  CabCache *cache; /* set at creation */
  pthread_mutex_t lock;
  GPtrArray *lists; /* lock: of List, owned */
  GArray *index;    /* lock: of Entry, sorted by number */
  guint64 version;  /* lock: of all lists, when the index was made; 0: there is none */
};

void cab_place_clear (CabPlace *place) {
  g_free (place->family);
  for (guint i = 0; i < G_N_ELEMENTS (place->names); i++)
    g_free (place->names[i]);
  *place = (CabPlace){0};
}

static void list_free (gpointer data) {
  List *list = data;
  cab_scope_free (list->scope);
  cab_records_unref (list->records);
  g_free (list);
}

CabHandles *cab_handles_new (CabCache *cache) {
  CabHandles *self = g_new0 (CabHandles, 1);
  self->cache = cache;
  pthread_mutex_init (&self->lock, NULL);
  self->lists = g_ptr_array_new_with_free_func (list_free);
  self->index = g_array_new (FALSE, FALSE, sizeof (Entry));
  return self;
}

void cab_handles_free (CabHandles *self) {
  if (self == NULL)
    return;
  g_ptr_array_unref (self->lists);
  g_array_unref (self->index);
  pthread_mutex_destroy (&self->lock);
  g_free (self);
}

/* --- the index ---------------------------------------------------------------------------------------------- */

static char *name_of (const List *list, guint row, gboolean open) {
  CabRecord record;
  cab_records_get (list->records, row, &record);
  if (list->scope->failure == NULL)
    return g_strdup (record.id);
  return g_strconcat (record.id, open ? CAB_NAME_OPEN : CAB_NAME_CAB, NULL);
}

static void add (GArray *index, const List *list, Entry entry) {
  g_autofree char *name = name_of (list, entry.row, entry.open);
  g_autofree char *path =
      g_strjoin ("/", list->scope->application, list->scope->failure != NULL ? list->scope->failure : name,
                 list->scope->failure != NULL ? name : NULL, NULL);
  entry.ino = cab_name_inode (path);
  g_array_append_val (index, entry);
}

static gint compare (gconstpointer a, gconstpointer b) {
  guint64 x = ((const Entry *) a)->ino, y = ((const Entry *) b)->ino;
  return x < y ? -1 : x > y;
}

static GArray *index_new (const GPtrArray *lists) {
  GArray *index = g_array_new (FALSE, FALSE, sizeof (Entry));
  for (guint i = 0; i < lists->len; i++) {
    const List *list = g_ptr_array_index (lists, i);
    guint rows = cab_records_count (list->records);
    for (guint row = 0; row < rows; row++)
      for (guint open = 0; open <= (list->scope->failure != NULL ? 1 : 0); open++)
        add (index, list, (Entry){.list = i, .row = row & G_MAXINT32, .open = open & 1});
  }
  g_array_sort (index, compare);
  return index;
}

static void on_list (gpointer data, const CabScope *scope, CabRecords *records) {
  GPtrArray *lists = data;
  List *list = g_new (List, 1);
  *list = (List){cab_scope_copy (scope), cab_records_ref (records)};
  g_ptr_array_add (lists, list);
}

/* Another index, if there are other lists.  It is made without the lock; two threads may both do it. */
static void follow (CabHandles *self) {
  guint64 version = cab_cache_lists_version (self->cache);
  {
    CAB_LOCK_SCOPE (&self->lock);
    if (self->version == version && version != 0)
      return;
  }
  g_autoptr (GPtrArray) lists = g_ptr_array_new_with_free_func (list_free);
  cab_cache_each_list (self->cache, on_list, lists);
  g_autoptr (GArray) index = index_new (lists);
  CAB_LOCK_SCOPE (&self->lock);
  GPtrArray *old_lists = self->lists;
  GArray *old_index = self->index;
  self->lists = g_steal_pointer (&lists);
  self->index = g_steal_pointer (&index);
  self->version = version;
  lists = old_lists;
  index = old_index;
}

/* --- looking ------------------------------------------------------------------------------------------------ */

static gboolean look (CabHandles *self, guint64 ino, CabPlace *place) {
  CAB_LOCK_SCOPE (&self->lock);
  const Entry wanted = {.ino = ino};
  guint at;
  if (!g_array_binary_search (self->index, &wanted, compare, &at))
    return FALSE;
  const Entry *entry = &g_array_index (self->index, Entry, at);
  const List *list = g_ptr_array_index (self->lists, entry->list);
  *place = (CabPlace){.family = g_strdup (list->scope->family),
                      .names = {g_strdup (list->scope->application), g_strdup (list->scope->failure)}};
  place->names[list->scope->failure != NULL ? 2 : 1] = name_of (list, entry->row, entry->open);
  return TRUE;
}

/* A directory whose own row is in no list: it was reached by its name, and its list was kept. */
static gboolean look_above (CabHandles *self, guint64 ino, CabPlace *place) {
  CAB_LOCK_SCOPE (&self->lock);
  for (guint i = 0; i < self->lists->len; i++) {
    const CabScope *scope = ((const List *) g_ptr_array_index (self->lists, i))->scope;
    g_autofree char *path = g_strjoin ("/", scope->application, scope->failure, NULL);
    gboolean failure = scope->failure != NULL && cab_name_inode (path) == ino;
    if (!failure && cab_name_inode (scope->application) != ino)
      continue;
    *place = (CabPlace){.family = g_strdup (scope->family),
                        .names = {g_strdup (scope->application), failure ? g_strdup (scope->failure) : NULL}};
    return TRUE;
  }
  return FALSE;
}

gboolean cab_handles_find (CabHandles *self, guint64 ino, char *const *applications, CabPlace *place) {
  for (guint i = 0; applications[i] != NULL; i++)
    if (cab_name_inode (applications[i]) == ino) {
      *place = (CabPlace){.names = {g_strdup (applications[i])}};
      return TRUE;
    }
  follow (self);
  return look (self, ino, place) || look_above (self, ino, place);
}
