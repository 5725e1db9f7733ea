/* SPDX-License-Identifier: MIT */
#include "client/program.h"

#include <signal.h>

int cab_program_start (pid_t *pid, const char *program, const posix_spawn_file_actions_t *actions,
                       char *const *argv, char *const *environment) {
  posix_spawnattr_t attributes;
  sigset_t none, all;
  sigemptyset (&none);
  sigfillset (&all);
  posix_spawnattr_init (&attributes);
  posix_spawnattr_setpgroup (&attributes, 0);
  posix_spawnattr_setsigmask (&attributes, &none);
  posix_spawnattr_setsigdefault (&attributes, &all);
  posix_spawnattr_setflags (&attributes,
                            POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  int rc = posix_spawn (pid, program, actions, &attributes, argv, environment);
  posix_spawnattr_destroy (&attributes);
  return rc;
}
