/* SPDX-License-Identifier: MIT */
#include "client/throttle.h"

/* Names come from the service: beyond this, hosts that have no request are forgotten. */
#define MAX_HOSTS 1024

typedef struct {
  double limit;
  guint under_way;
  guint round; /* how often the limit was halved */
} Host;

struct CabThrottle {
  guint most;
  GHashTable *hosts; /* name to Host, both owned: those that have, or had, requests */
};

CabThrottle *cab_throttle_new (guint most) {
  CabThrottle *self = g_new0 (CabThrottle, 1);
  self->most = most;
  self->hosts = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  return self;
}

void cab_throttle_free (CabThrottle *self) {
  if (self == NULL)
    return;
  g_hash_table_unref (self->hosts);
  g_free (self);
}

static Host *find (const CabThrottle *self, const char *name) {
  return name == NULL ? NULL : g_hash_table_lookup (self->hosts, name);
}

guint cab_throttle_limit (const CabThrottle *self, const char *name) {
  const Host *host = find (self, name);
  return host == NULL ? self->most : (guint) host->limit;
}

gboolean cab_throttle_has_room (const CabThrottle *self, const char *name) {
  const Host *host = find (self, name);
  return host == NULL || host->under_way < (guint) host->limit;
}

guint cab_throttle_round (const CabThrottle *self, const char *name) {
  const Host *host = find (self, name);
  return host == NULL ? 0 : host->round;
}

static gboolean is_idle (gpointer name, gpointer value, gpointer data) {
  const Host *host = value;
  return host->under_way == 0;
}

void cab_throttle_begin (CabThrottle *self, const char *name) {
  Host *host = find (self, name);
  if (name == NULL)
    return;
  if (host == NULL) {
    if (g_hash_table_size (self->hosts) >= MAX_HOSTS)
      g_hash_table_foreach_remove (self->hosts, is_idle, NULL);
    host = g_new0 (Host, 1);
    host->limit = self->most;
    g_hash_table_insert (self->hosts, g_strdup (name), host);
  }
  host->under_way++;
}

gboolean cab_throttle_end (CabThrottle *self, const char *name, guint round, int status) {
  Host *host = find (self, name);
  if (host == NULL)
    return FALSE;
  gboolean counts = round == host->round;
  gboolean refused = counts && (status == 429 || status == 503);
  if (refused) {
    host->limit = MAX (1.0, MIN (host->limit, (double) host->under_way) / 2);
    host->round++;
  } else if (counts && status >= 200 && status < 500) {
    host->limit = MIN ((double) self->most, host->limit + 1 / host->limit);
  }
  host->under_way--;
  return refused;
}

void cab_throttle_each (const CabThrottle *self, CabThrottleFunc func, gpointer data) {
  GHashTableIter iter;
  gpointer name, value;
  g_hash_table_iter_init (&iter, self->hosts);
  while (g_hash_table_iter_next (&iter, &name, &value)) {
    const Host *host = value;
    func (data, name, host->under_way, (guint) host->limit);
  }
}
