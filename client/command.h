/* command.h - runs a shell command for what it prints, on a thread of its own.
 *
 * The command gets /dev/null as input, a process group of its own, no descriptor of ours, and our environment less
 * the secrets that we read from it.  Its output and messages are bounded.
 *
 * Threads: any; `done` runs on the command's thread.  Life: the one who started it frees it, not from `done`.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_COMMAND_H
#define CABFS_CLIENT_COMMAND_H

#include <glib.h>

typedef struct CabCommand CabCommand;

/* @output is wiped after the call.  @error: FAILED with the exit status and what the command said, secrets blotted
 * out; INVALID for too much output; CANCELLED after cab_command_kill(). */
typedef void (*CabCommandDone) (gpointer data, const void *output, gsize len, const GError *error);

CabCommand *cab_command_start (const char *line, CabCommandDone done, gpointer data, GError **error);

/* Kills the process group; `done` comes soon. */
void cab_command_kill (CabCommand *self);

/* Kills it if it still runs, waits for the thread: `done` has run. */
void cab_command_free (CabCommand *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabCommand, cab_command_free)

#endif
