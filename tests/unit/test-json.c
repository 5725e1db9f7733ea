/* SPDX-License-Identifier: MIT */
#include "client/error.h"
#include "client/json.h"

#include <string.h>

static json_t *parse (const char *text) {
  g_autoptr (GError) error = NULL;
  json_t *value = cab_json_parse (text, strlen (text), &error);
  g_assert_no_error (error);
  g_assert_nonnull (value);
  return value;
}

/* Numbers come out as they went in. */
static void test_numbers (void) {
  const char *const numbers[] = {
      "0",
      "-0",
      "7",
      "-7",
      "9007199254740993",
      "9223372036854775807",
      "9223372036854775808",
      "10238467886765136388",
      "18446744073709551615",
      "18446744073709551616",
      "123456789012345678901234567890",
      "-9223372036854775809",
      "0.00124",
      "7.142857",
      "1.10",
      "1e5",
      "1E+5",
      "1.5e-300",
      "1e999",
  };
  for (gsize i = 0; i < G_N_ELEMENTS (numbers); i++) {
    g_autofree char *text =
        g_strdup_printf ("{\"n\":%s,\"a\":[%s, {\"m\" : %s }]}", numbers[i], numbers[i], numbers[i]);
    json_auto_t *root = parse (text);
    json_t *list = cab_json_get (root, "a");
    g_assert_cmpstr (cab_json_text (cab_json_get (root, "n")), ==, numbers[i]);
    g_assert_cmpstr (cab_json_text (json_array_get (list, 0)), ==, numbers[i]);
    g_assert_cmpstr (cab_json_text (cab_json_get (json_array_get (list, 1), "m")), ==, numbers[i]);
  }
}

/* Strings are left alone, whatever digits, quotes and backslashes they hold. */
static void test_strings (void) {
  json_auto_t *root = parse (
      "{\"1\":\"2\",\"a\\\"3\":\"\\\\\",\"4,5\":\"[6,{\\\"7\\\":8}]\",\"u\":\"\\u0031\\\\\\\"-9\",\"n\":-1}");
  g_assert_cmpuint (json_object_size (root), ==, 5);
  g_assert_cmpstr (cab_json_text (cab_json_get (root, "1")), ==, "2");
  g_assert_cmpstr (cab_json_text (cab_json_get (root, "a\"3")), ==, "\\");
  g_assert_cmpstr (cab_json_text (cab_json_get (root, "4,5")), ==, "[6,{\"7\":8}]");
  g_assert_cmpstr (cab_json_text (cab_json_get (root, "u")), ==, "1\\\"-9");
  g_assert_cmpstr (cab_json_text (cab_json_get (root, "n")), ==, "-1");
}

static void test_invalid (void) {
  const struct {
    const char *text;
    gsize byte; /* about where */
  } cases[] = {
      {"[01]", 1},
      {"[1.]", 1},
      {"[.5]", 1},
      {"[-]", 1},
      {"[-a]", 1},
      {"[+1]", 1},
      {"[1e]", 1},
      {"[1e+]", 1},
      {"[0x10]", 2},
      {"[1 2]", 4},
      {"[1\"2\"]", 4},
      {"[\"1\"2]", 5},
      {"[12abc]", 5},
      {"[NaN]", 3},
      {"{1:2}", 1},
      {"{-1 : 2}", 1},
      {"{\"a\":1,}", 8},
      {"[1,2", 4},
      {"{\"a\":\"b", 7},
      {"{\"a\":\"b\\", 8},
      {"{} {}", 4},
      {"[1,22,333] x", 12},
      {"[\"\xff\"]", 2},
      {"[\"\\ud800\"]", 8},
      {"<html></html>", 1},
      {"{\"a\\u0000b\":1}", 11},
      {"\xef\xbb\xbf[1,", 6},
  };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;
    json_auto_t *root = cab_json_parse (cases[i].text, strlen (cases[i].text), &error);
    g_autofree char *shown = g_strescape (cases[i].text, NULL);
    g_test_message ("%s: %s", shown, error != NULL ? error->message : "taken");
    g_assert_null (root);
    g_assert_error (error, CAB_ERROR, CAB_ERROR_INVALID);
    const char *about = strstr (error->message, "(about byte ");
    g_assert_nonnull (about);
    gint64 byte = g_ascii_strtoll (about + strlen ("(about byte "), NULL, 10);
    g_assert_cmpint (ABS (byte - (gint64) cases[i].byte), <=, 3);
  }
}

/* What is nearly a number is looked at once, not again from each of its digits: this would take hours. */
static void test_endless_numbers (void) {
  const char *const begins[] = {"0", "-0", "1", "[1,0"};
  const char ends[] = {'0', '.', 'e', '-'};
  for (gsize i = 0; i < G_N_ELEMENTS (begins) * G_N_ELEMENTS (ends); i++) {
    g_autoptr (GString) text = g_string_new (begins[i / G_N_ELEMENTS (ends)]);
    gsize len = 1024 * 1024;
    g_string_set_size (text, len);
    memset (text->str + 4, text->str[0] == '1' ? '7' : '0', len - 4);
    memcpy (text->str + strlen (begins[i / G_N_ELEMENTS (ends)]), "0000", 4);
    text->str[len - 1] = ends[i % G_N_ELEMENTS (ends)];
    g_autoptr (GError) error = NULL;
    json_auto_t *root = cab_json_parse (text->str, len, &error);
    g_assert_true (root != NULL || error != NULL);
  }
}

