/* ctl-advice.h - what to do about an error of the services, from where it came and what it says.  Pure.
 *
 * What a status or a code means to whom is in api-contract.md 2.3, 11.2, 12.5 and its findings; the words here are for
 * who set the account up and has not read it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_CTL_ADVICE_H
#define CABFS_FS_CTL_ADVICE_H

#include <glib.h>

/* The step that failed. */
typedef enum {
  CAB_AT_TOKEN,   /* an access token */
  CAB_AT_LIST,    /* a list of products, failures or CABs */
  CAB_AT_ADDRESS, /* the address of a CAB: the API is asked, and what it says is checked */
  CAB_AT_BLOB,    /* the bytes of a CAB: the blob host is asked */
} CabWhere;

/* By the answer that @error carries (error.h), and by "AADSTSn" in its message.  Static, or NULL where there is no more to
 * say than the message has. */
const char *cab_advice (CabWhere where, const GError *error);

/* The message of @error without @advice, which an error of those who give tokens ends with.  The caller frees it. */
char *cab_advice_apart (const GError *error, const char *advice);

#endif
