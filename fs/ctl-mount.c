/* SPDX-License-Identifier: MIT */
#include "fs/ctl-mount.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
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

/* "ID PARENT MAJOR:MINOR ROOT MOUNTPOINT OPTIONS… - TYPE SOURCE OPTIONS": the mount point, if the line is of the device. */
static char *mountpoint_in (const char *line, const char *device) {
  g_auto (GStrv) fields = g_strsplit (line, " ", 7);
  if (g_strv_length (fields) < 7 || strcmp (fields[2], device) != 0)
    return NULL;
  return unescape (fields[4]);
}

/* The last one wins: it lies on top. */
static char *find_mountpoint (dev_t device) {
  g_autofree char *text = NULL;
  g_autofree char *wanted = g_strdup_printf ("%u:%u", major (device), minor (device));
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

char *cab_ctl_mount_of (const char *path, GError **error) {
  struct stat st;
  g_autofree char *name = cab_ctl_quote (path);
  if (stat (path, &st) != 0) {
    if (errno == ENOTCONN)
      g_set_error (error, CAB_ERROR, CAB_ERROR_FAILED,
                   "%s: its cabfs has ended and left the mount behind: fusermount3 -u '%s', then mount anew",
                   name, name);
    else
      cab_error_errno (error, "%s", name);
    return NULL;
  }
  g_autofree char *mountpoint = find_mountpoint (st.st_dev);
  g_autofree char *version = mountpoint != NULL ? cab_ctl_attribute (mountpoint, "version") : NULL;
  if (version != NULL)
    return g_steal_pointer (&mountpoint);
  g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID, "%s: is in no mount of cabfs", name);
  return NULL;
}
