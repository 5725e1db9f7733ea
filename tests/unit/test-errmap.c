/* SPDX-License-Identifier: MIT */
#include "fs/errmap.h"

#include <errno.h>

#include "client/error.h"

static int map (GQuark domain, int code) {
  g_autoptr (GError) error = g_error_new_literal (domain, code, "text");
  return cab_errno_from_error (error);
}

static void test_codes (void) {
  g_assert_cmpint (map (CAB_ERROR, CAB_ERROR_FAILED), ==, EIO);
  g_assert_cmpint (map (CAB_ERROR, CAB_ERROR_INVALID), ==, EIO);
  g_assert_cmpint (map (CAB_ERROR, CAB_ERROR_NOT_FOUND), ==, ENOENT);
  g_assert_cmpint (map (CAB_ERROR, CAB_ERROR_DENIED), ==, EACCES);
  g_assert_cmpint (map (CAB_ERROR, CAB_ERROR_CHANGED), ==, ESTALE);
  g_assert_cmpint (map (CAB_ERROR, CAB_ERROR_TIMEOUT), ==, ETIMEDOUT);
  g_assert_cmpint (map (CAB_ERROR, CAB_ERROR_CANCELLED), ==, EINTR);
  g_assert_cmpint (map (CAB_ERROR, CAB_ERROR_NO_SPACE), ==, ENOSPC);
  g_assert_cmpint (map (CAB_ERROR, CAB_ERROR_SPENT), ==, EDQUOT);
}

static void test_others (void) {
  g_assert_cmpint (cab_errno_from_error (NULL), ==, 0);
  g_assert_cmpint (map (CAB_ERROR, CAB_ERROR_SPENT + 1), ==, EIO);
  g_assert_cmpint (map (CAB_ERROR, -1), ==, EIO);
  g_assert_cmpint (map (G_FILE_ERROR, G_FILE_ERROR_NOENT), ==, EIO);
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/errmap/codes", test_codes);
  g_test_add_func ("/errmap/others", test_others);
  return g_test_run ();
}
