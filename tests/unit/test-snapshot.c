/* SPDX-License-Identifier: MIT */
#include "fs/snapshot.h"

#include <errno.h>
#include <string.h>

#include "client/error.h"

#define MIB ((guint64) 1 << 20)

static CabSnapshot empty (void) {
  return (CabSnapshot){.account = "contoso",
                       .pid = 4711,
                       .started = 1795280400,
                       .now = 1795280460,
                       .now_us = 100 * G_USEC_PER_SEC,
                       .downloads = g_array_new (FALSE, FALSE, sizeof (CabDownload)),
                       .unpackings = g_array_new (FALSE, FALSE, sizeof (CabDownload)),
                       .hosts = g_array_new (FALSE, FALSE, sizeof (CabHostState)),
                       .failures = g_ptr_array_new (),
                       .cache = {.dir = "/c", .writable = TRUE}};
}

static CabDownload download_of (gboolean has_size, guint64 size, guint64 cached, guint64 rate) {
  return (CabDownload){.application = (char *) (gsize) "1",
                       .failure = (char *) (gsize) "2",
                       .id = (char *) (gsize) "3",
                       .has_size = has_size,
                       .size = size,
                       .cached = cached,
                       .rate = rate,
                       .readers = 1,
                       .connections = 2};
}

static void add_download (CabSnapshot *snapshot, CabDownload download) {
  g_array_append_val (snapshot->downloads, download);
}

static void add_unpacking (CabSnapshot *snapshot, CabDownload download, const char *member) {
  download.member = (char *) (gsize) member;
  g_array_append_val (snapshot->unpackings, download);
}

static void test_seconds_left (void) {
  CabDownload download = download_of (TRUE, 1000, 0, 100);
  g_assert_cmpint (cab_snapshot_seconds_left (&download), ==, 10);
  download.cached = 999;
  g_assert_cmpint (cab_snapshot_seconds_left (&download), ==, 1);
  download.cached = 1001; /* what a host told wrongly */
  g_assert_cmpint (cab_snapshot_seconds_left (&download), ==, 0);
  download.rate = 0;
  g_assert_cmpint (cab_snapshot_seconds_left (&download), ==, -1);
  download = download_of (FALSE, 0, 0, 100);
  g_assert_cmpint (cab_snapshot_seconds_left (&download), ==, -1);
}

static void check_headline (const CabSnapshot *snapshot, const char *expected) {
  g_autofree char *line = cab_snapshot_headline (snapshot->downloads, snapshot->unpackings);
  g_assert_cmpstr (line, ==, expected);
}

static void test_headline (void) {
  g_auto (CabSnapshot) snapshot = empty ();
  check_headline (&snapshot, NULL);
  add_unpacking (&snapshot, download_of (TRUE, 50 * MIB, 10 * MIB, 5 * MIB), "a.dmp");
  check_headline (&snapshot, "Unpacking 1 file, 10.0 of 50.0 MiB, 5.0 MiB/s");
  add_unpacking (&snapshot, download_of (FALSE, 0, 0, 0), "b.dmp");
  check_headline (&snapshot, "Unpacking 2 files, 10.0 of 50.0 MiB, 5.0 MiB/s");
  add_download (&snapshot, download_of (FALSE, 0, 0, 0));
  check_headline (&snapshot, "Reading 1 CAB, waiting for bytes");
  add_download (&snapshot, download_of (TRUE, 256 * MIB, 100 * MIB, 50 * MIB));
  check_headline (&snapshot, "Reading 2 CABs, 100.0 of 256.0 MiB, 50.0 MiB/s");
  add_download (&snapshot, download_of (TRUE, 128 * MIB, 20 * MIB, 2 * MIB));
  check_headline (&snapshot, "Reading 3 CABs, 120.0 of 384.0 MiB, 52.0 MiB/s");
  add_download (&snapshot, download_of (TRUE, 2048 * MIB, 0, 0));
  check_headline (&snapshot, "Reading 4 CABs, 0.1 of 2.4 GiB, 52.0 MiB/s");
}

