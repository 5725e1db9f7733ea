/* cabfs-load-readers - many programs that read a mount at a time, as one program of many threads.
 *
 *   cabfs-load-readers THREADS SECONDS SEED <TABLE
 *
 * A line of the table is a CAB: its path, its size, and the CRC-32 of each of its blocks of BLOCK bytes, all separated by
 * blanks.  Each thread opens CABs by chance, reads them wholly, or some of their blocks, also past the kernel's pages, or
 * looks at their size, and compares.  Once a second, and at the end, a line tells what all have done since the
 * beginning: "SECONDS looks N bytes N slowest-ms N wrong N" and then "ERRNO N" for each error that there was.
 *
 * Ends with status 1 when something was wrong: then standard error tells what.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/sync.h"

#define BLOCK      65536u
#define MAX_ERRORS 256
#define MAX_BLOCKS 8u /* that one look reads */

typedef struct {
  char *path;
  guint64 size;
  guint32 *sums; /* of its blocks */
} Cab;

/* Set before the threads start. */
static Cab *all_cabs;
static guint n_cabs;
static gint64 end_us;
static guint32 crc_table[256];

static atomic_ullong looks, bytes_read, slowest_us, wrong;
static atomic_uint errors[MAX_ERRORS]; /* by errno */

/* --- CRC-32 ------------------------------------------------------------------------------------------------- */

static void crc_init (void) {
  for (guint32 i = 0; i < 256; i++) {
    guint32 value = i;
    for (guint bit = 0; bit < 8; bit++)
      value = (value >> 1) ^ ((value & 1) != 0 ? 0xedb88320u : 0);
    crc_table[i] = value;
  }
}

static guint32 crc_of (const guchar *bytes, gsize len) {
  guint32 value = 0xffffffffu;
  for (gsize i = 0; i < len; i++)
    value = (value >> 8) ^ crc_table[(value ^ bytes[i]) & 0xff];
  return ~value;
}

/* --- the table ---------------------------------------------------------------------------------------------- */

static guint blocks_of (const Cab *cab) {
  return (guint) ((cab->size + BLOCK - 1) / BLOCK);
}

static gboolean parse_cab (char *line, Cab *cab) {
  g_auto (GStrv) words = g_strsplit (g_strstrip (line), " ", -1);
  if (g_strv_length (words) < 2)
    return FALSE;
  cab->path = g_strdup (words[0]);
  cab->size = g_ascii_strtoull (words[1], NULL, 10);
  if (g_strv_length (words) != blocks_of (cab) + 2)
    return FALSE;
  cab->sums = g_new (guint32, blocks_of (cab) + 1);
  for (guint i = 0; i < blocks_of (cab); i++)
    cab->sums[i] = (guint32) g_ascii_strtoull (words[i + 2], NULL, 10);
  return TRUE;
}

static gboolean read_table (void) {
  char *line = NULL;
  gsize room = 0;
  gboolean good = TRUE;
  while (good && getline (&line, &room, stdin) > 0) {
    all_cabs = g_renew (Cab, all_cabs, n_cabs + 1);
    good = parse_cab (line, &all_cabs[n_cabs]);
    n_cabs += good ? 1 : 0;
  }
  free (line);
  return good && n_cabs > 0;
}

/* --- looks -------------------------------------------------------------------------------------------------- */

static void note_error (const Cab *cab, const char *what) {
  int number = errno;
  atomic_fetch_add (&errors[number < MAX_ERRORS ? number : 0], 1);
  fprintf (stderr, "%s %s: %s\n", what, cab->path, g_strerror (number));
}

static void note_wrong (const Cab *cab, guint64 off, const char *what) {
  atomic_fetch_add (&wrong, 1);
  fprintf (stderr, "WRONG: %s at %" G_GUINT64_FORMAT ": %s\n", cab->path, off, what);
}

/* FALSE if nothing more is to be had of it. */
static gboolean read_block (const Cab *cab, int fd, guint block, guchar *buffer) {
  guint64 off = (guint64) block * BLOCK;
  gsize len = (gsize) MIN (BLOCK, cab->size - off), got = 0;
  while (got < len) {
    gssize n = pread (fd, buffer + got, len - got, (off_t) (off + got));
    if (n < 0) {
      note_error (cab, "read");
      return FALSE;
    }
    if (n == 0) {
      note_wrong (cab, off + got, "it ends");
      return FALSE;
    }
    got += (gsize) n;
  }
  atomic_fetch_add (&bytes_read, len);
  if (crc_of (buffer, len) != cab->sums[block])
    note_wrong (cab, off, "other bytes");
  return TRUE;
}

