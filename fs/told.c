/* SPDX-License-Identifier: MIT */
#include "fs/told.h"

#include "client/sync.h"

/* That were told a size and have not asked for more: of threads the first are forgotten, of nodes all.  Those threads are
 * then sent to ask once more. */
#define MOST_THREADS 256
#define MOST_NODES   1024

/* A size that is on its way. */
typedef struct {
  guint64 size;
  GArray *threads; /* of pid_t: to whom */
} News;

struct CabTold {
  pthread_mutex_t lock;
  GHashTable *news; /* lock: inode to News, owned */
};

static void news_free (gpointer data) {
  News *self = data;
  g_array_unref (self->threads);
  g_free (self);
}

CabTold *cab_told_new (void) {
  CabTold *self = g_new0 (CabTold, 1);
  pthread_mutex_init (&self->lock, NULL);
  self->news = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, news_free);
  return self;
}

void cab_told_free (CabTold *self) {
  if (self == NULL)
    return;
  g_hash_table_unref (self->news);
  pthread_mutex_destroy (&self->lock);
  g_free (self);
}

static News *news_locked (CabTold *self, const CabNode *node, guint64 size) {
  News *news = g_hash_table_lookup (self->news, &node->ino);
  if (news != NULL && news->size == size)
    return news;
  if (g_hash_table_size (self->news) >= MOST_NODES)
    g_hash_table_remove_all (self->news);
  news = g_new0 (News, 1);
  news->size = size;
  news->threads = g_array_new (FALSE, FALSE, sizeof (pid_t));
  g_hash_table_insert (self->news, g_memdup2 (&node->ino, sizeof node->ino), news);
  return news;
}

void cab_told_say (CabTold *self, CabNode *node, guint64 size, pid_t thread) {
  unsigned long long none = CAB_SIZE_UNKNOWN;
  if (atomic_load (&node->told) == size || atomic_compare_exchange_strong (&node->told, &none, size))
    return;
  CAB_LOCK_SCOPE (&self->lock);
  if (atomic_load (&node->told) == size) /* somebody was believed meanwhile: that is no news any more */
    return;
  News *news = news_locked (self, node, size);
  if (news->threads->len >= MOST_THREADS)
    g_array_remove_index (news->threads, 0);
  g_array_append_val (news->threads, thread);
}

static gboolean has_thread (const News *news, pid_t thread) {
  for (guint i = 0; i < news->threads->len; i++)
    if (g_array_index (news->threads, pid_t, i) == thread)
      return TRUE;
  return FALSE;
}

gboolean cab_told_has (CabTold *self, CabNode *node, guint64 size, pid_t thread) {
  guint64 told = atomic_load (&node->told);
  if (told == CAB_SIZE_UNKNOWN || told == size)
    return TRUE;
  CAB_LOCK_SCOPE (&self->lock);
  if (atomic_load (&node->told) ==
      size) /* another thread was believed meanwhile, and the news of all are gone */
    return TRUE;
  const News *news = g_hash_table_lookup (self->news, &node->ino);
  if (news == NULL || news->size != size || !has_thread (news, thread))
    return FALSE;
  g_hash_table_remove (self->news, &node->ino);
  atomic_store (&node->told, size);
  return TRUE;
}
