/* ctl-report.h - what `cabfsctl check` says: a line for each step, and what to do where it went wrong.
 *
 *     ok       cache: /home/anna/.cache/cabfs/contoso, 43.1 GiB free
 *     FAILED   token: POST https://…: HTTP status 401: invalid_client: AADSTS7000222: …
 *              -> The client secret has expired: …
 *
 * Secrets are taken out of every line (redact.h), whatever put them there.  One thread.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_CTL_REPORT_H
#define CABFS_FS_CTL_REPORT_H

#include <glib.h>

typedef enum {
  CAB_STEP_OK,
  CAB_STEP_NOTE,
  CAB_STEP_SKIPPED,
  CAB_STEP_WARNING,
  CAB_STEP_FAILED,
  CAB_STEPS
} CabStep;

typedef struct {
  guint count[CAB_STEPS];
} CabReport;

/* A line to stdout. */
void cab_report (CabReport *self, CabStep step, const char *name, const char *format, ...) G_GNUC_PRINTF (4, 5);

/* What to do, below the last line; NULL: nothing is said. */
void cab_report_advice (const char *advice);

#endif
