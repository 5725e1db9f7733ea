/* lend.c - contents as other mounts on the directory have them open.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cache/content-private.h"
#include "client/error.h"

/* Who asked for a content that was opening, or closing. */
typedef struct {
  CabOpenDone done;
  gpointer data;
} Borrower;

static GError *no_such (void) {
  return g_error_new_literal (CAB_ERROR, CAB_ERROR_NOT_FOUND, "not here");
}

static void on_open (gpointer data, CabContent *content, const GError *error) {
  g_autofree Borrower *borrower = data;
  if (content == NULL || !cab_object_is_private (content->object)) {
    borrower->done (borrower->data, content, error);
    return;
  }
  g_autoptr (GError) refusal = no_such ();
  cab_content_unref (content);
  borrower->done (borrower->data, NULL, refusal);
}

/* Is answered like all who open it, or, where it closes, once the file is free for whoever asks. */
static void queue_locked (CabContent *content, CabOpenDone done, gpointer data) {
  Borrower *borrower = g_new (Borrower, 1);
  *borrower = (Borrower){done, data};
  Opener *opener = g_new0 (Opener, 1);
  opener->done = on_open;
  opener->data = borrower;
  opener->since_us = g_get_monotonic_time ();
  g_queue_push_tail (&content->openers, opener);
}

void cab_contents_lend (CabContents *self, const char *key, CabOpenDone done, gpointer data) {
  CabContent *content;
  {
    CAB_LOCK_SCOPE (&self->lock);
    content = g_hash_table_lookup (self->table, key);
    /* One that takes from others itself is nobody's to take from: nobody waits for whom he makes wait. */
    if (content != NULL && (content->extraction != NULL || content->link != NULL))
      content = NULL;
    if (content != NULL && (content->phase == CONTENT_OPENING || content->phase == CONTENT_RETIRING)) {
      queue_locked (content, done, data);
      return;
    }
    if (content != NULL && (content->phase != CONTENT_READY || cab_object_is_private (content->object)))
      content = NULL;
    if (content != NULL)
      cab_content_ref_locked (content);
  }
  g_autoptr (GError) refusal = content == NULL ? no_such () : NULL;
  done (data, content, refusal);
}

void cab_content_lend_facts (CabContent *self, CabFacts *facts) {
  CAB_LOCK_SCOPE (&self->owner->lock);
  *facts = (CabFacts){
      .size = self->size, .etag = self->etag, .md5 = g_strdup (self->md5), .modified = self->modified};
}

CabZone cab_content_lend_zone (const CabContent *self, CabRange range) {
  return cab_plan_cut (range, self->owner->options.connections);
}
