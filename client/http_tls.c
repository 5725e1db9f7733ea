/* SPDX-License-Identifier: MIT */
#include "client/http_tls.h"

#include <curl/curl.h>
#include <glib.h>
#include <openssl/ssl.h>

/* The context that on_context() gets belongs to whatever library this libcurl uses. */
static gboolean is_openssl (void) {
  const char *version = curl_version_info (CURLVERSION_NOW)->ssl_version;
  return version != NULL && g_str_has_prefix (version, "OpenSSL/3.");
}

static CURLcode on_context (CURL *easy, void *context, void *unused) {
  SSL_CTX_set_session_cache_mode (context, SSL_SESS_CACHE_OFF); /* libcurl would keep the session */
  return SSL_CTX_set_tlsext_max_fragment_length (context, TLSEXT_max_fragment_length_4096) == 1
             ? CURLE_OK
             : CURLE_SSL_CONNECT_ERROR;
}

void cab_http_want_short_records (void *easy) {
  if (!is_openssl ())
    return;
  curl_easy_setopt (easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
  curl_easy_setopt (easy, CURLOPT_SSL_CTX_FUNCTION, on_context);
}
