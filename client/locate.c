/* SPDX-License-Identifier: MIT */
#include "client/locate.h"

#include "client/addresses.h"
#include "client/clock.h"
#include "client/error.h"
#include "client/list.h"
#include "client/refusals.h"
#include "client/wipe.h"

#include <string.h>

#define NEIGHBOURS     4096
#define REFUSALS       65536
#define MAX_PAGES      1000
#define REDIRECT_LIMIT (64u * 1024)
#define DAY_S          86400
#define LEAST_LIFE_S   60 /* of an address that is kept for a neighbour */

struct CabLocator {
  /* set at creation */
  CabCalls *calls;
  CabLocatorConfig config;
  /* owned by the thread of the transport */
  CabAddresses *addresses;
  CabRefusals *refusals; /* by key of the flight */
  GHashTable *flights;   /* key, which the flight owns, to Flight */
};

/* One question under way, and who waits for it. */
typedef struct {
  CabLocator *locator;
  char *key;
  CabScope *scope;
  guint way;
  CabWindow window;
  guint64 skip;
  guint answers;    /* pages that came */
  GHashTable *seen; /* ids on them */
  GQueue wants;     /* of Want, owned */
} Flight;

typedef struct {
  CabLocator *locator;
  CabScope *scope;
  char *id;
  char *name; /* in the table of addresses */
  gint64 date;
  char *not_this;
  CabLocateDone done;
  gpointer data;
  guint first_way; /* the one that answered lately; those behind it follow, then those before it */
  guint way;
  gboolean late;  /* came when pages of the flight had come already */
  GError *denied; /* what an earlier way was refused with */
} Want;

static void dispatch (Want *self);
static void ask_page (Flight *self);

/* --- one who waits ------------------------------------------------------------------------------------------ */

static void want_end (Want *self, const char *url, const GError *error) {
  g_autoptr (GError) told = NULL;
  if (error != NULL) {
    gboolean gone = g_error_matches (error, CAB_ERROR, CAB_ERROR_NOT_FOUND);
    told = g_error_copy (gone && self->denied != NULL ? self->denied : error);
    g_prefix_error (&told, "address of %s: ", self->id);
  } else {
    cab_address_check (self->locator->config.rule, url, &told);
  }
  self->done (self->data, told == NULL ? url : NULL, told);
  cab_scope_free (self->scope);
  g_free (self->id);
  g_free (self->name);
  cab_wipe_free (self->not_this);
  g_clear_error (&self->denied);
  g_free (self);
}

/* @url may be NULL or empty: the row has none. */
static void want_found (Want *self, const char *url) {
  if (url != NULL && url[0] != '\0') {
    want_end (self, url, NULL);
    return;
  }
  g_autoptr (GError) error = g_error_new_literal (CAB_ERROR, CAB_ERROR_DENIED,
                                                  "the service lists it without an address for this account");
  want_end (self, NULL, error);
}

/* --- a flight ----------------------------------------------------------------------------------------------- */

/* Frees it; its wants must have gone. */
static void flight_end (Flight *self) {
  g_assert (g_queue_is_empty (&self->wants));
  g_hash_table_remove (self->locator->flights, self->key);
  cab_scope_free (self->scope);
  g_hash_table_unref (self->seen);
  g_free (self->key);
  g_free (self);
}

/* Takes the wants out first: none of them can find the flight again. */
static GQueue flight_leave (Flight *self) {
  GQueue wants = self->wants;
  g_queue_init (&self->wants);
  flight_end (self);
  return wants;
}

static void flight_fail (Flight *self, const GError *error) {
  GQueue wants = flight_leave (self);
  for (Want *want = g_queue_pop_head (&wants); want != NULL; want = g_queue_pop_head (&wants))
    want_end (want, NULL, error);
}

/* FALSE if it has tried them all. */
static gboolean next_way (Want *self) {
  self->way = (self->way + 1) % cab_api_ways (self->scope);
  return self->way != self->first_way;
}

