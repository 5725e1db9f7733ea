/* SPDX-License-Identifier: MIT */
#include "fs/notify.h"

#include "client/sync.h"
#include "client/thread.h"

typedef struct {
  guint64 ino;
  void (*done) (gpointer data); /* or */
  gpointer data;
} Item;

struct CabNotify {
  struct fuse_session *se; /* set at creation */
  pthread_t thread;

  pthread_mutex_t lock;
  pthread_cond_t changed;
  GArray *items;   /* lock: of Item, in the order of their coming */
  gboolean ending; /* lock */
};

/* What there is to say, or NULL when it is time to end. */
static GArray *take (CabNotify *self) {
  CAB_LOCK_SCOPE (&self->lock);
  while (self->items->len == 0 && !self->ending)
    pthread_cond_wait (&self->changed, &self->lock);
  if (self->ending)
    return NULL;
  GArray *items = self->items;
  self->items = g_array_new (FALSE, FALSE, sizeof (Item));
  return items;
}

/* A negative offset: no pages.  That the kernel has forgotten it is fine. */
static void say_all (struct fuse_session *se, const GArray *items) {
  for (guint i = 0; i < items->len; i++) {
    const Item *item = &g_array_index (items, Item, i);
    if (item->done != NULL)
      item->done (item->data);
    else
      fuse_lowlevel_notify_inval_inode (se, item->ino, -1, 0);
  }
}

static void *notify_main (void *data) {
  CabNotify *self = data;
  for (GArray *items = take (self); items != NULL; items = take (self)) {
    say_all (self->se, items);
    g_array_unref (items);
  }
  return NULL;
}

CabNotify *cab_notify_new (struct fuse_session *se) {
  CabNotify *self = g_new0 (CabNotify, 1);
  self->se = se;
  pthread_mutex_init (&self->lock, NULL);
  pthread_cond_init (&self->changed, NULL);
  self->items = g_array_new (FALSE, FALSE, sizeof (Item));
  int rc = cab_thread_start (&self->thread, "cabfs-notify", notify_main, self);
  g_assert (rc == 0);
  return self;
}

void cab_notify_stop (CabNotify *self) {
  {
    CAB_LOCK_SCOPE (&self->lock);
    if (self->ending)
      return;
    self->ending = TRUE;
    pthread_cond_signal (&self->changed);
  }
  pthread_join (self->thread, NULL);
  for (guint i = 0; i < self->items->len; i++) { /* nothing is added any more */
    const Item *item = &g_array_index (self->items, Item, i);
    if (item->done != NULL)
      item->done (item->data);
  }
}

void cab_notify_free (CabNotify *self) {
  if (self == NULL)
    return;
  g_array_unref (self->items);
  pthread_cond_destroy (&self->changed);
  pthread_mutex_destroy (&self->lock);
  g_free (self);
}

/* FALSE if the thread ends. */
static gboolean push (CabNotify *self, Item item) {
  CAB_LOCK_SCOPE (&self->lock);
  if (self->ending)
    return FALSE;
  g_array_append_val (self->items, item);
  pthread_cond_signal (&self->changed);
  return TRUE;
}

void cab_notify_attributes (CabNotify *self, guint64 ino) {
  push (self, (Item){.ino = ino});
}

void cab_notify_then (CabNotify *self, void (*done) (gpointer data), gpointer data) {
  if (!push (self, (Item){.done = done, .data = data}))
    done (data);
}

static gboolean is_ending (CabNotify *self) {
  CAB_LOCK_SCOPE (&self->lock);
  return self->ending;
}

gboolean cab_notify_pages (CabNotify *self, guint64 ino, const void *bytes, gsize len) {
  if (is_ending (self))
    return FALSE;
  struct fuse_bufvec pages = FUSE_BUFVEC_INIT (len);
  pages.buf[0].mem = (void *) (gsize) bytes;
  return fuse_lowlevel_notify_store (self->se, ino, 0, &pages, 0) == 0;
}
