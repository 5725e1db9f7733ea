/* SPDX-License-Identifier: MIT */
#include "fs/errors.h"

#include <stdatomic.h>
#include <string.h>

#include "client/error.h"
#include "client/sync.h"
#include "fs/redact.h"

struct CabErrors {
  pthread_mutex_t lock;
  CabFailure *kept[CAB_ERRORS_KEPT]; /* lock: a ring; owned, NULL where there is none yet */
  guint64 count;                     /* lock: noted so far; the next one goes to count % CAB_ERRORS_KEPT */
  atomic_uint open;                  /* of those kept, how many are not settled */
};

/* --- one failure -------------------------------------------------------------------------------------------- */

void cab_failure_free (CabFailure *self) {
  if (self == NULL)
    return;
  g_free (self->operation);
  g_free (self->path);
  g_free (self->code);
  g_free (self->correlation);
  g_free (self->message);
  g_free (self);
}

CabFailure *cab_failure_copy (const CabFailure *self) {
  CabFailure *failure = g_memdup2 (self, sizeof *self);
  failure->operation = g_strdup (self->operation);
  failure->path = g_strdup (self->path);
  failure->code = g_strdup (self->code);
  failure->correlation = g_strdup (self->correlation);
  failure->message = g_strdup (self->message);
  return failure;
}

/* "/v1.0/x?a=b&c=d: HTTP status 500" without what stands from '?' to the blank, but for the sign before that. */
static void cut_queries (char *text) {
  char *to = text;
  for (const char *from = text; *from != '\0';) {
    if (*from == '?' && from[1] != '\0' && from[1] != ' ' && strchr (")\"'", from[1]) == NULL) {
      from += strcspn (from, " \"'<>");
      if (strchr (":;,)", from[-1]) != NULL)
        from--;
    }
    if (*from != '\0')
      *to++ = *from++;
  }
  *to = '\0';
}

CabFailure *cab_failure_new (gint64 now, const char *operation, const char *path, int number,
                             const GError *error) {
  const CabErrorAnswer answer = cab_error_answer (error);
  const char *name = strerrorname_np (number);
  CabFailure *self = g_new0 (CabFailure, 1);
  self->time = now;
  self->operation = g_strdup (operation);
  self->path = cab_redact_line (path);
  self->number = number;
  self->name = name != NULL ? name : "EIO";
  self->status = answer.status;
  self->code = answer.code != NULL ? cab_redact_line (answer.code) : NULL;
  self->correlation = answer.correlation != NULL ? cab_redact_line (answer.correlation) : NULL;
  g_autofree char *message = g_strdup (error != NULL ? error->message : g_strerror (number));
  cut_queries (message);
  self->message = cab_redact_line (message);
  return self;
}

/* --- all of them -------------------------------------------------------------------------------------------- */

CabErrors *cab_errors_new (void) {
  CabErrors *self = g_new0 (CabErrors, 1);
  pthread_mutex_init (&self->lock, NULL);
  return self;
}

void cab_errors_free (CabErrors *self) {
  if (self == NULL)
    return;
  for (guint i = 0; i < CAB_ERRORS_KEPT; i++)
    cab_failure_free (self->kept[i]);
  pthread_mutex_destroy (&self->lock);
  g_free (self);
}

void cab_errors_add (CabErrors *self, gint64 now, const char *operation, const char *path, int number,
                     const GError *error) {
  CabFailure *failure = cab_failure_new (now, operation, path, number, error);
  CabFailure *oldest;
  {
    CAB_LOCK_SCOPE (&self->lock);
    CabFailure **place = &self->kept[self->count++ % CAB_ERRORS_KEPT];
    oldest = *place;
    *place = failure;
    if (oldest == NULL || oldest->settled)
      atomic_fetch_add (&self->open, 1);
  }
  cab_failure_free (oldest);
}

/* The one that was noted as the @age-th last, or NULL. */
static CabFailure *get_locked (const CabErrors *self, guint age) {
  return age < MIN (self->count, CAB_ERRORS_KEPT) ? self->kept[(self->count - 1 - age) % CAB_ERRORS_KEPT]
                                                  : NULL;
}

void cab_errors_each (CabErrors *self, CabFailureFunc func, gpointer data) {
  CabFailure *shown[CAB_ERRORS_SHOWN];
  guint n = 0;
  {
    CAB_LOCK_SCOPE (&self->lock);
    for (const CabFailure *failure; n < CAB_ERRORS_SHOWN && (failure = get_locked (self, n)) != NULL; n++)
      shown[n] = cab_failure_copy (failure);
  }
  for (guint i = 0; i < n; i++) {
    func (data, shown[i]);
    cab_failure_free (shown[i]);
  }
}

/* TRUE if @failure is that a name in the directory @path could not be looked up. */
static gboolean is_lookup_in (const CabFailure *failure, const char *path) {
  gsize len = strlen (path);
  if (strcmp (failure->operation, "lookup") != 0 || strncmp (failure->path, path, len) != 0)
    return FALSE;
  const char *name = failure->path + len;
  if (len > 1 && *name++ != '/') /* of the root the slash is the path */
    return FALSE;
  return *name != '\0' && strchr (name, '/') == NULL;
}

CabFailure *cab_errors_find (CabErrors *self, const char *path) {
  g_autofree char *wanted = cab_redact_line (path); /* as paths are kept */
  CAB_LOCK_SCOPE (&self->lock);
  const CabFailure *failure;
  for (guint age = 0; (failure = get_locked (self, age)) != NULL; age++)
    if (!failure->settled && (strcmp (failure->path, wanted) == 0 || is_lookup_in (failure, wanted)))
      return cab_failure_copy (failure);
  return NULL;
}

void cab_errors_settle (CabErrors *self, const char *path, const char *const *operations) {
  g_autofree char *wanted = cab_redact_line (path);
  CAB_LOCK_SCOPE (&self->lock);
  CabFailure *failure;
  for (guint age = 0; (failure = get_locked (self, age)) != NULL; age++)
    if (!failure->settled && strcmp (failure->path, wanted) == 0 &&
        g_strv_contains (operations, failure->operation)) {
      failure->settled = TRUE;
      atomic_fetch_sub (&self->open, 1);
    }
}

gboolean cab_errors_are_settled (CabErrors *self) {
  return atomic_load_explicit (&self->open, memory_order_relaxed) == 0;
}
