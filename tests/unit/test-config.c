/* SPDX-License-Identifier: MIT */
#include "fs/config.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/error.h"
#include "fs/keys.h"
#include "fs/words.h"

#define G (G_GUINT64_CONSTANT (1) << 30)

static char *dir;  /* of the test: HOME, and where the configuration is */
static char *path; /* of the configuration */

static void write_config (const char *text) {
  g_autoptr (GError) error = NULL;
  g_file_set_contents (path, text, -1, &error);
  g_assert_no_error (error);
}

/* The command line `cabfs WORD…`, split at blanks. */
static gboolean parse (const char *line, CabCommand *command, GError **error) {
  g_autofree char *full = g_strconcat ("cabfs", line[0] != '\0' ? " " : "", line, NULL);
  g_auto (GStrv) argv = g_strsplit (full, " ", -1);
  /* getopt moves the words about; the originals are to be freed. */
  g_autofree char **moved = g_memdup2 (argv, (g_strv_length (argv) + 1) * sizeof *argv);
  return cab_command_parse ((int) g_strv_length (argv), moved, command, error);
}

static CabConfig *load (const char *line, GError **error) {
  CabCommand command;
  if (!parse (line, &command, error))
    return NULL;
  CabConfig *config = cab_config_load (&command, error);
  cab_command_clear (&command);
  return config;
}

static CabConfig *load_good (const char *text, const char *line) {
  g_autoptr (GError) error = NULL;
  write_config (text);
  CabConfig *config = load (line, &error);
  g_assert_no_error (error);
  return config;
}

/* @expected with "FILE" for the path of the configuration. */
static void check_error (const char *text, const char *line, const char *expected) {
  g_autoptr (GError) error = NULL;
  write_config (text);
  CabConfig *config = load (line, &error);
  g_assert_null (config);
  g_assert_error (error, CAB_ERROR, CAB_ERROR_INVALID);
  g_autoptr (GString) full = g_string_new (expected);
  g_string_replace (full, "FILE", path, 0);
  g_assert_cmpstr (error->message, ==, full->str);
}

/* --- what is set -------------------------------------------------------------------------------------------------- */

static void test_defaults (void) {
  g_autoptr (CabConfig) config = load_good ("[contoso]\n", "contoso /mnt");
  g_assert_cmpstr (config->mount.account, ==, "contoso");
  g_assert_cmpstr (config->mount.config_file, ==, path);
  g_assert_cmpstr (config->mount.mountpoint, ==, "/mnt");
  g_assert_cmpstr (config->mount.fsname, ==, "contoso");
  g_assert_cmpstr (config->mount.subtype, ==, "cabfs");
  g_assert_cmpint (config->mount.log_level, ==, CAB_LOG_WARNING);
  g_assert_false (config->mount.foreground);
  g_assert_cmpstr (config->client.api_url, ==, "https://manage.devcenter.microsoft.com");
  g_assert_cmpstr (config->client.login_url, ==, "https://login.microsoftonline.com");
  g_assert_cmpuint (config->client.token_version, ==, 1);
  g_assert_cmpstr (config->client.blob_hosts[0], ==, "*.blob.core.windows.net");
  g_assert_null (config->client.blob_hosts[1]);
  g_assert_false (config->client.allow_http);
  g_assert_null (config->client.ca_file);
  g_assert_null (config->client.proxy);
  g_assert_null (config->client.token.tenant);
  g_assert_true (config->client.token.use_environment);
  g_assert_cmpuint (config->client.days, ==, 30);
  g_assert_cmpuint (config->client.api_connections, ==, 4);
  g_assert_cmpuint (config->client.timeout_ms, ==, 60000);
  g_assert_cmpuint (config->client.retries, ==, 5);
  g_assert_cmpuint (config->cache.size_limit, ==, 10 * G);
  g_assert_cmpuint (config->cache.free_percent, ==, 5);
  g_assert_cmpuint (config->cache.free_bytes, ==, 0);
  g_assert_cmpint (config->cache.keep_s, ==, 30 * 86400);
  g_assert_cmpuint (config->cache.read_ahead, ==, 64 << 20);
  g_autofree char *cache_dir = g_build_filename (dir, ".cache/cabfs/contoso", NULL);
  g_assert_cmpstr (config->cache.dir, ==, cache_dir);
  g_assert_cmpint (config->fs.uid, ==, getuid ());
  g_assert_cmpint (config->fs.gid, ==, getgid ());
  g_assert_cmpuint (config->fs.umask, ==, 0);
  g_assert_cmpstr (config->fs.default_family, ==, "driver");
  g_assert_cmpuint (config->fs.n_applications, ==, 0);
  g_assert_false (config->fs.discover);
  g_assert_cmpuint (g_strv_length (config->fs.deny), ==, 6);
  g_assert_cmpint (config->fs.members, ==, CAB_MEMBERS_HIDDEN);
  g_assert_true (config->cache.members);
  g_assert_cmpuint (config->cache.member_limit, ==, 16 * G);
}

