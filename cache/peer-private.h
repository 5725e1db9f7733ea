/* peer-private.h - what peer.c (the thread), peer_serve.c (who takes bytes from here) and peer_fetch.c (who we take them
 * from) share.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CACHE_PEER_PRIVATE_H
#define CABFS_CACHE_PEER_PRIVATE_H

#include "cache/content.h"
#include "cache/peer.h"
#include "cache/peer_conn.h"
#include "client/sync.h"

/* Deadlines are looked at that often, while there are any. */
#define CAB_PEER_TICK_MS 250

/* Who is waited for says so that often; who is not heard of for so long is stopped. */
#define CAB_PEER_TELL_US   (G_USEC_PER_SEC / 2)
#define CAB_PEER_SILENT_US (4 * G_USEC_PER_SEC)

struct CabPeers {
  int dirfd; /* set at creation */
  int wake;  /* set before the thread starts, as are the next three; an eventfd */
  CabContents *contents;
  int listener; /* -1: nobody can connect */
  guint number; /* of the listener */
  pthread_t thread;

  pthread_mutex_t lock;
  GQueue jobs;      /* lock: of Job, owned */
  gboolean running; /* lock: jobs will be done */
  gboolean ending;  /* lock */

  /* owned by the thread */
  GPtrArray *conns;                        /* of CabPeerConn, owned */
  guint guests;                            /* connections of others to us */
  gboolean resting;                        /* nobody is let in for a moment */
  gint64 avoid_until_us[CAB_PEER_NUMBERS]; /* those who did not answer */
};

/* Runs @func (@data) on the thread, with no lock held; FALSE if it ends, or has not begun. */
gboolean cab_peers_run (CabPeers *self, void (*func) (gpointer data), gpointer data);

/* From the thread only. */
void cab_peers_add (CabPeers *self, CabPeerConn *conn);

/* peer_serve.c: somebody has connected. */
void cab_peers_let_in (CabPeers *self, int fd);

#endif
