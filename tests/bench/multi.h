/* multi.h - the bare libcurl clients: as many transfers side by side as there are handles, each of which takes the next
 * piece of work as it becomes free.  One thread, nothing more than libcurl does by itself.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_BENCH_MULTI_H
#define CABFS_BENCH_MULTI_H

#include <curl/curl.h>
#include <glib.h>

/* Prepares @easy, the handle number @slot, for the next piece of work: FALSE if there is none. */
typedef gboolean (*MultiNext) (CURL *easy, guint slot, gpointer data);

/* Runs @connections handles until no work is left.  FALSE, with a line on stderr, when a transfer failed or was not
 * answered with 200 or 206. */
gboolean multi_run (guint connections, const char *ca_file, MultiNext next, gpointer data);

#endif
