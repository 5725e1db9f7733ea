/* SPDX-License-Identifier: MIT
 *
 * The pages of a list, as each family answers.  The first byte says what was asked (questions[], 'a' the first); pages
 * stand one behind the other, with the byte 0x1e between, which is in no JSON.
 */
#include "client/api.h"
#include "client/error.h"
#include "tests/fuzz/fuzz.h"

#define PAGE_END '\x1e'

#define TEXT(literal) ((char *) (guintptr) (literal)) /* never written */

static const struct {
  CabScope scope;
  guint way;
} questions[] = {
    {{TEXT ("driver"), TEXT ("14000000000000001"), TEXT ("0f0e0d0c-0b0a-0908-0706-050403020100")}, 0}, /* a */
    {{TEXT ("driver"), TEXT ("14000000000000001"), TEXT ("0f0e0d0c-0b0a-0908-0706-050403020100")}, 1}, /* b */
    {{TEXT ("driver"), TEXT ("14000000000000001"), NULL}, 0},                                          /* c */
    {{TEXT ("driver"), NULL, NULL}, 0},                                                                /* d */
    {{TEXT ("desktop"), TEXT ("10238467886765136388"), TEXT ("1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed")}, 0},
    {{TEXT ("desktop"), TEXT ("10238467886765136388"), NULL}, 0},                                 /* f */
    {{TEXT ("desktop"), NULL, NULL}, 0},                                                          /* g */
    {{TEXT ("store"), TEXT ("9NBLGGGZ5QDR"), TEXT ("07c94f42-fed1-4c1f-9d6e-5a3b2c1d0e0f")}, 0},  /* h */
    {{TEXT ("store"), TEXT ("9NBLGGGZ5QDR"), NULL}, 0},                                           /* i */
    {{TEXT ("store"), NULL, NULL}, 0},                                                            /* j */
    {{TEXT ("ihvdriver"), TEXT ("ihvdriver"), TEXT ("0f0e0d0c-0b0a-0908-0706-050403020100")}, 0}, /* k */
    {{TEXT ("ihvdriver"), TEXT ("ihvdriver"), NULL}, 0},                                          /* l */
    {{TEXT ("hardware"), TEXT ("hardware"), TEXT ("0f0e0d0c-0b0a-0908-0706-050403020100")}, 0},   /* m */
    {{TEXT ("hardware"), TEXT ("hardware"), NULL}, 0},                                            /* n */
};

/* It is put behind the API host's name. */
static void check_next (const char *next) {
  if (next == NULL)
    return;
  g_assert_true (next[0] == '/');
  for (const char *p = next; *p != '\0'; p++)
    g_assert_true (g_ascii_isgraph (*p) && *p != '#');
}

static void check_field (gpointer data, const char *name, const char *value) {
  guint *n = data;
  (*n)++;
  g_assert_cmpstr (name, !=, "");
  g_assert_null (strstr (value, "://"));
  g_assert_null (strcasestr (value, "sig="));
}

static void check_record (const CabRecords *records, guint i) {
  CabRecord record;
  guint found, fields = 0;
  cab_records_get (records, i, &record);
  g_assert_true (cab_record_id_is_safe (record.id));
  g_assert_true (cab_records_find (records, record.id, strlen (record.id), &found) && found == i);
  cab_records_foreach_field (records, i, check_field, &fields);
  g_assert_cmpuint (fields, <=, CAB_FIELDS_MAX);
  g_assert_cmpint (record.date, <=, cab_records_newest (records));
  g_autofree char *url = cab_records_url (records, i);
  g_assert_true (url == NULL || url[0] != '\0');
}

/* The list goes to the disk and comes back. */
static void check_records (const CabRecords *records) {
  for (guint i = 0; i < cab_records_count (records); i++)
    check_record (records, i);
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) saved = cab_records_save (records);
  g_autoptr (CabRecords) loaded = cab_records_load (saved, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (cab_records_count (loaded), ==, cab_records_count (records));
  g_autoptr (GBytes) again = cab_records_save (loaded);
  g_assert_true (g_bytes_equal (saved, again));
}

static gboolean take_page (const CabScope *scope, guint way, const uint8_t *bytes, gsize len,
                           CabRecordsBuilder *builder) {
  g_autoptr (GError) error = NULL;
  CabPage page = {0};
  g_autofree char *exact = g_memdup2 (bytes, len);
  guint before = cab_records_builder_count (builder);
  if (!cab_api_parse_page (scope, way, exact, len, builder, &page, &error)) {
    g_assert_error (error, CAB_ERROR, CAB_ERROR_INVALID);
    g_assert_cmpuint (cab_records_builder_count (builder), ==, before);
    return FALSE;
  }
  g_assert_cmpuint (cab_records_builder_count (builder) - before, <=, page.added);
  check_next (page.next);
  g_assert_true (!page.last || page.next == NULL);
  g_free (page.next);
  return TRUE;
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size) {
  if (size == 0)
    return 0;
  guint question = (guint) (guint8) (data[0] - 'a') % G_N_ELEMENTS (questions);
  const CabScope *scope = &questions[question].scope;
  g_autoptr (CabRecordsBuilder) builder = cab_records_builder_new ();
  const uint8_t *from = data + 1;
  const uint8_t *end = data + size;
  gboolean good = TRUE;
  while (good && from < end) {
    const uint8_t *to = memchr (from, PAGE_END, (gsize) (end - from));
    gsize len = (gsize) ((to != NULL ? to : end) - from);
    good = take_page (scope, questions[question].way, from, len, builder);
    from += len + 1;
  }
  g_autoptr (CabRecords) records = cab_records_builder_end (g_steal_pointer (&builder));
  check_records (records);
  return 0;
}
