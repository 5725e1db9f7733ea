/* SPDX-License-Identifier: MIT */
#include "client/redact.h"

#include <string.h>

#define MARK "REDACTED"

/* Shortest run of letters and digits that is taken for a secret: a GUID has 36 characters, the Base64 form of a
 * SHA-256 44. */
#define RUN_MIN 40
/* The same after "Bearer", where even a word would be hidden otherwise. */
#define BEARER_MIN 16

static const char *const secret_keys[] = {
    "sig",           "signature", "client_secret", "clientSecret",     "access_token", "accessToken",
    "refresh_token", "id_token",  "password",      "client_assertion", "assertion",
};

/* One character at @p, percent-decoded; @len of it. */
static char decode_char (const char *p, gsize *len) {
  if (p[0] == '%' && g_ascii_isxdigit (p[1]) && g_ascii_isxdigit (p[2])) {
    *len = 3;
    return (char) (g_ascii_xdigit_value (p[1]) * 16 + g_ascii_xdigit_value (p[2]));
  }
  *len = *p != '\0' ? 1 : 0;
  return *p;
}

/* Bytes of @p that spell @word in any case, encoded or not; 0 if they do not. */
static gsize match_word (const char *p, const char *word) {
  const char *start = p;
  for (; *word != '\0'; word++) {
    gsize len;
    if (g_ascii_tolower (decode_char (p, &len)) != g_ascii_tolower (*word))
      return 0;
    p += len;
  }
  return (gsize) (p - start);
}

/* TRUE if no letter or digit precedes @p; what ends a percent code is none, also where '%' is encoded again. */
static gboolean begins_word (const char *text, const char *p) {
  if (p == text)
    return TRUE;
  if (p - text >= 3 && g_ascii_isxdigit (p[-2]) && g_ascii_isxdigit (p[-1]) &&
      (p[-3] == '%' || (p - text >= 5 && strncmp (p - 5, "%25", 3) == 0)))
    return TRUE;
  return !g_ascii_isalnum (p[-1]) && p[-1] != '_';
}

/* Skips one of @chars, as it is or encoded once or twice; tells if it was encoded. */
static const char *skip_one (const char *p, const char *chars, gboolean *encoded) {
  gsize len;
  char c = decode_char (p, &len);
  gsize twice = len == 3 && c == '%' ? 2 : 0;
  if (twice > 0 && g_ascii_isxdigit (p[3]) && g_ascii_isxdigit (p[4]))
    c = (char) (g_ascii_xdigit_value (p[3]) * 16 + g_ascii_xdigit_value (p[4]));
  else
    twice = 0;
  if (c == '\0' || strchr (chars, c) == NULL)
    return p;
  if (len == 3)
    *encoded = TRUE;
  return p + len + twice;
}

/* Skips what is between a name and its value: `=`, `: `, `":"`, `%3D`.  NULL if it is something else. */
static const char *skip_separator (const char *p, gboolean *encoded) {
  p = skip_one (p, "\"'", encoded);
  p += strspn (p, " ");
  const char *after = skip_one (p, "=:", encoded);
  if (after == p)
    return NULL;
  after += strspn (after, " ");
  return skip_one (after, "\"'", encoded);
}

static gboolean is_encoded_end (const char *p) {
  return g_ascii_strncasecmp (p, "%26", 3) == 0 || g_ascii_strncasecmp (p, "%2526", 5) == 0 ||
         g_ascii_strncasecmp (p, "%22", 3) == 0;
}

/* What is behind the name of a secret parameter at @p and its separator; NULL if there is none. */
static const char *skip_name (const char *p, gboolean *encoded) {
  const char *value = NULL;
  for (gsize i = 0; i < G_N_ELEMENTS (secret_keys) && value == NULL; i++) {
    gsize key = match_word (p, secret_keys[i]);
    if (key > 0)
      value = skip_separator (p + key, encoded);
  }
  return value;
}

/* If a secret parameter begins at @p: the place of its value, and its length.  A value may be missing; what stands in
 * its place is then the name of the next one, whose value is the secret. */
static const char *find_value (const char *p, const char *stops, gsize *len) {
  gboolean encoded = FALSE;
  const char *value = skip_name (p, &encoded);
  if (value == NULL)
    return NULL;
  const char *end = value;
  while (*end != '\0' && strchr (stops, *end) == NULL && !(encoded && is_encoded_end (end)))
    end++;
  gboolean ignored = FALSE;
  const char *after = skip_name (value, &ignored);
  if (after != NULL && after > end)
    return NULL;
  *len = (gsize) (end - value);
  return *len > 0 ? value : NULL;
}

/* The user-info behind "://" at @p, with its '@'; 0 if there is none. */
static gsize measure_userinfo (const char *authority) {
  gsize len = strcspn (authority, "/?#\"'<> \t\r\n");
  while (len > 0 && authority[len - 1] != '@')
    len--;
  return len;
}

/* Length of the run of token characters at @p; @chance if it has capitals, small letters and digits. */
static gsize measure_run (const char *p, gboolean *chance) {
  gboolean upper = FALSE;
  gboolean lower = FALSE;
  gboolean digit = FALSE;
  gsize len = 0;
  for (; g_ascii_isalnum (p[len]) || (p[len] != '\0' && strchr ("+/=_%-~", p[len]) != NULL); len++) {
    upper |= g_ascii_isupper (p[len]);
    lower |= g_ascii_islower (p[len]);
    digit |= g_ascii_isdigit (p[len]);
  }
  *chance = upper && lower && digit;
  return len;
}

/* Length of the run at @p if it looks like a secret, else 0.  @measured is the end of the last run that was looked at: what
 * is left of one that is no secret is none either, and a long one must not be measured from each of its characters. */
static gsize measure_secret_run (const char *p, const char **measured) {
  gboolean chance;
  if (p < *measured)
    return 0;
  gsize len = measure_run (p, &chance);
  *measured = p + len;
  return len >= RUN_MIN && chance ? len : 0;
}

static char *redact (const char *text, const char *stops, gboolean runs) {
  GString *out = g_string_new (NULL);
  const char *p = text;
  const char *measured = text;
  while (*p != '\0') {
    gsize len;
    gboolean chance;
    const char *value = begins_word (text, p) ? find_value (p, stops, &len) : NULL;
    if (value != NULL) {
      g_string_append_len (out, p, value - p);
      g_string_append (out, MARK);
      p = value + len;
    } else if (strncmp (p, "://", 3) == 0 && (len = measure_userinfo (p + 3)) > 0) {
      g_string_append (out, "://" MARK "@");
      p += 3 + len;
    } else if (runs && begins_word (text, p) && g_ascii_strncasecmp (p, "Bearer ", 7) == 0 &&
               (len = measure_run (p + 7, &chance)) >= BEARER_MIN) {
      g_string_append (out, "Bearer " MARK);
      p += 7 + len;
    } else if (runs && (len = measure_secret_run (p, &measured)) > 0) {
      g_string_append (out, MARK);
      p += len;
    } else {
      g_string_append_c (out, *p++);
    }
  }
  return g_string_free (out, FALSE);
}

char *cab_redact_text (const char *text) {
  return redact (text, "&#\"'<>,;) \t\r\n", TRUE);
}

char *cab_redact_url (const char *url) {
  return redact (url, "&#", FALSE);
}
