/* client.h - the services, as cabfs uses them: lists of failures and CABs, and the bytes of a CAB.
 *
 * The front door of client/: nothing above includes another of its headers, except the shared words (error.h,
 * sync.h, metrics.h, scope.h, records.h).
 *
 * Every call returns at once.  Tokens, paging, addresses and their renewal, retries, back-off and the limits on
 * parallel requests are dealt with inside; what comes back is an answer or an error that is final for now.
 *
 * Threads: call from any thread.  Callbacks run on a transport thread, one at a time for each transfer, with no
 * lock held; they must not block on the network or for long on the disk, and may call back into this module.
 * `done` runs exactly once for each call that took it, also when the client is freed (CAB_ERROR_CANCELLED), and
 * possibly before the call returns.
 *
 * Secrets: the bearer token goes to the API host only, credentials to the login host only; a blob host gets the
 * URL and nothing else (api-contract.md section 15).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_CLIENT_H
#define CABFS_CLIENT_CLIENT_H

#include "client/records.h"
#include "client/scope.h"

/* Where access tokens come from; the first that is set, in this order.  Strings may be NULL. */
typedef struct {
  char *token_file;           /* file with a bare token or az-style JSON; read anew at each renewal */
  char *token_command;        /* shell command that prints the same */
  char *managed_identity;     /* of the machine: CAB_MANAGED_SYSTEM or a client ID; its metadata service is asked */
  char *managed_url;          /* of that service: 169.254.169.254, or the loopback interface if http is allowed */
  char *tenant;               /* with client_id and one of the three files: the client-credentials grant */
  char *client_id;
  char *client_certificate_file; /* PEM, with its private key; refused if others than its owner can read it */
  char *federated_token_file; /* another issuer's token that the application trusts; read anew at each request */
  char *client_secret_file;   /* refused if others than its owner can read it */
  gboolean use_environment;   /* AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET and
                                 AZURE_FEDERATED_TOKEN_FILE fill what is not set; the secret is taken out of the
                                 environment, so that no program gets it */
} CabTokenOptions;

#define CAB_MANAGED_SYSTEM "system"

typedef struct {
  char *api_url;              /* no slash at the end */
  char *login_url;            /* likewise */
  guint token_version;        /* 1 or 2: the endpoint of api-contract.md 2.1 */
  CabTokenOptions token;
  char **blob_hosts;          /* NULL-terminated; "host" or "*.suffix", each may end in ":port" */
  gboolean allow_http;        /* plain http, and then only to hosts on the loopback interface */
  char *ca_file;              /* PEM; NULL: the system's */
  char *proxy;                /* NULL: from the environment */
  guint days;                 /* look-back of lists, unless both dates are set */
  char *start_date, *end_date; /* yyyy-mm-dd or NULL */
  guint connections;          /* parallel transfers of bytes, to all blob hosts */
  guint api_connections;      /* parallel requests to the API */
  guint size_connections;     /* parallel HEADs */
  guint timeout_ms;           /* without a byte of progress */
  guint retries;              /* tries of one request; progress starts the count anew */
} CabClientOptions;

/* Frees what the struct points to and zeroes it. */
void cab_client_options_clear (CabClientOptions *options);

typedef struct CabClient CabClient;

/* Copies @options.  Starts the transport threads; makes no request.  NULL with @error for options that cannot
 * work: an http URL that is not allowed, a secret file others can read, no credentials at all. */
CabClient *cab_client_new (const CabClientOptions *options, GError **error);

/* Takes from @options, which are copied, what can be another thing while requests are under way: `days`, the dates,
 * `timeout_ms` and `retries`, for requests that begin from now on; and has the token renewed behind the next request, so
 * that what the files of the credentials say by now is used. */
void cab_client_change (CabClient *self, const CabClientOptions *options);

/* Ends everything under way with CAB_ERROR_CANCELLED; when it returns, every callback has run.  Calls that come later
 * are answered with the same error at once.  Not to be called from a callback. */
void cab_client_stop (CabClient *self);

/* Stops if that was not done, and frees.  Blobs must have been dropped before. */
void cab_client_free (CabClient *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabClient, cab_client_free)

/* A host that was asked for something since the start, and what it is being asked for now. */
typedef struct {
  char *host;             /* "host:port", as in addresses */
  const char *use;        /* "api", "login", "bytes" or "sizes": each has connections of its own; static */
  guint connections;      /* requests that have a connection, or are about to */
  guint parallel;         /* most that it is given at a time: less than configured after it refused some */
  gint64 paused_until_us; /* monotonic: no request before, as it has asked; 0 if it never did */
} CabHostState;

/* An array of CabHostState, sorted by host and use, for the caller to unref.  Waits for nothing. */
GArray *cab_client_hosts (CabClient *self);

/* --- lists -------------------------------------------------------------------------------------------------- */

typedef struct {
  void (*progress) (gpointer data);                                           /* a page arrived; may be NULL */
  void (*done) (gpointer data, CabRecords *records, const GError *error);     /* @records: take a reference */
} CabListSink;

/* FALSE if no list of @scope holds addresses: they are had for one CAB at a time.  Pure. */
gboolean cab_client_lists_addresses (const CabScope *scope);

