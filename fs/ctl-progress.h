/* ctl-progress.h - the line of one thing that comes bit by bit, and the rate it comes with.  Pure.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_CTL_PROGRESS_H
#define CABFS_FS_CTL_PROGRESS_H

#include <glib.h>

typedef struct {
  const char *name; /* printable */
  guint64 have;     /* bytes */
  gint64 size;      /* bytes; negative: not known */
  gint64 rate;      /* bytes in a second; negative: not known */
  gint64 left_s;    /* negative: not known */
} CabProgress;

/* "name  [####----]  45%  384.0 MiB  50.0 MiB/s  0:07", the numbers on the right of @width columns, the end of a name
 * that has no room; without the bar where there is little.  @width 0: as long as it gets. */
char *cab_progress_line (const CabProgress *progress, guint width);

/* A rate that follows what happens within some seconds.  Zeroed at first. */
typedef struct {
  gint64 at_us;  /* of the last look; 0: none */
  guint64 bytes; /* at that time */
  double rate;   /* bytes in a second */
  gboolean known;
} CabRate;

/* @bytes have come in all at @now_us: bytes in a second, or negative while that is not known. */
gint64 cab_rate_update (CabRate *self, guint64 bytes, gint64 now_us);

#endif
