/* SPDX-License-Identifier: MIT */
#include "fs/products.h"

#include "client/error.h"
#include "client/sync.h"
#include "fs/dir.h"

#define FAILED_PAUSE_US (60 * G_USEC_PER_SEC)

/* Where two lists have the same application, it is of the first. */
static const char *const families[] = {"driver", "desktop", "store"};
enum { N_LISTS = G_N_ELEMENTS (families) };

typedef struct {
  CabRecords *records; /* NULL: none so far */
  guint64 version;     /* of the listing */
  gint64 not_before_us;
  gboolean told;  /* that it failed */
  GError *failed; /* with this, while there are no records */
} List;

struct CabProducts {
  CabCache *cache; /* set at creation */
  pthread_mutex_t lock;
  List lists[N_LISTS];
  GHashTable *known; /* lock: applicationId, owned, to its family */
  guint64 version;   /* lock */
};

/* One cab_products_ask(). */
typedef struct Round Round;

typedef struct {
  Round *round;
  guint index; /* in `families` */
} Question;

struct Round {
  CabProducts *products;
  CabReach reach;
  void (*done) (gpointer data);
  gpointer data;
  CabRefs refs; /* one for each question under way, and one while they are asked */
  Question questions[N_LISTS];
};

CabProducts *cab_products_new (CabCache *cache) {
  CabProducts *self = g_new0 (CabProducts, 1);
  self->cache = cache;
  pthread_mutex_init (&self->lock, NULL);
  self->known = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  return self;
}

void cab_products_free (CabProducts *self) {
  if (self == NULL)
    return;
  for (guint i = 0; i < N_LISTS; i++) {
    g_clear_pointer (&self->lists[i].records, cab_records_unref);
    g_clear_error (&self->lists[i].failed);
  }
  g_hash_table_unref (self->known);
  pthread_mutex_destroy (&self->lock);
  g_free (self);
}

/* --- answers ------------------------------------------------------------------------------------------------ */

static void know_locked (CabProducts *self, const CabRecords *records, const char *family) {
  for (guint i = 0; i < cab_records_count (records); i++) {
    CabRecord record;
    cab_records_get (records, i, &record);
    if (!g_hash_table_contains (self->known, record.id))
      g_hash_table_insert (self->known, g_strdup (record.id), (gpointer) (gsize) family);
  }
}

static void take_list (CabProducts *self, guint index, const CabListing *listing) {
  CAB_LOCK_SCOPE (&self->lock);
  List *list = &self->lists[index];
  list->told = FALSE;
  g_clear_error (&list->failed);
  list->not_before_us = 0;
  if (list->records != NULL && list->version == listing->version)
    return;
  g_clear_pointer (&list->records, cab_records_unref);
  list->records = cab_records_ref (listing->records);
  list->version = listing->version;
  self->version++;
  know_locked (self, list->records, families[index]);
}

/* TRUE if that is worth a line in the log. */
static gboolean take_failure (CabProducts *self, guint index, const GError *error) {
  CAB_LOCK_SCOPE (&self->lock);
  List *list = &self->lists[index];
  g_clear_error (&list->failed);
  if (list->records == NULL)
    list->failed = g_error_copy (error);
  gboolean news = !list->told;
  list->told = TRUE;
  list->not_before_us = g_get_monotonic_time () + FAILED_PAUSE_US;
  return news;
}

static void round_leave (Round *self) {
  if (!cab_ref_drop (&self->refs))
    return;
  self->done (self->data);
  g_free (self);
}

static void on_list (gpointer data, const CabListing *listing, const GError *error) {
  const Question *question = data;
  Round *round = question->round;
  const char *family = families[question->index];
  /* That somebody may not ask, or that the mount ends, is no failure of the services. */
  gboolean failed = round->reach == CAB_REACH_NETWORK && error != NULL &&
                    !g_error_matches (error, CAB_ERROR, CAB_ERROR_CANCELLED);
  if (error == NULL)
    take_list (round->products, question->index, listing);
  else if (failed && take_failure (round->products, question->index, error))
    g_warning (
        "discover: the products of family \"%s\" cannot be listed, only those of the configuration are: %s",
        family, error->message);
  round_leave (round);
}

/* --- asking ------------------------------------------------------------------------------------------------- */

static gboolean is_paused (CabProducts *self, guint index) {
  CAB_LOCK_SCOPE (&self->lock);
  return g_get_monotonic_time () < self->lists[index].not_before_us;
}

void cab_products_ask (CabProducts *self, CabReach reach, void (*done) (gpointer data), gpointer data) {
  Round *round = g_new0 (Round, 1);
  *round = (Round){.products = self, .reach = reach, .done = done, .data = data};
  cab_ref_init (&round->refs);
  for (guint i = 0; i < N_LISTS; i++) {
    if (is_paused (self, i))
      continue;
    const CabScope scope = {.family = (char *) (gsize) families[i]};
    round->questions[i] = (Question){round, i};
    cab_ref_take (&round->refs);
    cab_cache_list (self->cache, &scope, reach, on_list, &round->questions[i]);
  }
  round_leave (round);
}

void cab_products_retry (CabProducts *self) {
  CAB_LOCK_SCOPE (&self->lock);
  for (guint i = 0; i < N_LISTS; i++)
    self->lists[i].not_before_us = 0;
}

/* --- what is known ------------------------------------------------------------------------------------------ */

char **cab_products_list (CabProducts *self) {
  char **ids = g_new0 (char *, 1);
  CAB_LOCK_SCOPE (&self->lock);
  for (guint i = 0; i < N_LISTS; i++)
    if (self->lists[i].records != NULL)
      ids = cab_dir_merge (ids, cab_dir_ids (self->lists[i].records));
  return ids;
}

static gboolean is_unavailable (const GError *error) {
  return g_error_matches (error, CAB_ERROR, CAB_ERROR_NOT_FOUND) ||
         g_error_matches (error, CAB_ERROR, CAB_ERROR_DENIED);
}

GError *cab_products_failure (CabProducts *self) {
  const GError *worst = NULL;
  gboolean any = FALSE;
  CAB_LOCK_SCOPE (&self->lock);
  for (guint i = 0; i < N_LISTS; i++) {
    const GError *failed = self->lists[i].failed;
    any = any || self->lists[i].records != NULL;
    if (failed != NULL && (worst == NULL || is_unavailable (worst)))
      worst = failed;
  }
  return worst != NULL && !(any && is_unavailable (worst)) ? g_error_copy (worst) : NULL;
}

const char *cab_products_family (CabProducts *self, const char *application) {
  CAB_LOCK_SCOPE (&self->lock);
  return g_hash_table_lookup (self->known, application);
}

guint cab_products_skipped (CabProducts *self) {
  guint skipped = 0;
  CAB_LOCK_SCOPE (&self->lock);
  for (guint i = 0; i < N_LISTS; i++)
    if (self->lists[i].records != NULL)
      skipped += cab_records_skipped (self->lists[i].records);
  return skipped;
}

guint64 cab_products_version (CabProducts *self) {
  CAB_LOCK_SCOPE (&self->lock);
  return self->version;
}
