/* What the hosts are being asked for.
 *
 * SPDX-License-Identifier: MIT
 */
#include "client/parts.h"

#include <string.h>

static void state_clear (gpointer data) {
  CabHostState *state = data;
  g_free (state->host);
}

static gint order (gconstpointer a, gconstpointer b) {
  const CabHostState *left = a, *right = b;
  int by_host = strcmp (left->host, right->host);
  return by_host != 0 ? by_host : strcmp (left->use, right->use);
}

static void add (GArray *states, CabHttp *http, const char *const *uses) {
  g_autoptr (GArray) hosts = cab_http_hosts (http);
  for (guint i = 0; i < hosts->len; i++) {
    CabHttpHost *host = &g_array_index (hosts, CabHttpHost, i);
    CabHostState state = {.host = g_steal_pointer (&host->host),
                          .use = uses[host->lane],
                          .connections = host->under_way,
                          .parallel = host->limit,
                          .paused_until_us = host->open_at_us};
    g_array_append_val (states, state);
  }
}

GArray *cab_client_hosts (CabClient *self) {
  static const char *const api[CAB_API_LANES] = {[CAB_LANE_API] = "api", [CAB_LANE_LOGIN] = "login"};
  static const char *const blobs[CAB_BLOB_LANES] = {[CAB_LANE_BYTES] = "bytes", [CAB_LANE_SIZES] = "sizes"};
  GArray *states = g_array_new (FALSE, FALSE, sizeof (CabHostState));
  g_array_set_clear_func (states, state_clear);
  add (states, self->api_http, api);
  add (states, self->blob_http, blobs);
  g_array_sort (states, order);
  return states;
}
