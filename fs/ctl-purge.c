/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "cache/upkeep.h"
#include "fs/config.h"
#include "fs/ctl-text.h"
#include "fs/ctl.h"
#include "fs/text.h"

static void add_count (GString *text, guint n, const char *what) {
  if (n > 0)
    g_string_append_printf (text, "%s%u %s%s", text->len > 0 ? ", " : "", n, what, n == 1 ? "" : "s");
}

static void print_report (const char *dir, const CabUpkeepReport *report) {
  g_autoptr (GString) counts = g_string_new (NULL);
  g_autofree char *bytes = cab_text_size (report->bytes);
  g_autofree char *place = cab_ctl_quote (dir);
  add_count (counts, report->cabs, "CAB");
  add_count (counts, report->members, "member");
  add_count (counts, report->lists, "list");
  if (counts->len > 0)
    g_print ("%s: removed %s: %s freed\n", place, counts->str, bytes);
  else
    g_print ("%s: nothing to remove\n", place);
  if (report->open > 0)
    g_print ("%u left because another program has %s open\n", report->open, report->open == 1 ? "it" : "them");
  if (report->kept > 0)
    g_print ("%u left because %s not expired: --all removes %s\n", report->kept,
             report->kept == 1 ? "it has" : "they have", report->kept == 1 ? "it" : "them");
}

int cab_ctl_purge (const CabCtlCommand *command) {
  g_autoptr (GError) error = NULL;
  CabUpkeepReport report;
  g_autoptr (CabConfig) config = cab_config_load (&command->account, &error);
  if (config == NULL) {
    cab_ctl_complain (command, "%s", error->message);
    return CAB_EXIT_USAGE;
  }
  if (!cab_upkeep_purge (config->cache.dir, command->all, config->cache.keep_s, &report, &error)) {
    cab_ctl_complain (command, "%s", error->message);
    return CAB_EXIT_FAILED;
  }
  print_report (config->cache.dir, &report);
  return EXIT_SUCCESS;
}
