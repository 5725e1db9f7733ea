/* SPDX-License-Identifier: MIT
 *
 * cabfs ACCOUNT MOUNTPOINT: starts client, cache, tree and session, in this order, and stops them when the mount is
 * gone.
 */
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cache/cache.h"
#include "client/client.h"
#include "client/error.h"
#include "fs/command.h"
#include "fs/config.h"
#include "fs/daemon.h"
#include "fs/herald.h"
#include "fs/log.h"
#include "fs/ops.h"
#include "fs/reload.h"
#include "fs/sdnotify.h"
#include "fs/session.h"

enum {
  EXIT_CANNOT = 1, /* the mount cannot start, or did not end as it should */
  EXIT_USAGE = 2,  /* command line or configuration */
};

/* Everything that runs, in the order of its making. */
typedef struct {
  const CabCommand *command;
  const CabConfig *config;
  CabDaemon *daemon;         /* NULL in the foreground */
  const CabSdNotify *notify; /* NULL where nobody wants to know */
  CabClient *client;
  CabCache *cache;
  CabFs *fs;
  CabSession *session;
  CabHerald *herald;
  CabReload *reload;
} Parts;

static int complain (const GError *error, int status) {
  g_printerr ("cabfs: %s\n", error->message);
  return status;
}

/* What the client will not have of its options is a matter of the configuration. */
static int complain_of_client (const CabConfig *config, const GError *error) {
  gboolean configured = g_error_matches (error, CAB_ERROR, CAB_ERROR_INVALID) ||
                        g_error_matches (error, CAB_ERROR, CAB_ERROR_DENIED);
  g_printerr ("cabfs: %s: [%s]: %s\n", config->mount.config_file, config->mount.account, error->message);
  return configured ? EXIT_USAGE : EXIT_CANNOT;
}

static int complain_of_cache (const CabConfig *config, const GError *error) {
  g_printerr ("cabfs: %s: [%s]: cache-dir: %s\n", config->mount.config_file, config->mount.account,
              error->message);
  return EXIT_CANNOT;
}

static char *where_mounted (const CabConfig *config) {
  return g_strdup_printf ("%s is mounted at %s", config->mount.account, config->mount.mountpoint);
}

static int make_layers (Parts *parts) {
  g_autoptr (GError) error = NULL;
  const CabConfig *config = parts->config;
  parts->client = cab_client_new (&config->client, &error);
  if (parts->client == NULL)
    return complain_of_client (config, error);
  parts->cache = cab_cache_new (&config->cache, parts->client, &error);
  if (parts->cache == NULL)
    return complain_of_cache (config, error);
  parts->fs = cab_fs_new (parts->cache, &config->fs);
  parts->session = cab_session_new (&config->mount, cab_fs_operations (), parts->fs, &error);
  if (parts->session == NULL)
    return complain (error, EXIT_CANNOT);
  cab_fs_attach (parts->fs, cab_session_fuse (parts->session));
  g_autofree char *idle = where_mounted (config);
  parts->herald = cab_herald_new (parts->notify, parts->fs, idle, &error);
  if (parts->herald == NULL)
    return complain (error, EXIT_CANNOT);
  cab_fs_set_waits_func (parts->fs, cab_herald_wake, parts->herald);
  cab_session_on_usr1 (parts->session, cab_herald_dump, parts->herald);
  const CabReloadParts watched = {parts->command, config, parts->client, parts->cache, parts->fs};
  parts->reload = cab_reload_new (&watched, &error);
  return parts->reload != NULL ? EXIT_SUCCESS : complain (error, EXIT_CANNOT);
}

static void mount_is_ready (gpointer data) {
  Parts *parts = data;
  if (parts->daemon != NULL)
    cab_daemon_ready (parts->daemon);
  g_autofree char *status = where_mounted (parts->config);
  cab_sdnotify_ready (parts->notify, status);
  g_message ("%s", status);
}

