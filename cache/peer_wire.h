/* peer_wire.h - what two mounts on one cache directory say to each other: frames, from and to bytes.  Pure.
 *
 * Who lacks a CAB asks first, and is told what is known of it, or no.  From then on he may want ranges of it, one after
 * the other, and gets each in pieces, in order, without gap or overlap; or a no, and may want another one.  While he has
 * to wait he hears WAIT now and then, so that a process that is stopped is told from one whose host is slow.
 *
 * Both ends are on one machine: numbers are as they lie in memory.  They need not be of one build: nothing is believed
 * that does not have exactly the form below.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CACHE_PEER_WIRE_H
#define CABFS_CACHE_PEER_WIRE_H

#include "cache/ranges.h"
#include "client/client.h"

#define CAB_PEER_HEAD  32                  /* bytes of a frame before its payload */
#define CAB_PEER_PIECE ((gsize) 128 << 10) /* most bytes of a CAB in a frame */
#define CAB_PEER_WORDS ((gsize) 4 << 10)   /* most bytes of any other payload */

typedef enum {
  /* from who lacks the CAB */
  CAB_PEER_ASK = 1, /* payload: its key */
  CAB_PEER_WANT,    /* range, not empty */
  /* from who has it */
  CAB_PEER_FACTS, /* payload: see cab_peer_facts_parse() */
  CAB_PEER_BYTES, /* range; payload: its bytes */
  CAB_PEER_WAIT,
  CAB_PEER_NO,
} CabPeerKind;

typedef struct {
  CabPeerKind kind;
  CabRange range;
  const void *payload; /* not owned */
  gsize len;
} CabPeerFrame;

/* The first frame of the @len bytes: TRUE and in @used how many it takes, 0 if they are not all here yet; its payload is
 * among them.  FALSE with CAB_ERROR_INVALID if they begin no frame. */
gboolean cab_peer_frame_parse (const void *bytes, gsize len, CabPeerFrame *out, gsize *used, GError **error);

/* Puts @frame, which has to be one that would be taken, behind what is in @into. */
void cab_peer_frame_append (const CabPeerFrame *frame, GByteArray *into);

/* As the payload of a FACTS frame; NULL if they hold what cannot be said there. */
GByteArray *cab_peer_facts_format (const CabFacts *facts);

/* @out's strings are the payload's.  FALSE with CAB_ERROR_INVALID. */
gboolean cab_peer_facts_parse (const void *payload, gsize len, CabFacts *out, GError **error);

#endif