static void test_shared (void) {
  g_autoptr (CabConfig) config =
      load_good ("[a]\nconnections = 3\nsize-connections = 7\ntimeout = 2m\nlisting-ttl = 1h\n", "a /m");
  g_assert_cmpuint (config->client.connections, ==, 3);
  g_assert_cmpuint (config->cache.connections, ==, 3);
  g_assert_cmpuint (config->client.size_connections, ==, 7);
  g_assert_cmpuint (config->cache.size_connections, ==, 7);
  g_assert_cmpuint (config->client.timeout_ms, ==, 120000);
  g_assert_cmpuint (config->cache.timeout_ms, ==, 120000);
  g_assert_cmpint (config->cache.listing_ttl_s, ==, 3600);
  g_assert_cmpint (config->fs.listing_ttl_s, ==, 3600);
}

static void test_file (void) {
  g_autoptr (CabConfig) config = load_good ("# a comment\n"
                                            "[other]\n"
                                            "nonsense = 1\n"
                                            "\n"
                                            "[contoso]\n"
                                            "  tenant = contoso.onmicrosoft.com  \n"
                                            "client-id=00000000-0000-0000-0000-000000000000\n"
                                            "driver = 13984104677400476; 9NBLGGGZ5QDR ;;13984104677400476\n"
                                            "blob-hosts=blob.example:8443;*.example.org\n"
                                            "deny = \n"
                                            "cache-free = 2G\n"
                                            "cache-size = 0\n"
                                            "cache-dir = ~/c\n"
                                            "token-file = sub/token\n"
                                            "api-url = https://h:1/p//\n"
                                            "sizes = lazy\n"
                                            "undownloadable = hide\n"
                                            "members = off\n"
                                            "member-limit = 3G\n"
                                            "start-date = 2024-02-29\n"
                                            "end-date = 2024-02-29\n"
                                            "proxy = \n",
                                            "contoso mnt");
  g_assert_cmpstr (config->client.token.tenant, ==, "contoso.onmicrosoft.com");
  g_assert_cmpstr (config->client.token.client_id, ==, "00000000-0000-0000-0000-000000000000");
  g_assert_cmpuint (config->fs.n_applications, ==, 2);
  g_assert_cmpstr (config->fs.applications[0].family, ==, "driver");
  g_assert_cmpstr (config->fs.applications[0].id, ==, "13984104677400476");
  g_assert_cmpstr (config->fs.applications[1].id, ==, "9NBLGGGZ5QDR");
  g_assert_cmpstr (config->client.blob_hosts[0], ==, "blob.example:8443");
  g_assert_cmpstr (config->client.blob_hosts[1], ==, "*.example.org");
  g_assert_null (config->fs.deny[0]);
  g_assert_cmpuint (config->cache.free_percent, ==, 0);
  g_assert_cmpuint (config->cache.free_bytes, ==, 2 * G);
  g_assert_cmpuint (config->cache.size_limit, ==, 0);
  g_autofree char *cache_dir = g_build_filename (dir, "c", NULL);
  g_assert_cmpstr (config->cache.dir, ==, cache_dir);
  g_autofree char *token_file = g_build_filename (dir, ".config/cabfs/sub/token", NULL);
  g_assert_cmpstr (config->client.token.token_file, ==, token_file);
  g_assert_cmpstr (config->client.api_url, ==, "https://h:1/p");
  g_assert_true (config->fs.sizes_lazy);
  g_assert_true (config->fs.hide_undownloadable);
  g_assert_cmpint (config->fs.members, ==, CAB_MEMBERS_OFF);
  g_assert_false (config->cache.members);
  g_assert_cmpuint (config->cache.member_limit, ==, 3 * G);
  g_assert_cmpstr (config->client.start_date, ==, "2024-02-29");
  g_assert_cmpstr (config->client.proxy, ==, "");
  g_autofree char *mountpoint = g_canonicalize_filename ("mnt", NULL);
  g_assert_cmpstr (config->mount.mountpoint, ==, mountpoint);
}

