/* SPDX-License-Identifier: MIT */
#include "client/address.h"
#include "client/error.h"
#include "client/redact.h"
#include "client/times.h"

#include <string.h>

static const char *const hosts[] = {"*.blob.core.windows.net",
                                    "127.0.0.1:10000",
                                    "cabs.example:8443",
                                    "[::1]:10000",
                                    "localhost",
                                    "*.cdn.example:444",
                                    "plain.example",
                                    NULL};

#define SAS "/kernel-1/x.zip?sv=2015-07-08&sr=b&sig=AAAA%2Bbbb%3D&se=2025-01-10T02%3A37%3A28Z&sp=r"

static const struct {
  const char *url;
  const char *fault; /* part of the message; NULL: allowed */
} checks[] = {
    {"https://acct.blob.core.windows.net" SAS, NULL},
    {"https://acct.blob.core.windows.net:443" SAS, NULL},
    {"https://acct.blob.core.windows.net:444" SAS, NULL}, /* a pattern without a port allows them all */
    {"HTTPS://ACCT.Blob.Core.Windows.Net" SAS, NULL},
    {"https://a.b.blob.core.windows.net" SAS, NULL},
    {"https://plain.example", NULL},
    {"https://plain.example?sig=1", NULL},
    {"https://cabs.example:8443/", NULL},
    {"https://x.cdn.example:444/", NULL},
    {"http://127.0.0.1:10000" SAS, NULL},
    {"http://[::1]:10000/x", NULL},
    {"http://localhost/x", NULL},
    {"http://localhost:80/x", NULL},
    /* other hosts */
    {"https://evil.example" SAS, "host evil.example:443 is not among blob-hosts"},
    {"https://blob.core.windows.net" SAS, "not among"},
    {"https://.blob.core.windows.net" SAS, "no well-formed host"},
    {"https://xblob.core.windows.net" SAS, "not among"},
    {"https://acct.blob.core.windows.net.evil.example" SAS, "not among"},
    {"https://acct.blob.core.windows.net." SAS, "no well-formed host"},
    {"https://cabs.example/", "not among"},
    {"https://x.cdn.example/", "not among"},
    {"http://127.0.0.1/", "not among"},
    {"http://127.0.0.2:10000/", "not among"},
    {"https://127.0.0.1:10001/", "not among"},
    /* schemes */
    {"http://acct.blob.core.windows.net" SAS, "loopback interface only"},
    {"http://127.0.0.1.evil.example:10000/", "loopback interface only"},
    {"http://2130706433:10000/", "no well-formed host"},
    {"file:///etc/passwd", "neither https nor http"},
    {"ftp://acct.blob.core.windows.net/", "neither https nor http"},
    {"//acct.blob.core.windows.net/", "neither https nor http"},
    {"/relative?sig=1", "neither https nor http"},
    {"https:/acct.blob.core.windows.net/", "neither https nor http"},
    {"", "neither https nor http"},
    /* user-info, fragment, what two parsers might read differently */
    {"https://user@acct.blob.core.windows.net" SAS, "user-info"},
    {"https://user:secret@acct.blob.core.windows.net" SAS, "user-info"},
    {"https://acct.blob.core.windows.net@evil.example" SAS, "user-info"},
    {"https://evil.example\\@acct.blob.core.windows.net" SAS, "user-info"},
    {"https://@acct.blob.core.windows.net" SAS, "user-info"},
    {"https://acct.blob.core.windows.net\\.evil.example" SAS, "no well-formed host"},
    {"https://evil.example%2f.blob.core.windows.net" SAS, "no well-formed host"},
    {"https://acct..blob.core.windows.net" SAS, "no well-formed host"},
    {"https://acct.blob.core.windows.net" SAS "#f", "fragment"},
    {"https://acct.blob.core.windows.net#" SAS, "fragment"},
    {"https://acct.blob.core.windows.net/a b", "control character"},
    {"https://acct.blob.core.windows.net/a\r\nHost: x", "control character"},
    {"https://acct.blob.core.windows.net/a\tb", "control character"},
    {"https://acct.blob.core.windows.net/a\177", "control character"},
    {" https://acct.blob.core.windows.net/", "control character"},
    {"https://", "no well-formed host"},
    {"https:///x", "no well-formed host"},
    {"https://:443/x", "no well-formed host"},
    {"https://acct.blob.core.windows.net:/x", "no well-formed host"},
    {"https://acct.blob.core.windows.net:0/x", "no well-formed host"},
    {"https://acct.blob.core.windows.net:65536/x", "no well-formed host"},
    {"https://acct.blob.core.windows.net:44x/x", "no well-formed host"},
    /* libcurl takes these for addresses of the loopback interface */
    {"https://127.1:10000/x", "no well-formed host"},
    {"https://2130706433/x", "no well-formed host"},
    {"https://0x7f.0.0.0x1/x", "no well-formed host"},
    {"https://0177.0.0.1/x", "no well-formed host"},
    {"https://127.0.0.1.5/x", "no well-formed host"},
    {"https://1.blob.core.windows.net" SAS, NULL},
    {"https://0x7g.blob.core.windows.net" SAS, NULL},
    {"https://[::1/x", "no well-formed host"},
    {"https://[::1]x/x", "no well-formed host"},
    {"https://[acct.blob.core.windows.net]/x", "no well-formed host"},
    {"https://\xc3\xa4.blob.core.windows.net/x", "no well-formed host"},
};