/* All rows of @scope, over all pages.  @scope and @sink are copied.
 * Errors: NOT_FOUND (404: no such application or failure), DENIED, TIMEOUT, INVALID (an answer that cannot be
 * understood; never an empty list instead), FAILED. */
void cab_client_list (CabClient *self, const CabScope *scope, const CabListSink *sink, gpointer data);

/* --- stack traces ------------------------------------------------------------------------------------------- */

/* @text: take a reference.  UTF-8, not terminated; one frame a line, as cab_api_parse_stacktrace() in api.h tells. */
typedef void (*CabStacktraceDone) (gpointer data, GBytes *text, const GError *error);

/* TRUE if the services tell stack traces of the CABs in @scope.  Pure. */
gboolean cab_client_has_stacktrace (const CabScope *scope);

/* The service's own stack trace of CAB @cab_id, which need not be downloadable.  Copies its arguments.
 * Errors: NOT_FOUND (the family has none: at once, without a request; or the service has none of this CAB), DENIED,
 * TIMEOUT, INVALID, FAILED. */
void cab_client_stacktrace (CabClient *self, const CabScope *scope, const char *cab_id, CabStacktraceDone done,
                            gpointer data);

/* --- a step at a time, for who wants to know where it ends ---------------------------------------------------- */

typedef void (*CabLookDone) (gpointer data, const GError *error);

/* Has a token, asked for if none is at hand.  Errors: as those of the calls that need one. */
void cab_client_look_token (CabClient *self, CabLookDone done, gpointer data);

/* @ahead_s: seconds that a host's clock is before ours, of the login and the API host the one that differs more.
 * @heard: FALSE as long as none has answered. */
typedef void (*CabClockDone) (gpointer data, gboolean heard, gint64 ahead_s);
void cab_client_look_clock (CabClient *self, CabClockDone done, gpointer data);

/* @host: "host" or "host:port" of the CAB's present address, which may be used; NULL with @error. */
typedef void (*CabHostDone) (gpointer data, const char *host, const GError *error);
void cab_client_look_address (CabClient *self, const CabScope *scope, const CabRecord *record, CabHostDone done,
                              gpointer data);

/* --- one CAB ------------------------------------------------------------------------------------------------ */

/* One CAB at the service: its address, renewed as needed. */
typedef struct CabBlob CabBlob;

/* What a blob host says of a blob. */
typedef struct {
  guint64 size;      /* bytes */
  const char *etag;  /* verbatim, with its quotes; NULL if none */
  const char *md5;   /* of the whole blob, 32 hexadecimal digits; NULL if not told */
  gint64 modified;   /* Unix seconds, or CAB_TIME_UNKNOWN */
} CabFacts;

/* @record is copied; its url may be NULL or have run out, then it is asked for first.  The client must outlive
 * the blob. */
CabBlob *cab_blob_new (CabClient *client, const CabScope *scope, const CabRecord *record);
CabBlob *cab_blob_ref (CabBlob *self);
void cab_blob_unref (CabBlob *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabBlob, cab_blob_unref)

/* Who goes first when connections are scarce. */
typedef enum { CAB_PRIORITY_READER, CAB_PRIORITY_AHEAD } CabPriority;

typedef void (*CabProbeDone) (gpointer data, const CabFacts *facts, const GError *error);

/* Size and validators by HEAD, or by a range of one byte where HEAD is refused (api-contract.md 12.3).
 * Errors as below. */
void cab_blob_probe (CabBlob *self, CabPriority priority, CabProbeDone done, gpointer data);

typedef struct {
  /* The host's headers, before any byte: FALSE with @error ends the transfer.  Again after each resumption, with
   * the same facts. */
  gboolean (*facts) (gpointer data, const CabFacts *facts, GError **error);
  /* Bytes, in order, without gap or overlap.  FALSE with @error ends the transfer. */
  gboolean (*write) (gpointer data, guint64 off, const void *bytes, gsize len, GError **error);
  void (*done) (gpointer data, const GError *error);
} CabSink;

typedef struct CabTransfer CabTransfer;

/* Fetches @len > 0 bytes at @off, less where the blob ends before.  @etag: what the blob must still be (If-Match),
 * or NULL for the first request.  @sink is copied.
 * A broken transfer is resumed at the missing byte, on a new address where that ran out.
 * Errors: NOT_FOUND (the blob is gone), DENIED, CHANGED (other ETag or size than before or than @etag), TIMEOUT,
 * INVALID (an answer that contradicts itself), FAILED, CANCELLED.
 * Returns a reference the caller drops with cab_transfer_unref(). */
CabTransfer *cab_blob_get (CabBlob *self, guint64 off, guint64 len, const char *etag, CabPriority priority,
                           const CabSink *sink, gpointer data);

/* Asks for the end: `done` comes with CAB_ERROR_CANCELLED unless it is over already. */
void cab_transfer_cancel (CabTransfer *self);

/* Of a transfer that waits for a connection, now or again. */
void cab_transfer_set_priority (CabTransfer *self, CabPriority priority);

void cab_transfer_unref (CabTransfer *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabTransfer, cab_transfer_unref)

#endif
