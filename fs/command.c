/* SPDX-License-Identifier: MIT */
#include "fs/command.h"

#include <getopt.h>

static const CabCommandOption options[] = {
    {'c', "config", "FILE", "configuration instead of ~/.config/cabfs/cabfs.conf or /etc/cabfs/cabfs.conf"},
    {'f', "foreground", NULL, "stay in the foreground, log to stderr"},
    {'d', "debug", NULL, "the same with debug messages"},
    {'o', "options", "KEY[=VALUE],...", "keys of cabfs.conf(5) and mount options"},
    {'h', "help", NULL, "print this text"},
    {'V', "version", NULL, "print the version"},
};

static const CabCmdline cmdline = {"cabfs", options, G_N_ELEMENTS (options)};

const CabCommandOption *cab_command_options (guint *n) {
  *n = G_N_ELEMENTS (options);
  return options;
}

char *cab_command_help (void) {
  GString *text = g_string_new ("Usage: cabfs [OPTION...] ACCOUNT MOUNTPOINT\n"
                                "Shows the failure CABs of a Partner Center account as files.\n"
                                "ACCOUNT is a section of the configuration file.\n\n");
  for (gsize i = 0; i < G_N_ELEMENTS (options); i++)
    cab_cmdline_describe (&options[i], "  ", text);
  g_string_append (text, "\nUnmount with: fusermount3 -u MOUNTPOINT\nManuals: cabfs(1), cabfs.conf(5)\n");
  return g_string_free (text, FALSE);
}

void cab_command_add_words (GPtrArray *words, const char *text) {
  g_autoptr (GString) word = g_string_new (NULL);
  for (const char *p = text;; p++) {
    if (*p == '\0' || *p == ',') {
      if (word->len > 0)
        g_ptr_array_add (words, g_strdup (word->str));
      g_string_truncate (word, 0);
      if (*p == '\0')
        return;
      continue;
    }
    if (*p == '\\' && p[1] != '\0')
      p++;
    g_string_append_c (word, *p);
  }
}

typedef struct {
  CabCommand *command;
  GPtrArray *words;
} Target;

static gboolean set_option (gpointer data, int letter, const char *argument, GError **error) {
  const Target *self = data;
  CabCommand *command = self->command;
  switch (letter) {
  case 'c':
    g_free (command->config_file);
    command->config_file = g_strdup (argument);
    break;
  case 'd':
    command->debug = TRUE;
    command->foreground = TRUE;
    break;
  case 'f':
    command->foreground = TRUE;
    break;
  case 'h':
    command->help = TRUE;
    break;
  case 'V':
    command->version = TRUE;
    break;
  default:
    cab_command_add_words (self->words, argument);
    break;
  }
  return TRUE;
}

static gboolean parse_arguments (int n, char **arguments, CabCommand *command, GError **error) {
  if (command->help || command->version)
    return TRUE;
  if (n == 0)
    return cab_cmdline_refuse (&cmdline, error, "the account and the mount point are missing");
  if (n == 1 || arguments[1][0] == '\0')
    return cab_cmdline_refuse (&cmdline, error, "the mount point is missing");
  if (n > 2)
    return cab_cmdline_refuse (&cmdline, error, "one argument too many: %s", arguments[2]);
  command->account = g_strdup (arguments[0]);
  command->mountpoint = g_strdup (arguments[1]);
  return TRUE;
}

gboolean cab_command_parse (int argc, char **argv, CabCommand *out, GError **error) {
  CabCommand command = {0};
  GPtrArray *words = g_ptr_array_new ();
  Target target = {&command, words};
  gboolean ok = cab_cmdline_parse (&cmdline, argc, argv, set_option, &target, error) &&
                parse_arguments (argc - optind, argv + optind, &command, error);
  g_ptr_array_add (words, NULL);
  command.words = (char **) g_ptr_array_free (words, FALSE);
  command.directory = g_get_current_dir ();
  if (ok)
    *out = command;
  else
    cab_command_clear (&command);
  return ok;
}

void cab_command_clear (CabCommand *command) {
  g_free (command->config_file);
  g_free (command->account);
  g_free (command->mountpoint);
  g_free (command->directory);
  g_strfreev (command->words);
  *command = (CabCommand){0};
}
