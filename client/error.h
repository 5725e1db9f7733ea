/* error.h - the one error domain of cabfs: what went wrong, as far as a caller can act on it.
 *
 * client/ and cache/ report with these codes, fs/errmap.c turns them into errno (interface.md section 5).
 * The message is one line for the log: what was asked, the HTTP status, the service's code and its
 * correlation id.  It never holds a token, a client secret or a signature.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_ERROR_H
#define CABFS_CLIENT_ERROR_H

#include <glib.h>

#define CAB_ERROR (cab_error_quark ())

typedef enum {
  CAB_ERROR_FAILED,    /* service or network failed after the retries; anything without a better name */
  CAB_ERROR_INVALID,   /* an answer, a file or a setting that cannot be understood */
  CAB_ERROR_NOT_FOUND, /* no such application, failure or CAB; expired and gone */
  CAB_ERROR_DENIED,    /* 401 after a fresh token, 403, not downloadable, host not allowed */
  CAB_ERROR_CHANGED,   /* the blob is not the one that was opened: other ETag or size */
  CAB_ERROR_TIMEOUT,   /* no byte of progress for the configured time */
  CAB_ERROR_CANCELLED, /* the caller, or the whole program, gave up */
  CAB_ERROR_NO_SPACE,  /* the cache may not or cannot hold more */
  CAB_ERROR_SPENT,     /* the caller has had downloaded what it may for now */
} CabErrorCode;

GQuark cab_error_quark (void);

/* What a service answered instead, as far as it said so: an error carries it beside its message, through copies and
 * prefixes. */
typedef struct {
  int status;              /* of HTTP; 0: there was no answer */
  const char *code;        /* the service's word for it ("AuthenticationFailed"), or NULL */
  const char *correlation; /* the id that its support asks for, or NULL */
} CabErrorAnswer;

/* Copies @answer into @error, which is of our domain. */
void cab_error_set_answer (GError *error, const CabErrorAnswer *answer);

/* Of an error of any domain, or NULL; strings are the error's. */
CabErrorAnswer cab_error_answer (const GError *error);

/* Sets @error to "<format>: <strerror (errno)>" with CAB_ERROR_FAILED, or CAB_ERROR_NO_SPACE for ENOSPC and
 * EDQUOT.  Reads errno before anything else.  Always returns NULL, so that a function that returns a pointer
 * can return it. */
gpointer cab_error_errno (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);

#endif
