/* SPDX-License-Identifier: MIT */
#include "fs/ctl-command.h"

#include <getopt.h>
#include <string.h>

#include "client/error.h"
#include "fs/values.h"

#define JOBS_DEFAULT 4
#define JOBS_MAX     64

static const CabCtlEntry entries[CAB_CTL_VERBS] = {
    [CAB_CTL_CHECK] = {"check", CAB_CTL_ACCOUNT, "say whether CABs of an account can be read, and if not, why"},
    [CAB_CTL_FETCH] = {"fetch", CAB_CTL_PATHS, "bring files or directories of a mount into the cache"},
    [CAB_CTL_PURGE] = {"purge", CAB_CTL_ACCOUNT, "remove cached CABs of an account"},
    [CAB_CTL_REFRESH] = {"refresh", CAB_CTL_PATHS, "have lists of a mount asked for anew"},
    [CAB_CTL_STATUS] = {"status", CAB_CTL_MOUNTPOINT, "show what a mount is doing"},
};

#define BIT(verb) (1u << CAB_CTL_##verb)

static const CabCommandOption options[] = {
    {'c', "config", "FILE", "configuration instead of ~/.config/cabfs/cabfs.conf or /etc/cabfs/cabfs.conf"},
    {'o', "options", "KEY[=VALUE],...", "keys of cabfs.conf(5) and mount options, as the mount has them"},
    {'e', "expired", NULL, "what has expired or was kept long enough (the default)"},
    {'a', "all", NULL, "all CABs, and the lists"},
    {'j', "jobs", "N", "files at a time: 4"},
    {'w', "watch", NULL, "again and again, until Ctrl-C"},
    {'J', "json", NULL, "status.json as it is"},
    {'h', "help", NULL, "print this text"},
    {'V', "version", NULL, "print the version"},
};

/* Which commands have the option; the last two stand for themselves. */
static const guint verbs_of[] = {BIT (CHECK) | BIT (PURGE),
                                 BIT (CHECK) | BIT (PURGE),
                                 BIT (PURGE),
                                 BIT (PURGE),
                                 BIT (FETCH),
                                 BIT (STATUS),
                                 BIT (STATUS),
                                 0,
                                 0};
G_STATIC_ASSERT (G_N_ELEMENTS (verbs_of) == G_N_ELEMENTS (options));

static const CabCmdline cmdline = {"cabfsctl", options, G_N_ELEMENTS (options)};

const CabCtlEntry *cab_ctl_entries (guint *n) {
  *n = G_N_ELEMENTS (entries);
  return entries;
}

const CabCommandOption *cab_ctl_options (guint *n) {
  *n = G_N_ELEMENTS (options);
  return options;
}

gboolean cab_ctl_option_is_of (guint index, CabCtlVerb verb) {
  return (verbs_of[index] & 1u << verb) != 0;
}

/* --- help --------------------------------------------------------------------------------------------------------- */

char *cab_ctl_help (void) {
  static const char *const arguments[] = {"ACCOUNT", "MOUNTPOINT", "PATH..."};
  GString *text = g_string_new ("Usage: cabfsctl COMMAND [OPTION...] ARGUMENT...\n"
                                "Looks after accounts, mounts and caches of cabfs.\n\n");
  for (guint verb = 0; verb < CAB_CTL_VERBS; verb++) {
    g_autofree char *usage = g_strdup_printf ("%s %s", entries[verb].name, arguments[entries[verb].arguments]);
    g_string_append_printf (text, "  %-33s %s\n", usage, entries[verb].help);
    for (guint i = 0; i < G_N_ELEMENTS (options); i++)
      if (cab_ctl_option_is_of (i, verb))
        cab_cmdline_describe (&options[i], "    ", text);
  }
  g_string_append (text, "\n");
  for (guint i = 0; i < G_N_ELEMENTS (options); i++)
    if (verbs_of[i] == 0)
      cab_cmdline_describe (&options[i], "    ", text);
  g_string_append (text, "\nManual: cabfsctl(1)\n");
  return g_string_free (text, FALSE);
}

/* --- parsing ------------------------------------------------------------------------------------------------------ */

