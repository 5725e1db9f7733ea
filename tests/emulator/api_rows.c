/* The rows of the lists: from the data set to JSON, before any fault of form.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/emulator/api.h"
#include "tests/emulator/config.h"
#include "tests/emulator/dates.h"
#include "tests/emulator/sas.h"
#include <string.h>

#define BUCKETS_MOST 1000 /* distinct failures with aggregationLevel week or month, api-contract.md 3.2 */
#define HOURS_MOST   72   /* back, with aggregationLevel hour */

/* --- addresses ---------------------------------------------------------------------------------------------- */

static gboolean removed (const EmuFault *fault, const char *field) {
  return emu_fault_is (fault, "remove", field);
}

static char *sign (EmuRequest *request, const EmuCab *cab, const EmuFault *fault) {
  gint64 life = cab->sas_life > 0 ? cab->sas_life : emu_config_int (request->emu->config, EMU_SETTING_SAS_LIFE);
  gint64 now = emu_now_ms ();
  life = emu_fault_int (fault, "life", life);
  /* Whole seconds as the service writes them, rounded up, unless the life itself is finer. */
  gint64 end = now + life;
  if (life % 1000 == 0)
    end = (end + 999) / 1000 * 1000;
  g_autofree char *expiry = emu_sas_time (end);
  g_autofree char *start = emu_sas_time (now + emu_fault_int (fault, "start", 0));
  EmuSas sas = {
      .version = EMU_SAS_VERSION,
      .resource = "b",
      .start = emu_fault_arg (fault, "start") != NULL ? start : NULL,
      .expiry = removed (fault, "se") ? NULL : expiry,
      .permissions =
          emu_fault_text (fault, "permissions") != NULL ? emu_fault_text (fault, "permissions") : "r",
  };
  g_autofree char *signature = emu_sas_sign (&sas, cab->path);
  if (emu_fault_is (fault, "signature", "wrong"))
    signature[0] = signature[0] == 'A' ? 'B' : 'A';
  sas.signature = removed (fault, "sig") ? NULL : signature;
  return emu_sas_query (&sas);
}

char *emu_rows_url (EmuRequest *request, const EmuCab *cab) {
  const EmuFault *fault = emu_request_fault (request, EMU_FAULT_SAS);
  const char *host = emu_fault_text (fault, "host"), *scheme = emu_fault_text (fault, "scheme");
  const char *user = emu_fault_text (fault, "userinfo"), *fragment = emu_fault_text (fault, "fragment");
  if (cab->url != NULL)
    return g_strdup (cab->url);
  if (cab->url_form != EMU_URL_SIGNED)
    return NULL;
  g_autofree char *path = g_uri_escape_string (cab->path, "/", FALSE);
  g_autofree char *query = sign (request, cab, fault);
  return g_strconcat (scheme != NULL ? scheme : "http", "://", user != NULL ? user : "",
                      user != NULL ? "@" : "",
                      host != NULL ? host : request->emu->urls[EMU_HOST_BLOB] + strlen ("http://"), path, "?",
                      query, fragment != NULL ? "#" : "", fragment != NULL ? fragment : "", NULL);
}

/* --- one row ------------------------------------------------------------------------------------------------ */

typedef struct {
  const EmuApplication *application;
  const EmuFailure *failure;
  const EmuCab *cab; /* NULL: an event without one */
  gint64 date;
} Event;

static json_t *date_json (gint64 seconds, EmuDateForm form) {
  g_autofree char *text = emu_date_text (seconds, form);
  return json_string (text);
}

/* The field @name of the row of @event, or NULL: a new reference. */
static json_t *field_of (const EmuQuery *query, const Event *event, const char *name) {
  const EmuCab *cab = event->cab;
  if (strcmp (name, "applicationId") == 0)
    return json_string (event->application->id);
  if (strcmp (name, "failureHash") == 0)
    return json_string (event->failure->hash);
  if (strcmp (name, "date") == 0 && query->call->kind == EMU_CALL_HITS)
    return date_json (emu_date_bucket (event->date, query->level),
                      g_strcmp0 (query->level, "hour") == 0 ? EMU_DATE_BLANK : EMU_DATE_DAY);
  if (strcmp (name, "date") == 0)
    return date_json (event->date, EMU_DATE_BLANK);
  if (cab != NULL && strcmp (name, query->call->key) == 0)
    return json_string (cab->id);
  if (cab != NULL && strcmp (name, "cabDownloadable") == 0)
    return json_boolean (cab->downloadable);
  if (cab != NULL && strcmp (name, "cabExpirationTime") == 0)
    return date_json (cab->expires, EMU_DATE_BLANK);
  if (cab != NULL && strcmp (name, "cabUrl") == 0) {
    g_autofree char *url = emu_rows_url (query->request, cab);
    if (url == NULL)
      return cab->url_form == EMU_URL_NULL    ? json_null ()
             : cab->url_form == EMU_URL_EMPTY ? json_string ("")
                                              : NULL;
    return json_string (url);
  }
  json_t *value = cab != NULL ? json_object_get (cab->fields, name) : NULL;
  if (value == NULL)
    value = json_object_get (event->failure->fields, name);
  if (value == NULL)
    value = json_object_get (event->application->fields, name);
  if (value == NULL && strcmp (name, "applicationName") == 0)
    value = json_object_get (event->application->fields, "productName");
  return json_incref (value);
}

