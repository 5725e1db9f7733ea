/* unpack_spawn.h - starts the worker of unpack.h.
 *
 * It gets: /dev/null as input and output, a pipe for its words, the socket and, to extract, the file; no other
 * descriptor, no environment, a process group of its own (Ctrl-C is not for it), no blocked and no ignored
 * signal.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CACHE_UNPACK_SPAWN_H
#define CABFS_CACHE_UNPACK_SPAWN_H

#include <glib.h>
#include <sys/types.h>

typedef struct {
  pid_t pid;
  int process; /* a pidfd, -1 where the kernel has none */
  int socket;  /* not blocking by itself: unpack_wire.h */
  int words;   /* what it says to standard error, not blocking */
} CabSpawned;

/* @output: -1 for none; stays the caller's.  What is in @spawned is the caller's, on success only. */
gboolean cab_unpack_spawn (const char *program, int output, CabSpawned *spawned, GError **error);

#endif
