/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/error.h"
#include "fs/ctl-mount.h"
#include "fs/ctl-text.h"
#include "fs/ctl.h"
#include "fs/ioctl.h"
#include "fs/names.h"

/* Where the component that is an open CAB begins, in a path without symbolic links; NULL if there is none. */
static char *find_open_cab (char *path) {
  for (char *p = path; (p = strstr (p, CAB_NAME_OPEN)) != NULL; p++)
    if (p[strlen (CAB_NAME_OPEN)] == '\0' || p[strlen (CAB_NAME_OPEN)] == '/') {
      while (*p != '/')
        p--;
      return p;
    }
  return NULL;
}

/* The directory whose list is meant: opening a CAB would have its first bytes fetched, and its list is that of the
 * directory it is in. */
static char *directory_of (const char *path) {
  char *full = realpath (path, NULL);
  g_autofree char *copy = g_strdup (full != NULL ? full : path);
  free (full);
  char *open_cab = find_open_cab (copy);
  if (open_cab != NULL)
    *open_cab = '\0';
  else if (cab_ctl_kind (copy) == S_IFREG)
    return g_path_get_dirname (copy);
  return g_steal_pointer (&copy);
}

static gboolean refresh (const char *path, GError **error) {
  g_autofree char *mountpoint = cab_ctl_mount_of (path, error);
  if (mountpoint == NULL)
    return FALSE;
  g_autofree char *directory = directory_of (path);
  g_autofree char *name = cab_ctl_quote (path);
  int fd = open (directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return cab_error_errno (error, "%s", name) != NULL;
  gboolean ok = ioctl (fd, CABFS_IOC_REFRESH) == 0;
  if (!ok && (errno == ENOTTY || errno == ENOSYS))
    g_set_error (error, CAB_ERROR, CAB_ERROR_FAILED,
                 "%s: the cabfs that is mounted there knows no refresh: mount anew", name);
  else if (!ok)
    cab_error_errno (error, "%s", name);
  close (fd);
  return ok;
}

int cab_ctl_refresh (const CabCtlCommand *command) {
  int status = EXIT_SUCCESS;
  for (guint i = 0; command->paths[i] != NULL; i++) {
    g_autoptr (GError) error = NULL;
    if (refresh (command->paths[i], &error))
      continue;
    cab_ctl_complain (command, "%s", error->message);
    status = CAB_EXIT_FAILED;
  }
  return status;
}
