/* SPDX-License-Identifier: MIT
 *
 * cabfsctl COMMAND …: what is wanted besides mounting.  A command is a file of its own, ctl-<command>.c.
 */
#include "fs/ctl.h"

#include <locale.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "fs/daemon.h"

void cab_ctl_complain (const CabCtlCommand *command, const char *format, ...) {
  guint n;
  va_list args;
  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  g_printerr ("cabfsctl: %s: %s\n", cab_ctl_entries (&n)[command->verb].name, text);
}

static int run (const CabCtlCommand *command) {
  static int (*const runs[CAB_CTL_VERBS]) (const CabCtlCommand *command) = {
      [CAB_CTL_CHECK] = cab_ctl_check,     [CAB_CTL_FETCH] = cab_ctl_fetch,   [CAB_CTL_PURGE] = cab_ctl_purge,
      [CAB_CTL_REFRESH] = cab_ctl_refresh, [CAB_CTL_STATUS] = cab_ctl_status,
  };
  umask (077);
  return runs[command->verb](command);
}

int main (int argc, char **argv) {
  cab_daemon_hold_standard ();
  setlocale (LC_CTYPE, "");
  g_autoptr (GError) error = NULL;
  __attribute__ ((cleanup (cab_ctl_command_clear))) CabCtlCommand command = {0};
  if (!cab_ctl_parse (argc, argv, &command, &error)) {
    g_printerr ("cabfsctl: %s\n", error->message);
    return CAB_EXIT_USAGE;
  }
  if (command.help) {
    g_autofree char *text = cab_ctl_help ();
    g_print ("%s", text);
  } else if (command.version) {
    g_print ("cabfsctl %s\n", CABFS_VERSION);
  } else {
    return run (&command);
  }
  return EXIT_SUCCESS;
}
