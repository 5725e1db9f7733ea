/* ctl.h - the commands of cabfsctl.  Each returns the exit status: 0 for what was wanted, 1 otherwise.
 *
 * What a command is asked for goes to stdout, what is wrong to stderr.  Mounts are talked to through their files and
 * ioctls only.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_CTL_H
#define CABFS_FS_CTL_H

#include "fs/ctl-command.h"

enum {
  CAB_EXIT_FAILED = 1,
  CAB_EXIT_USAGE = 2, /* command line or configuration */
  CAB_EXIT_INTERRUPTED = 130,
};

int cab_ctl_check (const CabCtlCommand *command);
int cab_ctl_fetch (const CabCtlCommand *command);
int cab_ctl_purge (const CabCtlCommand *command);
int cab_ctl_refresh (const CabCtlCommand *command);
int cab_ctl_status (const CabCtlCommand *command);

/* "cabfsctl: COMMAND: text" on stderr. */
void cab_ctl_complain (const CabCtlCommand *command, const char *format, ...) G_GNUC_PRINTF (2, 3);

#endif
