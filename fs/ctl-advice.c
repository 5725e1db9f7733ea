/* SPDX-License-Identifier: MIT */
#include "fs/ctl-advice.h"

#include <string.h>

#include "client/error.h"
#include "client/token_hints.h"

/* --- what those say who give tokens ------------------------------------------------------------------------------ */

/* What is known of the code is in the message already. */
static const char *of_login (const GError *error, int status) {
  const char *hint = cab_token_hint_login (error->message);
  if (hint != NULL)
    return hint;
  if (status == 404)
    return "login-url or tenant is mistyped, or a proxy answers in place of the login host.";
  return strstr (error->message, "AADSTS") != NULL
             ? "The AADSTS code is explained at https://login.microsoftonline.com/error; the tenant's "
               "administrator finds the request by its correlation id."
             : NULL;
}

/* --- what the others say ------------------------------------------------------------------------------------------ */

static const char *of_list (int status) {
  switch (status) {
  case 401:
    return "The service does not take the token: add the Entra application to the Partner Center account "
           "(Account settings, User management, Microsoft Entra applications), and see that tenant is the "
           "directory which is associated with that account.";
  case 403:
    return "A role is missing: in Partner Center give the Entra application the Manager role (Account "
           "settings, User management, Microsoft Entra applications); and the account must be enrolled in the "
           "programme that the application belongs to.";
  case 404:
  case 410:
    return "The service does not know this application, or no longer has this family of reports: compare the "
           "ID with Partner Center, and the key it stands in (desktop, driver, store) with what it is.";
  default:
    return NULL;
  }
}

static const char *of_address (const GError *error, int status) {
  if (status == 401 || status == 403)
    return "The token is good, it was taken for the lists, but this call refuses it. It is known to refuse "
           "app-only tokens (client secret or certificate): use a token of a person who has access in Partner "
           "Center, with token-command = az account get-access-token --resource "
           "https://manage.devcenter.microsoft.com --output json, or token-file.";
  if (strstr (error->message, "blob-hosts") != NULL)
    return "The service names a host that blob-hosts does not allow: if it is one of Azure Storage, add it "
           "there; else something stands between you and the service.";
  if (strstr (error->message, "without an address") != NULL)
    return "This identity may list the CAB, but not download it: see token-command in cabfs.conf(5).";
  return of_list (status);
}

static const char *of_blob (const GError *error, int status) {
  if (strstr (error->message, "blob-hosts") != NULL)
    return of_address (error, 0);
  if (status == 403 && strstr (error->message, "SourceIP") != NULL)
    return "The address is good for another machine only: does a proxy stand between this one and the blob "
           "host?";
  if (status == 401 || status == 403)
    return "The blob host refuses a fresh address: a proxy or firewall may change addresses, or the clock is "
           "wrong.";
  if (status == 404)
    return "The CAB is listed but gone: others may be there.";
  return NULL;
}

/* Nobody answered, or not the one who was asked. */
static const char *of_network (const GError *error) {
  const char *message = error->message;
  if (strstr (message, "certificate") != NULL || strstr (message, "SSL") != NULL)
    return "The host cannot be trusted: does a firewall open TLS connections (then set ca-file to its "
           "certificate), and is the clock of this machine right?";
  if (strstr (message, "proxy") != NULL)
    return "Look at proxy in the configuration, and at https_proxy and no_proxy in the environment.";
  if (strstr (message, "resolve host") != NULL)
    return "The name of the host cannot be looked up: is there a network, and does this machine reach the "
           "Internet by a proxy (key proxy)?";
  if (strstr (message, "onnect") != NULL || g_error_matches (error, CAB_ERROR, CAB_ERROR_TIMEOUT))
    return "The host cannot be reached: is there a network, does a firewall stand in the way, or is a proxy "
           "needed (key proxy)?";
  return NULL;
}

const char *cab_advice (CabWhere where, const GError *error) {
  int status = cab_error_answer (error).status;
  const char *advice = NULL;
  gboolean about_token = strstr (error->message, "access token: ") != NULL;
  if (where == CAB_AT_TOKEN || about_token)
    advice = of_login (error, status);
  else if (where == CAB_AT_LIST)
    advice = of_list (status);
  else if (where == CAB_AT_ADDRESS)
    advice = of_address (error, status);
  else
    advice = of_blob (error, status);
  if (advice != NULL || status == 0)
    return advice != NULL ? advice : of_network (error);
  if (status == 407)
    return "The proxy wants a user and a password: proxy = http://USER:PASSWORD@HOST:PORT.";
  if (status == 429)
    return "The service is throttling this account: wait, and use sizes = lazy and fewer api-connections.";
  return status >= 500 ? "The service has a fault, or hides a mistake behind one: try again later; if it "
                         "stays, see that the Entra application is associated with the Partner Center account."
                       : NULL;
}

char *cab_advice_apart (const GError *error, const char *advice) {
  g_autofree char *hint = advice != NULL ? g_strconcat (" (", advice, ")", NULL) : NULL;
  if (hint == NULL || !g_str_has_suffix (error->message, hint))
    return g_strdup (error->message);
  return g_strndup (error->message, strlen (error->message) - strlen (hint));
}
