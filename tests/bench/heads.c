/* cabfs-bench-heads: what libcurl alone takes to ask for the lengths of many files.
 *
 *   cabfs-bench-heads [--connections=64] [--ca-file=F] FILE      one URL a line
 *
 * Prints {"seconds", "requests"}.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/bench/multi.h"

#include <stdio.h>
#include <string.h>

typedef struct {
  char **urls;
  guint next;
} Heads;

static gboolean next_head (CURL *easy, guint slot, gpointer data) {
  Heads *self = data;
  const char *url = self->urls[self->next];
  if (url == NULL || url[0] == '\0')
    return FALSE;
  self->next++;
  curl_easy_setopt (easy, CURLOPT_URL, url);
  curl_easy_setopt (easy, CURLOPT_NOBODY, 1L);
  return TRUE;
}

int main (int argc, char **argv) {
  int connections = 64;
  g_autofree char *ca_file = NULL, *text = NULL;
  const GOptionEntry entries[] = {
      {"connections", 0, 0, G_OPTION_ARG_INT, &connections, "Connections (64)", "N"},
      {"ca-file", 0, 0, G_OPTION_ARG_FILENAME, &ca_file, "For https", "FILE"},
      {NULL, 0, 0, 0, NULL, NULL, NULL},
  };
  g_autoptr (GError) error = NULL;
  g_autoptr (GOptionContext) context = g_option_context_new ("FILE - one URL a line");
  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error) ||
      (argc == 2 && !g_file_get_contents (argv[1], &text, NULL, &error)) || argc != 2) {
    fprintf (stderr, "cabfs-bench-heads: %s\n", error != NULL ? error->message : "a file of URLs is wanted");
    return 2;
  }
  g_auto (GStrv) urls = g_strsplit (text, "\n", -1);
  Heads heads = {.urls = urls};
  gint64 start = g_get_monotonic_time ();
  gboolean good = multi_run ((guint) connections, ca_file, next_head, &heads);
  printf ("{\"seconds\": %.6f, \"requests\": %u}\n",
          (double) (g_get_monotonic_time () - start) / G_USEC_PER_SEC, heads.next);
  return good ? 0 : 1;
}
