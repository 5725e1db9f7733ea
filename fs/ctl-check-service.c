/* ctl-check-service.c - the steps of `cabfsctl check` that ask the services, as a mount would ask them.
 *
 * Each question waits for its answer, so that the steps come in their order; what a step brought goes on to the next.
 *
 * SPDX-License-Identifier: MIT
 */
#include <pthread.h>
#include <string.h>

#include "client/error.h"
#include "client/sync.h"
#include "fs/ctl-advice.h"
#include "fs/ctl-check.h"
#include "fs/ctl-text.h"
#include "fs/text.h"

/* Enough to tell that bytes come, and what they are. */
#define FIRST_BYTES 512

/* Failures of one application whose CABs are listed in search of one that can be had. */
#define FAILURES_MAX 5

#define CLOCK_SLACK_S 120
#define HOUR_S        3600
#define DAY_S         86400

static const char *const discovered[] = {"driver", "desktop", "store"};

typedef struct {
  const CabConfig *config;
  CabReport *report;
  CabClient *client;
  gboolean clock_told;
  GHashTable *read;   /* families of which a CAB was read; borrowed names */
  GHashTable *failed; /* families of which one could not be */
} Check;

/* --- waiting ------------------------------------------------------------------------------------------------------ */

/* The answer to one question. */
typedef struct {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  gboolean done;       /* lock: the rest is set before it */
  GError *error;       /* owned */
  CabRecords *records; /* owned */
  char *host;          /* owned */
  gboolean heard;
  gint64 ahead_s;
  guint64 size;  /* of the blob */
  guint64 bytes; /* that came */
} Answer;

static void answer_init (Answer *self) {
  *self = (Answer){0};
  pthread_mutex_init (&self->lock, NULL);
  pthread_cond_init (&self->changed, NULL);
}

static void answer_clear (Answer *self) {
  g_clear_error (&self->error);
  g_clear_pointer (&self->records, cab_records_unref);
  g_free (self->host);
  pthread_cond_destroy (&self->changed);
  pthread_mutex_destroy (&self->lock);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Answer, answer_clear)

static void answer_end (Answer *self, const GError *error) {
  CAB_LOCK_SCOPE (&self->lock);
  self->error = error != NULL ? g_error_copy (error) : NULL;
  self->done = TRUE;
  pthread_cond_signal (&self->changed);
}

static gboolean answer_wait (Answer *self) {
  CAB_LOCK_SCOPE (&self->lock);
  while (!self->done)
    pthread_cond_wait (&self->changed, &self->lock);
  return self->error == NULL;
}

static void looked (gpointer data, const GError *error) {
  answer_end (data, error);
}

static void clock_told (gpointer data, gboolean heard, gint64 ahead_s) {
  Answer *self = data;
  self->heard = heard;
  self->ahead_s = ahead_s;
  answer_end (self, NULL);
}

static void listed (gpointer data, CabRecords *records, const GError *error) {
  Answer *self = data;
  self->records = records != NULL ? cab_records_ref (records) : NULL;
  answer_end (self, error);
}

static void located (gpointer data, const char *host, const GError *error) {
  Answer *self = data;
  self->host = g_strdup (host);
  answer_end (self, error);
}

static gboolean facts_came (gpointer data, const CabFacts *facts, GError **error) {
  Answer *self = data;
  self->size = facts->size;
  return TRUE;
}

static gboolean bytes_came (gpointer data, guint64 off, const void *bytes, gsize len, GError **error) {
  Answer *self = data;
  self->bytes += len;
  return TRUE;
}

/* --- steps -------------------------------------------------------------------------------------------------------- */

static void report_failure (Check *self, CabWhere where, const char *name, const GError *error) {
  const char *advice = cab_advice (where, error);
  g_autofree char *what = cab_advice_apart (error, advice);
  cab_report (self->report, CAB_STEP_FAILED, name, "%s", what);
  cab_report_advice (advice);
}

static gboolean make_client (Check *self) {
  g_autoptr (GError) error = NULL;
  self->client = cab_client_new (&self->config->client, &error);
  if (self->client == NULL)
    cab_report (self->report, CAB_STEP_FAILED, "credentials", "%s", error->message);
  else
    cab_report (self->report, CAB_STEP_OK, "credentials", "are there");
  return self->client != NULL;
}

