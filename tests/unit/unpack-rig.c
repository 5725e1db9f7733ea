/* SPDX-License-Identifier: MIT */
#include "tests/unit/unpack-rig.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- warnings ----------------------------------------------------------------------------------------------- */

static pthread_mutex_t warning_lock = PTHREAD_MUTEX_INITIALIZER;
static char *expected_warning; /* warning_lock: NULL for none */

static gboolean is_expected (const char *message) {
  CAB_LOCK_SCOPE (&warning_lock);
  gboolean expected = expected_warning != NULL && g_pattern_match_simple (expected_warning, message);
  if (expected)
    g_clear_pointer (&expected_warning, g_free);
  return expected;
}

static void check_log (const char *domain, GLogLevelFlags level, const char *message, gpointer data) {
  if ((level & (G_LOG_LEVEL_WARNING | G_LOG_LEVEL_CRITICAL)) == 0 || is_expected (message))
    return;
  g_printerr ("unexpected: %s\n", message);
  abort ();
}

void rig_init (int *argc, char ***argv) {
  g_test_init (argc, argv, NULL);
  g_log_set_always_fatal (G_LOG_FATAL_MASK);
  g_log_set_default_handler (check_log, NULL);
}

void rig_expect_warning (const char *words) {
  CAB_LOCK_SCOPE (&warning_lock);
  g_assert_null (expected_warning);
  expected_warning = g_strdup (words);
}

void rig_assert_warned (void) {
  CAB_LOCK_SCOPE (&warning_lock);
  g_assert_cmpstr (expected_warning, ==, NULL);
}

/* --- what there is to unpack -------------------------------------------------------------------------------- */

char *rig_program (void) {
  return g_test_build_filename (G_TEST_BUILT, "..", "..", "cache", "cabfs-unpack", NULL);
}

char *rig_rogue (void) {
  return g_test_build_filename (G_TEST_BUILT, "rogue-unpack", NULL);
}

CabUnpacker *rig_unpacker (guint most, guint64 limit) {
  return rig_unpacker_beyond (most, most, limit);
}

CabUnpacker *rig_unpacker_beyond (guint parallel, guint most, guint64 limit) {
  g_autofree char *program = rig_program ();
  const CabUnpackerOptions options = {.program = program, .parallel = parallel, .most = most, .limit = limit};
  g_autoptr (GError) error = NULL;
  CabUnpacker *self = cab_unpacker_new (&options, &error);
  g_assert_no_error (error);
  return self;
}

static GBytes *load (const char *path) {
  char *bytes;
  gsize len;
  g_autoptr (GError) error = NULL;
  g_file_get_contents (path, &bytes, &len, &error);
  g_assert_no_error (error);
  return g_bytes_new_take (bytes, len);
}

GBytes *rig_sample (const char *name) {
  g_autofree char *path = g_test_build_filename (G_TEST_DIST, "..", "samples", name, NULL);
  return load (path);
}

GBytes *rig_made (const char *name) {
  g_autofree char *path = g_test_build_filename (G_TEST_BUILT, "..", "samples", name, NULL);
  return load (path);
}

GBytes *rig_foreign (const char *name) {
  const char *folder = g_getenv ("CABFS_SAMPLES");
  g_autofree char *path = folder != NULL ? g_build_filename (folder, name, NULL) : NULL;
  if (path != NULL && g_file_test (path, G_FILE_TEST_EXISTS))
    return load (path);
  g_test_skip ("CABFS_SAMPLES does not name a folder that has this archive");
  return NULL;
}

GBytes *rig_pattern (gsize size) {
  guint8 *bytes = g_malloc (size + 4);
  for (guint32 i = 0; (gsize) i * 4 < size; i++) {
    guint32 word = GUINT32_TO_LE ((guint32) (i * G_GUINT64_CONSTANT (2654435761)) & 0xffffff);
    memcpy (bytes + (gsize) i * 4, &word, 4);
  }
  return g_bytes_new_take (bytes, size);
}

/* --- the owner of the archive ------------------------------------------------------------------------------- */

static void give (Run *self, CabUnpack *job, guint64 off, gsize len) {
  g_autofree guint8 *bytes = g_malloc0 (len);
  gsize have;
  const guint8 *archive = g_bytes_get_data (self->archive, &have);
  if (self->fill != NULL)
    self->fill (bytes, off, len);
  else if (off < have)
    memcpy (bytes, archive + off, MIN (len, have - off));
  cab_unpack_give (job, bytes, len);
}

