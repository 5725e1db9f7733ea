/* reached.h - what was opened by name and is listed from then on, for the life of the mount (interface.md section 1).
 *
 * Threads: any.  Ownership: lists are copies, freed with g_strfreev().
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_REACHED_H
#define CABFS_FS_REACHED_H

#include <glib.h>

typedef struct CabReached CabReached;

CabReached *cab_reached_new (void);
void cab_reached_free (CabReached *self);

/* A failure that the services know, and with it its application; or, where @failure is NULL, that alone. */
void cab_reached_add (CabReached *self, const char *application, const char *failure);

/* Sorted; of @application, or the applications themselves for NULL. */
char **cab_reached_list (CabReached *self, const char *application);

/* Another number whenever something was added: a list that is asked for after it has all that it stands for. */
guint64 cab_reached_version (CabReached *self);

#endif
