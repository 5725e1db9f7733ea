/* hold-calls.c - calls of one program that take as long as a test wants: preloaded into it.
 *
 * $CABFS_TEST_HOLD names a directory.  As long as it has a file CALL.THREAD, that call of threads of that name says by
 * CALL.THREAD.held that it was made, and then waits.  CALL is pread, write (to standard error), writev (of answers to the
 * kernel) or eventfd_read.  As long as it has a file "full", no file system has room.
 *
 * SPDX-License-Identifier: MIT
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#define LOOK_US 1000

/* Where offsets have 64 bits, as everywhere in the project, pread() and fstatvfs() are pread64() and fstatvfs64(). */

static int is_there (const char *name) {
  char path[512];
  const char *directory = getenv ("CABFS_TEST_HOLD");
  if (directory == NULL)
    return 0;
  snprintf (path, sizeof path, "%s/%s", directory, name);
  return access (path, F_OK) == 0;
}

static void hold (const char *call) {
  char thread[32] = "", name[64], path[512];
  pthread_getname_np (pthread_self (), thread, sizeof thread);
  snprintf (name, sizeof name, "%s.%s", call, thread);
  if (!is_there (name))
    return;
  snprintf (path, sizeof path, "%s/%s.held", getenv ("CABFS_TEST_HOLD"), name);
  close (open (path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  while (is_there (name))
    usleep (LOOK_US);
}

/* Puts the next function of that name into the pointer at @function. */
static void find (const char *name, void *function) {
  void *found = dlsym (RTLD_NEXT, name);
  memcpy (function, &found, sizeof found);
}

ssize_t pread (int fd, void *bytes, size_t len, off_t off) {
  ssize_t (*real) (int fd, void *bytes, size_t len, off_t off);
  find ("pread64", (void *) &real);
  hold ("pread");
  return real (fd, bytes, len, off);
}

ssize_t write (int fd, const void *bytes, size_t len) {
  ssize_t (*real) (int fd, const void *bytes, size_t len);
  find ("write", (void *) &real);
  if (fd == STDERR_FILENO)
    hold ("write");
  return real (fd, bytes, len);
}

ssize_t writev (int fd, const struct iovec *iov, int count) {
  ssize_t (*real) (int fd, const struct iovec *iov, int count);
  find ("writev", (void *) &real);
  hold ("writev");
  return real (fd, iov, count);
}

int eventfd_read (int fd, eventfd_t *value) {
  hold ("eventfd_read");
  return read (fd, value, sizeof *value) == sizeof *value ? 0 : -1;
}

int fstatvfs (int fd, struct statvfs *out) {
  int (*real) (int fd, struct statvfs *out);
  find ("fstatvfs64", (void *) &real);
  int rc = real (fd, out);
  if (rc == 0 && is_there ("full"))
    out->f_bavail = out->f_bfree = 0;
  return rc;
}
