/* SPDX-License-Identifier: MIT
 *
 * Secrets out of texts, addresses and lines of a log.  The first line of the input is what stands before a secret, the
 * rest what comes after it.
 */
#include "client/redact.h"
#include "fs/redact.h"
#include "tests/fuzz/fuzz.h"

/* Letters, digits and the signs that tokens and signatures have. */
#define SECRET "Zq9%2Bx7Wv3Kp1-LmN0b5Yt8Rc2Hd6Gf4Js%3D"
/* What is left of it must not hold this. */
#define HEART "Kp1-LmN0b5Yt8Rc2"

typedef char *(*Redact) (const char *text);

/* How a secret may be announced, and by whom it has to be seen. */
static const struct {
  const char *before, *after;
  Redact redact[4];
} forms[] = {
    {"?sig=", "&", {cab_redact_text, cab_redact_url, cab_redact_line}},
    {"&SIG=", "&", {cab_redact_text, cab_redact_url, cab_redact_line}},
    {" client_secret=", "&", {cab_redact_text, cab_redact_line}},
    {" \"access_token\":\"", "\"", {cab_redact_text, cab_redact_line}},
    {" \"accessToken\": \"", "\"", {cab_redact_text, cab_redact_line}},
    {" Authorization: Bearer ", "\n", {cab_redact_text, cab_redact_line}},
};

static void check (Redact redact, const char *text) {
  g_autofree char *out = redact (text);
  if (strstr (out, HEART) != NULL || strstr (out, "REDACTED") == NULL)
    g_error ("of \"%s\" is left \"%s\"", text, out);
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size) {
  g_autofree char *before = fuzz_line (&data, &size);
  g_autofree char *after = fuzz_text (data, size);
  if (strstr (before, HEART) != NULL || strstr (after, HEART) != NULL)
    return 0;
  for (gsize i = 0; i < G_N_ELEMENTS (forms); i++) {
    g_autofree char *text = g_strconcat (before, forms[i].before, SECRET, forms[i].after, after, NULL);
    for (guint j = 0; forms[i].redact[j] != NULL; j++)
      check (forms[i].redact[j], text);
  }
  return 0;
}