static void need (gpointer data, CabUnpack *job, guint64 off, gsize len) {
  Run *self = data;
  g_assert_cmpuint (len, >, 0);
  g_assert_cmpuint (len, <=, RIG_MIB);
  g_assert_cmpuint (off + len, <=, self->size);
  self->asked += len;
  self->seen = job;
  self->written_then = self->written;
  self->need_off = off;
  self->need_len = len;
  if (!self->hold)
    give (self, job, off, len);
  latch_up (&self->needs);
}

static void member (gpointer data, const CabMember *found) {
  Run *self = data;
  g_assert_true (g_utf8_validate (found->path, -1, NULL));
  self->member_count++;
  g_string_append_printf (self->members, "%u/%u ", found->outer, found->ordinal);
  if (found->has_size)
    g_string_append_printf (self->members, "%" G_GUINT64_FORMAT, found->size);
  else
    g_string_append_c (self->members, '?');
  g_string_append_printf (self->members, " %s\n", found->path);
}

static void written (gpointer data, guint64 end) {
  Run *self = data;
  struct stat facts;
  g_assert_cmpuint (end, >, self->written);
  g_assert_cmpint (fstat (self->fd, &facts), ==, 0);
  g_assert_cmpuint ((guint64) facts.st_size, >=, end);
  self->written = end;
  if (self->on_written != NULL)
    self->on_written (self, end);
}

static void done (gpointer data, guint64 size, const GError *error) {
  Run *self = data;
  self->result = size;
  self->error = error != NULL ? g_error_copy (error) : NULL;
  latch_up (&self->dones);
}

static const CabUnpackSink sink = {.need = need, .member = member, .written = written, .done = done};

/* --- runs --------------------------------------------------------------------------------------------------- */

void run_init (Run *self, GBytes *archive) {
  *self = (Run){.archive = archive,
                .size = g_bytes_get_size (archive),
                .fd = -1,
                .needs = LATCH_INIT,
                .dones = LATCH_INIT,
                .members = g_string_new (NULL)};
}

void run_clear (Run *self) {
  cab_unpack_unref (self->job);
  g_bytes_unref (self->archive);
  g_string_free (self->members, TRUE);
  g_clear_error (&self->error);
  if (self->fd >= 0)
    close (self->fd);
}

void run_list (Run *self, CabUnpacker *unpacker) {
  self->job = cab_unpack_list (unpacker, self->size, &sink, self);
}

void run_extract (Run *self, CabUnpacker *unpacker, guint outer, guint ordinal, guint64 expected) {
  if (self->fd < 0)
    self->fd = memfd_create ("extracted", MFD_CLOEXEC);
  g_assert_cmpint (self->fd, >=, 0);
  self->job = cab_unpack_extract (unpacker, self->size, outer, ordinal, expected, self->fd, &sink, self);
}

void run_answer (Run *self) {
  give (self, self->job, self->need_off, self->need_len);
}

void run_wait (Run *self) {
  latch_wait (&self->dones, 1);
}

void run_assert_ok (Run *self) {
  run_wait (self);
  g_assert_no_error (self->error);
}

void run_assert_error (Run *self, CabErrorCode code, const char *words) {
  run_wait (self);
  g_assert_error (self->error, CAB_ERROR, (gint) code);
  if (!g_pattern_match_simple (words, self->error->message))
    g_error ("\"%s\" is not like \"%s\"", self->error->message, words);
  g_assert_cmpuint (self->result, ==, 0);
}

GBytes *run_result (Run *self) {
  struct stat facts;
  g_assert_cmpint (fstat (self->fd, &facts), ==, 0);
  gsize len = (gsize) facts.st_size;
  guint8 *bytes = g_malloc (len + 1);
  g_assert_cmpint (pread (self->fd, bytes, len, 0), ==, (gssize) len);
  return g_bytes_new_take (bytes, len);
}

/* The line of a process: its number, its name in parentheses, its state, its parent. */
static gboolean is_living_child (const char *number) {
  g_autofree char *path = g_build_filename ("/proc", number, "stat", NULL);
  g_autofree char *line = NULL;
  if (!g_file_get_contents (path, &line, NULL, NULL))
    return FALSE;
  const char *end = strrchr (line, ')');
  char state = '\0';
  int parent = 0;
  return end != NULL && sscanf (end + 1, " %c %d", &state, &parent) == 2 && parent == getpid () && state != 'Z';
}

guint rig_children (pid_t *any) {
  DIR *proc = opendir ("/proc");
  guint count = 0;
  g_assert_nonnull (proc);
  for (struct dirent *entry = readdir (proc); entry != NULL; entry = readdir (proc)) {
    if (!g_ascii_isdigit (entry->d_name[0]) || !is_living_child (entry->d_name))
      continue;
    count++;
    if (any != NULL)
      *any = (pid_t) atoi (entry->d_name);
  }
  closedir (proc);
  return count;
}
