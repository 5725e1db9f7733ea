/* records.h - the rows of one list: an immutable, packed snapshot.
 *
 * A list of a failure has a record for each CAB, a list of an application one for each failure.  Records are
 * sorted by id (bytewise), every id once: an index is a stable position within the snapshot, and cab_records_find()
 * is a binary search.  All strings of a snapshot lie in one block of memory, which is also its form on disk, and
 * the addresses, taken apart, in another one: a million CABs have to fit into some 150 MB (rows of 32 bytes).
 *
 * Life: a builder takes rows, cab_records_builder_end() makes the snapshot and frees the builder.
 * Threads: a snapshot may be read and counted from any thread; a builder belongs to one.
 * Ownership: strings handed out live as long as the snapshot.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_RECORDS_H
#define CABFS_CLIENT_RECORDS_H

#include <glib.h>

#define CAB_TIME_UNKNOWN G_MININT64

typedef struct {
  const char *id;  /* cabIdHash, cabId, or failureHash: safe as a file name (api-contract.md 1.1) */
  const char *url; /* SAS URL, a secret; NULL if there is none.  cab_records_get() leaves it NULL, see below */
  gint64 date;     /* Unix seconds, or CAB_TIME_UNKNOWN */
  gint64 expires;  /* the same */
  gboolean downloadable; /* FALSE: the service says that this account cannot have it */
} CabRecord;

typedef struct CabRecords CabRecords;
typedef struct CabRecordsBuilder CabRecordsBuilder;

CabRecords *cab_records_ref (CabRecords *self);
void cab_records_unref (CabRecords *self);

guint cab_records_count (const CabRecords *self);

/* Rows the service sent that could not become records: no key, or one that is no safe name. */
guint cab_records_skipped (const CabRecords *self);

/* @index < count.  All but the URL. */
void cab_records_get (const CabRecords *self, guint index, CabRecord *out);

/* The SAS URL of a record, newly allocated; NULL if the service gave none or the snapshot is from disk.  URLs are
 * most of what a listing is, so they are kept taken apart and put together here, for the few that are needed. */
char *cab_records_url (const CabRecords *self, guint index);

/* @id need not be terminated.  FALSE if there is none; @index may be NULL. */
gboolean cab_records_find (const CabRecords *self, const char *id, gsize id_len, guint *index);

/* The other fields of a row, with the service's spelling and its values as text; they live as long as the snapshot. */
typedef void (*CabFieldFunc) (gpointer data, const char *name, const char *value);
void cab_records_foreach_field (const CabRecords *self, guint index, CabFieldFunc func, gpointer data);

/* Newest known date of all records, or CAB_TIME_UNKNOWN. */
gint64 cab_records_newest (const CabRecords *self);

/* The snapshot as bytes for a file of the same machine, without any URL, with a checksum; and back.  Loading
 * trusts nothing: CAB_ERROR_INVALID for anything that is not whole and consistent. */
GBytes *cab_records_save (const CabRecords *self);
CabRecords *cab_records_load (GBytes *bytes, GError **error);

CabRecordsBuilder *cab_records_builder_new (void);
void cab_records_builder_free (CabRecordsBuilder *self);

/* TRUE for what may become a file name: 1 to 128 of [A-Za-z0-9._-], the first not '.' (api-contract.md 1.1). */
gboolean cab_record_id_is_safe (const char *id);

/* The rows from here on come from another answer: see below. */
void cab_records_builder_begin_page (CabRecordsBuilder *self);

/* Adds a row.  @fields is name, value, name, value, …, NULL and may be NULL.  All is copied.  Left out are fields
 * without a name, with an address or a signature in name or value, and those after the first CAB_FIELDS_MAX.
 * Rows of one id are one record: of CABs the row with the latest expiry is kept; of failures (@count_field not
 * NULL, the name of the field that counts events) counts are summed, and the rest is that of the newest date.  A
 * row of a failure that was on an earlier page, the count aside, is not counted again: pages overlap when data
 * move (api-contract.md 3.5).
 * A row with an unsafe id is skipped and counted.
 * TRUE if the row was new: for CABs, if the id was; for failures, if no earlier page had it. */
#define CAB_FIELDS_MAX 256
gboolean cab_records_builder_add (CabRecordsBuilder *self, const CabRecord *record, const char *const *fields,
                                  const char *count_field);

void cab_records_builder_skip (CabRecordsBuilder *self);

/* Rows so far.  Tests compare it with what a page says that it added: nothing, where it was refused, and after the end
 * there is no telling. */
guint cab_records_builder_count (const CabRecordsBuilder *self);

/* Frees the builder. */
CabRecords *cab_records_builder_end (CabRecordsBuilder *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabRecords, cab_records_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabRecordsBuilder, cab_records_builder_free)

#endif
