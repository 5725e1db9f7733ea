/* SPDX-License-Identifier: MIT */
#include "fs/ctl-report.h"

#include "fs/redact.h"

void cab_report (CabReport *self, CabStep step, const char *name, const char *format, ...) {
  static const char *const words[CAB_STEPS] = {"ok", "note", "skipped", "warning", "FAILED"};
  va_list args;
  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  g_autofree char *line = cab_redact_line (text);
  self->count[step]++;
  g_print ("%-8s %s: %s\n", words[step], name, line);
}

void cab_report_advice (const char *advice) {
  if (advice != NULL)
    g_print ("%-8s -> %s\n", "", advice);
}