static void test_check (void) {
  const CabAddressRule rule = {.hosts = (char **) (guintptr) hosts, .allow_http = TRUE};
  for (gsize i = 0; i < G_N_ELEMENTS (checks); i++) {
    g_autoptr (GError) error = NULL;
    gboolean ok = cab_address_check (&rule, checks[i].url, &error);
    g_autofree char *shown = g_strescape (checks[i].url, NULL);
    g_test_message ("%s: %s", shown, ok ? "allowed" : error->message);
    g_assert_cmpint (ok, ==, checks[i].fault == NULL);
    if (ok) {
      g_assert_no_error (error);
      continue;
    }
    g_assert_error (error, CAB_ERROR, CAB_ERROR_DENIED);
    g_assert_true (checks[i].fault != NULL && strstr (error->message, checks[i].fault) != NULL);
    g_assert_null (strstr (error->message, "AAAA"));
    g_assert_null (strstr (error->message, "secret"));
  }
}

static void test_http_off (void) {
  const CabAddressRule rule = {.hosts = (char **) (guintptr) hosts, .allow_http = FALSE};
  const CabAddressRule nobody = {.hosts = NULL, .allow_http = FALSE};
  g_autoptr (GError) error = NULL;
  g_assert_false (cab_address_check (&rule, "http://localhost/x", &error));
  g_assert_error (error, CAB_ERROR, CAB_ERROR_DENIED);
  g_assert_true (cab_address_check (&rule, "https://localhost/x", NULL));
  g_assert_false (cab_address_check (&nobody, "https://localhost/x", NULL));
}

static void test_base (void) {
  g_assert_true (cab_address_check_base ("https://manage.devcenter.microsoft.com", FALSE, NULL));
  g_assert_true (cab_address_check_base ("https://manage.devcenter.microsoft.com/prefix", FALSE, NULL));
  g_assert_true (cab_address_check_base ("http://127.8.9.1:4000", TRUE, NULL));
  g_assert_true (cab_address_check_base ("http://[0:0::1]:4000", TRUE, NULL));
  const char *const refused[] = {"http://manage.devcenter.microsoft.com",
                                 "https://a.example?x=1",
                                 "https://a.example#x",
                                 "https://u@a.example",
                                 "manage.devcenter.microsoft.com",
                                 "http://128.0.0.1",
                                 "http://[::2]",
                                 "http://localhost.example"};
  for (gsize i = 0; i < G_N_ELEMENTS (refused); i++) {
    g_autoptr (GError) error = NULL;
    g_assert_false (cab_address_check_base (refused[i], TRUE, &error));
    g_assert_error (error, CAB_ERROR, CAB_ERROR_DENIED);
  }
  g_assert_false (cab_address_check_base ("http://127.0.0.1:4000", FALSE, NULL));
}

