/* ctl-fetch-work.h - the threads of `cabfsctl fetch`: one that walks over the paths, and some that read.
 *
 * Reading a file through the mount brings it into the cache; what is cached already is not read.  Neither memory nor page
 * cache grows with what is fetched: the walk waits for the readers, these wait for who takes their outcomes, and what was
 * read is given back to the kernel at once.
 * A reader may wait in the kernel for as long as `timeout` allows; a signal ends that at once.
 *
 * Threads: all calls on the one that started it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_CTL_FETCH_WORK_H
#define CABFS_FS_CTL_FETCH_WORK_H

#include <glib.h>

typedef enum {
  CAB_FETCH_CAME,   /* it was not all here, and is now */
  CAB_FETCH_CACHED, /* it was here */
  CAB_FETCH_FAILED,
} CabFetchResult;

/* What became of one file, or of a directory that could not be read. */
typedef struct {
  CabFetchResult result;
  char *name;    /* printable */
  guint64 bytes; /* read */
  char *why;     /* of CAB_FETCH_FAILED, printable */
} CabFetchOutcome;

void cab_fetch_outcome_free (CabFetchOutcome *outcome);

/* A file that is being read. */
typedef struct {
  char *name;   /* printable, owned */
  guint id;     /* another for each file, never 0 */
  guint64 have; /* bytes read */
  gint64 size;  /* negative: not known yet */
} CabFetchFile;

/* How things stand. */
typedef struct {
  guint found;   /* files so far */
  gboolean all;  /* the walk is over: there are no more */
  gboolean over; /* so is everything, and all outcomes have been taken */
  guint64 bytes; /* read in all */
  GArray *files; /* of CabFetchFile, those under way; free with cab_fetch_look_clear() */
} CabFetchLook;

void cab_fetch_look_clear (CabFetchLook *look);

typedef struct CabFetch CabFetch;

/* @paths, which have to outlive it, must be in mounts of cabfs.  @jobs files are read at a time.  @event is an eventfd
 * that is written to when there is an outcome to take, and at the end.  Signals that the caller has blocked do not
 * get to the threads.  NULL with @error if there are no threads to be had. */
CabFetch *cab_fetch_start (char **paths, guint jobs, int event, GError **error);

/* The next outcome, or NULL if there is none now. */
CabFetchOutcome *cab_fetch_take (CabFetch *self);

void cab_fetch_look (CabFetch *self, CabFetchLook *out);

/* Ends it early.  Again every now and then until it is over: a thread may just have been about to wait. */
void cab_fetch_stop (CabFetch *self);

/* It must be over. */
void cab_fetch_free (CabFetch *self);

#endif
