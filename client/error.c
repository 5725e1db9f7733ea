/* SPDX-License-Identifier: MIT */
#include "client/error.h"

#include <errno.h>

G_DEFINE_QUARK (cab-error-quark, cab_error)

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
