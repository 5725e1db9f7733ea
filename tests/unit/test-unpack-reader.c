/* The part of the worker that meets hostile bytes, within this process, on thousands of spoilt archives: what
 * must not happen is a crash, an endless loop, a write beyond the limit or a name that is no text.
 *
 * The archives are small ones of make-archives.py; how each is spoilt follows from its number alone, so a
 * failure comes again: CABFS_MUTATION=NUMBER does only that one, CABFS_MUTATIONS=COUNT that many.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/fuzz/archive.h"
#include "tests/unit/unpack-rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  MUTATIONS = 3000,
  MAX_SIZE = 70000, /* of an archive that is worth spoiling so often */
};

/* Marsaglia's xorshift: the same everywhere. */
static guint32 next_random (guint64 *state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return (guint32) (*state >> 16);
}

/* Mostly where the structure is: the head and the end. */
static gsize pick_place (guint64 *state, gsize len) {
  guint32 way = next_random (state) % 4;
  gsize near = MIN (len, 400);
  if (way == 0)
    return next_random (state) % len;
  return way == 1 ? len - 1 - next_random (state) % near : next_random (state) % near;
}

static void spoil_byte (GByteArray *bytes, guint64 *state) {
  static const guint8 special[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
  guint8 *byte = &bytes->data[pick_place (state, bytes->len)];
  guint32 way = next_random (state) % 3;
  guint32 value = next_random (state);
  if (way == 0)
    *byte ^= (guint8) (1u << (value % 8));
  else if (way == 1)
    *byte = special[value % sizeof special];
  else
    *byte = (guint8) value;
}

static void copy_piece (GByteArray *bytes, guint64 *state) {
  gsize from = pick_place (state, bytes->len);
  gsize to = pick_place (state, bytes->len);
  gsize wanted = 1 + next_random (state) % 64;
  memmove (bytes->data + to, bytes->data + from, MIN (wanted, bytes->len - MAX (from, to)));
}

static void spoil (GByteArray *bytes, guint64 *state) {
  guint times = 1 + next_random (state) % 8;
  for (guint i = 0; i < times && bytes->len > 0; i++) {
    guint32 way = next_random (state) % 16;
    if (way == 0)
      g_byte_array_set_size (bytes, (guint) (1 + pick_place (state, bytes->len)));
    else if (way == 1)
      copy_piece (bytes, state);
    else
      spoil_byte (bytes, state);
  }
}

static void try_one (GPtrArray *archives, guint number) {
  guint64 state = G_GUINT64_CONSTANT (0x9e3779b97f4a7c15) * (number + 1);
  GBytes *archive = g_ptr_array_index (archives, number % archives->len);
  gsize len;
  const guint8 *data = g_bytes_get_data (archive, &len);
  g_autoptr (GByteArray) bytes = g_byte_array_append (g_byte_array_new (), data, (guint) len);
  spoil (bytes, &state);
  archive_try (bytes->data, bytes->len);
}

static GPtrArray *load_archives (void) {
  static const char *const made[] = {"bomb.zip",    "head.cab",      "kinds.zip",      "liar.cab",
                                     "locked.zip",  "methods.zip",   "names.cab",      "empty.zip",
                                     "overlap.cab", "quantum.cab",   "volumes.cab",    "small.cab",
                                     "small.zip",   "small-lzx.cab", "small-inner.zip"};
  static const char *const samples[] = {"crash-mszip.cab", "dump-in.zip", "stored.ext.zip"};
  GPtrArray *archives = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);
  for (gsize i = 0; i < G_N_ELEMENTS (made); i++)
    g_ptr_array_add (archives, rig_made (made[i]));
  for (gsize i = 0; i < G_N_ELEMENTS (samples); i++)
    g_ptr_array_add (archives, rig_sample (samples[i]));
  for (guint i = 0; i < archives->len; i++)
    g_assert_cmpuint (g_bytes_get_size (g_ptr_array_index (archives, i)), <=, MAX_SIZE);
  return archives;
}

static guint number_from (const char *name, guint otherwise) {
  const char *text = g_getenv (name);
  return text != NULL ? (guint) g_ascii_strtoull (text, NULL, 10) : otherwise;
}

/* So that a crash tells which it was. */
static void print_number (guint number) {
  g_autofree char *text = g_strdup_printf ("mutation %u", number);
  g_test_message ("%s", text);
}

static void test_unspoilt (void) {
  g_autoptr (GPtrArray) archives = load_archives ();
  for (guint i = 0; i < archives->len; i++) {
    gsize len;
    const guint8 *data = g_bytes_get_data (g_ptr_array_index (archives, i), &len);
    archive_try (data, len);
  }
}

static void test_mutations (void) {
  g_autoptr (GPtrArray) archives = load_archives ();
  guint only = number_from ("CABFS_MUTATION", G_MAXUINT);
  guint count = number_from ("CABFS_MUTATIONS", MUTATIONS);
  if (only != G_MAXUINT) {
    try_one (archives, only);
    return;
  }
  for (guint i = 0; i < count; i++) {
    if (i % 500 == 0)
      print_number (i);
    try_one (archives, i);
  }
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/unpack-reader/unspoilt", test_unspoilt);
  g_test_add_func ("/unpack-reader/mutations", test_mutations);
  return g_test_run ();
}
