/* SPDX-License-Identifier: MIT */
#include "fs/ctl-advice.h"

#include <stdlib.h>
#include <string.h>

#include "client/error.h"

/* --- what the login host says ------------------------------------------------------------------------------------ */

static const struct {
  guint aadsts;
  const char *advice;
} logins[] = {
    {7000215,
     "The client secret is wrong: put the secret's value, not its ID, into client-secret-file; the value is "
     "shown in Microsoft Entra only once, when the secret is made."},
    {7000222,
     "The client secret has expired: make a new one in Microsoft Entra (App registrations, the application, "
     "Certificates & secrets) and put its value into client-secret-file."},
    {700016, "The tenant does not know this application: compare client-id with the Application (client) ID in "
             "Microsoft "
             "Entra, and tenant with the directory that it was registered in."},
    {90002,
     "There is no such tenant: set tenant to the Directory (tenant) ID or to a domain name of the directory."},
    {900023, "The tenant is neither an ID nor a domain name: set tenant to the Directory (tenant) ID."},
    {500011,
     "The tenant does not know the service: associate the directory with the Partner Center account first."},
    {70011, "The scope is not accepted: try token-version = 1."},
    {7000118,
     "The service is not allowed in this tenant: associate the directory with the Partner Center account."},
    {700024, "What the certificate has signed is not valid at this time: is the clock of this machine right?"},
    {700027,
     "The certificate is not the application's: upload it in Microsoft Entra, or use the one that is there."},
    {90033, "Microsoft Entra has a passing fault: try again later."},
    {50196, "Microsoft Entra sees the same request too often: wait for an hour, and see what else uses this "
            "application."},
    {53003,
     "A Conditional Access policy of the tenant blocks this: ask its administrator, with the correlation id."},
};

static guint aadsts_of (const char *message) {
  static const char word[] = "AADSTS";
  const char *found = strstr (message, word);
  return found != NULL ? (guint) strtoul (found + strlen (word), NULL, 10) : 0;
}

static const char *of_login (const GError *error, int status) {
  guint code = aadsts_of (error->message);
  for (guint i = 0; i < G_N_ELEMENTS (logins); i++)
    if (logins[i].aadsts == code)
      return logins[i].advice;
  if (status == 404)
    return "login-url or tenant is mistyped, or a proxy answers in place of the login host.";
  return code != 0 ? "The AADSTS code is explained at https://login.microsoftonline.com/error; the tenant's "
                     "administrator finds the request by its correlation id."
                   : NULL;
}

/* --- what the others say ------------------------------------------------------------------------------------------ */

static const char *of_list (int status) {
  switch (status) {
  case 401:
    return "The service does not take the token: add the Entra application to the Partner Center account "
           "(Account "
           "settings, User management, Microsoft Entra applications), and see that tenant is the directory "
           "which is "
           "associated with that account.";
  case 403:
    return "A role is missing: in Partner Center give the Entra application the Manager role (Account "
           "settings, User "
           "management, Microsoft Entra applications); and the account must be enrolled in the programme that "
           "the "
           "application belongs to.";
  case 404:
  case 410:
    return "The service does not know this application, or no longer has this family of reports: compare the "
           "ID with "
           "Partner Center, and the key it stands in (desktop, driver, store) with what it is.";
  default:
    return NULL;
  }
}

static const char *of_address (const GError *error, int status) {
  if (status == 401 || status == 403)
    return "The token is good, it was taken for the lists, but this call refuses it. It is known to refuse "
           "app-only tokens "
           "(client secret or certificate): use a token of a person who has access in Partner Center, with "
           "token-command "
           "= az account get-access-token --resource https://manage.devcenter.microsoft.com --output json, or "
           "token-file.";
  if (strstr (error->message, "blob-hosts") != NULL)
    return "The service names a host that blob-hosts does not allow: if it is one of Azure Storage, add it "
           "there; else "
           "something stands between you and the service.";
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
           "certificate), and is "
           "the clock of this machine right?";
  if (strstr (message, "proxy") != NULL)
    return "Look at proxy in the configuration, and at https_proxy and no_proxy in the environment.";
  if (strstr (message, "resolve host") != NULL)
    return "The name of the host cannot be looked up: is there a network, and does this machine reach the "
           "Internet by a "
           "proxy (key proxy)?";
  if (strstr (message, "onnect") != NULL || g_error_matches (error, CAB_ERROR, CAB_ERROR_TIMEOUT))
    return "The host cannot be reached: is there a network, does a firewall stand in the way, or is a proxy "
           "needed (key "
           "proxy)?";
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
                         "stays, see that the "
                         "Entra application is associated with the Partner Center account."
                       : NULL;
}