/* A token must not be fetched from, nor asked of, anything but the machine itself. */
static void test_metadata (void) {
  g_assert_true (cab_address_check_metadata ("http://169.254.169.254", FALSE, NULL));
  g_assert_true (cab_address_check_metadata ("http://169.254.169.254:80/x", FALSE, NULL));
  g_assert_true (cab_address_check_metadata ("http://127.0.0.1:4000", TRUE, NULL));
  g_assert_true (cab_address_check_metadata ("http://[::1]:4000", TRUE, NULL));
  g_assert_false (cab_address_check_metadata ("http://127.0.0.1:4000", FALSE, NULL));
  const char *const refused[] = {"http://169.254.169.253",
                                 "http://169.254.169.254.example",
                                 "http://u@169.254.169.254",
                                 "http://169.254.169.254?x=1",
                                 "http://169.254.169.254#x",
                                 "https://169.254.169.254",
                                 "https://localhost",
                                 "http://metadata.example",
                                 "http://0251.254.169.254",
                                 "",
                                 NULL};
  for (gsize i = 0; i < G_N_ELEMENTS (refused); i++) {
    g_autoptr (GError) error = NULL;
    g_assert_false (cab_address_check_metadata (refused[i], TRUE, &error));
    g_assert_error (error, CAB_ERROR, CAB_ERROR_DENIED);
  }
}

static void test_expires (void) {
  const struct {
    const char *url;
    const char *when; /* NULL: unknown */
  } cases[] = {
      {"https://h" SAS, "2025-01-10T02:37:28Z"},
      {"https://h/x?se=2025-01-10T02:37:28Z", "2025-01-10T02:37:28Z"},
      {"https://h/x?se=2025-01-10T02%3A37Z&sp=r", "2025-01-10T02:37:00Z"},
      {"https://h/x?se=2025-01-10", "2025-01-10T00:00:00Z"},
      {"https://h/x?SE=2025-01-10", "2025-01-10T00:00:00Z"},
      {"https://h/x?se=2025-01-10&ske=2025-01-09", "2025-01-09T00:00:00Z"},
      {"https://h/x?ske=2025-01-11&se=2025-01-10", "2025-01-10T00:00:00Z"},
      {"https://h/x?ske=2025-01-11", "2025-01-11T00:00:00Z"},
      {"https://h/x?se=never&ske=2025-01-11", "2025-01-11T00:00:00Z"},
      {"https://h/x?se=2025-01-10#se=2024-01-10", "2025-01-10T00:00:00Z"},
      {"https://h/x?sse=2025-01-10", NULL},
      {"https://h/x?se", NULL},
      {"https://h/x?se=", NULL},
      {"https://h/x?se=%zz", NULL},
      {"https://h/x?se=2025-01-10%00", NULL},
      {"https://h/x?", NULL},
      {"https://h/se=2025-01-10", NULL},
      {"", NULL},
  };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    gint64 got = cab_address_expires (cases[i].url);
    g_test_message ("%s", cases[i].url);
    g_assert_cmpint (got, ==, cab_time_parse (cases[i].when));
  }
}

static void test_host (void) {
  const struct {
    const char *url;
    const char *host;
  } cases[] = {
      {"https://ACCT.Blob.example/x", "acct.blob.example"},
      {"https://acct.blob.example:443/x", "acct.blob.example"},
      {"https://acct.blob.example:80/x", "acct.blob.example:80"},
      {"http://127.0.0.1:80/x", "127.0.0.1"},
      {"http://127.0.0.1:8080?x", "127.0.0.1:8080"},
      {"http://[::1]:8080", "[::1]:8080"},
      {"https://u:p@acct.example/x", "acct.example"},
      {"/x", NULL},
      {"https://", NULL},
      {"https://a b/", NULL},
  };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *host = cab_address_host (cases[i].url);
    g_assert_cmpstr (host, ==, cases[i].host);
  }
}

