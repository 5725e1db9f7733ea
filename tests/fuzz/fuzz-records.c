/* SPDX-License-Identifier: MIT
 *
 * A list as it lies on disk: packed records.  What is loaded is the input as it is, and once more with lengths and
 * checksum that fit it, which chance would never find: the input is then three numbers (rows, words, skipped), one byte
 * each, and what follows the head of a file.
 */
#include "client/error.h"
#include "client/records_private.h"
#include "tests/fuzz/fuzz.h"

/* The head, as records_save.c has it. */
#define HEAD_LEN   64
#define SUM_OFFSET 32
#define SUM_LEN    32

static void see_field (gpointer data, const char *name, const char *value) {
  gsize *bytes = data;
  *bytes += strlen (name) + strlen (value);
}

/* Everything that can be asked of a record. */
static void use_record (const CabRecords *records, guint i) {
  CabRecord record;
  guint found;
  gsize bytes = 0;
  cab_records_get (records, i, &record);
  g_assert_true (cab_record_id_is_safe (record.id));
  g_assert_true (cab_records_find (records, record.id, strlen (record.id), &found) && found == i);
  g_assert_null (cab_records_url (records, i));
  cab_records_foreach_field (records, i, see_field, &bytes);
}

/* What was taken is whole, and is written again as it was. */
static void check (const void *bytes, gsize len) {
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) file = g_bytes_new (bytes, len);
  g_autoptr (CabRecords) records = cab_records_load (file, &error);
  if (records == NULL) {
    g_assert_error (error, CAB_ERROR, CAB_ERROR_INVALID);
    return;
  }
  for (guint i = 0; i < cab_records_count (records); i++) {
    use_record (records, i);
    CabRecord record;
    cab_records_get (records, i, &record);
    g_assert_cmpint (record.date, <=, cab_records_newest (records));
  }
  g_autoptr (GBytes) again = cab_records_save (records);
  g_assert_true (g_bytes_equal (again, file));
}

static void put_number (GByteArray *file, guint32 number) {
  g_byte_array_append (file, (const guint8 *) &number, sizeof number);
}

/* The file that holds @data behind a head that fits it. */
static GByteArray *make_file (const uint8_t *data, size_t size) {
  guint32 rows = data[0], words = data[1], skipped = data[2];
  data += 3;
  size -= 3;
  rows = MIN (rows, (guint32) (size / sizeof (CabRow)));
  words = MIN (words, (guint32) ((size - rows * sizeof (CabRow)) / sizeof (guint32)));
  GByteArray *file = g_byte_array_new ();
  g_byte_array_append (file, (const guint8 *) "CABLIST\n", 8);
  put_number (file, 1);
  put_number (file, rows);
  put_number (file, words);
  put_number (file, (guint32) (size - rows * sizeof (CabRow) - words * sizeof (guint32)));
  put_number (file, skipped);
  while (file->len < HEAD_LEN)
    put_number (file, 0);
  g_byte_array_append (file, data, (guint) size);
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  g_checksum_update (sum, file->data, (gssize) file->len);
  gsize sum_len = SUM_LEN;
  g_checksum_get_digest (sum, file->data + SUM_OFFSET, &sum_len);
  return file;
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size) {
  check (data, size);
  if (size < 3)
    return 0;
  g_autoptr (GByteArray) file = make_file (data, size);
  check (file->data, file->len);
  return 0;
}
