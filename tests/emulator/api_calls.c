/* The calls of all families as one table: api-contract.md sections 4 to 9.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/emulator/api.h"
#include <string.h>

#define ANALYTICS "/v1.0/my/analytics/"
#define PAGE      10000 /* rows at most, and if nothing is said */

#define HITS_OPTIONAL    "startDate endDate top skip filter groupby orderby aggregationLevel"
#define DETAILS_OPTIONAL "startDate endDate top skip filter orderby"

/* Fields that families have in common. */
#define FAILURE    "failureName failureHash symbol osVersion"
#define SYSTEM     FAILURE " osName eventType market deviceType"
#define OF_DRIVER  "driverName driverVersion architecture oemName oemModel flightRing"
#define OF_MODULE  "moduleName moduleVersion architecture mode model baseboard modelFamily flightRing"
#define CAB_FILTER " clientDeviceId cabIdHash cabType cabExpirationTime"
#define CAB_ROW    " clientDeviceId cabIdHash cabType cabExpirationTime"

#define DRIVER_FILTER                                                                                          \
  "date submissionId failureName failureHash symbol osVersion osName eventType market deviceType driverName "  \
  "driverVersion oemName oemModel architecture"
#define IHV_FILTER      "date " FAILURE " eventType market deviceType " OF_DRIVER
#define HARDWARE_FILTER "date " FAILURE " eventType market deviceType " OF_MODULE

#define HITS(family_, prefix_, endpoint_, levels_)                                                             \
  .kind = EMU_CALL_HITS, .family = EMU_FAMILY_##family_, .base = ANALYTICS, .prefix = prefix_,                 \
  .name = "failurehits", .endpoint = endpoint_, .max_top = PAGE, .default_top = PAGE, .key = "failureHash",    \
  .levels = levels_
#define CABS(family_, prefix_, name_, endpoint_, key_)                                                         \
  .kind = EMU_CALL_CABS, .family = EMU_FAMILY_##family_, .base = ANALYTICS, .prefix = prefix_, .name = name_,  \
  .endpoint = endpoint_, .start_days = 30, .key = key_
#define DETAILS(family_, prefix_, endpoint_, key_)                                                             \
  CABS (family_, prefix_, "failuredetails", endpoint_, key_), .max_top = PAGE, .default_top = PAGE,            \
                                                              .optional = DETAILS_OPTIONAL
#define DOWNLOAD(family_, prefix_, endpoint_, key_, required_)                                                 \
  {                                                                                                            \
    .kind = EMU_CALL_DOWNLOAD, .family = EMU_FAMILY_##family_, .base = ANALYTICS, .prefix = prefix_,           \
    .name = "cabdownload", .endpoint = endpoint_, .key = key_, .required = required_, .optional = "",          \
  }
#define STACK(family_, prefix_, endpoint_, key_, row_)                                                         \
  {                                                                                                            \
    .kind = EMU_CALL_STACK, .family = EMU_FAMILY_##family_, .base = ANALYTICS, .prefix = prefix_,              \
    .name = "stacktrace", .endpoint = endpoint_, .key = key_, .required = "applicationId " key_,               \
    .optional = "", .row = row_, .end = EMU_END_NULL | EMU_END_TOTAL,                                          \
  }
/* The number of rows that are left out is in a text that clients are not to understand. */
#define PRODUCTS(base_)                                                                                        \
  {                                                                                                            \
    .kind = EMU_CALL_PRODUCTS, .family = EMU_FAMILY_DRIVER, .base = base_, .prefix = "hardware/",              \
    .name = "products", .endpoint = EMU_PRODUCTS, .max_top = PAGE, .default_top = 100, .key = "id",            \
    .required = "", .optional = "continuationToken", .skip_name = "continuationToken",                         \
    .row = "id sharedProductId links isCommitted isExtensionInf deviceType isTestSign marketingNames "         \
           "productName requestedSignatures additionalAttributes",                                             \
    .end = EMU_END_LINKS | EMU_END_LOWER,                                                                      \
  }

