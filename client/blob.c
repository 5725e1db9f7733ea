/* SPDX-License-Identifier: MIT */
#include "client/blob.h"

#include "client/times.h"
#include "client/wipe.h"

/* An address is renewed when it has less than this left (api-contract.md 12.2)... */
#define MARGIN_S 60
/* ...but of one that lives shorter, all but this part of its life is used. */
#define MARGIN_PART 4

CabBlob *cab_blob_new (CabClient *client, const CabScope *scope, const CabRecord *record) {
  CabBlob *self = g_new0 (CabBlob, 1);
  cab_ref_init (&self->refs);
  self->client = client;
  self->scope = cab_scope_copy (scope);
  self->id = g_strdup (record->id);
  self->date = record->date;
  self->downloadable = record->downloadable;
  self->url = record->url != NULL && record->url[0] != '\0' ? g_strdup (record->url) : NULL;
  self->expires = self->url == NULL ? CAB_TIME_UNKNOWN : cab_address_expires (self->url);
  self->margin_s = -1;
  self->known.modified = CAB_TIME_UNKNOWN;
  return self;
}

CabBlob *cab_blob_ref (CabBlob *self) {
  cab_ref_take (&self->refs);
  return self;
}

void cab_blob_unref (CabBlob *self) {
  if (self == NULL || !cab_ref_drop (&self->refs))
    return;
  cab_scope_free (self->scope);
  cab_wipe_free (self->url);
  cab_known_clear (&self->known);
  g_free (self->id);
  g_free (self);
}

static gint64 margin_for (gint64 life_s) {
  return CLAMP (life_s / MARGIN_PART, 0, MARGIN_S);
}

gboolean cab_blob_has_address (CabBlob *self) {
  if (self->url == NULL || self->refused)
    return FALSE;
  if (self->expires == CAB_TIME_UNKNOWN)
    return TRUE;
  gint64 left_s = self->expires - cab_http_time (self->client->blob_http, self->url);
  if (self->margin_s < 0)
    self->margin_s = margin_for (left_s);
  return left_s > self->margin_s;
}

void cab_blob_set_address (CabBlob *self, const char *url) {
  cab_wipe_free (self->url);
  self->url = g_strdup (url);
  self->expires = cab_address_expires (url);
  self->margin_s = self->expires == CAB_TIME_UNKNOWN
                       ? 0
                       : margin_for (self->expires - cab_http_time (self->client->blob_http, url));
  self->checked = TRUE; /* by the locator */
  self->refused = FALSE;
}

void cab_blob_refuse_address (CabBlob *self, const char *url) {
  if (g_strcmp0 (self->url, url) == 0)
    self->refused = TRUE;
}

gboolean cab_blob_agree (CabBlob *self, CabKnown *mine, const CabAnswer *answer, guint64 size, GError **error) {
  const char *modified = cab_answer_header (answer, "Last-Modified");
  g_autofree char *md5 = cab_md5_parse (cab_answer_header (answer, "x-ms-blob-content-md5"));
  if (md5 == NULL && cab_answer_status (answer) == 200) /* else it is the range's */
    md5 = cab_md5_parse (cab_answer_header (answer, "Content-MD5"));
  g_autofree char *etag = g_strdup (cab_answer_header (answer, "ETag"));
  const CabFacts facts = {.size = size,
                          .etag = etag,
                          .md5 = md5,
                          .modified = modified == NULL ? CAB_TIME_UNKNOWN : cab_time_parse_http (modified)};
  if (cab_known_agree (mine, &facts, error) && cab_known_agree (&self->known, &facts, error))
    return TRUE;
  cab_known_clear (&self->known);
  g_prefix_error (error, "%s: ", self->id);
  return FALSE;
}
