/* faults.h - what can be made to go wrong, as one table, and the faults that are set.
 *
 * A fault is set for one or more endpoints, for the next n requests, for all or by chance; optionally only for paths that
 * contain a text, or once for each path and query, in whatever order requests and their second tries come.  A request
 * takes at most one fault of each kind, the one set first; kinds add up (latency and a status and a slow body).  A fault
 * of a kind that is set twice with counts is thus a script: two 503, then a 429.
 *
 * Threads: any.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_EMULATOR_FAULTS_H
#define CABFS_EMULATOR_FAULTS_H

#include "tests/emulator/emu.h"
#include <jansson.h>

/* X (constant, name, endpoints it can be set for, arguments separated by blanks, what it does) */
#define EMU_FAULTS(X)                                                                                          \
  X (LATENCY, "latency", EMU_ALL, "ms maxMs", "answers after ms, or a time between ms and maxMs")              \
  X (HOLD, "hold", EMU_ALL, "", "the request waits until /release; /wait-held counts it")                      \
  X (DROP, "drop", EMU_ALL, "how", "no answer: the connection is closed (\"close\", default) or \"reset\"")    \
  X (STATUS, "status", EMU_ALL, "status code message retryAfter body",                                         \
     "this status; retryAfter: seconds, {\"date\": seconds from now} or any text; body: documented, html, "    \
     "empty")                                                                                                  \
  X (ANSWER, "answer", EMU_ALL, "status text type",                                                            \
     "this text as the body, with status (200) and content type")                                              \
  X (HEADER, "header", EMU_ALL, "name value", "a further response header")                                     \
  X (STALL, "stall", EMU_ALL, "after ms", "the body stops after so many bytes, for ms or until /release")      \
  X (DRIP, "drip", EMU_ALL, "after bytes ms", "the body comes in pieces of bytes, one in ms")                  \
  X (RESET, "reset", EMU_ALL, "after", "the connection is reset after so many bytes of the body")              \
  X (SHORT, "short", EMU_ALL, "after", "the connection is closed after so many bytes of the body")             \
  X (BANDWIDTH, "bandwidth", EMU_ALL, "rate scope",                                                            \
     "bytes a second of each response (scope \"connection\", default) or of all together (\"total\")")         \
  X (TOKEN, "token", EMU_BIT (EMU_LOGIN) | EMU_BIT (EMU_METADATA), "expiresIn tokenType remove",               \
     "these values in the answer, or without the field named in remove")                                       \
  X (CASING, "casing", EMU_LISTS | EMU_STACKS, "envelope rows",                                                \
     "keys in \"lower\", \"upper\" or \"title\" case")                                                         \
  X (NEXT_LINK, "next-link", EMU_LISTS, "form last",                                                           \
     "absent, null, empty, relative, absolute, unencoded, malformed, foreign; last: on the last page as well") \
  X (TYPES, "types", EMU_LISTS | EMU_STACKS, "numbers null unknown bom blanks",                                \
     "numbers: string or fraction; null: a field; unknown: more fields; bom; blanks after the identifiers")    \
  X (IDENTIFIERS, "identifiers", EMU_LISTS, "", "rows with hostile keys before the others")                    \
  X (FOREIGN_ROWS, "foreign-rows", EMU_SCOPED, "field",                                                        \
     "a row that has another value in field before the others")                                                \
  X (DATES, "dates", EMU_LISTS, "form",                                                                        \
     "blank, day, slashes, us, us-short, t, z, fraction, offset; missing, nonsense")                           \
  X (PAGING, "paging", EMU_LISTS, "form rows",                                                                 \
     "skip-ignored; overlap: rows shift, so that later pages begin so many rows too early; short: pages of "   \
     "so many rows though more follow; repeat: each row twice")                                                \
  X (SAS, "sas", EMU_BIT (EMU_BATCH) | EMU_DOWNLOADS,                                                          \
     "life start signature host scheme permissions userinfo fragment remove",                                  \
     "URLs with: life in ms, start in ms from now, signature \"wrong\", another host, scheme or sp, "          \
     "user-info, a fragment; without the field in remove")                                                     \
  X (REDIRECT, "redirect", EMU_DOWNLOADS, "status form location",                                              \
     "another status; form: relative, missing, http, foreign, loop, body (200 and the bytes); or this "        \
     "location")                                                                                               \
  X (RANGE_IGNORED, "range-ignored", EMU_BIT (EMU_BLOB_GET), "", "200 and the whole blob in reply to a range") \
  X (SHORT_RANGE, "short-range", EMU_BIT (EMU_BLOB_GET), "bytes",                                              \
     "206 with at most so many bytes, headers true")                                                           \
  X (CONTENT_RANGE, "content-range", EMU_BIT (EMU_BLOB_GET), "shift total value",                              \
     "a header that lies: first and last byte moved by shift, another total, or this text (null: none)")       \
  X (ETAG, "etag", EMU_BLOBS, "value enforce",                                                                 \
     "the blob has another ETag (null: none); enforce false: If-Match is not looked at")                       \
  X (SIZE, "size", EMU_BLOBS, "size delta", "the blob seems larger (zeros follow) or smaller")                 \
  X (MD5, "md5", EMU_BLOBS, "value", "Content-MD5: \"none\" or \"wrong\"")                                     \
  X (CORRUPT, "corrupt", EMU_BIT (EMU_BLOB_GET), "at", "the byte of the blob at this offset is flipped")       \
  X (NO_ERROR_CODE, "no-error-code", EMU_BLOBS, "", "errors without x-ms-error-code")

