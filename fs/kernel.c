/* SPDX-License-Identifier: MIT */
#include "fs/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include "client/error.h"

/* Of linux/fuse.h 7.40, which is younger than the headers of some distributions. */
#ifndef FUSE_PASSTHROUGH
#define FUSE_PASSTHROUGH  (1ULL << 37)
#define FOPEN_PASSTHROUGH (1 << 7)
struct fuse_backing_map {
  gint32 fd;
  guint32 flags;
  guint64 padding;
};
#define FUSE_DEV_IOC_BACKING_OPEN  _IOW (FUSE_DEV_IOC_MAGIC, 1, struct fuse_backing_map)
#define FUSE_DEV_IOC_BACKING_CLOSE _IOW (FUSE_DEV_IOC_MAGIC, 2, guint32)
#endif

#define LIBFUSE_HAS_IT (FUSE_VERSION >= FUSE_MAKE_VERSION (3, 17))

/* How deep file systems that pass through may be stacked below this mount: the cache's own file system, and no
 * overlay.  More would keep an overlay from being put on top of the mount. */
enum { STACK_DEPTH = 1 };

/* Fields that older headers count as unused follow these. */
enum {
  INIT_STACK_DEPTH_AT = offsetof (struct fuse_init_out, flags2) + sizeof (guint32),
  OPEN_BACKING_AT = offsetof (struct fuse_open_out, open_flags) + sizeof (guint32),
};

/* Set by cab_kernel_attach() before there are workers; `waiting` until the INIT reply has gone out. */
static struct {
  int device;
  atomic_bool waiting;
  atomic_bool offered;        /* the kernel passes reads through */
  atomic_bool passes_through; /* and we may ask it to */
  CabKernelAnswered answered;
  gpointer data;
} hook;

/* Between cab_kernel_reply_open() and the hook, which libfuse calls on the same thread. */
static _Thread_local int reply_backing;

/* --- INIT --------------------------------------------------------------------------------------------------- */

/* The request that comes first tells what the kernel can do. */
static void read_init (const void *buffer, gsize len) {
  struct {
    struct fuse_in_header header;
    struct fuse_init_in init;
  } request;
  if (len < sizeof request)
    return;
  memcpy (&request, buffer, sizeof request);
  if (request.header.opcode == FUSE_INIT && (request.init.flags & FUSE_INIT_EXT) != 0)
    atomic_store (&hook.offered, (request.init.flags2 & (FUSE_PASSTHROUGH >> 32)) != 0);
}

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
static void amend_init (struct fuse_init_out *out, gsize len) {
  out->flags |= FUSE_PARALLEL_DIROPS;
  if (LIBFUSE_HAS_IT || len < sizeof *out || !atomic_load (&hook.offered) || geteuid () != 0)
    return;
  const guint32 depth = STACK_DEPTH;
  out->flags |= FUSE_INIT_EXT;
  out->flags2 |= FUSE_PASSTHROUGH >> 32;
  memcpy ((char *) out + INIT_STACK_DEPTH_AT, &depth, sizeof depth);
  atomic_store (&hook.passes_through, TRUE);
}

static ssize_t write_init_reply (int fd, const struct iovec *iov) {
  struct fuse_init_out out = {0};
  memcpy (&out, iov[1].iov_base, iov[1].iov_len);
  amend_init (&out, iov[1].iov_len);
  struct iovec amended[2] = {iov[0], {&out, iov[1].iov_len}};
  ssize_t written = writev (fd, amended, 2);
  if (written >= 0) {
    atomic_store (&hook.waiting, FALSE);
    hook.answered (hook.data);
  }
  return written;
}

void cab_kernel_tune (struct fuse_conn_info *conn) {
#if LIBFUSE_HAS_IT
  if (geteuid () == 0 && fuse_set_feature_flag (conn, FUSE_CAP_PASSTHROUGH)) {
    conn->max_backing_stack_depth = STACK_DEPTH - 1; /* of the file's own file system */
    atomic_store (&hook.passes_through, TRUE);
  }
#else
  (void) conn;
#endif
}

/* --- OPEN --------------------------------------------------------------------------------------------------- */

static ssize_t write_open_reply (int fd, const struct iovec *iov, int backing) {
  struct fuse_open_out out;
  memcpy (&out, iov[1].iov_base, sizeof out);
  out.open_flags |= FOPEN_PASSTHROUGH;
  memcpy ((char *) &out + OPEN_BACKING_AT, &backing, sizeof backing);
  struct iovec amended[2] = {iov[0], {&out, sizeof out}};
  return writev (fd, amended, 2);
}

