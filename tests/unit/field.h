/* field.h - one field of a record, for tests: what cabfs itself does with fields it does with all of a record.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_TESTS_FIELD_H
#define CABFS_TESTS_FIELD_H

#include <string.h>

#include "client/records.h"

typedef struct {
  const char *name;
  const char *value;
} Field;

static inline void field_look (gpointer data, const char *name, const char *value) {
  Field *self = data;
  if (strcmp (name, self->name) == 0)
    self->value = value;
}

/* NULL if there is none; lives as long as @records. */
static inline const char *field_of (const CabRecords *records, guint index, const char *name) {
  Field field = {.name = name};
  cab_records_foreach_field (records, index, field_look, &field);
  return field.value;
}

#endif
