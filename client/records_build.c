/* SPDX-License-Identifier: MIT */
#include "client/heap.h"
#include "client/records_private.h"

#include <math.h>
#include <string.h>

#define SHAPES_RECENT 64

struct CabRecordsBuilder {
  GArray *rows;  /* of CabRow, in the order they came */
  GArray *words; /* of guint32; begins with the empty shape */
  CabHeap strings;
  CabHeap secrets;
  GHashTable *names; /* every field name, owned: offset in strings */
  guint32 shapes[SHAPES_RECENT];
  guint32 *index; /* open hash table of row number + 1 by id; 0 is free */
  gsize n_index;  /* a power of two, at least twice the rows */
  guint64 seed;
  GHashTable *seen; /* of failures: hash of a row without its count (gint64, owned): page it was on */
  guint page;
  guint skipped;
  GString *scratch;
};

/* The fields of a row, as offsets in strings. */
typedef struct {
  guint32 n;
  guint32 names[CAB_FIELDS_MAX];
  guint32 values[CAB_FIELDS_MAX];
} Cells;

CabRecordsBuilder *cab_records_builder_new (void) {
  CabRecordsBuilder *self = g_new0 (CabRecordsBuilder, 1);
  self->rows = g_array_new (FALSE, FALSE, sizeof (CabRow));
  self->words = g_array_new (FALSE, TRUE, sizeof (guint32));
  g_array_set_size (self->words, 1);
  cab_heap_init (&self->strings);
  cab_heap_init (&self->secrets);
  self->names = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  self->n_index = 64;
  self->index = g_new0 (guint32, self->n_index);
  self->seed = CAB_HASH_SEED ^ ((guint64) g_random_int () << 32 | g_random_int ());
  self->seen = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
  self->scratch = g_string_new (NULL);
  return self;
}

void cab_records_builder_free (CabRecordsBuilder *self) {
  if (self == NULL)
    return;
  g_clear_pointer (&self->rows, g_array_unref);
  g_clear_pointer (&self->words, g_array_unref);
  cab_heap_clear (&self->strings);
  cab_heap_clear (&self->secrets);
  g_hash_table_unref (self->names);
  g_free (self->index);
  g_hash_table_unref (self->seen);
  g_string_free (self->scratch, TRUE);
  g_free (self);
}

void cab_records_builder_begin_page (CabRecordsBuilder *self) {
  self->page++;
}

void cab_records_builder_skip (CabRecordsBuilder *self) {
  self->skipped++;
}

guint cab_records_builder_count (const CabRecordsBuilder *self) {
  return self->rows->len;
}

static CabRow *row_at (const CabRecordsBuilder *self, guint i) {
  return &g_array_index (self->rows, CabRow, i);
}

/* --- finding a row by its id --------------------------------------------------------------------------------- */

static guint32 *find_slot (const CabRecordsBuilder *self, const char *id) {
  gsize i = cab_hash_bytes (self->seed, id, strlen (id));
  for (;; i++) {
    guint32 *slot = &self->index[i & (self->n_index - 1)];
    if (*slot == 0 || strcmp (cab_heap_at (&self->strings, row_at (self, *slot - 1)->id), id) == 0)
      return slot;
  }
}

static void grow_index (CabRecordsBuilder *self) {
  if (self->rows->len < self->n_index / 2)
    return;
  g_free (self->index);
  self->n_index *= 2;
  self->index = g_new0 (guint32, self->n_index);
  for (guint i = 0; i < self->rows->len; i++)
    *find_slot (self, cab_heap_at (&self->strings, row_at (self, i)->id)) = i + 1;
}

/* --- fields -------------------------------------------------------------------------------------------------- */

/* A snapshot goes to disk without addresses, so none may hide in a field that nobody knows. */
static gboolean holds_address (const char *value) {
  return strstr (value, "://") != NULL || strcasestr (value, "sig=") != NULL ||
         strcasestr (value, "sig%3d") != NULL;
}

static guint32 intern_name (CabRecordsBuilder *self, const char *name) {
  gpointer known = g_hash_table_lookup (self->names, name);
  if (known != NULL)
    return GPOINTER_TO_UINT (known);
  guint32 offset = cab_heap_add (&self->strings, name, strlen (name));
  g_hash_table_insert (self->names, g_strdup (name), GUINT_TO_POINTER (offset));
  return offset;
}

static guint32 intern_value (CabRecordsBuilder *self, const char *value) {
  return cab_heap_intern (&self->strings, value, strlen (value));
}

static void collect_cells (CabRecordsBuilder *self, const char *const *fields, Cells *out) {
  out->n = 0;
  for (; fields != NULL && fields[0] != NULL && out->n < CAB_FIELDS_MAX; fields += 2) {
    if (fields[0][0] == '\0' || holds_address (fields[0]) || holds_address (fields[1]))
      continue;
    out->names[out->n] = intern_name (self, fields[0]);
    out->values[out->n++] = intern_value (self, fields[1]);
  }
}

