/* records_private.h - the parts of a snapshot, shared by records.c, records_build.c and records_save.c only.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_RECORDS_PRIVATE_H
#define CABFS_CLIENT_RECORDS_PRIVATE_H

#include "client/records.h"
#include "client/sync.h"

#define CAB_WORDS_MAX 0x7fffffffu

/* One record.  A shape is a number of fields and the offsets of their names, and is shared by all rows that have
 * the same fields; a row's values are that many offsets. */
typedef struct {
  gint64 date;
  gint64 expires;
  guint32 id;    /* offset in strings */
  guint32 shape; /* index in words */
  guint32 url;   /* offset in secrets, of a CabUrl and the part of the URL that is the row's own; 0: none */
  guint32 downloadable : 1;
  guint32 values : 31; /* index in words */
} CabRow;

/* A URL is <head><id><middle><own><tail>: what precedes the CAB's id, what is between the id and the signature,
 * the signature, what follows.  With an empty head the id is left out. */
typedef struct {
  guint32 head;  /* offset in secrets */
  guint32 frame; /* offset in secrets, of <middle> NUL <tail> NUL */
} CabUrl;

struct CabRecords {
  CabRefs refs;
  /* The rest is set at creation. */
  CabRow *rows; /* sorted by id */
  guint32 *words;
  char *strings;
  char *secrets; /* never saved; NULL in a snapshot from disk */
  guint32 n_rows, n_words, n_strings, n_secrets;
  guint32 skipped;
  gint64 newest;
};

/* Takes the blocks over; the counts of @parts, its rows sorted. */
CabRecords *cab_records_make (const CabRecords *parts);

#endif
