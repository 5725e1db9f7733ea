/* SPDX-License-Identifier: MIT */
#include "tests/emulator/sas.h"
#include "tests/emulator/dates.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

/* No secret: it only has to differ from what a client could guess by accident. */
static const char key[] = "the account key of the cabfs test emulator";

char *emu_sas_time (gint64 ms) {
  g_autofree char *seconds = emu_date_text (ms / 1000, EMU_DATE_T);
  return ms % 1000 == 0 ? g_strdup_printf ("%sZ", seconds)
                        : g_strdup_printf ("%s.%03dZ", seconds, (int) (ms % 1000));
}

static const char *or_empty (const char *text) {
  return text != NULL ? text : "";
}

char *emu_sas_sign (const EmuSas *sas, const char *path) {
  g_autofree char *text =
      g_strdup_printf ("%s\n%s\n%s\n/blob%s\n%s\n%s", or_empty (sas->permissions), or_empty (sas->start),
                       or_empty (sas->expiry), path, or_empty (sas->resource), or_empty (sas->version));
  guint8 mac[EVP_MAX_MD_SIZE];
  unsigned len = 0;
  HMAC (EVP_sha256 (), key, sizeof key - 1, (const guint8 *) text, strlen (text), mac, &len);
  return g_base64_encode (mac, len);
}

static void append (GString *out, const char *name, const char *value) {
  if (value == NULL)
    return;
  g_string_append_printf (out, "%s%s=", out->len > 0 ? "&" : "", name);
  g_string_append_uri_escaped (out, value, NULL, FALSE);
}

char *emu_sas_query (const EmuSas *sas) {
  GString *out = g_string_new (NULL);
  append (out, "sv", sas->version);
  append (out, "sr", sas->resource);
  append (out, "sig", sas->signature);
  append (out, "st", sas->start);
  append (out, "se", sas->expiry);
  append (out, "sp", sas->permissions);
  return g_string_free (out, FALSE);
}

static EmuSasVerdict refuse (guint status, const char *code, char *detail) {
  return (EmuSasVerdict){status, code, detail};
}

static EmuSasVerdict check_times (const EmuSas *sas, gint64 now_ms) {
  gint64 start = 0, expiry = 0;
  if (sas->expiry == NULL || !emu_date_parse_sas (sas->expiry, &expiry))
    return refuse (403, "AuthenticationFailed", g_strdup ("Expiry time (se) is missing or not well formed"));
  if (sas->start != NULL && !emu_date_parse_sas (sas->start, &start))
    return refuse (403, "AuthenticationFailed", g_strdup ("Start time (st) is not well formed"));
  if (now_ms >= start && now_ms < expiry)
    return refuse (0, NULL, NULL);
  g_autofree char *from = emu_date_text (start / 1000, EMU_DATE_HTTP);
  g_autofree char *to = emu_date_text (expiry / 1000, EMU_DATE_HTTP);
  g_autofree char *now = emu_date_text (now_ms / 1000, EMU_DATE_HTTP);
  return refuse (403, "AuthenticationFailed",
                 g_strdup_printf ("Signature not valid in the specified time frame: Start [%s] - Expiry [%s] - "
                                  "Current [%s]",
                                  sas->start != NULL ? from : "", to, now));
}

EmuSasVerdict emu_sas_check (const EmuSas *sas, const char *path, gint64 now_ms) {
  gint64 version;
  if (sas->signature == NULL)
    return refuse (404, "ResourceNotFound", NULL);
  if (sas->version == NULL || !emu_date_parse (sas->version, &version, NULL))
    return refuse (403, "AuthenticationFailed", g_strdup ("Signed version (sv) is missing or not well formed"));
  EmuSasVerdict times = check_times (sas, now_ms);
  if (times.status != 0)
    return times;
  g_autofree char *wanted = emu_sas_sign (sas, path);
  if (strcmp (wanted, sas->signature) != 0)
    return refuse (403, "AuthenticationFailed", g_strdup ("Signature did not match."));
  if (g_strcmp0 (sas->resource, "b") != 0)
    return refuse (403, "AuthorizationResourceTypeMismatch", NULL);
  if (sas->permissions == NULL || strchr (sas->permissions, 'r') == NULL)
    return refuse (403, "AuthorizationPermissionMismatch", NULL);
  return refuse (0, NULL, NULL);
}
