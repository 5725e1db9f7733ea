/* SPDX-License-Identifier: MIT */
#include "fs/budget.h"

#include <stdio.h>
#include <string.h>

#include "client/sync.h"

#define STEP_US (5 * G_USEC_PER_SEC)

enum {
  STEPS = 12,         /* a minute */
  PROGRAMS_MAX = 256, /* then those go that have had nothing lately */
};

typedef struct {
  guint64 bytes[STEPS]; /* a ring: of the step numbered n at n % STEPS */
  gint64 last;          /* number of the latest step */
  gboolean told;
} Account;

struct CabBudget {
  pthread_mutex_t lock;
  GHashTable *accounts; /* lock: program, owned, to Account, owned */
};

/* --- programs ----------------------------------------------------------------------------------------------- */

/* The value of @field in /proc/@pid/status, "" if it cannot be read. */
static void read_status (pid_t pid, const char *field, char *value, gsize size) {
  char path[32], line[128];
  g_snprintf (path, sizeof path, "/proc/%d/status", (int) pid);
  value[0] = '\0';
  FILE *file = fopen (path, "re");
  if (file == NULL)
    return;
  gsize len = strlen (field);
  while (value[0] == '\0' && fgets (line, sizeof line, file) != NULL)
    if (strncmp (line, field, len) == 0 && line[len] == ':')
      g_strlcpy (value, g_strchomp (line + len + 1 + strspn (line + len + 1, "\t")), size);
  fclose (file);
}

void cab_program_of (pid_t tid, uid_t uid, char program[CAB_PROGRAM_SIZE]) {
  char group[16] = "", name[24] = "";
  if (tid > 0)
    read_status (tid, "Tgid", group, sizeof group);
  if (group[0] != '\0') /* threads may have names of their own */
    read_status ((pid_t) g_ascii_strtoll (group, NULL, 10), "Name", name, sizeof name);
  g_snprintf (program, CAB_PROGRAM_SIZE, "%s of user %u", name[0] != '\0' ? name : "?", (guint) uid);
}

/* --- accounts ----------------------------------------------------------------------------------------------- */

CabBudget *cab_budget_new (void) {
  CabBudget *self = g_new0 (CabBudget, 1);
  pthread_mutex_init (&self->lock, NULL);
  self->accounts = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  return self;
}

void cab_budget_free (CabBudget *self) {
  if (self == NULL)
    return;
  g_hash_table_unref (self->accounts);
  pthread_mutex_destroy (&self->lock);
  g_free (self);
}

/* Forgets the steps that are over. */
static void go_on (Account *account, gint64 now_us) {
  gint64 step = now_us / STEP_US;
  if (step - account->last >= STEPS)
    memset (account->bytes, 0, sizeof account->bytes);
  else
    for (gint64 n = account->last + 1; n <= step; n++)
      account->bytes[n % STEPS] = 0;
  account->last = MAX (account->last, step);
}

static guint64 sum (const Account *account) {
  guint64 bytes = 0;
  for (guint i = 0; i < STEPS; i++)
    bytes += account->bytes[i];
  return bytes;
}

static gboolean is_idle (gpointer program, gpointer value, gpointer now_us) {
  Account *account = value;
  go_on (account, *(gint64 *) now_us);
  return sum (account) == 0;
}

static Account *account_locked (CabBudget *self, const char *program, gint64 now_us) {
  Account *account = g_hash_table_lookup (self->accounts, program);
  if (account == NULL) {
    if (g_hash_table_size (self->accounts) >= PROGRAMS_MAX)
      g_hash_table_foreach_remove (self->accounts, is_idle, &now_us);
    account = g_new0 (Account, 1);
    account->last = now_us / STEP_US;
    g_hash_table_insert (self->accounts, g_strdup (program), account);
  }
  go_on (account, now_us);
  return account;
}

void cab_budget_charge (CabBudget *self, const char *program, guint64 bytes, gint64 now_us) {
  if (bytes == 0)
    return;
  CAB_LOCK_SCOPE (&self->lock);
  Account *account = account_locked (self, program, now_us);
  account->bytes[account->last % STEPS] += bytes;
}

guint64 cab_budget_spent (CabBudget *self, const char *program, gint64 now_us) {
  CAB_LOCK_SCOPE (&self->lock);
  Account *account = g_hash_table_lookup (self->accounts, program);
  if (account == NULL)
    return 0;
  go_on (account, now_us);
  return sum (account);
}

gboolean cab_budget_is_news (CabBudget *self, const char *program) {
  CAB_LOCK_SCOPE (&self->lock);
  Account *account = g_hash_table_lookup (self->accounts, program);
  gboolean news = account != NULL && !account->told;
  if (news)
    account->told = TRUE;
  return news;
}
