/* SPDX-License-Identifier: MIT */
#include "cache/unpack_open.h"

#include <errno.h>
#include <string.h>

#include "client/error.h"

enum {
  CABINET_FOLDERS_AT = 26, /* a little-endian 16-bit number in the header of a cabinet */
  EMPTY_BLOCKS_MAX = 1000, /* that libarchive may give in a row without an end */
};

struct CabOpen {
  struct archive *archive;
  gboolean is_zip;
  gboolean many_folders;
  gboolean decompresses; /* what is passed over: see cab_open_pass() */
  guint64 member_at;     /* bytes of the member under way that were read */
  /* the archive itself */
  const CabArchive *source;
  guint64 at; /* of the next byte for libarchive */
  /* a member of another one */
  CabOpen *outer;
  guint64 most;      /* bytes that may still be read */
  const void *first; /* was read to know what it is, and comes first */
  gsize first_len;
};

static gboolean fail_from_archive (struct archive *archive, GError **error) {
  const char *words = archive_error_string (archive);
  if (archive_errno (archive) == ENOMEM)
    words = "it needs more memory than an archive may have";
  g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID, "the archive cannot be read: %s",
               words != NULL ? words : "no reason is known");
  return FALSE;
}

/* --- where libarchive gets bytes from ----------------------------------------------------------------------- */

static la_ssize_t read_source (struct archive *archive, void *data, const void **bytes) {
  CabOpen *self = data;
  if (self->at >= self->source->size)
    return 0;
  gsize len = self->source->read (self->source->data, self->at, bytes);
  if (len == 0) {
    archive_set_error (archive, EIO, "its bytes cannot be had");
    return ARCHIVE_FATAL;
  }
  self->at += len;
  return (la_ssize_t) len;
}

static la_int64_t skip_source (struct archive *archive, void *data, la_int64_t request) {
  CabOpen *self = data;
  if (request <= 0)
    return 0;
  guint64 skipped = MIN ((guint64) request, self->source->size - self->at);
  self->at += skipped;
  return (la_int64_t) skipped;
}

static la_int64_t seek_source (struct archive *archive, void *data, la_int64_t offset, int whence) {
  CabOpen *self = data;
  gint64 size = (gint64) self->source->size;
  gint64 from = whence == SEEK_END ? size : whence == SEEK_CUR ? (gint64) self->at : 0;
  if (offset < -from || offset > size - from) {
    archive_set_error (archive, EINVAL, "it refers to what is beyond its end");
    return ARCHIVE_FATAL;
  }
  self->at = (guint64) (from + offset);
  return (la_int64_t) self->at;
}

static la_ssize_t read_member (struct archive *archive, void *data, const void **bytes) {
  CabOpen *self = data;
  g_autoptr (GError) error = NULL;
  gsize len = 0;
  if (self->first != NULL) {
    *bytes = g_steal_pointer (&self->first);
    len = self->first_len;
  } else if (!cab_open_data (self->outer, bytes, &len, &error)) {
    archive_set_error (archive, EINVAL, "%s", error->message);
    return ARCHIVE_FATAL;
  }
  if (len > self->most) {
    archive_set_error (archive, EINVAL, "its list of members is too long");
    return ARCHIVE_FATAL;
  }
  self->most -= len;
  return (la_ssize_t) len;
}

/* --- open --------------------------------------------------------------------------------------------------- */

static gboolean is_cabinet (const guint8 *head, gsize len) {
  return len >= 4 && memcmp (head, "MSCF", 4) == 0;
}

/* A member, an empty archive, a first part of several that became the only one. */
static gboolean is_zip (const guint8 *head, gsize len) {
  static const char *const magics[] = {"PK\003\004", "PK\005\006", "PK\007\010", "PK00"};
  for (gsize i = 0; i < G_N_ELEMENTS (magics); i++)
    if (len >= 4 && memcmp (head, magics[i], 4) == 0)
      return TRUE;
  return FALSE;
}

static CabOpen *open_new (const guint8 *head, gsize len) {
  CabOpen *self = g_new0 (CabOpen, 1);
  self->archive = archive_read_new ();
  g_assert (self->archive != NULL);
  self->is_zip = is_zip (head, len);
  if (self->is_zip)
    archive_read_support_format_zip_seekable (self->archive);
  else
    archive_read_support_format_cab (self->archive);
  if (!self->is_zip && len >= CABINET_FOLDERS_AT + 2)
    self->many_folders = head[CABINET_FOLDERS_AT] > 1 || head[CABINET_FOLDERS_AT + 1] > 0;
  archive_read_set_callback_data (self->archive, self);
  return self;
}

