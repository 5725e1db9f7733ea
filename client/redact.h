/* redact.h - secrets out of what is to be logged or shown.  Pure.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_REDACT_H
#define CABFS_CLIENT_REDACT_H

#include <glib.h>

/* Any text, as an error of a service: what follows `sig=`, `client_secret=`, `"access_token":` and the like (any
 * case, percent-encoded or not), "Bearer", the user-info of addresses, and long runs that look like chance (tokens,
 * signatures) become "REDACTED".  Rather too much than too little. */
char *cab_redact_text (const char *text);

/* The same for what is a URL: only the values of secret parameters and the user-info, all of them. */
char *cab_redact_url (const char *url);

#endif
