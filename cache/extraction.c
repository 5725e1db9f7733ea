/* extraction.c - contents that are members: which they are, what the store has of them, and why some are not tried.
 *
 * SPDX-License-Identifier: MIT
 */
#include <string.h>

#include "cache/content-private.h"
#include "client/error.h"

/* Why a member is not tried. */
typedef struct {
  GError *error;
  char *stamp;
  gint64 until_us;
} Refusal;

/* --- names and values --------------------------------------------------------------------------------------- */

CabMemberSpec *cab_member_spec_copy (const CabMemberSpec *member) {
  if (member == NULL)
    return NULL;
  CabMemberSpec *copy = g_memdup2 (member, sizeof *member);
  copy->stamp = g_strdup (member->stamp);
  copy->path = g_strdup (member->path);
  return copy;
}

void cab_member_spec_free (CabMemberSpec *member) {
  if (member == NULL)
    return;
  g_free ((char *) (gsize) member->stamp);
  g_free ((char *) (gsize) member->path);
  g_free (member);
}

char *cab_member_object_id (const char *cab_id, CabMemberId id) {
  return g_strdup_printf ("%s.%u.%u", cab_id, cab_member_outer (id), cab_member_ordinal (id));
}

static void refusal_free (gpointer data) {
  Refusal *refusal = data;
  g_error_free (refusal->error);
  g_free (refusal->stamp);
  g_free (refusal);
}

GHashTable *cab_extraction_refusals_new (void) {
  return g_hash_table_new_full (g_str_hash, g_str_equal, g_free, refusal_free);
}

CabExtraction *cab_extraction_new (const CabScope *scope, const CabRecord *record,
                                   const CabMemberSpec *member) {
  CabExtraction *self = g_new0 (CabExtraction, 1);
  self->member = cab_member_spec_copy (member);
  self->cab_id = g_strdup (record->id);
  self->record = *record;
  self->record.id = self->cab_id;
  self->record.url = NULL;
  self->cab_key = cab_content_key (scope, record, NULL);
  return self;
}

void cab_extraction_free (CabExtraction *self) {
  if (self == NULL)
    return;
  g_assert (self->run == NULL);
  cab_member_spec_free (self->member);
  g_free (self->cab_id);
  g_free (self->cab_key);
  g_free (self);
}

gboolean cab_extraction_fits_locked (const CabContent *self, const CabMemberSpec *member) {
  return member == NULL || strcmp (self->extraction->member->stamp, member->stamp) == 0;
}

/* --- what the store has ------------------------------------------------------------------------------------- */

/* Whole, and of this version of the CAB. */
static gboolean is_of_use (const CabMap *map, const CabMemberSpec *member) {
  return g_strcmp0 (map->etag, member->stamp) == 0 && (!member->has_size || member->size == map->size) &&
         cab_ranges_has (&map->have, 0, map->size);
}

CabObject *cab_extraction_open (CabContent *self, CabMap *map) {
  CabStore *store = self->owner->options.store;
  g_autofree char *owner = cab_content_owner (self->scope);
  const CabObjectKey key = {owner, self->expires, self->id, TRUE};
  /* What is of another version is shared with its readers, and not ours to write into. */
  for (guint i = 0; i < 3; i++) {
    CabObject *object = cab_object_open (store, &key, map);
    if (map->born == NULL || is_of_use (map, self->extraction->member))
      return object;
    cab_map_clear (map);
    cab_object_discard (object);
    cab_object_close (object);
  }
  return cab_object_open_private (store, &key);
}

gboolean cab_extraction_knows_locked (CabContent *self) {
  if (self->extraction == NULL || !self->extraction->member->has_size)
    return FALSE;
  const CabMemberSpec *member = self->extraction->member;
  cab_content_set_facts (self, member->size, member->stamp, member->modified);
  atomic_store (&self->complete, member->size == 0);
  return TRUE;
}

/* TRUE if all of the member is here. */
static gboolean is_here (CabContents *self, const CabScope *scope, const CabRecord *record,
                         const CabMemberSpec *member) {
  g_autofree char *key = cab_content_key (scope, record, member);
  {
    CAB_LOCK_SCOPE (&self->lock);
    const CabContent *content = g_hash_table_lookup (self->table, key);
    if (content != NULL && atomic_load (&content->complete))
      return TRUE;
  }
  g_auto (CabMap) map = {0};
  g_autofree char *owner = cab_content_owner (scope);
  g_autofree char *id = cab_member_object_id (record->id, member->id);
  const CabObjectKey object = {owner, record->expires, id, TRUE};
  return cab_store_peek (self->options.store, &object, &map) && is_of_use (&map, member);
}

/* --- opening ------------------------------------------------------------------------------------------------ */

static GError *find_refusal (CabContents *self, const char *key, const CabMemberSpec *member) {
  CAB_LOCK_SCOPE (&self->lock);
  const Refusal *refusal = g_hash_table_lookup (self->refused, key);
  gboolean holds = refusal != NULL && strcmp (refusal->stamp, member->stamp) == 0 &&
                   g_get_monotonic_time () < refusal->until_us;
  return holds ? g_error_copy (refusal->error) : NULL;
}

void cab_refusal_add_locked (CabContent *self, const GError *error, gint64 now_us) {
  Refusal *refusal = g_new (Refusal, 1);
  *refusal =
      (Refusal){g_error_copy (error), g_strdup (self->extraction->member->stamp), now_us + CAB_REFUSED_US};
  g_hash_table_replace (self->owner->refused, g_strdup (self->key), refusal);
}

void cab_contents_open_member (CabContents *self, const CabScope *scope, const CabRecord *record,
                               const CabMemberSpec *member, CabReach reach, CabOpenDone done, gpointer data) {
  g_autofree char *key = cab_content_key (scope, record, member);
  g_autoptr (GError) error = find_refusal (self, key, member);
  if (error == NULL && reach == CAB_REACH_LOCAL && !cab_contents_has_all (self, scope, record) &&
      !is_here (self, scope, record, member))
    error = g_error_new (CAB_ERROR, CAB_ERROR_DENIED, "neither it nor its CAB is wholly in the cache");
  if (error != NULL)
    done (data, NULL, error);
  else
    cab_contents_join_member (self, scope, record, member, reach, done, data);
}

/* --- refusals that are over, members that are spoilt ---------------------------------------------------------- */

static gboolean is_past (gpointer key, gpointer value, gpointer data) {
  const Refusal *refusal = value;
  const gint64 *now_us = data;
  return *now_us >= refusal->until_us;
}

void cab_refusals_expire_locked (CabContents *contents, gint64 now_us) {
  g_hash_table_foreach_remove (contents->refused, is_past, &now_us);
}

void cab_extraction_spoil (CabContent *cab, const GError *error) {
  CabContents *owner = cab->owner;
  g_autoptr (GPtrArray) members = g_ptr_array_new_with_free_func ((GDestroyNotify) cab_content_drop);
  if (cab->extraction != NULL)
    return;
  {
    CAB_LOCK_SCOPE (&owner->lock);
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init (&iter, owner->table);
    while (g_hash_table_iter_next (&iter, NULL, &value)) {
      CabContent *content = value;
      if (content->extraction != NULL && strcmp (content->extraction->cab_key, cab->key) == 0)
        g_ptr_array_add (members, cab_content_hold (content));
    }
  }
  owner->options.spoilt (owner->options.data, cab->scope, cab->expires, cab->id);
  for (guint i = 0; i < members->len; i++)
    cab_content_fail (g_ptr_array_index (members, i), error);
}
