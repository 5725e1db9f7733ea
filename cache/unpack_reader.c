/* SPDX-License-Identifier: MIT */
#include "cache/unpack_reader.h"

#include <string.h>

#include "cache/unpack_open.h"
#include "cache/unpack_path.h"
#include "client/error.h"

#define MIB (G_GUINT64_CONSTANT (1) << 20)

enum {
  INNER_MAX = 1000,    /* cabinets of one ZIP that are looked into */
  RATIO_MAX = 2000,    /* see unpack_reader.h */
  RATIO_FREE_MIB = 64, /* of a member that may be as well packed as it likes */
  INNER_HEAD_MIB = 64, /* of a cabinet in a ZIP that its list may take: 65,535 names of 256 bytes are 17 */
  PATHS_MAX_MIB = 64,  /* all names together */
};

static gboolean is_regular (struct archive_entry *entry) {
  return archive_entry_filetype (entry) == AE_IFREG && archive_entry_hardlink (entry) == NULL &&
         archive_entry_symlink (entry) == NULL;
}

/* --- list --------------------------------------------------------------------------------------------------- */

typedef struct {
  const CabArchive *archive;
  guint headers;
  guint inner;
  guint64 path_bytes;
  gboolean full; /* there is too much of it */
} Listing;

static const char *entry_name (struct archive_entry *entry) {
  const char *name = archive_entry_pathname (entry);
  return name != NULL ? name : archive_entry_pathname_utf8 (entry);
}

static gboolean count (Listing *self, const char *path, GError **error) {
  self->headers++;
  self->path_bytes += strlen (path);
  self->full = self->headers > CAB_ARCHIVE_MEMBERS_MAX || self->path_bytes > PATHS_MAX_MIB * MIB;
  if (!self->full)
    return TRUE;
  g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID,
               "the archive has more than %u members, or their names are too long",
               (guint) CAB_ARCHIVE_MEMBERS_MAX);
  return FALSE;
}

static void tell (Listing *self, guint outer, guint ordinal, const char *path, struct archive_entry *entry) {
  gint64 size = archive_entry_size_is_set (entry) ? archive_entry_size (entry) : -1;
  const CabMember member = {
      .outer = outer,
      .ordinal = ordinal,
      .path = path,
      .has_size = size >= 0,
      .size = size >= 0 ? (guint64) size : 0,
      .modified = archive_entry_mtime_is_set (entry) ? archive_entry_mtime (entry) : CAB_TIME_UNKNOWN,
  };
  self->archive->member (self->archive->data, &member);
}

static gboolean may_be_cabinet (const char *path) {
  const char *dot = strrchr (path, '.');
  return dot != NULL && g_ascii_strcasecmp (dot, ".cab") == 0;
}

static gboolean list_one (Listing *self, CabOpen *open, guint outer, GError **error);

/* Whatever is wrong within a member is no fault of the archive that it lies in. */
static gboolean list_inner (Listing *self, CabOpen *zip, guint ordinal, GError **error) {
  g_autoptr (GError) problem = NULL;
  guint before = self->headers;
  g_autoptr (CabOpen) inner = cab_open_member (zip, CAB_OPEN_ALL, INNER_HEAD_MIB * MIB, &problem);
  if (inner != NULL)
    list_one (self, inner, ordinal + 1, &problem);
  if (self->full) {
    g_propagate_error (error, g_steal_pointer (&problem));
    return FALSE;
  }
  if (problem != NULL && self->archive->note != NULL) {
    g_autofree char *text = g_strdup_printf ("the cabinet at header %u shows %u members: %s", ordinal,
                                             self->headers - before, problem->message);
    self->archive->note (self->archive->data, text);
  }
  return TRUE;
}

static gboolean list_entry (Listing *self, CabOpen *open, guint outer, guint ordinal,
                            struct archive_entry *entry, GError **error) {
  g_autofree char *path = cab_unpack_path (entry_name (entry), CAB_ARCHIVE_PATH_MAX);
  if (!count (self, path, error))
    return FALSE;
  if (!is_regular (entry))
    return TRUE;
  tell (self, outer, ordinal, path, entry);
  if (!cab_open_is_zip (open) || !may_be_cabinet (path) || self->inner >= INNER_MAX ||
      cab_open_refusal (open, entry) != NULL)
    return TRUE;
  self->inner++;
  return list_inner (self, open, ordinal, error);
}

static gboolean list_one (Listing *self, CabOpen *open, guint outer, GError **error) {
  struct archive_entry *entry;
  for (guint ordinal = 0; cab_open_next (open, &entry, error); ordinal++) {
    if (entry == NULL)
      return TRUE;
    if (!list_entry (self, open, outer, ordinal, entry, error))
      return FALSE;
  }
  return FALSE;
}

