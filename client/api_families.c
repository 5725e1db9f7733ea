/* The table of families: api-contract.md section 1.
 *
 * SPDX-License-Identifier: MIT
 */
#include "client/api_family.h"

#include <string.h>

/* Any family may use either (contract 8.1). */
static const char *const cab_ids[] = {"cabIdHash", "cabId", NULL};
static const char *const cab_drop[] = {"cabUrl",        "date",        "cabExpirationTime",
                                       "applicationId", "failureHash", NULL};

static const char *const failure_ids[] = {"failureHash", NULL};
static const char *const failure_drop[] = {"date", NULL};

/* Sorted by nothing the batch has (contract 5.1); details are, so that data which move between pages move less. */
static const CabWay driver_cabs[] = {
    {
        .path = "/v1.0/my/analytics/driver/cabdownloadbatch",
        .parameters = "",
        .top = 100,
        .dates = CAB_DATE_YMD,
        .ids = cab_ids,
        .drop = cab_drop,
        .has_urls = TRUE,
    },
    {
        .path = "/v1.0/my/analytics/driver/failuredetails",
        .parameters = "&orderby=date",
        .top = 10000,
        .dates = CAB_DATE_YMD,
        .ids = cab_ids,
        .drop = cab_drop,
        .locate_path = "/v1.0/my/analytics/driver/cabdownload",
        .locate_key = "cabIdHash",
    },
};

/* By day: weeks and months end at 1000 failures (contract 3.2). */
static const CabWay driver_failures[] = {
    {
        .path = "/v1.0/my/analytics/driver/failurehits",
        .parameters = "&groupby=failureHash%2CfailureName%2CeventType&aggregationLevel=day",
        .top = 10000,
        .dates = CAB_DATE_MDY,
        .ids = failure_ids,
        .drop = failure_drop,
        .count = "eventCount",
    },
};

static const CabFamily families[] = {
    {
        .name = "driver",
        .has_application = TRUE,
        .cabs = driver_cabs,
        .n_cabs = G_N_ELEMENTS (driver_cabs),
        .failures = driver_failures,
        .n_failures = G_N_ELEMENTS (driver_failures),
    },
};

static const char *const names[G_N_ELEMENTS (families) + 1] = {"driver"};

const CabFamily *cab_family_find (const char *name) {
  for (gsize i = 0; i < G_N_ELEMENTS (families); i++)
    if (g_strcmp0 (families[i].name, name) == 0)
      return &families[i];
  return NULL;
}

const char *const *cab_family_names (void) {
  return names;
}
