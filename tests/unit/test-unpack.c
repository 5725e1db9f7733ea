/* What the worker makes of archives: good ones of every kind, and hostile ones.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/unit/unpack-rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#if defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define WITH_SANITIZER 1
#endif
#endif
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define WITH_SANITIZER 1
#endif
#ifndef WITH_SANITIZER
#define WITH_SANITIZER 0
#endif

#define LIMIT (G_GUINT64_CONSTANT (16) << 30)
#define ANY   G_MAXUINT64

static CabUnpacker *unpacker; /* of all tests here: what one leaves behind, others may meet */

static void check_list (GBytes *archive, const char *expected) {
  RUN (run, archive);
  run_list (&run, unpacker);
  run_assert_ok (&run);
  g_assert_cmpstr (run.members->str, ==, expected);
}

static void check_list_error (GBytes *archive, const char *words) {
  RUN (run, archive);
  run_list (&run, unpacker);
  run_assert_error (&run, CAB_ERROR_INVALID, words);
}

/* That a member is the pattern. */
static void check_member (GBytes *archive, guint outer, guint ordinal, gsize size) {
  RUN (run, archive);
  run_extract (&run, unpacker, outer, ordinal, size);
  run_assert_ok (&run);
  g_assert_cmpuint (run.result, ==, size);
  g_assert_cmpuint (run.written, ==, size);
  g_autoptr (GBytes) result = run_result (&run);
  g_autoptr (GBytes) right = rig_pattern (size);
  g_assert_true (g_bytes_equal (result, right));
}

static void check_member_error (GBytes *archive, guint outer, guint ordinal, const char *words) {
  RUN (run, archive);
  run_extract (&run, unpacker, outer, ordinal, ANY);
  run_assert_error (&run, CAB_ERROR_INVALID, words);
}

static void check_md5 (GBytes *archive, guint outer, guint ordinal, const char *md5) {
  RUN (run, archive);
  run_extract (&run, unpacker, outer, ordinal, ANY);
  run_assert_ok (&run);
  g_autoptr (GBytes) result = run_result (&run);
  g_autofree char *sum = g_compute_checksum_for_bytes (G_CHECKSUM_MD5, result);
  g_assert_cmpstr (sum, ==, md5);
}

/* --- good archives ------------------------------------------------------------------------------------------ */

static void check_four (const char *name) {
  check_list (rig_made (name),
              "0/0 200000 minidump.mdmp\n0/1 150 sub/info.xml\n0/2 0 empty\n0/3 70000 last.bin\n");
  check_member (rig_made (name), 0, 0, 200000);
  check_member (rig_made (name), 0, 1, 150);
  check_member (rig_made (name), 0, 2, 0);
  check_member (rig_made (name), 0, 3, 70000);
}

static void test_formats (gconstpointer name) {
  check_four (name);
}

/* What is passed over may not change what comes after it. */
static void test_folders (void) {
  static const gsize sizes[] = {40000, 10, 70000, 0, 5, 33000, 100000};
  check_list (rig_made ("folders.cab"),
              "0/0 40000 a\n0/1 10 b\n0/2 70000 c\n0/3 0 d\n0/4 5 e\n0/5 33000 f\n0/6 100000 g\n");
  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    check_member (rig_made ("folders.cab"), 0, i, sizes[i]);
}

