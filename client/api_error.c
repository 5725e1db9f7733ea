/* What a service says of an error, whatever form it says it in.
 *
 * SPDX-License-Identifier: MIT
 */
#include "client/api.h"
#include "client/error.h"
#include "client/json.h"
#include "client/redact.h"

#include <string.h>

/* More of a body than this is not looked at. */
#define BODY_LIMIT    65536
#define MESSAGE_LIMIT 180
#define CODE_LIMIT    48

typedef struct {
  char *code; /* the most precise one */
  char *outer_code;
  char *message;
  char *correlation;
} Fault;

static void fault_clear (Fault *self) {
  g_free (self->code);
  g_free (self->outer_code);
  g_free (self->message);
  g_free (self->correlation);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Fault, fault_clear)

/* Codes and correlation ids are short words; what is not, or may be a secret, is none.  Takes @text over. */
static char *take_word (char *text) {
  g_autofree char *word = text;
  if (word == NULL || *word == '\0' || strlen (word) > CODE_LIMIT)
    return NULL;
  for (const char *p = word; *p != '\0'; p++)
    if (!g_ascii_isalnum (*p) && strchr ("._-", *p) == NULL)
      return NULL;
  g_autofree char *redacted = cab_redact_text (word);
  return strcmp (redacted, word) == 0 ? g_steal_pointer (&word) : NULL;
}

static void replace (char **place, char *text) {
  if (text == NULL)
    return;
  g_free (*place);
  *place = text;
}

/* --- JSON ---------------------------------------------------------------------------------------------------- */

static char *get_first (json_t *object, const char *const *keys) {
  for (; *keys != NULL; keys++) {
    char *text = cab_json_get_text (object, *keys);
    if (text != NULL)
      return text;
  }
  return NULL;
}

static void read_object (json_t *object, Fault *out) {
  static const char *const codes[] = {"code", "error", "errorCode", NULL};
  static const char *const messages[] = {"error_description", "message", "title", NULL};
  static const char *const correlations[] = {"correlationId",    "correlation_id", "activityId",
                                             "MS-CorrelationId", "trace_id",       NULL};
  replace (&out->code, take_word (get_first (object, codes)));
  replace (&out->message, get_first (object, messages));
  replace (&out->correlation, take_word (get_first (object, correlations)));
}

/* The inner error is the more precise one; its data say which parameter. */
static void read_inner (json_t *inner, Fault *out) {
  if (!json_is_object (inner))
    return;
  out->outer_code = g_steal_pointer (&out->code);
  read_object (inner, out);
  if (out->code == NULL)
    out->code = g_steal_pointer (&out->outer_code);
  const char *data = cab_json_text (json_array_get (cab_json_get (inner, "data"), 0));
  if (data != NULL)
    replace (&out->message, g_strdup_printf ("%s %s", out->message != NULL ? out->message : "", data));
}

static gboolean read_json (const char *text, gsize len, Fault *out) {
  json_auto_t *root = cab_json_parse (text, len, NULL);
  if (json_is_string (root))
    out->message = g_strdup (cab_json_text (root));
  if (!json_is_object (root))
    return out->message != NULL;
  read_object (root, out);
  json_t *nested = cab_json_get (root, "error");
  if (!json_is_object (nested))
    nested = json_array_get (cab_json_get (root, "errors"), 0);
  if (json_is_object (nested))
    read_object (nested, out);
  else if (out->message == NULL && json_is_string (nested))
    out->message = g_strdup (cab_json_text (nested));
  read_inner (cab_json_get (json_is_object (nested) ? nested : root, "innererror"), out);
  return TRUE;
}

/* --- XML and HTML -------------------------------------------------------------------------------------------- */

/* The text between the first <tag> and what follows it; NULL if there is none. */
static char *get_element (const char *text, const char *tag) {
  g_autofree char *start = g_strdup_printf ("<%s>", tag);
  g_autofree char *end = g_strdup_printf ("</%s>", tag);
  const char *from = strcasestr (text, start);
  if (from == NULL)
    return NULL;
  from += strlen (start);
  const char *to = strcasestr (from, end);
  return to != NULL ? g_strstrip (g_strndup (from, (gsize) (to - from))) : NULL;
}

