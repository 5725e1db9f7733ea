/* SPDX-License-Identifier: MIT */
#include "client/thread.h"

#include <errno.h>
#include <glib.h>
#include <semaphore.h>
#include <signal.h>

typedef struct {
  void *(*func) (void *data);
  void *data;
  sem_t runs;
} Start;

static void *run (void *start) {
  Start *self = start;
  void *(*func) (void *data) = self->func;
  void *data = self->data;
  sem_post (&self->runs); /* the last look at it: it is on the caller's stack */
  return func (data);
}

void cab_thread_prepare (void) {
  g_ascii_strtoull ("0", NULL, 10);
}

int cab_thread_start (pthread_t *thread, const char *name, void *(*func) (void *data), void *data) {
  Start start = {.func = func, .data = data};
  sigset_t all, before;
  cab_thread_prepare ();
  sigfillset (&all);
  sem_init (&start.runs, 0, 0);
  pthread_sigmask (SIG_SETMASK, &all, &before);
  int rc = pthread_create (thread, NULL, run, &start);
  while (rc == 0 && sem_wait (&start.runs) < 0 && errno == EINTR)
    ;
  pthread_sigmask (SIG_SETMASK, &before, NULL);
  sem_destroy (&start.runs);
  if (rc == 0)
    pthread_setname_np (*thread, name);
  return rc;
}