static void flight_next_way (Flight *self, const GError *error) {
  GQueue wants = flight_leave (self);
  for (Want *want = g_queue_pop_head (&wants); want != NULL; want = g_queue_pop_head (&wants)) {
    if (g_error_matches (error, CAB_ERROR, CAB_ERROR_DENIED) && want->denied == NULL)
      want->denied = g_error_copy (error);
    if (next_way (want))
      dispatch (want);
    else
      want_end (want, NULL, error);
  }
}

static void flight_failed (Flight *self, const CabAnswer *answer, const GError *error) {
  if (cab_call_is_absent (answer) && self->answers == 0)
    flight_next_way (self, error);
  else
    flight_fail (self, error);
}

/* The list is over.  Whoever came late may have missed his row on an earlier page: he gets a flight of his own. */
static void list_ended (Flight *self) {
  g_autoptr (GError) gone =
      g_error_new_literal (CAB_ERROR, CAB_ERROR_NOT_FOUND, "the service lists it no longer");
  GQueue wants = flight_leave (self);
  for (Want *want = g_queue_pop_head (&wants); want != NULL; want = g_queue_pop_head (&wants))
    if (want->late)
      dispatch (want);
    else
      want_end (want, NULL, gone);
}

/* Returns the number of rows that no earlier page had. */
static guint remember (Flight *self, const CabRecords *records) {
  g_autofree char *scope = cab_scope_to_text (self->scope);
  guint fresh = 0;
  for (guint i = 0; i < cab_records_count (records); i++) {
    CabRecord record;
    cab_records_get (records, i, &record);
    g_autofree char *name = g_strconcat (scope, "/", record.id, NULL);
    char *url = cab_records_url (records, i);
    if (url != NULL && url[0] != '\0')
      cab_addresses_add (self->locator->addresses, name, url);
    else /* it may have one the next time */
      cab_addresses_drop (self->locator->addresses, name);
    cab_wipe_free (url);
    fresh += g_hash_table_add (self->seen, g_strdup (record.id));
  }
  return fresh;
}

static void answer_found (Flight *self, const CabRecords *records) {
  for (GList *link = self->wants.head, *next = NULL; link != NULL; link = next) {
    Want *want = link->data;
    guint index = 0;
    next = link->next;
    if (!cab_records_find (records, want->id, strlen (want->id), &index))
      continue;
    char *url = cab_records_url (records, index);
    g_queue_delete_link (&self->wants, link);
    want_found (want, url);
    cab_wipe_free (url);
  }
}

static void take_page (Flight *self, const CabAnswer *answer) {
  g_autoptr (GError) error = NULL;
  CabRecordsBuilder *builder = cab_records_builder_new ();
  CabPage page = {0};
  gsize len = 0;
  const void *bytes = cab_answer_body (answer, &len);
  gboolean ok = cab_api_parse_page (self->scope, self->way, bytes, len, builder, &page, &error);
  g_autoptr (CabRecords) records = cab_records_builder_end (builder);
  if (!ok) {
    flight_fail (self, error);
    return;
  }
  self->answers++;
  self->skip += page.rows;
  guint fresh = remember (self, records);
  answer_found (self, records);
  if (page.last || fresh == 0 || self->answers == MAX_PAGES || g_queue_is_empty (&self->wants))
    list_ended (self);
  else
    ask_page (self);
}

static void page_answered (gpointer data, const CabAnswer *answer, const GError *error) {
  Flight *self = data;
  if (error != NULL) {
    flight_failed (self, answer, error);
  } else if (cab_answer_status (answer) == 200) {
    take_page (self, answer);
  } else {
    g_autoptr (GError) odd = g_error_new (CAB_ERROR, CAB_ERROR_INVALID, "HTTP status %d instead of a list",
                                          cab_answer_status (answer));
    cab_error_set_answer (odd, &(CabErrorAnswer){.status = cab_answer_status (answer)});
    flight_fail (self, odd);
  }
}