static json_t *row_of (const EmuQuery *query, const Event *event) {
  g_auto (GStrv) names = g_strsplit (query->call->row, " ", -1);
  json_t *row = json_object (), *value;
  const char *key;
  for (guint i = 0; names[i] != NULL; i++) {
    value = field_of (query, event, names[i]);
    if (value != NULL)
      json_object_set_new (row, names[i], value);
  }
  if (event->cab == NULL)
    return row;
  json_object_foreach (event->cab->fields, key, value) if (json_object_get (row, key) == NULL)
      json_object_set (row, key, value);
  if (!event->cab->downloadable)
    json_object_set_new (row, "cabDownloadable", json_false ());
  return row;
}

/* --- lists of CABs ------------------------------------------------------------------------------------------ */

json_t *emu_rows_cut (const EmuQuery *query, GPtrArray *rows, guint64 *total) {
  json_t *page = json_array ();
  guint64 from = query->skip > query->overlap ? query->skip - query->overlap : 0;
  *total = rows->len;
  for (guint64 i = from; i < rows->len && i < from + query->top; i++)
    json_array_append (page, rows->pdata[i]);
  return page;
}

void emu_row_unref (gpointer row) {
  json_decref (row);
}

static gboolean in_window (const EmuQuery *query, gint64 date) {
  return date >= query->from && date <= query->to;
}

static void add_row (const EmuQuery *query, Event *event, EmuCab *cab, json_t *page) {
  event->cab = cab;
  event->date = cab->date;
  json_array_append_new (page, row_of (query, event));
}

/* Where all CABs are wanted, those of the page are found without a look at the others: with a million of them,
 * looking would be most of the work. */
static json_t *page_of_all (const EmuQuery *query, Event *event, guint64 from) {
  json_t *page = json_array ();
  const GPtrArray *cabs = event->failure->cabs;
  for (guint64 i = from; i < cabs->len && i < from + query->top; i++)
    add_row (query, event, cabs->pdata[i], page);
  return page;
}

/* Where nothing has to be looked at to choose, only the rows of the page are made. */
static json_t *plain_page (const EmuQuery *query, Event *event, guint64 *total) {
  guint64 from = query->skip > query->overlap ? query->skip - query->overlap : 0, i = 0;
  const GPtrArray *cabs = event->failure->cabs;
  *total = cabs->len;
  if (in_window (query, event->failure->oldest) && in_window (query, event->failure->newest))
    return page_of_all (query, event, from);
  json_t *page = json_array ();
  for (guint c = 0; c < cabs->len; c++) {
    EmuCab *cab = cabs->pdata[c];
    if (!in_window (query, cab->date))
      continue;
    if (i >= from && i < from + query->top)
      add_row (query, event, cab, page);
    i++;
  }
  *total = i;
  return page;
}

static json_t *chosen_page (const EmuQuery *query, Event *event, guint64 *total) {
  g_autoptr (GPtrArray) rows = g_ptr_array_new_with_free_func (emu_row_unref);
  for (guint i = 0; i < event->failure->cabs->len; i++) {
    event->cab = event->failure->cabs->pdata[i];
    event->date = event->cab->date;
    if (!in_window (query, event->date))
      continue;
    json_t *row = row_of (query, event);
    if (emu_filter_fits (query->filter, row))
      g_ptr_array_add (rows, row);
    else
      json_decref (row);
  }
  if (query->orderby != NULL)
    emu_order_sort (query->orderby, rows);
  return emu_rows_cut (query, rows, total);
}

static json_t *cabs_page (const EmuQuery *query, EmuApplication *application, guint64 *total) {
  EmuFailure *failure = emu_data_failure_locked (application, query->failure);
  Event event = {application, failure, NULL, 0};
  if (failure == NULL)
    return json_array ();
  return query->filter == NULL && query->orderby == NULL ? plain_page (query, &event, total)
                                                         : chosen_page (query, &event, total);
}

/* --- hits --------------------------------------------------------------------------------------------------- */

typedef struct {
  const EmuQuery *query;
  char **groups;        /* the fields a row keeps */
  GHashTable *by_key;   /* text of the kept fields -> row, borrowed */
  GPtrArray *rows;      /* owned */
  GHashTable *failures; /* distinct hashes, borrowed */
} Hits;

static gboolean over_buckets (Hits *hits, const Event *event) {
  const char *level = hits->query->level;
  if (level == NULL || !emu_words_have ("week month", level) ||
      g_hash_table_contains (hits->failures, event->failure->hash))
    return FALSE;
  if (g_hash_table_size (hits->failures) >= BUCKETS_MOST)
    return TRUE;
  g_hash_table_add (hits->failures, event->failure->hash);
  return FALSE;
}

