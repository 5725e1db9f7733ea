/* The service's own stack trace of a CAB: one call, one answer.
 *
 * SPDX-License-Identifier: MIT
 */
#include "client/api.h"
#include "client/error.h"
#include "client/parts.h"

#include <string.h>

/* Bytes of an answer: some hundred for a frame, so a stack that ran over fits too. */
#define ANSWER_LIMIT (4u * 1024 * 1024)

typedef struct {
  CabClient *client;
  char *path;
  char *name; /* of the CAB, for messages */
  CabStacktraceDone done;
  gpointer data;
} Trace;

static void end (Trace *self, GBytes *text, const GError *error) {
  g_autoptr (GError) told = error != NULL ? g_error_copy (error) : NULL;
  if (told != NULL)
    g_prefix_error (&told, "stack trace of %s: ", self->name);
  self->done (self->data, text, told);
  cab_client_end (self->client);
  g_free (self->path);
  g_free (self->name);
  g_free (self);
}

static void answered (gpointer data, const CabAnswer *answer, const GError *error) {
  Trace *self = data;
  g_autoptr (GError) odd = NULL;
  g_autoptr (GBytes) text = NULL;
  if (error == NULL && cab_answer_status (answer) != 200) {
    odd = g_error_new (CAB_ERROR, CAB_ERROR_INVALID, "HTTP status %d instead of a stack trace",
                       cab_answer_status (answer));
    cab_error_set_answer (odd, &(CabErrorAnswer){.status = cab_answer_status (answer)});
  } else if (error == NULL) {
    gsize len = 0;
    const void *body = cab_answer_body (answer, &len);
    char *frames = cab_api_parse_stacktrace (body, len, &odd);
    text = frames != NULL ? g_bytes_new_take (frames, strlen (frames)) : NULL;
  }
  end (self, text, error != NULL ? error : odd);
}

static void begin (gpointer data) {
  Trace *self = data;
  cab_call_get (self->client->calls, self->path, ANSWER_LIMIT, CAB_REQUEST_STACKTRACE, answered, self);
}

gboolean cab_client_has_stacktrace (const CabScope *scope) {
  return cab_api_has_stacktrace (scope);
}

void cab_client_stacktrace (CabClient *self, const CabScope *scope, const char *cab_id, CabStacktraceDone done,
                            gpointer data) {
  if (!cab_api_has_stacktrace (scope)) {
    g_autoptr (GError) error = g_error_new (CAB_ERROR, CAB_ERROR_NOT_FOUND,
                                            "stack trace of %s: family \"%s\" has none", cab_id, scope->family);
    done (data, NULL, error);
    return;
  }
  Trace *trace = g_new0 (Trace, 1);
  cab_client_begin (self);
  trace->client = self;
  trace->path = cab_api_stacktrace_path (scope, cab_id);
  trace->name = g_strdup (cab_id);
  trace->done = done;
  trace->data = data;
  cab_http_run (self->api_http, begin, trace);
}