gboolean cab_archive_list (const CabArchive *archive, GError **error) {
  g_autoptr (CabOpen) open = cab_open_source (archive, CAB_OPEN_ALL, error);
  if (open == NULL)
    return FALSE;
  Listing listing = {.archive = archive};
  return list_one (&listing, open, 0, error);
}

/* --- extract ------------------------------------------------------------------------------------------------ */

static gboolean fail (GError **error, const char *words) {
  g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID, "the member cannot be extracted: %s", words);
  return FALSE;
}

static struct archive_entry *find (CabOpen *open, guint ordinal, GError **error) {
  struct archive_entry *entry;
  for (guint i = 0; cab_open_next (open, &entry, error); i++) {
    if (entry == NULL || i >= CAB_ARCHIVE_MEMBERS_MAX) {
      fail (error, "it is not in the archive");
      return NULL;
    }
    if (i == ordinal) {
      const char *refusal = is_regular (entry) ? cab_open_refusal (open, entry) : "it is no file";
      if (refusal != NULL)
        fail (error, refusal);
      return refusal == NULL ? entry : NULL;
    }
  }
  return NULL;
}

typedef struct {
  const CabArchive *archive;
  CabOpen *open;
  guint64 declared; /* G_MAXUINT64: not */
  guint64 limit;
  guint64 from; /* position in the source where the member began */
  guint64 size;
} Extraction;

static gboolean is_bomb (Extraction *self, guint64 size) {
  guint64 position = cab_open_position (self->open);
  guint64 in = position > self->from ? position - self->from : 0;
  return size > RATIO_FREE_MIB * MIB && size / RATIO_MAX > in;
}

static gboolean check_limit (Extraction *self, guint64 size, GError **error) {
  if (size <= self->limit)
    return TRUE;
  g_set_error (error, CAB_ERROR, CAB_ERROR_NO_SPACE,
               "the member cannot be extracted: it is larger than %" G_GUINT64_FORMAT " bytes (member-limit)",
               self->limit);
  return FALSE;
}

static gboolean check_size (Extraction *self, guint64 size, GError **error) {
  if (size > self->declared)
    return fail (error, "it is larger than the archive says");
  if (is_bomb (self, size))
    return fail (error, "it is packed so well that it is taken for a bomb");
  return check_limit (self, size, error);
}

static gboolean copy (Extraction *self, GError **error) {
  const CabArchive *archive = self->archive;
  for (;;) {
    const void *bytes;
    gsize len;
    if (!cab_open_data (self->open, &bytes, &len, error))
      return FALSE;
    if (len == 0)
      break;
    if (!check_size (self, self->size + len, error) || !archive->write (archive->data, bytes, len, error))
      return FALSE;
    self->size += len;
  }
  if (self->declared != G_MAXUINT64 && self->size < self->declared)
    return fail (error, "it is smaller than the archive says");
  return TRUE;
}

static gboolean extract_from (Extraction *self, guint ordinal, guint64 expected, GError **error) {
  struct archive_entry *entry = find (self->open, ordinal, error);
  if (entry == NULL)
    return FALSE;
  gint64 size = archive_entry_size_is_set (entry) ? archive_entry_size (entry) : -1;
  self->declared = size >= 0 ? (guint64) size : expected;
  if (expected != G_MAXUINT64 && self->declared != expected)
    return fail (error, "it has another size than before");
  if (self->declared != G_MAXUINT64 && !check_limit (self, self->declared, error))
    return FALSE;
  self->from = cab_open_position (self->open);
  return copy (self, error);
}

/* The cabinet that is the member @outer, to extract its member @ordinal. */
static CabOpen *open_inner (CabOpen *open, guint outer, guint ordinal, GError **error) {
  if (find (open, outer, error) == NULL)
    return NULL;
  g_autoptr (GError) problem = NULL;
  CabOpen *inner = cab_open_member (open, ordinal, G_MAXUINT64, &problem);
  if (problem != NULL)
    g_propagate_error (error, g_steal_pointer (&problem));
  else if (inner == NULL)
    fail (error, "what it lies in is no cabinet");
  return inner;
}

gboolean cab_archive_extract (const CabArchive *archive, guint outer, guint ordinal, guint64 expected,
                              guint64 limit, guint64 *size, GError **error) {
  g_autoptr (CabOpen) open = cab_open_source (archive, outer > 0 ? outer - 1 : ordinal, error);
  g_autoptr (CabOpen) inner = NULL; /* is freed first */
  if (open == NULL)
    return FALSE;
  if (outer > 0)
    inner = open_inner (open, outer - 1, ordinal, error);
  if (outer > 0 && inner == NULL)
    return FALSE;
  Extraction extraction = {.archive = archive, .open = inner != NULL ? inner : open, .limit = limit};
  gboolean ok = extract_from (&extraction, ordinal, expected, error);
  *size = extraction.size;
  return ok;
}
