/* SPDX-License-Identifier: MIT */
#include "fs/session.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <linux/magic.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "client/error.h"
#include "fs/kernel.h"

/* findings.md, "The kernel and libfuse" and "Speed". */
enum {
  MAX_BACKGROUND = 256, /* reads under way in the kernel; its 12 let a stalled download hold up cached reads */
  WORKERS_MIN = 2,
  WORKERS_MAX = 4, /* they never block; more only get in each other's way */
  /* What a sequential reader has under way in the kernel.  4096 would be a little faster still, but it is also what a
   * page fault of a debugger brings around the page it wants. */
  READ_AHEAD_KIB = 1024,
};

struct CabSession {
  const CabMountOptions *options;
  struct fuse_session *fuse; /* owned */
  gboolean mounted;
  dev_t device; /* of the mount, once it answers; else 0 */
  void (*ready) (gpointer data);
  gpointer ready_data;
  void (*usr1) (gpointer data);
  gpointer usr1_data;
};

/* --- options of the mount ---------------------------------------------------------------------------------- */

/* fusermount3 before 3.15 looks at a dead mount as root, which may not unless that is the user who mounted or
 * allow_other is set, and then leaves the mount alone: no worse than without. */
static gboolean want_auto_unmount (const CabMountOptions *options) {
  g_autofree char *helper = options->no_auto_unmount ? NULL : g_find_program_in_path ("fusermount3");
  return helper != NULL;
}

static void add_word (char **words, const char *word) {
  if (fuse_opt_add_opt_escaped (words, word) != 0)
    g_error ("out of memory");
}

static char *mount_words (const CabMountOptions *options) {
  char *words = NULL;
  g_autofree char *fsname = g_strconcat ("fsname=", options->fsname, NULL);
  g_autofree char *subtype = g_strconcat ("subtype=", options->subtype, NULL);
  add_word (&words, "ro");
  add_word (&words, "nosuid");
  add_word (&words, "nodev");
  if (options->default_permissions)
    add_word (&words, "default_permissions");
  add_word (&words, fsname);
  add_word (&words, subtype);
  if (options->allow_root)
    add_word (&words, "allow_root");
  else if (options->allow_other)
    add_word (&words, "allow_other");
  if (want_auto_unmount (options))
    add_word (&words, "auto_unmount");
  for (guint i = 0; options->pass_on != NULL && options->pass_on[i] != NULL; i++)
    add_word (&words, options->pass_on[i]);
  return words;
}

CabSession *cab_session_new (const CabMountOptions *options, const struct fuse_lowlevel_ops *operations,
                             gpointer fs, GError **error) {
  struct fuse_args args = FUSE_ARGS_INIT (0, NULL);
  char *words = mount_words (options);
  struct fuse_session *fuse = NULL;
  if (fuse_opt_add_arg (&args, "cabfs") == 0 && fuse_opt_add_arg (&args, "-o") == 0 &&
      fuse_opt_add_arg (&args, words) == 0)
    fuse = fuse_session_new (&args, operations, sizeof *operations, fs);
  free (words); /* libfuse's */
  fuse_opt_free_args (&args);
  if (fuse == NULL) {
    g_set_error_literal (error, CAB_ERROR, CAB_ERROR_FAILED, "libfuse makes no session");
    return NULL;
  }
  CabSession *self = g_new0 (CabSession, 1);
  self->options = options;
  self->fuse = fuse;
  return self;
}

struct fuse_session *cab_session_fuse (CabSession *self) {
  return self->fuse;
}

void cab_session_tune (struct fuse_conn_info *conn) {
  static const unsigned wanted = FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_READDIRPLUS |
                                 FUSE_CAP_EXPLICIT_INVAL_DATA | FUSE_CAP_EXPORT_SUPPORT;
  /* READDIRPLUS_AUTO would ask for attributes only now and then; CABs do not change under the page cache; the
   * pages of the cache file are better kept than moved. */
  static const unsigned unwanted = FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_SPLICE_READ |
                                   FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE;
  conn->want |= wanted & conn->capable;
  conn->want &= ~unwanted;
  cab_kernel_tune (conn);
  conn->max_background = MAX_BACKGROUND;
  conn->congestion_threshold = MAX_BACKGROUND * 3 / 4;
  conn->max_readahead = READ_AHEAD_KIB * 1024;
}

/* A mount is taken away by its path.  Of two on one path the lower one, when it ends, would stay. */
static gboolean has_mount_of_ours (const char *path) {
  struct statfs fs;
  return statfs (path, &fs) == 0 && fs.f_type == FUSE_SUPER_MAGIC &&
         getxattr (path, "user.cabfs.version", NULL, 0) >= 0;
}

gboolean cab_session_check_mountpoint (const char *path, GError **error) {
  struct stat st;
  const char *why = "";
  if (stat (path, &st) < 0) {
    if (errno == ENOTCONN)
      why = "; a mount whose program has died is still there, remove it with: fusermount3 -u ";
    else if (errno == ENOENT)
      why = "; make it with: mkdir ";
    g_set_error (error, CAB_ERROR, CAB_ERROR_FAILED, "cannot mount at %s: %s%s%s", path, g_strerror (errno),
                 why, why[0] != '\0' ? path : "");
    return FALSE;
  }
  if (!S_ISDIR (st.st_mode)) {
    g_set_error (error, CAB_ERROR, CAB_ERROR_FAILED, "cannot mount at %s: it is not a directory", path);
    return FALSE;
  }
  if (has_mount_of_ours (path)) {
    g_set_error (error, CAB_ERROR, CAB_ERROR_FAILED,
                 "cannot mount at %s: a cabfs is mounted there already; take it away with: fusermount3 -u %s",
                 path, path);
    return FALSE;
  }
  return TRUE;
}

