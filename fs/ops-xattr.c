/* ops-xattr.c - extended attributes, interface.md section 4.  Never a request, whatever is asked.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <string.h>

#include "client/times.h"
#include "fs/errmap.h"
#include "fs/ops-private.h"

#define PREFIX "user.cabfs."

/* The kernel's bound on a name. */
#define NAME_MAX_LEN 255

/* What services say can be long, and some programs give a value no more room. */
#define ERROR_MAX_LEN 4000

/* The attributes of one node, as name, value, name, value, …: names without the prefix. */
typedef struct {
  GPtrArray *pairs;
} Attributes;

static void add (Attributes *self, const char *name, const char *value) {
  if (strlen (PREFIX) + strlen (name) > NAME_MAX_LEN)
    return;
  g_ptr_array_add (self->pairs, g_strdup (name));
  g_ptr_array_add (self->pairs, g_strdup (value));
}

static void add_known (Attributes *self, const char *name, const char *value) {
  if (value != NULL && *value != '\0')
    add (self, name, value);
}

static void add_time (Attributes *self, const char *name, gint64 when) {
  g_autofree char *text = when != CAB_TIME_UNKNOWN ? cab_time_format_iso (when) : NULL;
  add_known (self, name, text);
}

static void add_number (Attributes *self, const char *name, guint64 number) {
  g_autofree char *text = g_strdup_printf ("%" G_GUINT64_FORMAT, number);
  add (self, name, text);
}

static void add_field (gpointer data, const char *name, const char *value) {
  /* What we say of it a row must not say of itself, not even where we do not know. */
  static const char *const ours[] = {"state", "expires", "date",     "etag",    "md5",   "kind",
                                     "stale", "cabs",    "failures", "skipped", "error", NULL};
  if (!g_strv_contains (ours, name))
    add (data, name, value);
}

static void add_fields_of (Attributes *self, CabFs *fs, const CabScope *scope, const char *id) {
  CabListing listing;
  guint index;
  if (!cab_cache_peek_list (fs->cache, scope, CAB_REACH_LOCAL, &listing))
    return;
  g_autoptr (CabRecords) records = listing.records;
  if (cab_records_find (records, id, strlen (id), &index))
    cab_records_foreach_field (records, index, add_field, self);
}

static void add_cab (Attributes *self, CabFs *fs, CabNode *node) {
  char id[CAB_NAME_SIZE];
  CabRecord record = cab_node_record (node, id);
  CabScope scope = cab_node_scope (node);
  g_auto (CabLocal) local = {0};
  cab_cache_local (fs->cache, &scope, &record, &local);
  add (self, "state", local.complete ? "cached" : local.bytes > 0 ? "partial" : "remote");
  add_time (self, "expires", record.expires);
  add_time (self, "date", record.date);
  add_known (self, "etag", local.etag);
  add_known (self, "md5", local.md5);
  add_known (self, "kind", local.kind);
  add_fields_of (self, fs, &scope, record.id);
}

static void add_open_cab (Attributes *self, CabFs *fs, CabNode *node) {
  char id[CAB_NAME_SIZE];
  CabRecord record = cab_node_record (node, id);
  CabScope scope = cab_node_scope (node);
  g_auto (CabLocal) local = {0};
  g_autoptr (CabMemberList) members = cab_cache_peek_members (fs->cache, &scope, &record);
  cab_cache_local (fs->cache, &scope, &record, &local);
  if (members != NULL)
    add_number (self, "members", cab_member_list_count (members));
  add_time (self, "expires", record.expires);
  add_time (self, "date", record.date);
  add_known (self, "kind", local.kind);
}

static void add_member (Attributes *self, CabFs *fs, CabNode *node) {
  char id[CAB_NAME_SIZE];
  CabRecord record = cab_node_record (node, id);
  CabScope scope = cab_node_scope (node);
  g_auto (CabLocal) local = {0};
  cab_cache_member_local (fs->cache, &scope, &record, node->member, &local);
  add (self, "state", local.complete ? "cached" : local.bytes > 0 ? "partial" : "remote");
  add_time (self, "expires", record.expires);
  add_known (self, "kind", local.kind);
}

/* Of a directory that shows a list of the services. */
static void add_listing (Attributes *self, CabFs *fs, CabNode *node, const char *counter) {
  CabScope scope = cab_node_scope (node);
  CabListing listing;
  if (!cab_cache_peek_list (fs->cache, &scope, CAB_REACH_LOCAL, &listing))
    return;
  g_autoptr (CabRecords) records = listing.records;
  add (self, "stale", listing.stale ? "1" : "0");
  add_number (self, counter, cab_records_count (records));
  if (cab_records_skipped (records) > 0)
    add_number (self, "skipped", cab_records_skipped (records));
}

/* --- why it failed ------------------------------------------------------------------------------------------ */

/* "time=2026-11-21T16:40:00Z errno=EIO operation=read … message=…": what is not known is left out; the message is last,
 * for it has blanks. */
static void add_failure (Attributes *self, const CabFailure *failure, const char *name) {
  g_autofree char *when = cab_time_format_iso (failure->time);
  g_autoptr (GString) text = g_string_new (NULL);
  g_string_append_printf (text, "time=%s errno=%s operation=%s", when, failure->name, failure->operation);
  if (name != NULL)
    g_string_append_printf (text, " name=%s", name);
  if (failure->status != 0)
    g_string_append_printf (text, " status=%d", failure->status);
  if (failure->code != NULL)
    g_string_append_printf (text, " code=%s", failure->code);
  if (failure->correlation != NULL)
    g_string_append_printf (text, " correlation-id=%s", failure->correlation);
  g_string_append_printf (text, " message=%s", failure->message);
  if (text->len > ERROR_MAX_LEN)
    g_string_truncate (text, ERROR_MAX_LEN);
  add (self, "error", text->str);
}

