/* test-park.c - requests that wait, answered by whoever comes first, with a libfuse that takes its time.
 *
 * SPDX-License-Identifier: MIT
 */
#include "client/sync.h"
#include "fs/park.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

/* What libfuse has of a request; answering frees it there, and here marks it. */
struct fuse_req {
  struct fuse_ctx ctx;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  fuse_interrupt_func_t func;
  void *data;
  gboolean answered;
  int error;
  gint64 arming_us; /* how long it takes to set the function, unless the request is answered before */
};

const struct fuse_ctx *fuse_req_ctx (fuse_req_t req) {
  return &req->ctx;
}

void fuse_req_interrupt_func (fuse_req_t req, fuse_interrupt_func_t func, void *data) {
  CAB_LOCK_SCOPE (&req->lock);
  gint64 until_us = g_get_monotonic_time () + req->arming_us;
  while (func != NULL && !req->answered && cab_cond_wait_until (&req->changed, &req->lock, until_us))
    ;
  g_assert_false (req->answered); /* it would be freed by now */
  req->func = func;
  req->data = data;
}

int fuse_reply_err (fuse_req_t req, int error) {
  CAB_LOCK_SCOPE (&req->lock);
  g_assert_false (req->answered);
  req->answered = TRUE;
  req->error = error;
  pthread_cond_broadcast (&req->changed);
  return 0;
}

static int wait_for_answer (fuse_req_t req) {
  CAB_LOCK_SCOPE (&req->lock);
  while (!req->answered)
    pthread_cond_wait (&req->changed, &req->lock);
  return req->error;
}

static void req_init (fuse_req_t self, pid_t pid) {
  *self = (struct fuse_req){.ctx = {.pid = pid}};
  pthread_mutex_init (&self->lock, NULL);
  cab_cond_init (&self->changed);
}

static void req_clear (fuse_req_t self) {
  pthread_cond_destroy (&self->changed);
  pthread_mutex_destroy (&self->lock);
}

/* The number of a process that is no more. */
static pid_t dead_process (void) {
  pid_t pid = fork ();
  g_assert_cmpint (pid, >=, 0);
  if (pid == 0)
    _exit (0);
  g_assert_cmpint (waitpid (pid, NULL, 0), ==, pid);
  return pid;
}

static void test_taken (void) {
  struct fuse_req req;
  CabPark *park = cab_park_new ();
  req_init (&req, getpid ());
  CabParked *parked = cab_park_add (park, &req);
  g_assert_cmpuint (cab_park_count (park), ==, 1);
  g_assert_true (cab_park_take (parked) == &req);
  g_assert_null (req.func);
  g_assert_false (req.answered);
  g_assert_cmpuint (cab_park_count (park), ==, 0);
  cab_park_free (park);
  req_clear (&req);
}

static void test_interrupted (void) {
  struct fuse_req req;
  CabPark *park = cab_park_new ();
  req_init (&req, getpid ());
  CabParked *parked = cab_park_add (park, &req);
  req.func (&req, req.data);
  g_assert_cmpint (wait_for_answer (&req), ==, EINTR);
  g_assert_null (cab_park_take (parked));
  cab_park_free (park);
  req_clear (&req);
}

/* @arming_us: as of the request. */
static void check_dead_caller (gint64 arming_us) {
  struct fuse_req req;
  CabPark *park = cab_park_new ();
  req_init (&req, dead_process ());
  req.arming_us = arming_us;
  CabParked *parked = cab_park_add (park, &req);
  g_assert_cmpint (wait_for_answer (&req), ==, EINTR);
  g_assert_null (cab_park_take (parked));
  cab_park_free (park);
  req_clear (&req);
}

static void test_dead_caller (void) {
  check_dead_caller (0);
}

/* Who looks after dead callers comes by while libfuse is still given the interrupt function, twice at least. */
static void test_dead_caller_of_a_slow_worker (void) {
  check_dead_caller (1500 * 1000);
}

/* The end of hide_processes(). */
static void show_processes (int before) {
  int rc = setns (before, CLONE_NEWNS);
  (void) rc; /* who may not go back could not leave */
  close (before);
}

/* A /proc in which nobody shows, for this thread and those that it starts; what is unmounted elsewhere goes here too.  The way
 * back, or -1 where it cannot be had. */
static int hide_processes (void) {
  int before = open ("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
  g_assert_cmpint (before, >=, 0);
  if (unshare (CLONE_NEWNS) == 0 && mount (NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) == 0 &&
      mount ("none", "/proc", "tmpfs", 0, NULL) == 0)
    return before;
  show_processes (before);
  return -1;
}

static gboolean is_answered (fuse_req_t req) {
  CAB_LOCK_SCOPE (&req->lock);
  return req->answered;
}

/* Both are looked at in turn, the living one first. */
static void test_caller_that_does_not_show (void) {
  struct fuse_req living, dead;
  int before = hide_processes ();
  if (before < 0) {
    g_test_skip ("/proc cannot be hidden");
    return;
  }
  CabPark *park = cab_park_new ();
  req_init (&living, getpid ());
  req_init (&dead, dead_process ());
  CabParked *parked = cab_park_add (park, &living);
  CabParked *parked_dead = cab_park_add (park, &dead);
  g_assert_cmpint (wait_for_answer (&dead), ==, EINTR);
  g_assert_false (is_answered (&living));
  g_assert_true (cab_park_take (parked) == &living);
  g_assert_null (cab_park_take (parked_dead));
  cab_park_free (park);
  req_clear (&living);
  req_clear (&dead);
  show_processes (before);
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/park/taken", test_taken);
  g_test_add_func ("/park/interrupted", test_interrupted);
  g_test_add_func ("/park/dead-caller", test_dead_caller);
  g_test_add_func ("/park/dead-caller-of-a-slow-worker", test_dead_caller_of_a_slow_worker);
  g_test_add_func ("/park/caller-that-does-not-show", test_caller_that_does_not_show);
  return g_test_run ();
}