static guint32 intern_shape (CabRecordsBuilder *self, const Cells *cells) {
  guint32 shape[1 + CAB_FIELDS_MAX] = {cells->n};
  memcpy (shape + 1, cells->names, cells->n * sizeof *shape);
  gsize size = (1 + (gsize) cells->n) * sizeof *shape;
  guint32 *recent = &self->shapes[cab_hash_bytes (CAB_HASH_SEED, shape, size) % SHAPES_RECENT];
  const guint32 *words = &g_array_index (self->words, guint32, *recent);
  if (words[0] != cells->n || memcmp (words, shape, size) != 0) {
    *recent = self->words->len;
    g_array_append_vals (self->words, shape, 1 + cells->n);
  }
  return *recent;
}

static void write_cells (CabRecordsBuilder *self, CabRow *row, const Cells *cells) {
  guint32 shape = intern_shape (self, cells);
  if (shape != row->shape) {
    row->shape = shape;
    row->values = self->words->len & CAB_WORDS_MAX;
    g_array_set_size (self->words, self->words->len + cells->n);
  }
  if (cells->n > 0)
    memcpy (&g_array_index (self->words, guint32, row->values), cells->values, cells->n * sizeof (guint32));
}

static void read_cells (const CabRecordsBuilder *self, const CabRow *row, Cells *out) {
  const guint32 *shape = &g_array_index (self->words, guint32, row->shape);
  out->n = shape[0];
  memcpy (out->names, shape + 1, out->n * sizeof (guint32));
  if (out->n > 0)
    memcpy (out->values, &g_array_index (self->words, guint32, row->values), out->n * sizeof (guint32));
}

/* Where the field is in @cells, or where it would be added. */
static guint32 find_cell (const Cells *cells, guint32 name) {
  guint32 i = 0;
  while (i < cells->n && cells->names[i] != name)
    i++;
  return i;
}

/* --- addresses ----------------------------------------------------------------------------------------------- */

/* Where in @url the value of the parameter `sig` begins, or its end. */
static const char *find_signature (const char *url) {
  for (const char *p = strstr (url, "sig="); p != NULL; p = strstr (p + 1, "sig="))
    if (p > url && (p[-1] == '?' || p[-1] == '&'))
      return p + strlen ("sig=");
  return url + strlen (url);
}

/* Host, container and parameters repeat from row to row; the id is there already; what is left is the signature. */
static void write_url (CabRecordsBuilder *self, CabRow *row, const char *id, const char *url) {
  row->url = 0;
  if (url == NULL || *url == '\0')
    return;
  CabUrl parts = {0, 0};
  const char *at = strstr (url, id);
  if (at != NULL && at > url) {
    parts.head = cab_heap_intern (&self->secrets, url, (gsize) (at - url));
    url = at + strlen (id);
  }
  const char *own = find_signature (url);
  gsize own_len = strcspn (own, "&#");
  g_string_truncate (self->scratch, 0);
  g_string_append_len (self->scratch, url, own - url);
  g_string_append_c (self->scratch, '\0');
  g_string_append (self->scratch, own + own_len);
  parts.frame = cab_heap_intern (&self->secrets, self->scratch->str, self->scratch->len);

  g_string_truncate (self->scratch, 0);
  g_string_append_len (self->scratch, (const char *) &parts, sizeof parts);
  g_string_append_len (self->scratch, own, (gssize) own_len);
  row->url = cab_heap_add (&self->secrets, self->scratch->str, self->scratch->len);
}

/* --- rows ---------------------------------------------------------------------------------------------------- */

/* TRUE if 32-bit offsets reach over all that the row may add. */
static gboolean has_room (const CabRecordsBuilder *self, const CabRecord *record, const char *const *fields) {
  gsize strings = strlen (record->id) + 256; /* 256: a sum of counts and the name of its field */
  for (; fields != NULL && *fields != NULL; fields++)
    strings += strlen (*fields) + 1;
  gsize secrets = record->url != NULL ? strlen (record->url) + 64 : 0;
  return strings < cab_heap_room (&self->strings) && secrets < cab_heap_room (&self->secrets) &&
         self->words->len < CAB_WORDS_MAX - 2 * CAB_FIELDS_MAX - 2;
}

static void write_row (CabRecordsBuilder *self, CabRow *row, const CabRecord *record, const Cells *cells) {
  row->date = record->date;
  row->expires = record->expires;
  row->downloadable = record->downloadable ? 1 : 0;
  write_cells (self, row, cells);
  write_url (self, row, record->id, record->url);
}

/* Of two rows of one CAB the later expiry counts, then that there is an address. */
static gboolean is_better (const CabRow *row, const CabRecord *record) {
  if (record->expires != row->expires)
    return record->expires > row->expires;
  return row->url == 0 && record->url != NULL && record->url[0] != '\0';
}

