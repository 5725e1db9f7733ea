/* ctl-command.h - the command line of cabfsctl, and the tables that it, --help, completions and manual are made from.
 *
 * Errors are CAB_ERROR_INVALID, one line.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_CTL_COMMAND_H
#define CABFS_FS_CTL_COMMAND_H

#include "fs/command.h"

typedef enum {
  CAB_CTL_CHECK,
  CAB_CTL_FETCH,
  CAB_CTL_PURGE,
  CAB_CTL_REFRESH,
  CAB_CTL_STATUS,
  CAB_CTL_VERBS,
} CabCtlVerb;

/* What the arguments of a command are. */
typedef enum { CAB_CTL_ACCOUNT, CAB_CTL_MOUNTPOINT, CAB_CTL_PATHS } CabCtlArguments;

typedef struct {
  const char *name;
  CabCtlArguments arguments;
  const char *help;
} CabCtlEntry;

/* By CabCtlVerb. */
const CabCtlEntry *cab_ctl_entries (guint *n);

/* All options, each once. */
const CabCommandOption *cab_ctl_options (guint *n);

/* TRUE if the option of that index goes with @verb. */
gboolean cab_ctl_option_is_of (guint index, CabCtlVerb verb);

typedef struct {
  gboolean help; /* then nothing else is set */
  gboolean version;
  CabCtlVerb verb;
  CabCommand account; /* of commands on an account: for cab_config_load() */
  gboolean expired;
  gboolean all;
  gboolean watch;
  gboolean json;
  guint jobs;
  char **paths; /* of the others, at least one; never NULL */
} CabCtlCommand;

/* @out is set on success only. */
gboolean cab_ctl_parse (int argc, char **argv, CabCtlCommand *out, GError **error);

void cab_ctl_command_clear (CabCtlCommand *command);

/* The text of --help. */
char *cab_ctl_help (void);

#endif
