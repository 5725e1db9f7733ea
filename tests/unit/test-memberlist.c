/* What an archive calls its members, and what they are called here.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cache/memberlist.h"

#include "cache/memberpath.h"
#include "client/error.h"
#include "client/records.h"

#include <string.h>

/* --- paths ---------------------------------------------------------------------------------------------------- */

static void test_clean (void) {
  static const struct {
    const char *path;
    const char *clean;
  } cases[] = {
      {"minidump.mdmp", "minidump.mdmp"},
      {"dumps/a b/Gr\xc3\xb6\xc3\x9f"
       "e.dmp",
       "dumps/a b/Gr\xc3\xb6\xc3\x9f"
       "e.dmp"},
      {"../../etc/passwd", "etc/passwd"},
      {"/etc/passwd", "etc/passwd"},
      {"//a//b//", "a/b"},
      {"./a/./../b", "a/b"},
      {"a/..", "a"},
      {"", "unnamed"},
      {"/", "unnamed"},
      {"..", "unnamed"},
      {"../.", "unnamed"},
      {"...", "..."},
      {"..a/.b", "..a/.b"},
      {"C:/x", "C:/x"},
      {"a\nb\x1b[31m\x7f", "a_b_[31m_"},
      {"\xc2\x9b"
       "a",
       "_a"},                                           /* a control sequence in one character */
      {"exe\xe2\x80\xaepmd.x", "exe_pmd.x"},            /* from right to left */
      {"a\xe2\x80\x8b\xe2\x80\xa8", "a__"},             /* not seen; a line's end */
      {"\xff\xfe.dmp", "\xef\xbf\xbd\xef\xbf\xbd.dmp"}, /* no UTF-8: what nobody is to be sent here */
      {".\xe2\x80\x8b.", "._."},
  };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *clean = cab_member_path_clean (cases[i].path);
    g_assert_cmpstr (clean, ==, cases[i].clean);
  }
}

static void test_long_part (void) {
  g_autofree char *stem = g_strnfill (300, 'x');
  g_autofree char *path = g_strconcat ("dir/", stem, ".mdmp", NULL);
  g_autofree char *clean = cab_member_path_clean (path);
  g_assert_cmpuint (strlen (clean), ==, strlen ("dir/") + 255);
  g_assert_true (g_str_has_suffix (clean, "x.mdmp"));
  /* A character is not cut in two. */
  GString *wide = g_string_new (NULL);
  for (guint i = 0; i < 200; i++)
    g_string_append (wide, "\xc3\xb6");
  g_autofree char *text = g_string_free (wide, FALSE);
  g_autofree char *cut = cab_member_path_clean (text);
  g_assert_cmpuint (strlen (cut), ==, 254);
  g_assert_true (g_utf8_validate (cut, -1, NULL));
  /* What is too long for an extension is none. */
  g_autofree char *dotted = g_strconcat ("a.", stem, NULL);
  g_autofree char *shorter = cab_member_path_clean (dotted);
  g_assert_cmpuint (strlen (shorter), ==, 255);
}

static void test_deep (void) {
  GString *text = g_string_new (NULL);
  for (guint i = 0; i < 1000; i++)
    g_string_append_printf (text, "%u/", i);
  g_string_append (text, "end");
  g_autofree char *path = g_string_free (text, FALSE);
  g_autofree char *clean = cab_member_path_clean (path);
  g_auto (GStrv) parts = g_strsplit (clean, "/", -1);
  g_assert_cmpuint (g_strv_length (parts), ==, CAB_MEMBER_DEPTH);
  g_assert_cmpstr (parts[CAB_MEMBER_DEPTH - 1], ==, "end");
  g_assert_cmpstr (parts[CAB_MEMBER_DEPTH - 2], ==, "999");
}

