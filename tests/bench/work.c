/* cabfs-bench-work: what programs do with files, timed where it happens.
 *
 *   cabfs-bench-work read FILE [THREADS]                 all of it in blocks of 256 KiB, by each thread
 *   cabfs-bench-work read-all FILE…                      each FILE by a thread of its own
 *   cabfs-bench-work random FILE COUNT BLOCK SEED        COUNT reads of BLOCK bytes at random places, one by one
 *   cabfs-bench-work misses FILE COUNT BLOCK THREADS     the same by threads that share the places; no read-ahead
 *   cabfs-bench-work first FILE                          open and the first 4 KiB
 *   cabfs-bench-work stat DIRECTORY                      every name in it
 *   cabfs-bench-work missing DIRECTORY COUNT             names that are not there
 *   cabfs-bench-work exec COMMAND…                       a program, its output thrown away
 *   cabfs-bench-work warm MIB                            touches so much memory, so that it is there
 *
 * Prints {"seconds", "count"}: bytes read, names looked at, memory touched.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/bench/places.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCK ((gsize) 256 << 10)
#define PAGE  4096

static gint64 started;

G_NORETURN static void die (const char *what) {
  fprintf (stderr, "cabfs-bench-work: %s: %s\n", what, g_strerror (errno));
  exit (1);
}

static void start_clock (void) {
  started = g_get_monotonic_time ();
}

static void tell (guint64 count) {
  printf ("{\"seconds\": %.6f, \"count\": %" G_GUINT64_FORMAT "}\n",
          (double) (g_get_monotonic_time () - started) / G_USEC_PER_SEC, count);
}

static int open_file (const char *path) {
  int fd = open (path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    die (path);
  return fd;
}

static char *buffer_new (gsize size) {
  char *buffer = aligned_alloc (PAGE, size);
  memset (buffer, 0, size); /* its pages are not part of what is timed */
  return buffer;
}

/* --- reads --------------------------------------------------------------------------------------------------- */

typedef struct {
  const char *path;
  char *buffer;
  guint64 bytes;
} Reader;

static gpointer reader_main (gpointer data) {
  Reader *self = data;
  int fd = open_file (self->path);
  gssize n;
  while ((n = read (fd, self->buffer, BLOCK)) > 0)
    self->bytes += (guint64) n;
  if (n < 0)
    die (self->path);
  close (fd);
  return NULL;
}

static void work_read (char **paths, guint threads) {
  g_autofree Reader *readers = g_new0 (Reader, threads);
  g_autofree GThread **running = g_new0 (GThread *, threads);
  guint64 bytes = 0;
  for (guint i = 0; i < threads; i++)
    readers[i] = (Reader){paths[i], buffer_new (BLOCK), 0};
  start_clock ();
  for (guint i = 0; i < threads; i++)
    running[i] = g_thread_new ("reader", reader_main, &readers[i]);
  for (guint i = 0; i < threads; i++) {
    g_thread_join (running[i]);
    bytes += readers[i].bytes;
    free (readers[i].buffer);
  }
  tell (bytes);
}

static void work_read_one (char *path, guint threads) {
  g_autofree char **paths = g_new (char *, threads);
  for (guint i = 0; i < threads; i++)
    paths[i] = path;
  work_read (paths, threads);
}

static void read_place (int fd, char *buffer, gsize block, guint64 at) {
  if (pread (fd, buffer, block, (off_t) at) != (gssize) block)
    die ("a read at a random place");
}

static guint64 size_of (int fd) {
  struct stat st;
  if (fstat (fd, &st) < 0)
    die ("fstat");
  return (guint64) st.st_size;
}

static void work_random (const char *path, guint count, gsize block, guint32 seed) {
  char *buffer = buffer_new (block);
  start_clock ();
  int fd = open_file (path);
  g_autofree guint64 *places = places_new (size_of (fd), block, count, seed);
  for (guint i = 0; i < count; i++)
    read_place (fd, buffer, block, places[i]);
  tell (count * block);
  close (fd);
  free (buffer);
}

typedef struct {
  int fd;
  guint64 *places;
  guint count;
  gsize block;
  atomic_uint next;
} Misses;

static gpointer misses_main (gpointer data) {
  Misses *self = data;
  char *buffer = buffer_new (self->block);
  for (guint i; (i = atomic_fetch_add (&self->next, 1)) < self->count;)
    read_place (self->fd, buffer, self->block, self->places[i]);
  free (buffer);
  return NULL;
}