static void test_json_empty (void) {
  g_auto (CabSnapshot) snapshot = empty ();
  g_autofree char *json = cab_snapshot_json (&snapshot);
  g_assert_true (g_str_has_prefix (json, "{\n  \"version\": \"" CABFS_VERSION "\",\n"
                                         "  \"account\": \"contoso\",\n"
                                         "  \"pid\": 4711,\n"
                                         "  \"started\": \"2026-11-21T17:00:00Z\",\n"
                                         "  \"time\": \"2026-11-21T17:01:00Z\",\n"
                                         "  \"downloads\": [],\n"
                                         "  \"unpacking\": [],\n"
                                         "  \"cache\": {\n"
                                         "    \"directory\": \"/c\",\n"
                                         "    \"bytes\": null,\n"
                                         "    \"files\": null,\n"
                                         "    \"limit\": 0,\n"));
  g_assert_true (g_str_has_suffix (json, "  \"errors\": []\n}\n"));
}

static void has (const char *text, const char *part) {
  if (strstr (text, part) == NULL)
    g_error ("no %s in %s", part, text);
}

static void test_json_downloads (void) {
  g_auto (CabSnapshot) snapshot = empty ();
  add_download (&snapshot, download_of (TRUE, 1000, 250, 100));
  add_download (&snapshot, download_of (FALSE, 0, 0, 0));
  g_autofree char *json = cab_snapshot_json (&snapshot);
  has (json, "\"downloads\": [\n    {\n      \"path\": \"/1/2/3.cab\",\n      \"size\": 1000,\n"
             "      \"cached\": 250,\n      \"rate\": 100,\n      \"secondsLeft\": 8,\n      \"readers\": 1,\n"
             "      \"connections\": 2\n    },\n    {\n");
  add_unpacking (&snapshot, download_of (TRUE, 1000, 250, 100), "log/a.dmp");
  g_autofree char *more = cab_snapshot_json (&snapshot);
  has (more,
       "\"unpacking\": [\n    {\n      \"path\": \"/1/2/3.cab.d/log/a.dmp\",\n      \"size\": 1000,\n"
       "      \"unpacked\": 250,\n      \"rate\": 100,\n      \"secondsLeft\": 8,\n      \"readers\": 1\n");
  has (json, "\"size\": null,\n      \"cached\": 0,\n      \"rate\": 0,\n      \"secondsLeft\": null,\n");
}

/* Names of members, and words of a service, may hold anything. */
static void test_json_strings (void) {
  g_auto (CabSnapshot) snapshot = empty ();
  CabFailure failure = {.time = 1795280400,
                        .operation = (char *) (gsize) "read",
                        .path = (char *) (gsize) "/a\"b\\c\xff\x01/\xc3\xa4",
                        .number = EIO,
                        .name = "EIO",
                        .message = (char *) (gsize) "m"};
  g_ptr_array_add (snapshot.failures, &failure);
  {
    g_autofree char *json = cab_snapshot_json (&snapshot);
    has (json, "\"path\": \"/a\\\"b\\\\c\xef\xbf\xbd\\u0001/\xc3\xa4\"");
    has (json,
         "\"error\": \"EIO\",\n      \"status\": null,\n      \"code\": null,\n      \"correlationId\": null,\n"
         "      \"message\": \"m\"");
    g_assert_true (g_utf8_validate (json, -1, NULL));
  }
  failure.status = 500;
  failure.code = (char *) (gsize) "InternalError";
  failure.correlation = (char *) (gsize) "12-34";
  g_autofree char *json = cab_snapshot_json (&snapshot);
  has (json, "\"status\": 500,\n      \"code\": \"InternalError\",\n      \"correlationId\": \"12-34\"");
}

