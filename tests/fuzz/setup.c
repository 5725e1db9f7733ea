/* SPDX-License-Identifier: MIT
 *
 * Before the first input: what the parsers log is not shown, and a broken contract (g_critical(), g_error()) ends the
 * process by a signal that libFuzzer catches.
 */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>

static GLogWriterOutput write_log (GLogLevelFlags level, const GLogField *fields, gsize n, gpointer data) {
  if ((level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL)) == 0)
    return G_LOG_WRITER_HANDLED;
  for (gsize i = 0; i < n; i++)
    if (strcmp (fields[i].key, "MESSAGE") == 0)
      fprintf (stderr, "%s\n", (const char *) fields[i].value);
  abort ();
}

int LLVMFuzzerInitialize (int *argc, char ***argv) {
  g_log_set_writer_func (write_log, NULL, NULL);
  return 0;
}