static void test_cabinet_in_zip (void) {
  check_list (rig_made ("inner.zip"),
              "0/0 4 read.me\n"
              "0/1 232385 first.cab\n"
              "2/0 200000 minidump.mdmp\n2/1 150 sub/info.xml\n2/2 0 empty\n2/3 70000 last.bin\n"
              "0/2 237745 SECOND.CAB\n"
              "3/0 40000 a\n3/1 10 b\n3/2 70000 c\n3/3 0 d\n3/4 5 e\n3/5 33000 f\n3/6 100000 g\n"
              "0/3 10 text.cab\n"
              "0/4 100 broken.cab\n"
              "0/5 232737 deeper.zip\n"
              "0/6 976 liar.cab\n7/0 1000000 a\n");
  check_member (rig_made ("inner.zip"), 2, 0, 200000);
  check_member (rig_made ("inner.zip"), 2, 3, 70000);
  check_member (rig_made ("inner.zip"), 3, 6, 100000);
  RUN (whole, rig_made ("inner.zip"));
  run_extract (&whole, unpacker, 0, 1, ANY);
  run_assert_ok (&whole);
  g_autoptr (GBytes) result = run_result (&whole);
  g_autoptr (GBytes) right = rig_made ("mszip.cab");
  g_assert_true (g_bytes_equal (result, right));
  check_member_error (rig_made ("inner.zip"), 1, 0, "*no cabinet*");
  check_member_error (rig_made ("inner.zip"), 4, 0, "*no cabinet*");
  check_member_error (rig_made ("inner.zip"), 5, 0, "*");
  check_member_error (rig_made ("inner.zip"), 6, 0, "*no cabinet*");
  check_member_error (rig_made ("inner.zip"), 100, 0, "*not in the archive*");
}

#define DUMP_MD5 "99b81719acc5c40b9cb0feed22d43005"
#define XML_MD5  "1df9ddf2931afd49eb1d04e50e3e393d"
#define CAB_MD5  "b66d3a6b58c6b340ac616f948a536e1b"
#define BLOB     "fb57b37b-d364-4caf-995b-d99ae651ee18"

static void test_real (void) {
  const char *two = "0/0 284253 minidump.mdmp\n0/1 150 WERInternalMetadata.xml\n";
  const char *three = "0/0 6406 " BLOB ".cab\n1/0 284253 minidump.mdmp\n1/1 150 WERInternalMetadata.xml\n";
  check_list (rig_sample ("crash-mszip.cab"), two);
  check_list (rig_sample ("dump-in.zip"), two);
  check_list (rig_sample ("stored.ext.zip"), three);
  check_list (rig_sample (BLOB ".ext.zip"), three);
  check_md5 (rig_sample ("crash-mszip.cab"), 0, 0, DUMP_MD5);
  check_md5 (rig_sample ("crash-mszip.cab"), 0, 1, XML_MD5);
  check_md5 (rig_sample ("dump-in.zip"), 0, 0, DUMP_MD5);
  check_md5 (rig_sample ("stored.ext.zip"), 0, 0, CAB_MD5);
  check_md5 (rig_sample ("stored.ext.zip"), 1, 0, DUMP_MD5);
  check_md5 (rig_sample (BLOB ".ext.zip"), 1, 0, DUMP_MD5);
  check_md5 (rig_sample (BLOB ".ext.zip"), 1, 1, XML_MD5);
}

#define FILE1_MD5 "9f348626c6a84b91537327656c98e113"
#define FILE2_MD5 "cc38402d8b50f75cdb7279e90ee33b39"
#define ZERO_MD5  "d7ea97d313b83e91efbb901cc558bea4"

/* Cabinets that Microsoft's own tools packed, LZX among them. */
static void test_foreign (void) {
  const char *members = "0/0 0 empty\n0/1 33000 zero\n0/2 60 dir1/file1\n0/3 78 dir2/file2\n";
  GBytes *stored = rig_foreign ("libarchive/test_read_format_cab_1.cab");
  if (stored == NULL)
    return;
  check_md5 (stored, 0, 1, FILE1_MD5);
  for (guint i = 2; i <= 3; i++) {
    g_autofree char *name = g_strdup_printf ("libarchive/test_read_format_cab_%u.cab", i);
    check_list (rig_foreign (name), members);
    check_md5 (rig_foreign (name), 0, 1, ZERO_MD5);
    check_md5 (rig_foreign (name), 0, 2, FILE1_MD5);
    check_md5 (rig_foreign (name), 0, 3, FILE2_MD5);
  }
  check_list (rig_foreign ("libarchive/test_fuzz.cab"),
              "0/0 107 file\n0/1 1257 INSTALL\n0/2 1024 random\n0/3 1024 zero\n");
}

static void note_member (gpointer data, const CabMember *member) {
  CabMember *copy = data;
  *copy = *member;
}

static Latch times_done = LATCH_INIT;

