/* SPDX-License-Identifier: MIT */
#include "fs/dir.h"

#include <string.h>

struct CabDir {
  CabNode *node;
  char **names;        /* of the root or an application; else NULL */
  CabRecords *records; /* of a failure; else NULL */
  GArray *shown;       /* guint, indices into records, where some are left out; else NULL: all are shown */
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

CabDir *cab_dir_new_cabs (CabNode *node, CabRecords *records, gboolean hide) {
  CabDir *self = g_new0 (CabDir, 1);
  self->node = cab_node_ref (node);
  self->records = cab_records_ref (records);
  self->shown = hide ? downloadable (records) : NULL;
  self->count = hide ? self->shown->len : cab_records_count (records);
  return self;
}

void cab_dir_free (CabDir *self) {
  if (self == NULL)
    return;
  cab_node_unref (self->node);
  g_strfreev (self->names);
  g_clear_pointer (&self->records, cab_records_unref);
  g_clear_pointer (&self->shown, g_array_unref);
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

void cab_dir_entry (const CabDir *self, guint index, char name[CAB_NAME_SIZE], CabNodeSeed *seed) {
  if (self->names != NULL) {
    gboolean root = self->node->kind == CAB_NODE_ROOT;
    *seed = (CabNodeSeed){.kind = root ? CAB_NODE_APPLICATION : CAB_NODE_FAILURE, .name = self->names[index]};
    return;
  }
  CabRecord record;
  cab_records_get (self->records, self->shown != NULL ? g_array_index (self->shown, guint, index) : index,
                   &record);
  g_snprintf (name, CAB_NAME_SIZE, "%s.cab", record.id); /* ids are at most 128 bytes */
  *seed = (CabNodeSeed){.kind = CAB_NODE_CAB,
                        .name = name,
                        .date = record.date,
                        .expires = record.expires,
                        .downloadable = record.downloadable};
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
