/* SPDX-License-Identifier: MIT */
#include "tests/emulator/stats.h"
#include "client/sync.h"
#include <errno.h>
#include <string.h>
#include <time.h>

#define LOG_SIZE 16384

typedef struct {
  guint64 request; /* 0: unused */
  gint64 ms;
  EmuEndpoint endpoint;
  guint status; /* 0: not answered yet */
  guint64 bytes;
  gboolean over;
  char *method;
  char *path;
  char *range;
  char *cab;
} LogEntry;

typedef struct {
  guint64 requests[EMU_ENDPOINT_COUNT];
  guint64 bytes;
} CabCount;

struct EmuStats {
  pthread_mutex_t lock;
  pthread_cond_t changed; /* a request came, or stopped */
  gboolean stopped;       /* lock, as is all that follows */
  guint64 last_request;
  guint64 first_request; /* of those since the last reset */
  guint64 requests[EMU_ENDPOINT_COUNT];
  guint64 statuses[EMU_ENDPOINT_COUNT][600];
  GHashTable *cabs; /* id -> CabCount */
  guint64 bytes;
  guint now, most;
  guint blob_now, blob_most;
  guint64 tokens_issued, tokens_refused;
  guint64 authorization_at_blob;
  guint64 opened[EMU_HOST_COUNT];
  guint open[EMU_HOST_COUNT], open_most[EMU_HOST_COUNT];
  LogEntry *log; /* a ring, by request number */
};

EmuStats *emu_stats_new (void) {
  EmuStats *self = g_new0 (EmuStats, 1);
  pthread_mutex_init (&self->lock, NULL);
  pthread_condattr_t attr;
  pthread_condattr_init (&attr);
  pthread_condattr_setclock (&attr, CLOCK_MONOTONIC);
  pthread_cond_init (&self->changed, &attr);
  pthread_condattr_destroy (&attr);
  self->cabs = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  self->log = g_new0 (LogEntry, LOG_SIZE);
  return self;
}

static void entry_clear (LogEntry *entry) {
  g_free (entry->method);
  g_free (entry->path);
  g_free (entry->range);
  g_free (entry->cab);
  memset (entry, 0, sizeof *entry);
}

void emu_stats_free (EmuStats *self) {
  if (self == NULL)
    return;
  for (guint i = 0; i < LOG_SIZE; i++)
    entry_clear (&self->log[i]);
  g_free (self->log);
  g_hash_table_unref (self->cabs);
  pthread_cond_destroy (&self->changed);
  pthread_mutex_destroy (&self->lock);
  g_free (self);
}

char *emu_stats_redact (const char *uri) {
  const char *sig = strstr (uri, "sig=");
  if (sig == NULL)
    return g_strdup (uri);
  return g_strdup_printf ("%.*ssig=REDACTED%s", (int) (sig - uri), uri, sig + strcspn (sig, "&"));
}

/* --- counting ----------------------------------------------------------------------------------------------- */

static gboolean is_blob (EmuEndpoint endpoint) {
  return (EMU_BIT (endpoint) & EMU_BLOBS) != 0;
}

static CabCount *cab_count_locked (EmuStats *self, const char *cab) {
  CabCount *count = g_hash_table_lookup (self->cabs, cab);
  if (count == NULL) {
    count = g_new0 (CabCount, 1);
    g_hash_table_insert (self->cabs, g_strdup (cab), count);
  }
  return count;
}

static LogEntry *entry_locked (EmuStats *self, guint64 request) {
  LogEntry *entry = &self->log[request % LOG_SIZE];
  return entry->request == request ? entry : NULL;
}

guint64 emu_stats_begin (EmuStats *self, EmuEndpoint endpoint, const char *cab, const char *method,
                         const char *uri, const char *range) {
  LogEntry made = {
      .ms = emu_now_ms (),
      .endpoint = endpoint,
      .method = g_strdup (method),
      .path = emu_stats_redact (uri),
      .range = g_strdup (range),
      .cab = g_strdup (cab),
  };
  CAB_LOCK_SCOPE (&self->lock);
  made.request = ++self->last_request;
  self->requests[endpoint]++;
  self->now++;
  self->most = MAX (self->most, self->now);
  if (is_blob (endpoint))
    self->blob_now++;
  self->blob_most = MAX (self->blob_most, self->blob_now);
  if (cab != NULL)
    cab_count_locked (self, cab)->requests[endpoint]++;
  LogEntry *entry = &self->log[made.request % LOG_SIZE];
  entry_clear (entry);
  *entry = made;
  pthread_cond_broadcast (&self->changed);
  return made.request;
}

