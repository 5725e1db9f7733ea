/* SPDX-License-Identifier: MIT */
#include "client/command.h"

#include "client/error.h"
#include "client/program.h"
#include "client/redact.h"
#include "client/sync.h"
#include "client/thread.h"
#include "client/wipe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_OUTPUT  (64u * 1024)
#define MAX_MESSAGE 300
/* Only where the kernel has no pidfd: how often the child is asked for. */
#define POLL_MS 50

typedef enum { FD_OUTPUT, FD_MESSAGES, FD_CHILD, FD_KILL, FD_COUNT } FdIndex;

struct CabCommand {
  /* set at creation */
  CabCommandDone done;
  gpointer data;
  pthread_t thread;
  pid_t pid;
  int fds[FD_COUNT];
  /* owned by the command's thread */
  char output[MAX_OUTPUT + 1];
  gsize output_len;
  char messages[MAX_MESSAGE + 1]; /* the end of what it said */
  gsize messages_len;
  gboolean killed;
};

/* --- start -------------------------------------------------------------------------------------------------- */

static char **environment (void) {
  char **copy = g_get_environ ();
  return g_environ_unsetenv (copy, "AZURE_CLIENT_SECRET");
}

static int spawn (CabCommand *self, const char *line, int output, int messages) {
  char *shell = g_strdup ("/bin/sh"), *flag = g_strdup ("-c"), *text = g_strdup (line);
  char *argv[] = {shell, flag, text, NULL};
  g_auto (GStrv) env = environment ();
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init (&actions);
  posix_spawn_file_actions_addopen (&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2 (&actions, output, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2 (&actions, messages, STDERR_FILENO);
  posix_spawn_file_actions_addclosefrom_np (&actions, STDERR_FILENO + 1);
  int rc = cab_program_start (&self->pid, shell, &actions, argv, env);
  posix_spawn_file_actions_destroy (&actions);
  g_free (shell);
  g_free (flag);
  g_free (text);
  return rc;
}

static void close_all (int *fds, gsize count) {
  for (gsize i = 0; i < count; i++)
    if (fds[i] >= 0)
      close (fds[i]);
}

/* @theirs are the ends of the pipes that the child gets. */
static gboolean open_fds (CabCommand *self, int theirs[2], GError **error) {
  int output[2] = {-1, -1};
  int messages[2] = {-1, -1};
  gboolean ok = pipe2 (output, O_CLOEXEC) == 0 && pipe2 (messages, O_CLOEXEC) == 0;
  self->fds[FD_OUTPUT] = output[0];
  self->fds[FD_MESSAGES] = messages[0];
  theirs[0] = output[1];
  theirs[1] = messages[1];
  if (ok)
    self->fds[FD_KILL] = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (!ok || self->fds[FD_KILL] < 0) {
    cab_error_errno (error, "start token-command");
    return FALSE;
  }
  fcntl (self->fds[FD_OUTPUT], F_SETFL, O_NONBLOCK);
  fcntl (self->fds[FD_MESSAGES], F_SETFL, O_NONBLOCK);
  return TRUE;
}

/* --- its thread --------------------------------------------------------------------------------------------- */

/* FALSE when there will be no more. */
static gboolean take (int fd, char *buffer, gsize size, gssize *got) {
  do
    *got = read (fd, buffer, size);
  while (*got < 0 && errno == EINTR);
  return *got > 0 || (*got < 0 && errno == EAGAIN);
}

static void end_of (CabCommand *self, FdIndex index) {
  close (self->fds[index]);
  self->fds[index] = -1;
}

static void take_output (CabCommand *self) {
  gssize got = 1;
  while (self->fds[FD_OUTPUT] >= 0 && got > 0 && self->output_len <= MAX_OUTPUT) {
    if (!take (self->fds[FD_OUTPUT], self->output + self->output_len, MAX_OUTPUT + 1 - self->output_len, &got))
      end_of (self, FD_OUTPUT);
    if (got > 0)
      self->output_len += (gsize) got;
  }
}

/* The last words tell most. */
static void take_messages (CabCommand *self) {
  char bytes[MAX_MESSAGE];
  gssize got = 1;
  while (self->fds[FD_MESSAGES] >= 0 && got > 0) {
    if (!take (self->fds[FD_MESSAGES], bytes, sizeof bytes, &got))
      end_of (self, FD_MESSAGES);
    if (got <= 0)
      continue;
    gsize all = self->messages_len + (gsize) got;
    gsize drop = all > MAX_MESSAGE ? all - MAX_MESSAGE : 0;
    memmove (self->messages, self->messages + MIN (drop, self->messages_len),
             self->messages_len - MIN (drop, self->messages_len));
    self->messages_len -= MIN (drop, self->messages_len);
    memcpy (self->messages + self->messages_len, bytes, (gsize) got);
    self->messages_len += (gsize) got;
  }
}

static void kill_group (CabCommand *self) {
  if (!self->killed)
    kill (-self->pid, SIGKILL);
  self->killed = TRUE;
}

/* Until the child has ended: what it started may live on and keep the pipes open.  Returns its status, -1 if
 * somebody else took it. */
static int run (CabCommand *self) {
  int status = -1;
  for (;;) {
    struct pollfd fds[FD_COUNT];
    for (int i = 0; i < FD_COUNT; i++)
      fds[i] = (struct pollfd){.fd = self->fds[i], .events = POLLIN};
    if (self->killed)
      fds[FD_KILL].fd = -1;
    poll (fds, FD_COUNT, self->fds[FD_CHILD] >= 0 ? -1 : POLL_MS);
    take_output (self);
    take_messages (self);
    if (fds[FD_KILL].revents != 0 || self->output_len > MAX_OUTPUT)
      kill_group (self);
    pid_t ended = waitpid (self->pid, &status, WNOHANG);
    if (ended == self->pid || (ended < 0 && errno == ECHILD))
      break;
  }
  take_output (self);
  take_messages (self);
  return status;
}

static GError *judge (CabCommand *self, int status) {
  if (self->output_len > MAX_OUTPUT)
    return g_error_new (CAB_ERROR, CAB_ERROR_INVALID, "token-command printed more than %u bytes", MAX_OUTPUT);
  if (self->killed)
    return g_error_new (CAB_ERROR, CAB_ERROR_CANCELLED, "token-command was ended");
  if (status == 0 || (status == -1 && self->output_len > 0))
    return NULL;
  g_autofree char *valid = g_utf8_make_valid (self->messages, (gssize) self->messages_len);
  g_autofree char *words = cab_redact_text (valid);
  for (char *c = words; *c != '\0'; c++)
    if (g_ascii_iscntrl (*c))
      *c = ' ';
  g_strstrip (words);
  const char *how = WIFSIGNALED (status) ? "was killed by signal" : "ended with status";
  int number = WIFSIGNALED (status) ? WTERMSIG (status) : WEXITSTATUS (status);
  return g_error_new (CAB_ERROR, CAB_ERROR_FAILED, "token-command %s %d%s%s", how, number,
                      words[0] != '\0' ? ": " : "", words);
}

static void *thread_main (void *data) {
  CabCommand *self = data;
  int status = run (self);
  g_autoptr (GError) error = judge (self, status);
  self->output[MIN (self->output_len, MAX_OUTPUT)] = '\0';
  self->done (self->data, self->output, error == NULL ? self->output_len : 0, error);
  cab_wipe_bytes (self->output, sizeof self->output);
  return NULL;
}

/* --- life --------------------------------------------------------------------------------------------------- */

static void free_members (CabCommand *self) {
  close_all (self->fds, FD_COUNT);
  g_free (self);
}

CabCommand *cab_command_start (const char *line, CabCommandDone done, gpointer data, GError **error) {
  CabCommand *self = g_new0 (CabCommand, 1);
  int theirs[2] = {-1, -1};
  self->done = done;
  self->data = data;
  for (int i = 0; i < FD_COUNT; i++)
    self->fds[i] = -1;
  gboolean ok = open_fds (self, theirs, error);
  int rc = ok ? spawn (self, line, theirs[0], theirs[1]) : 0;
  close_all (theirs, 2);
  if (ok && rc == 0) {
    self->fds[FD_CHILD] = pidfd_open (self->pid, 0);
    rc = cab_thread_start (&self->thread, "cabfs-command", thread_main, self);
    if (rc == 0)
      return self;
    kill_group (self);
    waitpid (self->pid, NULL, 0);
  }
  if (ok)
    g_set_error (error, CAB_ERROR, CAB_ERROR_FAILED, "start token-command: %s", g_strerror (rc));
  free_members (self);
  return NULL;
}

void cab_command_kill (CabCommand *self) {
  eventfd_write (self->fds[FD_KILL], 1);
}

void cab_command_free (CabCommand *self) {
  if (self == NULL)
    return;
  cab_command_kill (self);
  pthread_join (self->thread, NULL);
  free_members (self);
}
