/* command.h - the command line of cabfs, as far as it can be understood without the configuration.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_COMMAND_H
#define CABFS_FS_COMMAND_H

#include "fs/cmdline.h"

const CabCommandOption *cab_command_options (guint *n);

typedef struct {
  gboolean help;
  gboolean version;
  gboolean foreground;
  gboolean debug;
  char *config_file; /* NULL: not named */
  char *account;     /* both NULL with help or version */
  char *mountpoint;  /* as given */
  char *directory;   /* where it was given, and relative paths in it begin */
  char **words;      /* of all -o, in order, "name" or "name=value", escapes taken away; never NULL */
} CabCommand;

/* Errors are CAB_ERROR_INVALID.  @out is set on success only. */
gboolean cab_command_parse (int argc, char **argv, CabCommand *out, GError **error);

void cab_command_clear (CabCommand *command);

/* Adds what follows -o to @words: "a,b=c\,d" is "a" and "b=c,d"; a backslash takes the meaning of what follows. */
void cab_command_add_words (GPtrArray *words, const char *text);

/* The text of --help. */
char *cab_command_help (void);

#endif
