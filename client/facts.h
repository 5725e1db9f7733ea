/* facts.h - what the headers of a blob host say of a blob, and whether it is still the same.  Pure.
 *
 * api-contract.md 12.3, 12.4.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_FACTS_H
#define CABFS_CLIENT_FACTS_H

#include "client/client.h"

/* What a 206 says, "bytes 0-9/100", or a 416 with an asterisk for the range: @has_range is FALSE then. */
typedef struct {
  gboolean has_range;
  guint64 first, last;
  gboolean has_total;
  guint64 total;
} CabContentRange;

/* FALSE for NULL and anything else, @last before @first or not below @total. */
gboolean cab_content_range_parse (const char *text, CabContentRange *out);

/* A decimal number without sign; FALSE for NULL and anything else. */
gboolean cab_length_parse (const char *text, guint64 *out);

/* 32 hexadecimal digits from Content-MD5's Base64; NULL if it is none. */
char *cab_md5_parse (const char *text);

/* TRUE if If-Match can work with it: quoted and not weak. */
gboolean cab_etag_is_strong (const char *etag);

/* Facts that own their strings.  An ETag may be set beforehand: it is what the blob has to have. */
typedef struct {
  gboolean known; /* the size is */
  guint64 size;
  char *etag;
  char *md5;
  gint64 modified;
} CabKnown;

void cab_known_clear (CabKnown *self);

/* A view, valid as long as @self does not change. */
CabFacts cab_known_facts (const CabKnown *self);

/* Takes over what is new, keeps what is missing in @facts.  FALSE with CAB_ERROR_CHANGED, and nothing taken over, if
 * @facts are of another blob than those that are known: other size, other ETag, or other MD5. */
gboolean cab_known_agree (CabKnown *self, const CabFacts *facts, GError **error);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CabKnown, cab_known_clear)

#endif
