/* SPDX-License-Identifier: MIT */
#include "fs/dir.h"

#include <string.h>

#include "fs/names.h"

/* What stands in a directory of an archive: a member, or a folder whose first member it is. */
typedef struct {
  guint index; /* in the list */
  gboolean folder;
} Child;

struct CabDir {
  CabNode *node;
  char **names;           /* of the root or an application; else NULL */
  CabRecords *records;    /* of a failure; else NULL */
  GArray *shown;          /* guint, indices into records, where some are left out; else NULL: all are shown */
  gboolean open;          /* each CAB is two entries */
  CabMemberList *members; /* of an open CAB; else NULL */
  GArray *children;       /* Child, in the order of their names; with `members` */
  gsize prefix;           /* length of what the paths of all children begin with */
  guint count;
  gboolean cached;
};

CabDir *cab_dir_new_names (CabNode *node, char **names) {
  CabDir *self = g_new0 (CabDir, 1);
  self->node = cab_node_ref (node);
  self->names = names;
  self->count = g_strv_length (names);
  return self;
}

static GArray *downloadable (CabRecords *records) {
  GArray *shown = g_array_new (FALSE, FALSE, sizeof (guint));
  for (guint i = 0; i < cab_records_count (records); i++) {
    CabRecord record;
    cab_records_get (records, i, &record);
    if (record.downloadable)
      g_array_append_val (shown, i);
  }
  return shown;
}

CabDir *cab_dir_new_cabs (CabNode *node, CabRecords *records, gboolean hide, gboolean open) {
  CabDir *self = g_new0 (CabDir, 1);
  self->node = cab_node_ref (node);
  self->records = cab_records_ref (records);
  self->shown = hide ? downloadable (records) : NULL;
  self->open = open;
  self->count = (hide ? self->shown->len : cab_records_count (records)) * (open ? 2 : 1);
  return self;
}

/* The members below @prefix, which is "" or ends in a slash: each one, and each folder once. */
static GArray *children_of (const CabMemberList *members, const char *prefix) {
  GArray *children = g_array_new (FALSE, FALSE, sizeof (Child));
  guint count = cab_member_list_count (members);
  for (guint i = cab_member_list_seek (members, prefix); i < count;) {
    CabMemberEntry entry;
    cab_member_list_get (members, i, &entry);
    if (!g_str_has_prefix (entry.path, prefix))
      break;
    const char *slash = strchr (entry.path + strlen (prefix), '/');
    const Child child = {i, slash != NULL};
    g_array_append_val (children, child);
    if (slash == NULL) {
      i++;
      continue;
    }
    /* To what comes behind all that is in it. */
    g_autofree char *behind = g_strndup (entry.path, (gsize) (slash - entry.path) + 1);
    behind[slash - entry.path] = '/' + 1;
    i = cab_member_list_seek (members, behind);
  }
  return children;
}

CabDir *cab_dir_new_members (CabNode *node, CabMemberList *members) {
  g_autofree char *path = cab_node_member_path (node, NULL);
  g_autofree char *prefix = *path == '\0' ? g_strdup ("") : g_strconcat (path, "/", NULL);
  g_autoptr (GArray) children = children_of (members, prefix);
  if (children->len == 0 && *path != '\0')
    return NULL;
  CabDir *self = g_new0 (CabDir, 1);
  self->node = cab_node_ref (node);
  self->members = cab_member_list_ref (members);
  self->prefix = strlen (prefix);
  self->count = children->len;
  self->children = g_steal_pointer (&children);
  return self;
}

void cab_dir_free (CabDir *self) {
  if (self == NULL)
    return;
  cab_node_unref (self->node);
  g_strfreev (self->names);
  g_clear_pointer (&self->records, cab_records_unref);
  g_clear_pointer (&self->shown, g_array_unref);
  g_clear_pointer (&self->members, cab_member_list_unref);
  g_clear_pointer (&self->children, g_array_unref);
  g_free (self);
}

void cab_dir_set_cached (CabDir *self, gboolean cached) {
  self->cached = cached;
}

gboolean cab_dir_is_cached (const CabDir *self) {
  return self->cached;
}

CabNode *cab_dir_node (const CabDir *self) {
  return self->node;
}