static void test_variant (void) {
  g_autofree char *plain = cab_member_path_variant ("a/minidump.mdmp", 2);
  g_assert_cmpstr (plain, ==, "a/minidump~2.mdmp");
  g_autofree char *bare = cab_member_path_variant ("a.b/c", 17);
  g_assert_cmpstr (bare, ==, "a.b/c~17");
  g_autofree char *hidden = cab_member_path_variant (".stacktrace", 2);
  g_assert_cmpstr (hidden, ==, ".stacktrace~2");
  g_autofree char *stem = g_strnfill (251, 'x');
  g_autofree char *longest = g_strconcat (stem, ".dmp", NULL);
  g_autofree char *fits = cab_member_path_variant (longest, 12345);
  g_assert_cmpuint (strlen (fits), ==, 255);
  g_assert_true (g_str_has_suffix (fits, "x~12345.dmp"));
}

/* --- lists ---------------------------------------------------------------------------------------------------- */

/* A list of members of 10 bytes each, with the ordinals 0, 1, … */
static CabMemberList *make (const char *const *paths, guint count, guint64 limit) {
  CabMemberListBuilder *builder = cab_member_list_begin (limit);
  for (guint i = 0; i < count; i++) {
    const CabMemberEntry entry = {.path = paths[i],
                                  .id = cab_member_id (0, i),
                                  .has_size = TRUE,
                                  .size = 10,
                                  .modified = 1000 + (gint64) i};
    cab_member_list_add (builder, &entry);
  }
  g_autoptr (GError) error = NULL;
  CabMemberList *list = cab_member_list_end (builder, "stamp", &error);
  g_assert_no_error (error);
  return list;
}

static void check (const CabMemberList *list, const char *path, guint ordinal) {
  CabMemberEntry entry;
  guint index;
  g_assert_true (cab_member_list_find (list, path, &index));
  cab_member_list_get (list, index, &entry);
  g_assert_cmpstr (entry.path, ==, path);
  g_assert_cmpuint (cab_member_ordinal (entry.id), ==, ordinal);
  g_assert_cmpuint (entry.size, ==, 10);
  g_assert_cmpint (entry.modified, ==, 1000 + (gint64) ordinal);
}

/* Whatever came in, every path is clean, none is there twice, and none is another's directory. */
static void check_sound (const CabMemberList *list) {
  g_autofree char *before = NULL;
  for (guint i = 0; i < cab_member_list_count (list); i++) {
    CabMemberEntry entry;
    cab_member_list_get (list, i, &entry);
    g_autofree char *again = cab_member_path_clean (entry.path);
    g_assert_cmpstr (again, ==, entry.path);
    g_assert_cmpstr (entry.path, !=, CAB_MEMBER_RESERVED);
    if (before != NULL)
      g_assert_cmpint (strcmp (before, entry.path), <, 0);
    g_assert_false (cab_member_list_has_directory (list, entry.path));
    g_free (before);
    before = g_strdup (entry.path);
  }
}

static void test_list (void) {
  static const char *const paths[] = {"minidump.mdmp", "b/x", "a", "b/c/y", "b-x"};
  g_autoptr (CabMemberList) list = make (paths, G_N_ELEMENTS (paths), G_MAXUINT64);
  g_assert_cmpuint (cab_member_list_count (list), ==, 5);
  for (guint i = 0; i < G_N_ELEMENTS (paths); i++)
    check (list, paths[i], i);
  check_sound (list);
  guint index;
  g_assert_false (cab_member_list_find (list, "b", &index));
  g_assert_false (cab_member_list_find (list, "zz", &index));
  g_assert_cmpuint (cab_member_list_seek (list, "zz"), ==, 5);
  g_assert_true (cab_member_list_has_directory (list, "b"));
  g_assert_true (cab_member_list_has_directory (list, "b/c"));
  g_assert_false (cab_member_list_has_directory (list, "b/x"));
  g_assert_false (cab_member_list_has_directory (list, "b/c/y"));
  g_assert_false (cab_member_list_has_directory (list, "minidump"));
  g_assert_cmpstr (cab_member_list_stamp (list), ==, "stamp");
  g_autoptr (CabMemberList) other = make (paths, 1, G_MAXUINT64);
  g_assert_cmpuint (cab_member_list_version (list), !=, cab_member_list_version (other));
}

