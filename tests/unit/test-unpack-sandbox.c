/* That the sandbox of the worker keeps what is in it from what it should not do, and lets it do what it has to:
 * each try is made in a process of its own.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cache/unpack_sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
  FILE_SIZE_MAX = 1000,
  DESCRIPTORS = 100, /* as many as a test process may have */
  WAS_STOPPED = 0,   /* exit statuses */
  WENT_THROUGH = 1,
  NOT_SANDBOXED = 2,
};

typedef gboolean (*Try) (void); /* FALSE: it was not let */

static int run (Try try, CabSandboxFlags needed) {
  pid_t child = fork ();
  g_assert_cmpint (child, >=, 0);
  if (child == 0) {
    CabSandboxFlags got = cab_sandbox_enter (FILE_SIZE_MAX, DESCRIPTORS);
    if ((got & needed) != needed)
      _exit (NOT_SANDBOXED);
    _exit (try () ? WENT_THROUGH : WAS_STOPPED);
  }
  int status = 0;
  g_assert_cmpint (waitpid (child, &status, 0), ==, child);
  return status;
}

static gboolean is_skipped (int status) {
  if (!WIFEXITED (status) || WEXITSTATUS (status) != NOT_SANDBOXED)
    return FALSE;
  g_test_skip ("this kernel has not all of the sandbox");
  return TRUE;
}

static void assert_allowed (Try try) {
  int status = run (try, 0);
  g_assert_true (WIFEXITED (status));
  g_assert_cmpint (WEXITSTATUS (status), ==, WENT_THROUGH);
}

static void assert_refused (Try try, CabSandboxFlags needed) {
  int status = run (try, needed);
  if (is_skipped (status))
    return;
  g_assert_true (WIFEXITED (status));
  g_assert_cmpint (WEXITSTATUS (status), ==, WAS_STOPPED);
}

/* With AddressSanitizer it is refused only. */
static void assert_deadly (Try try) {
  if (CAB_SANDBOX_FOR_ASAN) {
    assert_refused (try, CAB_SANDBOX_SECCOMP);
    return;
  }
  int status = run (try, CAB_SANDBOX_SECCOMP);
  if (is_skipped (status))
    return;
  g_assert_true (WIFSIGNALED (status));
  g_assert_cmpint (WTERMSIG (status), ==, SIGSYS);
}

/* --- tries -------------------------------------------------------------------------------------------------- */

static gboolean read_file (void) {
  return open ("/etc/passwd", O_RDONLY) >= 0;
}

static gboolean write_file (void) {
  return open ("/tmp/cabfs-sandbox-test", O_WRONLY | O_CREAT, 0600) >= 0;
}

static gboolean open_folder (void) {
  return open ("/", O_RDONLY | O_DIRECTORY) >= 0;
}

static gboolean look_at_file (void) {
  struct stat facts;
  return stat ("/etc/passwd", &facts) == 0;
}

static gboolean remove_file (void) {
  return unlink ("/tmp/cabfs-sandbox-test") == 0 || errno == ENOENT;
}

static gboolean open_socket (void) {
  return socket (AF_INET, SOCK_STREAM, 0) >= 0;
}

static gboolean open_local_socket (void) {
  return socket (AF_UNIX, SOCK_STREAM, 0) >= 0;
}

static gboolean start_program (void) {
  char path[] = "/bin/true";
  char *argv[] = {path, NULL};
  char *environment[] = {NULL};
  execve (path, argv, environment);
  return FALSE;
}

static gboolean fork_again (void) {
  pid_t child = fork ();
  if (child == 0)
    _exit (0);
  return child > 0;
}

static gboolean kill_parent (void) {
  return kill (getppid (), 0) == 0;
}

static gboolean trace_parent (void) {
  return syscall (SYS_ptrace, 16 /* PTRACE_ATTACH */, getppid (), 0, 0) == 0;
}

