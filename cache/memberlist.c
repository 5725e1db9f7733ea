/* SPDX-License-Identifier: MIT */
#include "cache/memberlist.h"

#include "cache/memberpath.h"
#include "client/error.h"
#include "client/sync.h"

#include <string.h>

/* Far above what dumps come in; a ZIP can hold millions of names of 64 KiB. */
#define PATHS_MAX ((gsize) 8 << 20)

typedef struct {
  CabMemberId id;
  guint64 size;
  gint64 modified;
  guint32 path; /* offset in `paths` */
  guint has_size : 1;
  guint beyond : 1;
} Row;

struct CabMemberList {
  CabRefs refs;
  guint64 version; /* all set at creation */
  char *stamp;
  char *paths;
  gsize paths_len;
  Row *rows;
  guint count;
};

struct CabMemberListBuilder {
  GPtrArray *paths; /* of char *, owned, in the order of `rows` */
  GArray *rows;
  gsize bytes;  /* of all paths */
  guint64 left; /* of the limit */
};

/* --- the list ----------------------------------------------------------------------------------------------- */

CabMemberList *cab_member_list_ref (CabMemberList *self) {
  cab_ref_take (&self->refs);
  return self;
}

void cab_member_list_unref (CabMemberList *self) {
  if (self == NULL || !cab_ref_drop (&self->refs))
    return;
  g_free (self->stamp);
  g_free (self->paths);
  g_free (self->rows);
  g_free (self);
}

guint cab_member_list_count (const CabMemberList *self) {
  return self->count;
}

static const char *path_at (const CabMemberList *self, guint index) {
  return self->paths + self->rows[index].path;
}

void cab_member_list_get (const CabMemberList *self, guint index, CabMemberEntry *out) {
  const Row *row = &self->rows[index];
  *out = (CabMemberEntry){path_at (self, index), row->id, row->has_size, row->size, row->modified, row->beyond};
}