static void test_conflicts (void) {
  static const char *const paths[] = {"a.txt",
                                      "a.txt",
                                      "../a.txt",
                                      "a~2.txt",
                                      "dir",
                                      "dir/file",
                                      "dir/file/deeper",
                                      ".stacktrace.txt",
                                      "sub/.stacktrace.txt",
                                      "a~3.txt/x"};
  g_autoptr (CabMemberList) list = make (paths, G_N_ELEMENTS (paths), G_MAXUINT64);
  g_assert_cmpuint (cab_member_list_count (list), ==, G_N_ELEMENTS (paths));
  check_sound (list);
  check (list, "a.txt", 0); /* the first keeps it */
  check (list, "a~2.txt", 3);
  check (list, "dir/file/deeper", 6);
  check (list, "sub/.stacktrace.txt", 8);
  check (list, "a~3.txt/x", 9);
}

/* What takes the longest: everything is called the same, or like what is made up. */
static void test_many_conflicts (void) {
  enum { COUNT = 60000 };
  g_autofree const char **paths = g_new (const char *, COUNT);
  g_autoptr (GPtrArray) owned = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; i < COUNT; i++) {
    if (i % 3 == 0)
      g_ptr_array_add (owned, g_strdup_printf ("x~%u", i));
    paths[i] = i % 3 == 0 ? g_ptr_array_index (owned, owned->len - 1) : i % 3 == 1 ? "x" : "x/y";
  }
  g_autoptr (CabMemberList) list = make (paths, COUNT, G_MAXUINT64);
  g_assert_cmpuint (cab_member_list_count (list), ==, COUNT);
  check_sound (list);
}

static void test_limit (void) {
  static const char *const paths[] = {"c", "b", "a"};
  g_autoptr (CabMemberList) list = make (paths, 3, 25);
  const gboolean beyond[] = {TRUE, FALSE, FALSE}; /* by the order of the archive */
  for (guint i = 0; i < 3; i++) {
    CabMemberEntry entry;
    cab_member_list_get (list, i, &entry);
    g_assert_cmpint (entry.beyond, ==, beyond[i]);
  }
}

static void test_too_much (void) {
  CabMemberListBuilder *builder = cab_member_list_begin (G_MAXUINT64);
  g_autofree char *stem = g_strnfill (200, 'x');
  for (guint i = 0; i < 100000; i++) {
    g_autofree char *path = g_strdup_printf ("%s/%u", stem, i);
    const CabMemberEntry entry = {.path = path, .id = cab_member_id (0, i)};
    cab_member_list_add (builder, &entry);
  }
  g_autoptr (GError) error = NULL;
  g_assert_null (cab_member_list_end (builder, "stamp", &error));
  g_assert_error (error, CAB_ERROR, CAB_ERROR_INVALID);
}

static void test_empty (void) {
  g_autoptr (CabMemberList) list = make (NULL, 0, 0);
  guint index;
  g_assert_cmpuint (cab_member_list_count (list), ==, 0);
  g_assert_false (cab_member_list_find (list, "a", &index));
  g_assert_false (cab_member_list_has_directory (list, "a"));
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/memberpath/clean", test_clean);
  g_test_add_func ("/memberpath/long-part", test_long_part);
  g_test_add_func ("/memberpath/deep", test_deep);
  g_test_add_func ("/memberpath/variant", test_variant);
  g_test_add_func ("/memberlist/list", test_list);
  g_test_add_func ("/memberlist/conflicts", test_conflicts);
  g_test_add_func ("/memberlist/many-conflicts", test_many_conflicts);
  g_test_add_func ("/memberlist/limit", test_limit);
  g_test_add_func ("/memberlist/too-much", test_too_much);
  g_test_add_func ("/memberlist/empty", test_empty);
  return g_test_run ();
}
