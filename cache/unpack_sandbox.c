/* SPDX-License-Identifier: MIT */
#include "cache/unpack_sandbox.h"

#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Beyond what the process has when it starts, which is programs and libraries: 100,000 members of a ZIP take
 * 30, the longest list of a cabinet 40, the window of LZX 2, our blocks 8. */
#define MEMORY_MAX (G_GUINT64_CONSTANT (128) << 20)
/* What it has when it starts, where that cannot be read. */
#define MEMORY_USUAL (G_GUINT64_CONSTANT (128) << 20)

/* --- limits ------------------------------------------------------------------------------------------------- */

static void limit (int resource, guint64 value) {
  struct rlimit now;
  if (getrlimit (resource, &now) < 0)
    return;
  rlim_t most = MIN (now.rlim_max, (rlim_t) value);
  const struct rlimit then = {most, most};
  setrlimit (resource, &then);
}

static guint64 address_space (void) {
  char line[128] = "";
  FILE *statm = fopen ("/proc/self/statm", "re");
  if (statm != NULL && fgets (line, sizeof line, statm) == NULL)
    line[0] = '\0';
  if (statm != NULL)
    fclose (statm);
  guint64 pages = g_ascii_strtoull (line, NULL, 10);
  return pages > 0 ? pages * (guint64) sysconf (_SC_PAGESIZE) : MEMORY_USUAL;
}

static void set_limits (guint64 file_size) {
  limit (RLIMIT_CORE, 0);
  limit (RLIMIT_NPROC, 0);
  limit (RLIMIT_FSIZE, file_size);
  if (!CAB_SANDBOX_FOR_ASAN)
    limit (RLIMIT_AS, address_space () + MEMORY_MAX);
}

/* --- Landlock ----------------------------------------------------------------------------------------------- */

/* The kernel's interface, by number: its headers are often older than it. */
#define LANDLOCK_CREATE_RULESET 444
#define LANDLOCK_RESTRICT_SELF  446
#define LANDLOCK_GET_VERSION    1u

typedef struct {
  guint64 files;
  guint64 network; /* from version 4 */
  guint64 scopes;  /* from version 6 */
} LandlockRules;

/* All that a version knows of is forbidden, since nothing is allowed. */
gboolean cab_sandbox_forbid_files (void) {
  static const guint file_rights[] = {0, 13, 14, 15, 15, 16};
  long version = syscall (LANDLOCK_CREATE_RULESET, NULL, 0, LANDLOCK_GET_VERSION);
  if (version < 1)
    return FALSE;
  guint known = (guint) MIN (version, (long) G_N_ELEMENTS (file_rights) - 1);
  const LandlockRules rules = {
      .files = (G_GUINT64_CONSTANT (1) << file_rights[known]) - 1,
      .network = 3,
      .scopes = 3,
  };
  gsize size = version >= 6   ? sizeof rules
               : version >= 4 ? G_STRUCT_OFFSET (LandlockRules, scopes)
                              : G_STRUCT_OFFSET (LandlockRules, network);
  long fd = syscall (LANDLOCK_CREATE_RULESET, &rules, size, 0);
  if (fd < 0)
    return FALSE;
  long rc = syscall (LANDLOCK_RESTRICT_SELF, fd, 0);
  close ((int) fd);
  return rc == 0;
}

/* --- seccomp ------------------------------------------------------------------------------------------------ */

