/* token_hints.h - what to do about an answer of those who give tokens.  Pure.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_TOKEN_HINTS_H
#define CABFS_CLIENT_TOKEN_HINTS_H

#include <glib.h>

/* @text is what cab_api_error_text() made of a login host's answer.  A clause without a full stop, in terms of the keys
 * of cabfs.conf(5), for the AADSTS code in it; NULL if there is none, or nothing to add to the host's own words. */
const char *cab_token_hint_login (const char *text);

/* The same of a metadata service (managed-identity), for @status, 0 if nobody answered. */
const char *cab_token_hint_metadata (int status);

#endif
