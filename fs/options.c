/* SPDX-License-Identifier: MIT */
#include "fs/options.h"

void cab_fs_options_clear (CabFsOptions *options) {
  g_free (options->account);
  g_strfreev (options->deny);
  g_free (options->default_family);
  for (guint i = 0; i < options->n_applications; i++) {
    g_free (options->applications[i].family);
    g_free (options->applications[i].id);
  }
  g_free (options->applications);
  *options = (CabFsOptions){0};
}

void cab_mount_options_clear (CabMountOptions *options) {
  g_free (options->account);
  g_free (options->config_file);
  g_free (options->mountpoint);
  g_free (options->fsname);
  g_free (options->subtype);
  g_strfreev (options->pass_on);
  *options = (CabMountOptions){0};
}
