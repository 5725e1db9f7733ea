/* SPDX-License-Identifier: MIT */
#include "tests/bench/multi.h"

#include <stdio.h>

#define BUFFER (512 * 1024L)

static CURL *handle_new (guint slot, const char *ca_file) {
  CURL *easy = curl_easy_init ();
  curl_easy_setopt (easy, CURLOPT_PRIVATE, GUINT_TO_POINTER (slot));
  curl_easy_setopt (easy, CURLOPT_BUFFERSIZE, BUFFER);
  curl_easy_setopt (easy, CURLOPT_NOPROXY, "*");
  curl_easy_setopt (easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
  if (ca_file != NULL)
    curl_easy_setopt (easy, CURLOPT_CAINFO, ca_file);
  return easy;
}

static gboolean check (const CURLMsg *message) {
  long status = 0;
  curl_easy_getinfo (message->easy_handle, CURLINFO_RESPONSE_CODE, &status);
  if (message->data.result == CURLE_OK && (status == 200 || status == 206))
    return TRUE;
  fprintf (stderr, "a transfer failed: %s, status %ld\n", curl_easy_strerror (message->data.result), status);
  return FALSE;
}

typedef struct {
  CURLM *multi;
  MultiNext next;
  gpointer data;
  guint busy; /* handles with work */
} Run;

static void give_work (Run *run, CURL *easy) {
  gpointer slot = NULL;
  curl_easy_getinfo (easy, CURLINFO_PRIVATE, (char **) &slot);
  if (!run->next (easy, GPOINTER_TO_UINT (slot), run->data))
    return;
  run->busy++;
  curl_multi_add_handle (run->multi, easy);
}

/* Gives handles that are free their next work; FALSE when one has failed. */
static gboolean take_finished (Run *run) {
  int left;
  for (CURLMsg *message; (message = curl_multi_info_read (run->multi, &left)) != NULL;) {
    CURL *easy = message->easy_handle;
    if (!check (message))
      return FALSE;
    curl_multi_remove_handle (run->multi, easy);
    run->busy--;
    give_work (run, easy);
  }
  return TRUE;
}

gboolean multi_run (guint connections, const char *ca_file, MultiNext next, gpointer data) {
  curl_global_init (CURL_GLOBAL_ALL);
  Run run = {.multi = curl_multi_init (), .next = next, .data = data};
  curl_multi_setopt (run.multi, CURLMOPT_MAXCONNECTS, (long) connections);
  g_autoptr (GPtrArray) handles = g_ptr_array_new ();
  for (guint i = 0; i < connections; i++) {
    g_ptr_array_add (handles, handle_new (i, ca_file));
    give_work (&run, handles->pdata[i]);
  }
  gboolean good = TRUE;
  while (good && run.busy > 0) {
    int running;
    curl_multi_perform (run.multi, &running);
    good = take_finished (&run);
    if (good && run.busy > 0 && (guint) running == run.busy)
      curl_multi_poll (run.multi, NULL, 0, 1000, NULL);
  }
  for (guint i = 0; i < handles->len; i++) {
    curl_multi_remove_handle (run.multi, handles->pdata[i]);
    curl_easy_cleanup (handles->pdata[i]);
  }
  curl_multi_cleanup (run.multi);
  return good;
}
