/* Jobs from beginning to end: in turn, cancelled, failed, stopped, killed; and workers that behave as they
 * should not.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/unit/rogue-unpack.h"
#include "tests/unit/unpack-rig.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT (G_GUINT64_CONSTANT (4) << 30)

static void assert_no_children (void) {
  g_assert_cmpuint (rig_children (NULL), ==, 0);
}

static guint open_descriptors (void) {
  g_autoptr (GDir) dir = g_dir_open ("/proc/self/fd", 0, NULL);
  guint count = 0;
  while (g_dir_read_name (dir) != NULL)
    count++;
  return count;
}

/* --- in turn ------------------------------------------------------------------------------------------------ */

static void test_queue (void) {
  enum { JOBS = 5, PARALLEL = 2 };
  g_autoptr (CabUnpacker) unpacker = rig_unpacker (PARALLEL, LIMIT);
  Run runs[JOBS];
  for (guint i = 0; i < JOBS; i++) {
    run_init (&runs[i], rig_made ("mszip.cab"));
    runs[i].hold = TRUE;
    run_list (&runs[i], unpacker);
  }
  for (guint i = 0; i < JOBS; i++) {
    latch_wait (&runs[i].needs, 1);
    if (i + 1 < JOBS)
      latch_wait (&runs[i + 1].needs, 1);
    g_assert_cmpuint (rig_children (NULL), ==, i + PARALLEL <= JOBS ? PARALLEL : JOBS - i);
    for (guint later = i + PARALLEL; later < JOBS; later++)
      g_assert_cmpuint (latch_count (&runs[later].needs), ==, 0);
    run_answer (&runs[i]);
    run_assert_ok (&runs[i]);
  }
  for (guint i = 0; i < JOBS; i++)
    run_clear (&runs[i]);
  assert_no_children ();
}

/* What one worker waits for holds nobody up. */
static void test_side_by_side (void) {
  g_autoptr (CabUnpacker) unpacker = rig_unpacker (2, LIMIT);
  RUN (slow, rig_made ("mszip.cab"));
  slow.hold = TRUE;
  run_list (&slow, unpacker);
  latch_wait (&slow.needs, 1);
  for (guint i = 0; i < 3; i++) {
    RUN (quick, rig_made ("mszip.cab"));
    run_extract (&quick, unpacker, 0, 0, 200000);
    run_assert_ok (&quick);
  }
  g_assert_cmpuint (latch_count (&slow.dones), ==, 0);
  run_answer (&slow);
  run_assert_ok (&slow);
  g_assert_cmpuint (slow.member_count, ==, 4);
}

/* Nor do as many as may work at a time, up to a bound. */
static void test_beyond (void) {
  enum { PARALLEL = 2, MOST = 5 };
  g_autoptr (CabUnpacker) unpacker = rig_unpacker_beyond (PARALLEL, MOST, LIMIT);
  Run slow[MOST];
  RUN (quick, rig_made ("mszip.cab"));
  RUN (last, rig_made ("mszip.cab"));
  for (guint i = 0; i < MOST; i++) {
    run_init (&slow[i], rig_made ("mszip.cab"));
    slow[i].hold = TRUE;
  }
  for (guint i = 0; i + 1 < MOST; i++) {
    run_list (&slow[i], unpacker);
    latch_wait (&slow[i].needs, 1);
  }
  run_list (&quick, unpacker);
  run_assert_ok (&quick);
  run_list (&slow[MOST - 1], unpacker);
  latch_wait (&slow[MOST - 1].needs, 1);
  run_list (&last, unpacker);
  g_assert_cmpuint (rig_children (NULL), ==, MOST);
  g_assert_cmpuint (latch_count (&last.needs), ==, 0);
  run_answer (&slow[0]);
  run_assert_ok (&slow[0]);
  run_assert_ok (&last);
  cab_unpacker_stop (unpacker);
  for (guint i = 0; i < MOST; i++)
    run_clear (&slow[i]);
}

static void test_leaves_nothing (void) {
  g_autoptr (CabUnpacker) unpacker = rig_unpacker (2, LIMIT);
  guint before = open_descriptors ();
  for (guint i = 0; i < 10; i++) {
    RUN (run, rig_made ("mszip.cab"));
    run_extract (&run, unpacker, 0, 1, 150);
    run_assert_ok (&run);
    assert_no_children ();
  }
  g_assert_cmpuint (open_descriptors (), ==, before);
}

/* --- an early end ------------------------------------------------------------------------------------------- */

