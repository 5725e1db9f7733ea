/* SPDX-License-Identifier: MIT */
#include "fs/notify.h"

#include "client/sync.h"

typedef struct {
  guint64 ino;
  fuse_req_t req; /* to be answered then, or NULL */
  int error;
} Note;

struct CabNotify {
  struct fuse_session *se; /* set at creation */
  pthread_t thread;

  pthread_mutex_t lock;
  pthread_cond_t changed;
  GArray *notes;   /* lock: of Note */
  gboolean ending; /* lock */
};

/* What there is to say, or NULL when it is time to end. */
static GArray *take (CabNotify *self) {
  CAB_LOCK_SCOPE (&self->lock);
  while (self->notes->len == 0 && !self->ending)
    pthread_cond_wait (&self->changed, &self->lock);
  if (self->ending)
    return NULL;
  GArray *notes = self->notes;
  self->notes = g_array_new (FALSE, FALSE, sizeof (Note));
  return notes;
}

static void answer (const Note *note) {
  if (note->req != NULL)
    fuse_reply_err (note->req, note->error);
}

static void *notify_main (void *data) {
  CabNotify *self = data;
  for (GArray *notes = take (self); notes != NULL; notes = take (self)) {
    for (guint i = 0; i < notes->len; i++) {
      const Note *note = &g_array_index (notes, Note, i);
      /* A negative offset: no pages.  That the kernel has forgotten it is fine. */
      fuse_lowlevel_notify_inval_inode (self->se, note->ino, -1, 0);
      answer (note);
    }
    g_array_unref (notes);
  }
  return NULL;
}

CabNotify *cab_notify_new (struct fuse_session *se) {
  CabNotify *self = g_new0 (CabNotify, 1);
  self->se = se;
  pthread_mutex_init (&self->lock, NULL);
  pthread_cond_init (&self->changed, NULL);
  self->notes = g_array_new (FALSE, FALSE, sizeof (Note));
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
  for (guint i = 0; i < self->notes->len; i++)
    answer (&g_array_index (self->notes, Note, i));
  g_array_unref (self->notes);
  pthread_cond_destroy (&self->changed);
  pthread_mutex_destroy (&self->lock);
  g_free (self);
}

static void say (CabNotify *self, Note note) {
  CAB_LOCK_SCOPE (&self->lock);
  g_array_append_val (self->notes, note);
  pthread_cond_signal (&self->changed);
}

void cab_notify_attributes (CabNotify *self, guint64 ino) {
  say (self, (Note){.ino = ino});
}

void cab_notify_and_fail (CabNotify *self, guint64 ino, fuse_req_t req, int error) {
  say (self, (Note){.ino = ino, .req = req, .error = error});
}
