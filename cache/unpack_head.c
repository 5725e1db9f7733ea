/* SPDX-License-Identifier: MIT */
#include "cache/unpack_head.h"

#include <string.h>

/* [MS-CAB] 2: all numbers are little-endian. */
enum {
  HEADER_LENGTH = 36,
  HEADER_FILES_AT = 16, /* 32 bits: where the list of members is */
  HEADER_FOLDERS = 26,  /* 16 bits */
  HEADER_FILES = 28,    /* 16 bits */
  FILE_FOLDER = 8,      /* 16 bits; before it 32 bits each of its size, and its place in the folder */
  FILE_NAME = 16,       /* ends with a NUL */
};

static guint get16 (const guint8 *bytes) {
  return (guint) (bytes[0] | bytes[1] << 8);
}

static gsize get32 (const guint8 *bytes) {
  return get16 (bytes) | (gsize) get16 (bytes + 2) << 16;
}

gboolean cab_head_has_folders (const guint8 *bytes, gsize len) {
  return len >= HEADER_LENGTH && get16 (bytes + HEADER_FOLDERS) > 1;
}

/* Of the entry at @at; 0 where @len ends within it. */
static gsize entry_length (const guint8 *bytes, gsize len, gsize at) {
  if (at > len || len - at <= FILE_NAME)
    return 0;
  const guint8 *name = bytes + at + FILE_NAME;
  const guint8 *end = memchr (name, '\0', len - at - FILE_NAME);
  return end != NULL ? FILE_NAME + (gsize) (end - name) + 1 : 0;
}

CabHeadResult cab_head_aim (guint8 *bytes, gsize len, guint ordinal) {
  if (len < HEADER_LENGTH)
    return CAB_HEAD_MORE;
  guint count = get16 (bytes + HEADER_FILES);
  if (ordinal >= count)
    return CAB_HEAD_DONE;
  gsize first = get32 (bytes + HEADER_FILES_AT);
  guint folder = 0;
  gsize at = first;
  for (guint i = 0; i < count; i++) {
    gsize length = entry_length (bytes, len, at);
    if (length == 0)
      return CAB_HEAD_MORE;
    if (i == ordinal)
      folder = get16 (bytes + at + FILE_FOLDER);
    at += length;
  }
  at = first;
  for (guint i = 0; i < count; i++) {
    if (get16 (bytes + at + FILE_FOLDER) != folder)
      memset (bytes + at, 0, FILE_FOLDER);
    at += entry_length (bytes, len, at);
  }
  return CAB_HEAD_DONE;
}
