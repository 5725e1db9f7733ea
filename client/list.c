/* SPDX-License-Identifier: MIT */
#include "client/list.h"

#include "client/clock.h"
#include "client/error.h"
#include "client/pages.h"

/* One page that was asked for: it is with its list until its turn to be taken comes, or until the list has no use
 * for it any more. */
typedef struct {
  struct List *list; /* NULL: nobody waits for it */
  guint64 skip;      /* rows before it */
  guint number;      /* in the list's plan */
  CabCall *call;     /* NULL: the answer has come, */
  GBytes *body;      /* and is this, */
  GError *error;     /* or this, */
  gboolean absent;   /* for which cab_call_is_absent() held */
} Page;

typedef struct List {
  CabCalls *calls;
  CabScope *scope;
  CabWindow window;
  CabListSink sink;
  gpointer data;
  guint first_way; /* the one that answered lately; those behind it follow, then those before it */
  guint way;
  guint64 skip;      /* rows so far: the page that follows begins there */
  guint64 seen_to;   /* rows are known to be there beyond so many */
  guint taken;       /* pages */
  char *next;        /* path of the page to ask for, where pages are linked */
  GHashTable *links; /* of paths that were followed */
  GQueue pages;      /* of Page: asked for and not taken yet */
  gboolean plain;    /* pages were of one length so far, */
  guint64 step;      /* of so many rows, */
  gboolean linked;   /* with a link to the next one, or all without */
  CabPages *plan;    /* of pages to ask for side by side; NULL: one after the other */
  CabRecordsBuilder *builder;
  GError *absent; /* what an earlier way answered: a refusal rather than "not found" */
} List;

static void ask_page (List *self, guint64 skip, guint number);

/* --- the end ------------------------------------------------------------------------------------------------ */

static void page_free (Page *page) {
  g_clear_pointer (&page->body, g_bytes_unref);
  g_clear_error (&page->error);
  g_free (page);
}

/* Those under way end in page_answered(). */
static void drop_pages (List *self) {
  for (Page *page = g_queue_pop_head (&self->pages); page != NULL; page = g_queue_pop_head (&self->pages)) {
    page->list = NULL;
    if (page->call != NULL)
      cab_call_cancel (page->call);
    else
      page_free (page);
  }
}

