/* blob.h - one CAB at the service, as probe.c and transfer.c see it: its address, and what is known of it.
 *
 * Threads: members belong to the thread of the blob hosts' transport, but for those set at creation.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_BLOB_H
#define CABFS_CLIENT_BLOB_H

#include "client/facts.h"
#include "client/parts.h"

struct CabBlob {
  CabRefs refs;
  /* set at creation */
  CabClient *client;
  CabScope *scope;
  char *id;
  gint64 date;
  gboolean downloadable;
  /* owned by the thread */
  char *url; /* NULL: to be asked for */
  gint64 expires;
  gint64 margin_s;  /* renewed so long before it expires; negative: not looked at yet */
  gboolean checked; /* against the rule */
  gboolean refused; /* the host takes it no longer */
  CabKnown known;
};

/* TRUE if the present address can be sent. */
gboolean cab_blob_has_address (CabBlob *self);

/* A new address, which may be sent at once however short it lives. */
void cab_blob_set_address (CabBlob *self, const char *url);

/* A host refused @url: unless there is another address already, the next one has to be asked for. */
void cab_blob_refuse_address (CabBlob *self, const char *url);

/* The facts of an answer with the whole size @size, which have to be those of this blob and of @mine, what the caller
 * knows of it.  FALSE with CAB_ERROR_CHANGED; what is known of the blob is forgotten then, so that whoever opens it
 * anew gets the new one. */
gboolean cab_blob_agree (CabBlob *self, CabKnown *mine, const CabAnswer *answer, guint64 size, GError **error);

#endif