/* --- signals ------------------------------------------------------------------------------------------------- */

static const int end_signals[] = {SIGTERM, SIGINT};
static CabSession *signalled; /* set while handlers are installed */

static void on_end_signal (int number) {
  fuse_session_exit (signalled->fuse);
  /* The loop looks at the flag, then sleeps: a signal in between would be lost.  The alarm wakes it. */
  alarm (1);
}

static void on_alarm (int number) {
  (void) number;
  alarm (1);
}

static void on_usr1 (int number) {
  (void) number;
  if (signalled->usr1 != NULL)
    signalled->usr1 (signalled->usr1_data);
}

static void set_handler (int number, void (*handler) (int)) {
  struct sigaction action = {.sa_handler = handler}, before;
  sigemptyset (&action.sa_mask);
  sigaction (number, NULL, &before);
  /* Whoever started us with a signal ignored (nohup) wants it so. */
  if (before.sa_handler != SIG_IGN)
    sigaction (number, &action, NULL);
}

static void watch_signals (CabSession *self) {
  signalled = self;
  set_handler (SIGALRM, on_alarm);
  set_handler (SIGUSR1, on_usr1);
  for (guint i = 0; i < G_N_ELEMENTS (end_signals); i++)
    set_handler (end_signals[i], on_end_signal);
}

/* Back to the default: whoever asks a second time does not want to wait. */
static void unwatch_signals (void) {
  for (guint i = 0; i < G_N_ELEMENTS (end_signals); i++)
    set_handler (end_signals[i], SIG_DFL);
  alarm (0);
  set_handler (SIGALRM, SIG_DFL);
  set_handler (SIGUSR1, SIG_IGN); /* whoever wants to know is late, and must not end us for it */
  signalled = NULL;
}

/* --- mount and unmount -------------------------------------------------------------------------------------- */

/* In the moment after INIT: its reply sets the read-ahead of the mount, so that what is set before is lost. */
static void mount_answers (gpointer data) {
  CabSession *self = data;
  if (!cab_kernel_device (self->options->mountpoint, &self->device))
    g_info ("the number of the mount is not known: %s", g_strerror (errno));
  else if (geteuid () == 0 && !cab_kernel_set_read_ahead (self->device, READ_AHEAD_KIB))
    g_info ("the kernel's read-ahead stays as it is: %s", g_strerror (errno));
  if (self->ready != NULL)
    self->ready (self->ready_data);
}

gboolean cab_session_mount (CabSession *self, void (*ready) (gpointer data), gpointer data, GError **error) {
  self->ready = ready;
  self->ready_data = data;
  watch_signals (self); /* from here on there is something to take away */
  if (fuse_session_mount (self->fuse, self->options->mountpoint) != 0) {
    unwatch_signals ();
    g_set_error (error, CAB_ERROR, CAB_ERROR_FAILED, "cannot mount at %s", self->options->mountpoint);
    return FALSE;
  }
  self->mounted = TRUE;
  /* libfuse's line to a waiting fusermount3 is inherited by every program we start, and auto_unmount waits until the
   * last of them is gone. */
  (void) close_range (STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
  return cab_kernel_attach (self->fuse, mount_answers, self, error);
}

void cab_session_on_usr1 (CabSession *self, void (*func) (gpointer data), gpointer data) {
  self->usr1 = func;
  self->usr1_data = data;
}

static gboolean is_at_its_path (const CabSession *self) {
  dev_t device;
  return self->device == 0 || !cab_kernel_device (self->options->mountpoint, &device) || device == self->device;
}

/* libfuse polls the device first: after an error it takes the mount for gone, and leaves alone what is at its path.  A pipe
 * that nobody reads has such an error.  FALSE if there is none to be had. */
static gboolean pass_for_gone (CabSession *self) {
  int fds[2];
  if (pipe2 (fds, O_CLOEXEC) < 0)
    return FALSE;
  gboolean ok = dup3 (fds[1], fuse_session_fd (self->fuse), O_CLOEXEC) >= 0;
  close (fds[0]);
  close (fds[1]);
  return ok;
}

/* After a lazy unmount another one can be mounted at the path, while this one lasts until the last file of it is closed, or
 * until here. */
void cab_session_unmount (CabSession *self) {
  if (!self->mounted)
    return;
  self->mounted = FALSE;
  unwatch_signals ();
  if (is_at_its_path (self) || pass_for_gone (self))
    fuse_session_unmount (self->fuse);
}

void cab_session_free (CabSession *self) {
  if (self == NULL)
    return;
  cab_session_unmount (self);
  fuse_session_destroy (self->fuse);
  g_free (self);
}

/* --- workers ------------------------------------------------------------------------------------------------- */

gboolean cab_session_run (CabSession *self, GError **error) {
  struct fuse_loop_config *config = fuse_loop_cfg_create ();
  fuse_loop_cfg_set_max_threads (config, CLAMP (g_get_num_processors (), WORKERS_MIN, WORKERS_MAX));
  fuse_loop_cfg_set_clone_fd (config, 1);
  int rc = fuse_session_loop_mt (self->fuse, config);
  unwatch_signals ();
  fuse_loop_cfg_destroy (config);
  /* What a worker gets that was just reading a request when the mount was taken away; the others get ENODEV, which is
   * no error to libfuse. */
  if (rc >= 0 || rc == -ECONNABORTED)
    return TRUE;
  g_set_error (error, CAB_ERROR, CAB_ERROR_FAILED, "the kernel's requests cannot be read: %s",
               g_strerror (-rc));
  return FALSE;
}
