/* SPDX-License-Identifier: MIT */
#include "fs/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/error.h"
#include "fs/log.h"

#if defined __has_feature
#if __has_feature(address_sanitizer)
#define UNDER_SANITIZER 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define UNDER_SANITIZER 1
#endif

enum {
  OPEN_FILES_MAX = 1 << 18, /* a limit of a billion makes programs that close all descriptors take minutes */
  ARENAS_MAX = 2,
};

struct CabDaemon {
  int pipe; /* to the parent, -1 once it is gone */
};

/* Without O_CLOEXEC: programs that are started want them as much. */
void cab_daemon_hold_standard (void) {
  int fd;
  do
    fd = open ("/dev/null", O_RDWR);
  while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0)
    close (fd);
}

/* The parent's end: does not return. */
static G_GNUC_NORETURN void wait_for_child (pid_t child, int fd) {
  char ready;
  ssize_t n;
  do
    n = read (fd, &ready, 1);
  while (n < 0 && errno == EINTR);
  if (n == 1)
    _exit (EXIT_SUCCESS);
  int status = 0;
  while (waitpid (child, &status, 0) < 0 && errno == EINTR)
    continue;
  if (WIFEXITED (status))
    _exit (WEXITSTATUS (status) != 0 ? WEXITSTATUS (status) : EXIT_FAILURE);
  g_printerr ("cabfs: ended by signal %d before the mount answered\n", WTERMSIG (status));
  _exit (EXIT_FAILURE);
}

CabDaemon *cab_daemon_fork (GError **error) {
  int fds[2];
  if (pipe2 (fds, O_CLOEXEC) < 0)
    return cab_error_errno (error, "make a pipe");
  pid_t child = fork ();
  if (child < 0) {
    cab_error_errno (error, "go to the background");
    close (fds[0]);
    close (fds[1]);
    return NULL;
  }
  if (child > 0) {
    close (fds[1]);
    wait_for_child (child, fds[0]);
  }
  close (fds[0]);
  CabDaemon *self = g_new (CabDaemon, 1);
  self->pipe = fds[1];
  return self;
}

static void leave_terminal (void) {
  setsid ();
  if (chdir ("/") < 0)
    g_info ("cannot leave the current directory: %s", g_strerror (errno));
  int null = open ("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0)
    return;
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
    dup2 (null, fd);
  if (null > STDERR_FILENO)
    close (null);
}

void cab_daemon_ready (CabDaemon *self) {
  cab_log_to_syslog ();
  leave_terminal ();
  /* A parent that was killed meanwhile is no reason to give up the mount (SIGPIPE is ignored). */
  ssize_t written = write (self->pipe, "", 1);
  (void) written;
  close (self->pipe);
  self->pipe = -1;
}

void cab_daemon_free (CabDaemon *self) {
  if (self == NULL)
    return;
  if (self->pipe >= 0)
    close (self->pipe);
  g_free (self);
}

static void raise_open_files (void) {
  struct rlimit limit;
  if (getrlimit (RLIMIT_NOFILE, &limit) < 0)
    return;
  rlim_t wanted = MIN (limit.rlim_max, (rlim_t) OPEN_FILES_MAX);
  if (limit.rlim_cur >= wanted)
    return;
  limit.rlim_cur = wanted;
  if (setrlimit (RLIMIT_NOFILE, &limit) < 0)
    g_info ("the limit of open files stays as it is: %s", g_strerror (errno));
}

/* No core file fits into one byte, and where the kernel pipes core dumps into a program, one byte is what it takes as a
 * no: a limit of none would not count there.  Who began with none cannot have one byte. */
static void forbid_core_dumps (void) {
  struct rlimit least = {1, 1};
  struct rlimit none = {0, 0};
  if (setrlimit (RLIMIT_CORE, &least) < 0)
    setrlimit (RLIMIT_CORE, &none);
}

/* Not being dumpable also gives /proc/self to root, which LeakSanitizer, as another user, cannot do without. */
static void forbid_tracing (void) {
#ifndef UNDER_SANITIZER
  prctl (PR_SET_DUMPABLE, 0);
#endif
}

void cab_daemon_harden (gboolean debug) {
  forbid_core_dumps ();
  if (!debug)
    forbid_tracing ();
  raise_open_files ();
  mallopt (M_ARENA_MAX, ARENAS_MAX);
}
