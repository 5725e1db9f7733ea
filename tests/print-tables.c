/* SPDX-License-Identifier: MIT
 *
 * Prints the tables of the configuration and of the command line for check-manual and make-completions: fields between
 * tabs.
 *   key     NAME  TYPE  DEFAULT or nothing  SECTION  CHOICES, blanks between, or nothing
 *   live    NAME of a key that counts at once when the configuration is read again
 *   word    NAME  "=" if it takes a value
 *   option  LETTER  NAME  ARGUMENT or nothing  HELP
 * and of cabfsctl
 *   command  NAME  account, mountpoint or paths  HELP
 *   ctl  LETTER  NAME  ARGUMENT or nothing  HELP  COMMANDS, blanks between, or nothing: it stands for itself
 */
#include <stdio.h>

#include "fs/command.h"
#include "fs/ctl-command.h"
#include "fs/keys.h"
#include "fs/words.h"

static const char *or_nothing (const char *text) {
  return text != NULL ? text : "";
}

static void print_key (const CabKey *key) {
  printf ("key\t%s\t%s\t%s\t%s\t", key->name, key->type, or_nothing (key->value), key->section);
  for (guint i = 0; key->words != NULL && key->words[i] != NULL; i++)
    printf ("%s%s", i > 0 ? " " : "", key->words[i]);
  putchar ('\n');
  if (key->live)
    printf ("live\t%s\n", key->name);
}

static void print_commands (void) {
  static const char *const arguments[] = {"account", "mountpoint", "paths"};
  guint n;
  const CabCtlEntry *entries = cab_ctl_entries (&n);
  for (guint i = 0; i < n; i++)
    printf ("command\t%s\t%s\t%s\n", entries[i].name, arguments[entries[i].arguments], entries[i].help);
}

static void print_ctl_options (void) {
  guint n, verbs;
  const CabCommandOption *options = cab_ctl_options (&n);
  const CabCtlEntry *entries = cab_ctl_entries (&verbs);
  for (guint i = 0; i < n; i++) {
    const char *before = "";
    printf ("ctl\t%c\t%s\t%s\t%s\t", options[i].letter, options[i].name, or_nothing (options[i].argument),
            options[i].help);
    for (guint verb = 0; verb < verbs; verb++)
      if (cab_ctl_option_is_of (i, verb)) {
        printf ("%s%s", before, entries[verb].name);
        before = " ";
      }
    putchar ('\n');
  }
}

int main (void) {
  guint n;
  const CabKey *keys = cab_config_keys (&n);
  for (guint i = 0; i < n; i++)
    print_key (&keys[i]);
  const CabWord *words = cab_config_words (&n);
  for (guint i = 0; i < n; i++)
    if (words[i].kind == CAB_WORD_OURS)
      printf ("word\t%s\t%s\n", words[i].name, words[i].takes_value ? "=" : "");
  const CabCommandOption *options = cab_command_options (&n);
  for (guint i = 0; i < n; i++)
    printf ("option\t%c\t%s\t%s\t%s\n", options[i].letter, options[i].name, or_nothing (options[i].argument),
            options[i].help);
  print_commands ();
  print_ctl_options ();
  return 0;
}
