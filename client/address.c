/* SPDX-License-Identifier: MIT */
#include "client/address.h"

#include "client/error.h"
#include "client/redact.h"
#include "client/times.h"

#include <arpa/inet.h>
#include <string.h>

typedef struct {
  gboolean https;
  gboolean user_info;
  char *host;       /* lower case; an IPv6 address with its brackets */
  guint port;       /* also where the URL has none */
  const char *rest; /* of the URL: '/', '?', '#' or the end */
} Address;

static void address_clear (Address *self) {
  g_free (self->host);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Address, address_clear)

/* --- taking apart -------------------------------------------------------------------------------------------- */

static gboolean is_ipv6 (const char *host, gsize len) {
  struct in6_addr address;
  g_autofree char *inner = len > 2 ? g_strndup (host + 1, len - 2) : NULL;
  return inner != NULL && host[0] == '[' && host[len - 1] == ']' && inet_pton (AF_INET6, inner, &address) == 1;
}

/* "127.1", "0x7f.1": what libcurl takes for an IPv4 address, as all whose last label is a number, has to be one in its
 * only common form. */
static gboolean numbers_are_address (const char *host, gsize len) {
  const char *dot = memrchr (host, '.', len);
  const char *last = dot != NULL ? dot + 1 : host;
  gsize last_len = len - (gsize) (last - host);
  gsize digits = strspn (last, "0123456789");
  gboolean hex = last_len > 1 && g_ascii_strncasecmp (last, "0x", 2) == 0 &&
                 strspn (last + 2, "0123456789abcdefABCDEF") >= last_len - 2;
  if (digits < last_len && !hex)
    return TRUE;
  struct in_addr address;
  g_autofree char *text = g_strndup (host, len);
  return inet_pton (AF_INET, text, &address) == 1;
}

/* Labels of letters, digits, '-' and '_' with single dots between: nothing that two parsers read differently. */
static gboolean is_name (const char *host, gsize len) {
  gboolean in_label = FALSE;
  for (gsize i = 0; i < len; i++) {
    if (host[i] == '.' && !in_label)
      return FALSE;
    in_label = host[i] != '.';
    if (in_label && !g_ascii_isalnum (host[i]) && host[i] != '-' && host[i] != '_')
      return FALSE;
  }
  return in_label && len <= 253 && numbers_are_address (host, len);
}

/* @text is ":port" or nothing. */
static gboolean parse_port (const char *text, gsize len, guint *port) {
  if (len == 0)
    return TRUE;
  guint64 value;
  g_autofree char *digits = g_strndup (text + 1, len - 1);
  if (text[0] != ':' || !g_ascii_string_to_unsigned (digits, 10, 1, 65535, &value, NULL))
    return FALSE;
  *port = (guint) value;
  return TRUE;
}

static gboolean parse_authority (const char *text, gsize len, Address *out) {
  gsize host_len = strcspn (text, ":");
  if (text[0] == '[')
    host_len = strcspn (text, "]") + 1;
  host_len = MIN (host_len, len);
  if (!is_name (text, host_len) && !is_ipv6 (text, host_len))
    return FALSE;
  out->port = out->https ? 443 : 80;
  if (!parse_port (text + host_len, len - host_len, &out->port))
    return FALSE;
  out->host = g_ascii_strdown (text, (gssize) host_len);
  return TRUE;
}

/* NULL, or what is wrong with @url. */
static const char *parse (const char *url, Address *out) {
  for (const char *p = url; *p != '\0'; p++)
    if ((guchar) *p <= ' ' || *p == 0x7f)
      return "has a blank or control character";
  gsize scheme;
  if (g_ascii_strncasecmp (url, "https://", 8) == 0) {
    scheme = 8;
    out->https = TRUE;
  } else if (g_ascii_strncasecmp (url, "http://", 7) == 0) {
    scheme = 7;
  } else {
    return "is neither https nor http";
  }
  const char *authority = url + scheme;
  gsize len = strcspn (authority, "/?#");
  out->rest = authority + len;
  const char *at = memrchr (authority, '@', len);
  if (at != NULL) {
    out->user_info = TRUE;
    len -= (gsize) (at + 1 - authority);
    authority = at + 1;
  }
  return parse_authority (authority, len, out) ? NULL : "has no well-formed host";
}

static gboolean is_loopback (const char *host) {
  struct in_addr v4;
  struct in6_addr v6;
  if (inet_pton (AF_INET, host, &v4) == 1)
    return ntohl (v4.s_addr) >> 24 == 127;
  if (host[0] == '[') {
    g_autofree char *inner = g_strndup (host + 1, strlen (host) - 2);
    return inet_pton (AF_INET6, inner, &v6) == 1 && IN6_IS_ADDR_LOOPBACK (&v6);
  }
  return strcmp (host, "localhost") == 0;
}

/* --- checks -------------------------------------------------------------------------------------------------- */

