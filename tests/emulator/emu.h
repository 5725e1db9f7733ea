/* emu.h - the emulator as a whole: a Partner Center for tests, in one process.
 *
 * Five HTTP hosts on ports of their own (login, API, blob, metadata, control) share the modules below.  The specification is
 * the wire contract, api-contract.md; its section 16 is the list of what must be here.
 *
 * Threads: the hosts answer on a few threads that never block; whoever must wait is parked (park.h).  The control
 * host has a thread for each connection, so that it always answers.  Every module here may be called from any thread.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_EMULATOR_EMU_H
#define CABFS_EMULATOR_EMU_H

#include <glib.h>

typedef struct EmuConfig EmuConfig;
typedef struct EmuData EmuData;
typedef struct EmuFaults EmuFaults;
typedef struct EmuPark EmuPark;
typedef struct EmuStats EmuStats;
typedef struct EmuTokens EmuTokens;

/* The hosts, by the name the start line gives them. */
#define EMU_HOSTS(X)                                                                                           \
  X (LOGIN, "login")                                                                                           \
  X (API, "api")                                                                                               \
  X (BLOB, "blob")                                                                                             \
  X (METADATA, "metadata")                                                                                     \
  X (CONTROL, "control")

typedef enum {
#define EMU_HOST_ENUM(constant, name) EMU_HOST_##constant,
  EMU_HOSTS (EMU_HOST_ENUM)
#undef EMU_HOST_ENUM
      EMU_HOST_COUNT
} EmuHostId;

/* What faults and counters tell apart.  Those without a family's name are the driver's, or no family's. */
#define EMU_ENDPOINTS(X)                                                                                       \
  X (LOGIN, "login")                                                                                           \
  X (HITS, "hits")                                                                                             \
  X (DETAILS, "details")                                                                                       \
  X (BATCH, "batch")                                                                                           \
  X (CABDOWNLOAD, "cabdownload")                                                                               \
  X (DESKTOP_HITS, "desktop-hits")                                                                             \
  X (DESKTOP_DETAILS, "desktop-details")                                                                       \
  X (DESKTOP_STACKTRACE, "desktop-stacktrace")                                                                 \
  X (DESKTOP_CABDOWNLOAD, "desktop-cabdownload")                                                               \
  X (DESKTOP_INSIGHTS, "desktop-insights")                                                                     \
  X (STORE_HITS, "store-hits")                                                                                 \
  X (STORE_DETAILS, "store-details")                                                                           \
  X (STORE_STACKTRACE, "store-stacktrace")                                                                     \
  X (STORE_CABDOWNLOAD, "store-cabdownload")                                                                   \
  X (IHVDRIVER_HITS, "ihvdriver-hits")                                                                         \
  X (IHVDRIVER_DETAILS, "ihvdriver-details")                                                                   \
  X (IHVDRIVER_CABDOWNLOAD, "ihvdriver-cabdownload")                                                           \
  X (HARDWARE_HITS, "hardware-hits")                                                                           \
  X (HARDWARE_DETAILS, "hardware-details")                                                                     \
  X (HARDWARE_CABDOWNLOAD, "hardware-cabdownload")                                                             \
  X (APPLICATIONS, "applications")                                                                             \
  X (PRODUCTS, "products")                                                                                     \
  X (BLOB_HEAD, "blob-head")                                                                                   \
  X (BLOB_GET, "blob-get")                                                                                     \
  X (METADATA, "metadata")                                                                                     \
  X (OTHER, "other")

typedef enum {
#define EMU_ENDPOINT_ENUM(constant, name) EMU_##constant,
  EMU_ENDPOINTS (EMU_ENDPOINT_ENUM)
#undef EMU_ENDPOINT_ENUM
      EMU_ENDPOINT_COUNT
} EmuEndpoint;

#define EMU_BIT(endpoint) (1U << (endpoint))
#define EMU_ALL           (EMU_BIT (EMU_ENDPOINT_COUNT) - 1)
#define EMU_BLOBS         (EMU_BIT (EMU_BLOB_HEAD) | EMU_BIT (EMU_BLOB_GET))

/* The same call of every family that has it. */
#define EMU_HITS_ALL                                                                                           \
  (EMU_BIT (EMU_HITS) | EMU_BIT (EMU_DESKTOP_HITS) | EMU_BIT (EMU_STORE_HITS) | EMU_BIT (EMU_IHVDRIVER_HITS) | \
   EMU_BIT (EMU_HARDWARE_HITS))
#define EMU_CABS_ALL                                                                                           \
  (EMU_BIT (EMU_DETAILS) | EMU_BIT (EMU_BATCH) | EMU_BIT (EMU_DESKTOP_DETAILS) | EMU_BIT (EMU_STORE_DETAILS) | \
   EMU_BIT (EMU_IHVDRIVER_DETAILS) | EMU_BIT (EMU_HARDWARE_DETAILS))
#define EMU_DOWNLOADS                                                                                          \
  (EMU_BIT (EMU_CABDOWNLOAD) | EMU_BIT (EMU_DESKTOP_CABDOWNLOAD) | EMU_BIT (EMU_STORE_CABDOWNLOAD) |           \
   EMU_BIT (EMU_IHVDRIVER_CABDOWNLOAD) | EMU_BIT (EMU_HARDWARE_CABDOWNLOAD))
#define EMU_STACKS (EMU_BIT (EMU_DESKTOP_STACKTRACE) | EMU_BIT (EMU_STORE_STACKTRACE))

/* Lists of what a question names, and with those of products all that have pages. */
#define EMU_SCOPED (EMU_HITS_ALL | EMU_CABS_ALL)
#define EMU_LISTS                                                                                              \
  (EMU_SCOPED | EMU_BIT (EMU_DESKTOP_INSIGHTS) | EMU_BIT (EMU_APPLICATIONS) | EMU_BIT (EMU_PRODUCTS))

const char *emu_endpoint_name (EmuEndpoint endpoint);
/* EMU_ENDPOINT_COUNT if there is none of that name. */
EmuEndpoint emu_endpoint_find (const char *name);
/* A bit for each endpoint whose name fits @pattern: "desktop-*", "*cabdownload". */
guint emu_endpoint_match (const char *pattern);

typedef struct {
  EmuConfig *config;
  EmuData *data;
  EmuFaults *faults;
  EmuPark *park;
  EmuStats *stats;
  EmuTokens *tokens;
  char *payloads;             /* the folder of the cabinets made at build time */
  char *urls[EMU_HOST_COUNT]; /* "http://127.0.0.1:P"; set before the first request */
} Emu;

/* Milliseconds since 1970; the emulator's only wall clock. */
gint64 emu_now_ms (void);

/* Errors are for whoever drives the emulator: a sentence, no codes. */
#define EMU_ERROR (emu_error_quark ())
GQuark emu_error_quark (void);
void emu_error_set (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);

#endif
