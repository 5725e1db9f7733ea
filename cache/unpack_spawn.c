/* SPDX-License-Identifier: MIT */
#include "cache/unpack_spawn.h"

#include "cache/unpack.h"
#include "cache/unpack_wire.h"
#include "client/error.h"
#include "client/program.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define NAME "cabfs-unpack"

/* The worker's ends are kept clear of the numbers that they will have. */
#define ABOVE (CAB_WIRE_OUTPUT + 1)

char *cab_unpack_program (void) {
  g_autofree char *self = g_file_read_link ("/proc/self/exe", NULL);
  g_autofree char *folder = g_path_get_dirname (self != NULL ? self : "");
  if (g_str_has_suffix (folder, "/fs")) {
    g_autofree char *top = g_path_get_dirname (folder);
    g_autofree char *program = g_build_filename (top, "cache", NAME, NULL);
    if (access (program, X_OK) == 0)
      return g_steal_pointer (&program);
  }
  return g_build_filename (CABFS_LIBEXECDIR, NAME, NULL);
}

typedef struct {
  int socket, output, words;
} Ends; /* of the worker */

static void close_end (int fd) {
  if (fd >= 0)
    close (fd);
}

static void ends_clear (Ends *ends) {
  close_end (ends->socket);
  close_end (ends->output);
  close_end (ends->words);
}

/* Closes @fd. */
static int move_above (int fd) {
  int moved = fcntl (fd, F_DUPFD_CLOEXEC, ABOVE);
  int saved = errno;
  close (fd);
  errno = saved;
  return moved;
}

static gboolean make_ends (int output, Ends *ends, CabSpawned *ours) {
  int pair[2], pipes[2];
  if (socketpair (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
    return FALSE;
  ours->socket = pair[0];
  ends->socket = move_above (pair[1]);
  if (ends->socket < 0 || pipe2 (pipes, O_CLOEXEC | O_NONBLOCK) < 0)
    return FALSE;
  ours->words = pipes[0];
  ends->words = move_above (pipes[1]);
  if (ends->words < 0)
    return FALSE;
  if (output >= 0)
    ends->output = fcntl (output, F_DUPFD_CLOEXEC, ABOVE);
  return output < 0 || ends->output >= 0;
}

static void set_descriptors (posix_spawn_file_actions_t *actions, const Ends *ends) {
  posix_spawn_file_actions_init (actions);
  posix_spawn_file_actions_addopen (actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen (actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2 (actions, ends->words, STDERR_FILENO);
  posix_spawn_file_actions_adddup2 (actions, ends->socket, CAB_WIRE_SOCKET);
  if (ends->output >= 0)
    posix_spawn_file_actions_adddup2 (actions, ends->output, CAB_WIRE_OUTPUT);
  posix_spawn_file_actions_addclosefrom_np (actions, ends->output >= 0 ? CAB_WIRE_OUTPUT + 1 : CAB_WIRE_OUTPUT);
}

static int spawn (const char *program, const Ends *ends, pid_t *pid) {
  posix_spawn_file_actions_t actions;
  g_autofree char *name = g_strdup (NAME);
  char *argv[] = {name, NULL};
  char *environment[] = {NULL};
  set_descriptors (&actions, ends);
  int rc = cab_program_start (pid, program, &actions, argv, environment);
  posix_spawn_file_actions_destroy (&actions);
  return rc;
}

gboolean cab_unpack_spawn (const char *program, int output, CabSpawned *spawned, GError **error) {
  Ends ends = {-1, -1, -1};
  CabSpawned ours = {.pid = -1, .process = -1, .socket = -1, .words = -1};
  int rc = make_ends (output, &ends, &ours) ? spawn (program, &ends, &ours.pid) : errno;
  ends_clear (&ends);
  if (rc != 0) {
    close_end (ours.socket);
    close_end (ours.words);
    errno = rc;
    cab_error_errno (error, "start %s", program);
    return FALSE;
  }
  ours.process = pidfd_open (ours.pid, 0);
  *spawned = ours;
  return TRUE;
}
