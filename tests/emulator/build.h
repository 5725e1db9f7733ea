/* build.h - fills the data set from rules in JSON (README.md, "Data"), deterministic for a seed.
 *
 * Threads: any; each call takes the data's write lock once.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_EMULATOR_BUILD_H
#define CABFS_EMULATOR_BUILD_H

#include "tests/emulator/data.h"

/* Adds the CABs of one rule.  An array of their ids, or NULL with @error and nothing added. */
json_t *emu_build_cabs (EmuData *data, const char *payload_folder, json_t *rule, GError **error);

/* {"applications": [{"id", "family", "listed", "fields", "failures": [{"hash", "fields", "events", "cabs": [rule, …]}]}]}; "clear": true
 * empties the set first.  An array of all ids added, or NULL with @error; rules before the bad one have been added. */
json_t *emu_build_dataset (EmuData *data, const char *payload_folder, json_t *set, GError **error);

/* Puts a changed CAB in the place of @change's "id".  The keys are those of a rule, for what is to change. */
gboolean emu_build_change (EmuData *data, const char *payload_folder, json_t *change, GError **error);

/* The built-in set, made for the day of @now (seconds).  New JSON for emu_build_dataset(). */
json_t *emu_build_demo (gint64 now);

/* A GUID made of @seed and a name; new text. */
char *emu_build_guid (guint64 seed, const char *name, guint64 index);

#endif