static gboolean read_xml (const char *text, Fault *out) {
  g_autofree char *code = get_element (text, "Code");
  if (code == NULL)
    return FALSE;
  out->code = take_word (g_steal_pointer (&code));
  g_autofree char *message = get_element (text, "Message");
  g_autofree char *detail = get_element (text, "AuthenticationErrorDetail");
  const char *id = message != NULL ? strstr (message, "RequestId:") : NULL;
  if (id != NULL) {
    id += strlen ("RequestId:");
    out->correlation = take_word (g_strndup (id, strcspn (id, " \r\n")));
  }
  if (message != NULL)
    message[strcspn (message, "\r\n")] = '\0';
  out->message =
      g_strjoin (detail != NULL ? " " : "", message != NULL ? message : "", detail != NULL ? detail : "", NULL);
  return TRUE;
}

static void read_text (const char *text, Fault *out) {
  g_autofree char *title = get_element (text, "title");
  if (title != NULL)
    out->message = g_strdup_printf ("a web page, \"%s\"", title);
  else if (strcasestr (text, "<html") != NULL || strcasestr (text, "<!doctype") != NULL)
    out->message = g_strdup ("a web page");
  else
    out->message = g_strdup (text);
}

static void read_fault (const void *bytes, gsize len, Fault *out) {
  len = MIN (len, BODY_LIMIT);
  if (len == 0 || read_json (bytes, len, out))
    return;
  g_autofree char *text = g_utf8_make_valid (bytes, (gssize) len);
  if (!read_xml (text, out))
    read_text (text, out);
}

/* --- one line ------------------------------------------------------------------------------------------------ */

/* One line without secrets, control and direction characters, of at most MESSAGE_LIMIT bytes. */
static char *clean_message (const char *message) {
  g_autofree char *redacted = cab_redact_text (message);
  g_autofree char *valid = g_utf8_make_valid (redacted, -1);
  GString *line = g_string_new (NULL);
  for (char *p = valid; *p != '\0'; p = g_utf8_next_char (p)) {
    gunichar c = g_utf8_get_char (p);
    if (g_unichar_isspace (c) || !g_unichar_isprint (c)) {
      if (line->len > 0 && line->str[line->len - 1] != ' ')
        g_string_append_c (line, ' ');
    } else {
      g_string_append_unichar (line, c);
    }
    if (line->len > MESSAGE_LIMIT - 6) {
      g_string_append (line, "…");
      break;
    }
  }
  return g_strchomp (g_string_free (line, FALSE));
}

char *cab_api_error_text (const void *bytes, gsize len, const char *correlation) {
  g_auto (Fault) fault = {0};
  read_fault (bytes, len, &fault);
  replace (&fault.correlation, take_word (g_strdup (correlation)));
  g_autofree char *message = clean_message (fault.message != NULL ? fault.message : "");
  GString *line = g_string_new (NULL);
  if (fault.outer_code != NULL && g_strcmp0 (fault.outer_code, fault.code) != 0)
    g_string_append_printf (line, "%s/", fault.outer_code);
  g_string_append (line, fault.code != NULL ? fault.code : "");
  if (*message != '\0')
    g_string_append_printf (line, "%s%s", line->len > 0 ? ": " : "", message);
  if (line->len == 0)
    g_string_append (line, "no explanation");
  if (fault.correlation != NULL)
    g_string_append_printf (line, " (correlation id %s)", fault.correlation);
  return g_string_free (line, FALSE);
}

void cab_api_error_mark (GError *error, int status, const void *bytes, gsize len, const char *code,
                         const char *correlation) {
  g_auto (Fault) fault = {0};
  read_fault (bytes, len, &fault);
  replace (&fault.code, take_word (g_strdup (code)));
  replace (&fault.correlation, take_word (g_strdup (correlation)));
  const CabErrorAnswer answer = {status, fault.code, fault.correlation};
  cab_error_set_answer (error, &answer);
}

char *cab_api_error_word (const char *text) {
  return take_word (g_strdup (text));
}

char *cab_api_error_code (const void *bytes, gsize len) {
  g_auto (Fault) fault = {0};
  read_fault (bytes, len, &fault);
  return g_steal_pointer (&fault.code);
}