static int serve (Parts *parts) {
  g_autoptr (GError) error = NULL;
  if (!cab_session_mount (parts->session, mount_is_ready, parts, &error))
    return complain (error, EXIT_CANNOT);
  cab_cache_begin (parts->cache);
  gboolean ok = cab_session_run (parts->session, &error);
  cab_herald_stop (parts->herald); /* what it would tell now would take the place of the line below */
  cab_sdnotify_stopping (parts->notify, ok ? "Unmounting" : error->message);
  if (ok)
    return EXIT_SUCCESS;
  g_critical ("the mount ends: %s", error->message);
  return EXIT_CANNOT;
}

/* Stopping the cache answers the requests that still wait, while the kernel still listens; then the file system closes
 * what is open, which the cache has to be there for; the session, which all requests belong to, goes last. */
static void end (Parts *parts) {
  cab_reload_stop (parts->reload);
  if (parts->cache != NULL)
    cab_cache_stop (parts->cache);
  if (parts->fs != NULL)
    cab_fs_detach (parts->fs);
  if (parts->session != NULL)
    cab_session_unmount (parts->session);
  cab_herald_free (parts->herald);
  cab_fs_free (parts->fs);
  cab_cache_free (parts->cache);
  cab_client_free (parts->client);
  cab_session_free (parts->session);
  cab_reload_free (parts->reload);
}

static int run (const CabCommand *command, const CabConfig *config, CabDaemon *daemon,
                const CabSdNotify *notify) {
  Parts parts = {.command = command, .config = config, .daemon = daemon, .notify = notify};
  int status = make_layers (&parts);
  if (status == EXIT_SUCCESS)
    status = serve (&parts);
  end (&parts);
  return status;
}

static int start (const CabCommand *command, const CabConfig *config) {
  g_autoptr (GError) error = NULL;
  if (!cab_session_check_mountpoint (config->mount.mountpoint, &error))
    return complain (error, EXIT_CANNOT);
  cab_log_start (config->mount.log_level);
  signal (SIGPIPE, SIG_IGN);
  umask (077);
  g_autoptr (CabDaemon) daemon = NULL;
  g_autoptr (CabSdNotify) notify = cab_sdnotify_new ();
  if (!config->mount.foreground) {
    /* A manager waits for the process that it started, which is about to leave; and whoever runs mount(8), an
     * automounter for one, may have a manager of its own. */
    g_clear_pointer (&notify, cab_sdnotify_free);
    daemon = cab_daemon_fork (&error);
    if (daemon == NULL)
      return complain (error, EXIT_CANNOT);
  }
  cab_daemon_harden (config->mount.debug);
  return run (command, config, daemon, notify);
}

/* libcurl brings libgnutls along for protocols that are never spoken here (the TLS is OpenSSL's), and that library starts
 * itself when it is loaded: a tenth of the memory of an idle mount.  It asks this function first; libcurl built on
 * GnuTLS starts it by itself. */
/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the name is theirs. */
int _gnutls_global_init_skip (void);
__attribute__ ((visibility ("default"))) int _gnutls_global_init_skip (void) {
  return 1;
}
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

int main (int argc, char **argv) {
  cab_daemon_hold_standard ();
  setlocale (LC_CTYPE, "");
  g_autoptr (GError) error = NULL;
  __attribute__ ((cleanup (cab_command_clear))) CabCommand command = {0};
  if (!cab_command_parse (argc, argv, &command, &error))
    return complain (error, EXIT_USAGE);
  if (command.help) {
    g_autofree char *text = cab_command_help ();
    g_print ("%s", text);
    return EXIT_SUCCESS;
  }
  if (command.version) {
    g_print ("cabfs %s\n", CABFS_VERSION);
    return EXIT_SUCCESS;
  }
  g_autoptr (CabConfig) config = cab_config_load (&command, &error);
  if (config == NULL)
    return complain (error, EXIT_USAGE);
  return start (&command, config);
}
