/* SPDX-License-Identifier: MIT */
#include "fs/redact.h"

#include <string.h>

#define REDACTED "REDACTED"

typedef enum {
  AFTER_EQUALS, /* word, '=' or "%3D", value up to the end of a form field */
  AFTER_SIGN,   /* the same or ':', quotes and blanks between: JSON */
  NEXT_WORD,    /* word, blanks, value up to the next blank */
  REST,         /* word, ':', all up to the end of the line */
  ITSELF,       /* the word begins the value */
} Where;

/* Words are compared without regard to case and match only where no letter or digit stands before them.  "bearer"
 * comes before what could hide in its value. */
static const struct {
  const char *word;
  Where where;
} secrets[] = {
    {"sig", AFTER_EQUALS},
    {"bearer", NEXT_WORD},
    {"authorization", REST},
    {"client_secret", AFTER_SIGN},
    {"client-secret", AFTER_SIGN},
    {"clientsecret", AFTER_SIGN},
    {"azure_client_secret", AFTER_SIGN},
    {"client_assertion", AFTER_SIGN},
    {"access_token", AFTER_SIGN},
    {"accesstoken", AFTER_SIGN},
    {"refresh_token", AFTER_SIGN},
    {"refreshtoken", AFTER_SIGN},
    {"id_token", AFTER_SIGN},
    {"password", AFTER_SIGN},
    {"eyJ", ITSELF},
};

static gboolean is_token_char (char c) {
  return g_ascii_isalnum (c) || (c != '\0' && strchr ("-._~+/=%", c) != NULL);
}

static const char *skip_blanks (const char *p) {
  while (*p == ' ' || *p == '\t')
    p++;
  return p;
}

static const char *skip_quotes (const char *p) {
  while (*p == '"' || *p == '\'' || *p == '\\')
    p++;
  return p;
}

/* Past the sign after a word, or NULL if there is none. */
static const char *skip_sign (const char *p, gboolean colon) {
  if (colon)
    p = skip_blanks (skip_quotes (p));
  if (g_ascii_strncasecmp (p, "%3d", 3) == 0)
    return p + 3;
  if (*p != '=' && !(colon && *p == ':'))
    return NULL;
  return colon ? skip_quotes (skip_blanks (p + 1)) : p + 1;
}

static const char *field_end (const char *p) {
  while (*p != '\0' && strchr ("& \t\r\n\"'<>;,{}\\", *p) == NULL && g_ascii_strncasecmp (p, "%26", 3) != 0)
    p++;
  return p;
}

/* TRUE if what stands from @from to @to, in the place of a value, is the name of the next one: the value is missing. */
static gboolean is_name (const char *from, const char *to) {
  for (gsize i = 0; i < G_N_ELEMENTS (secrets); i++) {
    gsize len = strlen (secrets[i].word);
    if ((secrets[i].where != AFTER_SIGN && secrets[i].where != AFTER_EQUALS) ||
        g_ascii_strncasecmp (from, secrets[i].word, len) != 0)
      continue;
    const char *value = skip_sign (from + len, secrets[i].where == AFTER_SIGN);
    if (value != NULL && value > to)
      return TRUE;
  }
  return FALSE;
}

/* The secret that belongs to a word: @p is behind the word.  FALSE if there is none. */
static gboolean find_value (Where where, const char *word, const char *p, const char **from, const char **to) {
  switch (where) {
  case AFTER_EQUALS:
  case AFTER_SIGN:
    *from = skip_sign (p, where == AFTER_SIGN);
    if (*from == NULL)
      return FALSE;
    *to = field_end (*from);
    if (is_name (*from, *to))
      return FALSE;
    break;
  case NEXT_WORD:
    *from = skip_blanks (p);
    if (*from == p)
      return FALSE;
    for (*to = *from; is_token_char (**to);)
      (*to)++;
    break;
  case REST:
    *from = skip_blanks (p);
    if (**from != ':')
      return FALSE;
    *from = skip_blanks (*from + 1);
    *to = *from + strcspn (*from, "\r\n");
    break;
  case ITSELF:
    *from = word;
    for (*to = p; is_token_char (**to);)
      (*to)++;
    return memchr (word, '.', (gsize) (*to - word)) != NULL;
  }
  return *to > *from;
}

/* "user:password@" behind "//" at @p: its end is set. */
static gboolean find_user_info (const char *p, const char **to) {
  const char *end = p + strcspn (p, "/?# \t\"'<>");
  for (const char *q = end; q > p; q--)
    if (q[-1] == '@') {
      *to = q - 1;
      return *to > p;
    }
  return FALSE;
}

/* Behind anything but a letter or digit, or behind an encoded delimiter such as "%26". */
static gboolean begins_word (const char *text, const char *p) {
  return p == text || !g_ascii_isalnum (p[-1]) || (p - text >= 3 && p[-3] == '%');
}

/* The secret that the text at @p announces, if any. */
static gboolean find_secret (const char *text, const char *p, const char **from, const char **to) {
  if (p > text + 1 && p[-1] == '/' && p[-2] == '/' && find_user_info (p, to)) {
    *from = p;
    return TRUE;
  }
  if (!begins_word (text, p))
    return FALSE;
  for (gsize i = 0; i < G_N_ELEMENTS (secrets); i++) {
    gsize len = strlen (secrets[i].word);
    if (g_ascii_strncasecmp (p, secrets[i].word, len) == 0 &&
        find_value (secrets[i].where, p, p + len, from, to))
      return TRUE;
  }
  return FALSE;
}

char *cab_redact_line (const char *text) {
  GString *out = g_string_sized_new (strlen (text) + 16);
  const char *p = text;
  while (*p != '\0') {
    const char *from = NULL;
    const char *to = NULL;
    if (find_secret (text, p, &from, &to)) {
      g_string_append_len (out, p, from - p);
      g_string_append (out, REDACTED);
      p = to;
    } else {
      g_string_append_c (out, *p);
      p++;
    }
  }
  for (gsize i = 0; i < out->len; i++)
    if (g_ascii_iscntrl (out->str[i]))
      out->str[i] = ' ';
  return g_string_free (out, FALSE);
}