void emu_stats_answer (EmuStats *self, guint64 request, EmuEndpoint endpoint, guint status) {
  CAB_LOCK_SCOPE (&self->lock);
  if (request <= self->first_request)
    return;
  if (status < G_N_ELEMENTS (self->statuses[0]))
    self->statuses[endpoint][status]++;
  LogEntry *entry = entry_locked (self, request);
  if (entry != NULL)
    entry->status = status;
}

void emu_stats_bytes (EmuStats *self, const char *cab, guint64 bytes) {
  CAB_LOCK_SCOPE (&self->lock);
  self->bytes += bytes;
  if (cab != NULL)
    cab_count_locked (self, cab)->bytes += bytes;
}

void emu_stats_end (EmuStats *self, guint64 request, EmuEndpoint endpoint, guint64 body_bytes) {
  CAB_LOCK_SCOPE (&self->lock);
  self->now--;
  if (is_blob (endpoint))
    self->blob_now--;
  LogEntry *entry = entry_locked (self, request);
  if (entry != NULL) {
    entry->bytes = body_bytes;
    entry->over = TRUE;
  }
}

void emu_stats_token (EmuStats *self, gboolean issued) {
  CAB_LOCK_SCOPE (&self->lock);
  if (issued)
    self->tokens_issued++;
  else
    self->tokens_refused++;
}

void emu_stats_authorization_at_blob (EmuStats *self) {
  CAB_LOCK_SCOPE (&self->lock);
  self->authorization_at_blob++;
}

void emu_stats_connection (EmuStats *self, EmuHostId host, int delta) {
  CAB_LOCK_SCOPE (&self->lock);
  if (delta > 0) {
    self->opened[host]++;
    self->open[host]++;
    self->open_most[host] = MAX (self->open_most[host], self->open[host]);
  } else {
    self->open[host]--;
  }
}

void emu_stats_reset (EmuStats *self) {
  CAB_LOCK_SCOPE (&self->lock);
  self->first_request = self->last_request;
  memset (self->requests, 0, sizeof self->requests);
  memset (self->statuses, 0, sizeof self->statuses);
  g_hash_table_remove_all (self->cabs);
  self->bytes = self->tokens_issued = self->tokens_refused = self->authorization_at_blob = 0;
  self->most = self->now;
  self->blob_most = self->blob_now;
  memset (self->opened, 0, sizeof self->opened);
  memcpy (self->open_most, self->open, sizeof self->open);
  for (guint i = 0; i < LOG_SIZE; i++)
    entry_clear (&self->log[i]);
}

/* --- telling ------------------------------------------------------------------------------------------------ */

static json_t *integer (guint64 value) {
  return json_integer ((json_int_t) value);
}

static json_t *endpoint_locked (EmuStats *self, EmuEndpoint endpoint, guint64 *refused) {
  json_t *statuses = json_object ();
  for (guint status = 0; status < G_N_ELEMENTS (self->statuses[0]); status++) {
    guint64 n = self->statuses[endpoint][status];
    if (n == 0)
      continue;
    char name[8];
    g_snprintf (name, sizeof name, "%u", status);
    json_object_set_new (statuses, name, integer (n));
    if (status >= 400)
      *refused += n;
  }
  return json_pack ("{s:o, s:o}", "requests", integer (self->requests[endpoint]), "statuses", statuses);
}

static json_t *sum_of (const CabCount *count, guint endpoints) {
  guint64 sum = 0;
  for (guint i = 0; i < EMU_ENDPOINT_COUNT; i++)
    if ((endpoints & EMU_BIT (i)) != 0)
      sum += count->requests[i];
  return integer (sum);
}

static json_t *cabs_locked (EmuStats *self) {
  json_t *object = json_object ();
  GHashTableIter iter;
  gpointer key, value;
  g_hash_table_iter_init (&iter, self->cabs);
  while (g_hash_table_iter_next (&iter, &key, &value)) {
    const CabCount *count = value;
    json_object_set_new (
        object, key,
        json_pack ("{s:o, s:o, s:o, s:o, s:o}", "head", integer (count->requests[EMU_BLOB_HEAD]), "get",
                   integer (count->requests[EMU_BLOB_GET]), "cabdownload", sum_of (count, EMU_DOWNLOADS),
                   "stacktrace", sum_of (count, EMU_STACKS), "bytes", integer (count->bytes)));
  }
  return object;
}

static json_t *connections_locked (EmuStats *self) {
  static const char *const names[] = {
#define NAME(constant, name) name,
      EMU_HOSTS (NAME)
#undef NAME
  };
  json_t *object = json_object ();
  for (guint i = 0; i < EMU_HOST_CONTROL; i++)
    json_object_set_new (object, names[i],
                         json_pack ("{s:o, s:o, s:o}", "opened", integer (self->opened[i]), "open",
                                    integer (self->open[i]), "max", integer (self->open_most[i])));
  return object;
}