static const int allowed[] = {
    /* the descriptors it has */
    SCMP_SYS (read),
    SCMP_SYS (write),
    SCMP_SYS (readv),
    SCMP_SYS (writev),
    SCMP_SYS (pread64),
    SCMP_SYS (pwrite64),
    SCMP_SYS (lseek),
    SCMP_SYS (_llseek),
    SCMP_SYS (sendmsg),
    SCMP_SYS (recvmsg),
    SCMP_SYS (close),
    SCMP_SYS (fstat),
    SCMP_SYS (poll),
    SCMP_SYS (ppoll),
    /* memory */
    SCMP_SYS (brk),
    SCMP_SYS (munmap),
    SCMP_SYS (mremap),
    SCMP_SYS (madvise),
    SCMP_SYS (futex),
    /* time and chance */
    SCMP_SYS (clock_gettime),
    SCMP_SYS (clock_getres),
    SCMP_SYS (gettimeofday),
    SCMP_SYS (time),
    SCMP_SYS (getrandom),
    /* to end, also by abort(), and what reports of a sanitizer are made with */
    SCMP_SYS (exit),
    SCMP_SYS (exit_group),
    SCMP_SYS (rt_sigreturn),
    SCMP_SYS (rt_sigprocmask),
    SCMP_SYS (rt_sigaction),
    SCMP_SYS (sigaltstack),
    SCMP_SYS (restart_syscall),
    SCMP_SYS (getpid),
    SCMP_SYS (gettid),
    SCMP_SYS (sched_yield),
};

/* Nothing that parses an archive has a use for these. */
static const int deadly[] = {
    SCMP_SYS (execve),
    SCMP_SYS (execveat),
    SCMP_SYS (fork),
    SCMP_SYS (vfork),
    SCMP_SYS (clone),
    SCMP_SYS (clone3),
    SCMP_SYS (socket),
    SCMP_SYS (connect),
    SCMP_SYS (bind),
    SCMP_SYS (ptrace),
    SCMP_SYS (process_vm_readv),
    SCMP_SYS (process_vm_writev),
    SCMP_SYS (kill),
    SCMP_SYS (io_uring_setup),
    SCMP_SYS (bpf),
    SCMP_SYS (mount),
};

/* A call that the architecture does not have is no failure. */
static gboolean add_all (scmp_filter_ctx filter, guint32 action, const int *calls, gsize count) {
  for (gsize i = 0; i < count; i++) {
    int rc = seccomp_rule_add (filter, action, calls[i], 0);
    if (rc < 0 && rc != -EDOM && calls[i] >= 0)
      return FALSE;
  }
  return TRUE;
}

static gboolean add_rules (scmp_filter_ctx filter) {
  const struct scmp_arg_cmp no_code = SCMP_A2 (SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
  const struct scmp_arg_cmp itself = SCMP_A0 (SCMP_CMP_EQ, (scmp_datum_t) getpid ());
  if (!add_all (filter, SCMP_ACT_ALLOW, allowed, G_N_ELEMENTS (allowed)) ||
      seccomp_rule_add_array (filter, SCMP_ACT_ALLOW, SCMP_SYS (mprotect), 1, &no_code) < 0 ||
      seccomp_rule_add_array (filter, SCMP_ACT_ALLOW, SCMP_SYS (mmap), 1, &no_code) < 0 ||
      seccomp_rule_add_array (filter, SCMP_ACT_ALLOW, SCMP_SYS (mmap2), 1, &no_code) < 0 ||
      seccomp_rule_add_array (filter, SCMP_ACT_ALLOW, SCMP_SYS (tgkill), 1, &itself) < 0)
    return FALSE;
  /* A sanitizer starts a program to name the places in its report. */
  return CAB_SANDBOX_FOR_ASAN || add_all (filter, SCMP_ACT_KILL_PROCESS, deadly, G_N_ELEMENTS (deadly));
}

static gboolean forbid_calls (void) {
  scmp_filter_ctx filter = seccomp_init (SCMP_ACT_ERRNO (EPERM));
  if (filter == NULL)
    return FALSE;
  gboolean ok = add_rules (filter) && seccomp_load (filter) == 0;
  seccomp_release (filter);
  return ok;
}

CabSandboxFlags cab_sandbox_enter (guint64 file_size, guint descriptors) {
  guint got = 0;
  prctl (PR_SET_PDEATHSIG, SIGKILL);
  prctl (PR_SET_DUMPABLE, 0);
  prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  set_limits (file_size);
  if (cab_sandbox_forbid_files ())
    got |= CAB_SANDBOX_LANDLOCK;
  limit (RLIMIT_NOFILE, descriptors);
  if (forbid_calls ())
    got |= CAB_SANDBOX_SECCOMP;
  return (CabSandboxFlags) got;
}
