/* park.h - requests that wait: for a time, for a release, or for their client to go away.
 *
 * A parked request is a suspended connection and costs no thread; one thread of the park wakes them all.
 * Life of a wait: the owner of the connection (a handler or a content reader of libmicrohttpd) calls emu_park_wait()
 * and returns to libmicrohttpd at once; when it is called again, parked->woken says why.
 *
 * Threads: any; emu_park_wait() on the thread that runs the connection.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_EMULATOR_PARK_H
#define CABFS_EMULATOR_PARK_H

#include "tests/emulator/emu.h"
#include <microhttpd.h>

typedef enum { EMU_WOKEN_TIME, EMU_WOKEN_RELEASED, EMU_WOKEN_GONE, EMU_WOKEN_STOPPED } EmuWoken;

/* A place for one wait; lies in the request, may be used again after it. */
typedef struct {
  EmuWoken woken; /* set before the connection is resumed */
  /* the park's own: */
  struct MHD_Connection *connection;
  guint64 id;
  int fd;
  gint64 until_us;
  guint fault;
  GList link; /* among the held, in the order they came */
} EmuParked;

EmuPark *emu_park_new (GError **error);
/* After emu_park_stop() and the end of all hosts. */
void emu_park_free (EmuPark *self);

/* Suspends @connection until @until_us (monotonic; G_MAXINT64: no time), a release of @fault (0: cannot be
 * released) or the end of the client.  FALSE, and nothing done, once the park has stopped. */
gboolean emu_park_wait (EmuPark *self, EmuParked *parked, struct MHD_Connection *connection, gint64 until_us,
                        guint fault);

/* Lets up to @n (0: all) of those held by @fault (0: any) go, first come first; returns how many. */
guint emu_park_release (EmuPark *self, guint fault, guint n);

guint emu_park_held (EmuPark *self, guint fault);
/* Waits until at least @n are held by @fault (0: any).  FALSE after @timeout_ms or emu_park_stop(). */
gboolean emu_park_wait_held (EmuPark *self, guint fault, guint n, gint64 timeout_ms);

/* Wakes all, for good. */
void emu_park_stop (EmuPark *self);

#endif
