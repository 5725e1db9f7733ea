/* cabfs-bench-memfs: the least a FUSE file system can do.  One file, "file", whose bytes are answered from memory.
 *
 *   cabfs-bench-memfs [--size=N] [--threads=N] [--clone-fd] [--read-ahead-kb=N] MOUNTPOINT
 *
 * Stays in the foreground until it is unmounted.  What it serves per second bounds whoever serves reads from user space.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <fuse_lowlevel.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define BYTES    ((gsize) 4 << 20)
#define FOREVER  3600.0
#define FILE_INO 2

static gint64 file_size = 384 << 20;
static char *bytes; /* any stretch of them is as good as another */

static void fill (fuse_ino_t ino, struct stat *st) {
  *st = (struct stat){.st_ino = ino, .st_nlink = 1, .st_mode = S_IFDIR | 0555};
  if (ino == FILE_INO) {
    st->st_mode = S_IFREG | 0444;
    st->st_size = file_size;
  }
}

static void on_lookup (fuse_req_t req, fuse_ino_t parent, const char *name) {
  struct fuse_entry_param entry = {.ino = FILE_INO, .attr_timeout = FOREVER, .entry_timeout = FOREVER};
  if (parent != FUSE_ROOT_ID || strcmp (name, "file") != 0) {
    fuse_reply_err (req, ENOENT);
    return;
  }
  fill (FILE_INO, &entry.attr);
  fuse_reply_entry (req, &entry);
}

static void on_getattr (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info) {
  struct stat st;
  fill (ino, &st);
  fuse_reply_attr (req, &st, FOREVER);
}

static void on_open (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info) {
  info->keep_cache = 1;
  fuse_reply_open (req, info);
}

static void on_read (fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *info) {
  gsize left = off < file_size ? (gsize) (file_size - off) : 0;
  fuse_reply_buf (req, bytes, MIN (MIN (size, left), BYTES));
}

/* The kernel sets the read-ahead of a mount with the answer to INIT; it is as late as the first request that follows. */
static void set_read_ahead (const char *mountpoint, int kib) {
  struct stat st;
  if (kib <= 0 || stat (mountpoint, &st) != 0)
    return;
  g_autofree char *path =
      g_strdup_printf ("/sys/class/bdi/%u:%u/read_ahead_kb", major (st.st_dev), minor (st.st_dev));
  FILE *file = fopen (path, "w");
  if (file == NULL || fprintf (file, "%d\n", kib) < 0 || fclose (file) != 0)
    perror (path);
}

typedef struct {
  const char *mountpoint;
  int read_ahead_kib;
} Late;

static gpointer late_main (gpointer data) {
  Late *late = data;
  set_read_ahead (late->mountpoint, late->read_ahead_kib);
  return NULL;
}

static int serve (const char *mountpoint, int threads, gboolean clone_fd, int read_ahead_kib) {
  static const struct fuse_lowlevel_ops ops = {
      .lookup = on_lookup, .getattr = on_getattr, .open = on_open, .read = on_read};
  char name[] = "memfs", options[] = "-osubtype=memfs,ro";
  char *words[] = {name, options, NULL};
  struct fuse_args args = FUSE_ARGS_INIT (2, words);
  struct fuse_session *session = fuse_session_new (&args, &ops, sizeof ops, NULL);
  if (session == NULL || fuse_set_signal_handlers (session) != 0 ||
      fuse_session_mount (session, mountpoint) != 0)
    return 1;
  Late late = {mountpoint, read_ahead_kib};
  GThread *thread = g_thread_new ("read-ahead", late_main, &late);
  struct fuse_loop_config *config = fuse_loop_cfg_create ();
  fuse_loop_cfg_set_max_threads (config, (unsigned) threads);
  fuse_loop_cfg_set_clone_fd (config, clone_fd ? 1 : 0);
  int rc = threads == 1 ? fuse_session_loop (session) : fuse_session_loop_mt (session, config);
  fuse_loop_cfg_destroy (config);
  fuse_session_unmount (session);
  g_thread_join (thread);
  fuse_remove_signal_handlers (session);
  fuse_session_destroy (session);
  return rc < 0 ? 1 : 0;
}

int main (int argc, char **argv) {
  int threads = 2, read_ahead_kib = 0;
  gboolean clone_fd = FALSE;
  const GOptionEntry entries[] = {
      {"size", 0, 0, G_OPTION_ARG_INT64, &file_size, "Of the file (384 MiB)", "N"},
      {"threads", 0, 0, G_OPTION_ARG_INT, &threads, "Most threads (2)", "N"},
      {"clone-fd", 0, 0, G_OPTION_ARG_NONE, &clone_fd, "A descriptor for each thread", NULL},
      {"read-ahead-kb", 0, 0, G_OPTION_ARG_INT, &read_ahead_kib, "Of the mount, when root (the kernel's)", "N"},
      {NULL, 0, 0, 0, NULL, NULL, NULL},
  };
  g_autoptr (GError) error = NULL;
  g_autoptr (GOptionContext) context = g_option_context_new ("MOUNTPOINT");
  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error) || argc != 2) {
    fprintf (stderr, "cabfs-bench-memfs: %s\n", error != NULL ? error->message : "a mount point is wanted");
    return 2;
  }
  bytes = g_malloc (BYTES);
  memset (bytes, 'x', BYTES);
  int status = serve (argv[1], threads, clone_fd, read_ahead_kib);
  g_free (bytes);
  return status;
}