static gboolean set_option (CabCtlCommand *command, GPtrArray *words, int letter, const char *argument,
                            GError **error) {
  switch (letter) {
  case 'c':
    g_free (command->account.config_file);
    command->account.config_file = g_strdup (argument);
    return TRUE;
  case 'o':
    cab_command_add_words (words, argument);
    return TRUE;
  case 'e':
    command->expired = TRUE;
    return TRUE;
  case 'a':
    command->all = TRUE;
    return TRUE;
  case 'w':
    command->watch = TRUE;
    return TRUE;
  case 'J':
    command->json = TRUE;
    return TRUE;
  default:
    if (cab_value_number (argument, 1, JOBS_MAX, &command->jobs, error))
      return TRUE;
    g_prefix_error (error, "--jobs: ");
    return FALSE;
  }
}

static guint index_of (int letter) {
  guint i = 0;
  while (options[i].letter != letter)
    i++;
  return i;
}

typedef struct {
  CabCtlCommand *command;
  GPtrArray *words;
} Target;

/* All commands have all options parsed, so that one of another command is told as such. */
static gboolean take_option (gpointer data, int letter, const char *argument, GError **error) {
  const Target *self = data;
  CabCtlCommand *command = self->command;
  command->help = command->help || letter == 'h';
  command->version = command->version || letter == 'V';
  if (letter == 'h' || letter == 'V')
    return TRUE;
  if (!cab_ctl_option_is_of (index_of (letter), command->verb))
    return cab_cmdline_refuse (&cmdline, error, "%s has no option --%s", entries[command->verb].name,
                               options[index_of (letter)].name);
  return set_option (command, self->words, letter, argument, error);
}

static gboolean take_arguments (CabCtlCommand *command, int n, char **arguments, GError **error) {
  static const char *const missing[] = {"the account is missing", "the mount point is missing",
                                        "the path is missing"};
  const CabCtlEntry *entry = &entries[command->verb];
  if (command->help || command->version)
    return TRUE;
  if (n == 0 || arguments[0][0] == '\0')
    return cab_cmdline_refuse (&cmdline, error, "%s: %s", entry->name, missing[entry->arguments]);
  if (n > 1 && entry->arguments != CAB_CTL_PATHS)
    return cab_cmdline_refuse (&cmdline, error, "%s: one argument too many: %s", entry->name, arguments[1]);
  if (command->expired && command->all)
    return cab_cmdline_refuse (&cmdline, error, "%s: --expired or --all, not both", entry->name);
  if (entry->arguments == CAB_CTL_ACCOUNT) {
    command->account.account = g_strdup (arguments[0]);
    command->account.mountpoint = g_strdup ("/"); /* none */
  }
  for (int i = 0; i < n; i++)
    command->paths[i] = g_strdup (arguments[i]);
  return TRUE;
}

static gboolean find_verb (const char *name, CabCtlVerb *verb, GError **error) {
  for (guint i = 0; i < CAB_CTL_VERBS; i++)
    if (strcmp (entries[i].name, name) == 0) {
      *verb = (CabCtlVerb) i;
      return TRUE;
    }
  return cab_cmdline_refuse (&cmdline, error, "there is no command \"%s\"", name);
}

static gboolean parse_command (int argc, char **argv, CabCtlCommand *command, GError **error) {
  if (argc < 2)
    return cab_cmdline_refuse (&cmdline, error, "the command is missing");
  command->help = strcmp (argv[1], "--help") == 0 || strcmp (argv[1], "-h") == 0;
  command->version = strcmp (argv[1], "--version") == 0 || strcmp (argv[1], "-V") == 0;
  if (command->help || command->version)
    return TRUE;
  if (!find_verb (argv[1], &command->verb, error))
    return FALSE;
  GPtrArray *words = g_ptr_array_new ();
  Target target = {command, words};
  gboolean ok = cab_cmdline_parse (&cmdline, argc - 1, argv + 1, take_option, &target, error);
  g_ptr_array_add (words, NULL);
  command->account.words = (char **) g_ptr_array_free (words, FALSE);
  return ok && take_arguments (command, argc - 1 - optind, argv + 1 + optind, error);
}

gboolean cab_ctl_parse (int argc, char **argv, CabCtlCommand *out, GError **error) {
  CabCtlCommand command = {.jobs = JOBS_DEFAULT};
  command.paths = g_new0 (char *, (gsize) argc + 1);
  gboolean ok = parse_command (argc, argv, &command, error);
  if (ok)
    *out = command;
  else
    cab_ctl_command_clear (&command);
  return ok;
}

void cab_ctl_command_clear (CabCtlCommand *command) {
  cab_command_clear (&command->account);
  g_strfreev (command->paths);
  *command = (CabCtlCommand){0};
}