/* One way to get tokens: the first in the order of the manual, of the command line before those of the file. */
static void test_ways (void) {
  const char *text = "[a]\ntoken-command = printf 'a\\nb;c' | cat\ntoken-file =\n";
  g_autoptr (CabConfig) file = load_good (text, "a /m");
  g_assert_cmpstr (file->client.token.token_command, ==, "printf 'a\\nb;c' | cat");
  g_assert_null (file->client.token.managed_identity);
  g_assert_cmpstr (file->client.token.managed_url, ==, "http://169.254.169.254");
  g_autoptr (CabConfig) line = load_good (text, "a /m -o managed-identity=system");
  g_assert_cmpstr (line->client.token.managed_identity, ==, "system");
  g_assert_null (line->client.token.token_command);
  g_autoptr (CabConfig) none = load_good (text, "a /m -o token-command=");
  g_assert_null (none->client.token.token_command);
  g_autoptr (CabConfig) two = load_good (
      "[a]\nclient-secret-file = /dev/null\nfederated-token-file = /y\ntoken-command = x\n", "a /m");
  g_assert_cmpstr (two->client.token.token_command, ==, "x");
  g_assert_null (two->client.token.federated_token_file);
  g_assert_null (two->client.token.client_secret_file);
  g_autoptr (CabConfig) given = load_good (text, "a /m -o managed-identity=system,token-file=/x");
  g_assert_cmpstr (given->client.token.token_file, ==, "/x");
  g_assert_null (given->client.token.managed_identity);
  g_assert_null (given->client.token.token_command);
}

static void check_application (const CabFsOptions *fs, guint index, const char *family, const char *id) {
  g_assert_cmpuint (index, <, fs->n_applications);
  g_assert_cmpstr (fs->applications[index].family, ==, family);
  g_assert_cmpstr (fs->applications[index].id, ==, id);
}

static void test_families (void) {
  g_autoptr (CabConfig) config = load_good ("[a]\n"
                                            "store = 9NBLGGGZ5QDR\n"
                                            "driver = 13984104677400476;13984104677400476\n"
                                            "desktop = 10238467886765136388; 13510798882111486\n"
                                            "account-families = hardware;ihvdriver;hardware;\n"
                                            "discover = yes\n"
                                            "family = store\n",
                                            "a /m");
  g_assert_cmpuint (config->fs.n_applications, ==, 6);
  check_application (&config->fs, 0, "desktop", "10238467886765136388");
  check_application (&config->fs, 1, "desktop", "13510798882111486");
  check_application (&config->fs, 2, "driver", "13984104677400476");
  check_application (&config->fs, 3, "store", "9NBLGGGZ5QDR");
  check_application (&config->fs, 4, "hardware", "hardware");
  check_application (&config->fs, 5, "ihvdriver", "ihvdriver");
  g_assert_true (config->fs.discover);
  g_assert_cmpstr (config->fs.default_family, ==, "store");
  g_autoptr (CabConfig) none =
      load_good ("[a]\nstore =\naccount-families =\n", "a /m -o discover,family=desktop,desktop=12345678");
  g_assert_cmpuint (none->fs.n_applications, ==, 1);
  check_application (&none->fs, 0, "desktop", "12345678");
  g_assert_true (none->fs.discover);
  g_assert_cmpstr (none->fs.default_family, ==, "desktop");
}

