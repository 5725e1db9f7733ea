/* The form of a snapshot on disk: a head, then rows, words and strings as they lie in memory.  Addresses are no
 * part of it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "client/error.h"
#include "client/records_private.h"

#include <string.h>

#define MAGIC   "CABLIST\n"
#define VERSION 1u
#define SUM_LEN 32

typedef struct {
  char magic[8];
  guint32 version; /* also tells the byte order */
  guint32 n_rows;
  guint32 n_words;
  guint32 n_strings;
  guint32 skipped;
  guint32 zero;
  guint8 sum[SUM_LEN]; /* SHA-256 of all, taken with zeros here */
} Head;

static void get_sum (const Head *head, const guint8 *rest, gsize len, guint8 sum[SUM_LEN]) {
  Head blank = *head;
  memset (blank.sum, 0, SUM_LEN);
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);
  g_checksum_update (checksum, (const guchar *)&blank, sizeof blank);
  g_checksum_update (checksum, rest, (gssize)len);
  gsize sum_len = SUM_LEN;
  g_checksum_get_digest (checksum, sum, &sum_len);
}

/* Bytes behind the head; each number has 32 bits, so this cannot overflow. */
static guint64 get_rest_len (const Head *head) {
  return (guint64)head->n_rows * sizeof (CabRow) + (guint64)head->n_words * sizeof (guint32) + head->n_strings;
}

GBytes *cab_records_save (const CabRecords *self) {
  Head head = {
      .version = VERSION,
      .n_rows = self->n_rows,
      .n_words = self->n_words,
      .n_strings = self->n_strings,
      .skipped = self->skipped,
  };
  memcpy (head.magic, MAGIC, sizeof head.magic);
  gsize len = get_rest_len (&head);
  guint8 *bytes = g_malloc (sizeof head + len);
  guint8 *at = bytes + sizeof head;
  for (guint32 i = 0; i < self->n_rows; i++, at += sizeof (CabRow)) {
    CabRow row = self->rows[i];
    row.url = 0;
    memcpy (at, &row, sizeof row);
  }
  memcpy (at, self->words, self->n_words * sizeof (guint32));
  memcpy (at + self->n_words * sizeof (guint32), self->strings, self->n_strings);
  get_sum (&head, bytes + sizeof head, len, head.sum);
  memcpy (bytes, &head, sizeof head);
  return g_bytes_new_take (bytes, sizeof head + len);
}

static gboolean is_cell_list (const CabRecords *self, guint32 index, guint32 n) {
  if (index > self->n_words || n > self->n_words - index)
    return FALSE;
  for (guint32 i = 0; i < n; i++)
    if (self->words[index + i] >= self->n_strings)
      return FALSE;
  return TRUE;
}

static gboolean is_row (const CabRecords *self, guint32 i) {
  const CabRow *row = &self->rows[i];
  if (row->id >= self->n_strings || !cab_record_id_is_safe (self->strings + row->id) || row->url != 0)
    return FALSE;
  if (i > 0 && strcmp (self->strings + row[-1].id, self->strings + row->id) >= 0)
    return FALSE;
  if (row->shape >= self->n_words)
    return FALSE;
  guint32 n = self->words[row->shape];
  return n <= CAB_FIELDS_MAX && is_cell_list (self, row->shape + 1, n) && is_cell_list (self, row->values, n);
}

static gboolean is_consistent (const CabRecords *self) {
  /* With this every offset below the length is a string that ends. */
  if (self->n_strings == 0 || self->strings[self->n_strings - 1] != '\0')
    return FALSE;
  /* The shape of a row without fields is always there. */
  if (self->n_words == 0)
    return FALSE;
  for (guint32 i = 0; i < self->n_rows; i++)
    if (!is_row (self, i))
      return FALSE;
  return TRUE;
}

static const char *find_fault (const Head *head, const guint8 *bytes, gsize len) {
  if (len < sizeof *head || memcmp (head->magic, MAGIC, sizeof head->magic) != 0)
    return "not a saved listing";
  if (head->version != VERSION || head->zero != 0)
    return "of another version";
  if (get_rest_len (head) != len - sizeof *head)
    return "of the wrong length";
  guint8 sum[SUM_LEN];
  get_sum (head, bytes + sizeof *head, len - sizeof *head, sum);
  return memcmp (sum, head->sum, SUM_LEN) != 0 ? "damaged" : NULL;
}

CabRecords *cab_records_load (GBytes *bytes, GError **error) {
  gsize len;
  const guint8 *data = g_bytes_get_data (bytes, &len);
  Head head = {0};
  if (len > 0)
    memcpy (&head, data, MIN (len, sizeof head));
  const char *fault = find_fault (&head, data, len);
  if (fault != NULL) {
    g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID, "saved listing: %s", fault);
    return NULL;
  }
  const guint8 *at = data + sizeof head;
  gsize rows_len = head.n_rows * sizeof (CabRow);
  gsize words_len = head.n_words * sizeof (guint32);
  g_autoptr (CabRecords) self = cab_records_make (&(CabRecords){
      .rows = g_memdup2 (at, rows_len),
      .words = g_memdup2 (at + rows_len, words_len),
      .strings = g_memdup2 (at + rows_len + words_len, head.n_strings),
      .n_rows = head.n_rows,
      .n_words = head.n_words,
      .n_strings = head.n_strings,
      .skipped = head.skipped,
  });
  if (!is_consistent (self)) {
    g_set_error_literal (error, CAB_ERROR, CAB_ERROR_INVALID, "saved listing: contradicts itself");
    return NULL;
  }
  return g_steal_pointer (&self);
}
