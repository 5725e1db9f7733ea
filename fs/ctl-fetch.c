/* SPDX-License-Identifier: MIT */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "client/error.h"
#include "fs/ctl-fetch-work.h"
#include "fs/ctl-mount.h"
#include "fs/ctl-progress.h"
#include "fs/ctl-screen.h"
#include "fs/ctl-text.h"
#include "fs/ctl.h"
#include "fs/text.h"

#define DRAW_MS 200
#define STOP_MS 50                            /* between two tries to wake threads that are to end */
#define STOP_US ((gint64) 1 * G_USEC_PER_SEC) /* how long they are tried */

/* The rate of one file under way. */
typedef struct {
  guint id; /* of the file; 0: none */
  CabRate rate;
} FileRate;

typedef struct {
  const CabCtlCommand *command;
  CabScreen *screen;
  CabFetch *work;
  int signals;
  int event;
  gint64 began_us;
  gint64 stopped_us; /* 0: not yet */
  guint came;
  guint cached;
  guint failed;
  guint64 bytes; /* of those that came */
  CabRate rate;
  FileRate *rates; /* as many as files at a time */
} Fetch;

/* --- one after the other ------------------------------------------------------------------------------------------ */

static void take_outcome (Fetch *self, const CabFetchOutcome *outcome) {
  gboolean plain = !cab_screen_is_terminal (self->screen);
  g_autofree char *size = cab_text_size (outcome->bytes);
  switch (outcome->result) {
  case CAB_FETCH_CAME:
    self->came++;
    self->bytes += outcome->bytes;
    if (plain)
      printf ("fetched %s (%s)\n", outcome->name, size);
    break;
  case CAB_FETCH_CACHED:
    self->cached++;
    if (plain)
      printf ("cached  %s\n", outcome->name);
    break;
  case CAB_FETCH_FAILED:
    self->failed++;
    cab_screen_clear (self->screen);
    fflush (stdout);
    cab_ctl_complain (self->command, "%s: %s", outcome->name, outcome->why);
    break;
  }
}

static void take_outcomes (Fetch *self) {
  CabFetchOutcome *outcome;
  while ((outcome = cab_fetch_take (self->work)) != NULL) {
    take_outcome (self, outcome);
    cab_fetch_outcome_free (outcome);
  }
  fflush (stdout);
}

/* --- at a terminal ------------------------------------------------------------------------------------------------ */

/* That of the file, or one whose file has gone. */
static CabRate *rate_of (Fetch *self, guint id, const GArray *files) {
  guint idle = 0;
  for (guint i = 0; i < self->command->jobs; i++) {
    gboolean used = FALSE;
    if (self->rates[i].id == id)
      return &self->rates[i].rate;
    for (guint j = 0; j < files->len; j++)
      used = used || g_array_index (files, CabFetchFile, j).id == self->rates[i].id;
    if (!used)
      idle = i;
  }
  self->rates[idle] = (FileRate){.id = id};
  return &self->rates[idle].rate;
}

static char *line_of (Fetch *self, const CabFetchFile *file, const GArray *files, gint64 now_us) {
  gint64 rate = cab_rate_update (rate_of (self, file->id, files), file->have, now_us);
  gint64 missing = file->size - (gint64) file->have;
  const CabProgress progress = {.name = file->name,
                                .have = file->have,
                                .size = file->size,
                                .rate = rate,
                                .left_s = rate > 0 && file->size >= 0 && missing >= 0 ? missing / rate : -1};
  return cab_progress_line (&progress, cab_screen_width (self->screen) - 1);
}

static char *total_line (Fetch *self, const CabFetchLook *look, gint64 now_us) {
  guint done = self->came + self->cached + self->failed;
  gint64 rate = cab_rate_update (&self->rate, look->bytes, now_us);
  g_autofree char *bar = cab_ctl_bar (done, MAX (look->found, done), 22);
  g_autofree char *bytes = cab_text_size (look->bytes);
  g_autofree char *speed = rate >= 0 ? cab_text_size ((guint64) rate) : g_strdup ("?");
  g_autofree char *time = cab_ctl_duration ((guint64) (now_us - self->began_us) / G_USEC_PER_SEC);
  g_autofree char *failed = self->failed > 0 ? g_strdup_printf (", %u failed", self->failed) : g_strdup ("");
  return g_strdup_printf ("%s %u of %u%s files, %u cached already%s; %s, %s/s, %s", bar, done,
                          MAX (look->found, done), look->all ? "" : "+", self->cached, failed, bytes, speed,
                          time);
}

