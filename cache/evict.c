/* SPDX-License-Identifier: MIT */
#include "cache/evict.h"

#include "cache/files.h"
#include "client/error.h"
#include "client/metrics.h"
#include "client/records.h"
#include "client/times.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

/* --- the plan ----------------------------------------------------------------------------------------------- */

static gint64 end_of (const CabEvictEntry *entry, gint64 keep_s) {
  gint64 kept_until = entry->fetched + keep_s;
  return entry->expires == CAB_TIME_UNKNOWN ? kept_until : MIN (entry->expires, kept_until);
}

typedef struct {
  gint64 keep_s;
  gint64 now;
} Moment;

static gint order (gconstpointer a, gconstpointer b, gpointer data) {
  const CabEvictEntry *left = a, *right = b;
  const Moment *moment = data;
  gboolean left_over = end_of (left, moment->keep_s) <= moment->now;
  gboolean right_over = end_of (right, moment->keep_s) <= moment->now;
  if (left_over != right_over)
    return left_over ? -1 : 1;
  /* What does not expire goes last. */
  gint64 left_end = left->expires == CAB_TIME_UNKNOWN ? G_MAXINT64 : left->expires;
  gint64 right_end = right->expires == CAB_TIME_UNKNOWN ? G_MAXINT64 : right->expires;
  if (left_end != right_end)
    return left_end < right_end ? -1 : 1;
  return (left->read > right->read) - (left->read < right->read);
}

guint64 cab_evict_plan (GArray *entries, const CabEvictLimits *limits, gint64 now, guint *expired) {
  Moment moment = {limits->keep_s, now};
  g_array_sort_with_data (entries, order, &moment);
  guint64 left = 0;
  *expired = 0;
  for (guint i = 0; i < entries->len; i++) {
    const CabEvictEntry *entry = &g_array_index (entries, CabEvictEntry, i);
    if (end_of (entry, limits->keep_s) <= now)
      (*expired)++;
    else
      left += entry->bytes;
  }
  left += limits->reserved;
  guint64 over = limits->size_limit > 0 && left > limits->size_limit ? left - limits->size_limit : 0;
  return MAX (over, limits->must_free);
}

/* --- the sweep ---------------------------------------------------------------------------------------------- */

static void entry_clear (gpointer data) {
  CabEvictEntry *entry = data;
  g_free (entry->path);
}

/* "ID.cab" for "ID.map"; NULL if it is no map. */
static char *data_of_map (const char *name) {
  static const char *const pairs[][2] = {{CAB_STORE_CAB_MAP, CAB_STORE_CAB},
                                         {CAB_STORE_MEMBER_MAP, CAB_STORE_MEMBER}};
  for (guint i = 0; i < G_N_ELEMENTS (pairs); i++)
    if (g_str_has_suffix (name, pairs[i][0])) {
      g_autofree char *id = g_strndup (name, strlen (name) - strlen (pairs[i][0]));
      return g_strconcat (id, pairs[i][1], NULL);
    }
  return NULL;
}