static void times_finish (gpointer data, guint64 size, const GError *error) {
  g_assert_no_error (error);
  latch_up (&times_done);
}

static void times_need (gpointer data, CabUnpack *job, guint64 off, gsize len) {
  g_autoptr (GBytes) archive = rig_sample ("crash-mszip.cab");
  cab_unpack_give (job, (const guint8 *) g_bytes_get_data (archive, NULL) + off, len);
}

/* The cabinet says 2026-11-21 08:33:20, by a clock that nobody knows. */
static void test_times (void) {
  g_autoptr (GBytes) archive = rig_sample ("crash-mszip.cab");
  const CabUnpackSink sink = {.need = times_need, .member = note_member, .done = times_finish};
  CabMember last = {0};
  CabUnpack *job = cab_unpack_list (unpacker, g_bytes_get_size (archive), &sink, &last);
  latch_wait (&times_done, 1);
  cab_unpack_unref (job);
  g_assert_cmpint (last.modified, ==, 1795247600);
}

/* --- no more bytes than it takes ---------------------------------------------------------------------------- */

static void test_list_moves_the_head (void) {
  RUN (run, rig_made ("head.cab"));
  run.size += G_GUINT64_CONSTANT (16384) * (8 + 32768);
  run_list (&run, unpacker);
  run_assert_ok (&run);
  g_assert_cmpstr (run.members->str, ==, "0/0 536870912 big.dmp\n0/1 0 info.xml\n");
  g_assert_cmpuint (run.asked, ==, 64 * RIG_KIB);
  g_assert_cmpuint (latch_count (&run.needs), ==, 1);
}

static void test_zip_moves_both_ends (void) {
  RUN (run, rig_made ("inner.zip"));
  run_list (&run, unpacker);
  run_assert_ok (&run);
  g_assert_cmpuint (run.asked, <=, 256 * RIG_KIB); /* of 700: two heads of cabinets are within */
}

/* The third block is asked for before anything is made of the second: less than 64 KiB, which are told of at
 * once. */
static void test_asks_ahead (void) {
  RUN (run, rig_made ("stored.cab"));
  run_extract (&run, unpacker, 0, 0, 200000);
  run_assert_ok (&run);
  g_assert_cmpuint (latch_count (&run.needs), ==, 3);
  g_assert_cmpuint (run.need_off, ==, (64 + 128) * RIG_KIB);
  g_assert_cmpuint (run.written_then, ==, 0);
}

/* Folders that a member does not lie in are not gone through. */
static void test_far_member (void) {
  RUN (run, rig_made ("far.cab"));
  run_extract (&run, unpacker, 0, 2, 1000);
  run_assert_ok (&run);
  g_autoptr (GBytes) result = run_result (&run);
  g_autoptr (GBytes) right = rig_pattern (1000);
  g_assert_true (g_bytes_equal (result, right));
  g_assert_cmpuint (run.asked, <=, 256 * RIG_KIB);
  RUN (large, rig_made ("far.cab"));
  run_extract (&large, unpacker, 0, 0, 4 * RIG_MIB);
  run_assert_ok (&large);
  check_member (rig_made ("far.cab"), 0, 1, 100);
}

static gint64 resident_peak (void) {
  pid_t worker = 0;
  g_assert_cmpuint (rig_children (&worker), ==, 1);
  g_autofree char *path = g_strdup_printf ("/proc/%d/status", (int) worker);
  g_autofree char *status = NULL;
  g_assert_true (g_file_get_contents (path, &status, NULL, NULL));
  const char *line = strstr (status, "VmHWM:");
  g_assert_nonnull (line);
  return g_ascii_strtoll (line + strlen ("VmHWM:"), NULL, 10) * RIG_KIB;
}

static void stop_at_100_mib (Run *run, guint64 end) {
  if (end == 64 * RIG_KIB)
    g_assert_cmpuint (run->asked, ==, 64 * RIG_KIB);
  if (end < 100 * RIG_MIB)
    return;
  if (!WITH_SANITIZER)
    g_assert_cmpint (resident_peak (), <, 64 * RIG_MIB);
  cab_unpack_cancel (run->seen);
}