int cab_kernel_reply_open (fuse_req_t req, struct fuse_file_info *info, int backing) {
  if (backing > 0)
    info->keep_cache = 0; /* there are no pages of ours, and the kernel refuses the two together */
#if LIBFUSE_HAS_IT
  info->backing_id = backing;
  return fuse_reply_open (req, info);
#else
  reply_backing = backing;
  int rc = fuse_reply_open (req, info);
  reply_backing = 0;
  return rc;
#endif
}

int cab_kernel_backing_open (int fd) {
  struct fuse_backing_map map = {.fd = fd};
  if (!atomic_load (&hook.passes_through))
    return 0;
  int backing = ioctl (hook.device, FUSE_DEV_IOC_BACKING_OPEN, &map);
  if (backing > 0)
    return backing;
  g_info ("the kernel does not read files of the cache itself: %s", g_strerror (errno));
  if (errno == EPERM) /* root without CAP_SYS_ADMIN, in a container: it will not come */
    atomic_store (&hook.passes_through, FALSE);
  return 0;
}

void cab_kernel_backing_close (int backing) {
  guint32 id = (guint32) backing;
  if (backing > 0 && ioctl (hook.device, FUSE_DEV_IOC_BACKING_CLOSE, &id) < 0)
    g_debug ("the kernel's file %d is gone: %s", backing, g_strerror (errno));
}

/* --- between libfuse and the device ------------------------------------------------------------------------- */

static ssize_t hook_writev (int fd, struct iovec *iov, int count, void *userdata) {
  if (G_UNLIKELY (atomic_load_explicit (&hook.waiting, memory_order_acquire)) && is_init_reply (iov, count))
    return write_init_reply (fd, iov);
  if (reply_backing > 0 && count == 2 && iov[1].iov_len == sizeof (struct fuse_open_out))
    return write_open_reply (fd, iov, reply_backing);
  return writev (fd, iov, count);
}

static ssize_t hook_read (int fd, void *buffer, size_t len, void *userdata) {
  ssize_t got = read (fd, buffer, len);
  if (G_UNLIKELY (atomic_load_explicit (&hook.waiting, memory_order_acquire)) && got > 0)
    read_init (buffer, (gsize) got);
  return got;
}

#if LIBFUSE_HAS_IT
/* As libfuse does it where there are no hooks. */
static int hook_clone (int device) {
  guint32 source = (guint32) device;
  int clone = open ("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (clone >= 0 && ioctl (clone, FUSE_DEV_IOC_CLONE, &source) < 0) {
    close (clone);
    return -1;
  }
  return clone;
}
#endif

static int set_hooks (struct fuse_session *se) {
#if LIBFUSE_HAS_IT
  static const struct fuse_custom_io io = {.writev = hook_writev, .read = hook_read, .clone_fd = hook_clone};
  return fuse_session_custom_io_317 (se, &io, sizeof io, fuse_session_fd (se));
#else
  static const struct fuse_custom_io io = {.writev = hook_writev, .read = hook_read};
  return fuse_session_custom_io (se, &io, fuse_session_fd (se));
#endif
}

gboolean cab_kernel_attach (struct fuse_session *se, CabKernelAnswered answered, gpointer data,
                            GError **error) {
  hook.answered = answered;
  hook.data = data;
  hook.device = fuse_session_fd (se);
  atomic_store (&hook.offered, FALSE);
  atomic_store (&hook.passes_through, FALSE);
  atomic_store (&hook.waiting, TRUE);
  int rc = set_hooks (se);
  if (rc == 0)
    return TRUE;
  g_set_error (error, CAB_ERROR, CAB_ERROR_FAILED, "libfuse takes no hooks: %s", g_strerror (-rc));
  return FALSE;
}

gboolean cab_kernel_device (const char *mountpoint, dev_t *device) {
  /* AT_STATX_DONT_SYNC: from what the kernel knows.  A request here would be one to ourselves.  The device it tells of a
   * mount too that is another user's alone, if nothing else is asked for. */
  struct statx st;
  if (statx (AT_FDCWD, mountpoint, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, 0, &st) < 0)
    return FALSE;
  *device = makedev (st.stx_dev_major, st.stx_dev_minor);
  return TRUE;
}

gboolean cab_kernel_set_read_ahead (dev_t device, guint kib) {
  g_autofree char *path =
      g_strdup_printf ("/sys/class/bdi/%u:%u/read_ahead_kb", major (device), minor (device));
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
