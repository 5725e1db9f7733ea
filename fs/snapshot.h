/* snapshot.h - what the mount is doing at one moment, and the forms in which that is told.  Pure.
 *
 * ops-state.c takes it; it is shown as MOUNTPOINT/.cabfs/status.json, as .cabfs/metrics, as lines of the log (SIGUSR1),
 * and as the one line that a service manager shows.  Nothing in it is secret: errors were redacted when they were noted
 * (errors.h), hosts are names without addresses.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_SNAPSHOT_H
#define CABFS_FS_SNAPSHOT_H

#include "cache/cache.h"
#include "client/metrics.h"
#include "fs/errors.h"

typedef struct {
  const char *account; /* borrowed, as is what `cache` points to */
  gint64 pid;
  gint64 started; /* Unix seconds */
  gint64 now;
  gint64 now_us;       /* monotonic, of the same moment */
  GArray *downloads;   /* CabDownload, of CABs */
  GArray *unpackings;  /* CabDownload, of members */
  GArray *hosts;       /* CabHostState */
  GPtrArray *failures; /* CabFailure, the newest first */
  CabCacheState cache;
  guint waiting;    /* requests of the kernel that are not answered yet */
  guint open_files; /* with those that the kernel reads by itself */
  guint64 entries;  /* files and directories that the kernel knows */
  guint64 sent[CAB_REQUEST_KINDS];
  guint64 failed[CAB_REQUEST_KINDS];
  guint64 metrics[CAB_METRIC_LAST];
} CabSnapshot;

void cab_snapshot_clear (CabSnapshot *self);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CabSnapshot, cab_snapshot_clear)

/* "/application/failure/id.cab", or with ".d/member" after that. */
char *cab_snapshot_path (const CabDownload *download);

/* Seconds until a download is through at its present rate; -1 if there is no telling. */
gint64 cab_snapshot_seconds_left (const CabDownload *download);

/* The object of status.json; what is not known is null. */
char *cab_snapshot_json (const CabSnapshot *self);

/* OpenMetrics text, which ends in "# EOF". */
char *cab_snapshot_metrics (const CabSnapshot *self);

/* Lines for people, NULL-terminated. */
char **cab_snapshot_lines (const CabSnapshot *self);

/* "Reading 3 CABs, 120.0 of 384.0 MiB, 52.0 MiB/s", "Unpacking 1 file, …": of arrays of CabDownload, the latter if no CAB
 * is on the way; NULL if both are empty. */
char *cab_snapshot_headline (const GArray *downloads, const GArray *unpackings);

#endif