static void test_largest_member (void) {
  RUN (run, rig_made ("huge.cab"));
  run.on_written = stop_at_100_mib;
  run_extract (&run, unpacker, 0, 0, G_GUINT64_CONSTANT (65535) * 32768);
  run_assert_error (&run, CAB_ERROR_CANCELLED, "*");
  g_assert_cmpuint (run.written, >=, 100 * RIG_MIB);
  g_assert_cmpuint (run.asked, <, RIG_MIB);
}

/* --- hostile archives --------------------------------------------------------------------------------------- */

static void test_names_cabinet (void) {
  g_autofree char *long_name = g_strnfill (250, 'n');
  g_autofree char *expected =
      g_strdup_printf ("0/0 4 ../../etc/passwd\n0/1 4 /absolute\n0/2 4 C:/boot.ini\n0/3 4 %s\n"
                       "0/4 4 same\n0/5 4 same\n0/6 4 %%FF%%FE.bin\n0/7 4 a\nb\n0/8 4 .\n"
                       "0/9 4 ..\n0/10 4 größe.txt\n",
                       long_name);
  check_list (rig_made ("names.cab"), expected);
}

static void test_names_zip (void) {
  g_autofree char *long_name = g_strnfill (300, 'n');
  g_autoptr (GString) longer = g_string_new (NULL);
  while (longer->len < 60000)
    g_string_append (longer, "p/");
  g_autofree char *expected =
      g_strdup_printf ("0/0 4 ../../etc/passwd\n0/1 4 /absolute\n0/2 4 %s\n0/3 4 %s\n0/4 4 nul\n"
                       "0/5 4 same\n0/6 4 same\n0/7 4 \n0/8 4 %%FF%%FE.bin\n0/9 4 back/slash\n"
                       "0/10 4 a\nb\n0/11 4 100%%.txt\n0/12 4 größe.txt\n",
                       long_name, longer->str);
  check_list (rig_made ("names.zip"), expected);
}

static void test_kinds (void) {
  check_list (rig_made ("kinds.zip"), "0/4 0 pipe\n0/6 4 file\n");
  check_member_error (rig_made ("kinds.zip"), 0, 0, "*no file*");
  check_member_error (rig_made ("kinds.zip"), 0, 1, "*no file*");
  check_member_error (rig_made ("kinds.zip"), 0, 2, "*no file*");
}

static void test_liars (void) {
  check_list (rig_made ("liar.cab"), "0/0 1000000 a\n");
  check_member_error (rig_made ("liar.cab"), 0, 0, "*");
  check_list_error (rig_made ("overlap.cab"), "*Invalid CAB header*");
  check_list (rig_made ("liar.zip"), "0/0 1000000 smaller\n0/1 1000 larger\n0/2 1000 spoilt\n0/3 1000 good\n");
  check_member_error (rig_made ("liar.zip"), 0, 0, "*wrong size*");
  check_member_error (rig_made ("liar.zip"), 0, 1, "*larger than the archive says*");
  check_member_error (rig_made ("liar.zip"), 0, 2, "*bad CRC*");
  check_member (rig_made ("liar.zip"), 0, 3, 1000);
  check_member_error (rig_made ("inner.zip"), 7, 0, "*");
  RUN (other, rig_made ("liar.zip"));
  run_extract (&other, unpacker, 0, 3, 1001);
  run_assert_error (&other, CAB_ERROR_INVALID, "*another size than before*");
}

static void test_spoilt (void) {
  check_list (rig_made ("spoilt.cab"), "0/0 20000 a\n0/1 80000 b\n");
  check_member (rig_made ("spoilt.cab"), 0, 0, 20000);
  check_member_error (rig_made ("spoilt.cab"), 0, 1, "*Checksum error*");
}

static void test_methods (void) {
  check_member_error (rig_made ("methods.zip"), 0, 0, "*unknown method*");
  check_member_error (rig_made ("methods.zip"), 0, 1, "*unknown method*");
  check_member (rig_made ("methods.zip"), 0, 2, 1000);
  check_member_error (rig_made ("quantum.cab"), 0, 0, "*");
  check_member_error (rig_made ("volumes.cab"), 0, 0, "*multivolume*");
}

