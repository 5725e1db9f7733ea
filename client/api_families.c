/* The table of families: api-contract.md sections 1 and 4 to 9.
 *
 * SPDX-License-Identifier: MIT
 */
#include "client/api_family.h"

#include <string.h>

#define ANALYTICS "/v1.0/my/analytics/"

/* --- what families share ------------------------------------------------------------------------------------ */

/* Any family may use either (contract 8.1). */
static const char *const cab_ids[] = {"cabIdHash", "cabId", NULL};
static const char *const cab_drop[] = {"cabUrl",        "date",        "cabExpirationTime",
                                       "applicationId", "failureHash", NULL};

static const char *const failure_ids[] = {"failureHash", NULL};
static const char *const failure_drop[] = {"date", NULL};

static const char *const no_drop[] = {NULL};

/* Sorted, so that data which move between pages move less. */
#define DETAILS(prefix, key)                                                                                   \
  {                                                                                                            \
    .path = ANALYTICS prefix "failuredetails", .parameters = "&orderby=date", .top = 10000,                    \
    .dates = CAB_DATE_YMD, .ids = cab_ids, .drop = cab_drop, .locate_path = ANALYTICS prefix "cabdownload",    \
    .locate_key = key,                                                                                         \
  }

/* By day: weeks and months end at 1000 failures (contract 3.2). */
#define HITS(prefix)                                                                                           \
  {                                                                                                            \
    .path = ANALYTICS prefix "failurehits",                                                                    \
    .parameters = "&groupby=failureHash%2CfailureName%2CeventType&aggregationLevel=day", .top = 10000,         \
    .dates = CAB_DATE_MDY, .ids = failure_ids, .drop = failure_drop, .count = "eventCount",                    \
  }

/* --- CABs and failures -------------------------------------------------------------------------------------- */

static const CabWay driver_cabs[] = {
    {
        /* has no orderby (contract 5.1) */
        .path = ANALYTICS "driver/cabdownloadbatch",
        .top = 100,
        .dates = CAB_DATE_YMD,
        .ids = cab_ids,
        .drop = cab_drop,
        .has_urls = TRUE,
    },
    DETAILS ("driver/", "cabIdHash"),
};
static const CabWay desktop_cabs[] = {DETAILS ("desktop/", "cabIdHash")};
static const CabWay store_cabs[] = {DETAILS ("", "cabId")};
static const CabWay ihvdriver_cabs[] = {DETAILS ("ihvdriver/", "cabIdHash")};
static const CabWay hardware_cabs[] = {DETAILS ("hardware/", "cabIdHash")};

static const CabWay driver_failures[] = {HITS ("driver/")};
static const CabWay desktop_failures[] = {HITS ("desktop/")};
static const CabWay store_failures[] = {HITS ("")};
static const CabWay ihvdriver_failures[] = {HITS ("ihvdriver/")};
static const CabWay hardware_failures[] = {HITS ("hardware/")};

/* --- products: contract section 9 --------------------------------------------------------------------------- */

static const char *const product_ids[] = {"id", NULL};
static const char *const insight_ids[] = {"applicationId", NULL};

static const CabWay driver_products[] = {
    {
        .path = "/v2.0/my/hardware/products",
        .undated = TRUE,
        .ids = product_ids,
        .drop = no_drop,
        .link_base = "/v2.0/my/",
    },
};

/* A row for each notable change of a week: some applications have many, some none. */
static const CabWay desktop_products[] = {
    {
        .path = ANALYTICS "desktop/insights",
        .dates = CAB_DATE_MDY,
        .ids = insight_ids,
        .drop = no_drop,
        .link_base = ANALYTICS,
    },
};

/* Pages have 10 rows if nobody asks for more. */
static const CabWay store_products[] = {
    {
        .path = "/v1.0/my/applications",
        .top = 100,
        .undated = TRUE,
        .ids = product_ids,
        .drop = no_drop,
        .none_status = 404,
    },
};

/* --- the table ---------------------------------------------------------------------------------------------- */

#define LISTS(ways)                                                                                            \
  { ways, G_N_ELEMENTS (ways) }

static const CabFamily families[] = {
    {
        .name = "driver",
        .has_application = TRUE,
        .cabs = LISTS (driver_cabs),
        .failures = LISTS (driver_failures),
        .products = LISTS (driver_products),
    },
    {
        .name = "desktop",
        .has_application = TRUE,
        .cabs = LISTS (desktop_cabs),
        .failures = LISTS (desktop_failures),
        .products = LISTS (desktop_products),
        .stacktrace_path = ANALYTICS "desktop/stacktrace",
        .stacktrace_key = "cabIdHash",
    },
    {
        .name = "store",
        .has_application = TRUE,
        .cabs = LISTS (store_cabs),
        .failures = LISTS (store_failures),
        .products = LISTS (store_products),
        .stacktrace_path = ANALYTICS "stacktrace",
        .stacktrace_key = "cabId",
    },
    {
        .name = "ihvdriver",
        .cabs = LISTS (ihvdriver_cabs),
        .failures = LISTS (ihvdriver_failures),
    },
    {
        .name = "hardware",
        .cabs = LISTS (hardware_cabs),
        .failures = LISTS (hardware_failures),
    },
};

const CabFamily *cab_family_find (const char *name) {
  for (gsize i = 0; i < G_N_ELEMENTS (families); i++)
    if (g_strcmp0 (families[i].name, name) == 0)
      return &families[i];
  return NULL;
}

gboolean cab_family_has_application (const CabFamily *family) {
  return family->has_application;
}

const CabWay *cab_api_way (const CabScope *scope, guint way) {
  const CabFamily *family = cab_family_find (scope->family);
  if (family == NULL || (scope->application == NULL && scope->failure != NULL))
    return NULL;
  const CabLists *lists = scope->failure != NULL       ? &family->cabs
                          : scope->application != NULL ? &family->failures
                                                       : &family->products;
  return way < lists->n ? &lists->ways[way] : NULL;
}