static void test_cancel_running (void) {
  g_autoptr (CabUnpacker) unpacker = rig_unpacker (1, LIMIT);
  RUN (run, rig_made ("mszip.cab"));
  run.hold = TRUE;
  run_list (&run, unpacker);
  latch_wait (&run.needs, 1);
  cab_unpack_cancel (run.job);
  run_assert_error (&run, CAB_ERROR_CANCELLED, "*");
  assert_no_children ();
  run_answer (&run); /* too late, and no matter */
  cab_unpack_cancel (run.job);
  g_assert_cmpuint (latch_count (&run.dones), ==, 1);
}

static void test_cancel_waiting (void) {
  g_autoptr (CabUnpacker) unpacker = rig_unpacker (1, LIMIT);
  RUN (first, rig_made ("mszip.cab"));
  RUN (second, rig_made ("mszip.cab"));
  RUN (third, rig_made ("mszip.cab"));
  first.hold = TRUE;
  run_list (&first, unpacker);
  run_list (&second, unpacker);
  run_list (&third, unpacker);
  latch_wait (&first.needs, 1);
  cab_unpack_cancel (second.job);
  run_assert_error (&second, CAB_ERROR_CANCELLED, "*");
  g_assert_cmpuint (latch_count (&second.needs), ==, 0);
  run_answer (&first);
  run_assert_ok (&first);
  run_assert_ok (&third);
}

static void test_cancel_done (void) {
  g_autoptr (CabUnpacker) unpacker = rig_unpacker (1, LIMIT);
  RUN (run, rig_made ("mszip.cab"));
  run_list (&run, unpacker);
  run_assert_ok (&run);
  cab_unpacker_free (g_steal_pointer (&unpacker));
  cab_unpack_cancel (run.job);
  cab_unpack_give (run.job, "", 1);
  g_assert_cmpuint (latch_count (&run.dones), ==, 1);
}

static void cancel_in_callback (Run *self, guint64 end) {
  cab_unpack_cancel (self->seen);
}

static void test_cancel_from_callback (void) {
  g_autoptr (CabUnpacker) unpacker = rig_unpacker (1, LIMIT);
  RUN (run, rig_made ("huge.cab"));
  run.on_written = cancel_in_callback;
  run_extract (&run, unpacker, 0, 0, G_MAXUINT64);
  run_assert_error (&run, CAB_ERROR_CANCELLED, "*");
}

static void test_owner_fails (void) {
  g_autoptr (CabUnpacker) unpacker = rig_unpacker (1, LIMIT);
  RUN (run, rig_made ("mszip.cab"));
  run.hold = TRUE;
  run_list (&run, unpacker);
  latch_wait (&run.needs, 1);
  g_autoptr (GError) error = g_error_new (CAB_ERROR, CAB_ERROR_TIMEOUT, "no byte came");
  cab_unpack_fail (run.job, error);
  run_assert_error (&run, CAB_ERROR_TIMEOUT, "no byte came");
}

static void test_stop (void) {
  g_autoptr (CabUnpacker) unpacker = rig_unpacker (1, LIMIT);
  RUN (running, rig_made ("mszip.cab"));
  RUN (waiting, rig_made ("mszip.cab"));
  RUN (late, rig_made ("mszip.cab"));
  running.hold = TRUE;
  run_list (&running, unpacker);
  run_list (&waiting, unpacker);
  latch_wait (&running.needs, 1);
  cab_unpacker_stop (unpacker);
  g_assert_cmpuint (latch_count (&running.dones), ==, 1);
  g_assert_cmpuint (latch_count (&waiting.dones), ==, 1);
  run_assert_error (&running, CAB_ERROR_CANCELLED, "*");
  run_assert_error (&waiting, CAB_ERROR_CANCELLED, "*");
  assert_no_children ();
  run_list (&late, unpacker);
  run_assert_error (&late, CAB_ERROR_CANCELLED, "*");
  g_assert_cmpuint (latch_count (&late.needs), ==, 0);
}

static CabUnpacker *to_stop;

static void stop_in_callback (Run *self, guint64 end) {
  cab_unpacker_stop (to_stop);
}

static void test_stop_from_callback (void) {
  g_autoptr (CabUnpacker) unpacker = rig_unpacker (1, LIMIT);
  RUN (run, rig_made ("huge.cab"));
  to_stop = unpacker;
  run.on_written = stop_in_callback;
  run_extract (&run, unpacker, 0, 0, G_MAXUINT64);
  run_assert_error (&run, CAB_ERROR_CANCELLED, "*");
}

