/* budget.h - what each program has had downloaded in the last minute: the key `budget`.
 *
 * A program is a name and a user: many processes of one name, as a file manager's helpers are, share what they may.
 * Bytes are counted as they come, whoever else reads them later; those that were in the cache cost nothing.
 *
 * Threads: any; one lock, held for no I/O.  Times are monotonic and given by the caller.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_BUDGET_H
#define CABFS_FS_BUDGET_H

#include <glib.h>
#include <sys/types.h>

/* Of the name of a program and its user, with its end: "rsync of user 1000". */
#define CAB_PROGRAM_SIZE 48

/* The program that thread @tid belongs to, by the name of its process: "?" where that cannot be seen. */
void cab_program_of (pid_t tid, uid_t uid, char program[CAB_PROGRAM_SIZE]);

typedef struct CabBudget CabBudget;

CabBudget *cab_budget_new (void);
void cab_budget_free (CabBudget *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabBudget, cab_budget_free)

void cab_budget_charge (CabBudget *self, const char *program, guint64 bytes, gint64 now_us);

/* Bytes of the last minute, to five seconds. */
guint64 cab_budget_spent (CabBudget *self, const char *program, gint64 now_us);

/* TRUE once for each program: somebody should hear of it. */
gboolean cab_budget_is_news (CabBudget *self, const char *program);

#endif