/* The command line wins, and a value it replaces is not looked at. */
static void test_overrides (void) {
  g_autoptr (CabConfig) config =
      load_good ("[a]\ncache-size = nonsense\ntenant = t\ndays = 3\n",
                 "-o cache-size=1M,days=4 a /m -o days=5,allow-http,tenant=,deny=x;a_name_of_twenty_chars");
  g_assert_cmpuint (config->cache.size_limit, ==, 1 << 20);
  g_assert_cmpuint (config->client.days, ==, 5);
  g_assert_true (config->client.allow_http);
  g_assert_null (config->client.token.tenant);
  g_assert_cmpstr (config->fs.deny[0], ==, "x");
  g_assert_cmpstr (config->fs.deny[1], ==, "a_name_of_twent");
}

static void test_mount_words (void) {
  g_autoptr (CabConfig) config = load_good (
      "[a]\n", "a /m -o rw,noexec,nosuid,nodev,user=me,_netdev,noauto,x-systemd.automount,X-mount.mkdir "
               "-o allow_other,umask=027,uid=1000,gid=1001,fsname=a\\,b,context=c,noauto_unmount");
  g_assert_true (config->mount.allow_other);
  g_assert_false (config->mount.allow_root);
  g_assert_true (config->mount.no_auto_unmount);
  g_assert_cmpuint (config->fs.umask, ==, 027);
  g_assert_cmpuint (config->fs.uid, ==, 1000);
  g_assert_cmpuint (config->fs.gid, ==, 1001);
  g_assert_cmpstr (config->mount.fsname, ==, "a,b");
  g_assert_cmpstr (config->mount.pass_on[0], ==, "noexec");
  g_assert_cmpstr (config->mount.pass_on[1], ==, "context=c");
  g_assert_null (config->mount.pass_on[2]);
  g_autoptr (CabConfig) debug = load_good ("[a]\nlog-level = error\n", "-d a /m");
  g_assert_true (debug->mount.foreground);
  g_assert_cmpint (debug->mount.log_level, ==, CAB_LOG_DEBUG);
}

/* --- what is refused ------------------------------------------------------------------------------------------------ */

