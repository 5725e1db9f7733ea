/* SPDX-License-Identifier: MIT */
#include "client/ways.h"

typedef struct {
  guint way; /* that answered, until then */
  gint64 until_us;
  gboolean told_way;
  gboolean heard;
  gboolean told_missing;
} Family;

struct CabWays {
  GHashTable *families; /* name to Family, both owned */
};

CabWays *cab_ways_new (void) {
  CabWays *self = g_new0 (CabWays, 1);
  self->families = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  return self;
}

void cab_ways_free (CabWays *self) {
  if (self == NULL)
    return;
  g_hash_table_unref (self->families);
  g_free (self);
}

static Family *find (CabWays *self, const char *name) {
  Family *family = g_hash_table_lookup (self->families, name);
  if (family == NULL) {
    family = g_new0 (Family, 1);
    g_hash_table_insert (self->families, g_strdup (name), family);
  }
  return family;
}

guint cab_ways_first (CabWays *self, const char *family, gint64 now_us) {
  const Family *known = find (self, family);
  return now_us < known->until_us ? known->way : 0;
}

gboolean cab_ways_settle (CabWays *self, const char *family, guint way, gint64 now_us) {
  Family *known = find (self, family);
  gboolean news = way > 0 && !known->told_way;
  if (way != known->way || now_us >= known->until_us) { /* not put off by each list */
    known->way = way;
    known->until_us = now_us + CAB_WAYS_KEPT_US;
  }
  known->told_way = way > 0;
  return news;
}

void cab_ways_heard (CabWays *self, const char *family) {
  find (self, family)->heard = TRUE;
}

gboolean cab_ways_missed (CabWays *self, const char *family) {
  Family *known = find (self, family);
  gboolean news = !known->heard && !known->told_missing;
  known->told_missing = TRUE;
  return news;
}
