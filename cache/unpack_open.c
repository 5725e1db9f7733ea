/* SPDX-License-Identifier: MIT */
#include "cache/unpack_open.h"

#include <errno.h>
#include <string.h>

#include "cache/unpack_head.h"
#include "client/error.h"

enum {
  HEAD_MAX = 32 << 20, /* bytes before the data of a cabinet: 65,535 members with long names are 17 MiB */
  ZIP_END_LENGTH = 22,
  RESERVE = 1024 * 1024,
  EMPTY_BLOCKS_MAX = 1000, /* that libarchive may give in a row without an end */
};

struct CabOpen {
  struct archive *archive;
  gpointer reserve; /* to tell of a lack of memory with: what needs too much has taken all there is */
  gboolean is_zip;
  gboolean is_empty; /* a ZIP of no member, which libarchive does not know */
  GByteArray *head;  /* of a cabinet, as libarchive is to see it; NULL where it is what it is */
  guint64 member_at; /* bytes of the member under way that were read */
  /* the archive itself */
  const CabArchive *source;
  guint64 at; /* of the next byte for libarchive */
  /* a member of another one */
  CabOpen *outer;
  guint64 most;      /* bytes that may still be read */
  const void *first; /* was read to know what it is, and comes first */
  gsize first_len;
};

static gboolean fail_from_archive (CabOpen *self, GError **error) {
  const char *words = archive_error_string (self->archive);
  if (archive_errno (self->archive) == ENOMEM) {
    g_clear_pointer (&self->reserve, g_free);
    words = "it needs more memory than an archive may have";
  }
  g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID, "the archive cannot be read: %s",
               words != NULL ? words : "no reason is known");
  return FALSE;
}

/* --- where libarchive gets bytes from ----------------------------------------------------------------------- */

static la_ssize_t read_source (struct archive *archive, void *data, const void **bytes) {
  CabOpen *self = data;
  if (self->at >= self->source->size)
    return 0;
  if (self->head != NULL && self->at < self->head->len) {
    gsize rest = self->head->len - (gsize) self->at;
    *bytes = self->head->data + self->at;
    self->at += rest;
    return (la_ssize_t) rest;
  }
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

static gboolean is_zip_end (const guint8 *head, gsize len) {
  return len >= 4 && memcmp (head, "PK\005\006", 4) == 0;
}

/* A member, a first part of several that became the only one, no member at all. */
static gboolean is_zip (const guint8 *head, gsize len) {
  static const char *const magics[] = {"PK\003\004", "PK\007\010", "PK00"};
  for (gsize i = 0; i < G_N_ELEMENTS (magics); i++)
    if (len >= 4 && memcmp (head, magics[i], 4) == 0)
      return TRUE;
  return is_zip_end (head, len);
}

static CabOpen *open_new (const guint8 *head, gsize len) {
  CabOpen *self = g_new0 (CabOpen, 1);
  self->archive = archive_read_new ();
  g_assert (self->archive != NULL);
  self->reserve = g_malloc (RESERVE);
  self->is_zip = is_zip (head, len);
  if (self->is_zip)
    archive_read_support_format_zip_seekable (self->archive);
  else
    archive_read_support_format_cab (self->archive);
  archive_read_set_callback_data (self->archive, self);
  return self;
}

static gboolean open_end (CabOpen *self, GError **error) {
  return archive_read_open1 (self->archive) == ARCHIVE_OK || fail_from_archive (self, error);
}

/* The next bytes of the cabinet, which was not given to libarchive yet. */
static gboolean read_more (CabOpen *self, const void **bytes, gsize *len, GError **error) {
  if (self->outer != NULL)
    return cab_open_data (self->outer, bytes, len, error);
  guint64 at = self->head->len;
  *len = at < self->source->size ? self->source->read (self->source->data, at, bytes) : 0;
  return TRUE;
}

/* @bytes are the first of the cabinet. */
static gboolean aim (CabOpen *self, const void *bytes, gsize len, guint wanted, GError **error) {
  self->head = g_byte_array_new ();
  while (len > 0 && self->head->len <= HEAD_MAX) {
    g_byte_array_append (self->head, bytes, (guint) len);
    if (cab_head_aim (self->head->data, self->head->len, wanted) == CAB_HEAD_DONE)
      return TRUE;
    if (!read_more (self, &bytes, &len, error))
      return FALSE;
  }
  g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID,
               "the archive cannot be read: its list of members has no end");
  return FALSE;
}

CabOpen *cab_open_source (const CabArchive *source, guint wanted, GError **error) {
  const void *head = NULL;
  gsize len = source->size > 0 ? source->read (source->data, 0, &head) : 0;
  if (!is_cabinet (head, len) && !is_zip (head, len)) {
    g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID, "this is neither a cabinet nor a ZIP");
    return NULL;
  }
  g_autoptr (CabOpen) self = open_new (head, len);
  self->source = source;
  self->is_empty = source->size == ZIP_END_LENGTH && is_zip_end (head, len);
  if (wanted != CAB_OPEN_ALL && !self->is_zip && cab_head_has_folders (head, len) &&
      !aim (self, head, len, wanted, error))
    return NULL;
  archive_read_set_read_callback (self->archive, read_source);
  archive_read_set_skip_callback (self->archive, skip_source);
  archive_read_set_seek_callback (self->archive, seek_source);
  return self->is_empty || open_end (self, error) ? g_steal_pointer (&self) : NULL;
}

CabOpen *cab_open_member (CabOpen *outer, guint wanted, guint64 most, GError **error) {
  const void *head = NULL;
  gsize len = 0;
  if (!cab_open_data (outer, &head, &len, error) || !is_cabinet (head, len))
    return NULL;
  g_autoptr (CabOpen) self = open_new (head, len);
  self->outer = outer;
  self->most = most;
  self->first = head;
  self->first_len = len;
  if (wanted != CAB_OPEN_ALL && cab_head_has_folders (head, len)) {
    if (!aim (self, head, len, wanted, error))
      return NULL;
    self->first = self->head->data;
    self->first_len = self->head->len;
  }
  archive_read_set_read_callback (self->archive, read_member);
  return open_end (self, error) ? g_steal_pointer (&self) : NULL;
}

void cab_open_free (CabOpen *self) {
  if (self == NULL)
    return;
  archive_read_free (self->archive);
  g_clear_pointer (&self->head, g_byte_array_unref);
  g_free (self->reserve);
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
  int rc = self->is_empty ? ARCHIVE_EOF : archive_read_next_header (self->archive, entry);
  self->member_at = 0;
  if (rc == ARCHIVE_EOF)
    *entry = NULL;
  else if (rc == ARCHIVE_RETRY || rc == ARCHIVE_FAILED)
    archive_entry_clear (*entry);
  else if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN)
    return fail_from_archive (self, error);
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
      return fail_from_archive (self, error);
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
