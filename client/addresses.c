/* SPDX-License-Identifier: MIT */
#include "client/addresses.h"

#include "client/wipe.h"

struct CabAddresses {
  guint count;
  GHashTable *young; /* name to URL, both owned */
  GHashTable *old;
};

static void wipe_value (gpointer value) {
  cab_wipe_free (value);
}

static GHashTable *generation (void) {
  return g_hash_table_new_full (g_str_hash, g_str_equal, g_free, wipe_value);
}

CabAddresses *cab_addresses_new (guint count) {
  CabAddresses *self = g_new0 (CabAddresses, 1);
  self->count = count;
  self->young = generation ();
  self->old = generation ();
  return self;
}

void cab_addresses_free (CabAddresses *self) {
  if (self == NULL)
    return;
  g_hash_table_unref (self->young);
  g_hash_table_unref (self->old);
  g_free (self);
}

void cab_addresses_add (CabAddresses *self, const char *name, const char *url) {
  if (g_hash_table_size (self->young) >= self->count) {
    g_hash_table_unref (self->old);
    self->old = g_steal_pointer (&self->young);
    self->young = generation ();
  }
  g_hash_table_insert (self->young, g_strdup (name), g_strdup (url));
}

const char *cab_addresses_get (const CabAddresses *self, const char *name) {
  const char *url = g_hash_table_lookup (self->young, name);
  return url != NULL ? url : g_hash_table_lookup (self->old, name);
}

void cab_addresses_drop (CabAddresses *self, const char *name) {
  g_hash_table_remove (self->young, name);
  g_hash_table_remove (self->old, name);
}
