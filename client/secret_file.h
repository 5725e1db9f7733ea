/* secret_file.h - small local files that hold a secret: read whole, refused where others could read them.
 *
 * Relative paths are taken from $CREDENTIALS_DIRECTORY where systemd sets it.
 *
 * Threads: any, but for the environment.  Reading blocks; the files are small and local.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_SECRET_FILE_H
#define CABFS_CLIENT_SECRET_FILE_H

#include <glib.h>

/* What the permissions of a file must be. */
typedef enum {
  CAB_SECRET_ANY,
  CAB_SECRET_PRIVATE,   /* owned by us or root, for its owner only */
  CAB_SECRET_DIRECTORY, /* lies in a directory that is private: an ACL shows as rights of the group */
} CabSecretRule;

/* @path as it is configured, made absolute; NULL for NULL and "".  @rule, which may be NULL: what holds for it. */
char *cab_secret_file_resolve (const char *path, CabSecretRule *rule);

/* The file @name of $CREDENTIALS_DIRECTORY, NULL if there is none. */
char *cab_secret_file_stand_in (const char *name);

/* All of it, with a NUL behind; wipe it.  NULL with DENIED where @rule is broken, INVALID for what is no regular file
 * or longer than 64 KiB, FAILED where it cannot be read. */
char *cab_secret_file_read (const char *path, CabSecretRule rule, gsize *len, GError **error);

/* The same as text, without the blanks around it; INVALID too where it is empty or not UTF-8. */
char *cab_secret_file_read_text (const char *path, CabSecretRule rule, GError **error);

#endif
