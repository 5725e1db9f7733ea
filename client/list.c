/* SPDX-License-Identifier: MIT */
#include "client/list.h"

#include "client/clock.h"
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
  char *next;        /* path of the page to ask for, where pages are linked */
  GHashTable *links; /* of paths that were followed */
  CabRecordsBuilder *builder;
  GError *absent; /* what an earlier way answered: a refusal rather than "not found" */
} List;

static void ask_page (List *self);

static void finish (List *self, CabRecords *records, const GError *error) {
  self->sink.done (self->data, records, error);
  cab_scope_free (self->scope);
  g_clear_pointer (&self->builder, cab_records_builder_free);
  g_clear_error (&self->absent);
  g_hash_table_unref (self->links);
  g_free (self->next);
  g_free (self);
}

/* A way is worth remembering when it had something: that one answers with an empty list what another does not find
 * says nothing of either. */
static void note_way (const List *self, const CabRecords *records) {
  CabWays *ways = cab_calls_ways (self->calls);
  const CabScope *scope = self->scope;
  if (scope->application != NULL)
    cab_ways_heard (ways, scope->family);
  if (scope->failure != NULL && cab_records_count (records) > 0 &&
      cab_ways_settle (ways, scope->family, self->way, cab_clock_boot_us ()) && self->absent != NULL)
    g_warning ("family \"%s\": %s; CABs are listed by another call of it", scope->family,
               self->absent->message);
}

static void finish_ok (List *self) {
  g_autoptr (CabRecords) records = cab_records_builder_end (g_steal_pointer (&self->builder));
  note_way (self, records);
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
  g_free (self->next);
  self->next = page.next;
  if (self->sink.progress != NULL)
    self->sink.progress (self->data);
  if (page.last || (page.next != NULL && !g_hash_table_add (self->links, g_strdup (page.next))))
    finish_ok (self);
  else
    ask_page (self);
}

static gboolean try_next_way (List *self, const CabAnswer *answer, const GError *error) {
  if (!cab_call_is_absent (answer) || self->pages > 1 || self->way + 1 >= cab_api_ways (self->scope))
    return FALSE;
  if (self->absent == NULL || !g_error_matches (self->absent, CAB_ERROR, CAB_ERROR_DENIED)) {
    g_clear_error (&self->absent);
    self->absent = g_error_copy (error);
  }
  g_info ("%s: trying another way", error->message);
  self->way++;
  self->pages = 0;
  ask_page (self);
  return TRUE;
}

/* No way is left.  Once for each family there is a line in the log, so that who wonders why a directory cannot be
 * listed finds it. */
static void finish_failed (List *self, const CabAnswer *answer, const GError *error) {
  const CabScope *scope = self->scope;
  gboolean refused_before = g_error_matches (error, CAB_ERROR, CAB_ERROR_NOT_FOUND) &&
                            g_error_matches (self->absent, CAB_ERROR, CAB_ERROR_DENIED);
  const GError *told = refused_before ? self->absent : error;
  gboolean named = cab_family_has_application (cab_family_find (scope->family));
  if (cab_call_is_absent (answer) && scope->application != NULL &&
      cab_ways_missed (cab_calls_ways (self->calls), scope->family))
    g_warning ("family \"%s\" is not available to this account%s%s: %s", scope->family,
               named ? ", or does not know " : "", named ? scope->application : "", told->message);
  finish (self, NULL, told);
}

static gboolean is_empty (const List *self, const CabAnswer *answer) {
  return answer != NULL && self->pages == 1 &&
         cab_api_is_empty (self->scope, self->way, cab_answer_status (answer));
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
  else if (is_empty (self, answer))
    finish_ok (self);
  else if (!try_next_way (self, answer, error))
    finish_failed (self, answer, error);
}

static void ask_page (List *self) {
  if (self->pages == CAB_PAGES_MAX) {
    g_autoptr (GError) error =
        g_error_new (CAB_ERROR, CAB_ERROR_INVALID, "the list has no end after %u pages", self->pages);
    finish (self, NULL, error);
    return;
  }
  self->pages++;
  g_autofree char *path = self->next != NULL
                              ? g_strdup (self->next)
                              : cab_api_list_path (self->scope, self->way, &self->window, self->skip);
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
  self->links = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  guint ways = cab_api_ways (scope);
  if (scope->failure != NULL && ways > 0)
    self->way = MIN (cab_ways_first (cab_calls_ways (calls), scope->family, cab_clock_boot_us ()), ways - 1);
  if (ways > 0) {
    ask_page (self);
    return;
  }
  g_autofree char *name = cab_scope_to_text (scope);
  g_autoptr (GError) error = g_error_new (CAB_ERROR, CAB_ERROR_NOT_FOUND, "%s: no service lists this", name);
  finish (self, NULL, error);
}