/* Lines of a section, and the error from the key on. */
static const struct {
  const char *line;
  const char *expected;
} bad_lines[] = {
    {"cache-size = 10X",
     "cache-size: \"10X\" is not a size; a number of bytes, with K, M, G or T for powers of 1024 (10G)"},
    {"cache-size = 16777216T",
     "cache-size: \"16777216T\" is not a size; a number of bytes, with K, M, G or T for "
     "powers of 1024 (10G)"},
    {"cache-size =",
     "cache-size: \"\" is not a size; a number of bytes, with K, M, G or T for powers of 1024 (10G)"},
    {"read-ahead = -1",
     "read-ahead: \"-1\" is not a size; a number of bytes, with K, M, G or T for powers of 1024 (10G)"},
    {"cache-free = 101%", "cache-free: \"101%\" is not a share; 0% to 100%, or a size (2G)"},
    {"cache-free = 5 %", "cache-free: \"5 %\" is not a share; 0% to 100%, or a size (2G)"},
    {"keep = 30 days", "keep: \"30 days\" is not a time; a number of seconds, or with s, m, h or d (30d)"},
    {"keep = 0", "keep: \"0\" is out of range; 1 to 3650d"},
    {"timeout = 2d", "timeout: \"2d\" is out of range; 1 to 1d"},
    {"timeout = 99999999999999999999d",
     "timeout: \"99999999999999999999d\" is not a time; a number of seconds, or "
     "with s, m, h or d (30d)"},
    {"days = 0", "days: \"0\" is not a number from 1 to 365"},
    {"days = 30 # a month", "days: \"30 # a month\" is not a number from 1 to 365"},
    {"connections = 1e3", "connections: \"1e3\" is not a number from 1 to 256"},
    {"allow-http = maybe", "allow-http: \"maybe\" is neither yes nor no"},
    {"sizes = Exact", "sizes: \"Exact\" is not known; one of: exact, lazy"},
    {"family = ihvdriver", "family: \"ihvdriver\" is not known; one of: driver, desktop, store"},
    {"account-families = ihvdriver;xbox",
     "account-families: \"xbox\" is not known; one of: ihvdriver, hardware"},
    {"account-families = driver", "account-families: \"driver\" is not known; one of: ihvdriver, hardware"},
    {"discover = maybe", "discover: \"maybe\" is neither yes nor no"},
    {"desktop = 102384678867651363889", "desktop: \"102384678867651363889\" is not an application ID; 8 to 20 "
                                        "digits, or 12 upper-case letters and "
                                        "digits, with ; between two"},
    {"store = 10238467886765136388",
     "store: \"10238467886765136388\" is not a Store ID; 12 upper-case letters and digits, with ; between two"},
    {"store = 9nblgggz5qdr",
     "store: \"9nblgggz5qdr\" is not a Store ID; 12 upper-case letters and digits, with ; between two"},
    {"desktop = 13984104677400476\ndriver = 13510798882111486;13984104677400476",
     "driver: \"13984104677400476\" is listed as desktop already"},
    {"log-level = verbose", "log-level: \"verbose\" is not known; one of: error, warning, info, debug"},
    {"start-date = 2023-02-29", "start-date: \"2023-02-29\" is not a day; yyyy-mm-dd"},
    {"start-date = 2023-2-9", "start-date: \"2023-2-9\" is not a day; yyyy-mm-dd"},
    {"start-date = 2024-01-02\nend-date = 2024-01-01", "end-date: is before start-date"},
    {"driver = 1234567",
     "driver: \"1234567\" is not an application ID; 8 to 20 digits, or 12 upper-case letters and "
     "digits, with ; between two"},
    {"driver = 13984104677400476,13984104677400477", "driver: \"13984104677400476,13984104677400477\" is not "
                                                     "an application ID; 8 to 20 digits, or 12 upper-case "
                                                     "letters and digits, with ; between two"},
    {"tenant = a/b", "tenant: \"a/b\" is neither a directory's ID nor its domain name"},
    {"client-id = a b", "client-id: \"a b\" is not the ID of an application"},
    {"api-url = ftp://h", "api-url: not an address; https://HOST, then :PORT and /PATH if need be"},
    {"api-url = https://u:secret@h", "api-url: not an address; https://HOST, then :PORT and /PATH if need be"},
    {"login-url = http://127.0.0.1:1",
     "login-url: http is not allowed; https, or allow-http = yes for a host on the "
     "loopback interface"},
    {"managed-identity = System",
     "managed-identity: \"System\" is neither \"system\" nor the client ID of an identity, which is a GUID"},
    {"managed-identity = system\nmanaged-identity-url = http://127.0.0.1:1",
     "managed-identity-url: has to be http://169.254.169.254, or, with allow-http = yes, on the loopback "
     "interface"},
    {"client-certificate-file = /nonexistent/x",
     "client-certificate-file: /nonexistent/x cannot be read: No such file or directory"},
    {"blob-hosts = ;", "blob-hosts: names no host"},
    {"blob-hosts = *", "blob-hosts: \"*\" is not a host; HOST or *.DOMAIN, then :PORT if need be"},
    {"client-secret-file = /nonexistent/x",
     "client-secret-file: /nonexistent/x cannot be read: No such file or directory"},
    {"cache-dir = ~root/x", "cache-dir: \"~root/x\": only \"~/\" is understood, not another user's home"},
    {"client-secret = hunter2",
     "client-secret: a secret must not stand here; put it into a file that only you can "
     "read, and name that in client-secret-file"},
    {"member = off", "member: unknown key; cabfs.conf(5) has all"},
    {"members = shown", "members: \"shown\" is not known; one of: hidden, visible, off"},
    {"member-limit = 0", "member-limit: has to be more than 0; members = off if no CAB is to be opened"},
    {"allow_other = yes", "allow_other: is a mount option; give it with -o"},
};

