/* SPDX-License-Identifier: MIT */
#include "fs/reached.h"

#include <string.h>

#include "client/sync.h"

struct CabReached {
  pthread_mutex_t lock;
  GTree *applications; /* lock: applicationId to a GTree whose keys are failureHashes; all owned */
  guint64 version;     /* lock */
};

static gint compare (gconstpointer a, gconstpointer b, gpointer data) {
  return strcmp (a, b);
}

static void tree_free (gpointer tree) {
  g_tree_unref (tree);
}

CabReached *cab_reached_new (void) {
  CabReached *self = g_new0 (CabReached, 1);
  pthread_mutex_init (&self->lock, NULL);
  self->applications = g_tree_new_full (compare, NULL, g_free, tree_free);
  return self;
}

void cab_reached_free (CabReached *self) {
  if (self == NULL)
    return;
  g_tree_unref (self->applications);
  pthread_mutex_destroy (&self->lock);
  g_free (self);
}

void cab_reached_add (CabReached *self, const char *application, const char *failure) {
  CAB_LOCK_SCOPE (&self->lock);
  GTree *failures = g_tree_lookup (self->applications, application);
  if (failures == NULL) {
    failures = g_tree_new_full (compare, NULL, g_free, NULL);
    g_tree_insert (self->applications, g_strdup (application), failures);
    self->version++;
  }
  if (failure == NULL || g_tree_lookup_extended (failures, failure, NULL, NULL))
    return;
  g_tree_insert (failures, g_strdup (failure), NULL);
  self->version++;
}

static gboolean append_key (gpointer key, gpointer value, gpointer data) {
  g_ptr_array_add (data, g_strdup (key));
  return FALSE;
}

char **cab_reached_list (CabReached *self, const char *application) {
  GPtrArray *names = g_ptr_array_new ();
  CAB_LOCK_SCOPE (&self->lock);
  GTree *tree = application != NULL ? g_tree_lookup (self->applications, application) : self->applications;
  if (tree != NULL)
    g_tree_foreach (tree, append_key, names);
  g_ptr_array_add (names, NULL);
  return (char **) g_ptr_array_free (names, FALSE);
}

guint64 cab_reached_version (CabReached *self) {
  CAB_LOCK_SCOPE (&self->lock);
  return self->version;
}