guint cab_member_list_seek (const CabMemberList *self, const char *path) {
  guint low = 0, high = self->count;
  while (low < high) {
    guint middle = low + (high - low) / 2;
    if (strcmp (path_at (self, middle), path) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

gboolean cab_member_list_find (const CabMemberList *self, const char *path, guint *index) {
  *index = cab_member_list_seek (self, path);
  return *index < self->count && strcmp (path_at (self, *index), path) == 0;
}

gboolean cab_member_list_has_directory (const CabMemberList *self, const char *path) {
  g_autofree char *prefix = g_strconcat (path, "/", NULL);
  guint index = cab_member_list_seek (self, prefix);
  return index < self->count && g_str_has_prefix (path_at (self, index), prefix);
}

guint64 cab_member_list_version (const CabMemberList *self) {
  return self->version;
}

const char *cab_member_list_stamp (const CabMemberList *self) {
  return self->stamp;
}

gsize cab_member_list_weight (const CabMemberList *self) {
  return sizeof *self + self->paths_len + self->count * sizeof (Row);
}

/* --- making one ------------------------------------------------------------------------------------------------- */

CabMemberListBuilder *cab_member_list_begin (guint64 limit) {
  CabMemberListBuilder *self = g_new0 (CabMemberListBuilder, 1);
  self->paths = g_ptr_array_new_with_free_func (g_free);
  self->rows = g_array_new (FALSE, FALSE, sizeof (Row));
  self->left = limit;
  return self;
}

void cab_member_list_builder_free (CabMemberListBuilder *self) {
  if (self == NULL)
    return;
  g_ptr_array_unref (self->paths);
  g_array_unref (self->rows);
  g_free (self);
}

void cab_member_list_add (CabMemberListBuilder *self, const CabMemberEntry *member) {
  if (self->bytes > PATHS_MAX)
    return; /* the end will be an error */
  char *path = cab_member_path_clean (member->path);
  guint64 size = member->has_size ? member->size : 0;
  const Row row = {.id = member->id,
                   .has_size = member->has_size ? 1 : 0,
                   .size = size,
                   .modified = member->modified,
                   .beyond = size > self->left ? 1 : 0};
  self->left -= MIN (size, self->left);
  self->bytes += strlen (path) + 1;
  g_ptr_array_add (self->paths, path);
  g_array_append_val (self->rows, row);
}

/* The paths of a builder in order: what is looked up in while some of them get other names. */
typedef struct {
  const GPtrArray *paths;
  guint *order;         /* of indices into `paths`: by path, those that are equal in the order of the archive */
  GHashTable *variants; /* of char *, not owned: names that were made up */
} Names;

static gint compare_paths (gconstpointer a, gconstpointer b, gpointer data) {
  const GPtrArray *paths = data;
  guint left = *(const guint *) a, right = *(const guint *) b;
  gint order = strcmp (g_ptr_array_index (paths, left), g_ptr_array_index (paths, right));
  return order != 0 ? order : left < right ? -1 : 1;
}

static guint *sorted (GPtrArray *paths) {
  guint *order = g_new (guint, paths->len);
  for (guint i = 0; i < paths->len; i++)
    order[i] = i;
  g_qsort_with_data (order, (gint) paths->len, sizeof *order, compare_paths, paths);
  return order;
}

static const char *nth (const Names *self, guint i) {
  return g_ptr_array_index (self->paths, self->order[i]);
}

/* The first path in order that is not before @path. */
static guint seek (const Names *self, const char *path) {
  guint low = 0, high = self->paths->len;
  while (low < high) {
    guint middle = low + (high - low) / 2;
    if (strcmp (nth (self, middle), path) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static gboolean is_directory (const Names *self, const char *path) {
  g_autofree char *prefix = g_strconcat (path, "/", NULL);
  guint at = seek (self, prefix);
  return at < self->paths->len && g_str_has_prefix (nth (self, at), prefix);
}

static gboolean is_reserved (const char *path) {
  static const char *const reserved[] = {CAB_MEMBER_RESERVED, NULL};
  return g_strv_contains (reserved, path);
}

static gboolean is_free (const Names *self, const char *path) {
  guint at = seek (self, path);
  return (at == self->paths->len || strcmp (nth (self, at), path) != 0) && !is_directory (self, path) &&
         !is_reserved (path) && !g_hash_table_contains (self->variants, path);
}

/* Another name for @path.  No number is tried twice, for whichever path, so that the work stays in proportion. */
static char *make_variant (Names *self, const char *path, guint *number) {
  for (;;) {
    char *variant = cab_member_path_variant (path, ++*number);
    if (is_free (self, variant)) {
      g_hash_table_add (self->variants, variant);
      return variant;
    }
    g_free (variant);
  }
}

/* Gives every member a path of its own: the first of several keeps it, unless it is that of a directory. */
static void make_unique (GPtrArray *paths) {
  Names names = {paths, sorted (paths), g_hash_table_new (g_str_hash, g_str_equal)};
  g_autoptr (GPtrArray) unique = g_ptr_array_new ();
  g_ptr_array_set_size (unique, (gint) paths->len);
  guint number = 1;
  for (guint i = 0; i < paths->len; i++) {
    const char *path = nth (&names, i);
    gboolean keeps = (i == 0 || strcmp (nth (&names, i - 1), path) != 0) && !is_reserved (path) &&
                     !is_directory (&names, path);
    if (!keeps)
      g_ptr_array_index (unique, names.order[i]) = make_variant (&names, path, &number);
  }
  for (guint i = 0; i < paths->len; i++)
    if (g_ptr_array_index (unique, i) != NULL) {
      g_free (g_ptr_array_index (paths, i));
      g_ptr_array_index (paths, i) = g_ptr_array_index (unique, i);
    }
  g_hash_table_unref (names.variants);
  g_free (names.order);
}

static void pack (CabMemberList *self, const CabMemberListBuilder *builder) {
  guint count = builder->paths->len;
  g_autofree guint *order = sorted (builder->paths);
  GString *paths = g_string_new (NULL);
  self->rows = g_new (Row, count);
  for (guint i = 0; i < count; i++) {
    const char *path = g_ptr_array_index (builder->paths, order[i]);
    self->rows[i] = g_array_index (builder->rows, Row, order[i]);
    self->rows[i].path = (guint32) paths->len;
    g_string_append_len (paths, path, (gssize) strlen (path) + 1);
  }
  self->count = count;
  self->paths_len = paths->len;
  self->paths = g_string_free (paths, FALSE);
}

CabMemberList *cab_member_list_end (CabMemberListBuilder *self, const char *stamp, GError **error) {
  static _Atomic guint64 versions;
  g_autoptr (CabMemberListBuilder) builder = self;
  if (builder->bytes > PATHS_MAX) {
    g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID, "the names of its members take more than %zu MiB",
                 PATHS_MAX >> 20);
    return NULL;
  }
  make_unique (builder->paths);
  CabMemberList *list = g_new0 (CabMemberList, 1);
  cab_ref_init (&list->refs);
  list->version = atomic_fetch_add (&versions, 1) + 1;
  list->stamp = g_strdup (stamp);
  pack (list, builder);
  return list;
}
