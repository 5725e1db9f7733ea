/* clock.h - the clocks, and which is for what.
 *
 * Waits and time limits use g_get_monotonic_time(), which stands still while the machine sleeps: a sleep is not a
 * silent server.  Lifetimes of tokens and addresses use the clock below, which goes on.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_CLOCK_H
#define CABFS_CLIENT_CLOCK_H

#include <glib.h>
#include <time.h>

/* Microseconds since the machine started, its sleep included. */
static inline gint64 cab_clock_boot_us (void) {
  struct timespec now;
  clock_gettime (CLOCK_BOOTTIME, &now);
  return (gint64)now.tv_sec * G_USEC_PER_SEC + now.tv_nsec / 1000;
}

/* Unix seconds by the local clock, which may be wrong. */
static inline gint64 cab_clock_unix (void) {
  return g_get_real_time () / G_USEC_PER_SEC;
}

#endif
