/* ctl-check-local.c - the steps of `cabfsctl check` that look at this machine.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/upkeep.h"
#include "fs/ctl-check.h"
#include "fs/text.h"

/* --- files -------------------------------------------------------------------------------------------------------- */

static void check_file (CabReport *report, const char *key, const char *path, mode_t refused,
                        const char *what) {
  struct stat st;
  if (path == NULL)
    return;
  if (stat (path, &st) != 0) {
    cab_report (report, CAB_STEP_WARNING, key, "%s: %s", path, g_strerror (errno));
  } else if ((st.st_mode & refused) != 0) {
    cab_report (report, CAB_STEP_WARNING, key, "%s: others can %s it (mode %04o)", path, what,
                (guint) (st.st_mode & 07777));
    cab_report_advice (strcmp (what, "read") == 0 ? "Make it private: chmod 600"
                                                  : "Keep others out: chmod go-w");
  } else {
    cab_report (report, CAB_STEP_OK, key, "%s (mode %04o)", path, (guint) (st.st_mode & 07777));
  }
}

/* The file of the client secret is refused by the client itself where others can read it. */
void cab_check_files (const CabConfig *config, CabReport *report) {
  check_file (report, "configuration file", config->mount.config_file, S_IWGRP | S_IWOTH, "change");
  check_file (report, "token-file", config->client.token.token_file, S_IRWXG | S_IRWXO, "read");
  check_file (report, "ca-file", config->client.ca_file, S_IWGRP | S_IWOTH, "change");
}

/* --- the cache ---------------------------------------------------------------------------------------------------- */

static void report_space (const CabCacheOptions *options, const CabUpkeepLook *look, CabReport *report) {
  guint64 wanted = MAX (options->free_bytes, look->total_bytes / 100 * options->free_percent);
  g_autofree char *space = cab_text_size (look->free_bytes);
  g_autofree char *kept = cab_text_size (wanted);
  if (look->free_bytes > wanted) {
    cab_report (report, CAB_STEP_OK, "cache space", "%s free, of which %s stay so (cache-free)", space, kept);
    return;
  }
  cab_report (report, CAB_STEP_WARNING, "cache space", "%s free, less than the %s that stay so (cache-free)",
              space, kept);
  cab_report_advice (
      "Reads go on, but nothing more is kept: make room, lower cache-free, or set cache-dir to another "
      "file system.");
}

void cab_check_cache (const CabConfig *config, CabReport *report) {
  g_autoptr (GError) error = NULL;
  CabUpkeepLook look;
  const char *dir = config->cache.dir;
  if (!cab_upkeep_look (dir, &look, &error)) {
    cab_report (report, CAB_STEP_FAILED, "cache", "%s", error->message);
  } else if (!look.writable) {
    cab_report (report, CAB_STEP_FAILED, "cache", "%s: %s: %s", dir,
                look.there ? "cannot be written" : "is not there and cannot be made", look.why);
    cab_report_advice ("Set cache-dir to a directory that you can write to, or make this one writable.");
  } else if (look.there && (look.mode & (S_IRWXG | S_IRWXO)) != 0) {
    cab_report (report, CAB_STEP_NOTE, "cache", "%s: mode %04o; the next mount makes it private", dir,
                look.mode);
  } else {
    cab_report (report, CAB_STEP_OK, "cache", "%s%s", dir, look.there ? "" : ", made by the first mount");
  }
  if (error == NULL && look.writable)
    report_space (&config->cache, &look, report);
  g_free (look.why);
}

/* --- the system --------------------------------------------------------------------------------------------------- */

/* Whether a line of @path is @word, or begins with it and has @part behind. */
static gboolean file_says (const char *path, const char *word, const char *part) {
  g_autofree char *text = NULL;
  if (!g_file_get_contents (path, &text, NULL, NULL))
    return FALSE;
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++) {
    g_strstrip (lines[i]);
    if (part == NULL ? strcmp (lines[i], word) == 0
                     : g_str_has_prefix (lines[i], word) && strstr (lines[i], part) != NULL)
      return TRUE;
  }
  return FALSE;
}

static void check_device (CabReport *report) {
  int fd = open ("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (fd >= 0) {
    close (fd);
    cab_report (report, CAB_STEP_OK, "/dev/fuse", "can be opened");
    return;
  }
  cab_report (report, CAB_STEP_FAILED, "/dev/fuse", "%s", g_strerror (errno));
  cab_report_advice (
      "Without it nothing can be mounted: load the module (modprobe fuse), or give the device to the "
      "container.");
}

static void check_helper (CabReport *report) {
  g_autofree char *path = g_find_program_in_path ("fusermount3");
  if (geteuid () == 0 || path != NULL)
    return;
  cab_report (report, CAB_STEP_FAILED, "fusermount3", "is not there, and only root mounts without it");
  cab_report_advice ("Install the package fuse3.");
}

static void check_fuse_conf (const CabConfig *config, CabReport *report) {
  gboolean wanted = config->mount.allow_other || config->mount.allow_root;
  if (file_says ("/etc/fuse.conf", "user_allow_other", NULL))
    cab_report (report, CAB_STEP_OK, "/etc/fuse.conf", "user_allow_other is set");
  else if (wanted && geteuid () != 0)
    cab_report (report, CAB_STEP_WARNING, "/etc/fuse.conf",
                "user_allow_other is not set: allow_other and allow_root will be refused");
  else
    cab_report (report, CAB_STEP_NOTE, "/etc/fuse.conf",
                "user_allow_other is not set: only root may mount with allow_other");
}

static gboolean has_drop_in (void) {
  static const char *const roots[] = {"/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib"};
  for (guint i = 0; i < G_N_ELEMENTS (roots); i++) {
    g_autofree char *path =
        g_strconcat (roots[i], "/systemd/system/plocate-updatedb.service.d/cabfs.conf", NULL);
    if (access (path, F_OK) == 0)
      return TRUE;
  }
  return FALSE;
}

static void check_updatedb (CabReport *report) {
  g_autofree char *program = g_find_program_in_path ("updatedb");
  if (program == NULL && access ("/etc/updatedb.conf", F_OK) != 0)
    cab_report (report, CAB_STEP_OK, "updatedb", "is not there");
  else if (file_says ("/etc/updatedb.conf", "PRUNEFS", "fuse.cabfs"))
    cab_report (report, CAB_STEP_OK, "updatedb", "/etc/updatedb.conf has fuse.cabfs in PRUNEFS");
  else if (has_drop_in ())
    cab_report (report, CAB_STEP_OK, "updatedb",
                "plocate-updatedb.service is told to leave mounts of cabfs out");
  else
    cab_report (
        report, CAB_STEP_NOTE, "updatedb",
        "walks over mounts at night: add fuse.cabfs to PRUNEFS in /etc/updatedb.conf (the key deny refuses "
        "it what is not cached)");
}

void cab_check_system (const CabConfig *config, CabReport *report) {
  check_device (report);
  check_helper (report);
  check_fuse_conf (config, report);
  check_updatedb (report);
}
