/* redact.h - secrets out of a line of text.  Pure.
 *
 * The second line of defence, behind the redaction of what a service says (client/redact.h): nothing may put a secret
 * into a message, but libraries write messages too.  Goes by what stands before a secret, never by its looks: paths and
 * identifiers must stay readable in a log.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_REDACT_H
#define CABFS_FS_REDACT_H

#include <glib.h>

/* @text as one line, with the values of secrets replaced by REDACTED: `sig` of a signed URL, bearer tokens, all of an
 * Authorization header, client_secret, client_assertion and the tokens of a login answer (as form fields, JSON
 * members or az's spelling), JSON Web Tokens anywhere, user and password of a URL.  Control characters become
 * blanks.  Rather replaces too much than too little. */
char *cab_redact_line (const char *text);

#endif
