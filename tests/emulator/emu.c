/* SPDX-License-Identifier: MIT */
#include "tests/emulator/emu.h"
#include <stdarg.h>

static const char *const endpoints[] = {
#define EMU_ENDPOINT_NAME(constant, name) name,
    EMU_ENDPOINTS (EMU_ENDPOINT_NAME)
#undef EMU_ENDPOINT_NAME
};

const char *emu_endpoint_name (EmuEndpoint endpoint) {
  return endpoints[endpoint];
}

EmuEndpoint emu_endpoint_find (const char *name) {
  guint i = 0;
  while (i < EMU_ENDPOINT_COUNT && g_strcmp0 (endpoints[i], name) != 0)
    i++;
  return (EmuEndpoint) i;
}

guint emu_endpoint_match (const char *pattern) {
  guint mask = 0;
  for (guint i = 0; i < EMU_ENDPOINT_COUNT; i++)
    if (g_pattern_match_simple (pattern, endpoints[i]))
      mask |= EMU_BIT (i);
  return mask;
}

gint64 emu_now_ms (void) {
  return g_get_real_time () / 1000;
}

G_DEFINE_QUARK (emu - error - quark, emu_error)

void emu_error_set (GError **error, const char *format, ...) {
  va_list args;
  va_start (args, format);
  g_autoptr (GError) made = g_error_new_valist (EMU_ERROR, 0, format, args);
  va_end (args);
  g_propagate_error (error, g_steal_pointer (&made));
}
