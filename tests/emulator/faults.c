/* SPDX-License-Identifier: MIT */
#include "tests/emulator/faults.h"
#include "client/sync.h"
#include <string.h>

static const struct {
  const char *name;
  guint endpoints;
  const char *args;
  const char *help;
} table[] = {
#define EMU_FAULT_ROW(constant, name, endpoints, args, help) {name, endpoints, args, help},
    EMU_FAULTS (EMU_FAULT_ROW)
#undef EMU_FAULT_ROW
};

struct EmuFault {
  CabRefs refs;
  guint id; /* these are set at creation */
  EmuFaultKind kind;
  guint endpoints;
  char *path; /* or NULL */
  double probability;
  json_t *spec;

  gint64 remaining; /* the list's lock: -1 is for ever */
  gint64 skip;      /* the list's lock */
  GHashTable *hit;  /* the list's lock: paths and queries that had it, where each has it once; or NULL */

  pthread_mutex_t lock;
  guint64 random;    /* lock */
  gint64 free_at_us; /* lock: when the shared bandwidth is free again */
};

struct EmuFaults {
  pthread_mutex_t lock;
  atomic_bool any; /* a hint that spares the lock where nothing is set */
  guint last_id;   /* lock */
  GPtrArray *list; /* lock: of EmuFault, in the order they were set */
};

static void fault_unref (gpointer data) {
  EmuFault *self = data;
  if (self == NULL || !cab_ref_drop (&self->refs))
    return;
  json_decref (self->spec);
  g_clear_pointer (&self->hit, g_hash_table_unref);
  g_free (self->path);
  pthread_mutex_destroy (&self->lock);
  g_free (self);
}

EmuFaults *emu_faults_new (void) {
  EmuFaults *self = g_new0 (EmuFaults, 1);
  pthread_mutex_init (&self->lock, NULL);
  self->list = g_ptr_array_new_with_free_func (fault_unref);
  return self;
}

void emu_faults_free (EmuFaults *self) {
  if (self == NULL)
    return;
  g_ptr_array_unref (self->list);
  pthread_mutex_destroy (&self->lock);
  g_free (self);
}

/* --- setting ------------------------------------------------------------------------------------------------ */

/* Of a pattern only the endpoints that the fault is for count. */
static gboolean add_endpoint (json_t *name, guint possible, guint *mask, GError **error) {
  const char *text = json_string_value (name);
  guint found = text != NULL ? emu_endpoint_match (text) : 0;
  if (found == 0) {
    emu_error_set (error, "no endpoint \"%s\"", text != NULL ? text : "(not a text)");
    return FALSE;
  }
  if ((found & possible) == 0 || (strchr (text, '*') == NULL && (found & ~possible) != 0)) {
    emu_error_set (error, "this fault is not for endpoint \"%s\"", text);
    return FALSE;
  }
  *mask |= found & possible;
  return TRUE;
}

/* No endpoint is all that the kind is for. */
static gboolean read_endpoints (json_t *value, guint possible, guint *mask, GError **error) {
  size_t i;
  json_t *entry;
  *mask = value == NULL ? possible : 0;
  if (!json_is_array (value))
    return value == NULL || add_endpoint (value, possible, mask, error);
  json_array_foreach (value, i, entry) if (!add_endpoint (entry, possible, mask, error)) return FALSE;
  return TRUE;
}

static gboolean check_names (json_t *spec, const char *args, GError **error) {
  static const char *const common[] = {"fault",       "endpoint", "count", "skip", "once",
                                       "probability", "seed",     "path",  NULL};
  g_auto (GStrv) own = g_strsplit (args, " ", -1);
  const char *name;
  json_t *value;
  json_object_foreach (spec, name, value) {
    if (!g_strv_contains (common, name) && !g_strv_contains ((const char *const *) own, name)) {
      emu_error_set (error, "the fault has no argument \"%s\"; it has: %s", name, args);
      return FALSE;
    }
  }
  return TRUE;
}

static guint find_kind (const char *name) {
  guint kind = 0;
  while (kind < EMU_FAULT_COUNT && g_strcmp0 (table[kind].name, name) != 0)
    kind++;
  return kind;
}

static gint64 integer (json_t *object, const char *name, gint64 otherwise) {
  json_t *value = json_object_get (object, name);
  return json_is_integer (value) ? json_integer_value (value) : otherwise;
}

guint emu_faults_add (EmuFaults *self, json_t *spec, GError **error) {
  const char *name = json_string_value (json_object_get (spec, "fault"));
  guint kind = find_kind (name), endpoints;
  if (kind == EMU_FAULT_COUNT) {
    emu_error_set (error, "no fault \"%s\"", name != NULL ? name : "(not a text)");
    return 0;
  }
  if (!read_endpoints (json_object_get (spec, "endpoint"), table[kind].endpoints, &endpoints, error) ||
      !check_names (spec, table[kind].args, error))
    return 0;
  json_t *probability = json_object_get (spec, "probability");
  EmuFault *fault = g_new0 (EmuFault, 1);
  cab_ref_init (&fault->refs);
  pthread_mutex_init (&fault->lock, NULL);
  fault->kind = (EmuFaultKind) kind;
  fault->endpoints = endpoints;
  fault->path = g_strdup (json_string_value (json_object_get (spec, "path")));
  fault->probability = json_is_number (probability) ? json_number_value (probability) : 1;
  fault->random = (guint64) integer (spec, "seed", 1);
  fault->remaining = integer (spec, "count", -1);
  fault->skip = integer (spec, "skip", 0);
  if (json_is_true (json_object_get (spec, "once")))
    fault->hit = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  fault->spec = json_deep_copy (spec);
  CAB_LOCK_SCOPE (&self->lock);
  fault->id = ++self->last_id;
  g_ptr_array_add (self->list, fault);
  atomic_store (&self->any, TRUE);
  return fault->id;
}