static void report_clock (Check *self, gint64 ahead_s) {
  guint64 off = (guint64) ABS (ahead_s);
  const char *direction = ahead_s > 0 ? "behind" : "ahead of";
  g_autofree char *span = off >= 2 * DAY_S     ? g_strdup_printf ("%" G_GUINT64_FORMAT " days", off / DAY_S)
                          : off >= 23 * HOUR_S ? g_strdup ("a day")
                                               : cab_ctl_duration (off);
  if (off <= CLOCK_SLACK_S) {
    cab_report (self->report, CAB_STEP_OK, "clock", "agrees with that of the service");
    return;
  }
  cab_report (self->report, CAB_STEP_WARNING, "clock", "this machine is %s %s that of the service", span,
              direction);
  cab_report_advice (
      "Set the clock (timedatectl set-ntp true): certificates and tokens are judged by it, lists ask for the "
      "wrong days, and CABs leave the cache too early or too late.");
}

/* Once, as soon as anybody has answered, be it with an error. */
static void check_clock (Check *self) {
  g_auto (Answer) answer;
  answer_init (&answer);
  if (self->clock_told)
    return;
  cab_client_look_clock (self->client, clock_told, &answer);
  answer_wait (&answer);
  self->clock_told = answer.heard;
  if (answer.heard)
    report_clock (self, answer.ahead_s);
}

static gboolean check_token (Check *self) {
  const CabTokenOptions *options = &self->config->client.token;
  g_auto (Answer) answer;
  answer_init (&answer);
  cab_client_look_token (self->client, looked, &answer);
  gboolean ok = answer_wait (&answer);
  if (ok)
    cab_report (self->report, CAB_STEP_OK, "token", "%s",
                options->token_file != NULL      ? "from token-file"
                : options->token_command != NULL ? "from token-command"
                                                 : "was given");
  else
    report_failure (self, CAB_AT_TOKEN, "token", answer.error);
  check_clock (self);
  return ok;
}

/* NULL if the list could not be had. */
static CabRecords *check_list (Check *self, const CabScope *scope, const char *what) {
  g_autofree char *name = cab_scope_to_text (scope);
  const CabListSink sink = {.done = listed};
  g_auto (Answer) answer;
  answer_init (&answer);
  cab_client_list (self->client, scope, &sink, &answer);
  gboolean ok = answer_wait (&answer);
  check_clock (self);
  if (!ok)
    report_failure (self, CAB_AT_LIST, name, answer.error);
  else
    cab_report (self->report, CAB_STEP_OK, name, "%u %s%s", cab_records_count (answer.records), what,
                cab_records_count (answer.records) == 1 ? "" : "s");
  return ok ? g_steal_pointer (&answer.records) : NULL;
}

/* --- one CAB ------------------------------------------------------------------------------------------------------ */

static gboolean check_address (Check *self, const CabScope *scope, const CabRecord *record) {
  g_autofree char *name = g_strdup_printf ("address of %s", record->id);
  g_auto (Answer) answer;
  answer_init (&answer);
  cab_client_look_address (self->client, scope, record, located, &answer);
  gboolean ok = answer_wait (&answer);
  if (ok)
    cab_report (self->report, CAB_STEP_OK, name, "at %s, which blob-hosts allows", answer.host);
  else
    report_failure (self, CAB_AT_ADDRESS, name, answer.error);
  return ok;
}

static gboolean check_bytes (Check *self, const CabScope *scope, const CabRecord *record) {
  static const CabSink sink = {.facts = facts_came, .write = bytes_came, .done = looked};
  g_autofree char *name = g_strdup_printf ("bytes of %s", record->id);
  g_autoptr (CabBlob) blob = cab_blob_new (self->client, scope, record);
  g_auto (Answer) answer;
  answer_init (&answer);
  cab_transfer_unref (cab_blob_get (blob, 0, FIRST_BYTES, NULL, CAB_PRIORITY_READER, &sink, &answer));
  gboolean ok = answer_wait (&answer);
  g_autofree char *size = cab_text_size (answer.size);
  if (ok)
    cab_report (self->report, CAB_STEP_OK, name, "the first %" G_GUINT64_FORMAT " of %s", answer.bytes, size);
  else
    report_failure (self, CAB_AT_BLOB, name, answer.error);
  return ok;
}

