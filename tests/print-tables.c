/* SPDX-License-Identifier: MIT
 *
 * Prints the tables of the configuration and of the command line for check-manual: fields between tabs.
 *   key     NAME  TYPE  DEFAULT or nothing  SECTION
 *   word    NAME  "=" if it takes a value
 *   option  LETTER  NAME  ARGUMENT or nothing
 */
#include <stdio.h>

#include "fs/command.h"
#include "fs/keys.h"
#include "fs/words.h"

static const char *or_nothing (const char *text) {
  return text != NULL ? text : "";
}

int main (void) {
  guint n;
  const CabKey *keys = cab_config_keys (&n);
  for (guint i = 0; i < n; i++)
    printf ("key\t%s\t%s\t%s\t%s\n", keys[i].name, keys[i].type, or_nothing (keys[i].value), keys[i].section);
  const CabWord *words = cab_config_words (&n);
  for (guint i = 0; i < n; i++)
    if (words[i].kind == CAB_WORD_OURS)
      printf ("word\t%s\t%s\n", words[i].name, words[i].takes_value ? "=" : "");
  const CabCommandOption *options = cab_command_options (&n);
  for (guint i = 0; i < n; i++)
    printf ("option\t%c\t%s\t%s\n", options[i].letter, options[i].name, or_nothing (options[i].argument));
  return 0;
}
