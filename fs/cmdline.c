/* SPDX-License-Identifier: MIT */
#include "fs/cmdline.h"

#include <getopt.h>
#include <string.h>

#include "client/error.h"

gboolean cab_cmdline_refuse (const CabCmdline *self, GError **error, const char *format, ...) {
  va_list args;
  va_start (args, format);
  g_autofree char *message = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID, "%s; see %s --help", message, self->program);
  return FALSE;
}

void cab_cmdline_describe (const CabCommandOption *option, const char *indent, GString *text) {
  g_autofree char *name = option->argument == NULL ? g_strdup (option->name)
                                                   : g_strconcat (option->name, "=", option->argument, NULL);
  g_string_append_printf (text, "%s-%c, --%-25s %s\n", indent, option->letter, name, option->help);
}

/* What getopt_long() wants, from the table: @longs has room for all and an end. */
static void make_getopt (const CabCmdline *self, GString *letters, struct option *longs) {
  g_string_append_c (letters, ':');
  for (guint i = 0; i < self->n; i++) {
    const CabCommandOption *option = &self->options[i];
    gboolean takes = option->argument != NULL;
    g_string_append_printf (letters, "%c%s", option->letter, takes ? ":" : "");
    longs[i] = (struct option){option->name, takes ? required_argument : no_argument, NULL, option->letter};
  }
}

gboolean cab_cmdline_parse (const CabCmdline *self, int argc, char **argv, CabOptionFunc func, gpointer data,
                            GError **error) {
  g_autoptr (GString) letters = g_string_new (NULL);
  g_autofree struct option *longs = g_new0 (struct option, self->n + 1);
  make_getopt (self, letters, longs);
  opterr = 0;
  optind = 0; /* forget an earlier command line */
  int letter;
  while ((letter = getopt_long (argc, argv, letters->str, longs, NULL)) != -1) {
    const char *given = argv[optind - 1];
    if (letter == ':')
      return cab_cmdline_refuse (self, error, "option %s needs a value", given);
    if (letter == '?' && optopt != 0 && strncmp (given, "--", 2) != 0)
      return cab_cmdline_refuse (self, error, "unknown option -%c", optopt);
    if (letter == '?')
      return cab_cmdline_refuse (self, error, "unknown option %.*s", (int) strcspn (given, "="), given);
    if (!func (data, letter, optarg, error))
      return FALSE;
  }
  return TRUE;
}
