/* SPDX-License-Identifier: MIT */
#include "fs/names.h"

#include <string.h>

enum {
  APPLICATION_DIGITS_MIN = 8,
  APPLICATION_DIGITS_MAX = 20,
  STORE_ID_LENGTH = 12,
  FAILURE_MIN = 16,
  FAILURE_MAX = 64,
  ID_MAX = 128, /* api-contract.md 1.1 */
};

typedef gboolean (*CharTest) (char c);

static gboolean is_digit (char c) {
  return g_ascii_isdigit (c);
}

static gboolean is_store_char (char c) {
  return g_ascii_isdigit (c) || g_ascii_isupper (c);
}

static gboolean is_failure_char (char c) {
  return g_ascii_isalnum (c) || c == '-';
}

static gboolean is_id_char (char c) {
  return g_ascii_isalnum (c) || c == '.' || c == '_' || c == '-';
}

static gboolean all (const char *text, gsize len, CharTest test) {
  for (gsize i = 0; i < len; i++)
    if (!test (text[i]))
      return FALSE;
  return TRUE;
}

gboolean cab_name_is_store (const char *name) {
  gsize len = strlen (name);
  return len == STORE_ID_LENGTH && all (name, len, is_store_char);
}

gboolean cab_name_is_application (const char *name) {
  gsize len = strlen (name);
  if (len >= APPLICATION_DIGITS_MIN && len <= APPLICATION_DIGITS_MAX && all (name, len, is_digit))
    return TRUE;
  return cab_name_is_store (name);
}

gboolean cab_name_is_failure (const char *name) {
  gsize len = strlen (name);
  if (len < FAILURE_MIN || len > FAILURE_MAX || !all (name, len, is_failure_char))
    return FALSE;
  return strpbrk (name, "0123456789") != NULL;
}

char *cab_name_from_cab (const char *id) {
  return g_strconcat (id, CAB_NAME_CAB, NULL);
}

static gboolean split (const char *name, const char *suffix, gsize *id_len) {
  if (!g_str_has_suffix (name, suffix))
    return FALSE;
  gsize len = strlen (name) - strlen (suffix);
  if (len == 0 || len > ID_MAX || name[0] == '.' || !all (name, len, is_id_char))
    return FALSE;
  *id_len = len;
  return TRUE;
}

gboolean cab_name_to_cab (const char *name, gsize *id_len) {
  return split (name, CAB_NAME_CAB, id_len);
}

gboolean cab_name_to_open (const char *name, gsize *id_len) {
  return split (name, CAB_NAME_OPEN, id_len);
}

/* FNV-1a leaves the high bits of short, similar names alike; the multiplications at the end spread every bit over
 * all others, so that whoever folds the number to 32 bits still gets few collisions. */
guint64 cab_name_inode (const char *path) {
  guint64 h = G_GUINT64_CONSTANT (0xcbf29ce484222325);
  for (const unsigned char *p = (const unsigned char *) path; *p != '\0'; p++) {
    h ^= *p;
    h *= G_GUINT64_CONSTANT (0x100000001b3);
  }
  h ^= h >> 33;
  h *= G_GUINT64_CONSTANT (0xff51afd7ed558ccd);
  h ^= h >> 33;
  h *= G_GUINT64_CONSTANT (0xc4ceb9fe1a85ec53);
  h ^= h >> 33;
  return h > 1 ? h : h + 2;
}
