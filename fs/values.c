/* SPDX-License-Identifier: MIT */
#include "fs/values.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/error.h"

gboolean cab_value_refuse (GError **error, const char *format, ...) {
  va_list args;
  va_start (args, format);
  g_autofree char *message = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error_literal (error, CAB_ERROR, CAB_ERROR_INVALID, message);
  return FALSE;
}

/* Digits at the head of @text; FALSE if there are none or too many. */
static gboolean leading_number (const char *text, guint64 *out, const char **rest) {
  if (!g_ascii_isdigit (text[0]))
    return FALSE;
  char *end;
  errno = 0;
  *out = g_ascii_strtoull (text, &end, 10);
  *rest = end;
  return errno == 0;
}

gboolean cab_value_size (const char *text, guint64 *out, GError **error) {
  static const char units[] = "KMGT";
  guint64 number;
  const char *rest;
  guint shift = 0;
  gboolean ok = leading_number (text, &number, &rest);
  if (ok && *rest != '\0') {
    const char *unit = strchr (units, g_ascii_toupper (*rest));
    ok = unit != NULL && rest[1] == '\0';
    shift = ok ? 10 * (guint) (unit - units + 1) : 0;
  }
  if (!ok || number > ((guint64) G_MAXINT64 >> shift))
    return cab_value_refuse (
        error, "\"%s\" is not a size; a number of bytes, with K, M, G or T for powers of 1024 (10G)", text);
  *out = number << shift;
  return TRUE;
}

static char *time_text (gint64 seconds) {
  static const struct {
    gint64 seconds;
    char unit;
  } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}};
  for (gsize i = 0; i < G_N_ELEMENTS (units); i++)
    if (seconds > 0 && seconds % units[i].seconds == 0)
      return g_strdup_printf ("%" G_GINT64_FORMAT "%c", seconds / units[i].seconds, units[i].unit);
  return g_strdup_printf ("%" G_GINT64_FORMAT, seconds);
}

static gint64 unit_seconds (const char *rest) {
  if (rest[0] != '\0' && rest[1] != '\0')
    return 0;
  switch (rest[0]) {
  case '\0':
  case 's':
    return 1;
  case 'm':
    return 60;
  case 'h':
    return 3600;
  case 'd':
    return 86400;
  default:
    return 0;
  }
}

gboolean cab_value_time (const char *text, gint64 min, gint64 max, gint64 *out_s, GError **error) {
  guint64 number;
  const char *rest;
  gint64 unit = leading_number (text, &number, &rest) ? unit_seconds (rest) : 0;
  if (unit == 0)
    return cab_value_refuse (error, "\"%s\" is not a time; a number of seconds, or with s, m, h or d (30d)",
                             text);
  if (number > (guint64) (max / unit) || (gint64) number * unit < min) {
    g_autofree char *least = time_text (min);
    g_autofree char *most = time_text (max);
    return cab_value_refuse (error, "\"%s\" is out of range; %s to %s", text, least, most);
  }
  *out_s = (gint64) number * unit;
  return TRUE;
}

gboolean cab_value_number (const char *text, guint min, guint max, guint *out, GError **error) {
  guint64 number;
  const char *rest;
  if (!leading_number (text, &number, &rest) || *rest != '\0' || number < min || number > max)
    return cab_value_refuse (error, "\"%s\" is not a number from %u to %u", text, min, max);
  *out = (guint) number;
  return TRUE;
}

gboolean cab_value_flag (const char *text, gboolean *out, GError **error) {
  static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1", NULL};
  for (guint i = 0; words[i] != NULL; i++)
    if (g_ascii_strcasecmp (text, words[i]) == 0) {
      *out = i % 2 == 1;
      return TRUE;
    }
  return cab_value_refuse (error, "\"%s\" is neither yes nor no", text);
}

gboolean cab_value_share (const char *text, guint *out_percent, guint64 *out_bytes, GError **error) {
  guint64 number;
  const char *rest;
  guint percent = 0;
  guint64 bytes = 0;
  if (strchr (text, '%') != NULL) {
    if (!leading_number (text, &number, &rest) || strcmp (rest, "%") != 0 || number > 100)
      return cab_value_refuse (error, "\"%s\" is not a share; 0%% to 100%%, or a size (2G)", text);
    percent = (guint) number;
  } else if (!cab_value_size (text, &bytes, error)) {
    return FALSE;
  }
  *out_percent = percent;
  *out_bytes = bytes;
  return TRUE;
}

gboolean cab_value_choice (const char *text, const char *const *words, guint *out, GError **error) {
  for (guint i = 0; words[i] != NULL; i++)
    if (strcmp (text, words[i]) == 0) {
      *out = i;
      return TRUE;
    }
  g_autoptr (GString) all = g_string_new (words[0]);
  for (guint i = 1; words[i] != NULL; i++)
    g_string_append_printf (all, ", %s", words[i]);
  return cab_value_refuse (error, "\"%s\" is not known; one of: %s", text, all->str);
}

gboolean cab_value_date (const char *text, char **out, GError **error) {
  static const char pattern[] = "dddd-dd-dd";
  gboolean ok = strlen (text) == strlen (pattern);
  for (gsize i = 0; ok && i < strlen (pattern); i++)
    ok = pattern[i] == 'd' ? g_ascii_isdigit (text[i]) : text[i] == pattern[i];
  if (ok) {
    GDateYear year = (GDateYear) g_ascii_strtoull (text, NULL, 10);
    guint month = (guint) g_ascii_strtoull (text + 5, NULL, 10);
    GDateDay day = (GDateDay) g_ascii_strtoull (text + 8, NULL, 10);
    ok = g_date_valid_dmy (day, (GDateMonth) month, year);
  }
  if (!ok)
    return cab_value_refuse (error, "\"%s\" is not a day; yyyy-mm-dd", text);
  *out = g_strdup (text);
  return TRUE;
}

/* Not even in part in the message: what is wrong may be a password that does not belong there. */
gboolean cab_value_url (const char *text, char **out, GError **error) {
  const char *rest = NULL;
  if (g_str_has_prefix (text, "https://"))
    rest = text + strlen ("https://");
  else if (g_str_has_prefix (text, "http://"))
    rest = text + strlen ("http://");
  gboolean ok = rest != NULL && *rest != '\0' && *rest != '/' && *rest != ':';
  for (const char *p = text; ok && *p != '\0'; p++)
    ok = g_ascii_isgraph (*p) && strchr ("?#@\"<>\\", *p) == NULL;
  if (!ok)
    return cab_value_refuse (error, "not an address; https://HOST, then :PORT and /PATH if need be");
  gsize len = strlen (text);
  while (text[len - 1] == '/')
    len--;
  *out = g_strndup (text, len);
  return TRUE;
}

char **cab_value_list (const char *text) {
  g_auto (GStrv) parts = g_strsplit (text, ";", -1);
  GPtrArray *items = g_ptr_array_new ();
  for (guint i = 0; parts[i] != NULL; i++) {
    g_strstrip (parts[i]);
    if (parts[i][0] != '\0')
      g_ptr_array_add (items, g_strdup (parts[i]));
  }
  g_ptr_array_add (items, NULL);
  return (char **) g_ptr_array_free (items, FALSE);
}