typedef enum {
#define EMU_FAULT_ENUM(constant, name, endpoints, args, help) EMU_FAULT_##constant,
  EMU_FAULTS (EMU_FAULT_ENUM)
#undef EMU_FAULT_ENUM
      EMU_FAULT_COUNT
} EmuFaultKind;

typedef struct EmuFault EmuFault;

/* The faults a request has taken, by kind; a reference each, or NULL. */
typedef struct {
  EmuFault *by_kind[EMU_FAULT_COUNT];
} EmuFaultSet;

EmuFaults *emu_faults_new (void);
void emu_faults_free (EmuFaults *self);

/* {"fault", "endpoint": name, pattern with "*", or list of them, "count", "skip", "once", "probability", "seed", "path",
 * arguments}.  Its number, or 0 with @error. */
guint emu_faults_add (EmuFaults *self, json_t *spec, GError **error);

/* Ends one (@id) or all (0).  Requests that have taken it keep it. */
void emu_faults_remove (EmuFaults *self, guint id);

/* What is set, and the table of what can be; new references. */
json_t *emu_faults_list (EmuFaults *self);
json_t *emu_faults_table (void);

/* Takes the faults for a request of @endpoint to @uri into the empty @set; TRUE if any. */
gboolean emu_faults_take (EmuFaults *self, EmuEndpoint endpoint, const char *uri, EmuFaultSet *set);
void emu_fault_set_clear (EmuFaultSet *set);

guint emu_fault_id (const EmuFault *fault);

/* Arguments; borrowed.  @fault may be NULL: then NULL or @otherwise. */
json_t *emu_fault_arg (const EmuFault *fault, const char *name);
gint64 emu_fault_int (const EmuFault *fault, const char *name, gint64 otherwise);
const char *emu_fault_text (const EmuFault *fault, const char *name);
gboolean emu_fault_is (const EmuFault *fault, const char *name, const char *value);

/* A random number in [0, n), from the fault's seed. */
guint64 emu_fault_random (EmuFault *fault, guint64 n);

/* Shares the fault's bandwidth: when (monotonic µs) @bytes may go out after what went before. */
gint64 emu_fault_reserve (EmuFault *fault, guint64 bytes, gint64 rate, gint64 now_us);

#endif
