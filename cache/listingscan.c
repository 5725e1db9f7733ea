/* SPDX-License-Identifier: MIT */
#include "cache/listingscan.h"

#include "cache/files.h"

#include <string.h>

#define HITS "failures.hits"
#define CABS ".cabs"

typedef void (*NameFunc) (gpointer data, int dirfd, const char *name);

/* Of each name in @name of @at that is not hidden. */
static void each_name (int at, const char *name, NameFunc func, gpointer data) {
  DIR *dir = cab_dir_open (at, name);
  if (dir == NULL)
    return;
  for (const struct dirent *item = readdir (dir); item != NULL; item = readdir (dir))
    if (item->d_name[0] != '.')
      func (data, dirfd (dir), item->d_name);
  closedir (dir);
}

typedef struct {
  CabScopeFunc func;
  gpointer data;
  CabScope scope; /* as far as we are down; borrowed */
} Scan;

static void on_list (gpointer data, int dirfd, const char *name) {
  const Scan *scan = data;
  CabScope scope = scan->scope;
  (void) dirfd;
  if (strcmp (name, HITS) == 0) {
    scan->func (scan->data, &scope);
  } else if (g_str_has_suffix (name, CABS)) {
    g_autofree char *failure = g_strndup (name, strlen (name) - strlen (CABS));
    scope.failure = failure;
    scan->func (scan->data, &scope);
  }
}

static void on_application (gpointer data, int dirfd, const char *name) {
  Scan *scan = data;
  scan->scope.application = (char *) (gsize) name;
  each_name (dirfd, name, on_list, scan);
}

static void on_family (gpointer data, int dirfd, const char *name) {
  Scan *scan = data;
  scan->scope.family = (char *) (gsize) name;
  each_name (dirfd, name, on_application, scan);
}

void cab_listing_scan (CabStore *store, CabScopeFunc func, gpointer data) {
  Scan scan = {.func = func, .data = data};
  each_name (cab_store_dirfd (store), "listings", on_family, &scan);
}