guint cab_dir_count (const CabDir *self) {
  return self->count;
}

CabNodeSeed cab_dir_cab_seed (CabNodeKind kind, const char *name, const CabRecord *record) {
  return (CabNodeSeed){.kind = kind,
                       .name = name,
                       .date = record->date,
                       .expires = record->expires,
                       .downloadable = record->downloadable};
}

static void cab_entry (const CabDir *self, guint index, char name[CAB_NAME_SIZE], CabNodeSeed *seed) {
  gboolean open = self->open && index % 2 == 1;
  guint row = self->open ? index / 2 : index;
  CabRecord record;
  cab_records_get (self->records, self->shown != NULL ? g_array_index (self->shown, guint, row) : row, &record);
  /* Ids are at most 128 bytes. */
  g_snprintf (name, CAB_NAME_SIZE, "%s%s", record.id, open ? CAB_NAME_OPEN : CAB_NAME_CAB);
  *seed = cab_dir_cab_seed (open ? CAB_NODE_OPEN : CAB_NODE_CAB, name, &record);
}

CabNodeSeed cab_dir_folder_seed (const CabNode *cab, const char *name) {
  return (CabNodeSeed){.kind = CAB_NODE_FOLDER,
                       .name = name,
                       .date = cab->date,
                       .expires = cab->expires,
                       .downloadable = cab->downloadable};
}

CabNodeSeed cab_dir_member_seed (const CabNode *cab, const char *name, const CabMemberEntry *entry) {
  return (CabNodeSeed){.kind = CAB_NODE_MEMBER,
                       .name = name,
                       .date = entry->modified != CAB_TIME_UNKNOWN ? entry->modified : cab->date,
                       .expires = cab->expires,
                       .downloadable = cab->downloadable,
                       .size = entry->has_size ? entry->size : CAB_SIZE_UNKNOWN,
                       .member = entry->id};
}

static void member_entry (const CabDir *self, guint index, char name[CAB_NAME_SIZE], CabNodeSeed *seed) {
  const Child *child = &g_array_index (self->children, Child, index);
  const CabNode *cab = cab_node_cab (self->node);
  CabMemberEntry entry;
  cab_member_list_get (self->members, child->index, &entry);
  /* Parts of paths are at most 255 bytes. */
  g_strlcpy (name, entry.path + self->prefix, CAB_NAME_SIZE);
  name[strcspn (name, "/")] = '\0';
  *seed = child->folder ? cab_dir_folder_seed (cab, name) : cab_dir_member_seed (cab, name, &entry);
}

void cab_dir_entry (const CabDir *self, guint index, char name[CAB_NAME_SIZE], CabNodeSeed *seed) {
  if (self->names != NULL) {
    static const CabNodeKind below[] = {[CAB_NODE_ROOT] = CAB_NODE_APPLICATION,
                                        [CAB_NODE_APPLICATION] = CAB_NODE_FAILURE,
                                        [CAB_NODE_STATE] = CAB_NODE_STATE_FILE};
    *seed =
        (CabNodeSeed){.kind = below[self->node->kind], .name = self->names[index], .date = CAB_TIME_UNKNOWN};
  } else if (self->records != NULL) {
    cab_entry (self, index, name, seed);
  } else {
    member_entry (self, index, name, seed);
  }
}

char **cab_dir_ids (const CabRecords *records) {
  guint n = cab_records_count (records);
  char **ids = g_new0 (char *, n + 1);
  for (guint i = 0; i < n; i++) {
    CabRecord record;
    cab_records_get (records, i, &record);
    ids[i] = g_strdup (record.id);
  }
  return ids;
}

char **cab_dir_merge (char **a, char **b) {
  GPtrArray *names = g_ptr_array_new ();
  char **left = a, **right = b;
  while (*left != NULL || *right != NULL) {
    int order = *left == NULL ? 1 : *right == NULL ? -1 : strcmp (*left, *right);
    g_ptr_array_add (names, order <= 0 ? *left++ : *right++);
    if (order == 0)
      g_free (*right++);
  }
  g_ptr_array_add (names, NULL);
  g_free (a);
  g_free (b);
  return (char **) g_ptr_array_free (names, FALSE);
}
