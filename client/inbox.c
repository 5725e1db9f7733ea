/* SPDX-License-Identifier: MIT */
#include "client/inbox.h"

#include "client/sync.h"

typedef struct {
  GList link; /* data is the job itself */
  CabInboxFunc func;
  gpointer data;
} Job;

struct CabInbox {
  /* set at creation */
  CabInboxFunc wake;
  gpointer wake_data;
  pthread_mutex_t lock;
  GQueue jobs;     /* lock: of Job, owned */
  guint holds;     /* lock */
  gboolean ending; /* lock */
};

CabInbox *cab_inbox_new (CabInboxFunc wake, gpointer data) {
  CabInbox *self = g_new0 (CabInbox, 1);
  self->wake = wake;
  self->wake_data = data;
  pthread_mutex_init (&self->lock, NULL);
  g_queue_init (&self->jobs);
  return self;
}

void cab_inbox_free (CabInbox *self) {
  if (self == NULL)
    return;
  g_assert (g_queue_is_empty (&self->jobs));
  pthread_mutex_destroy (&self->lock);
  g_free (self);
}

void cab_inbox_add (CabInbox *self, CabInboxFunc func, gpointer data) {
  Job *job = g_new0 (Job, 1);
  job->link.data = job;
  job->func = func;
  job->data = data;
  CAB_LOCK_SCOPE (&self->lock);
  gboolean first = g_queue_is_empty (&self->jobs);
  g_queue_push_tail_link (&self->jobs, &job->link);
  if (first)
    self->wake (self->wake_data);
}

void cab_inbox_run (CabInbox *self) {
  GQueue jobs = G_QUEUE_INIT;
  {
    CAB_LOCK_SCOPE (&self->lock);
    jobs = self->jobs;
    g_queue_init (&self->jobs);
  }
  for (GList *link = g_queue_pop_head_link (&jobs); link != NULL; link = g_queue_pop_head_link (&jobs)) {
    g_autofree Job *job = link->data;
    job->func (job->data);
  }
}

gboolean cab_inbox_is_empty (CabInbox *self) {
  CAB_LOCK_SCOPE (&self->lock);
  return g_queue_is_empty (&self->jobs);
}

void cab_inbox_hold (CabInbox *self) {
  CAB_LOCK_SCOPE (&self->lock);
  self->holds++;
}

void cab_inbox_release (CabInbox *self) {
  CAB_LOCK_SCOPE (&self->lock);
  g_assert (self->holds > 0);
  self->holds--;
  self->wake (self->wake_data);
}

void cab_inbox_end (CabInbox *self) {
  CAB_LOCK_SCOPE (&self->lock);
  self->ending = TRUE;
  self->wake (self->wake_data);
}

gboolean cab_inbox_ended (CabInbox *self) {
  CAB_LOCK_SCOPE (&self->lock);
  return self->ending && self->holds == 0 && g_queue_is_empty (&self->jobs);
}
