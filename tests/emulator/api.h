/* api.h - the API host from the inside: a table of calls, and what its files share.
 *
 * A family of the services is some rows of the table in api.c; api-contract.md sections 3 to 8.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_EMULATOR_API_H
#define CABFS_EMULATOR_API_H

#include "tests/emulator/http.h"

/* One call of one family.  Lists of names are separated by blanks. */
typedef struct {
  const char *prefix; /* of a relative next link: "driver/" */
  const char *name;   /* "failurehits"; the path is /v1.0/my/analytics/<prefix><name> */
  EmuEndpoint endpoint;
  guint max_top;        /* the default as well */
  guint start_days;     /* how many days before today startDate is, if not given */
  const char *cab_key;  /* "cabIdHash" */
  const char *required; /* parameters */
  const char *optional;
  const char *filter;  /* fields that filter and orderby take */
  const char *groupby; /* and groupby */
  const char *row;     /* fields of a row, in order */
} EmuCall;

typedef struct EmuFilter EmuFilter;

/* The parameters of a list, read. */
typedef struct {
  EmuRequest *request;
  const EmuCall *call;
  const char *application; /* borrowed from the request, as all texts; NULL in families without */
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
/* The signed URL of @cab as the service would give it now; new text, NULL if it has none. */
char *emu_rows_url (EmuRequest *request, const EmuCab *cab);

/* --- api_shape.c -------------------------------------------------------------------------------------------- */

/* What the paging faults make of the query. */
void emu_shape_query (EmuQuery *query);
/* Rows and envelope with all faults of form; takes the reference of @rows. */
EmuReply *emu_shape_answer (const EmuQuery *query, json_t *rows, guint64 total);

#endif
