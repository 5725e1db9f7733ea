/* SPDX-License-Identifier: MIT */
#include "fs/errmap.h"

#include <errno.h>

#include "client/error.h"

static const int errnos[] = {
    [CAB_ERROR_FAILED] = EIO,      [CAB_ERROR_INVALID] = EIO,     [CAB_ERROR_NOT_FOUND] = ENOENT,
    [CAB_ERROR_DENIED] = EACCES,   [CAB_ERROR_CHANGED] = ESTALE,  [CAB_ERROR_TIMEOUT] = ETIMEDOUT,
    [CAB_ERROR_CANCELLED] = EINTR, [CAB_ERROR_NO_SPACE] = ENOSPC, [CAB_ERROR_SPENT] = EDQUOT,
};

int cab_errno_from_error (const GError *error) {
  if (error == NULL)
    return 0;
  if (error->domain != CAB_ERROR || error->code < 0 || error->code >= (int) G_N_ELEMENTS (errnos))
    return EIO;
  return errnos[error->code];
}
