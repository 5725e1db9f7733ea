/* SPDX-License-Identifier: MIT */
#include "cache/pool.h"

#include "client/sync.h"
#include "client/thread.h"

typedef struct {
  CabWork work;
  gpointer data;
} Job;

struct CabPool {
  pthread_t *threads; /* set at creation */
  guint count;        /* set at creation */

  pthread_mutex_t lock;
  pthread_cond_t changed; /* signalled for a new job and for `ending` */
  GQueue jobs;            /* lock: of Job, owned */
  guint running;          /* lock: jobs being run; they may push more */
  gboolean ending;        /* lock */
};

/* The next job, or NULL when the pool ends and nothing can come any more. */
static Job *take_job (CabPool *self) {
  CAB_LOCK_SCOPE (&self->lock);
  while (g_queue_is_empty (&self->jobs)) {
    if (self->ending && self->running == 0)
      return NULL;
    pthread_cond_wait (&self->changed, &self->lock);
  }
  self->running++;
  return g_queue_pop_head (&self->jobs);
}

static void job_over (CabPool *self) {
  CAB_LOCK_SCOPE (&self->lock);
  self->running--;
  if (self->ending)
    pthread_cond_broadcast (&self->changed);
}

static void *worker (void *data) {
  CabPool *self = data;
  for (Job *job = take_job (self); job != NULL; job = take_job (self)) {
    job->work (job->data);
    g_free (job);
    job_over (self);
  }
  return NULL;
}

CabPool *cab_pool_new (guint threads) {
  CabPool *self = g_new0 (CabPool, 1);
  pthread_mutex_init (&self->lock, NULL);
  pthread_cond_init (&self->changed, NULL);
  g_queue_init (&self->jobs);
  self->threads = g_new0 (pthread_t, threads);
  for (self->count = 0; self->count < threads; self->count++)
    if (cab_thread_start (&self->threads[self->count], "cabfs-pool", worker, self) != 0)
      break;
  g_assert (self->count > 0); /* without a single thread the process cannot live anyway */
  return self;
}

void cab_pool_push (CabPool *self, CabWork work, gpointer data) {
  Job *job = g_new (Job, 1);
  *job = (Job){work, data};
  CAB_LOCK_SCOPE (&self->lock);
  g_queue_push_tail (&self->jobs, job);
  pthread_cond_signal (&self->changed);
}

void cab_pool_free (CabPool *self) {
  if (self == NULL)
    return;
  {
    CAB_LOCK_SCOPE (&self->lock);
    self->ending = TRUE;
    pthread_cond_broadcast (&self->changed);
  }
  for (guint i = 0; i < self->count; i++)
    pthread_join (self->threads[i], NULL);
  g_free (self->threads);
  pthread_cond_destroy (&self->changed);
  pthread_mutex_destroy (&self->lock);
  g_free (self);
}