/* Counts may be fractions (api-contract.md 3.3); whole ones stay exact. */
static char *add_counts (const char *a, const char *b) {
  guint64 x, y, sum;
  if (g_ascii_string_to_unsigned (a, 10, 0, G_MAXUINT64, &x, NULL) &&
      g_ascii_string_to_unsigned (b, 10, 0, G_MAXUINT64, &y, NULL) && g_uint64_checked_add (&sum, x, y))
    return g_strdup_printf ("%" G_GUINT64_FORMAT, sum);
  double total = g_ascii_strtod (a, NULL) + g_ascii_strtod (b, NULL);
  if (!isfinite (total))
    return g_strdup (a);
  char text[G_ASCII_DTOSTR_BUF_SIZE];
  return g_strdup (g_ascii_formatd (text, sizeof text, "%.15g", total));
}

static void merge_failure (CabRecordsBuilder *self, CabRow *row, const CabRecord *record, const Cells *cells,
                           const char *count_field) {
  Cells before;
  read_cells (self, row, &before);
  Cells merged = record->date > row->date ? *cells : before;
  guint32 name = intern_name (self, count_field);
  guint32 x = find_cell (&before, name);
  guint32 y = find_cell (cells, name);
  guint32 z = find_cell (&merged, name);
  if (z < CAB_FIELDS_MAX && (x < before.n || y < cells->n)) {
    g_autofree char *sum = add_counts (x < before.n ? cab_heap_at (&self->strings, before.values[x]) : "0",
                                       y < cells->n ? cab_heap_at (&self->strings, cells->values[y]) : "0");
    merged.names[z] = name;
    merged.values[z] = intern_value (self, sum);
    merged.n = MAX (merged.n, z + 1);
  }
  row->date = MAX (row->date, record->date);
  row->expires = MAX (row->expires, record->expires);
  write_cells (self, row, &merged);
}

/* TRUE if an earlier page had the same row of a failure; its count may have grown since. */
static gboolean was_on_earlier_page (CabRecordsBuilder *self, const CabRecord *record,
                                     const char *const *fields, const char *count_field) {
  guint64 hash = cab_hash_bytes (self->seed, record->id, strlen (record->id) + 1);
  hash = cab_hash_bytes (hash, &record->date, sizeof record->date);
  for (; fields != NULL && fields[0] != NULL; fields += 2) {
    if (strcmp (fields[0], count_field) == 0)
      continue;
    hash = cab_hash_bytes (hash, fields[0], strlen (fields[0]) + 1);
    hash = cab_hash_bytes (hash, fields[1], strlen (fields[1]) + 1);
  }
  gpointer page;
  if (g_hash_table_lookup_extended (self->seen, &hash, NULL, &page))
    return GPOINTER_TO_UINT (page) != self->page;
  g_hash_table_insert (self->seen, g_memdup2 (&hash, sizeof hash), GUINT_TO_POINTER (self->page));
  return FALSE;
}

static void append_row (CabRecordsBuilder *self, guint32 *slot, const CabRecord *record, const Cells *cells) {
  CabRow row = {.id = cab_heap_add (&self->strings, record->id, strlen (record->id))};
  write_row (self, &row, record, cells);
  g_array_append_val (self->rows, row);
  *slot = self->rows->len;
  grow_index (self);
}

gboolean cab_records_builder_add (CabRecordsBuilder *self, const CabRecord *record, const char *const *fields,
                                  const char *count_field) {
  if (!cab_record_id_is_safe (record->id) || !has_room (self, record, fields)) {
    self->skipped++;
    return FALSE;
  }
  guint32 *slot = find_slot (self, record->id);
  CabRow *row = *slot != 0 ? row_at (self, *slot - 1) : NULL;
  if (count_field != NULL && was_on_earlier_page (self, record, fields, count_field))
    return FALSE;
  if (count_field == NULL && row != NULL && !is_better (row, record))
    return FALSE;
  Cells cells;
  collect_cells (self, fields, &cells);
  if (row == NULL)
    append_row (self, slot, record, &cells);
  else if (count_field != NULL)
    merge_failure (self, row, record, &cells, count_field);
  else
    write_row (self, row, record, &cells);
  return row == NULL || count_field != NULL;
}

static int compare_rows (const void *a, const void *b, void *strings) {
  const CabRow *x = a;
  const CabRow *y = b;
  return strcmp ((const char *) strings + x->id, (const char *) strings + y->id);
}

static gpointer steal_array (GArray **array, gsize element_size, guint32 *len) {
  *len = (*array)->len;
  gpointer data = g_array_free (g_steal_pointer (array), FALSE);
  return g_realloc (data, *len * element_size);
}

CabRecords *cab_records_builder_end (CabRecordsBuilder *self) {
  CabRecords parts = {.skipped = self->skipped};
  parts.rows = steal_array (&self->rows, sizeof (CabRow), &parts.n_rows);
  parts.words = steal_array (&self->words, sizeof (guint32), &parts.n_words);
  parts.strings = cab_heap_steal (&self->strings, &parts.n_strings);
  parts.secrets = cab_heap_steal (&self->secrets, &parts.n_secrets);
  if (parts.n_rows > 1)
    qsort_r (parts.rows, parts.n_rows, sizeof (CabRow), compare_rows, parts.strings);
  cab_records_builder_free (self);
  return cab_records_make (&parts);
}
