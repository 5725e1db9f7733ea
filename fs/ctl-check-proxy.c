/* ctl-check-proxy.c - the step of `cabfsctl check` that looks for the proxy.
 *
 * libcurl tells of a proxy that is not there as of any host that is not; so it is tried by itself.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fs/ctl-check.h"

#define PATIENCE_MS  10000
#define DEFAULT_PORT 1080 /* libcurl's, of a proxy without one */

/* A proxy of the environment, as libcurl looks for it for an https address.  NULL: none. */
static const char *from_environment (const char **variable) {
  static const char *const names[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    const char *value = g_getenv (names[i]);
    *variable = names[i];
    if (value != NULL && value[0] != '\0')
      return value;
  }
  return NULL;
}

/* Host and port alone: what else is in the address may be a secret. */
static char *parse (const char *proxy, int *port) {
  g_autofree char *full =
      strstr (proxy, "://") != NULL ? g_strdup (proxy) : g_strconcat ("http://", proxy, NULL);
  g_autofree char *host = NULL;
  if (!g_uri_split_network (full, G_URI_FLAGS_NON_DNS, NULL, &host, port, NULL) || host == NULL ||
      host[0] == '\0')
    return NULL;
  if (*port < 0)
    *port = g_str_has_prefix (full, "https://") ? 443 : DEFAULT_PORT;
  return g_steal_pointer (&host);
}

/* 0, or the errno of a connection to one address. */
static int try_address (const struct addrinfo *address) {
  int fd = socket (address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  int result = 0;
  socklen_t len = sizeof result;
  if (fd < 0)
    return errno;
  if (connect (fd, address->ai_addr, address->ai_addrlen) != 0)
    result = errno;
  if (result == EINPROGRESS) {
    struct pollfd waiting = {.fd = fd, .events = POLLOUT};
    if (poll (&waiting, 1, PATIENCE_MS) <= 0)
      result = ETIMEDOUT;
    else
      getsockopt (fd, SOL_SOCKET, SO_ERROR, &result, &len);
  }
  close (fd);
  return result;
}

/* NULL, or why the proxy cannot be reached; static. */
static const char *try_proxy (const char *host, int port) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
  char service[16];
  g_snprintf (service, sizeof service, "%d", port);
  int result = getaddrinfo (host, service, &hints, &found);
  if (result != 0)
    return gai_strerror (result);
  for (const struct addrinfo *address = found; address != NULL; address = address->ai_next) {
    result = try_address (address);
    if (result == 0)
      break;
  }
  freeaddrinfo (found);
  return result == 0 ? NULL : g_strerror (result);
}

/* libcurl never asks a proxy for http, which is for this machine. */
static gboolean is_needed (const CabConfig *config) {
  return g_str_has_prefix (config->client.api_url, "https:") ||
         g_str_has_prefix (config->client.login_url, "https:");
}

gboolean cab_check_proxy (const CabConfig *config, CabReport *report) {
  const char *source = "the key proxy";
  const char *proxy = config->client.proxy != NULL ? config->client.proxy : from_environment (&source);
  const char *exceptions = g_getenv ("no_proxy") != NULL ? g_getenv ("no_proxy") : g_getenv ("NO_PROXY");
  gboolean excepted = exceptions != NULL && exceptions[0] != '\0';
  int port = -1;
  if (proxy == NULL || proxy[0] == '\0' || !is_needed (config))
    return TRUE;
  g_autofree char *host = parse (proxy, &port);
  if (host == NULL) {
    cab_report (report, CAB_STEP_WARNING, "proxy", "what %s says is no address of a proxy", source);
    return TRUE;
  }
  const char *why = try_proxy (host, port);
  if (why == NULL) {
    cab_report (report, CAB_STEP_OK, "proxy", "%s:%d, by %s", host, port, source);
    return TRUE;
  }
  /* The hosts may be among the exceptions: then it does not matter. */
  cab_report (report, excepted ? CAB_STEP_WARNING : CAB_STEP_FAILED, "proxy",
              "%s:%d, by %s, cannot be reached: %s", host, port, source, why);
  cab_report_advice ("Correct the proxy, or take it away where the hosts can be reached without.");
  return excepted;
}