static void draw (Fetch *self, const CabFetchLook *look) {
  gint64 now_us = g_get_monotonic_time ();
  guint height = cab_screen_height (self->screen);
  g_autoptr (GPtrArray) lines = g_ptr_array_new_with_free_func (g_free);
  if (!cab_screen_is_terminal (self->screen))
    return;
  for (guint i = 0; i < look->files->len && i + 2 < height; i++)
    g_ptr_array_add (lines, line_of (self, &g_array_index (look->files, CabFetchFile, i), look->files, now_us));
  g_ptr_array_add (lines, total_line (self, look, now_us));
  cab_screen_draw (self->screen, lines);
}

/* --- the loop ----------------------------------------------------------------------------------------------------- */

static void wait_for_news (Fetch *self) {
  struct pollfd waiting[] = {{.fd = self->signals, .events = POLLIN}, {.fd = self->event, .events = POLLIN}};
  struct signalfd_siginfo info;
  guint64 rung;
  int patience = self->stopped_us > 0 ? STOP_MS : cab_screen_is_terminal (self->screen) ? DRAW_MS : -1;
  poll (waiting, G_N_ELEMENTS (waiting), patience);
  while (read (self->signals, &info, sizeof info) == (ssize_t) sizeof info)
    if (info.ssi_signo != SIGWINCH && self->stopped_us == 0)
      self->stopped_us = g_get_monotonic_time ();
  while (read (self->event, &rung, sizeof rung) == (ssize_t) sizeof rung)
    continue;
  if (self->stopped_us > 0)
    cab_fetch_stop (self->work);
}

static gboolean is_patient (const Fetch *self) {
  return self->stopped_us == 0 || g_get_monotonic_time () - self->stopped_us < STOP_US;
}

/* FALSE: a thread does not end, since it waits in the kernel for a page. */
static gboolean run (Fetch *self) {
  gboolean over = FALSE;
  while (!over && is_patient (self)) {
    CabFetchLook look;
    take_outcomes (self);
    cab_fetch_look (self->work, &look);
    over = look.over;
    if (!over) {
      draw (self, &look);
      wait_for_news (self);
    }
    cab_fetch_look_clear (&look);
  }
  take_outcomes (self);
  cab_screen_clear (self->screen);
  return over;
}

static void summarise (const Fetch *self) {
  guint files = self->came + self->cached + self->failed;
  g_autofree char *bytes = cab_text_size (self->bytes);
  g_autofree char *time =
      cab_ctl_duration ((guint64) (g_get_monotonic_time () - self->began_us) / G_USEC_PER_SEC);
  printf ("%u file%s: %u fetched (%s in %s), %u cached already, %u failed\n", files, files == 1 ? "" : "s",
          self->came, bytes, time, self->cached, self->failed);
  fflush (stdout);
  if (self->stopped_us > 0)
    cab_ctl_complain (self->command,
                      "interrupted; what has come is kept, and the next time goes on from there");
}

/* All of them, before anything begins. */
static gboolean check_paths (const CabCtlCommand *command) {
  gboolean ok = TRUE;
  for (guint i = 0; command->paths[i] != NULL; i++) {
    g_autoptr (GError) error = NULL;
    g_autofree char *mountpoint = cab_ctl_mount_of (command->paths[i], &error);
    if (mountpoint == NULL)
      cab_ctl_complain (command, "%s", error->message);
    ok = ok && mountpoint != NULL;
  }
  return ok;
}

static gboolean begin (Fetch *self, GError **error) {
  self->signals = cab_screen_signals ();
  self->event = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (self->signals < 0 || self->event < 0)
    return cab_error_errno (error, "descriptors for signals and events") != NULL;
  self->work = cab_fetch_start (self->command->paths, self->command->jobs, self->event, error);
  return self->work != NULL;
}

static void end (Fetch *self) {
  cab_screen_free (self->screen);
  g_free (self->rates);
  if (self->event >= 0)
    close (self->event);
  if (self->signals >= 0)
    close (self->signals);
}

int cab_ctl_fetch (const CabCtlCommand *command) {
  g_autoptr (GError) error = NULL;
  Fetch self = {.command = command, .began_us = g_get_monotonic_time ()};
  if (!check_paths (command))
    return CAB_EXIT_FAILED;
  self.rates = g_new0 (FileRate, command->jobs);
  self.screen = cab_screen_new ();
  gboolean ok = begin (&self, &error);
  if (ok) {
    gboolean over = run (&self);
    summarise (&self);
    if (!over)
      _exit (CAB_EXIT_INTERRUPTED); /* which wakes every thread */
    cab_fetch_free (self.work);
  } else {
    cab_ctl_complain (command, "%s", error->message);
  }
  end (&self);
  if (self.stopped_us > 0)
    return CAB_EXIT_INTERRUPTED;
  return !ok || self.failed > 0 ? CAB_EXIT_FAILED : EXIT_SUCCESS;
}