static void test_redact_url (void) {
  const char *const cases[][2] = {
      {"https://h/c/x.zip?sv=1&sig=AAAA%2Bb%3D&se=2", "https://h/c/x.zip?sv=1&sig=REDACTED&se=2"},
      {"https://h/x?sig=AAAA", "https://h/x?sig=REDACTED"},
      {"https://h/x?SIG=AA'AA\"#f", "https://h/x?SIG=REDACTED#f"},
      {"https://h/x?%73%69g=AAAA&a=1", "https://h/x?%73%69g=REDACTED&a=1"},
      {"https://h/x?u=https%3A%2F%2Fi%3Fsig%3DAAAA%252B%26se%3D1",
       "https://h/x?u=https%3A%2F%2Fi%3Fsig%3DREDACTED%26se%3D1"},
      {"https://h/x?u=i%253Fsig%253DAAAA%2526se", "https://h/x?u=i%253Fsig%253DREDACTED%2526se"},
      {"https://h/x?sig=AAAA&sig=BBBB", "https://h/x?sig=REDACTED&sig=REDACTED"},
      {"https://user:word@h/x", "https://REDACTED@h/x"},
      {"https://h/x?design=blue&sign=1&sig=", "https://h/x?design=blue&sign=1&sig="},
      {"https://h/x@y", "https://h/x@y"},
      {"https://h/aB3/"
       "aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3.zip",
       "https://h/aB3/"
       "aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3.zip"},
      {"", ""},
  };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *got = cab_address_redact (cases[i][0]);
    g_assert_cmpstr (got, ==, cases[i][1]);
  }
  g_assert_null (cab_address_redact (NULL));
}

#define RUN "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiIsIng1dCI6IkFB"

static void test_redact_text (void) {
  const char *const cases[][2] = {
      {"GET https://h/x?sig=AAAA, retried", "GET https://h/x?sig=REDACTED, retried"},
      {"<Url>https://h/x?a&amp;sig=AAAA&amp;b</Url>", "<Url>https://h/x?a&amp;sig=REDACTED&amp;b</Url>"},
      {"{\"access_token\": \"abc\", \"x\": 1}", "{\"access_token\": \"REDACTED\", \"x\": 1}"},
      {"{\"accessToken\":\"abc\"}", "{\"accessToken\":\"REDACTED\"}"},
      {"client_secret=a.b~c&grant_type=x", "client_secret=REDACTED&grant_type=x"},
      {"Authorization: Bearer abcdefghijklmnop", "Authorization: Bearer REDACTED"},
      {"the Bearer token is missing", "the Bearer token is missing"},
      {"token " RUN "." RUN " refused", "token REDACTED.REDACTED refused"},
      {"signature 'Zm9v+YmFy/Zm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyMD0=' is wrong", "signature 'REDACTED' is wrong"},
      {"correlation fb57b37b-d364-4caf-995b-d99ae651ee18", "correlation fb57b37b-d364-4caf-995b-d99ae651ee18"},
      {"must contain 'client_assertion' or 'client_secret'.",
       "must contain 'client_assertion' or 'client_secret'."},
      {"see https://docs.example/a?b=c", "see https://docs.example/a?b=c"},
      {"", ""},
      {"%", "%"},
      {"sig", "sig"},
      {"sig=", "sig="},
      {"sig%3", "sig%3"},
      {"Bearer ", "Bearer "},
      /* a value is missing, and the name of the next one stands in its place */
      {"sig= \"access_token\":\"abc\"", "sig= \"access_token\":\"REDACTED\""},
      {"password: client_secret : abc", "password: client_secret : REDACTED"},
      {"client_secret=password&a=b", "client_secret=REDACTED&a=b"},
  };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *got = cab_redact_text (cases[i][0]);
    g_assert_cmpstr (got, ==, cases[i][1]);
  }
}

/* A long run is measured once, not again from each of its characters: this would take hours. */
static void test_redact_long (void) {
  gsize len = 1024 * 1024;
  g_autofree char *text = g_malloc (len + 1);
  memset (text, 'a', len);
  text[len] = '\0';
  g_autofree char *same = cab_redact_text (text);
  g_assert_cmpstr (same, ==, text);
  text[5] = 'A';
  text[len - 1] = '9';
  g_autofree char *gone = cab_redact_text (text);
  g_assert_cmpstr (gone, ==, "REDACTED");
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/address/check", test_check);
  g_test_add_func ("/address/http-off", test_http_off);
  g_test_add_func ("/address/base", test_base);
  g_test_add_func ("/address/metadata", test_metadata);
  g_test_add_func ("/address/expires", test_expires);
  g_test_add_func ("/address/host", test_host);
  g_test_add_func ("/address/redact-url", test_redact_url);
  g_test_add_func ("/address/redact-text", test_redact_text);
  g_test_add_func ("/address/redact-long", test_redact_long);
  return g_test_run ();
}