static void finish (List *self, CabRecords *records, const GError *error) {
  drop_pages (self);
  self->sink.done (self->data, records, error);
  cab_scope_free (self->scope);
  g_clear_pointer (&self->builder, cab_records_builder_free);
  g_clear_pointer (&self->plan, cab_pages_free);
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

/* --- asking for pages --------------------------------------------------------------------------------------- */

/* TRUE if the next page begins where arithmetic has it: after as many rows as were asked for, or as few as the service
 * gives at a time and says so in its link. */
static gboolean is_plain (const List *self, const CabPage *seen) {
  guint size = cab_api_page_size (self->scope, self->way);
  gboolean told = seen->link_skip != CAB_SKIP_UNKNOWN;
  if (size == 0 || seen->surplus > 0 || (told && seen->link_skip != self->skip))
    return FALSE;
  return seen->rows == self->step && (told || seen->rows == size);
}

/* As soon as the first pages have shown that the list is one of pages of equal length. */
static void make_plan (List *self, const CabPage *seen) {
  guint parallel = cab_calls_parallel (self->calls);
  if (self->taken == 1) {
    self->step = seen->rows;
    self->linked = seen->linked;
  }
  self->plain = self->plain && is_plain (self, seen) && seen->linked == self->linked;
  if (!self->plain || parallel < 2 || self->taken < CAB_PAGES_FIRST)
    return;
  guint64 promised = seen->total / self->step + (seen->total % self->step != 0);
  self->plan = cab_pages_new (parallel, (guint) MIN (promised, CAB_PAGES_MAX), seen->linked);
}

/* The service counts in another way than the plan has it: what was asked for ahead is of no use. */
static void drop_plan (List *self) {
  self->plain = FALSE;
  g_clear_pointer (&self->plan, cab_pages_free);
  drop_pages (self);
}

static void ask_more (List *self) {
  guint number;
  while (self->plan != NULL && cab_pages_next (self->plan, &number))
    ask_page (self, number * self->step, number);
  if (!g_queue_is_empty (&self->pages))
    return;
  if (self->plan != NULL) /* it is at its end, and the list is not */
    drop_plan (self);
  ask_page (self, self->skip, self->taken);
}

/* --- taking pages ------------------------------------------------------------------------------------------- */

/* @seen: what the page shows; NULL: it is of no use. */
static void tell_plan (List *self, const Page *page, const CabPage *seen) {
  CabPageKind kind = seen == NULL || seen->rows == 0 ? CAB_PAGE_NONE
                     : seen->rows == self->step      ? CAB_PAGE_FULL
                                                     : CAB_PAGE_SHORT;
  if (self->plan != NULL)
    cab_pages_came (self->plan, page->number, kind, seen != NULL && seen->linked);
}

/* A page with few rows is the last one only if no other has rows that come after it. */
static gboolean is_last (const List *self, const CabPage *seen) {
  return seen->last && (seen->added == 0 || self->skip >= self->seen_to);
}

/* TRUE if pages follow; else the list is over, and freed. */
static gboolean go_on_after (List *self, const CabPage *seen) {
  self->skip += seen->rows;
  g_free (self->next);
  self->next = seen->next;
  if (is_last (self, seen) || (seen->next != NULL && !g_hash_table_add (self->links, g_strdup (seen->next)))) {
    finish_ok (self);
    return FALSE;
  }
  if (self->taken == CAB_PAGES_MAX) {
    g_autoptr (GError) error =
        g_error_new (CAB_ERROR, CAB_ERROR_INVALID, "the list has no end after %u pages", self->taken);
    finish (self, NULL, error);
    return FALSE;
  }
  if (self->plan == NULL)
    make_plan (self, seen);
  else if (!is_plain (self, seen))
    drop_plan (self);
  return TRUE;
}

/* It is the turn of @page, which is freed.  @fresh: it has just come.  Returns as go_on_after(). */
static gboolean take_page (List *self, Page *page, const void *bytes, gsize len, gboolean fresh) {
  g_autoptr (GError) error = NULL;
  CabPage seen = {0};
  gboolean ok = cab_api_parse_page (self->scope, self->way, bytes, len, self->builder, &seen, &error);
  self->taken++;
  if (fresh)
    tell_plan (self, page, ok ? &seen : NULL);
  g_queue_remove (&self->pages, page);
  page_free (page);
  if (ok)
    return go_on_after (self, &seen);
  g_prefix_error (&error, "page %u: ", self->taken);
  finish (self, NULL, error);
  return FALSE;
}

/* It has come before its turn. */
static void hold_page (List *self, Page *page, const CabAnswer *answer, const GError *error) {
  CabPage seen = {0};
  gboolean ok = FALSE;
  if (error != NULL) {
    page->error = g_error_copy (error);
    page->absent = cab_call_is_absent (answer);
  } else {
    gsize len = 0;
    const void *bytes = cab_answer_body (answer, &len);
    page->body = g_bytes_new (bytes, len);
    ok = cab_api_parse_page (self->scope, self->way, bytes, len, NULL, &seen, NULL);
  }
  if (ok && seen.rows > 0)
    self->seen_to = MAX (self->seen_to, page->skip + 1);
  tell_plan (self, page, ok ? &seen : NULL);
}

/* --- pages that are none ------------------------------------------------------------------------------------ */

static gboolean try_next_way (List *self, gboolean absent, const GError *error) {
  guint next = (self->way + 1) % cab_api_ways (self->scope);
  if (!absent || self->taken > 0 || next == self->first_way)
    return FALSE;
  if (self->absent == NULL || !g_error_matches (self->absent, CAB_ERROR, CAB_ERROR_DENIED)) {
    g_clear_error (&self->absent);
    self->absent = g_error_copy (error);
  }
  g_info ("%s: trying another way", error->message);
  self->way = next;
  drop_pages (self);
  ask_more (self);
  return TRUE;
}

/* No way is left.  Once for each family there is a line in the log, so that who wonders why a directory cannot be
 * listed finds it. */
static void finish_failed (List *self, gboolean absent, const GError *error) {
  const CabScope *scope = self->scope;
  gboolean refused_before = g_error_matches (error, CAB_ERROR, CAB_ERROR_NOT_FOUND) &&
                            g_error_matches (self->absent, CAB_ERROR, CAB_ERROR_DENIED);
  g_autoptr (GError) told = g_error_copy (refused_before ? self->absent : error);
  gboolean named = cab_family_has_application (cab_family_find (scope->family));
  if (absent && scope->application != NULL && cab_ways_missed (cab_calls_ways (self->calls), scope->family))
    g_warning ("family \"%s\" is not available to this account%s%s: %s", scope->family,
               named ? ", or does not know " : "", named ? scope->application : "", told->message);
  finish (self, NULL, told);
}

static gboolean is_empty (const List *self, const CabAnswer *answer) {
  return answer != NULL && self->taken == 0 &&
         cab_api_is_empty (self->scope, self->way, cab_answer_status (answer));
}

/* --- answers ------------------------------------------------------------------------------------------------ */

/* The page whose turn it is, if it has come already. */
static Page *find_next (const List *self) {
  for (const GList *link = self->pages.head; link != NULL; link = link->next) {
    Page *page = link->data;
    if (page->skip == self->skip && page->call == NULL)
      return page;
  }
  return NULL;
}

/* Takes what was held for its turn, and asks for more. */
static void go_on (List *self) {
  for (Page *page = find_next (self); page != NULL; page = find_next (self)) {
    if (page->error != NULL) {
      finish_failed (self, page->absent, page->error);
      return;
    }
    gsize len = 0;
    g_autoptr (GBytes) body = g_bytes_ref (page->body);
    const void *bytes = g_bytes_get_data (body, &len);
    if (!take_page (self, page, bytes, len, FALSE))
      return;
  }
  ask_more (self);
}

/* What came is an answer to the page whose turn it is. */
static void page_in_turn (List *self, Page *page, const CabAnswer *answer, const GError *error) {
  gboolean absent = cab_call_is_absent (answer);
  if (error == NULL) {
    gsize len = 0;
    const void *bytes = cab_answer_body (answer, &len);
    if (take_page (self, page, bytes, len, TRUE))
      go_on (self);
  } else if (is_empty (self, answer)) {
    finish_ok (self);
  } else if (!try_next_way (self, absent, error)) {
    finish_failed (self, absent, error);
  }
}

static void page_answered (gpointer data, const CabAnswer *answer, const GError *error) {
  Page *page = data;
  List *self = page->list;
  g_autoptr (GError) odd = NULL;
  page->call = NULL;
  if (self == NULL) {
    page_free (page);
    return;
  }
  if (error == NULL && cab_answer_status (answer) != 200) {
    odd = g_error_new (CAB_ERROR, CAB_ERROR_INVALID, "HTTP status %d instead of a list",
                       cab_answer_status (answer));
    cab_error_set_answer (odd, &(CabErrorAnswer){.status = cab_answer_status (answer)});
    error = odd;
  }
  if (error == NULL && self->sink.progress != NULL)
    self->sink.progress (self->data);
  if (page->skip == self->skip) {
    page_in_turn (self, page, answer, error);
  } else {
    hold_page (self, page, answer, error);
    ask_more (self);
  }
}

static void ask_page (List *self, guint64 skip, guint number) {
  Page *page = g_new0 (Page, 1);
  page->list = self;
  page->skip = skip;
  page->number = number;
  g_queue_push_tail (&self->pages, page);
  g_autofree char *path = self->next != NULL ? g_strdup (self->next)
                                             : cab_api_list_path (self->scope, self->way, &self->window, skip);
  gboolean hits = self->scope->application != NULL && self->scope->failure == NULL;
  page->call = cab_call_get (self->calls, path, CAB_PAGE_LIMIT, hits ? CAB_REQUEST_HITS : CAB_REQUEST_LIST,
                             page_answered, page);
}

void cab_list_run (CabCalls *calls, const CabScope *scope, const CabWindow *window, const CabListSink *sink,
                   gpointer data) {
  List *self = g_new0 (List, 1);
  self->calls = calls;
  self->scope = cab_scope_copy (scope);
  self->window = *window;
  self->sink = *sink;
  self->data = data;
  self->plain = TRUE;
  self->builder = cab_records_builder_new ();
  self->links = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  guint ways = cab_api_ways (scope);
  if (scope->failure != NULL && ways > 0)
    self->way = MIN (cab_ways_first (cab_calls_ways (calls), scope->family, cab_clock_boot_us ()), ways - 1);
  self->first_way = self->way;
  if (ways > 0) {
    ask_more (self);
    return;
  }
  g_autofree char *name = cab_scope_to_text (scope);
  g_autoptr (GError) error = g_error_new (CAB_ERROR, CAB_ERROR_NOT_FOUND, "%s: no service lists this", name);
  finish (self, NULL, error);
}