static void test_bad_values (void) {
  for (gsize i = 0; i < G_N_ELEMENTS (bad_lines); i++) {
    g_autofree char *text = g_strconcat ("[contoso]\n", bad_lines[i].line, "\n", NULL);
    g_autofree char *expected = g_strconcat ("FILE: [contoso] ", bad_lines[i].expected, NULL);
    check_error (text, "contoso /m", expected);
  }
}

static void test_bad_words (void) {
  check_error ("[a]\n", "a /m -o days=x", "-o days: \"x\" is not a number from 1 to 365");
  check_error ("[a]\n", "a /m -o days", "-o days: needs a value");
  check_error ("[a]\n", "a /m -o nonsense=1", "-o nonsense: unknown key; cabfs.conf(5) has all");
  check_error ("[a]\n", "a /m -o uid=root", "-o uid: \"root\" is not a number of a user or group");
  check_error ("[a]\n", "a /m -o uid=4294967295", "-o uid: \"4294967295\" is not a number of a user or group");
  check_error ("[a]\n", "a /m -o umask=888", "-o umask: \"888\" is not an octal number up to 777");
  check_error ("[a]\n", "a /m -o umask", "-o umask: needs a value");
  check_error ("[a]\n", "a /m -o allow_other=1", "-o allow_other: takes no value");
  check_error (
      "[a]\n", "a /m -o client-secret=hunter2",
      "-o client-secret: a secret must not stand here; put it into a file that only you can read, and name "
      "that in client-secret-file");
}

static void test_bad_file (void) {
  check_error ("[a]\n[b]\n", "c /m", "FILE: there is no section [c]; there are: a, b");
  check_error ("", "c /m", "FILE: there is no section [c]; there is none at all");
  check_error ("[a]\n\nhunter2\n", "a /m",
               "FILE: line 3 is neither \"key = value\" nor [section] nor # comment");
  check_error ("[a]\n; no comment\n", "a /m",
               "FILE: line 2 is neither \"key = value\" nor [section] nor # comment");
  check_error ("[a]\n =hunter2\n", "a /m",
               "FILE: line 2 is neither \"key = value\" nor [section] nor # comment");
  check_error ("[a]\n[hunter2\n", "a /m",
               "FILE: line 2 is neither \"key = value\" nor [section] nor # comment");
  check_error ("[a]\nclient-secret[de_AT] = hunter2\n", "a /m",
               "FILE: [a] client-secret[de_AT]: unknown key; cabfs.conf(5) has all");
  check_error ("[a]\n\xff = 1\n", "a /m", "FILE: line 2 is not UTF-8");
  check_error ("[a]\n", "../a /m", "\"../a\" cannot be the name of an account");
  check_error ("[a]\n", "-c /nonexistent/x a /m",
               "the configuration cannot be read: /nonexistent/x: No such file or directory");
  check_error ("[a]\n", "-c / a /m", "the configuration cannot be read: /: it is no regular file");
}

/* Nobody ever writes to it. */
static void test_pipe (void) {
  g_autoptr (GError) error = NULL;
  g_unlink (path);
  g_assert_cmpint (mkfifo (path, 0600), ==, 0);
  g_autoptr (CabConfig) config = load ("a /m", &error);
  g_autofree char *expected =
      g_strdup_printf ("the configuration cannot be read: %s: it is no regular file", path);
  g_assert_null (config);
  g_assert_cmpstr (error->message, ==, expected);
  g_unlink (path);
}

