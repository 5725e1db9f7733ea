/* SPDX-License-Identifier: MIT */
#include "tests/emulator/config.h"
#include "client/sync.h"

struct EmuConfig {
  pthread_mutex_t lock;
  json_t *values[EMU_SETTING_COUNT]; /* lock: owned */
};

static const struct {
  const char *name;
  const char *value;
} settings[] = {
#define EMU_SETTING_ROW(constant, name, value, help) {name, value},
    EMU_SETTINGS (EMU_SETTING_ROW)
#undef EMU_SETTING_ROW
};

EmuConfig *emu_config_new (void) {
  EmuConfig *self = g_new0 (EmuConfig, 1);
  pthread_mutex_init (&self->lock, NULL);
  emu_config_reset (self);
  return self;
}

void emu_config_free (EmuConfig *self) {
  if (self == NULL)
    return;
  for (guint i = 0; i < EMU_SETTING_COUNT; i++)
    json_decref (self->values[i]);
  pthread_mutex_destroy (&self->lock);
  g_free (self);
}

void emu_config_reset (EmuConfig *self) {
  CAB_LOCK_SCOPE (&self->lock);
  for (guint i = 0; i < EMU_SETTING_COUNT; i++) {
    json_decref (self->values[i]);
    self->values[i] = json_loads (settings[i].value, JSON_DECODE_ANY, NULL);
  }
}

gint64 emu_config_int (EmuConfig *self, EmuSetting setting) {
  CAB_LOCK_SCOPE (&self->lock);
  return json_integer_value (self->values[setting]);
}

char *emu_config_string (EmuConfig *self, EmuSetting setting) {
  CAB_LOCK_SCOPE (&self->lock);
  return g_strdup (json_string_value (self->values[setting]));
}

static guint find (const char *name) {
  guint i = 0;
  while (i < EMU_SETTING_COUNT && strcmp (settings[i].name, name) != 0)
    i++;
  return i;
}

/* Numbers stay numbers; texts may be null. */
static gboolean fits (const json_t *old, const json_t *value) {
  if (json_is_integer (old))
    return json_is_integer (value);
  return json_is_string (value) || json_is_null (value);
}

gboolean emu_config_update (EmuConfig *self, json_t *object, GError **error) {
  const char *name;
  json_t *value;
  CAB_LOCK_SCOPE (&self->lock);
  json_object_foreach (object, name, value) {
    guint i = find (name);
    if (i == EMU_SETTING_COUNT || !fits (self->values[i], value)) {
      emu_error_set (error, "no setting \"%s\" that takes this value", name);
      return FALSE;
    }
  }
  json_object_foreach (object, name, value) {
    guint i = find (name);
    json_decref (self->values[i]);
    self->values[i] = json_incref (value);
  }
  return TRUE;
}

json_t *emu_config_dump (EmuConfig *self) {
  json_t *object = json_object ();
  CAB_LOCK_SCOPE (&self->lock);
  for (guint i = 0; i < EMU_SETTING_COUNT; i++)
    json_object_set (object, settings[i].name, self->values[i]);
  return object;
}
