/* ctl-check.h - the steps of `cabfsctl check`, in two groups: this machine, and the services.
 *
 * Each step reports for itself.  One thread, which waits as long as it takes.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_FS_CTL_CHECK_H
#define CABFS_FS_CTL_CHECK_H

#include "fs/config.h"
#include "fs/ctl-report.h"

/* Who else can read or change the files that the configuration names. */
void cab_check_files (const CabConfig *config, CabReport *report);

/* FALSE if a proxy has to be gone through and cannot be reached: no host can, then. */
gboolean cab_check_proxy (const CabConfig *config, CabReport *report);

void cab_check_cache (const CabConfig *config, CabReport *report);

/* What a mount needs, and what walks over mounts. */
void cab_check_system (const CabConfig *config, CabReport *report);

/* Credentials, token, clock, lists, and a CAB of each family.  TRUE if bytes of a CAB were read of each family that has
 * any, and of one at least. */
gboolean cab_check_service (const CabConfig *config, gboolean reachable, CabReport *report);

#endif
