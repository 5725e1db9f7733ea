/* SPDX-License-Identifier: MIT */
#include "fs/command.h"

#include <getopt.h>
#include <string.h>

#include "client/error.h"

static const CabCommandOption options[] = {
    {'c', "config", "FILE", "configuration instead of ~/.config/cabfs/cabfs.conf or /etc/cabfs/cabfs.conf"},
    {'f', "foreground", NULL, "stay in the foreground, log to stderr"},
    {'d', "debug", NULL, "the same with debug messages"},
    {'o', "options", "KEY[=VALUE],...", "keys of cabfs.conf(5) and mount options"},
    {'h', "help", NULL, "print this text"},
    {'V', "version", NULL, "print the version"},
};

const CabCommandOption *cab_command_options (guint *n) {
  *n = G_N_ELEMENTS (options);
  return options;
}

char *cab_command_help (void) {
  GString *text = g_string_new ("Usage: cabfs [OPTION...] ACCOUNT MOUNTPOINT\n"
                                "Shows the failure CABs of a Partner Center account as files.\n"
                                "ACCOUNT is a section of the configuration file.\n\n");
  for (gsize i = 0; i < G_N_ELEMENTS (options); i++) {
    g_autofree char *name = options[i].argument == NULL
                                ? g_strdup (options[i].name)
                                : g_strconcat (options[i].name, "=", options[i].argument, NULL);
    g_string_append_printf (text, "  -%c, --%-25s %s\n", options[i].letter, name, options[i].help);
  }
  g_string_append (text, "\nUnmount with: fusermount3 -u MOUNTPOINT\nManuals: cabfs(1), cabfs.conf(5)\n");
  return g_string_free (text, FALSE);
}

static gboolean refuse (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);
static gboolean refuse (GError **error, const char *format, ...) {
  va_list args;
  va_start (args, format);
  g_autofree char *message = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID, "%s; see cabfs --help", message);
  return FALSE;
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

static void set_option (CabCommand *command, GPtrArray *words, int letter, const char *argument) {
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
    cab_command_add_words (words, argument);
    break;
  }
}

/* What getopt_long() wants, from the table. */
static void make_getopt (GString *letters, struct option *longs) {
  g_string_append_c (letters, ':');
  for (gsize i = 0; i < G_N_ELEMENTS (options); i++) {
    gboolean takes = options[i].argument != NULL;
    g_string_append_printf (letters, "%c%s", options[i].letter, takes ? ":" : "");
    longs[i] =
        (struct option){options[i].name, takes ? required_argument : no_argument, NULL, options[i].letter};
  }
}

static gboolean parse_options (int argc, char **argv, CabCommand *command, GPtrArray *words, GError **error) {
  g_autoptr (GString) letters = g_string_new (NULL);
  struct option longs[G_N_ELEMENTS (options) + 1] = {0};
  make_getopt (letters, longs);
  opterr = 0;
  optind = 0; /* forget an earlier command line */
  int letter;
  while ((letter = getopt_long (argc, argv, letters->str, longs, NULL)) != -1) {
    const char *given = argv[optind - 1];
    if (letter == ':')
      return refuse (error, "option %s needs a value", given);
    if (letter == '?' && optopt != 0 && strncmp (given, "--", 2) != 0)
      return refuse (error, "unknown option -%c", optopt);
    if (letter == '?')
      return refuse (error, "unknown option %.*s", (int) strcspn (given, "="), given);
    set_option (command, words, letter, optarg);
  }
  return TRUE;
}

static gboolean parse_arguments (int n, char **arguments, CabCommand *command, GError **error) {
  if (command->help || command->version)
    return TRUE;
  if (n == 0)
    return refuse (error, "the account and the mount point are missing");
  if (n == 1 || arguments[1][0] == '\0')
    return refuse (error, "the mount point is missing");
  if (n > 2)
    return refuse (error, "one argument too many: %s", arguments[2]);
  command->account = g_strdup (arguments[0]);
  command->mountpoint = g_strdup (arguments[1]);
  return TRUE;
}

gboolean cab_command_parse (int argc, char **argv, CabCommand *out, GError **error) {
  CabCommand command = {0};
  GPtrArray *words = g_ptr_array_new ();
  gboolean ok = parse_options (argc, argv, &command, words, error) &&
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
