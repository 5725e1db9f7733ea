/* SPDX-License-Identifier: MIT */
#include "fs/ctl-mount.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "client/error.h"
#include "fs/ctl-text.h"

#define VALUE_MAX 4096

char *cab_ctl_attribute (const char *path, const char *name) {
  char value[VALUE_MAX + 1];
  g_autofree char *full = g_strconcat ("user.cabfs.", name, NULL);
  ssize_t len = getxattr (path, full, value, VALUE_MAX);
  if (len < 0)
    return NULL;
  value[len] = '\0';
  return cab_ctl_quote (value);
}

/* In /proc/self/mountinfo a blank is "\040". */
static char *unescape (const char *text) {
  return g_strcompress (text);
}

/* "ID PARENT MAJOR:MINOR ROOT MOUNTPOINT OPTIONS… - TYPE SOURCE OPTIONS": the mount point, if the line is of the device, and
 * not of a directory in it that is to be seen elsewhere too (mount --bind). */
static char *mountpoint_in (const char *line, const char *device) {
  g_auto (GStrv) fields = g_strsplit (line, " ", 7);
  if (g_strv_length (fields) < 7 || strcmp (fields[2], device) != 0 || strcmp (fields[3], "/") != 0)
    return NULL;
  return unescape (fields[4]);
}

/* The last one wins: it lies on top. */
static char *find_mountpoint (guint device_major, guint device_minor) {
  g_autofree char *text = NULL;
  g_autofree char *wanted = g_strdup_printf ("%u:%u", device_major, device_minor);
  char *found = NULL;
  if (!g_file_get_contents ("/proc/self/mountinfo", &text, NULL, NULL))
    return NULL;
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++) {
    char *mountpoint = mountpoint_in (lines[i], wanted);
    if (mountpoint == NULL)
      continue;
    g_free (found);
    found = mountpoint;
  }
  return found;
}

/* What the kernel knows will do. */
static gboolean look (const char *path, struct statx *found) {
  return statx (AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_TYPE, found) == 0;
}

mode_t cab_ctl_kind (const char *path) {
  struct statx found;
  return look (path, &found) ? found.stx_mode & S_IFMT : 0;
}

gboolean cab_ctl_refuse (const char *path, int number, GError **error) {
  g_autofree char *name = cab_ctl_quote (path);
  if (number == ENOTCONN)
    g_set_error (error, CAB_ERROR, CAB_ERROR_FAILED,
                 "%s: its cabfs has ended and left the mount behind: fusermount3 -u '%s', then mount anew",
                 name, name);
  else
    g_set_error (error, CAB_ERROR, CAB_ERROR_FAILED, "%s: %s", name, g_strerror (number));
  return FALSE;
}

static char *refuse (const char *path, int number, GError **error) {
  g_autofree char *name = cab_ctl_quote (path);
  if (number == ENODATA || number == EOPNOTSUPP)
    g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID, "%s: is in no mount of cabfs", name);
  else
    cab_ctl_refuse (path, number, error);
  return NULL;
}

char *cab_ctl_mount_of (const char *path, GError **error) {
  struct statx found;
  if (!look (path, &found))
    return refuse (path, errno, error);
  g_autofree char *mountpoint = find_mountpoint (found.stx_dev_major, found.stx_dev_minor);
  if (mountpoint == NULL)
    return refuse (path, ENODATA, error);
  g_autofree char *version = cab_ctl_attribute (mountpoint, "version");
  return version != NULL ? g_steal_pointer (&mountpoint) : refuse (path, errno, error);
}
