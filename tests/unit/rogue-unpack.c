/* A worker that somebody got hold of: takes a job, and does, by the ordinal of the member, what it should not.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/unit/rogue-unpack.h"
#include "cache/unpack_wire.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void say_text (CabWire head, const void *text, gsize len) {
  cab_wire_send (CAB_WIRE_SOCKET, TRUE, &head, text, len);
}

static void say (CabWire head) {
  say_text (head, NULL, 0);
}

static void write_and_say (gsize len, guint64 said) {
  g_autofree char *bytes = g_malloc0 (len);
  gssize n = write (CAB_WIRE_OUTPUT, bytes, len);
  g_assert (n == (gssize) len);
  say ((CabWire){.kind = CAB_WIRE_WRITTEN, .size = said});
}

static G_GNUC_NORETURN void spin (void) {
  for (;;)
    continue;
}

/* Longer than any packet. */
static void say_too_much (void) {
  g_autofree char *bytes = g_malloc0 (sizeof (CabWire) + CAB_WIRE_TEXT_MAX + 1);
  const CabWire head = {.kind = CAB_WIRE_DONE};
  memcpy (bytes, &head, sizeof head);
  send (CAB_WIRE_SOCKET, bytes, sizeof (CabWire) + CAB_WIRE_TEXT_MAX + 1, 0);
}

static void fill_words (void) {
  char line[100];
  memset (line, 'x', sizeof line);
  for (int i = 0; i < 10000; i++) {
    gssize n = write (STDERR_FILENO, line, sizeof line);
    (void) n;
  }
}

static G_GNUC_NORETURN void sleep_deaf (void) {
  close (CAB_WIRE_SOCKET);
  for (;;)
    pause ();
}

static void say_numbers (RogueAct act, const CabWire *job) {
  if (act == ROGUE_NEED_BEYOND)
    say ((CabWire){.kind = CAB_WIRE_NEED, .off = job->size - 1, .size = 2});
  else if (act == ROGUE_NEED_OVERFLOW)
    say ((CabWire){.kind = CAB_WIRE_NEED, .off = G_MAXUINT64, .size = 2});
  else if (act == ROGUE_NEED_NOTHING)
    say ((CabWire){.kind = CAB_WIRE_NEED, .off = 0, .size = 0});
  else if (act == ROGUE_NEED_MUCH)
    say ((CabWire){.kind = CAB_WIRE_NEED, .off = 0, .size = CAB_WIRE_BLOCK_MAX + 1});
  else if (act == ROGUE_WRITTEN_BEYOND)
    say ((CabWire){.kind = CAB_WIRE_WRITTEN, .size = job->limit + 1});
  else if (act == ROGUE_DONE_LARGER)
    say ((CabWire){.kind = CAB_WIRE_DONE, .code = CAB_WIRE_END_GOOD, .size = 1});
  else if (act == ROGUE_DONE_CODE)
    say ((CabWire){.kind = CAB_WIRE_DONE, .code = CAB_WIRE_END_COUNT});
  else if (act == ROGUE_UNKNOWN)
    say ((CabWire){.kind = 77});
  else if (act == ROGUE_OURS)
    say ((CabWire){.kind = CAB_WIRE_DATA});
  else if (act == ROGUE_READY_TWICE)
    say ((CabWire){.kind = CAB_WIRE_READY});
  else if (act == ROGUE_MEMBER)
    say_text ((CabWire){.kind = CAB_WIRE_MEMBER}, "a", 1);
}