static gboolean is_counted (Hits *hits, const Event *event) {
  const EmuQuery *query = hits->query;
  gint64 hours = emu_now_ms () / 1000 - HOURS_MOST * 3600;
  if (!in_window (query, event->date) || (g_strcmp0 (query->level, "hour") == 0 && event->date < hours))
    return FALSE;
  json_t *all = query->filter != NULL ? row_of (query, event) : NULL;
  gboolean fits = emu_filter_fits (query->filter, all);
  json_decref (all);
  return fits && !over_buckets (hits, event);
}

static void add_count (json_t *row, const char *name, double count) {
  double sum = json_number_value (json_object_get (row, name)) + count;
  json_object_set_new (row, name,
                       sum - (double) (gint64) sum > 0 ? json_real (sum) : json_integer ((json_int_t) sum));
}

/* Adds @count to the row of the event's bucket and group. */
static void count_event (Hits *hits, const Event *event, double count) {
  if (!is_counted (hits, event))
    return;
  json_t *row = json_object ();
  for (guint i = 0; hits->groups[i] != NULL; i++) {
    json_t *value = field_of (hits->query, event, hits->groups[i]);
    if (value != NULL)
      json_object_set_new (row, hits->groups[i], value);
  }
  char *key = json_dumps (row, JSON_COMPACT);
  json_t *known = g_hash_table_lookup (hits->by_key, key);
  if (known == NULL) {
    known = json_incref (row);
    g_hash_table_insert (hits->by_key, g_strdup (key), known);
    g_ptr_array_add (hits->rows, known);
  }
  if (hits->query->call->devices)
    add_count (known, "deviceCount", count);
  add_count (known, "eventCount", count);
  free (key);
  json_decref (row);
}

static void count_failure (Hits *hits, Event *event) {
  size_t i;
  json_t *item;
  for (guint c = 0; c < event->failure->cabs->len; c++) {
    event->cab = event->failure->cabs->pdata[c];
    event->date = event->cab->date;
    json_t *count = json_object_get (event->cab->fields, "eventCount");
    count_event (hits, event, count != NULL ? json_number_value (count) : 1);
  }
  event->cab = NULL;
  json_array_foreach (event->failure->events, i, item) {
    event->date = json_integer_value (json_object_get (item, "date"));
    count_event (hits, event, json_number_value (json_object_get (item, "count")));
  }
}

/* Fields of a row: all, or those of groupby and some that are always there. */
static char **kept_fields (const EmuQuery *query) {
  if (query->groupby == NULL)
    return g_strsplit (query->call->row, " ", -1);
  g_autofree char *plain = g_strdup (query->groupby);
  g_auto (GStrv) groups = g_strsplit (plain, ",", -1);
  for (guint i = 0; groups[i] != NULL; i++)
    g_strstrip (groups[i]);
  g_autofree char *names = g_strjoinv (" ", groups);
  g_autofree char *all = g_strconcat (query->call->grouped, " ", names, NULL);
  return g_strsplit (all, " ", -1);
}

static json_t *hits_page (const EmuQuery *query, EmuApplication *application, guint64 *total) {
  g_auto (GStrv) groups = kept_fields (query);
  g_autoptr (GHashTable) by_key = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GHashTable) failures = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GPtrArray) rows = g_ptr_array_new_with_free_func (emu_row_unref);
  Hits hits = {query, groups, by_key, rows, failures};
  for (guint i = 0; i < application->failure_order->len; i++) {
    Event event = {application, application->failure_order->pdata[i], NULL, 0};
    count_failure (&hits, &event);
  }
  emu_order_sort (query->orderby != NULL ? query->orderby : "date", rows);
  return emu_rows_cut (query, rows, total);
}

/* The application whose rows are wanted, or NULL. */
static EmuApplication *owner_locked (const EmuQuery *query, EmuData *data) {
  const EmuFamilyRow *family = emu_family_row (query->call->family);
  const char *id = family->account ? family->name : query->application;
  EmuApplication *application = id != NULL ? emu_data_application_locked (data, id) : NULL;
  return application != NULL && application->family == query->call->family ? application : NULL;
}

json_t *emu_rows_page (const EmuQuery *query, guint64 *total) {
  EmuData *data = query->request->emu->data;
  json_t *page = NULL;
  *total = 0;
  emu_data_lock_read (data);
  EmuApplication *application = owner_locked (query, data);
  if (query->call->kind == EMU_CALL_PRODUCTS || query->call->kind == EMU_CALL_INSIGHTS)
    page = emu_products_page_locked (query, total);
  else if (application != NULL)
    page = query->call->kind == EMU_CALL_HITS ? hits_page (query, application, total)
                                              : cabs_page (query, application, total);
  else if (emu_family_row (query->call->family)->account)
    page = json_array (); /* the account is known, if nothing else */
  emu_data_unlock (data);
  return page;
}
