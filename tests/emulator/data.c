/* SPDX-License-Identifier: MIT */
#include "tests/emulator/data.h"
#include <string.h>

#define SELLER "10001234" /* of the rows of families without applicationId */

struct EmuData {
  pthread_rwlock_t lock;
  GHashTable *applications; /* lock: id -> EmuApplication, owned */
  GPtrArray *order;         /* lock: the same, borrowed */
  GHashTable *cabs;         /* lock: id -> EmuCab, a reference */
};

static const EmuFamilyRow families[] = {
#define EMU_FAMILY_ROW(constant, name, account, days, digits) {name, account, days, digits},
    EMU_FAMILIES (EMU_FAMILY_ROW)
#undef EMU_FAMILY_ROW
};

const EmuFamilyRow *emu_family_row (EmuFamily family) {
  return &families[family];
}

EmuFamily emu_family_find (const char *name) {
  guint i = 0;
  while (i < EMU_FAMILY_COUNT && g_strcmp0 (families[i].name, name) != 0)
    i++;
  return (EmuFamily) i;
}

EmuCab *emu_cab_ref (EmuCab *self) {
  cab_ref_take (&self->refs);
  return self;
}

void emu_cab_unref (EmuCab *self) {
  if (self == NULL || !cab_ref_drop (&self->refs))
    return;
  g_free (self->id);
  g_free (self->application);
  g_free (self->failure);
  g_free (self->path);
  g_free (self->etag);
  g_free (self->url);
  emu_payload_unref (self->payload);
  json_decref (self->fields);
  g_free (self);
}

static void failure_free (gpointer data) {
  EmuFailure *self = data;
  g_free (self->hash);
  json_decref (self->fields);
  json_decref (self->events);
  g_ptr_array_unref (self->cabs);
  g_free (self);
}

static void application_free (gpointer data) {
  EmuApplication *self = data;
  g_free (self->id);
  json_decref (self->fields);
  g_ptr_array_unref (self->failure_order);
  g_hash_table_unref (self->failures);
  g_free (self);
}

static void cab_unref (gpointer data) {
  emu_cab_unref (data);
}

EmuData *emu_data_new (void) {
  EmuData *self = g_new0 (EmuData, 1);
  pthread_rwlock_init (&self->lock, NULL);
  self->applications = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, application_free);
  self->order = g_ptr_array_new ();
  self->cabs = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, cab_unref);
  return self;
}

void emu_data_free (EmuData *self) {
  if (self == NULL)
    return;
  g_ptr_array_unref (self->order);
  g_hash_table_unref (self->cabs);
  g_hash_table_unref (self->applications);
  pthread_rwlock_destroy (&self->lock);
  g_free (self);
}

void emu_data_lock_read (EmuData *self) {
  pthread_rwlock_rdlock (&self->lock);
}

void emu_data_lock_write (EmuData *self) {
  pthread_rwlock_wrlock (&self->lock);
}

void emu_data_unlock (EmuData *self) {
  pthread_rwlock_unlock (&self->lock);
}

EmuApplication *emu_data_application_locked (EmuData *self, const char *id) {
  return g_hash_table_lookup (self->applications, id);
}

GPtrArray *emu_data_applications_locked (EmuData *self) {
  return self->order;
}

EmuApplication *emu_data_need_application_locked (EmuData *self, const char *id, EmuFamily family) {
  EmuApplication *application = emu_data_application_locked (self, id);
  if (application != NULL)
    return application;
  application = g_new0 (EmuApplication, 1);
  application->id = g_strdup (id);
  application->family = family;
  application->fields = families[family].account ? json_pack ("{s:s}", "sellerId", SELLER) : json_object ();
  application->failures = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, failure_free);
  application->failure_order = g_ptr_array_new ();
  g_hash_table_insert (self->applications, application->id, application);
  g_ptr_array_add (self->order, application);
  return application;
}

EmuFailure *emu_data_failure_locked (EmuApplication *application, const char *hash) {
  g_autofree char *key = g_ascii_strdown (hash, -1);
  return g_hash_table_lookup (application->failures, key);
}

EmuFailure *emu_data_need_failure_locked (EmuApplication *application, const char *hash) {
  EmuFailure *failure = emu_data_failure_locked (application, hash);
  if (failure != NULL)
    return failure;
  failure = g_new0 (EmuFailure, 1);
  failure->hash = g_strdup (hash);
  failure->fields = json_object ();
  failure->events = json_array ();
  failure->cabs = g_ptr_array_new_with_free_func (cab_unref);
  failure->oldest = G_MAXINT64;
  failure->newest = G_MININT64;
  g_hash_table_insert (application->failures, g_ascii_strdown (hash, -1), failure);
  g_ptr_array_add (application->failure_order, failure);
  return failure;
}

/* The place of the CAB @id in @failure, or its length. */
static guint place_of (const EmuFailure *failure, const char *id) {
  guint i = 0;
  while (i < failure->cabs->len && strcmp (((EmuCab *) failure->cabs->pdata[i])->id, id) != 0)
    i++;
  return i;
}

void emu_data_add_cab_locked (EmuData *self, EmuFailure *failure, EmuCab *cab) {
  gboolean known = g_hash_table_contains (self->cabs, cab->id);
  guint place = known ? place_of (failure, cab->id) : failure->cabs->len;
  if (place < failure->cabs->len) {
    emu_cab_unref (failure->cabs->pdata[place]);
    failure->cabs->pdata[place] = emu_cab_ref (cab);
  } else {
    g_ptr_array_add (failure->cabs, emu_cab_ref (cab));
  }
  failure->oldest = MIN (failure->oldest, cab->date);
  failure->newest = MAX (failure->newest, cab->date);
  g_hash_table_replace (self->cabs, cab->id, cab);
}

gboolean emu_data_remove_cab_locked (EmuData *self, const char *id) {
  EmuCab *cab = g_hash_table_lookup (self->cabs, id);
  if (cab == NULL)
    return FALSE;
  EmuApplication *application = emu_data_application_locked (self, cab->application);
  EmuFailure *failure = emu_data_failure_locked (application, cab->failure);
  guint place = place_of (failure, id);
  if (place < failure->cabs->len)
    g_ptr_array_remove_index (failure->cabs, place);
  g_hash_table_remove (self->cabs, id);
  return TRUE;
}

void emu_data_clear_locked (EmuData *self) {
  g_ptr_array_set_size (self->order, 0);
  g_hash_table_remove_all (self->cabs);
  g_hash_table_remove_all (self->applications);
}

EmuCab *emu_data_cab (EmuData *self, const char *id) {
  emu_data_lock_read (self);
  EmuCab *cab = g_hash_table_lookup (self->cabs, id);
  if (cab != NULL)
    emu_cab_ref (cab);
  emu_data_unlock (self);
  return cab;
}
