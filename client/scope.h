/* scope.h - which list of the services is meant: the address of a directory.
 *
 * A plain value of strings; identifiers are opaque text and are never numbers (api-contract.md 1.1: 20 digits
 * fit neither a signed integer nor a double).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_SCOPE_H
#define CABFS_CLIENT_SCOPE_H

#include <glib.h>

typedef struct {
  char *family;      /* name of an API family, api.h: "driver" */
  char *application; /* applicationId, or the family's name where it has none.  NULL: the products of the family are
                        meant, as far as the services enumerate them; the ids of the records are applicationIds */
  char *failure;     /* failureHash: its CABs are meant.  NULL: the failures of the application are meant */
} CabScope;

/* All strings are copied. */
CabScope *cab_scope_new (const char *family, const char *application, const char *failure);
CabScope *cab_scope_copy (const CabScope *scope);
void cab_scope_free (CabScope *scope);

/* For GHashTable. */
guint cab_scope_hash (gconstpointer scope);
gboolean cab_scope_equal (gconstpointer a, gconstpointer b);

/* "driver/13984104677400476/1fd83f6d-…", or "store" for its products: for logs. */
char *cab_scope_to_text (const CabScope *scope);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabScope, cab_scope_free)

#endif
