/* unpack_wire.h - what the daemon and its worker say to each other.
 *
 * Packets over a SOCK_SEQPACKET pair: a CabWire, then up to CAB_WIRE_TEXT_MAX bytes.  Both ends are of one
 * build on one machine, so the struct is sent as it lies in memory.  The daemon speaks first, with the job; the
 * worker answers with what it could have of a sandbox, then asks and tells; its DONE is the last word of a job.
 *
 * What is checked here is the form of a packet.  What it says is checked by who gets it: the daemon believes
 * the worker nothing.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CACHE_UNPACK_WIRE_H
#define CABFS_CACHE_UNPACK_WIRE_H

#include <glib.h>

enum {
  CAB_WIRE_SOCKET = 3, /* descriptors of the worker */
  CAB_WIRE_OUTPUT = 4, /* only to extract */
  /* Bytes of a block go in packets of this size: several of them fit into the socket's buffer. */
  CAB_WIRE_CHUNK = 64 * 1024,
  CAB_WIRE_TEXT_MAX = CAB_WIRE_CHUNK,
  CAB_WIRE_BLOCK_MAX = 1024 * 1024, /* most bytes that the worker asks for at once */
  CAB_WIRE_WORDS_MAX = 300,         /* of the text of a DONE */
};

typedef enum {
  /* from the daemon */
  CAB_WIRE_LIST = 1,
  CAB_WIRE_EXTRACT,
  CAB_WIRE_DATA, /* a part of the block that was asked for: off, and the bytes */
  /* from the worker */
  CAB_WIRE_READY,   /* code: of CabSandboxFlags, what could be had */
  CAB_WIRE_NEED,    /* off, size */
  CAB_WIRE_MEMBER,  /* outer, ordinal, code: whether there is a size, size, modified; the path */
  CAB_WIRE_WRITTEN, /* size: the end of what is in the file */
  CAB_WIRE_DONE,    /* code: of CabWireEnd, size: of the member; words about a failure */
} CabWireKind;

typedef enum {
  CAB_WIRE_END_GOOD,
  CAB_WIRE_END_INVALID,
  CAB_WIRE_END_NO_SPACE,
  CAB_WIRE_END_FAILED,
  CAB_WIRE_END_COUNT,
} CabWireEnd;

typedef struct {
  guint32 kind;
  guint32 code;
  guint32 outer, ordinal;
  guint64 off;
  guint64 size; /* of the archive, for a job */
  guint64 expected;
  guint64 limit;
  gint64 modified;
} CabWire;

typedef enum {
  CAB_WIRE_OK,
  CAB_WIRE_LATER, /* only without blocking */
  CAB_WIRE_GONE,  /* nobody is at the other end */
  CAB_WIRE_BAD,   /* not a packet of ours */
} CabWireResult;

CabWireResult cab_wire_send (int fd, gboolean block, const CabWire *head, const void *text, gsize len);

/* @room bytes at @text take what follows the head, @len tells how many those are; a packet that holds more is
 * BAD. */
CabWireResult cab_wire_receive (int fd, gboolean block, CabWire *head, void *text, gsize room, gsize *len);

#endif