static gboolean map_code (void) {
  return mmap (NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
         MAP_FAILED;
}

static gboolean make_code (void) {
  void *page = mmap (NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return page != MAP_FAILED && mprotect (page, 4096, PROT_READ | PROT_EXEC) == 0;
}

static gboolean raise_limit (void) {
  const struct rlimit much = {RLIM_INFINITY, RLIM_INFINITY};
  return setrlimit (RLIMIT_FSIZE, &much) == 0;
}

static gboolean take_much_memory (void) {
  return mmap (NULL, (size_t) 1 << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
         MAP_FAILED;
}

static gboolean take_memory (void) {
  char *bytes = malloc ((size_t) 64 << 20);
  if (bytes == NULL)
    return FALSE;
  memset (bytes, 1, (size_t) 64 << 20);
  gboolean ok = bytes[12345] == 1;
  free (bytes);
  return ok;
}

/* Files and sockets that were opened before: what a worker gets. */
static int file_before = -1;
static int pair_before[2] = {-1, -1};

static gboolean use_file (void) {
  char byte = 0;
  return pwrite (file_before, "x", 1, 5) == 1 && pread (file_before, &byte, 1, 5) == 1 && byte == 'x';
}

static gboolean use_socket (void) {
  struct iovec part = {.iov_base = (char[]){'x'}, .iov_len = 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  return sendmsg (pair_before[0], &message, 0) == 1 && recvmsg (pair_before[1], &message, 0) == 1;
}

static gboolean fill_file (void) {
  signal (SIGXFSZ, SIG_IGN);
  return pwrite (file_before, "x", 1, FILE_SIZE_MAX) == 1;
}

/* --- tests -------------------------------------------------------------------------------------------------- */

static void test_allowed (void) {
  assert_allowed (use_file);
  assert_allowed (use_socket);
  assert_allowed (take_memory);
}

static void test_files (void) {
  assert_refused (read_file, CAB_SANDBOX_SECCOMP);
  assert_refused (write_file, CAB_SANDBOX_SECCOMP);
  assert_refused (open_folder, CAB_SANDBOX_SECCOMP);
  assert_refused (look_at_file, CAB_SANDBOX_SECCOMP);
  assert_refused (remove_file, CAB_SANDBOX_SECCOMP);
}

static void test_network (void) {
  assert_deadly (open_socket);
  assert_deadly (open_local_socket);
}

static void test_processes (void) {
  assert_deadly (start_program);
  assert_deadly (fork_again);
  assert_deadly (kill_parent);
  assert_deadly (trace_parent);
}

static void test_code (void) {
  assert_refused (map_code, CAB_SANDBOX_SECCOMP);
  assert_refused (make_code, CAB_SANDBOX_SECCOMP);
}

static void test_limits (void) {
  assert_refused (fill_file, 0);
  assert_refused (raise_limit, CAB_SANDBOX_SECCOMP);
  if (!CAB_SANDBOX_FOR_ASAN)
    assert_refused (take_much_memory, 0);
}

/* Landlock by itself, in a process that seccomp lets do as it likes. */
static void test_landlock (void) {
  pid_t child = fork ();
  g_assert_cmpint (child, >=, 0);
  if (child == 0) {
    prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (!cab_sandbox_forbid_files ())
      _exit (NOT_SANDBOXED);
    _exit (read_file () || open_folder () || write_file () ? WENT_THROUGH : WAS_STOPPED);
  }
  int status = 0;
  g_assert_cmpint (waitpid (child, &status, 0), ==, child);
  if (is_skipped (status))
    return;
  g_assert_cmpint (status, ==, WAS_STOPPED);
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
  file_before = memfd_create ("file", MFD_CLOEXEC);
  g_assert_cmpint (file_before, >=, 0);
  g_assert_cmpint (socketpair (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair_before), ==, 0);
  g_test_add_func ("/unpack-sandbox/allowed", test_allowed);
  g_test_add_func ("/unpack-sandbox/files", test_files);
  g_test_add_func ("/unpack-sandbox/network", test_network);
  g_test_add_func ("/unpack-sandbox/processes", test_processes);
  g_test_add_func ("/unpack-sandbox/code", test_code);
  g_test_add_func ("/unpack-sandbox/limits", test_limits);
  g_test_add_func ("/unpack-sandbox/landlock", test_landlock);
  return g_test_run ();
}
