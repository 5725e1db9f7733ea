/* SPDX-License-Identifier: MIT
 *
 * The lines of a .sizes file.  What is parsed is the input as it is, and once more with a check behind each line that
 * fits it, which chance would never find.
 */
#include "cache/sizefile.h"
#include "tests/fuzz/fuzz.h"

typedef struct {
  guint lines;
  GString *text; /* the good lines, written anew */
} Seen;

static void see (gpointer data, const char *id, guint64 size, const char *md5) {
  Seen *seen = data;
  seen->lines++;
  g_assert_cmpuint (size, <=, G_MAXINT64);
  g_assert_true (id[0] != '\0' && strpbrk (id, " \n") == NULL);
  g_assert_true (md5 == NULL || strlen (md5) == 32);
  cab_sizefile_append (seen->text, id, size, md5);
}

static void see_again (gpointer data, const char *id, guint64 size, const char *md5) {
  cab_sizefile_append (data, id, size, md5);
}

/* What was understood is understood as the same when it is written anew. */
static void check (const char *text, gsize len) {
  g_autoptr (GString) written = g_string_new (NULL);
  g_autoptr (GString) again = g_string_new (NULL);
  Seen seen = {0, written};
  cab_sizefile_parse (text, len, see, &seen);
  g_assert_cmpuint (cab_sizefile_parse (written->str, written->len, see_again, again), ==, 0);
  g_assert_cmpstr (again->str, ==, written->str);
}

static GString *with_checks (const uint8_t *data, size_t size) {
  GString *text = g_string_new (NULL);
  while (size > 0) {
    g_autofree char *line = fuzz_line (&data, &size);
    g_autofree char *sum = g_compute_checksum_for_string (G_CHECKSUM_MD5, line, -1);
    g_string_append_printf (text, "%s %.8s\n", line, sum);
  }
  return text;
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size) {
  g_autofree char *exact = g_memdup2 (data, size);
  check (exact, size);
  g_autoptr (GString) text = with_checks (data, size);
  check (text->str, text->len);
  return 0;
}
