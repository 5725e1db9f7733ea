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

/* Where the component that is an open CAB begins, in an absolute path without symbolic links, behind its first @above bytes;
 * NULL if there is none. */
static char *find_open_cab (char *path, gsize above) {
  const gsize len = strlen (CAB_NAME_OPEN);
  for (char *p = path + above; (p = strstr (p, CAB_NAME_OPEN)) != NULL; p++)
    if (p[len] == '\0' || p[len] == '/')
      return memrchr (path, '/', (gsize) (p - path));
  return NULL;
}

/* Above the mount any directory may be called as open CABs are.  0 for a path that does not lead through the mount point:
 * mount --bind. */
static gsize length_above (const char *path, const char *mountpoint) {
  gsize len = strlen (mountpoint);
  return g_str_has_prefix (path, mountpoint) && (path[len] == '\0' || path[len] == '/') ? len : 0;
}

/* The directory whose list is meant: opening a CAB would have its first bytes fetched, and its list is that of the
 * directory it is in. */
static char *directory_of (const char *path, const char *mountpoint, GError **error) {
  char *full = realpath (path, NULL);
  if (full == NULL) {
    cab_ctl_refuse (path, errno, error);
    return NULL;
  }
  g_autofree char *copy = g_strdup (full);
  free (full);
  char *open_cab = find_open_cab (copy, length_above (copy, mountpoint));
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
  g_autofree char *directory = directory_of (path, mountpoint, error);
  if (directory == NULL)
    return FALSE;
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
