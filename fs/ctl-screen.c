/* SPDX-License-Identifier: MIT */
#include "fs/ctl-screen.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "fs/ctl-text.h"

/* Where the terminal does not say. */
#define WIDTH_DEFAULT  80
#define HEIGHT_DEFAULT 24

struct CabScreen {
  gboolean terminal;
  GArray *drawn; /* columns of each line that stands there */
};

CabScreen *cab_screen_new (void) {
  CabScreen *self = g_new0 (CabScreen, 1);
  const char *type = g_getenv ("TERM");
  self->terminal = isatty (STDOUT_FILENO) && type != NULL && type[0] != '\0' && strcmp (type, "dumb") != 0;
  self->drawn = g_array_new (FALSE, FALSE, sizeof (guint));
  return self;
}

void cab_screen_free (CabScreen *self) {
  if (self == NULL)
    return;
  g_array_unref (self->drawn);
  g_free (self);
}

gboolean cab_screen_is_terminal (const CabScreen *self) {
  return self->terminal;
}

static struct winsize window (void) {
  struct winsize size = {0};
  if (ioctl (STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
    size = (struct winsize){.ws_col = WIDTH_DEFAULT, .ws_row = HEIGHT_DEFAULT};
  if (size.ws_row == 0)
    size.ws_row = HEIGHT_DEFAULT;
  return size;
}

guint cab_screen_width (const CabScreen *self) {
  return window ().ws_col;
}

guint cab_screen_height (const CabScreen *self) {
  return window ().ws_row;
}

/* The cursor goes up to the first of the lines; in a window that has become narrower, some have become two. */
static void append_up (CabScreen *self, GString *out) {
  guint width = cab_screen_width (self), rows = 0;
  for (guint i = 0; i < self->drawn->len; i++)
    rows += MAX (1, (g_array_index (self->drawn, guint, i) + width - 1) / width);
  g_string_append_c (out, '\r');
  if (rows > 0)
    g_string_append_printf (out, "\033[%uA", rows);
  g_array_set_size (self->drawn, 0);
}

static void write_out (const GString *out) {
  fwrite (out->str, 1, out->len, stdout);
  fflush (stdout);
}

void cab_screen_draw (CabScreen *self, const GPtrArray *lines) {
  if (!self->terminal)
    return;
  g_autoptr (GString) out = g_string_new (NULL);
  append_up (self, out);
  guint width = cab_screen_width (self), height = cab_screen_height (self);
  for (guint i = 0; i < lines->len && i + 1 < height; i++) {
    /* A line that fills the last column would leave the cursor where terminals disagree. */
    g_autofree char *line = cab_ctl_fit (g_ptr_array_index (lines, i), width > 1 ? width - 1 : 1, TRUE);
    guint columns = cab_ctl_columns (line);
    g_string_append_printf (out, "%s\033[K\n", line);
    g_array_append_val (self->drawn, columns);
  }
  g_string_append (out, "\033[J");
  write_out (out);
}

void cab_screen_clear (CabScreen *self) {
  if (!self->terminal || self->drawn->len == 0)
    return;
  g_autoptr (GString) out = g_string_new (NULL);
  append_up (self, out);
  g_string_append (out, "\033[J");
  write_out (out);
}

int cab_screen_signals (void) {
  sigset_t signals;
  sigemptyset (&signals);
  sigaddset (&signals, SIGINT);
  sigaddset (&signals, SIGTERM);
  sigaddset (&signals, SIGHUP);
  sigaddset (&signals, SIGWINCH);
  sigprocmask (SIG_BLOCK, &signals, NULL);
  return signalfd (-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}
