/* SPDX-License-Identifier: MIT */
#include "fs/missing.h"

#include <string.h>

#include "client/sync.h"

#define KEPT_US (30 * G_USEC_PER_SEC)

enum { NAMES_MAX = 256 };

typedef struct {
  char *application; /* NULL: free, and so is the next */
  char *failure;
  gint64 until_us;
} Name;

struct CabMissing {
  pthread_mutex_t lock;
  Name names[NAMES_MAX]; /* lock: a ring, */
  guint next;            /* lock: which goes on here */
  guint clears;          /* lock: how often it was cleared */
};

CabMissing *cab_missing_new (void) {
  CabMissing *self = g_new0 (CabMissing, 1);
  pthread_mutex_init (&self->lock, NULL);
  return self;
}

static void name_clear (Name *name) {
  g_free (name->application);
  g_free (name->failure);
  *name = (Name){0};
}

void cab_missing_free (CabMissing *self) {
  if (self == NULL)
    return;
  cab_missing_clear (self, NULL);
  pthread_mutex_destroy (&self->lock);
  g_free (self);
}

guint cab_missing_clears (CabMissing *self) {
  CAB_LOCK_SCOPE (&self->lock);
  return self->clears;
}

void cab_missing_add (CabMissing *self, guint clears, const char *application, const char *failure,
                      gint64 now_us) {
  CAB_LOCK_SCOPE (&self->lock);
  if (clears != self->clears)
    return;
  Name *name = &self->names[self->next];
  self->next = (self->next + 1) % NAMES_MAX;
  name_clear (name);
  *name = (Name){g_strdup (application), g_strdup (failure), now_us + KEPT_US};
}

gboolean cab_missing_has (CabMissing *self, const char *application, const char *failure, gint64 now_us) {
  CAB_LOCK_SCOPE (&self->lock);
  for (guint i = 0; i < NAMES_MAX; i++) {
    const Name *name = &self->names[i];
    if (name->application != NULL && now_us < name->until_us && strcmp (name->failure, failure) == 0 &&
        strcmp (name->application, application) == 0)
      return TRUE;
  }
  return FALSE;
}

void cab_missing_clear (CabMissing *self, const char *application) {
  CAB_LOCK_SCOPE (&self->lock);
  self->clears++;
  for (guint i = 0; i < NAMES_MAX; i++)
    if (application == NULL || g_strcmp0 (self->names[i].application, application) == 0)
      name_clear (&self->names[i]);
}