/* A shell has written to this one: -c <(…). */
static void test_descriptor (void) {
  static const char text[] = "[a]\ndays = 7\n";
  int fds[2];
  g_autoptr (GError) error = NULL;
  g_assert_cmpint (pipe (fds), ==, 0);
  g_assert_cmpint (write (fds[1], text, strlen (text)), ==, (gssize) strlen (text));
  close (fds[1]);
  g_autofree char *line = g_strdup_printf ("a /m -c /dev/fd/%d", fds[0]);
  g_autoptr (CabConfig) config = load (line, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (config->client.days, ==, 7);
  close (fds[0]);
}

static void test_bad_lines (void) {
  check_error ("[a]\n", "", "the account and the mount point are missing; see cabfs --help");
  check_error ("[a]\n", "a", "the mount point is missing; see cabfs --help");
  check_error ("[a]\n", "a ", "the mount point is missing; see cabfs --help"); /* given, but empty */
  check_error ("[a]\n", "a /m more", "one argument too many: more; see cabfs --help");
  check_error ("[a]\n", "a /m -x", "unknown option -x; see cabfs --help");
  check_error ("[a]\n", "a /m -fx", "unknown option -x; see cabfs --help");
  check_error ("[a]\n", "a /m --secret=hunter2", "unknown option --secret; see cabfs --help");
  check_error ("[a]\n", "a /m -o", "option -o needs a value; see cabfs --help");
  check_error ("[a]\n", "a /m --foreground=1", "unknown option --foreground; see cabfs --help");
}

/* --- where things are ------------------------------------------------------------------------------------------------ */

static void test_missing (void) {
  g_autoptr (GError) error = NULL;
  g_unlink (path);
  g_autoptr (CabConfig) config = load ("a /m", &error);
  if (g_file_test ("/etc/cabfs/cabfs.conf", G_FILE_TEST_EXISTS)) {
    g_test_skip ("there is a configuration of the system");
    return;
  }
  g_assert_null (config);
  g_autofree char *expected = g_strdup_printf (
      "no configuration: neither %s nor /etc/cabfs/cabfs.conf is there; see cabfs.conf(5)", path);
  g_assert_cmpstr (error->message, ==, expected);
}

static void test_xdg (void) {
  g_autofree char *other = g_build_filename (dir, "other", NULL);
  g_autofree char *file = g_build_filename (other, "cabfs", "cabfs.conf", NULL);
  g_autofree char *file_dir = g_path_get_dirname (file);
  g_assert_cmpint (g_mkdir_with_parents (file_dir, 0700), ==, 0);
  g_assert_true (g_file_set_contents (file, "[x]\n", -1, NULL));
  g_setenv ("XDG_CONFIG_HOME", other, TRUE);
  g_setenv ("XDG_CACHE_HOME", "/somewhere", TRUE);
  g_autoptr (GError) error = NULL;
  g_autoptr (CabConfig) config = load ("x /m", &error);
  g_assert_no_error (error);
  g_assert_cmpstr (config->mount.config_file, ==, file);
  g_assert_cmpstr (config->cache.dir, ==, "/somewhere/cabfs/x");
  g_setenv ("XDG_CONFIG_HOME", "other", TRUE); /* not absolute: as if it were not there */
  g_setenv ("XDG_CACHE_HOME", "", TRUE);
  g_autoptr (CabConfig) plain = load_good ("[x]\n", "x /m");
  g_assert_cmpstr (plain->mount.config_file, ==, path);
  g_unsetenv ("XDG_CONFIG_HOME");
  g_unsetenv ("XDG_CACHE_HOME");
}

static void test_credentials (void) {
  g_autofree char *credentials = g_build_filename (dir, "credentials", NULL);
  g_autofree char *secret = g_build_filename (credentials, "secret", NULL);
  g_assert_cmpint (g_mkdir_with_parents (credentials, 0700), ==, 0);
  g_assert_true (g_file_set_contents (secret, "hunter2\n", -1, NULL));
  g_setenv ("CREDENTIALS_DIRECTORY", credentials, TRUE);
  g_autoptr (CabConfig) config = load_good ("[a]\nclient-secret-file = secret\n", "a /m");
  g_assert_cmpstr (config->client.token.client_secret_file, ==, secret);
  g_autoptr (CabConfig) other = load_good ("[a]\ntoken-file = none\n", "a /m");
  g_autofree char *beside = g_build_filename (dir, ".config/cabfs/none", NULL);
  g_assert_cmpstr (other->client.token.token_file, ==, beside);
  g_autoptr (CabConfig) certificate = load_good ("[a]\nclient-certificate-file = secret\n", "a /m");
  g_assert_cmpstr (certificate->client.token.client_certificate_file, ==, secret);
  g_unsetenv ("CREDENTIALS_DIRECTORY");
}

/* Somebody else's HOME, as mount(8) leaves it, is not ours. */
static void test_foreign_home (void) {
  g_autofree char *home = g_strdup (g_getenv ("HOME"));
  g_setenv ("HOME", geteuid () == 0 ? "/proc/self/nothing" : "/", TRUE);
  g_setenv ("XDG_CONFIG_HOME", dir, TRUE);
  g_autofree char *file = g_build_filename (dir, "cabfs", "cabfs.conf", NULL);
  g_autofree char *file_dir = g_path_get_dirname (file);
  g_mkdir_with_parents (file_dir, 0700);
  g_assert_true (g_file_set_contents (file, "[x]\ncache-dir = ~/y\n", -1, NULL));
  g_autoptr (GError) error = NULL;
  g_autoptr (CabConfig) config = load ("x /m", &error);
  g_assert_no_error (error);
  g_assert_false (g_str_has_prefix (config->cache.dir, "/proc"));
  g_assert_cmpstr (config->cache.dir, !=, "/y");
  g_unsetenv ("XDG_CONFIG_HOME");
  g_setenv ("HOME", home, TRUE);
}

/* The tables do not contradict each other, and every default can be set. */
static void test_tables (void) {
  guint n;
  const CabKey *keys = cab_config_keys (&n);
  g_assert_cmpuint (n, >, 20);
  for (guint i = 0; i < n; i++) {
    g_assert_true (cab_config_key_find (keys[i].name) == &keys[i]);
    g_assert_null (cab_config_word_find (keys[i].name));
  }
  const CabWord *words = cab_config_words (&n);
  for (guint i = 0; i < n; i++)
    g_assert_true (cab_config_word_find (words[i].name) == &words[i]);
}

static void set_up (void) {
  g_autoptr (GError) error = NULL;
  dir = g_dir_make_tmp ("cabfs-config-XXXXXX", &error);
  g_assert_no_error (error);
  g_setenv ("HOME", dir, TRUE);
  g_unsetenv ("XDG_CONFIG_HOME");
  g_unsetenv ("XDG_CACHE_HOME");
  g_unsetenv ("CREDENTIALS_DIRECTORY");
  path = g_build_filename (dir, ".config", "cabfs", "cabfs.conf", NULL);
  g_autofree char *parent = g_path_get_dirname (path);
  g_assert_cmpint (g_mkdir_with_parents (parent, 0700), ==, 0);
}

static void remove_tree (const char *name) {
  g_autoptr (GDir) entries = g_dir_open (name, 0, NULL);
  const char *entry;
  while (entries != NULL && (entry = g_dir_read_name (entries)) != NULL) {
    g_autofree char *child = g_build_filename (name, entry, NULL);
    remove_tree (child);
  }
  g_remove (name);
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
  set_up ();
  g_test_add_func ("/config/defaults", test_defaults);
  g_test_add_func ("/config/shared", test_shared);
  g_test_add_func ("/config/file", test_file);
  g_test_add_func ("/config/ways", test_ways);
  g_test_add_func ("/config/families", test_families);
  g_test_add_func ("/config/overrides", test_overrides);
  g_test_add_func ("/config/mount-words", test_mount_words);
  g_test_add_func ("/config/bad-values", test_bad_values);
  g_test_add_func ("/config/bad-words", test_bad_words);
  g_test_add_func ("/config/bad-file", test_bad_file);
  g_test_add_func ("/config/pipe", test_pipe);
  g_test_add_func ("/config/descriptor", test_descriptor);
  g_test_add_func ("/config/bad-lines", test_bad_lines);
  g_test_add_func ("/config/missing", test_missing);
  g_test_add_func ("/config/xdg", test_xdg);
  g_test_add_func ("/config/credentials", test_credentials);
  g_test_add_func ("/config/foreign-home", test_foreign_home);
  g_test_add_func ("/config/tables", test_tables);
  int status = g_test_run ();
  remove_tree (dir);
  g_free (path);
  g_free (dir);
  return status;
}
