/* SPDX-License-Identifier: MIT */
#include "client/refusals.h"

typedef struct {
  char *name;
  GError *error;
  gint64 until_us;
} Refusal;

struct CabRefusals {
  guint count;
  GHashTable *table; /* name, which the refusal owns, to Refusal */
  GQueue order;      /* of Refusal, owned: the first ends first */
};

CabRefusals *cab_refusals_new (guint count) {
  CabRefusals *self = g_new0 (CabRefusals, 1);
  self->count = count;
  self->table = g_hash_table_new (g_str_hash, g_str_equal);
  g_queue_init (&self->order);
  return self;
}

static void drop_first (CabRefusals *self) {
  Refusal *refusal = g_queue_pop_head (&self->order);
  if (g_hash_table_lookup (self->table, refusal->name) == refusal)
    g_hash_table_remove (self->table, refusal->name);
  g_free (refusal->name);
  g_error_free (refusal->error);
  g_free (refusal);
}

void cab_refusals_free (CabRefusals *self) {
  if (self == NULL)
    return;
  while (!g_queue_is_empty (&self->order))
    drop_first (self);
  g_hash_table_unref (self->table);
  g_free (self);
}

static void expire (CabRefusals *self, gint64 now_us) {
  for (const Refusal *first = g_queue_peek_head (&self->order); first != NULL && first->until_us <= now_us;
       first = g_queue_peek_head (&self->order))
    drop_first (self);
}

void cab_refusals_add (CabRefusals *self, const char *name, const GError *error, gint64 now_us) {
  expire (self, now_us);
  if (g_queue_get_length (&self->order) >= self->count)
    drop_first (self);
  Refusal *refusal = g_new (Refusal, 1);
  *refusal = (Refusal){g_strdup (name), g_error_copy (error), now_us + CAB_REFUSALS_KEPT_US};
  g_queue_push_tail (&self->order, refusal);
  g_hash_table_replace (self->table, refusal->name, refusal);
}

const GError *cab_refusals_get (CabRefusals *self, const char *name, gint64 now_us) {
  expire (self, now_us);
  const Refusal *refusal = g_hash_table_lookup (self->table, name);
  return refusal != NULL ? refusal->error : NULL;
}
