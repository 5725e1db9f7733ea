/* api_family.h - a row of the table of families, for api.c and api_families.c only.
 *
 * What differs between the services is a column here, so that another service is another row.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_API_FAMILY_H
#define CABFS_CLIENT_API_FAMILY_H

#include "client/api.h"

/* One call that lists something. */
typedef struct {
  const char *path;
  const char *parameters; /* the call's own part of the query, encoded, with its '&'; or "" */
  guint top;              /* most rows a page may have */
  CabDateForm dates;
  const char *const *ids;  /* names of the key of a row, the first that a row has is taken */
  const char *const *drop; /* names that become no field: members of CabRecord, and echoes of the question */
  const char *count; /* name of the field that counts events where rows are failures; NULL: rows are CABs */
  gboolean has_urls; /* rows have an address each: one without it cannot be had */
  const char *locate_path; /* call that redirects to a CAB; NULL: the list is asked again */
  const char *locate_key;  /* its parameter that names the CAB */
} CabWay;

struct CabFamily {
  const char *name;
  gboolean has_application; /* applicationId is a parameter, and rows echo it */
  const CabWay *cabs;       /* CABs of a failure, ways in order of preference */
  guint n_cabs;
  const CabWay *failures; /* failures of an application */
  guint n_failures;
};

#endif
