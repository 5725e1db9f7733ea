/* json.h - JSON as the services send it, read without trusting it.
 *
 * Numbers keep their digits: they come out as text, exactly as they were sent.  (An application has 20 digits, which
 * fit neither jansson's signed integers nor a double, and makes it refuse the whole answer.)
 * Any thread; no state.  How much is read is the caller's to limit.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_JSON_H
#define CABFS_CLIENT_JSON_H

#include <glib.h>
#include <jansson.h>

/* Parses an object, array or anything else; a byte-order mark before it is skipped.  Numbers are strings in what
 * is returned.  A new reference (json_auto_t), or NULL with CAB_ERROR_INVALID, which says where and never quotes
 * the bytes. */
json_t *cab_json_parse (const void *bytes, gsize len, GError **error);

/* The member @key of @object: exactly so spelled, else the first in another case.  NULL if there is none, if it is
 * null, or if @object is no object (NULL is allowed). */
json_t *cab_json_get (json_t *object, const char *key);

/* A string, number or boolean as text; NULL for others, and for a string that holds a NUL.  Lives as long as
 * @value. */
const char *cab_json_text (json_t *value);

/* The text of a member, with the blanks around it removed; NULL if it has none or is empty.  To be freed. */
char *cab_json_get_text (json_t *object, const char *key);

/* A boolean, or the text or number of one; @fallback for anything else. */
gboolean cab_json_get_bool (json_t *object, const char *key, gboolean fallback);

/* @text, which is UTF-8, as a JSON string with its quotes. */
char *cab_json_quote (const char *text);

/* A name for the kind of @value, for messages: "null", "an object", "nothing". */
const char *cab_json_kind (json_t *value);

#endif
