/* SPDX-License-Identifier: MIT */
#include "fs/paths.h"

#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/error.h"

#define SYSTEM_CONFIG "/etc/cabfs/cabfs.conf"

/* From the password database. */
static char *home_of_user (uid_t uid) {
  long hint = sysconf (_SC_GETPW_R_SIZE_MAX);
  gsize size = hint > 0 ? (gsize) hint : 16384;
  g_autofree char *buffer = g_malloc (size);
  struct passwd entry, *found = NULL;
  if (getpwuid_r (uid, &entry, buffer, size, &found) != 0 || found == NULL)
    return NULL;
  return g_path_is_absolute (found->pw_dir) ? g_strdup (found->pw_dir) : NULL;
}

char *cab_path_home (void) {
  const char *home = g_getenv ("HOME");
  if (home != NULL && !g_path_is_absolute (home))
    home = NULL;
  struct stat st;
  if (home != NULL && stat (home, &st) == 0 && st.st_uid == geteuid ())
    return g_strdup (home);
  char *known = home_of_user (geteuid ());
  return known != NULL ? known : g_strdup (home);
}

char *cab_path_expand (const char *text, const char *base, GError **error) {
  if (text[0] != '~')
    return g_canonicalize_filename (text, base);
  if (text[1] != '/' && text[1] != '\0') {
    g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID,
                 "\"%s\": only \"~/\" is understood, not another user's home", text);
    return NULL;
  }
  g_autofree char *home = cab_path_home ();
  if (home == NULL) {
    g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID,
                 "\"%s\": there is no home directory; give an absolute path", text);
    return NULL;
  }
  return g_build_filename (home, text + 1, NULL);
}

char *cab_path_expand_credential (const char *text, const char *base, GError **error) {
  const char *credentials = g_getenv ("CREDENTIALS_DIRECTORY");
  if (credentials != NULL && g_path_is_absolute (credentials) && text[0] != '~' && !g_path_is_absolute (text)) {
    g_autofree char *path = g_build_filename (credentials, text, NULL);
    if (access (path, F_OK) == 0)
      return g_steal_pointer (&path);
  }
  return cab_path_expand (text, base, error);
}

/* @variable where that is an absolute path, else @fallback in the home directory; NULL if there is none. */
static char *user_dir (const char *variable, const char *fallback) {
  const char *dir = g_getenv (variable);
  if (dir != NULL && g_path_is_absolute (dir))
    return g_strdup (dir);
  g_autofree char *home = cab_path_home ();
  return home != NULL ? g_build_filename (home, fallback, NULL) : NULL;
}

char *cab_path_find_config (GError **error) {
  g_autofree char *dir = user_dir ("XDG_CONFIG_HOME", ".config");
  g_autofree char *own = dir != NULL ? g_build_filename (dir, "cabfs", "cabfs.conf", NULL) : NULL;
  /* One that is there but may not be read is not passed over: opening it says so. */
  if (own != NULL && (access (own, F_OK) == 0 || errno == EACCES))
    return g_steal_pointer (&own);
  if (access (SYSTEM_CONFIG, F_OK) == 0)
    return g_strdup (SYSTEM_CONFIG);
  if (own != NULL)
    g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID,
                 "no configuration: neither %s nor " SYSTEM_CONFIG " is there; see cabfs.conf(5)", own);
  else
    g_set_error_literal (error, CAB_ERROR, CAB_ERROR_INVALID,
                         "no configuration: " SYSTEM_CONFIG " is not there, and no home directory is known");
  return NULL;
}

char *cab_path_cache (const char *account, GError **error) {
  g_autofree char *dir = user_dir ("XDG_CACHE_HOME", ".cache");
  if (dir == NULL) {
    g_set_error_literal (error, CAB_ERROR, CAB_ERROR_INVALID,
                         "no home directory is known to have a cache in; set cache-dir");
    return NULL;
  }
  return g_build_filename (dir, "cabfs", account, NULL);
}
