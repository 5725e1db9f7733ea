/* api.h - the families of services that hand out failure CABs: what to send and how to read the answer.  No I/O.
 *
 * A family is a row of the table in api_families.c; api-contract.md sections 4 to 8.  Parsers are pure functions
 * from bytes to records and take anything: envelope and row keys in any case, numbers as text and text as numbers,
 * unknown keys, nulls, a byte-order mark (contract section 3).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_API_H
#define CABFS_CLIENT_API_H

#include "client/records.h"
#include "client/scope.h"
#include "client/times.h"

typedef struct CabFamily CabFamily;

/* The family of that name ("driver"), or NULL. */
const CabFamily *cab_family_find (const char *name);
/* FALSE for families whose data are those of the whole account: the application of their scopes is the family's name
 * and is never sent. */
gboolean cab_family_has_application (const CabFamily *family);

/* The days a list covers, as Unix seconds of any time of the first and the last day. */
typedef struct {
  gint64 first;
  gint64 last;
} CabWindow;

/* The window of api-contract.md 3.4: @days back from @now up to and including tomorrow, each end replaced by
 * @start_date or @end_date (yyyy-mm-dd) where that is not NULL. */
CabWindow cab_window_make (gint64 now, guint days, const char *start_date, const char *end_date);

/* How a list can be asked for: the family's ways in order of preference (the driver batch before the driver's
 * details, which answer where the batch is gone). */
guint cab_api_ways (const CabScope *scope);

/* Path and query, beginning with '/', of the page that leaves out the first @skip rows; where pages are linked
 * (CabPage.next), of the first.  @way < cab_api_ways(). */
char *cab_api_list_path (const CabScope *scope, guint way, const CabWindow *window, guint64 skip);

/* Most rows of a page, which is what is asked for; 0: pages are linked. */
guint cab_api_page_size (const CabScope *scope, guint way);

/* TRUE if an answer of that status says that there are no rows: api-contract.md section 9, my/applications. */
gboolean cab_api_is_empty (const CabScope *scope, guint way, int status);

typedef struct {
  guint rows;    /* rows in the answer, at most what was asked for: by that many the next page begins later */
  guint added;   /* of them those that were new: cab_records_builder_add() */
  gboolean last; /* no page follows (api-contract.md 3.5, step 3) */
  /* Where pages are linked, as those of products may be: path and query of the one that follows, for the API host
   * whatever host the link names; the caller frees it.  Else NULL. */
  char *next;
  guint surplus;     /* rows above what was asked for */
  gboolean linked;   /* the answer has a link to another page, whether it is of use or not */
  guint64 link_skip; /* rows that the link leaves out; CAB_SKIP_UNKNOWN if it does not tell */
  guint64 total;     /* rows of the whole list by the answer's word, a hint (3.3); 0 if it does not tell */
} CabPage;

#define CAB_SKIP_UNKNOWN G_MAXUINT64

/* Adds the rows of one answer to @builder; NULL: only looks at it, `added` is 0 then and `last` does without.  Rows of another application or failure than asked for and rows without
 * a safe key are skipped and counted.
 * FALSE with CAB_ERROR_INVALID, and the JSON path in the message, where the answer is no JSON or has no array of
 * rows, which is not an empty list, or where the link to the next page cannot be followed; @page is as it was. */
gboolean cab_api_parse_page (const CabScope *scope, guint way, const void *bytes, gsize len,
                             CabRecordsBuilder *builder, CabPage *page, GError **error);

/* How one CAB's address is asked for again. */
typedef enum {
  CAB_LOCATE_NONE,     /* the family cannot */
  CAB_LOCATE_LIST,     /* by a list narrowed to the CAB's day, which holds the address: cab_api_list_path() */
  CAB_LOCATE_REDIRECT, /* by a call that answers with a redirect */
} CabLocateKind;
CabLocateKind cab_api_locate_kind (const CabScope *scope, guint way);

/* For CAB_LOCATE_REDIRECT: path and query. */
char *cab_api_locate_path (const CabScope *scope, guint way, const char *cab_id);

/* TRUE if the services tell the stack trace of a CAB in @scope: only some families have that call. */
gboolean cab_api_has_stacktrace (const CabScope *scope);

/* Path and query of that call; it has no pages. */
char *cab_api_stacktrace_path (const CabScope *scope, const char *cab_id);

/* The frames of its answer as text, by their levels, a line each:
 *
 *   #LEVEL IMAGE!FUNCTION+OFFSET (blamed)
 *
 * LEVEL, IMAGE, FUNCTION and OFFSET are the service's words.  A function that it does not know is left out with its
 * '!', an unknown image is '?', an unknown offset is left out with its '+'; " (blamed)" stands on the frame that the
 * service holds responsible, where it says so.  A frame without a level has its place in the answer for one.  What
 * cannot be printed is '?', so that a frame is one line and a terminal shows it as it is.
 * NULL with CAB_ERROR_NOT_FOUND where the answer has no frames, with CAB_ERROR_INVALID where it cannot be understood:
 * no JSON, no array of rows, or rows of which none is a frame. */
char *cab_api_parse_stacktrace (const void *bytes, gsize len, GError **error);

/* One line on an answer that is an error: the service's code and message and its correlation id, from any of the
 * shapes of api-contract.md 2.3, 11.1 and 12.5 (JSON, XML, HTML, nothing).  @correlation is the header's, or NULL.
 * Never longer than some 300 bytes, without control characters. */
char *cab_api_error_text (const void *bytes, gsize len, const char *correlation);

/* Tells @error what answer it stands for: the same code and correlation id.  @code: the header's, or NULL. */
void cab_api_error_mark (GError *error, int status, const void *bytes, gsize len, const char *code,
                         const char *correlation);

/* A code that came in a header, if it looks like one: short, and of letters, digits and ._- only; else NULL, as for NULL. */
char *cab_api_error_word (const char *text);

/* The service's code alone ("AuthenticationFailed", "invalid_client"), or NULL. */
char *cab_api_error_code (const void *bytes, gsize len);

typedef struct {
  char *access_token;
  gint64 expires_in; /* seconds; 3600 if the answer does not say, 0 if it names a time that has passed */
} CabTokenAnswer;

/* The answer of a login host, api-contract.md 2.2, or what a token command or file gives: az-style JSON
 * (accessToken, expires_on or expiresOn) or the bare token.  @now is for answers that tell a point in time.
 * CAB_ERROR_INVALID otherwise, never with the bytes in the message. */
gboolean cab_api_parse_token (const void *bytes, gsize len, gint64 now, CabTokenAnswer *out, GError **error);

#endif
