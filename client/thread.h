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

/* @name: 15 bytes at most.  0, or an errno: *@thread is not set then. */
int cab_thread_start (pthread_t *thread, const char *name, void *(*func) (void *data), void *data);

#endif
