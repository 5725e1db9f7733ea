/* SPDX-License-Identifier: MIT */
#include "client/error.h"

#include <errno.h>

typedef struct {
  int status;
  char *code;
  char *correlation;
} CabErrorPrivate;

/* GLib's macro finds what is ours before the error itself, takes a const away, and calls three of these functions for
 * each error of the domain, never with NULL, which gcc's analyser cannot know. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-align"
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wnull-dereference"
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-null-dereference"
#endif

static void cab_error_private_init (CabErrorPrivate *self) {
  *self = (CabErrorPrivate){0};
}

static void cab_error_private_copy (const CabErrorPrivate *from, CabErrorPrivate *to) {
  *to = (CabErrorPrivate){from->status, g_strdup (from->code), g_strdup (from->correlation)};
}

static void cab_error_private_clear (CabErrorPrivate *self) {
  g_free (self->code);
  g_free (self->correlation);
}

G_DEFINE_EXTENDED_ERROR (CabError, cab_error)

void cab_error_set_answer (GError *error, const CabErrorAnswer *answer) {
  g_assert (error->domain == CAB_ERROR);
  CabErrorPrivate *self = cab_error_get_private (error);
  const CabErrorPrivate given = {answer->status, (char *) (gsize) answer->code,
                                 (char *) (gsize) answer->correlation};
  CabErrorPrivate before = *self;
  cab_error_private_copy (&given, self);
  cab_error_private_clear (&before);
}

CabErrorAnswer cab_error_answer (const GError *error) {
  if (error == NULL || error->domain != CAB_ERROR)
    return (CabErrorAnswer){0};
  const CabErrorPrivate *self = cab_error_get_private (error);
  return (CabErrorAnswer){self->status, self->code, self->correlation};
}

#pragma GCC diagnostic pop

gpointer cab_error_errno (GError **error, const char *format, ...) {
  int saved = errno;
  CabErrorCode code = saved == ENOSPC || saved == EDQUOT ? CAB_ERROR_NO_SPACE : CAB_ERROR_FAILED;
  va_list args;
  va_start (args, format);
  g_autofree char *what = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, CAB_ERROR, code, "%s: %s", what, g_strerror (saved));
  errno = saved;
  return NULL;
}
