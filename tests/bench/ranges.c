/* cabfs-bench-ranges: what libcurl alone does with a file that is fetched in ranges.
 *
 *   cabfs-bench-ranges [--connections=16] [--range=8388608] [--random=COUNT] [--seed=N] [--ca-file=F] [--output=F] URL SIZE
 *
 * All of the file, range by range; or with --random, COUNT ranges of that length at random places, those of
 * cabfs-bench-work.  Prints {"seconds", "bytes", "peak"}, the latter in KiB.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/bench/multi.h"
#include "tests/bench/places.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct {
  guint64 at;
  struct Fetch *fetch;
} Slot;

typedef struct Fetch {
  const char *url;
  guint64 size, range, next, bytes;
  guint64 *places; /* NULL: all of it */
  guint count;
  int output;
  Slot *slots;
} Fetch;

static size_t take_bytes (char *bytes, size_t one, size_t n, void *data) {
  Slot *slot = data;
  if (slot->fetch->output >= 0 && pwrite (slot->fetch->output, bytes, n, (off_t) slot->at) != (ssize_t) n)
    return CURL_WRITEFUNC_ERROR;
  slot->at += n;
  slot->fetch->bytes += n;
  return n;
}

static gboolean next_range (CURL *easy, guint number, gpointer data) {
  Fetch *self = data;
  Slot *slot = &self->slots[number];
  guint64 index = self->next++, at = index * self->range;
  if (self->places != NULL ? index >= self->count : at >= self->size)
    return FALSE;
  if (self->places != NULL)
    at = self->places[index];
  g_autofree char *range =
      g_strdup_printf ("%" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT, at, MIN (at + self->range, self->size) - 1);
  *slot = (Slot){at, self};
  curl_easy_setopt (easy, CURLOPT_URL, self->url);
  curl_easy_setopt (easy, CURLOPT_RANGE, range);
  curl_easy_setopt (easy, CURLOPT_WRITEFUNCTION, take_bytes);
  curl_easy_setopt (easy, CURLOPT_WRITEDATA, slot);
  return TRUE;
}

/* The most memory there was, KiB.  getrusage() would tell that of whoever started us. */
static guint64 peak_memory (void) {
  g_autofree char *status = NULL;
  const char *line = NULL;
  if (g_file_get_contents ("/proc/self/status", &status, NULL, NULL))
    line = strstr (status, "VmHWM:");
  return line != NULL ? g_ascii_strtoull (line + strlen ("VmHWM:"), NULL, 10) : 0;
}

int main (int argc, char **argv) {
  int connections = 16, random = 0, seed = 1;
  gint64 range = 8 << 20;
  g_autofree char *output = NULL, *ca_file = NULL;
  const GOptionEntry entries[] = {
      {"connections", 0, 0, G_OPTION_ARG_INT, &connections, "Connections (16)", "N"},
      {"range", 0, 0, G_OPTION_ARG_INT64, &range, "Bytes a request (8 MiB)", "N"},
      {"random", 0, 0, G_OPTION_ARG_INT, &random, "So many ranges at random places", "COUNT"},
      {"seed", 0, 0, G_OPTION_ARG_INT, &seed, "Of the places (1)", "N"},
      {"output", 0, 0, G_OPTION_ARG_FILENAME, &output, "Where the bytes go; nowhere without it", "FILE"},
      {"ca-file", 0, 0, G_OPTION_ARG_FILENAME, &ca_file, "For https", "FILE"},
      {NULL, 0, 0, 0, NULL, NULL, NULL},
  };
  g_autoptr (GError) error = NULL;
  g_autoptr (GOptionContext) context = g_option_context_new ("URL SIZE");
  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error) || argc != 3) {
    fprintf (stderr, "cabfs-bench-ranges: %s\n", error != NULL ? error->message : "URL and SIZE are wanted");
    return 2;
  }
  Fetch fetch = {
      .url = argv[1], .size = g_ascii_strtoull (argv[2], NULL, 10), .range = (guint64) range, .output = -1};
  fetch.slots = g_new0 (Slot, connections);
  if (random > 0)
    fetch.places = places_new (fetch.size, fetch.range, fetch.count = (guint) random, (guint32) seed);
  if (output != NULL && (fetch.output = open (output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) < 0) {
    perror (output);
    return 1;
  }
  gint64 start = g_get_monotonic_time ();
  gboolean good = multi_run ((guint) connections, ca_file, next_range, &fetch);
  printf ("{\"seconds\": %.6f, \"bytes\": %" G_GUINT64_FORMAT ", \"peak\": %" G_GUINT64_FORMAT "}\n",
          (double) (g_get_monotonic_time () - start) / G_USEC_PER_SEC, fetch.bytes, peak_memory ());
  g_free (fetch.slots);
  g_free (fetch.places);
  return good ? 0 : 1;
}