/* The worker's file is a duplicate: the owner may close his. */
static void test_closed_file (void) {
  g_autoptr (CabUnpacker) unpacker = rig_unpacker (1, LIMIT);
  RUN (run, rig_made ("mszip.cab"));
  run.hold = TRUE;
  run_extract (&run, unpacker, 0, 0, 200000);
  int kept = fcntl (run.fd, F_DUPFD_CLOEXEC, 0);
  close (run.fd);
  run.fd = kept;
  latch_wait (&run.needs, 1);
  while (latch_count (&run.dones) == 0) {
    guint needs = latch_count (&run.needs);
    run_answer (&run);
    while (latch_count (&run.needs) == needs && latch_count (&run.dones) == 0)
      g_usleep (1000);
  }
  run_assert_ok (&run);
}

static void test_no_program (void) {
  const CabUnpackerOptions options = {
      .program = "/nonexistent/cabfs-unpack", .parallel = 1, .most = 1, .limit = LIMIT};
  g_autoptr (GError) error = NULL;
  g_assert_null (cab_unpacker_new (&options, &error));
  g_assert_error (error, CAB_ERROR, CAB_ERROR_FAILED);
  g_autofree char *program = cab_unpack_program ();
  g_assert_true (g_path_is_absolute (program));
}

static void test_program_vanishes (void) {
  g_autoptr (GError) error = NULL;
  g_autofree char *path = NULL;
  int fd = g_file_open_tmp ("cabfs-worker-XXXXXX", &path, &error);
  g_assert_no_error (error);
  g_assert_cmpint (fchmod (fd, 0700), ==, 0);
  close (fd);
  const CabUnpackerOptions options = {.program = path, .parallel = 1, .most = 1, .limit = LIMIT};
  g_autoptr (CabUnpacker) unpacker = cab_unpacker_new (&options, &error);
  g_assert_no_error (error);
  unlink (path);
  RUN (run, rig_made ("mszip.cab"));
  run_list (&run, unpacker);
  run_assert_error (&run, CAB_ERROR_FAILED, "start *No such file*");
}

/* --- workers that crash, or worse --------------------------------------------------------------------------- */

static void test_killed (void) {
  g_autoptr (CabUnpacker) unpacker = rig_unpacker (2, LIMIT);
  RUN (run, rig_made ("mszip.cab"));
  run.hold = TRUE;
  run_list (&run, unpacker);
  latch_wait (&run.needs, 1);
  pid_t worker = 0;
  g_assert_cmpuint (rig_children (&worker), ==, 1);
  rig_expect_warning ("*crashed: signal 9*");
  kill (worker, SIGKILL);
  run_assert_error (&run, CAB_ERROR_FAILED, "*crashed: signal 9*");
  rig_assert_warned ();
  RUN (next, rig_made ("mszip.cab"));
  run_list (&next, unpacker);
  run_assert_ok (&next);
}

static CabUnpacker *rogue_unpacker (void) {
  g_autofree char *program = rig_rogue ();
  const CabUnpackerOptions options = {
      .program = program, .parallel = 1, .most = 1, .limit = LIMIT, .patience_s = 1};
  g_autoptr (GError) error = NULL;
  CabUnpacker *self = cab_unpacker_new (&options, &error);
  g_assert_no_error (error);
  return self;
}

static void check_rogue (CabUnpacker *unpacker, RogueAct act, const char *words) {
  RUN (run, rig_made ("mszip.cab"));
  run.hold = TRUE;
  rig_expect_warning (words);
  if (act < ROGUE_PACKETS_END) {
    run_extract (&run, unpacker, 0, act, G_MAXUINT64);
  } else {
    run.size = act;
    run_list (&run, unpacker);
  }
  run_assert_error (&run, CAB_ERROR_FAILED, words);
  rig_assert_warned ();
  assert_no_children ();
}

static void test_crashes (void) {
  g_autoptr (CabUnpacker) unpacker = rogue_unpacker ();
  check_rogue (unpacker, ROGUE_EXIT, "*ended with status 0 before*");
  check_rogue (unpacker, ROGUE_EXIT_3, "*ended with status 3 before*");
  check_rogue (unpacker, ROGUE_ABORT, "*crashed: signal 6*");
  check_rogue (unpacker, ROGUE_SPIN, "*worked for 1 s without a word*");
  check_rogue (unpacker, ROGUE_DEAF, "*crashed: signal 9*");
}

static atomic_bool patient; /* who looks for the end of a process waits for it */
static atomic_int reaped;   /* the last one */
static atomic_bool killed_reaped;

pid_t waitpid (pid_t pid, int *status, int options) {
  int flags = atomic_load (&patient) ? options & ~WNOHANG : options;
  pid_t ended = (pid_t) syscall (SYS_wait4, pid, status, flags, NULL);
  if (ended > 0)
    atomic_store (&reaped, ended);
  return ended;
}