/* The call that redirects asks for one CAB, so its refusal is of this CAB and of nothing else. */
static void redirect_failed (Flight *self, const CabAnswer *answer, const GError *error) {
  CabLocator *locator = self->locator;
  if (cab_call_is_refused (locator->calls, error))
    cab_refusals_add (locator->refusals, self->key, error, cab_clock_boot_us ());
  flight_failed (self, answer, error);
}

/* That the first way of a family is gone may show here first: lists live on disk. */
static void note_way (const Flight *self) {
  CabWays *ways = cab_calls_ways (self->locator->calls);
  if (cab_ways_settle (ways, self->scope->family, self->way, cab_clock_boot_us ()))
    g_warning ("family \"%s\": the preferred call for addresses is not available, another is used",
               self->scope->family);
}

static void redirect_answered (gpointer data, const CabAnswer *answer, const GError *error) {
  Flight *self = data;
  if (error != NULL) {
    redirect_failed (self, answer, error);
    return;
  }
  int status = cab_answer_status (answer);
  gboolean redirects = (status >= 301 && status <= 303) || status == 307 || status == 308;
  const char *url = redirects ? cab_answer_header (answer, "Location") : NULL;
  if (url == NULL) {
    g_autoptr (GError) odd =
        g_error_new (CAB_ERROR, CAB_ERROR_INVALID, "HTTP status %d without an address", status);
    cab_error_set_answer (odd, &(CabErrorAnswer){.status = status});
    flight_fail (self, odd);
    return;
  }
  note_way (self);
  GQueue wants = flight_leave (self);
  for (Want *want = g_queue_pop_head (&wants); want != NULL; want = g_queue_pop_head (&wants)) {
    cab_addresses_add (want->locator->addresses, want->name, url);
    want_found (want, url);
  }
}

static void ask_page (Flight *self) {
  g_autofree char *path = cab_api_list_path (self->scope, self->way, &self->window, self->skip);
  cab_call_get (self->locator->calls, path, CAB_PAGE_LIMIT, CAB_REQUEST_LOCATE, page_answered, self);
}

/* --- asking ------------------------------------------------------------------------------------------------- */

/* The day before and the day after: whether the last day counts, and in whose time zone, nobody says. */
static CabWindow window_of (const Want *want) {
  const CabLocatorConfig *config = &want->locator->config;
  if (want->date != CAB_TIME_UNKNOWN)
    return (CabWindow){.first = want->date - DAY_S, .last = want->date + DAY_S};
  return cab_window_make (cab_clock_unix (), config->days, config->start_date, config->end_date);
}

static void board (Want *want, char *key, CabLocateKind kind, const CabWindow *window) {
  CabLocator *locator = want->locator;
  Flight *flight = g_hash_table_lookup (locator->flights, key);
  if (flight != NULL) {
    want->late = flight->answers > 0;
    g_queue_push_tail (&flight->wants, want);
    g_free (key);
    return;
  }
  flight = g_new0 (Flight, 1);
  flight->locator = locator;
  flight->key = key;
  flight->scope = cab_scope_copy (want->scope);
  flight->way = want->way;
  flight->window = *window;
  flight->seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_hash_table_insert (locator->flights, flight->key, flight);
  want->late = FALSE;
  g_queue_push_tail (&flight->wants, want);
  if (kind == CAB_LOCATE_REDIRECT)
    cab_call_get (locator->calls, key, REDIRECT_LIMIT, CAB_REQUEST_LOCATE, redirect_answered, flight);
  else
    ask_page (flight);
}

