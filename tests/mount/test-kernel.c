/* SPDX-License-Identifier: MIT
 *
 * What session.c and kernel.c promise of a mount, on a file system of one directory: it says when it answers, two lookups
 * in one directory are under way at the same time, several descriptors of the device work, a signal ends it.
 */
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "client/sync.h"
#include "fs/session.h"

enum { LOOKUPS = 2, PATIENCE_S = 20, ROOT_MODE = S_IFDIR | 0555 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static gboolean ready;              /* lock */
static fuse_req_t parked[LOOKUPS];  /* lock: the first n_parked */
static guint n_parked, most_parked; /* lock */
static gboolean impatient;          /* lock: answer lookups at once */
static char *mountpoint;            /* set before there are threads */
static guint read_ahead_kib;        /* of the client thread until it is joined */
static guint devices;               /* likewise */

static void op_init (void *userdata, struct fuse_conn_info *conn) {
  cab_session_tune (conn);
}

static void op_getattr (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
  struct stat st = {.st_ino = ino, .st_mode = ROOT_MODE, .st_nlink = 2};
  fuse_reply_attr (req, &st, 3600);
}

static void answer_all (void) {
  fuse_req_t requests[LOOKUPS];
  guint n;
  {
    CAB_LOCK_SCOPE (&lock);
    n = n_parked;
    for (guint i = 0; i < n; i++)
      requests[i] = parked[i];
    n_parked = 0;
  }
  for (guint i = 0; i < n; i++)
    fuse_reply_err (requests[i], ENOENT);
}

static void op_lookup (fuse_req_t req, fuse_ino_t parent, const char *name) {
  gboolean answer;
  {
    CAB_LOCK_SCOPE (&lock);
    parked[n_parked++] = req;
    most_parked = MAX (most_parked, n_parked);
    answer = impatient || n_parked == LOOKUPS;
    pthread_cond_broadcast (&changed);
  }
  if (answer)
    answer_all ();
}

static const struct fuse_lowlevel_ops operations = {
    .init = op_init,
    .getattr = op_getattr,
    .lookup = op_lookup,
};

static void mount_is_ready (gpointer data) {
  CAB_LOCK_SCOPE (&lock);
  ready = TRUE;
  pthread_cond_broadcast (&changed);
}

/* --- the programs that use the mount ------------------------------------------------------------------------------ */

static struct timespec deadline (void) {
  struct timespec when;
  clock_gettime (CLOCK_REALTIME, &when);
  when.tv_sec += PATIENCE_S;
  return when;
}

static gboolean wait_ready (void) {
  struct timespec until = deadline ();
  CAB_LOCK_SCOPE (&lock);
  while (!ready)
    if (pthread_cond_timedwait (&changed, &lock, &until) == ETIMEDOUT)
      break;
  return ready;
}

/* Until both lookups are parked, or it is clear that the second does not come before the first is answered. */
static void wait_lookups (void) {
  struct timespec until = deadline ();
  {
    CAB_LOCK_SCOPE (&lock);
    while (most_parked < LOOKUPS)
      if (pthread_cond_timedwait (&changed, &lock, &until) == ETIMEDOUT)
        break;
    impatient = TRUE;
  }
  answer_all ();
}

static void *look_up (void *name) {
  g_autofree char *path = g_build_filename (mountpoint, (const char *) name, NULL);
  struct stat st;
  return GINT_TO_POINTER (stat (path, &st) == 0 ? 0 : errno);
}

static guint count_devices (void) {
  guint n = 0;
  for (int fd = 0; fd < 256; fd++) {
    g_autofree char *link = g_strdup_printf ("/proc/self/fd/%d", fd);
    g_autofree char *target = g_file_read_link (link, NULL);
    if (g_strcmp0 (target, "/dev/fuse") == 0)
      n++;
  }
  return n;
}

static guint get_read_ahead (void) {
  struct statx st;
  if (statx (AT_FDCWD, mountpoint, 0, STATX_TYPE, &st) < 0)
    return 0;
  g_autofree char *path =
      g_strdup_printf ("/sys/class/bdi/%u:%u/read_ahead_kb", st.stx_dev_major, st.stx_dev_minor);
  g_autofree char *text = NULL;
  if (access (path, W_OK) != 0 || !g_file_get_contents (path, &text, NULL, NULL))
    return 0;
  return (guint) g_ascii_strtoull (text, NULL, 10);
}

static void *use_mount (void *data) {
  static char names[LOOKUPS][2] = {"a", "b"};
  pthread_t threads[LOOKUPS];
  if (wait_ready ()) {
    for (guint i = 0; i < LOOKUPS; i++)
      g_assert_cmpint (pthread_create (&threads[i], NULL, look_up, names[i]), ==, 0);
    wait_lookups ();
    for (guint i = 0; i < LOOKUPS; i++) {
      void *result;
      g_assert_cmpint (pthread_join (threads[i], &result), ==, 0);
      g_assert_cmpint (GPOINTER_TO_INT (result), ==, ENOENT);
    }
    read_ahead_kib = get_read_ahead ();
    devices = count_devices ();
  }
  kill (getpid (), SIGTERM);
  return NULL;
}

/* All signals are for the main thread. */
static pthread_t start_user (void) {
  sigset_t all, before;
  pthread_t thread;
  sigfillset (&all);
  pthread_sigmask (SIG_SETMASK, &all, &before);
  g_assert_cmpint (pthread_create (&thread, NULL, use_mount, NULL), ==, 0);
  pthread_sigmask (SIG_SETMASK, &before, NULL);
  return thread;
}

static void test_mount (void) {
  static char *pass_on[] = {NULL};
  static char test_name[] = "test, with a comma", subtype[] = "cabfs";
  if (access ("/dev/fuse", R_OK | W_OK) != 0) {
    g_test_skip ("/dev/fuse cannot be used here");
    return;
  }
  g_autoptr (GError) error = NULL;
  mountpoint = g_dir_make_tmp ("cabfs-kernel-XXXXXX", &error);
  g_assert_no_error (error);
  CabMountOptions options = {
      .mountpoint = mountpoint, .fsname = test_name, .subtype = subtype, .pass_on = pass_on};
  g_assert_true (cab_session_check_mountpoint (mountpoint, &error));
  CabSession *session = cab_session_new (&options, &operations, NULL, &error);
  g_assert_no_error (error);
  if (!cab_session_mount (session, mount_is_ready, NULL, &error)) {
    g_test_skip (error->message);
  } else {
    pthread_t user = start_user ();
    g_assert_true (cab_session_run (session, &error));
    g_assert_no_error (error);
    pthread_join (user, NULL);
    g_assert_true (ready);
    g_assert_cmpuint (most_parked, ==, LOOKUPS);
    g_assert_cmpuint (devices, >, 1);
    if (geteuid () == 0 && read_ahead_kib != 0)
      g_assert_cmpuint (read_ahead_kib, ==, 1024);
  }
  cab_session_free (session);
  g_assert_cmpint (rmdir (mountpoint), ==, 0); /* nothing is mounted there any more */
  g_free (mountpoint);
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/kernel/mount", test_mount);
  return g_test_run ();
}
