/* SPDX-License-Identifier: MIT */
#include "fs/tree.h"

#include <string.h>

#include "fs/names.h"

#define ROOT_INO 1 /* FUSE_ROOT_ID */

/* Application, failure and open CAB, and what a list of members may have. */
#define DEPTH (3 + CAB_MEMBER_DEPTH + 1)

struct CabTree {
  pthread_mutex_t lock;
  GHashTable *nodes; /* lock: of CabNode, by `ino`, with which it begins; from its making until it is freed */
  CabNode *root;     /* set at creation */
};

static CabNode *node_new (CabTree *tree, CabNode *parent, guint64 ino, const CabNodeSeed *seed) {
  gsize name_size = strlen (seed->name) + 1;
  CabNode *self = g_malloc0 (MAX (sizeof *self, offsetof (CabNode, name) + name_size));
  self->ino = ino;
  self->kind = (guint8) seed->kind;
  self->parent = parent;
  if (seed->kind == CAB_NODE_APPLICATION)
    atomic_init (&self->family, seed->family);
  else
    atomic_init (&self->member, seed->member);
  atomic_init (&self->date, seed->date);
  atomic_init (&self->expires, seed->expires);
  atomic_init (&self->downloadable, seed->downloadable);
  atomic_init (&self->size, seed->kind >= CAB_NODE_MEMBER ? seed->size : CAB_SIZE_UNKNOWN);
  atomic_init (&self->told, CAB_SIZE_UNKNOWN);
  atomic_init (&self->version, 0);
  self->tree = tree;
  memcpy (self->name, seed->name, name_size);
  g_hash_table_add (tree->nodes, self);
  return self;
}

CabTree *cab_tree_new (void) {
  static const CabNodeSeed root = {.kind = CAB_NODE_ROOT, .name = ""};
  CabTree *self = g_new0 (CabTree, 1);
  pthread_mutex_init (&self->lock, NULL);
  self->nodes = g_hash_table_new (g_int64_hash, g_int64_equal);
  self->root = node_new (self, NULL, ROOT_INO, &root);
  self->root->refs = 1;
  return self;
}

void cab_tree_free (CabTree *self) {
  if (self == NULL)
    return;
  GHashTableIter iter;
  gpointer node;
  g_hash_table_iter_init (&iter, self->nodes);
  while (g_hash_table_iter_next (&iter, NULL, &node))
    g_free (node);
  g_hash_table_unref (self->nodes);
  pthread_mutex_destroy (&self->lock);
  g_free (self);
}

static void ref_locked (CabNode *self) {
  self->refs++;
}

/* Frees nodes that nobody needs any more, upwards. */
static void collect_locked (CabNode *self) {
  while (self != NULL && self->refs == 0 && self->lookups == 0) {
    CabNode *parent = self->parent;
    g_hash_table_remove (self->tree->nodes, self);
    g_free (self);
    if (parent != NULL)
      parent->refs--;
    self = parent;
  }
}

CabNode *cab_tree_root (CabTree *self) {
  return cab_node_ref (self->root);
}

guint64 cab_tree_count (CabTree *self) {
  CAB_LOCK_SCOPE (&self->lock);
  return g_hash_table_size (self->nodes);
}

CabNode *cab_tree_get (CabTree *self, guint64 ino) {
  CAB_LOCK_SCOPE (&self->lock);
  CabNode *node = g_hash_table_lookup (self->nodes, &ino);
  if (node != NULL)
    ref_locked (node);
  return node;
}

GArray *cab_tree_known (CabTree *self, const CabNode *directory) {
  GArray *inodes = g_array_new (FALSE, FALSE, sizeof (guint64));
  CAB_LOCK_SCOPE (&self->lock);
  GHashTableIter iter;
  gpointer value;
  g_hash_table_iter_init (&iter, self->nodes);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    const CabNode *node = value;
    if (directory == NULL || node == directory || node->parent == directory)
      g_array_append_val (inodes, node->ino);
  }
  return inodes;
}

