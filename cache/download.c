/* download.c - what is being downloaded and unpacked, for whoever asks how the mount is doing.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cache/content-private.h"

static void download_clear (gpointer data) {
  CabDownload *download = data;
  g_free (download->application);
  g_free (download->failure);
  g_free (download->id);
  g_free (download->member);
}

static gboolean is_on_the_way_locked (const CabContent *self) {
  return self->blob != NULL && !atomic_load (&self->complete) &&
         (self->phase == CONTENT_OPENING || self->phase == CONTENT_READY) &&
         self->streams.length + self->openers.length + self->readers.length > 0;
}

/* Its CAB is here, or is itself on the way. */
static gboolean is_unpacked_locked (const CabContent *self) {
  return cab_extraction_runs_locked (self);
}

static CabDownload describe_locked (const CabContent *self, gint64 now_us) {
  gboolean has_size = self->phase == CONTENT_READY;
  gboolean member = self->extraction != NULL;
  return (CabDownload){.application = g_strdup (self->scope->application),
                       .failure = g_strdup (self->scope->failure),
                       .id = g_strdup (member ? self->extraction->cab_id : self->id),
                       .member = member ? g_strdup (self->extraction->member->path) : NULL,
                       .has_size = has_size,
                       .size = has_size ? self->size : 0,
                       .cached = cab_ranges_total (&self->have),
                       .rate = cab_rate_get (&self->rate, now_us),
                       .readers = self->openers.length + self->readers.length,
                       .connections = self->streams.length};
}

static GArray *describe_all (CabContents *self, gboolean (*counts_locked) (const CabContent *content),
                             gint64 now_us) {
  GArray *downloads = g_array_new (FALSE, FALSE, sizeof (CabDownload));
  g_array_set_clear_func (downloads, download_clear);
  CAB_LOCK_SCOPE (&self->lock);
  GHashTableIter iter;
  gpointer value;
  g_hash_table_iter_init (&iter, self->table);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    if (!counts_locked (value))
      continue;
    CabDownload download = describe_locked (value, now_us);
    g_array_append_val (downloads, download);
  }
  return downloads;
}

GArray *cab_contents_downloads (CabContents *self, gint64 now_us) {
  return describe_all (self, is_on_the_way_locked, now_us);
}

GArray *cab_contents_unpackings (CabContents *self, gint64 now_us) {
  return describe_all (self, is_unpacked_locked, now_us);
}
