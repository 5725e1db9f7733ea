/* peer_conn.h - the sockets between mounts on one cache directory: their names, and frames over them.
 *
 * A process listens at a name that tells the user, the directory and a number, the first that is free; the kernel frees
 * it when the process ends, however it does.  Names are abstract: there is no file of theirs in the directory, which
 * people copy.  Both ends look whether the other one runs as the same user: a name may be taken by anybody.
 *
 * Threads: a connection belongs to one.  Nothing here waits.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CACHE_PEER_CONN_H
#define CABFS_CACHE_PEER_CONN_H

#include "cache/peer_wire.h"

#define CAB_PEER_NUMBERS 16 /* mounts on one directory that can have others take bytes from them */

/* Descriptors; -1 with errno in @error, or without an error where nobody listens, or it is somebody else. */
int cab_peer_listen (int dirfd, guint *number, GError **error);
int cab_peer_connect (int dirfd, guint number);

/* The next one who connects; -1 with @more if there may be others. */
int cab_peer_accept (int listener, gboolean *more);

typedef struct CabPeerConn CabPeerConn;

typedef struct {
  /* A whole frame, valid during the call.  FALSE: it must not come now, and the connection ends. */
  gboolean (*frame) (gpointer data, const CabPeerFrame *frame);
  /* Of one that is `eager`: all that was to be sent is on its way. */
  void (*drained) (gpointer data);
  /* It ends, and not by cab_peer_conn_close(). */
  void (*ended) (gpointer data);
  /* Of one that is `timed`, now and then. */
  void (*tick) (gpointer data, gint64 now_us);
  /* It is freed: the last call. */
  void (*gone) (gpointer data);
} CabPeerHandlers;

struct CabPeerConn {
  /* set at creation */
  const CabPeerHandlers *handlers;
  gpointer data;
  gsize room; /* of the largest payload that may come */
  /* owned by the thread */
  int fd; /* -1: closed */
  GByteArray *in, *out;
  gsize sent;      /* of `out` */
  gint64 heard_us; /* when the other end last said something, */
  gint64 told_us;  /* or was told something */
  gboolean eager;  /* there is more to send */
  gboolean timed;  /* somebody waits for the other end, or it for us */
};

CabPeerConn *cab_peer_conn_new (int fd, gsize room, const CabPeerHandlers *handlers, gpointer data);

/* Who holds it may go on to look at it until `gone`. */
void cab_peer_conn_close (CabPeerConn *self);
void cab_peer_conn_free (CabPeerConn *self);

void cab_peer_conn_send (CabPeerConn *self, const CabPeerFrame *frame);
gboolean cab_peer_conn_is_drained (const CabPeerConn *self);

/* What to poll() for, and what to do then. */
short cab_peer_conn_events (const CabPeerConn *self);
void cab_peer_conn_work (CabPeerConn *self, short revents);

#endif
