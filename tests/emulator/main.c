/* cabfs-emulator: starts the hosts, says where they are, and waits for its end.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/emulator/build.h"
#include "tests/emulator/config.h"
#include "tests/emulator/http.h"
#include "tests/emulator/login.h"
#include "tests/emulator/stats.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

typedef struct {
  int ports[EMU_HOST_COUNT];
  int threads;
  gboolean until_eof;
  gboolean demo;
  char *payloads;
} Options;

static const EmuHost *const hosts[EMU_HOST_COUNT] = {&emu_login_host, &emu_api_host, &emu_blob_host,
                                                     &emu_metadata_host, &emu_control_host};

static gboolean read_options (Options *options, int *argc, char ***argv, GError **error) {
  const GOptionEntry entries[] = {
      {"login-port", 0, 0, G_OPTION_ARG_INT, &options->ports[EMU_HOST_LOGIN], "Port of the login host", "PORT"},
      {"api-port", 0, 0, G_OPTION_ARG_INT, &options->ports[EMU_HOST_API], "Port of the API host", "PORT"},
      {"blob-port", 0, 0, G_OPTION_ARG_INT, &options->ports[EMU_HOST_BLOB], "Port of the blob host", "PORT"},
      {"metadata-port", 0, 0, G_OPTION_ARG_INT, &options->ports[EMU_HOST_METADATA],
       "Port of the metadata service", "PORT"},
      {"control-port", 0, 0, G_OPTION_ARG_INT, &options->ports[EMU_HOST_CONTROL], "Port of the control host",
       "PORT"},
      {"threads", 0, 0, G_OPTION_ARG_INT, &options->threads, "Threads of the API and of the blob host (2)",
       "N"},
      {"until-eof", 0, 0, G_OPTION_ARG_NONE, &options->until_eof, "End when standard input ends", NULL},
      {"demo", 0, 0, G_OPTION_ARG_NONE, &options->demo, "Start with the built-in data set", NULL},
      {"payloads", 0, 0, G_OPTION_ARG_FILENAME, &options->payloads, "Folder of the cabinets", "FOLDER"},
      {NULL, 0, 0, 0, NULL, NULL, NULL},
  };
  g_autoptr (GOptionContext) context = g_option_context_new ("- a Partner Center for tests, on 127.0.0.1");
  g_option_context_set_description (context, "Ports are the kernel's choice unless given.  One line of JSON on "
                                             "standard output tells the addresses.\n");
  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, argc, argv, error))
    return FALSE;
  if (*argc > 1) {
    emu_error_set (error, "no argument is wanted: %s", (*argv)[1]);
    return FALSE;
  }
  return TRUE;
}

static Emu *emu_new (const Options *options, GError **error) {
  EmuPark *park = emu_park_new (error);
  if (park == NULL)
    return NULL;
  Emu *emu = g_new0 (Emu, 1);
  emu->park = park;
  emu->config = emu_config_new ();
  emu->data = emu_data_new ();
  emu->faults = emu_faults_new ();
  emu->stats = emu_stats_new ();
  emu->tokens = emu_tokens_new ();
  emu->payloads = g_strdup (options->payloads != NULL ? options->payloads : EMU_PAYLOADS);
  return emu;
}

static void emu_free (Emu *emu) {
  emu_tokens_free (emu->tokens);
  emu_stats_free (emu->stats);
  emu_faults_free (emu->faults);
  emu_data_free (emu->data);
  emu_config_free (emu->config);
  emu_park_free (emu->park);
  g_free (emu->payloads);
  for (guint i = 0; i < EMU_HOST_COUNT; i++)
    g_free (emu->urls[i]);
  g_free (emu);
}

static gboolean load_demo (Emu *emu, GError **error) {
  json_t *set = emu_build_demo (emu_now_ms () / 1000);
  json_t *ids = emu_build_dataset (emu->data, emu->payloads, set, error);
  json_decref (set);
  json_decref (ids);
  return ids != NULL;
}

static void print_addresses (const Emu *emu) {
  printf ("{\"login\":\"%s\",\"api\":\"%s\",\"blob\":\"%s\",\"metadata\":\"%s\",\"control\":\"%s\"}\n",
          emu->urls[EMU_HOST_LOGIN], emu->urls[EMU_HOST_API], emu->urls[EMU_HOST_BLOB],
          emu->urls[EMU_HOST_METADATA], emu->urls[EMU_HOST_CONTROL]);
  fflush (stdout);
}

/* Until a signal, or the end of standard input. */
static void wait_for_end (int signals, gboolean until_eof) {
  struct pollfd fds[2] = {{.fd = signals, .events = POLLIN},
                          {.fd = until_eof ? STDIN_FILENO : -1, .events = POLLIN}};
  char scrap[256];
  for (;;) {
    if (poll (fds, 2, -1) < 0 && errno != EINTR)
      return;
    if ((fds[0].revents & POLLIN) != 0)
      return;
    if (fds[1].revents != 0 && read (STDIN_FILENO, scrap, sizeof scrap) <= 0)
      return;
  }
}

static gboolean run (Emu *emu, const Options *options, int signals, GError **error) {
  EmuDaemon *daemons[EMU_HOST_COUNT] = {NULL};
  guint started = 0;
  gboolean running = !options->demo || load_demo (emu, error);
  for (guint i = 0; running && i < EMU_HOST_COUNT; i++) {
    guint threads = i == EMU_HOST_LOGIN || i == EMU_HOST_METADATA ? 1 : (guint) options->threads;
    daemons[i] = emu_daemon_start (emu, hosts[i], (guint16) options->ports[i], threads, error);
    running = daemons[i] != NULL;
    started += running;
  }
  if (running) {
    print_addresses (emu);
    wait_for_end (signals, options->until_eof);
  }
  emu_stats_stop (emu->stats);
  emu_park_stop (emu->park);
  for (guint i = 0; i < started; i++)
    emu_daemon_stop (daemons[i]);
  return running;
}

/* Signals come by descriptor; every thread inherits the mask. */
static int take_signals (void) {
  sigset_t set;
  sigemptyset (&set);
  sigaddset (&set, SIGTERM);
  sigaddset (&set, SIGINT);
  pthread_sigmask (SIG_BLOCK, &set, NULL);
  signal (SIGPIPE, SIG_IGN);
  return signalfd (-1, &set, SFD_CLOEXEC);
}

static void raise_descriptor_limit (void) {
  struct rlimit limit;
  if (getrlimit (RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit (RLIMIT_NOFILE, &limit);
  }
}

int main (int argc, char **argv) {
  Options options = {.threads = 2};
  g_autoptr (GError) error = NULL;
  if (!read_options (&options, &argc, &argv, &error)) {
    fprintf (stderr, "cabfs-emulator: %s\n", error->message);
    return 2;
  }
  raise_descriptor_limit ();
  g_ascii_strtoull ("0", NULL, 10); /* not first by two threads at once: client/thread.h */
  int signals = take_signals ();
  Emu *emu = emu_new (&options, &error);
  gboolean good = emu != NULL && run (emu, &options, signals, &error);
  if (emu != NULL)
    emu_free (emu);
  close (signals);
  g_free (options.payloads);
  if (!good)
    fprintf (stderr, "cabfs-emulator: %s\n", error->message);
  return good ? 0 : 1;
}
