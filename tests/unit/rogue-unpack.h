/* rogue-unpack.h - what rogue-unpack does, by the ordinal of the member, or the size of the archive, of its
 * job.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_TESTS_ROGUE_UNPACK_H
#define CABFS_TESTS_ROGUE_UNPACK_H

typedef enum {
  ROGUE_EXIT = 1,
  ROGUE_EXIT_3,
  ROGUE_ABORT,
  ROGUE_SPIN,
  ROGUE_DEAF, /* closes the socket and stays */
  ROGUE_WORDS,
  ROGUE_BARE,  /* has no sandbox, and does its work */
  ROGUE_HASTY, /* does its work, and ends without reading what it asked for */
  /* what ends it: packets */
  ROGUE_SHORT,
  ROGUE_LONG,
  ROGUE_UNKNOWN,
  ROGUE_OURS,
  ROGUE_NOT_READY,
  ROGUE_READY_TWICE,
  ROGUE_NEED_BEYOND,
  ROGUE_NEED_OVERFLOW,
  ROGUE_NEED_NOTHING,
  ROGUE_NEED_MUCH,
  ROGUE_NEED_TWICE,
  ROGUE_MEMBER,
  ROGUE_WRITTEN_BEYOND,
  ROGUE_WRITTEN_BACK,
  ROGUE_WRITTEN_NOT,
  ROGUE_WRITTEN_MORE,
  ROGUE_DONE_LARGER,
  ROGUE_DONE_CODE,
  ROGUE_PACKETS_END,
  /* in a listing */
  ROGUE_PATH_LONG,
  ROGUE_PATH_NO_TEXT,
  ROGUE_PATH_NUL,
  ROGUE_ORDINAL,
  ROGUE_ENDLESS,
  ROGUE_LISTS_END,
} RogueAct;

#endif
