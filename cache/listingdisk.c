/* listingdisk.c - the lists as files.
 *
 * SPDX-License-Identifier: MIT
 */
#include <sys/stat.h>

#include "cache/files.h"
#include "cache/listing-private.h"
#include "client/error.h"
#include "client/metrics.h"

#define LISTING_LIMIT ((gsize) 2 << 30)

/* No application is called ".products": ids do not begin with a dot. */
char *cab_listings_path (const CabScope *scope, const char *suffix) {
  if (scope->application == NULL)
    return g_strconcat ("listings/", scope->family, "/.products", suffix, NULL);
  return g_strconcat ("listings/", scope->family, "/", scope->application, "/",
                      scope->failure != NULL ? scope->failure : "failures", suffix, NULL);
}

/* The suffix keeps a failure whose hash is "failures" apart from the list of all failures. */
static char *list_path (const CabScope *scope) {
  const char *suffix = scope->failure != NULL ? ".cabs" : scope->application != NULL ? ".hits" : "";
  return cab_listings_path (scope, suffix);
}

typedef struct {
  CabStore *store;
  char *path;
  GBytes *bytes;
} SaveJob;

static void save_work (gpointer data) {
  SaveJob *job = data;
  g_autoptr (GError) error = NULL;
  g_autofree char *dir = g_path_get_dirname (job->path);
  g_auto (CabFd) dirfd = cab_dir_make (cab_store_dirfd (job->store), dir, &error);
  gsize len;
  const void *bytes = g_bytes_get_data (job->bytes, &len);
  if (dirfd < 0 || !cab_file_replace (cab_store_dirfd (job->store), job->path, bytes, len, &error))
    cab_store_tell_unusable (job->store, error);
  else
    cab_store_note (job->store, FALSE);
  g_bytes_unref (job->bytes);
  g_free (job->path);
  g_free (job);
}

void cab_listing_save (const CabListEntry *entry, GBytes *bytes) {
  const CabListingsOptions *options = &entry->owner->options;
  SaveJob *job = g_new (SaveJob, 1);
  *job = (SaveJob){options->store, list_path (entry->scope), bytes};
  cab_pool_push (options->pool, save_work, job);
}

static void tell_damaged (const char *path, const GError *error) {
  g_warning ("cache: %s is not used: %s", path, error->message);
  cab_metric_add (CAB_METRIC_CACHE_DAMAGED, 1);
}

/* The list as the last mount left it, or NULL; @fetched_s is when the services gave it. */
static CabRecords *load (CabListings *self, const CabScope *scope, gint64 *fetched_s) {
  int dirfd = cab_store_dirfd (self->options.store);
  g_autofree char *path = list_path (scope);
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = cab_file_read (dirfd, path, LISTING_LIMIT, &error);
  g_autoptr (CabRecords) records = bytes == NULL ? NULL : cab_records_load (bytes, &error);
  if (records == NULL && !g_error_matches (error, CAB_ERROR, CAB_ERROR_NOT_FOUND))
    tell_damaged (path, error);
  struct stat st;
  *fetched_s = fstatat (dirfd, path, &st, 0) == 0 ? (gint64) st.st_mtim.tv_sec : 0;
  return g_steal_pointer (&records);
}

void cab_listing_load (CabListEntry *entry) {
  CabListings *self = entry->owner;
  {
    CAB_LOCK_SCOPE (&self->lock);
    if (entry->loaded)
      return;
  }
  gint64 fetched_s;
  g_autoptr (CabRecords) records = load (self, entry->scope, &fetched_s);
  if (records != NULL)
    self->options.changed (self->options.changed_data, entry->scope, records);
  CAB_LOCK_SCOPE (&self->lock);
  if (!entry->loaded && entry->records == NULL && records != NULL) {
    entry->records = g_steal_pointer (&records);
    entry->fetched_s = fetched_s;
    entry->version = ++self->versions;
    if (!cab_listing_is_expired_locked (entry) && fetched_s <= self->expired_s)
      entry->wanted++;
  }
  entry->loaded = TRUE;
}
