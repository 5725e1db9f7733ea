/* SPDX-License-Identifier: MIT */
#include "fs/names.h"

#include <string.h>

static void test_application (void) {
  static const char *const good[] = {"12345678",     "13984104677400476", "10238467886765136388",
                                     "9NBLGGGZ5QDR", "ABCDEFGHIJKL",      "000000000000"};
  static const char *const bad[] = {"",
                                    "1234567",
                                    "102384678867651363889",
                                    "9nblgggz5qdr",
                                    "9NBLGGGZ5QD",
                                    "9NBLGGGZ5QDRX",
                                    "1234567a",
                                    "12345678 ",
                                    " 12345678",
                                    "-12345678",
                                    "1398410467/400476",
                                    ".Trash-1000",
                                    "desktop.ini",
                                    "autorun.inf",
                                    ".git",
                                    "ihvdriver",
                                    "\xd9\xa1\xd9\xa2\xd9\xa3\xd9\xa4\xd9\xa5\xd9\xa6"};
  for (gsize i = 0; i < G_N_ELEMENTS (good); i++)
    if (!cab_name_is_application (good[i]))
      g_error ("refused: %s", good[i]);
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    if (cab_name_is_application (bad[i]))
      g_error ("taken: %s", bad[i]);
}

static void test_failure (void) {
  g_autofree char *longest = g_strnfill (64, '7');
  g_autofree char *too_long = g_strnfill (65, '7');
  g_assert_true (cab_name_is_failure ("1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed"));
  g_assert_true (cab_name_is_failure ("1FD83F6D-9FE0-96EC-2C47-EF08B65CCBED"));
  g_assert_true (cab_name_is_failure ("abcdefghijklmno1"));
  g_assert_true (cab_name_is_failure (longest));
  g_assert_false (cab_name_is_failure (too_long));
  g_assert_false (cab_name_is_failure ("abcdefghijklmn1"));
  g_assert_false (cab_name_is_failure ("abcdefghijklmnop"));
  g_assert_false (cab_name_is_failure ("----------------"));
  g_assert_false (cab_name_is_failure ("1fd83f6d-9fe0-96ec_2c47"));
  g_assert_false (cab_name_is_failure ("1fd83f6d-9fe0-96ec.cab"));
  g_assert_false (cab_name_is_failure ("1fd83f6d-9fe0-96ec\n2c47"));
  g_assert_false (cab_name_is_failure (""));
  g_assert_false (cab_name_is_failure (".directory"));
}

static void test_cab (void) {
  static const char id[] = "fb57b37b-d364-4caf-995b-d99ae651ee18";
  gsize len = 0;
  g_autofree char *name = cab_name_from_cab (id);
  g_assert_cmpstr (name, ==, "fb57b37b-d364-4caf-995b-d99ae651ee18.cab");
  g_assert_true (cab_name_to_cab (name, &len));
  g_assert_cmpuint (len, ==, strlen (id));
  g_assert_true (cab_name_to_cab ("1177.cab.cab", &len));
  g_assert_cmpuint (len, ==, strlen ("1177.cab"));
  static const char *const bad[] = {"",       ".cab",    "x",       "x.CAB",   "x.cab ", "..cab",
                                    ".x.cab", "a/b.cab", "a b.cab", "x.cab.d", "x.cab~", "\xc3\xa4.cab"};
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    if (cab_name_to_cab (bad[i], &len))
      g_error ("taken: %s", bad[i]);
  g_autofree char *longest = g_strnfill (128, 'a');
  g_autofree char *longest_name = cab_name_from_cab (longest);
  g_assert_true (cab_name_to_cab (longest_name, &len));
  g_autofree char *too_long = g_strconcat ("a", longest_name, NULL);
  g_assert_false (cab_name_to_cab (too_long, &len));
}

/* Computed by another program: they must never change, because a mount that is exported or backed up is known by
 * them. */
static void test_inode (void) {
  static const struct {
    const char *path;
    guint64 inode;
  } known[] = {
      {"", G_GUINT64_CONSTANT (0xefd01f60ba992926)},
      {"a", G_GUINT64_CONSTANT (0x82a2a958a9bece5b)},
      {"13984104677400476", G_GUINT64_CONSTANT (0x606024ae1d50812a)},
      {"13984104677400476/1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed", G_GUINT64_CONSTANT (0x26e9da38aa332376)},
      {"13984104677400476/1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed/fb57b37b-d364-4caf-995b-d99ae651ee18.cab",
       G_GUINT64_CONSTANT (0x48947ebe276b6134)},
  };
  for (gsize i = 0; i < G_N_ELEMENTS (known); i++)
    g_assert_cmpuint (cab_name_inode (known[i].path), ==, known[i].inode);
}

/* Of consecutive names the lower halves must differ as chance has it: programs fold inode numbers to 32 bits. */
static void test_inode_spread (void) {
  enum { NAMES = 4096 };
  g_autoptr (GHashTable) whole = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
  g_autoptr (GHashTable) low = g_hash_table_new (NULL, NULL);
  for (guint i = 0; i < NAMES; i++) {
    g_autofree char *path = g_strdup_printf ("13984104677400476/%08u.cab", i);
    guint64 inode = cab_name_inode (path);
    g_hash_table_add (whole, g_memdup2 (&inode, sizeof inode));
    g_hash_table_add (low, GUINT_TO_POINTER ((guint) inode));
  }
  g_assert_cmpuint (g_hash_table_size (whole), ==, NAMES);
  g_assert_cmpuint (g_hash_table_size (low), >, NAMES - 3);
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/names/application", test_application);
  g_test_add_func ("/names/failure", test_failure);
  g_test_add_func ("/names/cab", test_cab);
  g_test_add_func ("/names/inode", test_inode);
  g_test_add_func ("/names/inode-spread", test_inode_spread);
  return g_test_run ();
}