static void read_cab (const Cab *cab, GRand *chance, guchar *buffer) {
  int fd = open (cab->path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    note_error (cab, "open");
    return;
  }
  struct stat st;
  if (fstat (fd, &st) == 0 && (guint64) st.st_size != cab->size)
    note_wrong (cab, (guint64) st.st_size, "is its size");
  if (g_rand_boolean (chance))
    posix_fadvise (fd, 0, 0, POSIX_FADV_DONTNEED);
  guint n = blocks_of (cab), first = 0, count = n;
  if (n > 1 && g_rand_boolean (chance)) {
    first = (guint) g_rand_int_range (chance, 0, (gint32) n);
    guint most = (guint) g_rand_int_range (chance, 1, MAX_BLOCKS + 1);
    count = MIN (n - first, most);
  }
  for (guint i = 0; i < count; i++)
    if (!read_block (cab, fd, first + i, buffer))
      break;
  close (fd);
}

static void look_at (const Cab *cab) {
  struct stat st;
  if (stat (cab->path, &st) < 0)
    note_error (cab, "stat");
  else if ((guint64) st.st_size != cab->size)
    note_wrong (cab, (guint64) st.st_size, "is its size");
}

static void *reader (void *data) {
  GRand *chance = data;
  g_autofree guchar *buffer = g_malloc (BLOCK);
  for (;;) {
    gint64 begin_us = g_get_monotonic_time ();
    if (begin_us >= end_us)
      break;
    const Cab *cab = &all_cabs[g_rand_int_range (chance, 0, (gint32) n_cabs)];
    if (g_rand_int_range (chance, 0, 5) == 0)
      look_at (cab);
    else
      read_cab (cab, chance, buffer);
    atomic_fetch_add (&looks, 1);
    guint64 took_us = (guint64) (g_get_monotonic_time () - begin_us);
    unsigned long long slowest = atomic_load (&slowest_us);
    while (took_us > slowest && !atomic_compare_exchange_weak (&slowest_us, &slowest, took_us))
      ;
  }
  g_rand_free (chance);
  return NULL;
}

/* --- telling ------------------------------------------------------------------------------------------------ */

static void tell (guint second) {
  printf ("%u looks %llu bytes %llu slowest-ms %llu wrong %llu", second, atomic_load (&looks),
          atomic_load (&bytes_read), atomic_load (&slowest_us) / 1000, atomic_load (&wrong));
  for (guint i = 0; i < MAX_ERRORS; i++)
    if (atomic_load (&errors[i]) > 0)
      printf (" %u %u", i, atomic_load (&errors[i]));
  printf ("\n");
  fflush (stdout);
}

int main (int argc, char **argv) {
  guint n_threads = argc == 4 ? (guint) atoi (argv[1]) : 0;
  guint seconds = argc == 4 ? (guint) atoi (argv[2]) : 0;
  if (n_threads == 0 || seconds == 0 || !read_table ()) {
    fprintf (stderr, "usage: cabfs-load-readers THREADS SECONDS SEED <TABLE\n");
    return 2;
  }
  crc_init ();
  end_us = g_get_monotonic_time () + (gint64) seconds * G_USEC_PER_SEC;
  g_autofree pthread_t *threads = g_new (pthread_t, n_threads);
  pthread_attr_t attr;
  pthread_attr_init (&attr);
  pthread_attr_setstacksize (&attr, 256 * 1024);
  for (guint i = 0; i < n_threads; i++) {
    GRand *chance = g_rand_new_with_seed ((guint32) atoi (argv[3]) + i);
    if (pthread_create (&threads[i], &attr, reader, chance) != 0) {
      fprintf (stderr, "cabfs-load-readers: no thread %u\n", i);
      return 2;
    }
  }
  pthread_attr_destroy (&attr);
  for (guint second = 1; second <= seconds; second++) {
    sleep (1);
    tell (second);
  }
  for (guint i = 0; i < n_threads; i++)
    pthread_join (threads[i], NULL);
  tell (seconds);
  for (guint i = 0; i < n_cabs; i++) {
    g_free (all_cabs[i].path);
    g_free (all_cabs[i].sums);
  }
  g_free (all_cabs);
  return atomic_load (&wrong) == 0 ? 0 : 1;
}
