/* SPDX-License-Identifier: MIT */
#include "client/api.h"
#include "client/error.h"
#include "client/json.h"

#include <string.h>

#define LIFETIME_S      3600
#define TOKEN_LEN_LIMIT 65536

/* --- how long it lasts --------------------------------------------------------------------------------------- */

static gboolean get_integer (json_t *root, const char *key, gint64 *out) {
  g_autofree char *text = cab_json_get_text (root, key);
  return text != NULL && g_ascii_string_to_signed (text, 10, 1, G_MAXINT64, out, NULL);
}

/* az prints its `expiresOn` in the local time of the machine, without saying so. */
static gint64 parse_local (const char *text) {
  gint64 as_utc = cab_time_parse (text);
  if (as_utc == CAB_TIME_UNKNOWN || strpbrk (text, "Zz+") != NULL || strchr (text, ':') == NULL ||
      strchr (strchr (text, ':'), '-') != NULL)
    return as_utc;
  g_autoptr (GTimeZone) zone = g_time_zone_new_local ();
  int interval = g_time_zone_find_interval (zone, G_TIME_TYPE_STANDARD, as_utc);
  return interval >= 0 ? as_utc - g_time_zone_get_offset (zone, interval) : as_utc;
}

/* A span beats a point in time, which two clocks may see differently (contract 2.2). */
static gint64 get_lifetime (json_t *root, gint64 now) {
  gint64 value;
  if (get_integer (root, "expires_in", &value))
    return value;
  if (get_integer (root, "expires_on", &value))
    return MAX (value - now, 0);
  g_autofree char *text = cab_json_get_text (root, "expiresOn");
  value = text != NULL ? parse_local (text) : CAB_TIME_UNKNOWN;
  return value != CAB_TIME_UNKNOWN ? MAX (value - now, 0) : LIFETIME_S;
}

/* --- the token ----------------------------------------------------------------------------------------------- */

/* What may stand in a header: visible ASCII, no blank. */
static gboolean is_token (const char *text) {
  gsize len = 0;
  for (; text[len] != '\0'; len++)
    if (!g_ascii_isgraph (text[len]))
      return FALSE;
  return len > 0 && len <= TOKEN_LEN_LIMIT;
}

/* RFC 6750's b64token: nothing that markup or a message would pass for. */
static gboolean is_bare_token (const char *text) {
  for (const char *p = text; *p != '\0'; p++)
    if (!g_ascii_isalnum (*p) && strchr ("-._~+/=", *p) == NULL)
      return FALSE;
  return is_token (text);
}

static gboolean refuse (GError **error, const char *why) {
  g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID, "token answer: %s", why);
  return FALSE;
}

static gboolean parse_object (json_t *root, gint64 now, CabTokenAnswer *out, GError **error) {
  g_autofree char *type = cab_json_get_text (root, "token_type");
  if (type == NULL)
    type = cab_json_get_text (root, "tokenType");
  if (type != NULL && g_ascii_strcasecmp (type, "Bearer") != 0)
    return refuse (error, "token_type is another one than \"Bearer\"");
  g_autofree char *token = cab_json_get_text (root, "access_token");
  if (token == NULL)
    token = cab_json_get_text (root, "accessToken");
  if (token == NULL)
    return refuse (error, "no access_token (or accessToken) in it");
  if (!is_token (token))
    return refuse (error, "access_token has bytes that no token has, or is too long");
  out->expires_in = get_lifetime (root, now);
  out->access_token = g_steal_pointer (&token);
  return TRUE;
}

gboolean cab_api_parse_token (const void *bytes, gsize len, gint64 now, CabTokenAnswer *out, GError **error) {
  json_auto_t *root = cab_json_parse (bytes, len, NULL);
  if (json_is_object (root))
    return parse_object (root, now, out, error);
  /* A JSON string is what `az … --query accessToken` prints. */
  g_autofree char *bare = json_is_string (root) ? g_strdup (cab_json_text (root)) : NULL;
  if (bare == NULL && len > 0 && memchr (bytes, '\0', len) == NULL)
    bare = g_strndup (bytes, len);
  if (bare == NULL || *g_strstrip (bare) == '\0')
    return refuse (error, "nothing in it");
  if (!is_bare_token (bare))
    return refuse (error, "neither JSON nor a bare token");
  *out = (CabTokenAnswer){g_steal_pointer (&bare), LIFETIME_S};
  return TRUE;
}
