/* The metadata service of a virtual machine, as far as it gives tokens to the machine's identities.
 *
 * Only who can set a header may ask, which a page in a browser cannot, and nobody from behind a proxy.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/emulator/config.h"
#include "tests/emulator/http.h"
#include "tests/emulator/login.h"
#include "tests/emulator/stats.h"
#include <string.h>

#define PATH "/metadata/identity/oauth2/token"

static EmuReply *wrong (EmuRequest *request, const char *error, const char *text) {
  emu_stats_token (request->emu->stats, FALSE);
  return emu_reply_json (400, json_pack ("{s:s, s:s}", "error", error, "error_description", text));
}

/* An injected status. */
static EmuReply *refuse (EmuRequest *request, guint status, const char *code, const char *message) {
  emu_stats_token (request->emu->stats, FALSE);
  return emu_reply_json (status,
                         json_pack ("{s:s, s:s}", "error", code != NULL ? code : "unavailable",
                                    "error_description", message != NULL ? message : "Try again later."));
}

static gboolean has_identity (EmuRequest *request) {
  const char *given = emu_request_param (request, "client_id");
  EmuSetting setting = given != NULL ? EMU_SETTING_MANAGED_IDENTITY : EMU_SETTING_SYSTEM_IDENTITY;
  g_autofree char *identity = emu_config_string (request->emu->config, setting);
  return identity != NULL && (given == NULL || strcmp (identity, given) == 0);
}

/* All of it are texts. */
static EmuReply *reply_token (EmuRequest *request, const char *resource) {
  gint64 life = emu_config_int (request->emu->config, EMU_SETTING_TOKEN_LIFE), now = emu_now_ms () / 1000;
  g_autofree char *token = emu_tokens_issue (request->emu->tokens, life);
  g_autofree char *expires_in = g_strdup_printf ("%" G_GINT64_FORMAT, life);
  g_autofree char *expires_on = g_strdup_printf ("%" G_GINT64_FORMAT, now + life);
  g_autofree char *not_before = g_strdup_printf ("%" G_GINT64_FORMAT, now);
  json_t *answer = json_pack ("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "access_token", token, "refresh_token", "",
                              "expires_in", expires_in, "expires_on", expires_on, "not_before", not_before,
                              "resource", resource, "token_type", "Bearer");
  emu_login_apply_fault (emu_request_fault (request, EMU_FAULT_TOKEN), answer);
  emu_stats_token (request->emu->stats, TRUE);
  return emu_reply_json (200, answer);
}

static EmuReply *answer (EmuRequest *request) {
  const char *metadata = emu_request_header (request, "Metadata"),
             *resource = emu_request_param (request, "resource");
  g_autofree char *wanted = emu_config_string (request->emu->config, EMU_SETTING_RESOURCE);
  if (strcmp (request->path, PATH) != 0)
    return emu_reply_new (404);
  if (!emu_request_is (request, "GET"))
    return emu_reply_new (405);
  if (g_strcmp0 (metadata, "true") != 0 || emu_request_header (request, "X-Forwarded-For") != NULL)
    return wrong (request, "bad_request_102", "Required metadata header not specified");
  if (g_strcmp0 (emu_request_param (request, "api-version"), "2018-02-01") != 0 || resource == NULL)
    return wrong (request, "bad_request_101", "Required query variables not specified");
  if (!has_identity (request))
    return wrong (request, "invalid_request", "Identity not found");
  if (g_strcmp0 (resource, wanted) != 0)
    return wrong (request, "invalid_resource",
                  "AADSTS500011: The resource principal was not found in the tenant.");
  return reply_token (request, resource);
}

static EmuEndpoint classify (EmuRequest *request, char **cab) {
  return strcmp (request->path, PATH) == 0 ? EMU_METADATA : EMU_OTHER;
}

const EmuHost emu_metadata_host = {EMU_HOST_METADATA, FALSE, classify, answer, refuse};