/* A map without data, left by a crash between two removals, or the temporary file of a writer that was killed. */
static void remove_debris (int dirfd, const char *name, gint64 now) {
  struct stat st;
  if (fstatat (dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_mtim.tv_sec + 3600 > now)
    return;
  g_autofree char *data = data_of_map (name);
  if (g_str_has_suffix (name, ".tmp") ||
      (data != NULL && faccessat (dirfd, data, F_OK, 0) < 0 && errno == ENOENT))
    unlinkat (dirfd, name, 0);
}

/* Nobody else has @fd open, and its name is still its own: between open and lock another process may have removed it, and
 * somebody made a new one. */
static gboolean is_free (int fd) {
  return flock (fd, LOCK_EX | LOCK_NB) == 0 && cab_file_is_linked (fd);
}

/* Removes a member without a map that nobody has open: it was being taken out of its CAB when its program died. */
static gboolean remove_abandoned (int dirfd, const char *name, const char *map_name) {
  g_auto (CabFd) fd = openat (dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  return fd >= 0 && is_free (fd) && faccessat (dirfd, map_name, F_OK, 0) < 0 && unlinkat (dirfd, name, 0) == 0;
}

static void scan_file (int dirfd, const char *dir_name, gint64 expires, const char *name, gboolean member,
                       GArray *entries) {
  struct stat data, map;
  g_autofree char *id = g_strndup (name, strlen (name) - strlen (member ? CAB_STORE_MEMBER : CAB_STORE_CAB));
  g_autofree char *map_name = g_strconcat (id, member ? CAB_STORE_MEMBER_MAP : CAB_STORE_CAB_MAP, NULL);
  if (fstatat (dirfd, name, &data, AT_SYMLINK_NOFOLLOW) < 0)
    return;
  gboolean mapped = fstatat (dirfd, map_name, &map, AT_SYMLINK_NOFOLLOW) == 0;
  if (member && !mapped && remove_abandoned (dirfd, name, map_name))
    return;
  g_array_set_size (entries, entries->len + 1);
  g_array_index (entries, CabEvictEntry, entries->len - 1) =
      (CabEvictEntry){.path = g_strconcat (dir_name, "/", id, NULL),
                      .member = member,
                      .expires = expires,
                      .fetched = mapped ? map.st_mtim.tv_sec : data.st_mtim.tv_sec,
                      .read = data.st_atim.tv_sec,
                      .bytes = (guint64) data.st_blocks * 512};
}

static void scan_dir (int storefd, const char *dir_name, gint64 expires, gint64 now, GArray *entries) {
  DIR *dir = cab_dir_open (storefd, dir_name);
  if (dir == NULL)
    return;
  for (const struct dirent *item = readdir (dir); item != NULL; item = readdir (dir)) {
    gboolean member = g_str_has_suffix (item->d_name, CAB_STORE_MEMBER);
    if (member || g_str_has_suffix (item->d_name, CAB_STORE_CAB))
      scan_file (dirfd (dir), dir_name, expires, item->d_name, member, entries);
    else if (*item->d_name != '.')
      remove_debris (dirfd (dir), item->d_name, now);
  }
  closedir (dir);
}

static GArray *scan (CabStore *store, gint64 now, GPtrArray *dirs) {
  GArray *entries = g_array_new (FALSE, FALSE, sizeof (CabEvictEntry));
  g_array_set_clear_func (entries, entry_clear);
  g_autofree char *never = cab_store_dir_name (CAB_TIME_UNKNOWN);
  DIR *dir = cab_dir_open (cab_store_dirfd (store), ".");
  if (dir == NULL)
    return entries;
  for (const struct dirent *item = readdir (dir); item != NULL; item = readdir (dir)) {
    gint64 expires = cab_time_parse_basic (item->d_name);
    if (strcmp (item->d_name, never) == 0)
      expires = CAB_TIME_UNKNOWN;
    else if (expires == CAB_TIME_UNKNOWN)
      continue; /* no directory of CABs */
    g_ptr_array_add (dirs, g_strdup (item->d_name));
    scan_dir (cab_store_dirfd (store), item->d_name, expires, now, entries);
  }
  closedir (dir);
  return entries;
}

/* Removes a CAB or a member; FALSE if somebody has it open, unless @even_open: then who has it open keeps what he
 * holds. */
static gboolean remove_entry (CabStore *store, const CabEvictEntry *entry, gboolean even_open) {
  int storefd = cab_store_dirfd (store);
  g_autofree char *data = g_strconcat (entry->path, entry->member ? CAB_STORE_MEMBER : CAB_STORE_CAB, NULL);
  g_autofree char *map =
      g_strconcat (entry->path, entry->member ? CAB_STORE_MEMBER_MAP : CAB_STORE_CAB_MAP, NULL);
  g_auto (CabFd) fd = openat (storefd, data, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0 || !(is_free (fd) || (even_open && cab_file_is_linked (fd))))
    return FALSE;
  unlinkat (storefd, map, 0);
  if (unlinkat (storefd, data, 0) < 0)
    return FALSE;
  cab_metric_add (CAB_METRIC_CABS_EVICTED, 1);
  cab_metric_add (CAB_METRIC_BYTES_EVICTED, entry->bytes);
  return TRUE;
}

/* What has to be free for writes to be tried again on a disk that was full. */
#define ROOM ((guint64) 16 << 20)

/* Of a large cache so much more is removed than has to be, so that the next write does not find it full again. */
#define SLACK       ((guint64) 8 << 20)
#define SLACK_LIMIT ((guint64) 256 << 20)

/* Bytes below what the options want free on the file system, after @reserved more. */
static guint64 missing_space (CabStore *store, const CabEvictOptions *options, guint64 reserved,
                              gboolean refused) {
  struct statvfs vfs;
  if (fstatvfs (cab_store_dirfd (store), &vfs) < 0)
    return 0;
  guint64 total = (guint64) vfs.f_blocks * vfs.f_frsize, available = (guint64) vfs.f_bavail * vfs.f_frsize;
  guint64 wanted = MAX (options->free_bytes, total / 100 * options->free_percent);
  if (cab_store_is_full (store)) /* a write found it so: only then does it matter where no bound is set */
    wanted = MAX (wanted, ROOM);
  wanted += reserved;
  guint64 missing = available < wanted ? wanted - available : 0;
  return refused ? MAX (missing, ROOM)
                 : missing; /* a quota of ours, or inodes: statvfs() does not tell of these */
}

/* That there is room for nothing may pass as soon as a reader goes on: it is told when it was so before. */
static void tell_full (CabStore *store, gboolean full, guint64 left) {
  if (full && cab_store_is_full (store) && cab_store_should_tell_full (store))
    g_warning ("cache: full with %" G_GUINT64_FORMAT
               " bytes of CABs, and none that could go (cache-size, cache-free): "
               "reads go on without being kept",
               left);
  else if (!full && cab_store_is_full (store))
    g_info ("cache: there is room again");
  cab_store_set_full (store, full);
}

static void remove_empty (CabStore *store, const GPtrArray *dirs) {
  for (guint i = 0; i < dirs->len; i++) /* fails while it is not empty, as it should */
    unlinkat (cab_store_dirfd (store), g_ptr_array_index (dirs, i), AT_REMOVEDIR);
}

guint64 cab_evict_sweep (CabStore *store, const CabEvictOptions *options, gint64 now) {
  g_autoptr (GPtrArray) dirs = g_ptr_array_new_with_free_func (g_free);
  cab_store_mark (store);
  g_autoptr (GArray) entries = scan (store, now, dirs);
  guint64 reserved = cab_store_reserved (store);
  gboolean refused = cab_store_was_refused (store);
  CabEvictLimits limits = {options->size_limit, 0, missing_space (store, options, 0, refused), options->keep_s};
  guint expired;
  guint64 needed = cab_evict_plan (entries, &limits, now, &expired);
  limits.reserved = reserved;
  limits.must_free = missing_space (store, options, reserved, refused);
  guint64 to_free = cab_evict_plan (entries, &limits, now, &expired);
  guint64 slack = to_free > 0 && options->size_limit >= SLACK_LIMIT ? SLACK : 0;
  guint64 freed = 0, left = 0, files = 0;
  for (guint i = 0; i < entries->len; i++) {
    const CabEvictEntry *entry = &g_array_index (entries, CabEvictEntry, i);
    gboolean over = i < expired;
    if ((over || freed < to_free + slack) && remove_entry (store, entry, over)) {
      freed += over ? 0 : entry->bytes;
    } else {
      left += entry->bytes;
      files++;
    }
  }
  remove_empty (store, dirs);
  if (freed < needed && options->trim != NULL) {
    guint64 given = options->trim (options->trim_data, needed - freed, left);
    freed += given;
    left -= MIN (left, given);
  }
  cab_store_set_usage (store, left, files);
  tell_full (store, freed < needed, left);
  cab_store_set_short (store, freed < to_free);
  return left;
}

void cab_evict_purge (CabStore *store, gboolean all, gint64 keep_s, gint64 now, CabEvictReport *out) {
  g_autoptr (GPtrArray) dirs = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GArray) entries = scan (store, now, dirs);
  *out = (CabEvictReport){0};
  for (guint i = 0; i < entries->len; i++) {
    const CabEvictEntry *entry = &g_array_index (entries, CabEvictEntry, i);
    if (!all && end_of (entry, keep_s) > now) {
      out->kept++;
    } else if (remove_entry (store, entry, FALSE)) {
      *(entry->member ? &out->members : &out->cabs) += 1;
      out->bytes += entry->bytes;
    } else {
      out->open++;
    }
  }
  remove_empty (store, dirs);
}
