/* login.h - the access tokens the emulator has given out.
 *
 * Threads: any.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_EMULATOR_LOGIN_H
#define CABFS_EMULATOR_LOGIN_H

#include "tests/emulator/faults.h"

EmuTokens *emu_tokens_new (void);
void emu_tokens_free (EmuTokens *self);

/* A token that lives @life seconds; new text. */
char *emu_tokens_issue (EmuTokens *self, gint64 life);
/* Whether @token lives and was not revoked. */
gboolean emu_tokens_valid (EmuTokens *self, const char *token);
/* None of the tokens given out so far is valid any more. */
void emu_tokens_revoke (EmuTokens *self);

/* What the fault "token" makes of @answer, which gives a token; @fault may be NULL. */
void emu_login_apply_fault (const EmuFault *fault, json_t *answer);

#endif
