/* SPDX-License-Identifier: MIT */
#include "client/secret_file.h"

#include "client/error.h"
#include "client/wipe.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILE_BYTES (64u * 1024)

/* --- paths -------------------------------------------------------------------------------------------------- */

static const char *directory (void) {
  const char *path = g_getenv ("CREDENTIALS_DIRECTORY");
  return path == NULL || path[0] == '\0' ? NULL : path;
}

char *cab_secret_file_resolve (const char *path, CabSecretRule *rule) {
  if (path == NULL || path[0] == '\0')
    return NULL;
  const char *base = directory ();
  g_autofree char *folder = g_path_get_dirname (path);
  gboolean inside = base != NULL && (!g_path_is_absolute (path) || g_str_equal (folder, base));
  if (rule != NULL)
    *rule = inside ? CAB_SECRET_DIRECTORY : CAB_SECRET_PRIVATE;
  return base != NULL && !g_path_is_absolute (path) ? g_build_filename (base, path, NULL) : g_strdup (path);
}

char *cab_secret_file_stand_in (const char *name) {
  const char *base = directory ();
  g_autofree char *path = base == NULL ? NULL : g_build_filename (base, name, NULL);
  return path != NULL && g_file_test (path, G_FILE_TEST_EXISTS) ? g_steal_pointer (&path) : NULL;
}

/* --- reading ------------------------------------------------------------------------------------------------ */

static gboolean check_mode (const char *path, const struct stat *st, CabSecretRule rule, GError **error) {
  mode_t refused = rule == CAB_SECRET_PRIVATE ? S_IRWXG | S_IRWXO : rule == CAB_SECRET_DIRECTORY ? S_IRWXO : 0;
  if (!S_ISREG (st->st_mode)) {
    g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID, "%s: not a regular file", path);
    return FALSE;
  }
  if (rule != CAB_SECRET_ANY && st->st_uid != geteuid () && st->st_uid != 0) {
    g_set_error (error, CAB_ERROR, CAB_ERROR_DENIED,
                 "%s: belongs to user %u; a secret has to be ours or root's", path, (guint) st->st_uid);
    return FALSE;
  }
  if ((st->st_mode & refused) != 0) {
    g_set_error (error, CAB_ERROR, CAB_ERROR_DENIED,
                 "%s: others can read or write this secret (mode %04o); run: chmod 600 '%s'", path,
                 (guint) (st->st_mode & 07777), path);
    return FALSE;
  }
  return TRUE;
}

static char *read_all (int fd, const char *path, gsize *len, GError **error) {
  char *bytes = g_malloc (MAX_FILE_BYTES + 1);
  gsize have = 0;
  ssize_t got = 0;
  do {
    got = read (fd, bytes + have, MAX_FILE_BYTES + 1 - have);
    if (got > 0)
      have += (gsize) got;
  } while ((got > 0 && have <= MAX_FILE_BYTES) || (got < 0 && errno == EINTR));
  if (got >= 0 && have <= MAX_FILE_BYTES) {
    bytes[have] = '\0';
    *len = have;
    return bytes;
  }
  if (got < 0)
    cab_error_errno (error, "read %s", path);
  else
    g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID, "%s: longer than %u bytes", path, MAX_FILE_BYTES);
  cab_wipe_bytes (bytes, have);
  g_free (bytes);
  return NULL;
}

char *cab_secret_file_read (const char *path, CabSecretRule rule, gsize *len, GError **error) {
  struct stat st;
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0)
    return cab_error_errno (error, "open %s", path);
  char *bytes = NULL;
  if (fstat (fd, &st) != 0)
    cab_error_errno (error, "stat %s", path);
  else if (check_mode (path, &st, rule, error))
    bytes = read_all (fd, path, len, error);
  close (fd);
  return bytes;
}

char *cab_secret_file_read_text (const char *path, CabSecretRule rule, GError **error) {
  gsize len = 0;
  char *text = cab_secret_file_read (path, rule, &len, error);
  if (text == NULL)
    return NULL;
  g_strstrip (text);
  if (text[0] != '\0' && g_utf8_validate (text, -1, NULL))
    return text;
  g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID, "%s: %s", path, text[0] == '\0' ? "empty" : "not text");
  cab_wipe_bytes (text, len);
  g_free (text);
  return NULL;
}
