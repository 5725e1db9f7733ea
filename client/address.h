/* address.h - the signed (SAS) URL of a blob: what may be trusted of it.  Pure.
 *
 * The URL is opaque and is sent as it came: decoding and encoding it again breaks the signature (api-contract.md
 * 12.1, 12.2).  It is a secret until it runs out.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_ADDRESS_H
#define CABFS_CLIENT_ADDRESS_H

#include <glib.h>

typedef struct {
  char **hosts; /* NULL-terminated patterns: "host", "*.suffix" (one label or more), each may end in ":port",
                  and without it allows every port */
  gboolean allow_http; /* http to loopback hosts: 127.0.0.0/8, [::1], localhost */
} CabAddressRule;

/* FALSE with CAB_ERROR_DENIED and the reason (with the host, never the query) for another scheme than https (or
 * allowed http), user-info, a fragment, control characters, no host, a host that no pattern allows. */
gboolean cab_address_check (const CabAddressRule *rule, const char *url, GError **error);

/* The same for the API's and the login host's URL: https, or http to loopback where allowed; no list of hosts. */
gboolean cab_address_check_base (const char *url, gboolean allow_http, GError **error);

/* The same for the URL of a machine's metadata service, which everyone on the machine may ask, and which speaks plain
 * http: nothing but http://169.254.169.254, or a host on the loopback interface where http is allowed. */
gboolean cab_address_check_metadata (const char *url, gboolean allow_http, GError **error);

/* Unix seconds of `se` (or the earlier `ske`), CAB_TIME_UNKNOWN if there is none. */
gint64 cab_address_expires (const char *url);

/* "host" or "host:port" of @url, lower case, without the port that the scheme has anyway; NULL if it has none. */
char *cab_address_host (const char *url);

/* @url for a log: the value of `sig` (any case, encoded or not) and any user-info replaced by "REDACTED". */
char *cab_address_redact (const char *url);

#endif
