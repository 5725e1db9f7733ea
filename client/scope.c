/* SPDX-License-Identifier: MIT */
#include "client/scope.h"

CabScope *cab_scope_new (const char *family, const char *application, const char *failure) {
  CabScope *scope = g_new (CabScope, 1);
  scope->family = g_strdup (family);
  scope->application = g_strdup (application);
  scope->failure = g_strdup (failure);
  return scope;
}

CabScope *cab_scope_copy (const CabScope *scope) {
  return cab_scope_new (scope->family, scope->application, scope->failure);
}

void cab_scope_free (CabScope *scope) {
  if (scope == NULL)
    return;
  g_free (scope->family);
  g_free (scope->application);
  g_free (scope->failure);
  g_free (scope);
}

static guint hash_part (guint hash, const char *part) {
  return hash * 31 + (part != NULL ? g_str_hash (part) : 0);
}

guint cab_scope_hash (gconstpointer data) {
  const CabScope *scope = data;
  return hash_part (hash_part (hash_part (0, scope->family), scope->application), scope->failure);
}

gboolean cab_scope_equal (gconstpointer a, gconstpointer b) {
  const CabScope *x = a;
  const CabScope *y = b;
  return g_strcmp0 (x->family, y->family) == 0 && g_strcmp0 (x->application, y->application) == 0 &&
         g_strcmp0 (x->failure, y->failure) == 0;
}

char *cab_scope_to_text (const CabScope *scope) {
  GString *text = g_string_new (scope->family);
  if (scope->application != NULL)
    g_string_append_printf (text, "/%s", scope->application);
  if (scope->failure != NULL)
    g_string_append_printf (text, "/%s", scope->failure);
  return g_string_free (text, FALSE);
}
