/* SPDX-License-Identifier: MIT */
#include "fs/text.h"

#include <errno.h>
#include <unistd.h>

static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};

static double in_unit (guint64 bytes, guint unit) {
  return (double) bytes / (double) ((guint64) 1 << (10 * unit));
}

/* The largest in which it is not less than 1, when it is rounded. */
static guint unit_of (guint64 bytes) {
  guint unit = 0;
  while (unit + 1 < G_N_ELEMENTS (units) && in_unit (bytes, unit) >= 1023.95)
    unit++;
  return unit;
}

/* In a unit of its own or another's. */
static char *number_in (guint64 bytes, guint unit) {
  return g_strdup_printf (unit > 0 ? "%.1f" : "%.0f", in_unit (bytes, unit));
}

char *cab_text_size (guint64 bytes) {
  guint unit = unit_of (bytes);
  g_autofree char *number = number_in (bytes, unit);
  return g_strdup_printf ("%s %s", number, units[unit]);
}

char *cab_text_part (guint64 bytes, guint64 all) {
  guint unit = unit_of (all);
  g_autofree char *some = number_in (bytes, unit);
  g_autofree char *whole = number_in (all, unit);
  return g_strdup_printf ("%s of %s %s", some, whole, units[unit]);
}

void cab_text_add_line (GPtrArray *lines, const char *format, ...) {
  va_list args;
  va_start (args, format);
  g_ptr_array_add (lines, g_strdup_vprintf (format, args));
  va_end (args);
}

GString *cab_text_read (int fd, gsize most) {
  g_autoptr (GString) text = g_string_new (NULL);
  char bytes[16384];
  ssize_t got;
  do {
    got = read (fd, bytes, sizeof bytes);
    if (got > 0)
      g_string_append_len (text, bytes, got);
  } while ((got > 0 && text->len <= most) || (got < 0 && errno == EINTR));
  if (got > 0)
    errno = EFBIG;
  return got == 0 ? g_steal_pointer (&text) : NULL;
}