static void test_locked (void) {
  check_list (rig_made ("locked.zip"), "0/0 1000 pkware\n0/1 1000 aes\n0/2 1000 good\n");
  check_member_error (rig_made ("locked.zip"), 0, 0, "*encrypted*");
  check_member_error (rig_made ("locked.zip"), 0, 1, "*encrypted*");
  check_member (rig_made ("locked.zip"), 0, 2, 1000);
}

static void test_many (void) {
  RUN (run, rig_made ("many.zip"));
  run_list (&run, unpacker);
  run_assert_error (&run, CAB_ERROR_INVALID, "*more than 100000 members*");
  g_assert_cmpuint (run.member_count, ==, 100000);
}

enum {
  CROWD = 3000000,
  CROWD_HEAD = 31, /* of the one member that is there */
  CROWD_ENTRY = 47,
  CROWD_END = 22,
};

/* A ZIP whose directory names its only member, "a", three million times. */
static void fill_crowd (guint8 *bytes, guint64 off, gsize len) {
  static const guint8 head[CROWD_HEAD] = {'P', 'K', 3, 4, 20, [26] = 1, [30] = 'a'};
  static const guint8 entry[CROWD_ENTRY] = {'P', 'K', 1, 2, 20, 3, 20, [28] = 1, [46] = 'a'};
  static const guint8 end[CROWD_END] = {'P', 'K', 5, 6, [12] = 0x40, 0x7d, 0x67, 8, CROWD_HEAD};
  const guint64 directory_end = CROWD_HEAD + (guint64) CROWD * CROWD_ENTRY;
  for (gsize i = 0; i < len; i++, off++) {
    if (off < CROWD_HEAD)
      bytes[i] = head[off];
    else if (off < directory_end)
      bytes[i] = entry[(off - CROWD_HEAD) % CROWD_ENTRY];
    else
      bytes[i] = end[off - directory_end];
  }
}

/* libarchive keeps all names before it tells of one: memory has its bound. */
static void test_crowd (void) {
  if (WITH_SANITIZER) {
    g_test_skip ("memory has no bound with a sanitizer");
    return;
  }
  RUN (run, rig_made ("empty.zip"));
  run.size = CROWD_HEAD + (guint64) CROWD * CROWD_ENTRY + CROWD_END;
  run.fill = fill_crowd;
  run_list (&run, unpacker);
  run_assert_error (&run, CAB_ERROR_INVALID, "*more memory than an archive may have*");
}

static void test_bomb (void) {
  check_list (rig_made ("bomb.zip"), "0/0 179265 bomb.cab\n1/0 104857600 zero\n");
  RUN (run, rig_made ("bomb.zip"));
  run_extract (&run, unpacker, 1, 0, ANY);
  run_assert_error (&run, CAB_ERROR_INVALID, "*bomb*");
  g_assert_cmpuint (run.written, <=, 64 * RIG_MIB);
}

static void test_limit (void) {
  g_autoptr (CabUnpacker) strict = rig_unpacker (1, 100000);
  RUN (large, rig_made ("deflate.zip"));
  run_extract (&large, strict, 0, 0, ANY);
  run_assert_error (&large, CAB_ERROR_NO_SPACE, "*member-limit*");
  g_assert_cmpuint (large.written, ==, 0);
  RUN (small, rig_made ("deflate.zip"));
  run_extract (&small, strict, 0, 3, ANY);
  run_assert_ok (&small);
}

static void test_full_disk (void) {
  RUN (run, rig_made ("deflate.zip"));
  run.fd = open ("/dev/full", O_WRONLY | O_CLOEXEC);
  run_extract (&run, unpacker, 0, 0, ANY);
  run_assert_error (&run, CAB_ERROR_NO_SPACE, "*");
}

