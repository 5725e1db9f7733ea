/* unpack_sandbox.h - takes away from a process whatever a parser of archives does not need.
 *
 * Afterwards it can read and write the descriptors it has, and have memory; it can open, start, connect and
 * signal nothing, and trying to start a program or to open a socket ends it.  Four layers, each of its own:
 * limits (memory, descriptors, processes, size of files), Landlock (no file, no TCP), seccomp (a list of what
 * may be called), and no new privileges, no core dump, no debugger, an end with the parent.  A kernel may lack
 * Landlock or seccomp: what was got is told.
 *
 * With AddressSanitizer memory is not limited, and what it and its reports call is allowed.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CACHE_UNPACK_SANDBOX_H
#define CABFS_CACHE_UNPACK_SANDBOX_H

#include <glib.h>

#if defined __has_feature
#if __has_feature(address_sanitizer)
#define CAB_SANDBOX_FOR_ASAN 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define CAB_SANDBOX_FOR_ASAN 1
#endif
#ifndef CAB_SANDBOX_FOR_ASAN
#define CAB_SANDBOX_FOR_ASAN 0
#endif

typedef enum {
  CAB_SANDBOX_LANDLOCK = 1,
  CAB_SANDBOX_SECCOMP = 2,
  CAB_SANDBOX_WHOLE = 3,
} CabSandboxFlags;

/* For good, for this thread, which has to be the only one.  @file_size: most bytes of a file.  Descriptors from
 * @descriptors on cannot be had any more. */
CabSandboxFlags cab_sandbox_enter (guint64 file_size, guint descriptors);

/* Landlock alone, which needs no new privileges to be ruled out: a part of the above. */
gboolean cab_sandbox_forbid_files (void);

#endif