/* What is known now of a node that was there. */
static void update (CabNode *node, const CabNodeSeed *seed) {
  if (seed->kind >= CAB_NODE_CAB) {
    atomic_store (&node->date, seed->date);
    atomic_store (&node->expires, seed->expires);
    atomic_store (&node->downloadable, seed->downloadable);
  } else if (seed->kind == CAB_NODE_APPLICATION && seed->family != NULL) {
    atomic_store (&node->family, seed->family);
  }
  if (seed->kind < CAB_NODE_MEMBER)
    return;
  if (seed->size != CAB_SIZE_UNKNOWN)
    atomic_store (&node->size, seed->size);
  atomic_store (&node->member, seed->member);
}

CabNode *cab_tree_child (CabTree *self, CabNode *parent, const CabNodeSeed *seed) {
  guint64 ino = cab_node_child_ino (parent, seed);
  CAB_LOCK_SCOPE (&self->lock);
  CabNode *node = g_hash_table_lookup (self->nodes, &ino);
  if (node == NULL) {
    ref_locked (parent);
    node = node_new (self, parent, ino, seed);
  } else {
    update (node, seed);
  }
  ref_locked (node);
  return node;
}

void cab_tree_remember (CabNode *node) {
  CAB_LOCK_SCOPE (&node->tree->lock);
  node->lookups++;
}

void cab_tree_forget (CabTree *self, guint64 ino, guint64 n) {
  CAB_LOCK_SCOPE (&self->lock);
  CabNode *node = g_hash_table_lookup (self->nodes, &ino);
  if (node == NULL)
    return;
  node->lookups -= MIN (n, node->lookups);
  collect_locked (node);
}

CabNode *cab_node_ref (CabNode *self) {
  CAB_LOCK_SCOPE (&self->tree->lock);
  ref_locked (self);
  return self;
}

void cab_node_unref (CabNode *self) {
  if (self == NULL)
    return;
  CAB_LOCK_SCOPE (&self->tree->lock);
  g_assert (self->refs > 0);
  self->refs--;
  collect_locked (self);
}

/* "10238467886765136388/1fd83f6d-…/fb57b37b-….cab": the path of @name in @self, from below @top, which is above. */
static char *relative_path (const CabNode *self, const CabNode *top, const char *name) {
  const char *names[DEPTH];
  guint count = 0;
  if (name != NULL)
    names[count++] = name;
  for (const CabNode *node = self; node != top; node = node->parent) {
    g_assert (count < DEPTH);
    names[count++] = node->name;
  }
  GString *path = g_string_sized_new (160); /* three names of the usual length */
  while (count-- > 0) {
    g_string_append (path, names[count]);
    if (count > 0)
      g_string_append_c (path, '/');
  }
  return g_string_free (path, FALSE);
}

static const CabNode *root_of (const CabNode *self) {
  while (self->parent != NULL)
    self = self->parent;
  return self;
}

/* Where another version of an archive has a file, this one may have a folder; and no inode is ever both. */
guint64 cab_node_child_ino (const CabNode *parent, const CabNodeSeed *seed) {
  g_autofree char *path = relative_path (parent, root_of (parent), seed->name);
  if (seed->kind != CAB_NODE_FOLDER)
    return cab_name_inode (path);
  g_autofree char *folder = g_strconcat (path, "/", NULL);
  return cab_name_inode (folder);
}

CabScope cab_node_scope (CabNode *self) {
  CabNode *directory = self;
  while (directory->kind > CAB_NODE_FAILURE)
    directory = directory->parent;
  CabNode *application = directory->kind == CAB_NODE_FAILURE ? directory->parent : directory;
  return (CabScope){.family = (char *) (gsize) atomic_load (&application->family),
                    .application = application->name,
                    .failure = directory->kind == CAB_NODE_FAILURE ? directory->name : NULL};
}

const CabNode *cab_node_cab (const CabNode *self) {
  while (self != NULL && self->kind != CAB_NODE_CAB && self->kind != CAB_NODE_OPEN)
    self = self->parent;
  return self;
}

char *cab_node_member_path (const CabNode *self, const char *name) {
  return relative_path (self, cab_node_cab (self), name);
}

char *cab_node_path (const CabNode *self) {
  g_autofree char *path = relative_path (self, root_of (self), NULL);
  return g_strconcat ("/", path, NULL);
}
