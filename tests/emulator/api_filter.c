/* The small languages of `filter` and `orderby`, api-contract.md 3.2.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/emulator/api.h"
#include <stdlib.h>
#include <string.h>

typedef enum { OP_EQ, OP_NE, OP_AND, OP_OR } Op;

struct EmuFilter {
  Op op;
  char *field; /* eq, ne */
  char *value;
  EmuFilter *left; /* and, or */
  EmuFilter *right;
};

typedef struct {
  const char *at;
  const char *fields;
  guint depth;
} Parser;

void emu_filter_free (EmuFilter *self) {
  if (self == NULL)
    return;
  emu_filter_free (self->left);
  emu_filter_free (self->right);
  g_free (self->field);
  g_free (self->value);
  g_free (self);
}

static void blanks (Parser *parser) {
  while (*parser->at == ' ')
    parser->at++;
}

/* The next word, which is left in place; new text. */
static char *peek (Parser *parser) {
  blanks (parser);
  gsize len = 0;
  while (g_ascii_isalnum (parser->at[len]) ||
         (parser->at[len] != '\0' && strchr ("._-", parser->at[len]) != NULL))
    len++;
  return g_strndup (parser->at, len);
}

static gboolean take (Parser *parser, const char *word) {
  g_autofree char *next = peek (parser);
  if (g_ascii_strcasecmp (next, word) != 0)
    return FALSE;
  parser->at += strlen (next);
  return TRUE;
}

/* 'it''s', or a bare word. */
static char *value (Parser *parser, GError **error) {
  blanks (parser);
  if (*parser->at != '\'') {
    char *word = peek (parser);
    parser->at += strlen (word);
    if (word[0] != '\0')
      return word;
    g_free (word);
    emu_error_set (error, "a value is missing");
    return NULL;
  }
  GString *text = g_string_new (NULL);
  for (parser->at++; *parser->at != '\0'; parser->at++) {
    if (*parser->at == '\'' && *++parser->at != '\'')
      return g_string_free (text, FALSE);
    g_string_append_c (text, *parser->at);
  }
  g_string_free (text, TRUE);
  emu_error_set (error, "a quote is missing");
  return NULL;
}

static EmuFilter *comparison (Parser *parser, GError **error) {
  g_autofree char *field = peek (parser);
  if (!emu_words_have (parser->fields, field)) {
    emu_error_set (error, "no field \"%s\"", field);
    return NULL;
  }
  parser->at += strlen (field);
  gboolean equal = take (parser, "eq");
  if (!equal && !take (parser, "ne")) {
    emu_error_set (error, "eq or ne is wanted after \"%s\"", field);
    return NULL;
  }
  char *text = value (parser, error);
  if (text == NULL)
    return NULL;
  EmuFilter *self = g_new0 (EmuFilter, 1);
  self->op = equal ? OP_EQ : OP_NE;
  self->field = g_steal_pointer (&field);
  self->value = text;
  return self;
}

static EmuFilter *parse_or (Parser *parser, GError **error);

static EmuFilter *primary (Parser *parser, GError **error) {
  blanks (parser);
  if (*parser->at != '(')
    return comparison (parser, error);
  parser->at++;
  EmuFilter *inner = NULL;
  if (parser->depth++ < 32)
    inner = parse_or (parser, error);
  else
    emu_error_set (error, "too many parentheses");
  blanks (parser);
  if (inner != NULL && *parser->at != ')') {
    emu_error_set (error, "a parenthesis is missing");
    g_clear_pointer (&inner, emu_filter_free);
  } else if (inner != NULL) {
    parser->at++;
  }
  return inner;
}

static EmuFilter *chain (Parser *parser, const char *word, Op op, EmuFilter *(*item) (Parser *, GError **),
                         GError **error) {
  EmuFilter *left = item (parser, error);
  while (left != NULL && take (parser, word)) {
    EmuFilter *both = g_new0 (EmuFilter, 1);
    both->op = op;
    both->left = left;
    both->right = item (parser, error);
    left = both;
    if (both->right == NULL)
      g_clear_pointer (&left, emu_filter_free);
  }
  return left;
}