static void test_nothing (void) {
  check_list_error (g_bytes_new_static ("", 0), "*neither*");
  check_list_error (g_bytes_new_static ("M", 1), "*neither*");
  check_list_error (g_bytes_new_static ("MDMP and so on", 14), "*neither*");
  check_list_error (g_bytes_new_static ("MSCF", 4), "*");
  check_list_error (g_bytes_new_static ("PK\003\004", 4), "*");
  check_list (rig_made ("empty.zip"), "");
  check_member_error (rig_made ("empty.zip"), 0, 0, "*not in the archive*");
  check_member_error (rig_made ("mszip.cab"), 0, 4, "*not in the archive*");
  check_member_error (rig_made ("mszip.cab"), 0, G_MAXUINT, "*not in the archive*");
  check_member_error (rig_made ("mszip.cab"), 1, 0, "*no cabinet*");
}

/* However short: an error, and what is given out before it is right. */
static void check_truncated (const char *name) {
  g_autoptr (GBytes) whole = rig_made (name);
  g_autoptr (GBytes) right = rig_pattern (200000);
  gsize size = g_bytes_get_size (whole);
  for (gsize len = size - 1; len > 4; len -= MIN (len, size / 7)) {
    RUN (run, g_bytes_new_from_bytes (whole, 0, len));
    run_extract (&run, unpacker, 0, 0, 200000);
    run_wait (&run);
    g_autoptr (GBytes) result = run_result (&run);
    g_assert_cmpint (memcmp (g_bytes_get_data (result, NULL), g_bytes_get_data (right, NULL), run.written), ==,
                     0);
    if (run.error != NULL)
      g_assert_error (run.error, CAB_ERROR, CAB_ERROR_INVALID);
    else
      g_assert_true (g_bytes_equal (result, right));
  }
}

static void test_truncated (gconstpointer name) {
  check_truncated (name);
}

int main (int argc, char **argv) {
  static const char *const good[] = {"stored.cab",  "mszip.cab", "lzx.cab",  "stored.zip",
                                     "deflate.zip", "zip64.zip", "piped.zip"};
  rig_init (&argc, &argv);
  unpacker = rig_unpacker (2, LIMIT);
  for (gsize i = 0; i < G_N_ELEMENTS (good); i++) {
    g_autofree char *path = g_strconcat ("/unpack/format/", good[i], NULL);
    g_autofree char *truncated = g_strconcat ("/unpack/truncated/", good[i], NULL);
    g_test_add_data_func (path, good[i], test_formats);
    g_test_add_data_func (truncated, good[i], test_truncated);
  }
  g_test_add_func ("/unpack/folders", test_folders);
  g_test_add_func ("/unpack/cabinet-in-zip", test_cabinet_in_zip);
  g_test_add_func ("/unpack/real", test_real);
  g_test_add_func ("/unpack/foreign", test_foreign);
  g_test_add_func ("/unpack/times", test_times);
  g_test_add_func ("/unpack/list-moves-the-head", test_list_moves_the_head);
  g_test_add_func ("/unpack/zip-moves-both-ends", test_zip_moves_both_ends);
  g_test_add_func ("/unpack/asks-ahead", test_asks_ahead);
  g_test_add_func ("/unpack/far-member", test_far_member);
  g_test_add_func ("/unpack/largest-member", test_largest_member);
  g_test_add_func ("/unpack/names/cabinet", test_names_cabinet);
  g_test_add_func ("/unpack/names/zip", test_names_zip);
  g_test_add_func ("/unpack/kinds", test_kinds);
  g_test_add_func ("/unpack/liars", test_liars);
  g_test_add_func ("/unpack/spoilt", test_spoilt);
  g_test_add_func ("/unpack/methods", test_methods);
  g_test_add_func ("/unpack/locked", test_locked);
  g_test_add_func ("/unpack/many", test_many);
  g_test_add_func ("/unpack/crowd", test_crowd);
  g_test_add_func ("/unpack/bomb", test_bomb);
  g_test_add_func ("/unpack/limit", test_limit);
  g_test_add_func ("/unpack/full-disk", test_full_disk);
  g_test_add_func ("/unpack/nothing", test_nothing);
  int status = g_test_run ();
  cab_unpacker_free (unpacker);
  return status;
}
