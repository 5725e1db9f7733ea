/* api_family.h - a row of the table of families, for api*.c only.
 *
 * What differs between the services is a column here, so that another service is another row.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_API_FAMILY_H
#define CABFS_CLIENT_API_FAMILY_H

#include "client/api.h"
#include "client/json.h"

/* One call that lists something. */
typedef struct {
  const char *path;
  const char *parameters; /* the call's own part of the query, encoded, with its '&'; NULL: none */
  guint top;        /* most rows a page may have; 0: the call has neither `top` nor `skip`, pages are linked */
  gboolean undated; /* knows no startDate and endDate */
  CabDateForm dates;
  const char *const *ids;  /* names of the key of a row, the first that a row has is taken */
  const char *const *drop; /* names that become no field: members of CabRecord, and echoes of the question */
  const char *count; /* name of the field that counts events where rows are failures; NULL: they are not */
  gboolean has_urls; /* rows have an address each: one without it cannot be had */
  const char *locate_path; /* call that redirects to a CAB; NULL: the list is asked again */
  const char *locate_key;  /* its parameter that names the CAB */
  const char *link_base;   /* where links to the next page begin that are relative */
  int none_status;         /* says that there are no rows at all; 0: no status does */
} CabWay;

/* Lists of one kind: ways to have the same, in order of preference. */
typedef struct {
  const CabWay *ways;
  guint n;
} CabLists;

struct CabFamily {
  const char *name;
  gboolean
      has_application; /* applicationId is a parameter, and rows echo it; else the directory is called by the
                               family's name, which is never sent */
  CabLists cabs;       /* of a failure */
  CabLists failures;   /* of an application */
  CabLists products;   /* applications of the account */
  const char *stacktrace_path; /* call for the stack trace of a CAB; NULL: the family has none */
  const char *stacktrace_key;  /* its parameter that names the CAB */
};

/* How @scope can be asked for the @way-th time; NULL if not. */
const CabWay *cab_api_way (const CabScope *scope, guint way);

/* The array of rows of the answer @root, whose reference it borrows.  NULL with CAB_ERROR_INVALID where there is none,
 * which is not an empty one. */
json_t *cab_api_rows (json_t *root, GError **error);

/* --- links to the next page (api_link.c) --- */

/* What the answer @root says follows, in whatever form; NULL if nothing does.  To be freed. */
char *cab_api_link (json_t *root);

/* The number of rows that @link says to leave out, CAB_SKIP_UNKNOWN if it does not. */
guint64 cab_api_link_skip (const char *link);

/* Path and query of @link, to be asked of the API host.  NULL with CAB_ERROR_INVALID if it has no path. */
char *cab_api_link_path (const CabWay *call, const char *link, GError **error);

#endif
