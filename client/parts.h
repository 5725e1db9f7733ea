/* parts.h - what a client is made of, for the modules behind client.h.
 *
 * Two transports: one for the login and API hosts, whose answers are parsed on its thread, one for blob hosts, so
 * that a long list never delays bytes.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_PARTS_H
#define CABFS_CLIENT_PARTS_H

#include "client/address.h"
#include "client/call.h"
#include "client/client.h"
#include "client/http.h"
#include "client/locate.h"
#include "client/sync.h"
#include "client/token.h"

#include <stdatomic.h>

/* Lanes of the API's transport, and of that for blob hosts. */
enum { CAB_LANE_API, CAB_LANE_LOGIN, CAB_API_LANES };
enum { CAB_LANE_BYTES, CAB_LANE_SIZES, CAB_BLOB_LANES };

struct CabClient {
  /* set at creation, but for the window of lists, which the thread of api_http owns, and what follows */
  CabClientOptions options;
  atomic_uint timeout_ms; /* as in the options */
  atomic_uint tries;
  CabAddressRule rule; /* borrows from options */
  CabHttp *api_http;
  CabHttp *blob_http;
  CabToken *token;
  CabCalls *calls;
  CabLocator *locator;
  /* owned by the thread of blob_http */
  gboolean no_head; /* a blob host does not know HEAD */
  pthread_mutex_t lock;
  pthread_cond_t idle;
  guint pending; /* lock: calls whose `done` is still to come */
};

/* Around every call that takes a `done`.  After the second, which the last one may be waiting for, the client may
 * be gone. */
void cab_client_begin (CabClient *self);
void cab_client_end (CabClient *self);

#endif
