/* SPDX-License-Identifier: MIT */
#include "client/list.h"

#include "client/error.h"

typedef struct {
  CabCalls *calls;
  CabScope *scope;
  CabWindow window;
  CabListSink sink;
  gpointer data;
  guint way;
  guint64 skip; /* rows so far */
  guint pages;
  CabRecordsBuilder *builder;
  GError *denied; /* what an earlier way was refused with */
} List;

static void ask_page (List *self);

static void finish (List *self, CabRecords *records, const GError *error) {
  self->sink.done (self->data, records, error);
  cab_scope_free (self->scope);
  g_clear_pointer (&self->builder, cab_records_builder_free);
  g_clear_error (&self->denied);
  g_free (self);
}

static void finish_ok (List *self) {
  g_autoptr (CabRecords) records = cab_records_builder_end (g_steal_pointer (&self->builder));
  if (cab_records_skipped (records) > 0) {
    g_autofree char *name = cab_scope_to_text (self->scope);
    g_warning ("%s: %u rows of the list were skipped: another scope than asked for, or no safe key", name,
               cab_records_skipped (records));
  }
  finish (self, records, NULL);
}

static void take_page (List *self, const CabAnswer *answer) {
  g_autoptr (GError) error = NULL;
  CabPage page = {0};
  gsize len = 0;
  const void *bytes = cab_answer_body (answer, &len);
  if (!cab_api_parse_page (self->scope, self->way, bytes, len, self->builder, &page, &error)) {
    g_prefix_error (&error, "page %u: ", self->pages);
    finish (self, NULL, error);
    return;
  }
  self->skip += page.rows;
  if (self->sink.progress != NULL)
    self->sink.progress (self->data);
  if (page.last)
    finish_ok (self);
  else
    ask_page (self);
}

static gboolean try_next_way (List *self, const CabAnswer *answer, const GError *error) {
  if (!cab_call_is_absent (answer) || self->pages > 1 || self->way + 1 >= cab_api_ways (self->scope))
    return FALSE;
  if (g_error_matches (error, CAB_ERROR, CAB_ERROR_DENIED) && self->denied == NULL)
    self->denied = g_error_copy (error);
  g_info ("%s: trying another way", error->message);
  self->way++;
  self->pages = 0;
  ask_page (self);
  return TRUE;
}

static void page_answered (gpointer data, const CabAnswer *answer, const GError *error) {
  List *self = data;
  g_autoptr (GError) odd = NULL;
  if (error == NULL && cab_answer_status (answer) != 200)
    odd = g_error_new (CAB_ERROR, CAB_ERROR_INVALID, "HTTP status %d instead of a list",
                       cab_answer_status (answer));
  if (error == NULL && odd == NULL)
    take_page (self, answer);
  else if (odd != NULL)
    finish (self, NULL, odd);
  else if (!try_next_way (self, answer, error))
    finish (self, NULL,
            g_error_matches (error, CAB_ERROR, CAB_ERROR_NOT_FOUND) && self->denied != NULL ? self->denied
                                                                                            : error);
}

static void ask_page (List *self) {
  if (self->pages == CAB_PAGES_MAX) {
    g_autoptr (GError) error =
        g_error_new (CAB_ERROR, CAB_ERROR_INVALID, "the list has no end after %u pages", self->pages);
    finish (self, NULL, error);
    return;
  }
  self->pages++;
  g_autofree char *path = cab_api_list_path (self->scope, self->way, &self->window, self->skip);
  cab_call_get (self->calls, path, CAB_PAGE_LIMIT, CAB_METRIC_LIST_REQUESTS, page_answered, self);
}

void cab_list_run (CabCalls *calls, const CabScope *scope, const CabWindow *window, const CabListSink *sink,
                   gpointer data) {
  List *self = g_new0 (List, 1);
  self->calls = calls;
  self->scope = cab_scope_copy (scope);
  self->window = *window;
  self->sink = *sink;
  self->data = data;
  self->builder = cab_records_builder_new ();
  if (cab_api_ways (scope) > 0) {
    ask_page (self);
    return;
  }
  g_autofree char *name = cab_scope_to_text (scope);
  g_autoptr (GError) error = g_error_new (CAB_ERROR, CAB_ERROR_NOT_FOUND, "%s: no service lists this", name);
  finish (self, NULL, error);
}
