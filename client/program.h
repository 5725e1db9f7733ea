/* program.h - how a program is started here: in a process group of its own, so that it can be ended with all that it
 * started, and with the signals that a program expects: those that are ignored or blocked here are not for it.
 *
 * Threads: any.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_PROGRAM_H
#define CABFS_CLIENT_PROGRAM_H

#include <spawn.h>
#include <sys/types.h>

/* 0, or an errno: *@pid is not set then.  @actions stay the caller's. */
int cab_program_start (pid_t *pid, const char *program, const posix_spawn_file_actions_t *actions,
                       char *const *argv, char *const *environment);

#endif