void emu_faults_remove (EmuFaults *self, guint id) {
  CAB_LOCK_SCOPE (&self->lock);
  for (guint i = self->list->len; i > 0; i--)
    if (id == 0 || ((EmuFault *) self->list->pdata[i - 1])->id == id)
      g_ptr_array_remove_index (self->list, i - 1);
  atomic_store (&self->any, self->list->len > 0);
}

json_t *emu_faults_list (EmuFaults *self) {
  json_t *array = json_array ();
  CAB_LOCK_SCOPE (&self->lock);
  for (guint i = 0; i < self->list->len; i++) {
    const EmuFault *fault = self->list->pdata[i];
    json_t *item = json_deep_copy (fault->spec);
    json_object_set_new (item, "id", json_integer (fault->id));
    json_object_set_new (item, "remaining", json_integer (fault->remaining));
    json_array_append_new (array, item);
  }
  return array;
}

json_t *emu_faults_table (void) {
  json_t *array = json_array ();
  for (guint i = 0; i < EMU_FAULT_COUNT; i++) {
    json_t *endpoints = json_array ();
    for (guint e = 0; e < EMU_ENDPOINT_COUNT; e++)
      if ((table[i].endpoints & EMU_BIT (e)) != 0)
        json_array_append_new (endpoints, json_string (emu_endpoint_name (e)));
    json_array_append_new (array, json_pack ("{s:s, s:o, s:s, s:s}", "fault", table[i].name, "endpoints",
                                             endpoints, "arguments", table[i].args, "help", table[i].help));
  }
  return array;
}

/* --- taking ------------------------------------------------------------------------------------------------- */

guint64 emu_fault_random (EmuFault *fault, guint64 n) {
  CAB_LOCK_SCOPE (&fault->lock);
  fault->random =
      fault->random * G_GUINT64_CONSTANT (0x5851f42d4c957f2d) + G_GUINT64_CONSTANT (0x14057b7ef767814f);
  return n > 0 ? (fault->random >> 24) % n : 0;
}

/* Whether @fault strikes; counts it if so. */
static gboolean strikes_locked (EmuFault *fault, EmuEndpoint endpoint, const char *uri) {
  if ((fault->endpoints & EMU_BIT (endpoint)) == 0 || fault->remaining == 0)
    return FALSE;
  if (fault->path != NULL && strstr (uri, fault->path) == NULL)
    return FALSE;
  if (fault->hit != NULL && g_hash_table_contains (fault->hit, uri))
    return FALSE;
  if (fault->skip > 0) {
    fault->skip--;
    return FALSE;
  }
  if (fault->probability < 1 && (double) emu_fault_random (fault, 1000000) >= fault->probability * 1000000)
    return FALSE;
  if (fault->remaining > 0)
    fault->remaining--;
  if (fault->hit != NULL)
    g_hash_table_add (fault->hit, g_strdup (uri));
  return TRUE;
}

gboolean emu_faults_take (EmuFaults *self, EmuEndpoint endpoint, const char *uri, EmuFaultSet *set) {
  gboolean taken = FALSE;
  if (!atomic_load_explicit (&self->any, memory_order_relaxed))
    return FALSE;
  CAB_LOCK_SCOPE (&self->lock);
  for (guint i = 0; i < self->list->len; i++) {
    EmuFault *fault = self->list->pdata[i];
    EmuFault **place = &set->by_kind[fault->kind];
    if (*place != NULL || !strikes_locked (fault, endpoint, uri))
      continue;
    cab_ref_take (&fault->refs);
    *place = fault;
    taken = TRUE;
  }
  return taken;
}

void emu_fault_set_clear (EmuFaultSet *set) {
  for (guint i = 0; i < EMU_FAULT_COUNT; i++)
    g_clear_pointer (&set->by_kind[i], fault_unref);
}

guint emu_fault_id (const EmuFault *fault) {
  return fault->id;
}

json_t *emu_fault_arg (const EmuFault *fault, const char *name) {
  return fault != NULL ? json_object_get (fault->spec, name) : NULL;
}

gint64 emu_fault_int (const EmuFault *fault, const char *name, gint64 otherwise) {
  json_t *value = emu_fault_arg (fault, name);
  return json_is_integer (value) ? json_integer_value (value) : otherwise;
}

const char *emu_fault_text (const EmuFault *fault, const char *name) {
  return json_string_value (emu_fault_arg (fault, name));
}

gboolean emu_fault_is (const EmuFault *fault, const char *name, const char *value) {
  return g_strcmp0 (emu_fault_text (fault, name), value) == 0;
}

gint64 emu_fault_reserve (EmuFault *fault, guint64 bytes, gint64 rate, gint64 now_us) {
  CAB_LOCK_SCOPE (&fault->lock);
  gint64 at = MAX (fault->free_at_us, now_us);
  fault->free_at_us = at + (gint64) (bytes * 1000000 / (guint64) MAX (rate, 1));
  return at;
}
