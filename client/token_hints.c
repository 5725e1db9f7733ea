/* SPDX-License-Identifier: MIT */
#include "client/token_hints.h"

#include <string.h>

/* Microsoft's list of AADSTS codes is the source of what they mean (api-contract.md 2.3). */
static const struct {
  guint code;
  const char *hint;
} hints[] = {
    {90002, "is tenant right?"},
    {700016, "are client-id and tenant right, and of the same directory?"},
    {7000215, "put the secret's value, not its ID, into the file of client-secret-file"},
    {7000222, "make a new secret for the application, and put it into the file of client-secret-file"},
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
    {500011, "is the application associated with the Partner Center account?"},
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