/* A CAB that was refused of late is refused again without a request. */
static void board_redirect (Want *want, const CabWindow *window) {
  g_autofree char *path = cab_api_locate_path (want->scope, want->way, want->id);
  const GError *refused = cab_refusals_get (want->locator->refusals, path, cab_clock_boot_us ());
  if (refused != NULL)
    want_end (want, NULL, refused);
  else
    board (want, g_steal_pointer (&path), CAB_LOCATE_REDIRECT, window);
}

static void dispatch (Want *self) {
  CabWindow window = window_of (self);
  CabLocateKind kind = CAB_LOCATE_NONE;
  if (cab_api_ways (self->scope) > 0)
    do
      kind = cab_api_locate_kind (self->scope, self->way);
    while (kind == CAB_LOCATE_NONE && next_way (self));
  if (kind == CAB_LOCATE_REDIRECT) {
    board_redirect (self, &window);
  } else if (kind == CAB_LOCATE_LIST) {
    board (self, cab_api_list_path (self->scope, self->way, &window, 0), kind, &window);
  } else {
    g_autoptr (GError) error =
        g_error_new (CAB_ERROR, CAB_ERROR_NOT_FOUND, "%s has no call for it", self->scope->family);
    want_end (self, NULL, error);
  }
}

/* Given once: who comes back for it has found it of no use.  NULL if there is none that will last. */
static char *take_known (const Want *self) {
  CabAddresses *addresses = self->locator->addresses;
  char *url = g_strdup (cab_addresses_get (addresses, self->name));
  cab_addresses_drop (addresses, self->name);
  gint64 expires = url == NULL ? CAB_TIME_UNKNOWN : cab_address_expires (url);
  gboolean lasts =
      expires == CAB_TIME_UNKNOWN || expires - cab_calls_time (self->locator->calls) > LEAST_LIFE_S;
  if (url != NULL && lasts && g_strcmp0 (url, self->not_this) != 0)
    return url;
  cab_wipe_free (url);
  return NULL;
}

static void begin (gpointer data) {
  Want *self = data;
  char *url = take_known (self);
  CabWays *known = cab_calls_ways (self->locator->calls);
  guint ways = cab_api_ways (self->scope);
  guint first = cab_ways_first (known, self->scope->family, cab_clock_boot_us ());
  self->way = self->first_way = ways > 0 ? MIN (first, ways - 1) : 0; /* or the circle would not close */
  if (url != NULL)
    want_found (self, url);
  else
    dispatch (self);
  cab_wipe_free (url);
}

void cab_locate (CabLocator *self, const CabScope *scope, const char *cab_id, gint64 date, const char *not_this,
                 CabLocateDone done, gpointer data) {
  Want *want = g_new0 (Want, 1);
  g_autofree char *text = cab_scope_to_text (scope);
  want->locator = self;
  want->scope = cab_scope_copy (scope);
  want->id = g_strdup (cab_id);
  want->name = g_strconcat (text, "/", cab_id, NULL);
  want->date = date;
  want->not_this = g_strdup (not_this);
  want->done = done;
  want->data = data;
  cab_http_run (cab_calls_http (self->calls), begin, want);
}

CabLocator *cab_locator_new (CabCalls *calls, const CabLocatorConfig *config) {
  CabLocator *self = g_new0 (CabLocator, 1);
  self->calls = calls;
  self->config = *config;
  self->addresses = cab_addresses_new (NEIGHBOURS);
  self->refusals = cab_refusals_new (REFUSALS);
  self->flights = g_hash_table_new (g_str_hash, g_str_equal);
  return self;
}

void cab_locator_change (CabLocator *self, guint days, const char *start_date, const char *end_date) {
  self->config.days = days;
  self->config.start_date = start_date;
  self->config.end_date = end_date;
}

void cab_locator_free (CabLocator *self) {
  if (self == NULL)
    return;
  g_assert (g_hash_table_size (self->flights) == 0);
  cab_addresses_free (self->addresses);
  cab_refusals_free (self->refusals);
  g_hash_table_unref (self->flights);
  g_free (self);
}
