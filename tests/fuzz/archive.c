/* SPDX-License-Identifier: MIT */
#include "tests/fuzz/archive.h"

#include "cache/unpack_reader.h"
#include "client/error.h"

#include <string.h>

enum {
  EXTRACT_MAX = 20,    /* members of one archive that are extracted; more take time and find nothing new */
  LIMIT = 1024 * 1024, /* bytes of one of them */
  PIECE = 4096,        /* bytes that are given at a time */
};

typedef struct {
  const guint8 *bytes;
  gsize len;
  GArray *members; /* of CabMember, without their paths */
  guint64 written;
} Try;

static gsize read_bytes (gpointer data, guint64 off, const void **bytes) {
  Try *self = data;
  g_assert_cmpuint (off, <, self->len);
  *bytes = self->bytes + off;
  return MIN (PIECE, self->len - (gsize) off);
}

static void take_member (gpointer data, const CabMember *member) {
  Try *self = data;
  g_assert_true (g_utf8_validate (member->path, -1, NULL));
  g_assert_cmpuint (strlen (member->path), <=, CAB_ARCHIVE_PATH_MAX);
  g_assert_cmpuint (self->members->len, <, CAB_ARCHIVE_MEMBERS_MAX);
  g_assert_true (member->has_size || member->size == 0);
  g_assert_cmpuint (member->size, <=, G_MAXINT64);
  CabMember copy = *member;
  copy.path = NULL;
  g_array_append_val (self->members, copy);
}

static gboolean take_bytes (gpointer data, const void *bytes, gsize len, GError **error) {
  Try *self = data;
  g_assert_cmpuint (len, >, 0);
  g_assert_cmpuint (len, <=, LIMIT - self->written);
  /* All of it can be read. */
  guint8 *copy = g_memdup2 (bytes, len);
  g_free (copy);
  self->written += len;
  return TRUE;
}

static void check_error (const GError *error) {
  g_assert_nonnull (error);
  g_assert_true (error->domain == CAB_ERROR);
  g_assert_true (error->code == CAB_ERROR_INVALID || error->code == CAB_ERROR_NO_SPACE);
  g_assert_cmpint (error->message[0], !=, '\0');
}

static void try_member (const CabArchive *archive, Try *self, const CabMember *member) {
  g_autoptr (GError) error = NULL;
  guint64 size = 0;
  guint64 expected = member->has_size ? member->size : G_MAXUINT64;
  self->written = 0;
  if (!cab_archive_extract (archive, member->outer, member->ordinal, expected, LIMIT, &size, &error)) {
    check_error (error);
    return;
  }
  g_assert_no_error (error);
  g_assert_cmpuint (size, ==, self->written);
  if (member->has_size)
    g_assert_cmpuint (size, ==, member->size);
}

void archive_try (const guint8 *bytes, gsize len) {
  g_autoptr (GError) error = NULL;
  g_autoptr (GArray) members = g_array_new (FALSE, FALSE, sizeof (CabMember));
  /* An exact copy: what is read behind the end is seen. */
  g_autofree guint8 *exact = g_memdup2 (bytes, len);
  Try self = {.bytes = exact, .len = len, .members = members};
  const CabArchive archive = {
      .size = len, .data = &self, .read = read_bytes, .member = take_member, .write = take_bytes};
  if (!cab_archive_list (&archive, &error))
    check_error (error);
  for (guint i = 0; i < MIN (members->len, EXTRACT_MAX); i++)
    try_member (&archive, &self, &g_array_index (members, CabMember, i));
}
