/* SPDX-License-Identifier: MIT */
#include "fs/notify.h"

#include "client/sync.h"

struct CabNotify {
  struct fuse_session *se; /* set at creation */
  pthread_t thread;

  pthread_mutex_t lock;
  pthread_cond_t changed;
  GArray *inodes;  /* lock: of guint64 */
  gboolean ending; /* lock */
};

/* What there is to say, or NULL when it is time to end. */
static GArray *take (CabNotify *self) {
  CAB_LOCK_SCOPE (&self->lock);
  while (self->inodes->len == 0 && !self->ending)
    pthread_cond_wait (&self->changed, &self->lock);
  if (self->ending)
    return NULL;
  GArray *inodes = self->inodes;
  self->inodes = g_array_new (FALSE, FALSE, sizeof (guint64));
  return inodes;
}

static void *notify_main (void *data) {
  CabNotify *self = data;
  for (GArray *inodes = take (self); inodes != NULL; inodes = take (self)) {
    for (guint i = 0; i < inodes->len;
         i++) /* a negative offset: no pages.  That the kernel has forgotten it is fine. */
      fuse_lowlevel_notify_inval_inode (self->se, g_array_index (inodes, guint64, i), -1, 0);
    g_array_unref (inodes);
  }
  return NULL;
}

CabNotify *cab_notify_new (struct fuse_session *se) {
  CabNotify *self = g_new0 (CabNotify, 1);
  self->se = se;
  pthread_mutex_init (&self->lock, NULL);
  pthread_cond_init (&self->changed, NULL);
  self->inodes = g_array_new (FALSE, FALSE, sizeof (guint64));
  int rc = pthread_create (&self->thread, NULL, notify_main, self);
  g_assert (rc == 0);
  pthread_setname_np (self->thread, "cabfs-notify");
  return self;
}

void cab_notify_free (CabNotify *self) {
  if (self == NULL)
    return;
  {
    CAB_LOCK_SCOPE (&self->lock);
    self->ending = TRUE;
    pthread_cond_signal (&self->changed);
  }
  pthread_join (self->thread, NULL);
  g_array_unref (self->inodes);
  pthread_cond_destroy (&self->changed);
  pthread_mutex_destroy (&self->lock);
  g_free (self);
}

void cab_notify_attributes (CabNotify *self, guint64 ino) {
  CAB_LOCK_SCOPE (&self->lock);
  g_array_append_val (self->inodes, ino);
  pthread_cond_signal (&self->changed);
}
