/* SPDX-License-Identifier: MIT */
#include "client/token_hints.h"

#include <string.h>

/* Microsoft's list of AADSTS codes is the source of what they mean (api-contract.md 2.3). */
static const struct {
  guint code;
  const char *hint;
} hints[] = {
    {7000215, "the secret is wrong: put its value, not its ID, into the file of client-secret-file; it is "
              "shown in Microsoft Entra only once, when the secret is made"},
    {7000222, "the secret has expired: make a new one in Microsoft Entra (App registrations, the application, "
              "Certificates & secrets) and put its value into the file of client-secret-file"},
    {700016, "the tenant does not know this application: compare client-id with its Application (client) ID, "
             "and tenant with the directory it was registered in"},
    {90002, "there is no such tenant: tenant is the Directory (tenant) ID or a domain name of the directory"},
    {900023, "the tenant is neither an ID nor a domain name: tenant is the Directory (tenant) ID"},
    {700027,
     "upload the certificate of client-certificate-file to the application, under Certificates & secrets"},
    {700024, "is the clock of this machine right, and has the certificate or federated token not expired?"},
    {700021, "client-id is not the application that the certificate or federated token is for"},
    {700023, "does login-url name the login host of the tenant?"},
    {70021,
     "add a federated credential to the application that fits issuer, subject and audience of the token"},
    {700211, "the application has no federated credential with the issuer of the token"},
    {700212, "the application has no federated credential with the audience of the token"},
    {700213, "the application has no federated credential with the subject of the token"},
    {7002137, "the application has no federated credential with the subject of the token"},
    {7002138, "subject of token and federated credential have to agree in capital and small letters too"},
    {500011, "the tenant does not know the service: associate the directory with the Partner Center account"},
    {7000118,
     "the service is not allowed in this tenant: associate the directory with the Partner Center account"},
    {70011, "the scope is not accepted: try token-version = 1"},
    {53003,
     "a Conditional Access policy of the tenant blocks this: its administrator needs the correlation id"},
    {90033, "Microsoft Entra has a passing fault: try again later"},
    {50196, "Microsoft Entra sees the same request too often: wait for an hour, and see what else uses this "
            "application"},
};

const char *cab_token_hint_login (const char *text) {
  const char *found = strstr (text, "AADSTS");
  guint64 code = found != NULL ? g_ascii_strtoull (found + strlen ("AADSTS"), NULL, 10) : 0;
  for (gsize i = 0; i < G_N_ELEMENTS (hints); i++)
    if (hints[i].code == code)
      return hints[i].hint;
  return NULL;
}

const char *cab_token_hint_metadata (int status) {
  if (status == 0)
    return "is this a virtual machine of Azure? managed-identity works nowhere else";
  if (status == 400)
    return "has this machine the identity that managed-identity names?";
  if (status >= 300 && status < 400)
    return "redirects are not followed: what answers is no metadata service";
  return NULL;
}
