/* api.h - the API host from the inside: a table of calls, and what its files share.
 *
 * A family of the services is some rows of the table in api_calls.c; api-contract.md sections 3 to 9.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_EMULATOR_API_H
#define CABFS_EMULATOR_API_H

#include "tests/emulator/http.h"

/* Where the links of hardware products lead, as the documented ones do: away from the host that was asked. */
#define EMU_HARDWARE_API "https://hardwareapi.example.invalid"

typedef enum {
  EMU_CALL_HITS,
  EMU_CALL_CABS, /* of a failure: details, batch */
  EMU_CALL_STACK,
  EMU_CALL_DOWNLOAD,
  EMU_CALL_PRODUCTS,
  EMU_CALL_INSIGHTS,
} EmuCallKind;

/* The envelope of a list: api-contract.md 3.3. */
typedef enum {
  EMU_END_NULL = 1 << 0,  /* @nextLink of the last page is null, */
  EMU_END_EMPTY = 1 << 1, /* or empty; else there is none */
  EMU_END_TOTAL = 1 << 2, /* TotalCount */
  EMU_END_LINKS = 1 << 3, /* the next page is one of links[], and on another host */
  EMU_END_LOWER = 1 << 4, /* keys begin with a small letter */
} EmuEnd;

/* One call of one family.  Lists of names are separated by blanks. */
typedef struct {
  EmuCallKind kind;
  EmuFamily family;
  const char *base;   /* "/v1.0/my/analytics/": what relative next links are relative to */
  const char *prefix; /* "driver/" */
  const char *name;   /* "failurehits"; the path is <base><prefix><name> */
  EmuEndpoint endpoint;
  guint max_top;
  guint default_top;
  guint start_days;     /* how many days before today startDate is, if not given */
  const char *key;      /* of a row, or of what is wanted: "cabIdHash" */
  const char *required; /* parameters */
  const char *optional;
  const char *skip_name; /* how the parameter `skip` is called; NULL: so */
  const char *filter;    /* fields that filter takes */
  const char *orderby;   /* and orderby; NULL: the same */
  const char *groupby;   /* and groupby */
  const char *grouped;   /* fields that rows have besides those of groupby */
  const char *levels;    /* values of aggregationLevel */
  const char *row;       /* fields of a row, in order */
  gboolean devices;      /* rows count devices too */
  guint none_status;     /* instead of no rows at all; 0: none */
  guint end;             /* of EmuEnd */
} EmuCall;

/* The call at @path, or NULL. */
const EmuCall *emu_call_find (const char *path);

typedef struct EmuFilter EmuFilter;

/* The parameters of a list, read. */
typedef struct {
  EmuRequest *request;
  const EmuCall *call;
  const char *application; /* borrowed from the request, as all texts; NULL: none was named */
  const char *failure;
  gint64 from; /* Unix seconds, both inclusive */
  gint64 to;
  guint64 top;
  guint64 skip;
  guint64 overlap; /* paging faults */
  const char *level;
  const char *groupby;
  const char *orderby;
  EmuFilter *filter; /* owned */
} EmuQuery;

gboolean emu_words_have (const char *words, const char *word);

/* The body of api-contract.md 11.1. */
EmuReply *emu_api_error (EmuRequest *request, guint status, const char *code, const char *inner,
                         const char *detail);

/* --- api_filter.c ------------------------------------------------------------------------------------------- */

/* "field eq 'v' and (…)"; NULL with @error for another form or a field that is not in @fields. */
EmuFilter *emu_filter_parse (const char *text, const char *fields, GError **error);
void emu_filter_free (EmuFilter *self);
/* TRUE for a NULL filter. */
gboolean emu_filter_fits (const EmuFilter *self, json_t *row);

/* Whether @orderby is "field [asc|desc],…" of @fields. */
gboolean emu_order_check (const char *orderby, const char *fields, GError **error);
/* Sorts rows (json_t) by it, stably. */
void emu_order_sort (const char *orderby, GPtrArray *rows);

/* --- api_rows.c --------------------------------------------------------------------------------------------- */

/* The rows of the page, and how many there are in all pages.  NULL: no such application. */
json_t *emu_rows_page (const EmuQuery *query, guint64 *total);
/* Of all rows (json_t) those of the page. */
json_t *emu_rows_cut (const EmuQuery *query, GPtrArray *rows, guint64 *total);
void emu_row_unref (gpointer row);
/* The signed URL of @cab as the service would give it now; new text, NULL if it has none. */
char *emu_rows_url (EmuRequest *request, const EmuCab *cab);

/* --- api_products.c ----------------------------------------------------------------------------------------- */

/* As emu_rows_page(), for products and insights; with the data's lock held. */
json_t *emu_products_page_locked (const EmuQuery *query, guint64 *total);
/* The frames of the stack of @cab.  A new reference. */
json_t *emu_stack_rows (const EmuCall *call, const EmuCab *cab);

/* --- api_shape.c -------------------------------------------------------------------------------------------- */

/* What the paging faults make of the query. */
void emu_shape_query (EmuQuery *query);
/* Rows and envelope with all faults of form; takes the reference of @rows. */
EmuReply *emu_shape_answer (const EmuQuery *query, json_t *rows, guint64 total);

#endif
