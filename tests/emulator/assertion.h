/* assertion.h - client assertions, as the login host checks them: whose certificate signed, for whom, when.
 *
 * Threads: any.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_EMULATOR_ASSERTION_H
#define CABFS_EMULATOR_ASSERTION_H

#include "tests/emulator/emu.h"

typedef struct {
  const char *certificates; /* those of the application: PEM, one or more; NULL: none */
  const char *endpoint;     /* the URL that was asked */
  const char *client_id;
  gint64 now; /* Unix seconds */
} EmuAssertionRule;

/* The AADSTS number of what is wrong with @jwt, or 0. */
int emu_assertion_check (const EmuAssertionRule *rule, const char *jwt);

#endif
