/* errors.h - the failures of late: what a caller was told, and what the services said to us.
 *
 * One entry for each operation that was answered with an error, made where its line in the log is made.  The last
 * CAB_ERRORS_SHOWN are for whoever asks how the mount is doing; as many more are kept as it takes to tell of a single
 * path why it failed (CAB_ERRORS_KEPT, some 150 KB when all are used).
 *
 * Secrets: texts are redacted when they are noted (redact.h), and queries of addresses are cut off, which are long and
 * tell a reader nothing.
 *
 * Threads: any; one lock, held for no I/O and no call into another module.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_ERRORS_H
#define CABFS_FS_ERRORS_H

#include <glib.h>

#define CAB_ERRORS_SHOWN 32
#define CAB_ERRORS_KEPT  256

typedef struct {
  gint64 time;       /* Unix seconds */
  char *operation;   /* "read", as the log has it */
  char *path;        /* in the mount, from its root: "/10238467886765136388/…" */
  int number;        /* the errno that the caller got */
  const char *name;  /* of the same: "EIO"; static */
  int status;        /* of HTTP; 0: there was no answer, or none was needed */
  char *code;        /* the service's word for it, or NULL */
  char *correlation; /* the id that its support asks for, or NULL */
  char *message;     /* one line */
  gboolean settled;  /* the same was tried since, and succeeded */
} CabFailure;

/* As cab_errors_add() notes it. */
CabFailure *cab_failure_new (gint64 now, const char *operation, const char *path, int number,
                             const GError *error);
CabFailure *cab_failure_copy (const CabFailure *self);
void cab_failure_free (CabFailure *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabFailure, cab_failure_free)

typedef struct CabErrors CabErrors;

CabErrors *cab_errors_new (void);
void cab_errors_free (CabErrors *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabErrors, cab_errors_free)

/* Notes that @operation on @path was answered with errno @number because of @error.  @now: Unix seconds.  Arguments are
 * copied. */
void cab_errors_add (CabErrors *self, gint64 now, const char *operation, const char *path, int number,
                     const GError *error);

typedef void (*CabFailureFunc) (gpointer data, const CabFailure *failure);

/* The last CAB_ERRORS_SHOWN, the newest first, as they were when it began.  No lock is held during @func. */
void cab_errors_each (CabErrors *self, CabFailureFunc func, gpointer data);

/* A copy of the newest one of @path that is not settled, or, since a name that could not be looked up has nothing of its
 * own to tell by, of such a lookup in the directory @path; NULL if none is kept. */
CabFailure *cab_errors_find (CabErrors *self, const char *path);

/* One of @operations, NULL at the end, has succeeded on @path, and with it the others: what of them failed is settled. */
void cab_errors_settle (CabErrors *self, const char *path, const char *const *operations);

/* TRUE if nothing is kept that is not settled.  Takes no lock. */
gboolean cab_errors_are_settled (CabErrors *self);

#endif
