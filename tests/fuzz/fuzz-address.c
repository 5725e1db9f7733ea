/* SPDX-License-Identifier: MIT
 *
 * Signed URLs.  What is allowed must lead to the host that it was allowed for: libcurl, which will follow it, reads the
 * URL for comparison.
 */
#include "client/address.h"
#include "client/error.h"
#include "client/times.h"
#include "tests/fuzz/fuzz.h"

#include <arpa/inet.h>
#include <curl/curl.h>

/* The part of @url as libcurl has it; NULL if it takes the URL for none. */
static char *get_part (const char *url, CURLUPart part) {
  CURLU *handle = curl_url ();
  char *text = NULL;
  if (curl_url_set (handle, CURLUPART_URL, url, 0) != CURLUE_OK ||
      curl_url_get (handle, part, &text, CURLU_DEFAULT_PORT) != CURLUE_OK)
    text = NULL;
  char *copy = g_strdup (text);
  curl_free (text);
  curl_url_cleanup (handle);
  return copy;
}

/* libcurl writes IP addresses in one form, we leave them as they are. */
static gboolean is_same_host (const char *ours, const char *theirs) {
  if (g_ascii_strcasecmp (ours, theirs) == 0)
    return TRUE;
  struct in6_addr a, b;
  g_autofree char *x = g_strndup (ours + 1, strlen (ours) > 2 ? strlen (ours) - 2 : 0);
  g_autofree char *y = g_strndup (theirs + 1, strlen (theirs) > 2 ? strlen (theirs) - 2 : 0);
  return ours[0] == '[' && inet_pton (AF_INET6, x, &a) == 1 && inet_pton (AF_INET6, y, &b) == 1 &&
         memcmp (&a, &b, sizeof a) == 0;
}

static void check_host (const char *url, gboolean loopback_only) {
  g_autofree char *theirs = get_part (url, CURLUPART_HOST);
  g_autofree char *port = get_part (url, CURLUPART_PORT);
  if (theirs == NULL || port == NULL)
    return; /* it will not be sent */
  g_autofree char *host = cab_address_host (url);
  g_assert_nonnull (host);
  const char *colon = strrchr (host, ':');
  if (colon != NULL && strchr (colon, ']') == NULL) {
    g_assert_cmpstr (colon + 1, ==, port);
    host[colon - host] = '\0';
  } else {
    g_assert_cmpstr (port, ==, g_ascii_strncasecmp (url, "https:", 6) == 0 ? "443" : "80");
  }
  if (!is_same_host (host, theirs))
    g_error ("%s: ours is %s, libcurl's %s", url, host, theirs);
  g_autofree char *user = get_part (url, CURLUPART_USER);
  g_assert_null (user);
  if (loopback_only)
    g_assert_true (g_str_has_prefix (theirs, "127.") || g_str_equal (theirs, "[::1]") ||
                   g_ascii_strcasecmp (theirs, "localhost") == 0);
}

static void check_url (const CabAddressRule *rule, const char *url) {
  g_autoptr (GError) error = NULL;
  gboolean plain = g_ascii_strncasecmp (url, "http:", 5) == 0;
  if (cab_address_check (rule, url, &error)) {
    g_assert_true (rule->allow_http || !plain);
    check_host (url, plain);
  } else {
    g_assert_error (error, CAB_ERROR, CAB_ERROR_DENIED);
    g_assert_null (strchr (error->message, '?'));
  }
  if (cab_address_check_base (url, rule->allow_http, NULL))
    check_host (url, plain);
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size) {
  g_autofree char *hosts = fuzz_line (&data, &size);
  g_autofree char *url = fuzz_text (data, size);
  g_auto (GStrv) patterns = g_strsplit (hosts, ";", -1);
  const CabAddressRule strict = {patterns, FALSE};
  const CabAddressRule lax = {patterns, TRUE};
  check_url (&strict, url);
  check_url (&lax, url);
  gint64 expires = cab_address_expires (url);
  g_assert_true (expires == CAB_TIME_UNKNOWN || strchr (url, '?') != NULL);
  g_autofree char *redacted = cab_address_redact (url);
  g_assert_nonnull (redacted);
  return 0;
}