static void test_nothing (void) {
  const char *const cases[] = {"", " \r\n\t", "\xef\xbb\xbf", "\xef\xbb\xbf \n"};
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;
    g_assert_null (cab_json_parse (cases[i], strlen (cases[i]), &error));
    g_assert_cmpstr (error->message, ==, "not JSON: nothing there");
  }
  g_assert_null (cab_json_parse (NULL, 0, NULL));
}

/* What an answer says must not get into a message: it may be a token. */
static void test_discreet (void) {
  const char *const cases[] = {"{\"access_token\":\"secretsecret\" x", "secretsecret",
                               "[\"secretsecret\" secret]", "{\"a\" secretsecret}"};
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;
    g_assert_null (cab_json_parse (cases[i], strlen (cases[i]), &error));
    g_assert_null (strstr (error->message, "secret"));
  }
}

static void test_lookup (void) {
  json_auto_t *root =
      parse ("\xef\xbb\xbf {\"CABIDHASH\":\"upper\",\"cabidhash\":\"lower\",\"cabIdHash\":\"exact\","
             "\"Date\":\"d\",\"none\":null,\"None\":\"other\",\"t\":true,\"f\":false,"
             "\"o\":{},\"l\":[],\"nul\":\"a\\u0000b\",\"blank\":\"  \",\"padded\":\" x y\\t\"} \n");
  g_assert_cmpstr (cab_json_text (cab_json_get (root, "cabIdHash")), ==, "exact");
  g_assert_cmpstr (cab_json_text (cab_json_get (root, "CabIdHash")), ==, "upper");
  g_assert_cmpstr (cab_json_text (cab_json_get (root, "date")), ==, "d");
  g_assert_null (cab_json_get (root, "none"));
  g_assert_null (cab_json_get (root, "missing"));
  g_assert_null (cab_json_get (NULL, "date"));
  g_assert_null (cab_json_get (cab_json_get (root, "l"), "date"));
  g_assert_cmpstr (cab_json_text (cab_json_get (root, "t")), ==, "true");
  g_assert_cmpstr (cab_json_text (cab_json_get (root, "f")), ==, "false");
  g_assert_null (cab_json_text (cab_json_get (root, "o")));
  g_assert_null (cab_json_text (cab_json_get (root, "l")));
  g_assert_null (cab_json_text (cab_json_get (root, "nul")));
  g_assert_null (cab_json_text (NULL));
  g_autofree char *padded = cab_json_get_text (root, "padded");
  g_assert_cmpstr (padded, ==, "x y");
  g_assert_null (cab_json_get_text (root, "blank"));
  g_assert_null (cab_json_get_text (root, "missing"));
}

static void test_booleans (void) {
  json_auto_t *root =
      parse ("{\"t1\":true,\"t2\":\"True\",\"t3\":1,\"t4\":\"1\",\"f1\":false,\"f2\":\"FALSE\",\"f3\":0,"
             "\"x1\":null,\"x2\":\"\",\"x3\":\"perhaps\",\"x4\":[],\"x5\":2}");
  const char *key;
  json_t *value;
  json_object_foreach (root, key, value) {
    g_assert_cmpint (cab_json_get_bool (root, key, TRUE), ==, key[0] != 'f');
    g_assert_cmpint (cab_json_get_bool (root, key, FALSE), ==, key[0] == 't');
  }
}

static void test_quote (void) {
  g_autofree char *plain = cab_json_quote ("https://h/\xc3\xa4");
  g_autofree char *odd = cab_json_quote ("a\"b\\\n");
  g_assert_cmpstr (plain, ==, "\"https://h/\xc3\xa4\"");
  g_assert_cmpstr (odd, ==, "\"a\\\"b\\\\\\n\"");
}

static void test_kinds (void) {
  json_auto_t *root = parse ("[{},[],\"\",1,true,null]");
  const char *const kinds[] = {"an object",          "an array",  "a string or number",
                               "a string or number", "a boolean", "null"};
  for (gsize i = 0; i < G_N_ELEMENTS (kinds); i++)
    g_assert_cmpstr (cab_json_kind (json_array_get (root, i)), ==, kinds[i]);
  g_assert_cmpstr (cab_json_kind (NULL), ==, "nothing");
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/json/numbers", test_numbers);
  g_test_add_func ("/json/strings", test_strings);
  g_test_add_func ("/json/invalid", test_invalid);
  g_test_add_func ("/json/endless-numbers", test_endless_numbers);
  g_test_add_func ("/json/nothing", test_nothing);
  g_test_add_func ("/json/discreet", test_discreet);
  g_test_add_func ("/json/lookup", test_lookup);
  g_test_add_func ("/json/booleans", test_booleans);
  g_test_add_func ("/json/quote", test_quote);
  g_test_add_func ("/json/kinds", test_kinds);
  return g_test_run ();
}
