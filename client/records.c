/* SPDX-License-Identifier: MIT */
#include "client/records_private.h"

#include <string.h>

CabRecords *cab_records_make (const CabRecords *parts) {
  CabRecords *self = g_memdup2 (parts, sizeof *parts);
  cab_ref_init (&self->refs);
  self->newest = CAB_TIME_UNKNOWN; /* the least number there is */
  for (guint32 i = 0; i < self->n_rows; i++)
    self->newest = MAX (self->newest, self->rows[i].date);
  return self;
}

CabRecords *cab_records_ref (CabRecords *self) {
  cab_ref_take (&self->refs);
  return self;
}

void cab_records_unref (CabRecords *self) {
  if (self == NULL || !cab_ref_drop (&self->refs))
    return;
  g_free (self->rows);
  g_free (self->words);
  g_free (self->strings);
  g_free (self->secrets);
  g_free (self);
}

guint cab_records_count (const CabRecords *self) {
  return self->n_rows;
}

guint cab_records_skipped (const CabRecords *self) {
  return self->skipped;
}

gint64 cab_records_newest (const CabRecords *self) {
  return self->newest;
}

void cab_records_get (const CabRecords *self, guint index, CabRecord *out) {
  g_assert (index < self->n_rows);
  const CabRow *row = &self->rows[index];
  *out = (CabRecord){
      .id = self->strings + row->id,
      .date = row->date,
      .expires = row->expires,
      .downloadable = row->downloadable,
  };
}

char *cab_records_url (const CabRecords *self, guint index) {
  g_assert (index < self->n_rows);
  const CabRow *row = &self->rows[index];
  if (row->url == 0)
    return NULL;
  CabUrl url;
  memcpy (&url, self->secrets + row->url, sizeof url);
  const char *own = self->secrets + row->url + sizeof url;
  const char *head = self->secrets + url.head;
  const char *middle = self->secrets + url.frame;
  const char *tail = middle + strlen (middle) + 1;
  return g_strconcat (head, *head != '\0' ? self->strings + row->id : "", middle, own, tail, NULL);
}

static int compare_id (const char *id, const char *other, gsize other_len) {
  gsize len = strlen (id);
  int order = memcmp (id, other, MIN (len, other_len));
  return order != 0 ? order : (len > other_len) - (len < other_len);
}

gboolean cab_records_find (const CabRecords *self, const char *id, gsize id_len, guint *index) {
  guint low = 0;
  guint high = self->n_rows;
  while (low < high) {
    guint middle = low + (high - low) / 2;
    int order = compare_id (self->strings + self->rows[middle].id, id, id_len);
    if (order == 0) {
      if (index != NULL)
        *index = middle;
      return TRUE;
    }
    if (order < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return FALSE;
}

void cab_records_foreach_field (const CabRecords *self, guint index, CabFieldFunc func, gpointer data) {
  g_assert (index < self->n_rows);
  const CabRow *row = &self->rows[index];
  const guint32 *shape = self->words + row->shape;
  for (guint32 i = 0; i < shape[0]; i++)
    func (data, self->strings + shape[1 + i], self->strings + self->words[row->values + i]);
}

gboolean cab_record_id_is_safe (const char *id) {
  if (id[0] == '\0' || id[0] == '.')
    return FALSE;
  gsize len = 0;
  for (; id[len] != '\0'; len++)
    if (len == 128 || (!g_ascii_isalnum (id[len]) && strchr ("._-", id[len]) == NULL))
      return FALSE;
  return TRUE;
}
