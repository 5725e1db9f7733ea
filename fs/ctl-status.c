/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "client/error.h"
#include "fs/ctl-mount.h"
#include "fs/ctl-screen.h"
#include "fs/ctl-status-view.h"
#include "fs/ctl-text.h"
#include "fs/ctl.h"
#include "fs/text.h"

#define STATUS_FILE ".cabfs/status.json"
#define STATUS_MAX  ((gsize) 16 << 20)
#define STEP_MS     1000

typedef struct {
  const CabCtlCommand *command;
  char *path; /* of the file */
  CabScreen *screen;
  char *shown; /* what a pipe got last, as far as it says whether that has changed */
} Watch;

/* --- reading ------------------------------------------------------------------------------------------------------ */

static gboolean complain_of_open (const Watch *self, int number, GError **error) {
  const char *path = self->command->paths[0];
  if (number != ENOENT && number != ENOTDIR)
    return cab_ctl_refuse (path, number, error);
  g_autofree char *name = cab_ctl_quote (path);
  g_set_error (error, CAB_ERROR, CAB_ERROR_NOT_FOUND,
               "%s: is no mount point of cabfs, or nothing is mounted there", name);
  return FALSE;
}

static GString *read_status (const Watch *self, GError **error) {
  int fd = open (self->path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    complain_of_open (self, errno, error);
    return NULL;
  }
  GString *text = cab_text_read (fd, STATUS_MAX);
  int number = errno;
  close (fd);
  if (text == NULL)
    complain_of_open (self, number, error);
  return text;
}

/* --- showing ------------------------------------------------------------------------------------------------------ */

static void print_lines (const GPtrArray *lines) {
  for (guint i = 0; i < lines->len; i++)
    printf ("%s\n", (const char *) g_ptr_array_index (lines, i));
}

/* In a pipe only what is another than the last time; what only tells the time does not count. */
static gboolean is_news (Watch *self, char *comparable) {
  gboolean news = g_strcmp0 (comparable, self->shown) != 0;
  g_free (self->shown);
  self->shown = comparable;
  return news;
}

static void show_json (Watch *self, json_t *status, const GString *text) {
  json_t *rest = json_copy (status);
  json_object_del (rest, "time");
  char *comparable = json_dumps (rest, JSON_SORT_KEYS | JSON_COMPACT);
  json_decref (rest);
  gboolean news = is_news (self, g_strdup (comparable));
  free (comparable);
  if (!news)
    return;
  fwrite (text->str, 1, text->len, stdout);
  if (text->len > 0 && text->str[text->len - 1] != '\n')
    putchar ('\n');
}

static void show_lines (Watch *self, json_t *status) {
  gboolean draws = self->command->watch && cab_screen_is_terminal (self->screen);
  guint width = cab_screen_is_terminal (self->screen) ? cab_screen_width (self->screen) : 0;
  g_autoptr (GPtrArray) lines = cab_status_view (status, width);
  if (draws) {
    cab_screen_draw (self->screen, lines);
    return;
  }
  g_autoptr (GString) all = g_string_new (NULL);
  for (guint i = 0; i < lines->len; i++)
    g_string_append_printf (all, "%s\n", (const char *) g_ptr_array_index (lines, i));
  gboolean first = self->shown == NULL;
  if (!is_news (self, g_strdup (all->str)))
    return;
  if (!first)
    putchar ('\n');
  print_lines (lines);
}

static gboolean is_written (GError **error) {
  gboolean flushed = fflush (stdout) == 0;
  return (flushed && !ferror (stdout)) || cab_error_errno (error, "standard output") != NULL;
}

static gboolean show (Watch *self, GError **error) {
  GString *text = read_status (self, error);
  if (text == NULL)
    return FALSE;
  json_auto_t *status = cab_json_parse (text->str, text->len, error);
  if (json_is_object (status) && self->command->json)
    show_json (self, status, text);
  else if (json_is_object (status))
    show_lines (self, status);
  else if (status != NULL)
    g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID, "%s: is not the status of a cabfs", self->path);
  g_string_free (text, TRUE);
  return json_is_object (status) && is_written (error);
}

/* --- watching ----------------------------------------------------------------------------------------------------- */

/* FALSE: it is to end. */
static gboolean wait_step (int signals) {
  struct pollfd waiting = {.fd = signals, .events = POLLIN};
  struct signalfd_siginfo info = {0};
  if (poll (&waiting, 1, STEP_MS) <= 0)
    return TRUE;
  ssize_t got = read (signals, &info, sizeof info);
  return got == (ssize_t) sizeof info && info.ssi_signo == SIGWINCH;
}

static gboolean watch (Watch *self, GError **error) {
  int signals = cab_screen_signals ();
  if (signals < 0)
    return cab_error_errno (error, "signals") != NULL;
  gboolean ok;
  do
    ok = show (self, error);
  while (ok && wait_step (signals));
  close (signals);
  return ok;
}

int cab_ctl_status (const CabCtlCommand *command) {
  g_autoptr (GError) error = NULL;
  Watch self = {.command = command, .screen = cab_screen_new ()};
  self.path = g_build_filename (command->paths[0], STATUS_FILE, NULL);
  gboolean ok = command->watch ? watch (&self, &error) : show (&self, &error);
  if (error != NULL)
    cab_ctl_complain (command, "%s", error->message);
  cab_screen_free (self.screen);
  g_free (self.path);
  g_free (self.shown);
  return ok ? EXIT_SUCCESS : CAB_EXIT_FAILED;
}