/* The first CAB of @records that the service lets this account have. */
static gboolean find_cab (const CabRecords *records, CabRecord *record) {
  for (guint i = 0; i < cab_records_count (records); i++) {
    cab_records_get (records, i, record);
    if (record->downloadable)
      return TRUE;
  }
  return FALSE;
}

/* TRUE if there was a CAB to be tried, whatever became of it. */
static gboolean check_cab (Check *self, const CabScope *scope) {
  CabRecord record;
  g_autoptr (CabRecords) records = check_list (self, scope, "CAB");
  if (records == NULL) {
    g_hash_table_add (self->failed, scope->family);
    return TRUE;
  }
  if (!find_cab (records, &record)) {
    if (cab_records_count (records) > 0) {
      cab_report (self->report, CAB_STEP_WARNING, "CABs",
                  "the service says of each that this account cannot download it");
      cab_report_advice ("It says so to app-only tokens: see token-command in cabfs.conf(5).");
    }
    return FALSE;
  }
  gboolean ok = check_address (self, scope, &record) && check_bytes (self, scope, &record);
  g_hash_table_add (ok ? self->read : self->failed, scope->family);
  return TRUE;
}

/* --- families ----------------------------------------------------------------------------------------------------- */

/* One CAB of each family is tried. */
static void check_application (Check *self, const char *family, const char *id) {
  const CabScope scope = {.family = (char *) (gsize) family, .application = (char *) (gsize) id};
  g_autoptr (CabRecords) failures = check_list (self, &scope, "failure");
  gboolean tried = g_hash_table_contains (self->read, family) || g_hash_table_contains (self->failed, family);
  guint n = failures != NULL ? MIN (cab_records_count (failures), FAILURES_MAX) : 0;
  for (guint i = 0; i < n && !tried; i++) {
    CabRecord record;
    cab_records_get (failures, i, &record);
    const CabScope cabs = {scope.family, scope.application, (char *) (gsize) record.id};
    tried = check_cab (self, &cabs);
  }
}

/* A family whose products cannot be listed need not be one that the account has. */
static guint check_products (Check *self, const char *family) {
  const CabScope scope = {.family = (char *) (gsize) family};
  const CabListSink sink = {.done = listed};
  g_auto (Answer) answer;
  answer_init (&answer);
  cab_client_list (self->client, &scope, &sink, &answer);
  gboolean ok = answer_wait (&answer);
  check_clock (self);
  if (!ok) {
    cab_report (self->report, CAB_STEP_WARNING, "discover", "%s: %s", family, answer.error->message);
    cab_report_advice (cab_advice (CAB_AT_LIST, answer.error));
    return 0;
  }
  guint n = cab_records_count (answer.records);
  cab_report (self->report, CAB_STEP_OK, "discover", "%s: %u product%s", family, n, n == 1 ? "" : "s");
  for (guint i = 0; i < n; i++) {
    CabRecord record;
    cab_records_get (answer.records, i, &record);
    check_application (self, family, record.id);
  }
  return n;
}

static void check_applications (Check *self) {
  const CabFsOptions *options = &self->config->fs;
  guint n = options->n_applications;
  for (guint i = 0; i < options->n_applications; i++)
    check_application (self, options->applications[i].family, options->applications[i].id);
  for (guint i = 0; options->discover && i < G_N_ELEMENTS (discovered); i++)
    n += check_products (self, discovered[i]);
  if (n > 0)
    return;
  cab_report (self->report, CAB_STEP_WARNING, "applications",
              "none is configured, so that none could be tried");
  cab_report_advice ("Name some with desktop, driver, store or account-families, or set discover = yes.");
}

gboolean cab_check_service (const CabConfig *config, gboolean reachable, CabReport *report) {
  Check self = {.config = config, .report = report};
  if (!make_client (&self))
    return FALSE;
  self.read = g_hash_table_new (g_str_hash, g_str_equal);
  self.failed = g_hash_table_new (g_str_hash, g_str_equal);
  if (!reachable)
    cab_report (report, CAB_STEP_SKIPPED, "services", "nothing can be asked without the proxy");
  else if (!check_token (&self))
    cab_report (report, CAB_STEP_SKIPPED, "lists and CABs", "nothing can be asked without a token");
  else
    check_applications (&self);
  gboolean readable = g_hash_table_size (self.read) > 0 && g_hash_table_size (self.failed) == 0;
  g_hash_table_unref (self.read);
  g_hash_table_unref (self.failed);
  cab_client_free (self.client);
  return readable;
}
