/* local.c - what is here of a CAB or a member, for who does not open it: in the table, else on disk.
 *
 * SPDX-License-Identifier: MIT
 */
#include <string.h>

#include "cache/content-private.h"

const char *cab_content_kind (const void *bytes, gsize len) {
  static const struct {
    const char *magic;
    const char *kind;
  } kinds[] = {{"MSCF", "cab"},      {"PK\003\004", "zip"},       {"PK\005\006", "zip"},
               {"MDMP", "minidump"}, {"PAGEDUMP", "kernel-dump"}, {"PAGEDU64", "kernel-dump"}};
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    if (len >= strlen (kinds[i].magic) && memcmp (bytes, kinds[i].magic, strlen (kinds[i].magic)) == 0)
      return kinds[i].kind;
  return "other";
}

static char *format_stamp (guint64 size, gint64 modified, const char *etag) {
  return g_strdup_printf ("%" G_GUINT64_FORMAT " %" G_GINT64_FORMAT " %s", size, modified,
                          etag != NULL ? etag : "-");
}

char *cab_content_stamp (const CabContent *self) {
  return format_stamp (self->size, self->modified, self->etag);
}

char *cab_contents_stamp (CabContents *self, const CabScope *scope, const CabRecord *record) {
  g_autofree char *key = cab_content_key (scope, record, NULL);
  {
    CAB_LOCK_SCOPE (&self->lock);
    const CabContent *content = g_hash_table_lookup (self->table, key);
    if (content != NULL)
      return content->phase == CONTENT_READY ? cab_content_stamp (content) : NULL;
  }
  g_auto (CabMap) map = {0};
  g_autofree char *owner = cab_content_owner (scope);
  const CabObjectKey object = {owner, record->expires, record->id, FALSE};
  if (!cab_store_peek (self->options.store, &object, &map))
    return NULL;
  return format_stamp (map.size, map.modified, map.etag);
}

gboolean cab_contents_bytes (CabContents *self, const CabScope *scope, const CabRecord *record,
                             const CabMemberSpec *member, guint64 *bytes) {
  /* Called for every CAB of a directory that is shown: nearly always the table is empty or small. */
  CAB_LOCK_SCOPE (&self->lock);
  if (g_hash_table_size (self->table) == 0)
    return FALSE;
  g_autofree char *key = cab_content_key (scope, record, member);
  const CabContent *content = g_hash_table_lookup (self->table, key);
  if (content == NULL)
    return FALSE;
  *bytes = cab_ranges_total (&content->have);
  return TRUE;
}

void cab_local_clear (CabLocal *self) {
  g_clear_pointer (&self->etag, g_free);
  g_clear_pointer (&self->md5, g_free);
}

gboolean cab_contents_local (CabContents *self, const CabScope *scope, const CabRecord *record,
                             const CabMemberSpec *member, CabLocal *out) {
  g_autofree char *key = cab_content_key (scope, record, member);
  CabContent *content;
  char bytes[8];
  gsize len;
  gboolean head;
  *out = (CabLocal){0};
  {
    CAB_LOCK_SCOPE (&self->lock);
    content = g_hash_table_lookup (self->table, key);
    if (content == NULL || content->phase != CONTENT_READY)
      return FALSE;
    cab_content_ref_locked (content); /* a user, or it could retire and close its object under us */
    out->bytes = cab_ranges_total (&content->have);
    out->complete = atomic_load (&content->complete);
    out->etag = g_strdup (content->etag);
    out->md5 = g_strdup (content->md5);
    len = (gsize) MIN (sizeof bytes, content->size);
    head = len > 0 && cab_ranges_has (&content->have, 0, len);
  }
  if (head)
    cab_content_check (content, 0, len);
  if (head && cab_content_peek (content, 0, bytes, len)) /* an attribute asks for none, and moves no window */
    g_strlcpy (out->kind, cab_content_kind (bytes, len), sizeof out->kind);
  cab_content_unref (content);
  return TRUE;
}

/* --- what nobody has open ----------------------------------------------------------------------------------- */

/* The name of the object; the caller frees it. */
static char *object_id (const CabRecord *record, const CabMemberSpec *member) {
  return member != NULL ? cab_member_object_id (record->id, member->id) : g_strdup (record->id);
}

guint64 cab_contents_bytes_on_disk (CabContents *self, const CabRecord *record, const CabMemberSpec *member) {
  g_autofree char *id = object_id (record, member);
  const CabObjectKey key = {.expires = record->expires, .id = id, .member = member != NULL};
  return cab_store_bytes (self->options.store, &key);
}

void cab_contents_look_at_disk (CabContents *self, const CabScope *scope, const CabRecord *record,
                                const CabMemberSpec *member, CabLocal *out) {
  g_auto (CabMap) map = {0};
  g_autofree char *owner = cab_content_owner (scope);
  g_autofree char *id = object_id (record, member);
  const CabObjectKey key = {owner, record->expires, id, member != NULL};
  char magic[8];
  *out = (CabLocal){0};
  if (!cab_store_peek (self->options.store, &key, &map))
    return;
  out->bytes = cab_ranges_total (&map.have);
  out->complete = cab_ranges_has (&map.have, 0, map.size);
  out->etag = g_steal_pointer (&map.etag);
  out->md5 = g_steal_pointer (&map.md5);
  gssize got = cab_ranges_has (&map.have, 0, MIN (sizeof magic, map.size))
                   ? cab_store_read (self->options.store, &key, magic, sizeof magic)
                   : -1;
  if (got >= 0)
    g_strlcpy (out->kind, cab_content_kind (magic, (gsize) got), sizeof out->kind);
}
