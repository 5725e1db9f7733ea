/* SPDX-License-Identifier: MIT */
#include "client/hosts.h"

#include "client/clock.h"
#include "client/records.h"

/* What is remembered is small, but the names come from the service: beyond this the table starts anew. */
#define MAX_HOSTS 1024

typedef struct {
  gint64 date;       /* Unix seconds the host told, or CAB_TIME_UNKNOWN */
  gint64 heard_us;   /* boot clock, when it did */
  gint64 open_at_us; /* monotonic clock */
} Host;

struct CabHosts {
  GHashTable *table; /* name to Host, both owned */
};

CabHosts *cab_hosts_new (void) {
  CabHosts *self = g_new0 (CabHosts, 1);
  self->table = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  return self;
}

void cab_hosts_free (CabHosts *self) {
  if (self == NULL)
    return;
  g_hash_table_unref (self->table);
  g_free (self);
}

static Host *find (const CabHosts *self, const char *name) {
  return name == NULL ? NULL : g_hash_table_lookup (self->table, name);
}

static Host *find_or_add (CabHosts *self, const char *name) {
  Host *host = find (self, name);
  if (host != NULL)
    return host;
  if (g_hash_table_size (self->table) >= MAX_HOSTS)
    g_hash_table_remove_all (self->table);
  host = g_new0 (Host, 1);
  host->date = CAB_TIME_UNKNOWN;
  g_hash_table_insert (self->table, g_strdup (name), host);
  return host;
}

void cab_hosts_heard (CabHosts *self, const char *name, gint64 date) {
  if (name == NULL || date == CAB_TIME_UNKNOWN)
    return;
  Host *host = find_or_add (self, name);
  host->date = date;
  host->heard_us = cab_clock_boot_us ();
}

gint64 cab_hosts_time (const CabHosts *self, const char *name) {
  const Host *host = find (self, name);
  if (host == NULL || host->date == CAB_TIME_UNKNOWN)
    return cab_clock_unix ();
  return host->date + (cab_clock_boot_us () - host->heard_us) / G_USEC_PER_SEC;
}

void cab_hosts_pause (CabHosts *self, const char *name, gint64 until) {
  if (name == NULL)
    return;
  Host *host = find_or_add (self, name);
  host->open_at_us = MAX (host->open_at_us, until);
}

gint64 cab_hosts_open_at (const CabHosts *self, const char *name) {
  const Host *host = find (self, name);
  return host == NULL ? 0 : host->open_at_us;
}
