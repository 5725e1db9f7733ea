/* SPDX-License-Identifier: MIT
 *
 * replay FILE|DIRECTORY…: calls the fuzz target that it is linked with once for each file, below directories too.
 * Prints the files as it goes: the last one is the one that did it.  Fails where there was none.
 */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>

static guint replay_file (const char *path) {
  g_autofree char *bytes = NULL;
  gsize len;
  g_autoptr (GError) error = NULL;
  if (!g_file_get_contents (path, &bytes, &len, &error))
    g_error ("%s", error->message);
  printf ("%s\n", path);
  fflush (stdout);
  /* An exact copy: what reads behind the end is seen. */
  g_autofree guint8 *copy = g_memdup2 (bytes, len);
  LLVMFuzzerTestOneInput (copy != NULL ? copy : (const guint8 *) "", len);
  return 1;
}

static guint replay (const char *path) {
  if (!g_file_test (path, G_FILE_TEST_IS_DIR))
    return replay_file (path);
  g_autoptr (GError) error = NULL;
  g_autoptr (GDir) dir = g_dir_open (path, 0, &error);
  if (dir == NULL)
    g_error ("%s", error->message);
  guint n = 0;
  for (const char *name = g_dir_read_name (dir); name != NULL; name = g_dir_read_name (dir)) {
    g_autofree char *inner = g_build_filename (path, name, NULL);
    n += replay (inner);
  }
  return n;
}

int main (int argc, char **argv) {
  guint n = 0;
  LLVMFuzzerInitialize (&argc, &argv);
  for (int i = 1; i < argc; i++)
    n += replay (argv[i]);
  printf ("%u files\n", n);
  return n > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