static void work_misses (const char *path, guint count, gsize block, guint threads) {
  Misses misses = {.fd = open_file (path), .count = count, .block = block};
  g_autofree GThread **running = g_new0 (GThread *, threads);
  misses.places = places_new (size_of (misses.fd), block, count, 1);
  posix_fadvise (misses.fd, 0, 0, POSIX_FADV_RANDOM);
  start_clock ();
  for (guint i = 0; i < threads; i++)
    running[i] = g_thread_new ("misses", misses_main, &misses);
  for (guint i = 0; i < threads; i++)
    g_thread_join (running[i]);
  tell (count * block);
  close (misses.fd);
  g_free (misses.places);
}

static void work_first (const char *path) {
  char *buffer = buffer_new (PAGE);
  start_clock ();
  int fd = open_file (path);
  gssize n = read (fd, buffer, PAGE);
  if (n < 0)
    die (path);
  tell ((guint64) n);
  close (fd);
  free (buffer);
}

/* --- names --------------------------------------------------------------------------------------------------- */

static GPtrArray *names_in (const char *path) {
  GPtrArray *names = g_ptr_array_new_with_free_func (g_free);
  DIR *dir = opendir (path);
  if (dir == NULL)
    die (path);
  for (struct dirent *entry; (entry = readdir (dir)) != NULL;)
    g_ptr_array_add (names, g_strdup (entry->d_name));
  closedir (dir);
  return names;
}

static void work_stat (const char *path) {
  g_autoptr (GPtrArray) names = names_in (path);
  int dir = open (path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  struct stat st;
  start_clock ();
  for (guint i = 0; i < names->len; i++)
    if (fstatat (dir, names->pdata[i], &st, AT_SYMLINK_NOFOLLOW) < 0)
      die (names->pdata[i]);
  tell (names->len);
  close (dir);
}

static void work_missing (const char *path, guint count) {
  int dir = open (path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  struct stat st;
  char name[64];
  start_clock ();
  for (guint i = 0; i < count; i++) {
    g_snprintf (name, sizeof name, "missing-%u.tmp", i % 100); /* programs ask for the same few names again */
    if (fstatat (dir, name, &st, 0) == 0 || errno != ENOENT)
      die (name);
  }
  tell (count);
  close (dir);
}

static void work_exec (char **command) {
  posix_spawn_file_actions_t actions;
  pid_t pid;
  int status = 0;
  posix_spawn_file_actions_init (&actions);
  posix_spawn_file_actions_addopen (&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  start_clock ();
  errno = posix_spawnp (&pid, command[0], &actions, NULL, command, environ);
  if (errno != 0 || waitpid (pid, &status, 0) < 0)
    die (command[0]);
  posix_spawn_file_actions_destroy (&actions);
  if (!WIFEXITED (status) || WEXITSTATUS (status) != 0) {
    fprintf (stderr, "cabfs-bench-work: %s failed\n", command[0]);
    exit (1);
  }
  tell (0);
}

static void work_warm (gsize mib) {
  start_clock ();
  char *memory =
      mmap (NULL, mib << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED)
    die ("mmap");
  tell (mib << 20);
}

static guint number (const char *text) {
  return (guint) strtoul (text, NULL, 10);
}

int main (int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "";
  if (strcmp (what, "read") == 0 && argc >= 3)
    work_read_one (argv[2], argc > 3 ? number (argv[3]) : 1);
  else if (strcmp (what, "read-all") == 0 && argc >= 3)
    work_read (argv + 2, (guint) argc - 2);
  else if (strcmp (what, "random") == 0 && argc == 6)
    work_random (argv[2], number (argv[3]), number (argv[4]), number (argv[5]));
  else if (strcmp (what, "misses") == 0 && argc == 6)
    work_misses (argv[2], number (argv[3]), number (argv[4]), number (argv[5]));
  else if (strcmp (what, "first") == 0 && argc == 3)
    work_first (argv[2]);
  else if (strcmp (what, "stat") == 0 && argc == 3)
    work_stat (argv[2]);
  else if (strcmp (what, "missing") == 0 && argc == 4)
    work_missing (argv[2], number (argv[3]));
  else if (strcmp (what, "exec") == 0 && argc > 2)
    work_exec (argv + 2);
  else if (strcmp (what, "warm") == 0 && argc == 3)
    work_warm (number (argv[2]));
  else {
    fprintf (stderr, "cabfs-bench-work: see the head of tests/bench/work.c\n");
    return 2;
  }
  return 0;
}