static gboolean refuse (GError **error, const Address *address, const char *why) {
  if (address->host != NULL)
    g_set_error (error, CAB_ERROR, CAB_ERROR_DENIED, "address at host %s:%u %s", address->host, address->port,
                 why);
  else
    g_set_error (error, CAB_ERROR, CAB_ERROR_DENIED, "address %s", why);
  return FALSE;
}

/* What holds for every URL that a request goes to. */
static gboolean check_common (const char *url, gboolean allow_http, Address *out, GError **error) {
  const char *fault = parse (url, out);
  if (fault != NULL)
    return refuse (error, out, fault);
  if (!out->https && !allow_http)
    return refuse (error, out, "is plain http, which needs allow-http");
  if (!out->https && !is_loopback (out->host))
    return refuse (error, out, "is plain http, which is allowed for the loopback interface only");
  if (out->user_info)
    return refuse (error, out, "has user-info");
  if (strchr (out->rest, '#') != NULL)
    return refuse (error, out, "has a fragment");
  return TRUE;
}

static gboolean matches (const char *pattern, const Address *address) {
  gsize len = strcspn (pattern, ":");
  if (strchr (pattern, '[') != NULL)
    len = strcspn (pattern, "]") + 1;
  len = MIN (len, strlen (pattern));
  guint port = address->port; /* a pattern without one allows them all */
  if (!parse_port (pattern + len, strlen (pattern + len), &port) || port != address->port)
    return FALSE;
  gsize host_len = strlen (address->host);
  if (g_str_has_prefix (pattern, "*.")) {
    gsize suffix_len = len - 1; /* with its dot */
    return suffix_len > 1 && host_len > suffix_len &&
           g_ascii_strncasecmp (address->host + host_len - suffix_len, pattern + 1, suffix_len) == 0;
  }
  return host_len == len && g_ascii_strncasecmp (address->host, pattern, len) == 0;
}

gboolean cab_address_check (const CabAddressRule *rule, const char *url, GError **error) {
  g_auto (Address) address = {0};
  if (!check_common (url, rule->allow_http, &address, error))
    return FALSE;
  for (char **pattern = rule->hosts; pattern != NULL && *pattern != NULL; pattern++)
    if (matches (*pattern, &address))
      return TRUE;
  return refuse (error, &address, "is not among blob-hosts");
}

gboolean cab_address_check_base (const char *url, gboolean allow_http, GError **error) {
  g_auto (Address) address = {0};
  if (!check_common (url, allow_http, &address, error))
    return FALSE;
  if (strchr (address.rest, '?') != NULL)
    return refuse (error, &address, "has a query, which a base address cannot have");
  return TRUE;
}

gboolean cab_address_check_metadata (const char *url, gboolean allow_http, GError **error) {
  g_auto (Address) address = {0};
  const char *fault = parse (url != NULL ? url : "", &address);
  if (fault != NULL)
    return refuse (error, &address, fault);
  gboolean loopback = is_loopback (address.host);
  if (address.https || (!loopback && strcmp (address.host, "169.254.169.254") != 0))
    return refuse (error, &address,
                   "is neither http://169.254.169.254 nor plain http on the loopback interface");
  if (loopback && !allow_http)
    return refuse (error, &address, "is plain http, which needs allow-http");
  if (address.user_info || strpbrk (address.rest, "?#") != NULL)
    return refuse (error, &address, "has user-info, a query or a fragment, which it cannot have");
  return TRUE;
}

/* --- what a URL tells ---------------------------------------------------------------------------------------- */

gint64 cab_address_expires (const char *url) {
  gint64 earliest = CAB_TIME_UNKNOWN;
  const char *p = strchr (url, '?');
  while (p != NULL && *p != '\0' && *p != '#') {
    const char *name = p + 1;
    gsize len = strcspn (name, "&#");
    p = name + len;
    const char *equals = memchr (name, '=', len);
    if (equals == NULL)
      continue;
    gsize name_len = (gsize) (equals - name);
    if ((name_len != 2 || g_ascii_strncasecmp (name, "se", 2) != 0) &&
        (name_len != 3 || g_ascii_strncasecmp (name, "ske", 3) != 0))
      continue;
    g_autofree char *value = g_uri_unescape_segment (equals + 1, p, NULL);
    gint64 when = cab_time_parse (value);
    if (when != CAB_TIME_UNKNOWN && (earliest == CAB_TIME_UNKNOWN || when < earliest))
      earliest = when;
  }
  return earliest;
}

char *cab_address_host (const char *url) {
  g_auto (Address) address = {0};
  if (parse (url, &address) != NULL)
    return NULL;
  if (address.port == (address.https ? 443u : 80u))
    return g_steal_pointer (&address.host);
  return g_strdup_printf ("%s:%u", address.host, address.port);
}

char *cab_address_redact (const char *url) {
  return url != NULL ? cab_redact_url (url) : NULL;
}
