/* data.h - what the emulated services know: applications, their failures, the CABs of a failure.
 *
 * Threads: any; one reader-writer lock guards the whole.  Between emu_data_lock_read() and emu_data_unlock() the
 * trees may be walked; what is found is borrowed and ends with the unlock, except a CAB whose reference was taken:
 * a CAB never changes once added, a change puts another one in its place.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_EMULATOR_DATA_H
#define CABFS_EMULATOR_DATA_H

#include "client/sync.h"
#include "tests/emulator/emu.h"
#include "tests/emulator/payload.h"
#include <jansson.h>

/* The families of the services, api-contract.md section 1.
 * X (constant, name, it has no applicationId, days that a CAB is kept, the ids of its CABs are digits) */
#define EMU_FAMILIES(X)                                                                                        \
  X (DRIVER, "driver", FALSE, 30, FALSE)                                                                       \
  X (DESKTOP, "desktop", FALSE, 30, FALSE)                                                                     \
  X (STORE, "store", FALSE, 35, TRUE)                                                                          \
  X (IHVDRIVER, "ihvdriver", TRUE, 90, FALSE)                                                                  \
  X (HARDWARE, "hardware", TRUE, 90, FALSE)

typedef enum {
#define EMU_FAMILY_ENUM(constant, name, account, days, digits) EMU_FAMILY_##constant,
  EMU_FAMILIES (EMU_FAMILY_ENUM)
#undef EMU_FAMILY_ENUM
      EMU_FAMILY_COUNT
} EmuFamily;

typedef struct {
  const char *name;
  gboolean account; /* its data are those of the whole account: those of the application of the family's name */
  guint days;
  gboolean digits;
} EmuFamilyRow;

const EmuFamilyRow *emu_family_row (EmuFamily family);
/* EMU_FAMILY_COUNT if there is none of that name. */
EmuFamily emu_family_find (const char *name);

/* How a row says that it has no cabUrl. */
typedef enum { EMU_URL_SIGNED, EMU_URL_MISSING, EMU_URL_NULL, EMU_URL_EMPTY } EmuUrlForm;

typedef struct {
  CabRefs refs;
  EmuFamily family;
  char *id;
  char *application;
  char *failure;
  char *path; /* "/kernel-20261102/<id>.ext.zip" or "/store-20261102/<id>.cab", decoded */
  char *etag; /* quoted */
  gint64 date;
  gint64 expires;
  gint64 sas_life; /* ms; 0: the setting's */
  EmuPayload *payload;
  char *url; /* complete, of a host elsewhere; NULL: ours */
  EmuUrlForm url_form;
  gboolean downloadable; /* FALSE: cabdownload answers 401 */
  gboolean gone;         /* listed, but its blob answers 404 */
  json_t *fields;        /* further fields of its rows; object, never changed */
} EmuCab;

EmuCab *emu_cab_ref (EmuCab *self);
void emu_cab_unref (EmuCab *self);

typedef struct {
  char *hash;
  json_t *fields;        /* failureName, eventType, symbol, … */
  GPtrArray *cabs;       /* of EmuCab, in the order they were added; each a reference */
  json_t *events;        /* further events without a CAB: array of {"date": seconds, "count": n} */
  gint64 oldest, newest; /* no CAB that ever was in it is outside */
} EmuFailure;

typedef struct {
  char *id;
  EmuFamily family;
  gboolean unlisted; /* no list of products has it */
  json_t *fields;
  GHashTable *failures;     /* hash, lower case -> EmuFailure, owned */
  GPtrArray *failure_order; /* the same, borrowed, in the order they were added */
} EmuApplication;

EmuData *emu_data_new (void);
void emu_data_free (EmuData *self);

void emu_data_lock_read (EmuData *self);
void emu_data_lock_write (EmuData *self);
void emu_data_unlock (EmuData *self);

/* --- with the lock held ------------------------------------------------------------------------------------- */

EmuApplication *emu_data_application_locked (EmuData *self, const char *id);
EmuFailure *emu_data_failure_locked (EmuApplication *application, const char *hash);
/* In the order they were added; borrowed. */
GPtrArray *emu_data_applications_locked (EmuData *self);

/* With the write lock: found or made; what exists keeps its family. */
EmuApplication *emu_data_need_application_locked (EmuData *self, const char *id, EmuFamily family);
EmuFailure *emu_data_need_failure_locked (EmuApplication *application, const char *hash);
/* Takes ownership; a CAB of the same id and failure is replaced in its place. */
void emu_data_add_cab_locked (EmuData *self, EmuFailure *failure, EmuCab *cab);
gboolean emu_data_remove_cab_locked (EmuData *self, const char *id);
void emu_data_clear_locked (EmuData *self);

/* --- without it --------------------------------------------------------------------------------------------- */

/* A new reference, or NULL. */
EmuCab *emu_data_cab (EmuData *self, const char *id);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (EmuCab, emu_cab_unref)

#endif
