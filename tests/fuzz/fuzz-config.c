/* SPDX-License-Identifier: MIT
 *
 * Command line and configuration.  Lines up to the first empty one are arguments, the rest is the file; the account is
 * "test" where the arguments name none.
 */
#include "client/error.h"
#include "fs/config.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

/* One file for all runs. */
static int config_fd (void) {
  static int fd = -1;
  if (fd < 0)
    fd = memfd_create ("cabfs.conf", MFD_CLOEXEC);
  g_assert_cmpint (fd, >=, 0);
  return fd;
}

static void write_config (const uint8_t *data, size_t size) {
  int fd = config_fd ();
  g_assert_true (ftruncate (fd, 0) == 0);
  g_assert_true (pwrite (fd, data, size, 0) == (ssize_t) size);
}

/* The arguments behind the program's name, up to an empty line. */
static GPtrArray *take_arguments (const uint8_t **data, size_t *size) {
  GPtrArray *argv = g_ptr_array_new_with_free_func (g_free);
  g_ptr_array_add (argv, g_strdup ("cabfs"));
  while (*size > 0) {
    g_autofree char *line = fuzz_line (data, size);
    if (line[0] == '\0')
      break;
    g_ptr_array_add (argv, g_steal_pointer (&line));
  }
  g_ptr_array_add (argv, NULL);
  return argv;
}

/* The command that the arguments are; if they are none, one that mounts "test". */
static void parse_command (GPtrArray *argv, CabCommand *command) {
  g_autoptr (GError) error = NULL;
  g_autofree char **copy = g_memdup2 (argv->pdata, argv->len * sizeof (char *)); /* getopt() sorts */
  if (!cab_command_parse ((int) argv->len - 1, copy, command, &error)) {
    g_assert_error (error, CAB_ERROR, CAB_ERROR_INVALID);
    g_assert_null (command->words);
    command->words = g_new0 (char *, 1);
  }
  if (command->account == NULL) {
    command->account = g_strdup ("test");
    command->mountpoint = g_strdup ("/mnt");
  }
  g_free (command->config_file);
  command->config_file = g_strdup_printf ("/proc/self/fd/%d", config_fd ());
}

static void check_config (const CabConfig *config) {
  g_assert_true (g_path_is_absolute (config->mount.mountpoint));
  g_assert_true (g_path_is_absolute (config->cache.dir));
  g_assert_true (config->fs.deny != NULL && config->mount.pass_on != NULL && config->client.blob_hosts != NULL);
  g_assert_cmpuint (config->client.timeout_ms, >=, 1000);
  g_assert_cmpint (config->cache.keep_s, >, 0);
  g_assert_cmpuint (config->client.retries, >, 0);
  g_assert_cmpuint (config->fs.umask, <=, 0777);
  g_assert_true (g_str_has_prefix (config->client.api_url, "https://") || config->client.allow_http);
  g_assert_true (g_str_has_prefix (config->client.login_url, "https://") || config->client.allow_http);
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size) {
  g_autoptr (GPtrArray) argv = take_arguments (&data, &size);
  write_config (data, size);
  __attribute__ ((cleanup (cab_command_clear))) CabCommand command = {0};
  parse_command (argv, &command);
  g_autoptr (GError) error = NULL;
  g_autoptr (CabConfig) config = cab_config_load (&command, &error);
  if (config != NULL) {
    check_config (config);
  } else {
    g_assert_error (error, CAB_ERROR, CAB_ERROR_INVALID);
    g_assert_null (strchr (error->message, '\n'));
  }
  return 0;
}
