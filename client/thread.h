/* thread.h - how a thread is started here: with a name, and with all signals blocked, which are for the main thread.
 *
 * The caller goes on when the new thread runs.  libfuse forks to call fusermount3, and its child allocates memory before
 * it executes that; a thread that is only just coming up at that moment may hold an allocator's lock, which in the child
 * nobody lets go: with AddressSanitizer's allocator mounts hung.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_THREAD_H
#define CABFS_CLIENT_THREAD_H

#include <pthread.h>

/* For programs whose first threads are started otherwise; cab_thread_start() does it too.  GLib's reader of numbers makes
 * itself a locale when it is first used.  Of two threads that do so at once one waits for the other, and that sets errno, by
 * which g_ascii_string_to_unsigned() then takes a number for none (GLib 2.74). */
void cab_thread_prepare (void);

/* @name: 15 bytes at most.  0, or an errno: *@thread is not set then. */
int cab_thread_start (pthread_t *thread, const char *name, void *(*func) (void *data), void *data);

#endif