static void test_hosts (void) {
  g_auto (CabSnapshot) snapshot = empty ();
  const CabHostState hosts[] = {
      {(char *) (gsize) "h:1", "bytes", 3, 16, snapshot.now_us + 1500000},
      {(char *) (gsize) "h\"\\\n", "sizes", 0, 8, snapshot.now_us - 1},
  };
  g_array_append_vals (snapshot.hosts, hosts, G_N_ELEMENTS (hosts));
  g_autofree char *json = cab_snapshot_json (&snapshot);
  g_autofree char *metrics = cab_snapshot_metrics (&snapshot);
  has (json,
       "\"host\": \"h:1\",\n      \"use\": \"bytes\",\n      \"connections\": 3,\n      \"parallel\": 16,\n"
       "      \"pausedSeconds\": 2\n");
  has (json, "\"parallel\": 8,\n      \"pausedSeconds\": 0\n");
  has (metrics, "\ncabfs_host_connections{host=\"h:1\",use=\"bytes\"} 3\n");
  has (metrics, "\ncabfs_host_connections_limit{host=\"h\\\"\\\\\\n\",use=\"sizes\"} 8\n");
  has (metrics, "\ncabfs_host_pause_seconds{host=\"h:1\",use=\"bytes\"} 2\n");
  has (metrics, "\ncabfs_hosts_paused 1\n");
}

static void test_metrics (void) {
  g_auto (CabSnapshot) snapshot = empty ();
  snapshot.sent[CAB_REQUEST_RANGE] = 7;
  snapshot.failed[CAB_REQUEST_RANGE] = 2;
  snapshot.metrics[CAB_METRIC_BYTES_RECEIVED] = G_MAXUINT64;
  g_autofree char *before = cab_snapshot_metrics (&snapshot);
  has (before, "# TYPE cabfs_requests counter\n# HELP cabfs_requests ");
  has (before, "\ncabfs_requests_total{kind=\"range\"} 7\n");
  has (before, "\ncabfs_unpacking 0\n");
  has (before, "\ncabfs_requests_failed_total{kind=\"range\"} 2\n");
  has (before, "\n# TYPE cabfs_downloaded_bytes counter\n# UNIT cabfs_downloaded_bytes bytes\n");
  has (before, "\ncabfs_downloaded_bytes_total 18446744073709551615\n");
  g_assert_null (strstr (before, "cabfs_cache_bytes")); /* nobody has counted */
  g_assert_true (g_str_has_suffix (before, "\n# EOF\n"));
  snapshot.cache.known = TRUE;
  snapshot.cache.bytes = 5;
  g_autofree char *after = cab_snapshot_metrics (&snapshot);
  has (after, "\ncabfs_cache_bytes 5\n");
}

static void test_lines (void) {
  g_auto (CabSnapshot) snapshot = empty ();
  add_download (&snapshot, download_of (TRUE, 384 * MIB, 120 * MIB, 52 * MIB));
  add_download (&snapshot, download_of (FALSE, 0, 0, 0));
  add_unpacking (&snapshot, download_of (TRUE, 50 * MIB, 10 * MIB, 5 * MIB), "a.dmp");
  snapshot.cache.full = TRUE;
  snapshot.cache.writable = FALSE;
  g_auto (GStrv) lines = cab_snapshot_lines (&snapshot);
  g_assert_cmpuint (g_strv_length (lines), ==, 6);
  g_assert_true (
      g_str_has_prefix (lines[0], "cabfs " CABFS_VERSION ", account contoso, since 2026-11-21T17:00:00Z: "));
  g_assert_cmpstr (
      lines[1], ==,
      "download /1/2/3.cab: 120.0 of 384.0 MiB, 52.0 MiB/s, 6 s left; 1 waiting, 2 ranges under way");
  g_assert_cmpstr (lines[2], ==,
                   "download /1/2/3.cab: size not known yet, 0 B/s; 1 waiting, 2 ranges under way");
  g_assert_cmpstr (lines[3], ==,
                   "unpacking /1/2/3.cab.d/a.dmp: 10.0 of 50.0 MiB, 5.0 MiB/s, 8 s left; 1 waiting");
  g_assert_cmpstr (lines[4], ==,
                   "cache /c: not counted yet of any, 0 files; 0 removed (0 B), 0 damaged; full; not writable");
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/snapshot/seconds-left", test_seconds_left);
  g_test_add_func ("/snapshot/headline", test_headline);
  g_test_add_func ("/snapshot/json-empty", test_json_empty);
  g_test_add_func ("/snapshot/json-downloads", test_json_downloads);
  g_test_add_func ("/snapshot/json-strings", test_json_strings);
  g_test_add_func ("/snapshot/hosts", test_hosts);
  g_test_add_func ("/snapshot/metrics", test_metrics);
  g_test_add_func ("/snapshot/lines", test_lines);
  return g_test_run ();
}
