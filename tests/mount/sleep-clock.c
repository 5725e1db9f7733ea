/* sleep-clock.c - a machine that has slept, for one program: preloaded, it moves the clocks by what a file says.
 *
 * $CABFS_TEST_CLOCK names a file of two 64-bit numbers: microseconds by which the machine slept, which the clock that
 * goes on in sleep (CLOCK_BOOTTIME) and the wall clock gain over the monotonic one; and microseconds by which somebody
 * set the wall clock besides.
 *
 * SPDX-License-Identifier: MIT
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *moves;

__attribute__ ((constructor)) static void set_up (void) {
  const char *path = getenv ("CABFS_TEST_CLOCK");
  int fd = path != NULL ? open (path, O_RDONLY | O_CLOEXEC) : -1;
  if (fd < 0)
    return;
  void *place = mmap (NULL, 2 * sizeof (int64_t), PROT_READ, MAP_SHARED, fd, 0);
  close (fd);
  if (place != MAP_FAILED)
    moves = place;
}

static int64_t move_of (clockid_t clock) {
  if (moves == NULL)
    return 0;
  if (clock == CLOCK_BOOTTIME)
    return moves[0];
  return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE ? moves[0] + moves[1] : 0;
}

int clock_gettime (clockid_t clock, struct timespec *now) {
  long rc = syscall (SYS_clock_gettime, clock, now);
  int64_t us = now->tv_nsec / 1000 + move_of (clock);
  now->tv_sec += us / 1000000;
  us %= 1000000;
  if (us < 0) {
    now->tv_sec--;
    us += 1000000;
  }
  now->tv_nsec = us * 1000 + now->tv_nsec % 1000;
  return (int) rc;
}

int gettimeofday (struct timeval *restrict now, void *restrict zone) {
  struct timespec exact;
  (void) zone;
  clock_gettime (CLOCK_REALTIME, &exact);
  now->tv_sec = exact.tv_sec;
  now->tv_usec = exact.tv_nsec / 1000;
  return 0;
}