static const EmuCall calls[] = {
    /* --- Windows 10+ drivers --- */
    {
        HITS (DRIVER, "driver/", EMU_HITS, "day week month"),
        .required = "applicationId",
        .optional = HITS_OPTIONAL,
        .filter = DRIVER_FILTER " flightRing",
        .groupby =
            "submissionId failureName failureHash symbol osVersion eventType market deviceType driverName "
            "driverVersion oemName oemModel flightRing architecture",
        .grouped = "date applicationId",
        .row = "date applicationId submissionId " SYSTEM " " OF_DRIVER,
        .end = EMU_END_NULL | EMU_END_TOTAL,
    },
    {
        DETAILS (DRIVER, "driver/", EMU_DETAILS, "cabIdHash"),
        .required = "applicationId failureHash",
        .filter = DRIVER_FILTER CAB_FILTER,
        .row = "date applicationId submissionId " SYSTEM " " OF_DRIVER CAB_ROW,
        .end = EMU_END_NULL | EMU_END_TOTAL,
    },
    {
        CABS (DRIVER, "driver/", "cabdownloadbatch", EMU_BATCH, "cabIdHash"),
        .max_top = 100,
        .default_top = 100,
        .required = "applicationId failureHash",
        .optional = "startDate endDate top skip",
        .row = "applicationId submissionId failureHash cabIdHash cabUrl date cabExpirationTime",
    },
    DOWNLOAD (DRIVER, "driver/", EMU_CABDOWNLOAD, "cabIdHash", "applicationId cabIdHash"),
    PRODUCTS ("/v2.0/my/"),
    PRODUCTS ("/api/v1/"), /* where its own links lead */

    /* --- desktop applications --- */
    {
        HITS (DESKTOP, "desktop/", EMU_DESKTOP_HITS, "day week month"),
        .required = "applicationId",
        .optional = HITS_OPTIONAL,
        .filter = "fileName applicationVersion " FAILURE
                  " osBuild osRelease eventType market deviceType productName date",
        .groupby = FAILURE " eventType market deviceType",
        .grouped = "date applicationId applicationName",
        .row = "date applicationId productName appName fileName " FAILURE
               " osBuild osRelease eventType market deviceType applicationVersion",
        .end = EMU_END_NULL | EMU_END_TOTAL,
    },
    {
        DETAILS (DESKTOP, "desktop/", EMU_DESKTOP_DETAILS, "cabIdHash"),
        .required = "applicationId failureHash",
        .filter = "market date cabIdHash cabExpirationTime deviceType deviceModel osVersion osRelease "
                  "applicationVersion osBuild fileName",
        .row = "applicationId failureHash failureName date cabIdHash cabExpirationTime market osBuild "
               "applicationVersion deviceModel osVersion osRelease deviceType fileName cabDownloadable",
        .end = EMU_END_NULL | EMU_END_TOTAL,
    },
    STACK (DESKTOP, "desktop/", EMU_DESKTOP_STACKTRACE, "cabIdHash", "level image function offset"),
    DOWNLOAD (DESKTOP, "desktop/", EMU_DESKTOP_CABDOWNLOAD, "cabIdHash", "applicationId cabIdHash"),
    {
        .kind = EMU_CALL_INSIGHTS,
        .family = EMU_FAMILY_DESKTOP,
        .base = ANALYTICS,
        .prefix = "desktop/",
        .name = "insights",
        .endpoint = EMU_DESKTOP_INSIGHTS,
        .max_top = PAGE,
        .default_top = PAGE,
        .start_days = 30,
        .key = "applicationId",
        .required = "",
        .optional = "applicationId startDate endDate filter skip",
        .filter = "applicationId insightDate dataType",
        .row = "applicationId insightDate dataType insightDetail",
        .end = EMU_END_EMPTY | EMU_END_TOTAL,
    },

    /* --- Store apps --- */
    {
        HITS (STORE, "", EMU_STORE_HITS, "hour day week month"),
        .required = "applicationId",
        .optional = HITS_OPTIONAL,
        .filter =
            "applicationName " FAILURE " osRelease eventType market deviceType packageName packageVersion date",
        .groupby = FAILURE " eventType market deviceType packageName packageVersion",
        .grouped = "date applicationId applicationName",
        .row = "date applicationId applicationName " FAILURE
               " osRelease eventType market deviceType packageName packageVersion",
        .devices = TRUE,
        .end = EMU_END_NULL | EMU_END_TOTAL,
    },
    {
        DETAILS (STORE, "", EMU_STORE_DETAILS, "cabId"),
        .required = "applicationId failureHash",
        .filter =
            "market date cabId cabExpirationTime deviceType deviceModel osVersion osRelease packageVersion "
            "osBuild",
        .row =
            "applicationId failureHash failureName date cabId cabExpirationTime market osBuild packageVersion "
            "deviceModel osVersion osRelease deviceType cabDownloadable osArchitecture praid flightRing",
        .end = EMU_END_TOTAL,
    },
    STACK (STORE, "", EMU_STORE_STACKTRACE, "cabId", "level image function offset isBlamedFrame"),
    DOWNLOAD (STORE, "", EMU_STORE_CABDOWNLOAD, "cabId", "applicationId cabId"),
    {
        .kind = EMU_CALL_PRODUCTS,
        .family = EMU_FAMILY_STORE,
        .base = "/v1.0/my/",
        .prefix = "",
        .name = "applications",
        .endpoint = EMU_APPLICATIONS,
        .max_top = PAGE,
        .default_top = 10,
        .key = "id",
        .required = "",
        .optional = "top skip",
        .row = "id primaryName packageFamilyName packageIdentityName publisherName firstPublishedDate "
               "hasAdvancedListingPermission",
        .none_status = 404,
        .end = EMU_END_TOTAL | EMU_END_LOWER,
    },

    /* --- Windows 7 and 8.x drivers: no applicationId anywhere --- */
    {
        HITS (IHVDRIVER, "ihvdriver/", EMU_IHVDRIVER_HITS, "day week month"),
        .required = "",
        .optional = HITS_OPTIONAL,
        .filter = IHV_FILTER,
        .orderby = IHV_FILTER " osName",
        .groupby = FAILURE " eventType market deviceType " OF_DRIVER,
        .grouped = "date",
        .row = "date sellerId " SYSTEM " " OF_DRIVER,
    },
    {
        DETAILS (IHVDRIVER, "ihvdriver/", EMU_IHVDRIVER_DETAILS, "cabIdHash"),
        .required = "failureHash",
        .filter = IHV_FILTER CAB_FILTER,
        .row = "date sellerId " SYSTEM " " OF_DRIVER CAB_ROW,
    },
    DOWNLOAD (IHVDRIVER, "ihvdriver/", EMU_IHVDRIVER_CABDOWNLOAD, "cabIdHash", "cabIdHash"),

    /* --- OEM hardware: likewise --- */
    {
        HITS (HARDWARE, "hardware/", EMU_HARDWARE_HITS, "day week month"),
        .required = "",
        .optional = HITS_OPTIONAL,
        .filter = HARDWARE_FILTER,
        .orderby = HARDWARE_FILTER " osName",
        .groupby = FAILURE " eventType market deviceType " OF_MODULE,
        .grouped = "date",
        .row = "date sellerId " SYSTEM " " OF_MODULE,
    },
    {
        DETAILS (HARDWARE, "hardware/", EMU_HARDWARE_DETAILS, "cabIdHash"),
        .required = "failureHash",
        .filter = HARDWARE_FILTER CAB_FILTER,
        .row = "date sellerId " SYSTEM " " OF_MODULE CAB_ROW,
    },
    DOWNLOAD (HARDWARE, "hardware/", EMU_HARDWARE_CABDOWNLOAD, "cabIdHash", "cabIdHash"),
};

/* What follows @start in @path, or NULL. */
static const char *after (const char *path, const char *start) {
  return path != NULL && g_str_has_prefix (path, start) ? path + strlen (start) : NULL;
}

const EmuCall *emu_call_find (const char *path) {
  for (guint i = 0; i < G_N_ELEMENTS (calls); i++) {
    const char *rest = after (after (after (path, calls[i].base), calls[i].prefix), calls[i].name);
    /* The page on hardware products has a slash at the end. */
    if (rest != NULL && (rest[0] == '\0' || (calls[i].endpoint == EMU_PRODUCTS && strcmp (rest, "/") == 0)))
      return &calls[i];
  }
  return NULL;
}