/* Of what the services list: nobody need have been told of it, where there was an older list to show. */
static CabFailure *failure_of_listing (CabFs *fs, CabNode *node) {
  CabScope scope = cab_node_scope (node);
  gint64 when;
  g_autoptr (GError) error = cab_cache_list_failure (fs->cache, &scope, &when);
  return error != NULL ? cab_failure_new (when, "list", "", cab_errno_from_error (error), error) : NULL;
}

static void add_error (Attributes *self, CabFs *fs, CabNode *node) {
  gboolean listing = node->kind == CAB_NODE_APPLICATION || node->kind == CAB_NODE_FAILURE;
  g_autofree char *path = cab_node_path (node);
  g_autoptr (CabFailure) listed = listing ? failure_of_listing (fs, node) : NULL;
  g_autoptr (CabFailure) found = cab_errors_find (fs->errors, path);
  /* Where a list comes from the services, the listing knows best whether that is so still. */
  gboolean other = found != NULL && !(listing && strcmp (found->operation, "list") == 0);
  if (listed != NULL && (!other || found->time < listed->time))
    add_failure (self, listed, NULL);
  else if (other)
    add_failure (self, found, strlen (found->path) > strlen (path) ? strrchr (found->path, '/') + 1 : NULL);
}

static Attributes attributes_of (CabFs *fs, CabNode *node) {
  Attributes self = {g_ptr_array_new_with_free_func (g_free)};
  switch (node->kind) {
  case CAB_NODE_ROOT:
    add (&self, "version", CABFS_VERSION);
    if (cab_products_skipped (fs->products) > 0)
      add_number (&self, "skipped", cab_products_skipped (fs->products));
    break;
  case CAB_NODE_APPLICATION: {
    CabScope products = {.family = cab_node_scope (node).family};
    add_listing (&self, fs, node, "failures");
    add_fields_of (&self, fs, &products, node->name);
    break;
  }
  case CAB_NODE_FAILURE: {
    CabScope application = cab_node_scope (node->parent);
    add_listing (&self, fs, node, "cabs");
    add_fields_of (&self, fs, &application, node->name);
    break;
  }
  case CAB_NODE_CAB:
    add_cab (&self, fs, node);
    break;
  case CAB_NODE_OPEN:
    add_open_cab (&self, fs, node);
    break;
  case CAB_NODE_MEMBER:
    add_member (&self, fs, node);
    break;
  case CAB_NODE_FOLDER:
  case CAB_NODE_TRACE:
  case CAB_NODE_STATE:
  case CAB_NODE_STATE_FILE:
    break;
  }
  add_error (&self, fs, node);
  return self;
}

/* A caller that gives no room asks how much it takes. */
static void reply (fuse_req_t req, const char *bytes, size_t len, size_t room) {
  if (room == 0)
    fuse_reply_xattr (req, len);
  else if (len > room)
    fuse_reply_err (req, ERANGE);
  else
    fuse_reply_buf (req, bytes, len);
}

void cab_op_getxattr (fuse_req_t req, fuse_ino_t ino, const char *name, size_t size) {
  CabFs *fs = fuse_req_userdata (req);
  /* `ls -l` asks for the security labels and access lists of every file, unless one was answered with EOPNOTSUPP: then
   * it leaves the file system alone.  ENOSYS would switch ours off with them. */
  if (!g_str_has_prefix (name, "user.")) {
    fuse_reply_err (req, EOPNOTSUPP);
    return;
  }
  if (!g_str_has_prefix (name, PREFIX)) {
    fuse_reply_err (req, ENODATA);
    return;
  }
  g_autoptr (CabNode) node = cab_tree_get (fs->tree, ino);
  if (node == NULL) {
    fuse_reply_err (req, ESTALE);
    return;
  }
  Attributes attributes = attributes_of (fs, node);
  const char *value = NULL;
  for (guint i = 0; i < attributes.pairs->len && value == NULL; i += 2)
    if (strcmp (g_ptr_array_index (attributes.pairs, i), name + strlen (PREFIX)) == 0)
      value = g_ptr_array_index (attributes.pairs, i + 1);
  if (value != NULL)
    reply (req, value, strlen (value), size);
  else
    fuse_reply_err (req, ENODATA);
  g_ptr_array_unref (attributes.pairs);
}

void cab_op_listxattr (fuse_req_t req, fuse_ino_t ino, size_t size) {
  CabFs *fs = fuse_req_userdata (req);
  g_autoptr (CabNode) node = cab_tree_get (fs->tree, ino);
  if (node == NULL) {
    fuse_reply_err (req, ESTALE);
    return;
  }
  Attributes attributes = attributes_of (fs, node);
  g_autoptr (GString) names = g_string_new (NULL);
  for (guint i = 0; i < attributes.pairs->len; i += 2) {
    g_string_append (names, PREFIX);
    g_string_append (names, g_ptr_array_index (attributes.pairs, i));
    g_string_append_c (names, '\0');
  }
  reply (req, names->str, names->len, size);
  g_ptr_array_unref (attributes.pairs);
}