static EmuFilter *parse_and (Parser *parser, GError **error) {
  return chain (parser, "and", OP_AND, primary, error);
}

static EmuFilter *parse_or (Parser *parser, GError **error) {
  return chain (parser, "or", OP_OR, parse_and, error);
}

EmuFilter *emu_filter_parse (const char *text, const char *fields, GError **error) {
  Parser parser = {text, fields, 0};
  EmuFilter *self = parse_or (&parser, error);
  blanks (&parser);
  if (self != NULL && *parser.at != '\0') {
    emu_error_set (error, "\"%s\" is too much", parser.at);
    g_clear_pointer (&self, emu_filter_free);
  }
  /* cppcheck takes what parse_or() allocates for the parser itself. */
  /* cppcheck-suppress returnDanglingLifetime */
  return self;
}

/* Texts as they are, numbers written out; new text. */
static char *text_of (json_t *value) {
  if (json_is_string (value))
    return g_strdup (json_string_value (value));
  char *dumped = value != NULL ? json_dumps (value, JSON_ENCODE_ANY) : NULL;
  char *text = g_strdup (dumped != NULL ? dumped : "");
  free (dumped);
  return text;
}

gboolean emu_filter_fits (const EmuFilter *self, json_t *row) {
  if (self == NULL)
    return TRUE;
  if (self->op == OP_AND)
    return emu_filter_fits (self->left, row) && emu_filter_fits (self->right, row);
  if (self->op == OP_OR)
    return emu_filter_fits (self->left, row) || emu_filter_fits (self->right, row);
  g_autofree char *text = text_of (json_object_get (row, self->field));
  return (g_ascii_strcasecmp (text, self->value) == 0) == (self->op == OP_EQ);
}

/* --- orderby ------------------------------------------------------------------------------------------------ */

/* "field" or "field desc"; the parts are new texts. */
static char *order_field (const char *part, gboolean *descending, gboolean *valid) {
  g_autofree char *trimmed = g_strstrip (g_strdup (part));
  g_auto (GStrv) words = g_strsplit (trimmed, " ", 2);
  const char *direction = words[0] != NULL && words[1] != NULL ? g_strstrip (words[1]) : "asc";
  *descending = g_ascii_strcasecmp (direction, "desc") == 0;
  *valid = words[0] != NULL && (*descending || g_ascii_strcasecmp (direction, "asc") == 0);
  return g_strdup (words[0] != NULL ? words[0] : "");
}

gboolean emu_order_check (const char *orderby, const char *fields, GError **error) {
  g_auto (GStrv) parts = g_strsplit (orderby, ",", -1);
  for (guint i = 0; parts[i] != NULL; i++) {
    gboolean descending, valid;
    g_autofree char *field = order_field (parts[i], &descending, &valid);
    if (!valid || !(emu_words_have (fields, field) || strcmp (field, "eventCount") == 0)) {
      emu_error_set (error, "\"%s\" is no field with asc or desc", parts[i]);
      return FALSE;
    }
  }
  return TRUE;
}

static int compare_values (json_t *a, json_t *b) {
  if (json_is_number (a) && json_is_number (b)) {
    double x = json_number_value (a), y = json_number_value (b);
    return x < y ? -1 : x > y;
  }
  g_autofree char *x = text_of (a);
  g_autofree char *y = text_of (b);
  return strcmp (x, y);
}

static int compare_rows (gconstpointer a, gconstpointer b, gpointer data) {
  g_auto (GStrv) parts = g_strsplit (data, ",", -1);
  int result = 0;
  for (guint i = 0; parts[i] != NULL && result == 0; i++) {
    gboolean descending, valid;
    g_autofree char *field = order_field (parts[i], &descending, &valid);
    result = compare_values (json_object_get (*(json_t *const *) a, field),
                             json_object_get (*(json_t *const *) b, field));
    if (descending)
      result = -result;
  }
  return result;
}

void emu_order_sort (const char *orderby, GPtrArray *rows) {
  g_autofree char *copy = g_strdup (orderby);
  g_ptr_array_sort_with_data (rows, compare_rows, copy);
}
