/* peer.h - the bytes of a CAB that another mount on the same cache directory is fetching: from that mount.
 *
 * Of several processes that want a CAB, one holds the lock of its file (store.h) and writes it; the others have a file
 * of their own.  What goes into that they take from the first one, as long as it lives and answers: so a CAB that all
 * want in the same moment is downloaded once.  Any trouble ends that, and they go on from where they are as if they were
 * alone.  Who got nothing at all looks at the file once more, which may be whole and free by now, or another mount's, which
 * is asked then, too.  What a host said to the other mount is of no interest, since asking it tells the same.
 *
 * What is sent are bytes, not the descriptor of the file: who holds the lock may take back any part of it at any time.
 * What is given is what a reader would get there and then, fetched for him if it is not here; while somebody is
 * connected the CAB does not close.
 *
 * Threads: any.  One thread of its own, "cabfs-peers", serves and fetches; it waits for nothing but its sockets and
 * the store's disk, and callbacks run on it, with no lock held.  Errors of a transfer are not told of, beyond the debug log.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CACHE_PEER_H
#define CABFS_CACHE_PEER_H

#include "client/client.h"

typedef struct CabPeers CabPeers;
typedef struct CabPeerLink CabPeerLink;
typedef struct CabPeerTransfer CabPeerTransfer;
typedef struct CabContents CabContents;

/* Of the cache directory @dirfd, which outlives it; -1: there is none.  Nobody is reached before cab_peers_begin(). */
CabPeers *cab_peers_new (int dirfd);

/* Starts the thread, which lends what is in @contents.  Where it cannot listen others get nothing from here. */
void cab_peers_begin (CabPeers *self, CabContents *contents);

/* Lets go of all contents and ends every transfer; no other begins.  The client is stopped before, or what is missing would
 * come from there.  Not from a callback. */
void cab_peers_stop (CabPeers *self);

/* It was stopped, or never begun, and there is no link any more. */
void cab_peers_free (CabPeers *self);

/* For the content @key, whose file another process has: nothing is asked of anybody until bytes are wanted, and then who
 * has it is looked for once.  NULL if the key is too long to be asked for. */
CabPeerLink *cab_peer_link_new (CabPeers *self, const char *key);

/* FALSE once there is nobody to take bytes from. */
gboolean cab_peer_link_is_good (const CabPeerLink *self);

/* No more bytes are needed: whoever gave them may close the CAB. */
void cab_peer_link_leave (CabPeerLink *self);
void cab_peer_link_unref (CabPeerLink *self);

/* As cab_blob_get(), with these errors: CANCELLED, what @sink's `write` ended it with, or anything else: then what is
 * still missing has to come from the host.  NULL, and no callback, if that is known already. */
CabPeerTransfer *cab_peer_get (CabPeerLink *self, guint64 off, guint64 len, const CabSink *sink, gpointer data);

/* Asks for the end: `done` comes with CANCELLED unless it is over already. */
void cab_peer_transfer_cancel (CabPeerTransfer *self);
void cab_peer_transfer_unref (CabPeerTransfer *self);

#endif