json_t *emu_stats_counters (EmuStats *self, gboolean with_cabs) {
  json_t *object = json_object (), *endpoints = json_object ();
  guint64 total = 0, refused = 0;
  CAB_LOCK_SCOPE (&self->lock);
  for (guint i = 0; i < EMU_ENDPOINT_COUNT; i++) {
    json_object_set_new (endpoints, emu_endpoint_name (i), endpoint_locked (self, i, &refused));
    total += self->requests[i];
  }
  json_object_set_new (object, "requests", integer (total));
  json_object_set_new (object, "refused", integer (refused));
  json_object_set_new (object, "endpoints", endpoints);
  json_object_set_new (object, "bytes", integer (self->bytes));
  json_object_set_new (object, "concurrent",
                       json_pack ("{s:o, s:o, s:o, s:o}", "now", integer (self->now), "max",
                                  integer (self->most), "blobNow", integer (self->blob_now), "blobMax",
                                  integer (self->blob_most)));
  json_object_set_new (object, "tokensIssued", integer (self->tokens_issued));
  json_object_set_new (object, "tokensRefused", integer (self->tokens_refused));
  json_object_set_new (object, "authorizationAtBlob", integer (self->authorization_at_blob));
  json_object_set_new (object, "connections", connections_locked (self));
  if (with_cabs)
    json_object_set_new (object, "cabs", cabs_locked (self));
  return object;
}

static json_t *text_or_null (const char *text) {
  return text != NULL ? json_string (text) : json_null ();
}

static json_t *entry_json (const LogEntry *entry) {
  return json_pack ("{s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:i, s:o, s:b}", "request", integer (entry->request),
                    "ms", json_integer (entry->ms), "endpoint", emu_endpoint_name (entry->endpoint), "method",
                    text_or_null (entry->method), "path", text_or_null (entry->path), "range",
                    text_or_null (entry->range), "cab", text_or_null (entry->cab), "status",
                    (int) entry->status, "bytes", integer (entry->bytes), "over", entry->over);
}

static gboolean entry_fits (const LogEntry *entry, EmuEndpoint endpoint, const char *cab) {
  return (endpoint == EMU_ENDPOINT_COUNT || entry->endpoint == endpoint) &&
         (cab == NULL || g_strcmp0 (entry->cab, cab) == 0);
}

json_t *emu_stats_log (EmuStats *self, guint count, EmuEndpoint endpoint, const char *cab) {
  json_t *array = json_array ();
  CAB_LOCK_SCOPE (&self->lock);
  for (guint64 request = self->last_request; request > self->first_request && count > 0; request--) {
    LogEntry *entry = entry_locked (self, request);
    if (entry == NULL)
      break;
    if (entry_fits (entry, endpoint, cab)) {
      json_array_insert_new (array, 0, entry_json (entry));
      count--;
    }
  }
  return array;
}

static guint64 requests_locked (EmuStats *self, EmuEndpoint endpoint, const char *cab) {
  const guint64 *requests = self->requests;
  if (cab != NULL) {
    const CabCount *count = g_hash_table_lookup (self->cabs, cab);
    if (count == NULL)
      return 0;
    requests = count->requests;
  }
  if (endpoint != EMU_ENDPOINT_COUNT)
    return requests[endpoint];
  guint64 sum = 0;
  for (guint i = 0; i < EMU_ENDPOINT_COUNT; i++)
    sum += requests[i];
  return sum;
}

gboolean emu_stats_wait (EmuStats *self, EmuEndpoint endpoint, const char *cab, guint64 count,
                         gint64 timeout_ms) {
  struct timespec until;
  clock_gettime (CLOCK_MONOTONIC, &until);
  until.tv_sec += timeout_ms / 1000;
  until.tv_nsec += (timeout_ms % 1000) * 1000000;
  if (until.tv_nsec >= 1000000000) {
    until.tv_sec++;
    until.tv_nsec -= 1000000000;
  }
  CAB_LOCK_SCOPE (&self->lock);
  while (!self->stopped && requests_locked (self, endpoint, cab) < count)
    if (pthread_cond_timedwait (&self->changed, &self->lock, &until) == ETIMEDOUT)
      break;
  return requests_locked (self, endpoint, cab) >= count;
}

void emu_stats_stop (EmuStats *self) {
  CAB_LOCK_SCOPE (&self->lock);
  self->stopped = TRUE;
  pthread_cond_broadcast (&self->changed);
}