/* Frees @self when that fails. */
static CabOpen *open_end (CabOpen *self, GError **error) {
  if (archive_read_open1 (self->archive) == ARCHIVE_OK)
    return self;
  fail_from_archive (self->archive, error);
  cab_open_free (self);
  return NULL;
}

CabOpen *cab_open_source (const CabArchive *source, GError **error) {
  const void *head = NULL;
  gsize len = source->size > 0 ? source->read (source->data, 0, &head) : 0;
  if (!is_cabinet (head, len) && !is_zip (head, len)) {
    g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID, "this is neither a cabinet nor a ZIP");
    return NULL;
  }
  CabOpen *self = open_new (head, len);
  self->source = source;
  archive_read_set_read_callback (self->archive, read_source);
  archive_read_set_skip_callback (self->archive, skip_source);
  archive_read_set_seek_callback (self->archive, seek_source);
  return open_end (self, error);
}

CabOpen *cab_open_member (CabOpen *outer, guint64 most, GError **error) {
  const void *head = NULL;
  gsize len = 0;
  if (!cab_open_data (outer, &head, &len, error) || !is_cabinet (head, len))
    return NULL;
  CabOpen *self = open_new (head, len);
  self->outer = outer;
  self->most = most;
  self->first = head;
  self->first_len = len;
  archive_read_set_read_callback (self->archive, read_member);
  return open_end (self, error);
}

void cab_open_free (CabOpen *self) {
  if (self == NULL)
    return;
  archive_read_free (self->archive);
  g_free (self);
}

gboolean cab_open_is_zip (const CabOpen *self) {
  return self->is_zip;
}

guint64 cab_open_position (const CabOpen *self) {
  const CabOpen *outermost = self->outer != NULL ? self->outer : self;
  gint64 position = archive_filter_bytes (outermost->archive, 0);
  return position > 0 ? (guint64) position : 0;
}

/* --- members ------------------------------------------------------------------------------------------------ */

gboolean cab_open_next (CabOpen *self, struct archive_entry **entry, GError **error) {
  int rc = archive_read_next_header (self->archive, entry);
  self->member_at = 0;
  if (rc == ARCHIVE_EOF)
    *entry = NULL;
  else if (rc == ARCHIVE_RETRY || rc == ARCHIVE_FAILED)
    archive_entry_clear (*entry);
  else if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN)
    return fail_from_archive (self->archive, error);
  return TRUE;
}

gboolean cab_open_data (CabOpen *self, const void **bytes, gsize *len, GError **error) {
  for (guint i = 0; i < EMPTY_BLOCKS_MAX; i++) {
    la_int64_t offset = 0;
    *len = 0;
    int rc = archive_read_data_block (self->archive, bytes, len, &offset);
    if (rc == ARCHIVE_EOF) {
      *len = 0;
      return TRUE;
    }
    /* A wrong checksum is no more than a warning to libarchive. */
    if (rc != ARCHIVE_OK)
      return fail_from_archive (self->archive, error);
    if (*len == 0)
      continue;
    if (offset < 0 || (guint64) offset != self->member_at)
      break;
    self->member_at += *len;
    return TRUE;
  }
  g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID, "the archive cannot be read: its data have gaps");
  return FALSE;
}

/* libarchive adds up what is passed over before the first read, and takes the sum off the folder that is read first,
 * though all of it may lie in folders before: the member would begin with the wrong byte.  Once something was read it
 * goes through what it passes over at once, folder by folder. */
gboolean cab_open_pass (CabOpen *self, struct archive_entry *entry, GError **error) {
  if (!self->many_folders || self->decompresses || archive_entry_size (entry) == 0)
    return TRUE;
  const void *bytes;
  gsize len;
  self->decompresses = TRUE;
  return cab_open_data (self, &bytes, &len, error);
}

const char *cab_open_refusal (CabOpen *self, struct archive_entry *entry) {
  if (archive_entry_is_encrypted (entry))
    return "it is encrypted";
  if (!self->is_zip)
    return NULL;
  const char *format = archive_format_name (self->archive);
  if (format != NULL && (strstr (format, "(uncompressed)") != NULL || strstr (format, "(deflation)") != NULL))
    return NULL;
  return "it is compressed by an unknown method";
}
