/* SPDX-License-Identifier: MIT */
#include "fs/ctl-check.h"

#include <signal.h>
#include <stdlib.h>

#include "fs/ctl.h"
#include "fs/daemon.h"

/* One try may fail by chance; five of them only keep waiting who wants to know. */
#define TRIES      2
#define TIMEOUT_MS 30000

static void hasten (CabConfig *config) {
  config->client.retries = MIN (config->client.retries, TRIES);
  config->client.timeout_ms = MIN (config->client.timeout_ms, TIMEOUT_MS);
}

static int conclude (const CabReport *report, const char *account, gboolean readable) {
  guint failed = report->count[CAB_STEP_FAILED], warnings = report->count[CAB_STEP_WARNING];
  g_autofree char *more =
      warnings > 0 ? g_strdup_printf (", %u warning%s", warnings, warnings > 1 ? "s" : "") : NULL;
  if (failed == 0 && readable)
    g_print ("\nCABs of %s can be read%s\n", account, more != NULL ? more : "");
  else if (failed == 0)
    g_print ("\nno CAB of %s was there to be read%s\n", account, more != NULL ? more : "");
  else
    g_print ("\n%s: %u step%s FAILED%s\n", account, failed, failed > 1 ? "s" : "", more != NULL ? more : "");
  return failed == 0 && readable ? EXIT_SUCCESS : CAB_EXIT_FAILED;
}

int cab_ctl_check (const CabCtlCommand *command) {
  g_autoptr (GError) error = NULL;
  CabReport report = {0};
  g_autoptr (CabConfig) config = cab_config_load (&command->account, &error);
  if (config == NULL) {
    cab_report (&report, CAB_STEP_FAILED, "configuration", "%s", error->message);
    return conclude (&report, command->account.account, FALSE);
  }
  cab_daemon_harden (FALSE);     /* secrets are in this process */
  cab_log_start (CAB_LOG_ERROR); /* what goes wrong is in the report */
  signal (SIGPIPE, SIG_IGN);     /* of sockets */
  hasten (config);
  cab_report (&report, CAB_STEP_OK, "configuration", "%s, section [%s]", config->mount.config_file,
              config->mount.account);
  cab_check_files (config, &report);
  gboolean reachable = cab_check_proxy (config, &report);
  gboolean readable = cab_check_service (config, reachable, &report);
  cab_check_cache (config, &report);
  cab_check_system (config, &report);
  return conclude (&report, config->mount.account, readable);
}
