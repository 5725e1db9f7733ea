/* SPDX-License-Identifier: MIT */
#include "fs/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "client/error.h"

/* Set by cab_kernel_attach() before there are workers; `waiting` until the INIT reply has gone out. */
static struct {
  atomic_bool waiting;
  CabKernelAnswered answered;
  gpointer data;
} hook;

/* The reply to INIT is the first of a session: the kernel sends nothing else before it has one.  A reply without
 * flags is no end of it: an older kernel protocol, or libfuse asking for another INIT. */
static gboolean is_init_reply (const struct iovec *iov, int count) {
  if (count != 2 || iov[0].iov_len != sizeof (struct fuse_out_header))
    return FALSE;
  const struct fuse_out_header *header = iov[0].iov_base;
  const struct fuse_init_out *out = iov[1].iov_base;
  return header->error == 0 && iov[1].iov_len >= FUSE_COMPAT_22_INIT_OUT_SIZE &&
         iov[1].iov_len <= sizeof (struct fuse_init_out) && out->major == FUSE_KERNEL_VERSION;
}

/* Kernels that do not know a bit pass over it. */
static void amend_init (struct fuse_init_out *out) {
  out->flags |= FUSE_PARALLEL_DIROPS;
}

static ssize_t write_init_reply (int fd, const struct iovec *iov) {
  struct fuse_init_out out = {0};
  memcpy (&out, iov[1].iov_base, iov[1].iov_len);
  amend_init (&out);
  struct iovec amended[2] = {iov[0], {&out, iov[1].iov_len}};
  ssize_t written = writev (fd, amended, 2);
  if (written >= 0) {
    atomic_store (&hook.waiting, FALSE);
    hook.answered (hook.data);
  }
  return written;
}

static ssize_t hook_writev (int fd, struct iovec *iov, int count, void *userdata) {
  if (G_UNLIKELY (atomic_load_explicit (&hook.waiting, memory_order_acquire)) && is_init_reply (iov, count))
    return write_init_reply (fd, iov);
  return writev (fd, iov, count);
}

static ssize_t hook_read (int fd, void *buffer, size_t len, void *userdata) {
  return read (fd, buffer, len);
}

gboolean cab_kernel_attach (struct fuse_session *se, CabKernelAnswered answered, gpointer data,
                            GError **error) {
  static const struct fuse_custom_io io = {.writev = hook_writev, .read = hook_read};
  hook.answered = answered;
  hook.data = data;
  atomic_store (&hook.waiting, TRUE);
  int rc = fuse_session_custom_io (se, &io, fuse_session_fd (se));
  if (rc == 0)
    return TRUE;
  g_set_error (error, CAB_ERROR, CAB_ERROR_FAILED, "libfuse takes no hooks: %s", g_strerror (-rc));
  return FALSE;
}

gboolean cab_kernel_set_read_ahead (const char *mountpoint, guint kib) {
  /* AT_STATX_DONT_SYNC: from what the kernel knows.  A request here would be one to ourselves. */
  struct statx st;
  if (statx (AT_FDCWD, mountpoint, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE, &st) < 0)
    return FALSE;
  g_autofree char *path =
      g_strdup_printf ("/sys/class/bdi/%u:%u/read_ahead_kb", st.stx_dev_major, st.stx_dev_minor);
  int fd = open (path, O_WRONLY | O_CLOEXEC);
  if (fd < 0)
    return FALSE;
  g_autofree char *text = g_strdup_printf ("%u\n", kib);
  ssize_t written = write (fd, text, strlen (text));
  int saved = errno;
  close (fd);
  errno = saved;
  return written > 0;
}
