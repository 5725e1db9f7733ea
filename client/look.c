/* A step at a time, for who wants to know where it ends: client.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "client/clock.h"
#include "client/parts.h"

/* --- the token ---------------------------------------------------------------------------------------------- */

typedef struct {
  CabClient *client;
  CabLookDone done;
  gpointer data;
} TokenLook;

static void have_token (gpointer data, const char *value, const GError *error) {
  g_autofree TokenLook *self = data;
  self->done (self->data, error);
  cab_client_end (self->client);
}

static void begin_token (gpointer data) {
  TokenLook *self = data;
  cab_token_get (self->client->token, have_token, self);
}

void cab_client_look_token (CabClient *self, CabLookDone done, gpointer data) {
  TokenLook *look = g_new0 (TokenLook, 1);
  cab_client_begin (self);
  *look = (TokenLook){self, done, data};
  cab_http_run (self->api_http, begin_token, look);
}

/* --- clocks ------------------------------------------------------------------------------------------------- */

typedef struct {
  CabClient *client;
  CabClockDone done;
  gpointer data;
} ClockLook;

static gint64 ahead (const CabClient *client, const char *url) {
  return cab_http_time (client->api_http, url) - cab_clock_unix ();
}

static void look_at_clocks (gpointer data) {
  g_autofree ClockLook *self = data;
  gint64 login = ahead (self->client, self->client->options.login_url);
  gint64 api = ahead (self->client, self->client->options.api_url);
  gboolean heard = cab_http_heard (self->client->api_http, CAB_LANE_LOGIN) != 0 ||
                   cab_http_heard (self->client->api_http, CAB_LANE_API) != 0;
  self->done (self->data, heard, ABS (login) > ABS (api) ? login : api);
  cab_client_end (self->client);
}

void cab_client_look_clock (CabClient *self, CabClockDone done, gpointer data) {
  ClockLook *look = g_new0 (ClockLook, 1);
  cab_client_begin (self);
  *look = (ClockLook){self, done, data};
  cab_http_run (self->api_http, look_at_clocks, look);
}

/* --- an address --------------------------------------------------------------------------------------------- */

typedef struct {
  CabClient *client;
  CabHostDone done;
  gpointer data;
} AddressLook;

static void have_address (gpointer data, const char *url, const GError *error) {
  g_autofree AddressLook *self = data;
  g_autofree char *host = url != NULL ? cab_address_host (url) : NULL;
  self->done (self->data, host, error);
  cab_client_end (self->client);
}

void cab_client_look_address (CabClient *self, const CabScope *scope, const CabRecord *record, CabHostDone done,
                              gpointer data) {
  AddressLook *look = g_new0 (AddressLook, 1);
  cab_client_begin (self);
  *look = (AddressLook){self, done, data};
  cab_locate (self->locator, scope, record->id, record->date, NULL, have_address, look);
}
