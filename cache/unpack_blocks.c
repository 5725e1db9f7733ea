/* SPDX-License-Identifier: MIT */
#include "cache/unpack_blocks.h"

#include <stdlib.h>
#include <unistd.h>

#include "cache/unpack_wire.h"

enum {
  BLOCKS = 8,
  STEP_MIN = 64 * 1024,
  STEP_MAX = CAB_WIRE_BLOCK_MAX,
};

typedef struct {
  guint64 off;
  gsize len; /* 0: holds nothing */
  guint64 used;
  guint8 *bytes;
} Block;

struct CabBlocks {
  int socket;
  guint64 size;
  gboolean ahead;
  Block blocks[BLOCKS];
  Block *pending; /* asked for, not here yet */
  gsize pending_len;
  guint64 clock; /* of the uses of blocks */
  guint64 next;  /* the end of the row */
  gsize step;    /* length of the last of the row */
};

CabBlocks *cab_blocks_new (int socket, guint64 size, gboolean ahead) {
  CabBlocks *self = g_new0 (CabBlocks, 1);
  self->socket = socket;
  self->size = size;
  self->ahead = ahead;
  self->step = STEP_MIN / 2;
  return self;
}

void cab_blocks_free (CabBlocks *self) {
  for (gsize i = 0; i < BLOCKS; i++)
    g_free (self->blocks[i].bytes);
  g_free (self);
}

static G_GNUC_NORETURN void leave (CabWireResult result) {
  _exit (result == CAB_WIRE_GONE ? EXIT_SUCCESS : EXIT_FAILURE);
}

static Block *find (CabBlocks *self, guint64 off) {
  for (gsize i = 0; i < BLOCKS; i++) {
    Block *block = &self->blocks[i];
    if (off >= block->off && off - block->off < block->len)
      return block;
  }
  return NULL;
}

/* The one that was not used for the longest time; @not_this is in use. */
static Block *oldest (CabBlocks *self, const Block *not_this) {
  Block *best = &self->blocks[not_this == &self->blocks[0] ? 1 : 0];
  for (gsize i = 0; i < BLOCKS; i++) {
    Block *block = &self->blocks[i];
    if (block != not_this && block->used < best->used)
      best = block;
  }
  return best;
}

/* How much to ask for at @off: nothing that is here already. */
static gsize plan (CabBlocks *self, guint64 off) {
  self->step = off == self->next ? MIN (self->step * 2, STEP_MAX) : STEP_MIN;
  guint64 len = MIN (self->step, self->size - off);
  for (gsize i = 0; i < BLOCKS; i++) {
    const Block *block = &self->blocks[i];
    if (block->len > 0 && block->off > off)
      len = MIN (len, block->off - off);
  }
  return (gsize) len;
}

static void ask (CabBlocks *self, guint64 off, const Block *in_use) {
  gsize len = plan (self, off);
  Block *block = oldest (self, in_use);
  block->off = off;
  block->len = 0;
  if (block->bytes == NULL)
    block->bytes = g_malloc (STEP_MAX);
  const CabWire head = {.kind = CAB_WIRE_NEED, .off = off, .size = len};
  CabWireResult result = cab_wire_send (self->socket, TRUE, &head, NULL, 0);
  if (result != CAB_WIRE_OK)
    leave (result);
  self->next = off + len;
  self->pending = block;
  self->pending_len = len;
}

static Block *await (CabBlocks *self) {
  Block *block = g_steal_pointer (&self->pending);
  gsize have = 0;
  while (have < self->pending_len) {
    CabWire head;
    gsize len = 0;
    CabWireResult result =
        cab_wire_receive (self->socket, TRUE, &head, block->bytes + have, self->pending_len - have, &len);
    if (result == CAB_WIRE_OK && (head.kind != CAB_WIRE_DATA || head.off != block->off + have || len == 0))
      result = CAB_WIRE_BAD;
    if (result != CAB_WIRE_OK)
      leave (result);
    have += len;
  }
  block->len = have;
  return block;
}

static Block *obtain (CabBlocks *self, guint64 off) {
  Block *block = find (self, off);
  if (block == NULL && self->pending != NULL) {
    await (self);
    block = find (self, off);
  }
  if (block != NULL)
    return block;
  ask (self, off, NULL);
  return await (self);
}

gsize cab_blocks_read (CabBlocks *self, guint64 off, const void **bytes) {
  g_assert (off < self->size);
  Block *block = obtain (self, off);
  block->used = ++self->clock;
  guint64 end = block->off + block->len;
  if (self->ahead && self->pending == NULL && end == self->next && end < self->size && block->off > 0 &&
      find (self, end) == NULL)
    ask (self, end, block);
  *bytes = block->bytes + (off - block->off);
  return (gsize) (end - off);
}
