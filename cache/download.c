/* download.c - what is being downloaded, for whoever asks how the mount is doing.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cache/content-private.h"

static void download_clear (gpointer data) {
  CabDownload *download = data;
  g_free (download->application);
  g_free (download->failure);
  g_free (download->id);
}

/* Members come from CABs that are here, or that are themselves on the way. */
static gboolean is_on_the_way_locked (const CabContent *self) {
  return self->blob != NULL && !atomic_load (&self->complete) &&
         (self->phase == CONTENT_OPENING || self->phase == CONTENT_READY) &&
         self->streams.length + self->openers.length + self->readers.length > 0;
}

static CabDownload describe_locked (const CabContent *self, gint64 now_us) {
  gboolean has_size = self->phase == CONTENT_READY;
  return (CabDownload){.application = g_strdup (self->scope->application),
                       .failure = g_strdup (self->scope->failure),
                       .id = g_strdup (self->id),
                       .has_size = has_size,
                       .size = has_size ? self->size : 0,
                       .cached = cab_ranges_total (&self->have),
                       .rate = cab_rate_get (&self->rate, now_us),
                       .readers = self->openers.length + self->readers.length,
                       .connections = self->streams.length};
}

GArray *cab_contents_downloads (CabContents *self, gint64 now_us) {
  GArray *downloads = g_array_new (FALSE, FALSE, sizeof (CabDownload));
  g_array_set_clear_func (downloads, download_clear);
  CAB_LOCK_SCOPE (&self->lock);
  GHashTableIter iter;
  gpointer value;
  g_hash_table_iter_init (&iter, self->table);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    if (!is_on_the_way_locked (value))
      continue;
    CabDownload download = describe_locked (value, now_us);
    g_array_append_val (downloads, download);
  }
  return downloads;
}