static void say_in_turn (RogueAct act) {
  if (act == ROGUE_NEED_TWICE) {
    say ((CabWire){.kind = CAB_WIRE_NEED, .off = 0, .size = 1});
    say ((CabWire){.kind = CAB_WIRE_NEED, .off = 1, .size = 1});
  } else if (act == ROGUE_WRITTEN_BACK) {
    write_and_say (10, 10);
    say ((CabWire){.kind = CAB_WIRE_WRITTEN, .size = 10});
  } else if (act == ROGUE_WRITTEN_NOT) {
    say ((CabWire){.kind = CAB_WIRE_WRITTEN, .size = 10});
    say ((CabWire){.kind = CAB_WIRE_DONE, .code = CAB_WIRE_END_GOOD, .size = 10});
  } else if (act == ROGUE_WRITTEN_MORE) {
    write_and_say (20, 10);
    say ((CabWire){.kind = CAB_WIRE_DONE, .code = CAB_WIRE_END_GOOD, .size = 10});
  } else if (act == ROGUE_BARE) {
    write_and_say (10, 10);
    say ((CabWire){.kind = CAB_WIRE_DONE, .code = CAB_WIRE_END_GOOD, .size = 10});
  } else if (act == ROGUE_WORDS) {
    fill_words ();
    say_text ((CabWire){.kind = CAB_WIRE_DONE, .code = CAB_WIRE_END_INVALID},
              "a\n\xff"
              "b",
              4);
  }
}

static G_GNUC_NORETURN void end_in_haste (void) {
  char byte;
  say ((CabWire){.kind = CAB_WIRE_NEED, .off = 0, .size = 1});
  recv (CAB_WIRE_SOCKET, &byte, 1, MSG_PEEK);
  write_and_say (10, 10);
  say ((CabWire){.kind = CAB_WIRE_DONE, .code = CAB_WIRE_END_GOOD, .size = 10});
  _exit (EXIT_SUCCESS);
}

static void act_badly (RogueAct act, const CabWire *job) {
  if (act == ROGUE_EXIT)
    _exit (EXIT_SUCCESS);
  if (act == ROGUE_EXIT_3)
    _exit (3);
  if (act == ROGUE_ABORT)
    abort ();
  if (act == ROGUE_SPIN)
    spin ();
  if (act == ROGUE_DEAF)
    sleep_deaf ();
  if (act == ROGUE_HASTY)
    end_in_haste ();
  if (act == ROGUE_SHORT)
    send (CAB_WIRE_SOCKET, "short", 5, 0);
  if (act == ROGUE_LONG)
    say_too_much ();
  say_numbers (act, job);
  say_in_turn (act);
}

/* To list, what it says of a member. */
static void list_badly (RogueAct act) {
  g_autofree char *path = g_strnfill (CAB_WIRE_TEXT_MAX, 'p');
  if (act == ROGUE_PATH_LONG)
    say_text ((CabWire){.kind = CAB_WIRE_MEMBER}, path, CAB_WIRE_TEXT_MAX);
  else if (act == ROGUE_PATH_NO_TEXT)
    say_text ((CabWire){.kind = CAB_WIRE_MEMBER}, "\xff", 1);
  else if (act == ROGUE_PATH_NUL)
    say_text ((CabWire){.kind = CAB_WIRE_MEMBER}, "a\0b", 3);
  else if (act == ROGUE_ORDINAL)
    say_text ((CabWire){.kind = CAB_WIRE_MEMBER, .ordinal = G_MAXUINT32}, "a", 1);
  else if (act == ROGUE_ENDLESS)
    for (;;)
      say_text ((CabWire){.kind = CAB_WIRE_MEMBER}, "a", 1);
}

int main (void) {
  CabWire job;
  gsize len;
  if (cab_wire_receive (CAB_WIRE_SOCKET, TRUE, &job, NULL, 0, &len) != CAB_WIRE_OK)
    return EXIT_FAILURE;
  /* A listing has no ordinal: its size says what to do. */
  RogueAct act = job.kind == CAB_WIRE_LIST ? (RogueAct) job.size : (RogueAct) job.ordinal;
  if (act != ROGUE_NOT_READY)
    say ((CabWire){.kind = CAB_WIRE_READY, .code = act == ROGUE_BARE ? 0 : 3});
  if (job.kind == CAB_WIRE_LIST)
    list_badly (act);
  else
    act_badly (act, &job);
  if (act == ROGUE_NOT_READY)
    say ((CabWire){.kind = CAB_WIRE_NEED, .off = 0, .size = 1});
  for (;;)
    pause ();
}
