/* wipe.h - secrets leave memory when they are freed.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_WIPE_H
#define CABFS_CLIENT_WIPE_H

#include <glib.h>
#include <string.h>

static inline void cab_wipe_bytes (void *bytes, gsize len) {
  if (bytes != NULL)
    explicit_bzero (bytes, len);
}

/* A string; may be NULL. */
static inline void cab_wipe_free (char *text) {
  if (text != NULL)
    explicit_bzero (text, strlen (text));
  g_free (text);
}

/* A NULL-terminated array; may be NULL. */
static inline void cab_wipe_freev (char **texts) {
  for (gsize i = 0; texts != NULL && texts[i] != NULL; i++)
    explicit_bzero (texts[i], strlen (texts[i]));
  g_strfreev (texts);
}

#endif
