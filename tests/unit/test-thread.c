/* test-thread.c - threads that begin.
 *
 * SPDX-License-Identifier: MIT
 */
#include "client/thread.h"

#include <dlfcn.h>
#include <glib.h>
#include <locale.h>
#include <string.h>

static pthread_t maker;
static guint made;

/* Stands before that of the C library, which GLib calls for its own locale. */
locale_t newlocale (int mask, const char *name, locale_t base) {
  locale_t (*real) (int mask, const char *name, locale_t base);
  *(void **) &real = dlsym (RTLD_NEXT, "newlocale");
  maker = pthread_self ();
  made++;
  return real (mask, name, base);
}

static void *read_number (void *out) {
  return g_ascii_string_to_unsigned ("100", 10, 0, 1000, out, NULL) ? out : NULL;
}

/* In a process that has read none before. */
static int read_first_number (void) {
  pthread_t thread;
  guint64 number = 0;
  void *read = NULL;
  if (cab_thread_start (&thread, "number", read_number, &number) != 0)
    return 2;
  pthread_join (thread, &read);
  g_assert_true (read != NULL && number == 100);
  g_assert_cmpuint (made, ==, 1);
  g_assert_true (pthread_equal (maker, pthread_self ()));
  return 0;
}

/* GLib's locale is there before there are two threads that could both make it. */
static void test_first_number (void) {
  static char word[] = "number";
  g_autofree char *program = g_file_read_link ("/proc/self/exe", NULL);
  char *argv[] = {program, word, NULL};
  g_autoptr (GError) error = NULL;
  int status;
  g_assert_true (g_spawn_sync (NULL, argv, NULL, 0, NULL, NULL, NULL, NULL, &status, &error));
  g_spawn_check_wait_status (status, &error);
  g_assert_no_error (error);
}

int main (int argc, char **argv) {
  if (argc == 2 && strcmp (argv[1], "number") == 0)
    return read_first_number ();
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/thread/first-number", test_first_number);
  return g_test_run ();
}