int kill (pid_t pid, int number) {
  if (pid == atomic_load (&reaped))
    atomic_store (&killed_reaped, TRUE);
  return (int) syscall (SYS_kill, pid, number);
}

/* That it has hung up is seen when it is no more: its number may be another process's by then. */
static void test_reaped (void) {
  g_autoptr (CabUnpacker) unpacker = rogue_unpacker ();
  atomic_store (&patient, TRUE);
  check_rogue (unpacker, ROGUE_EXIT, "*ended with status 0 before*");
  atomic_store (&patient, FALSE);
  g_assert_false (atomic_load (&killed_reaped));
}

static void test_rogue_packets (void) {
  g_autoptr (CabUnpacker) unpacker = rogue_unpacker ();
  for (guint act = ROGUE_SHORT; act < ROGUE_PACKETS_END; act++)
    check_rogue (unpacker, (RogueAct) act, "*said what it should not*");
}

static void test_rogue_members (void) {
  g_autoptr (CabUnpacker) unpacker = rogue_unpacker ();
  for (guint act = ROGUE_PATH_LONG; act < ROGUE_LISTS_END; act++)
    check_rogue (unpacker, (RogueAct) act, "*said what it should not*");
}

/* Words are read, so that it need not wait, and mostly thrown away; what gets into an error is text. */
static void test_rogue_words (void) {
  g_autoptr (CabUnpacker) unpacker = rogue_unpacker ();
  RUN (run, rig_made ("mszip.cab"));
  run_extract (&run, unpacker, 0, ROGUE_WORDS, G_MAXUINT64);
  run_assert_error (&run, CAB_ERROR_INVALID,
                    "a \xef\xbf\xbd"
                    "b");
}

static void wait_for_its_end (Run *self, guint64 end) {
  while (rig_children (NULL) > 0)
    g_usleep (1000);
}

/* A block that was asked for ahead may come when all is done: that the worker did not read it loses nothing of
 * what it said. */
static void test_hasty (void) {
  g_autoptr (CabUnpacker) unpacker = rogue_unpacker ();
  RUN (run, rig_made ("mszip.cab"));
  run.on_written = wait_for_its_end;
  run_extract (&run, unpacker, 0, ROGUE_HASTY, 10);
  run_assert_ok (&run);
  g_assert_cmpuint (run.result, ==, 10);
}

/* Told once, not at every job. */
static void test_bare_kernel (void) {
  g_autoptr (CabUnpacker) unpacker = rogue_unpacker ();
  rig_expect_warning ("this kernel has no Landlock and no seccomp: *");
  for (guint i = 0; i < 2; i++) {
    RUN (run, rig_made ("mszip.cab"));
    run_extract (&run, unpacker, 0, ROGUE_BARE, 10);
    run_assert_ok (&run);
    rig_assert_warned ();
  }
}

int main (int argc, char **argv) {
  rig_init (&argc, &argv);
  g_test_add_func ("/unpack-life/queue", test_queue);
  g_test_add_func ("/unpack-life/side-by-side", test_side_by_side);
  g_test_add_func ("/unpack-life/beyond", test_beyond);
  g_test_add_func ("/unpack-life/leaves-nothing", test_leaves_nothing);
  g_test_add_func ("/unpack-life/cancel/running", test_cancel_running);
  g_test_add_func ("/unpack-life/cancel/waiting", test_cancel_waiting);
  g_test_add_func ("/unpack-life/cancel/done", test_cancel_done);
  g_test_add_func ("/unpack-life/cancel/from-callback", test_cancel_from_callback);
  g_test_add_func ("/unpack-life/owner-fails", test_owner_fails);
  g_test_add_func ("/unpack-life/stop", test_stop);
  g_test_add_func ("/unpack-life/stop-from-callback", test_stop_from_callback);
  g_test_add_func ("/unpack-life/closed-file", test_closed_file);
  g_test_add_func ("/unpack-life/no-program", test_no_program);
  g_test_add_func ("/unpack-life/program-vanishes", test_program_vanishes);
  g_test_add_func ("/unpack-life/killed", test_killed);
  g_test_add_func ("/unpack-life/crashes", test_crashes);
  g_test_add_func ("/unpack-life/reaped", test_reaped);
  g_test_add_func ("/unpack-life/rogue/packets", test_rogue_packets);
  g_test_add_func ("/unpack-life/rogue/members", test_rogue_members);
  g_test_add_func ("/unpack-life/rogue/words", test_rogue_words);
  g_test_add_func ("/unpack-life/hasty", test_hasty);
  g_test_add_func ("/unpack-life/bare-kernel", test_bare_kernel);
  return g_test_run ();
}
