/* Links to the page that follows: api-contract.md 3.3, 3.5 and section 9.
 *
 * Of a link only path and query count.  They are asked of the API host whatever host the link names, so that the
 * token gets to no other.
 *
 * SPDX-License-Identifier: MIT
 */
#include "client/api_family.h"
#include "client/error.h"

#include <string.h>

#define LINK_LIMIT 8192

/* {"links":[{"rel":"next_link","href":"…"}]}, as the hardware products have it. */
static char *find_rel (json_t *root) {
  size_t i;
  json_t *link;
  json_array_foreach (cab_json_get (root, "links"), i, link) {
    g_autofree char *rel = cab_json_get_text (link, "rel");
    if (rel != NULL && g_ascii_strcasecmp (rel, "next_link") == 0)
      return cab_json_get_text (link, "href");
  }
  return NULL;
}

char *cab_api_link (json_t *root) {
  static const char *const keys[] = {"@nextLink", "nextLink", "@odata.nextLink"};
  for (gsize i = 0; i < G_N_ELEMENTS (keys); i++) {
    char *link = cab_json_get_text (root, keys[i]);
    if (link != NULL)
      return link;
  }
  return find_rel (root);
}

/* What follows scheme and host, if it has them. */
static const char *skip_host (const char *link) {
  gsize scheme = strcspn (link, ":/?#");
  if (g_str_has_prefix (link + scheme, "://"))
    link += scheme + 3;
  else if (g_str_has_prefix (link, "//"))
    link += 2;
  else
    return link;
  return link + strcspn (link, "/?#");
}

/* @link without its fragment, with what no URL may hold encoded: the samples have blanks and quotes. */
static void append_encoded (GString *path, const char *link) {
  for (const char *p = link; *p != '\0' && *p != '#'; p++)
    if ((guchar) *p <= ' ' || (guchar) *p >= 0x7f || strchr ("\"'<>\\^`{|}", *p) != NULL)
      g_string_append_printf (path, "%%%02X", (guint) (guchar) *p);
    else
      g_string_append_c (path, *p);
}

guint64 cab_api_link_skip (const char *link) {
  static const char name[] = "skip=";
  for (const char *p = strchr (link, '?'); p != NULL; p = strchr (p + 1, '&')) {
    guint64 skip = 0;
    if (g_ascii_strncasecmp (p + 1, name, strlen (name)) != 0)
      continue;
    g_autofree char *digits = g_strndup (p + 1 + strlen (name), strcspn (p + 1 + strlen (name), "&#"));
    return g_ascii_string_to_unsigned (digits, 10, 0, G_MAXUINT64, &skip, NULL) ? skip : CAB_SKIP_UNKNOWN;
  }
  return CAB_SKIP_UNKNOWN;
}

char *cab_api_link_path (const CabWay *call, const char *link, GError **error) {
  const char *rest = skip_host (link);
  gboolean absolute = rest != link;
  if (strlen (link) > LINK_LIMIT || (absolute && rest[0] != '/')) {
    g_set_error_literal (error, CAB_ERROR, CAB_ERROR_INVALID,
                         "unexpected answer: the link to the next page cannot be followed");
    return NULL;
  }
  GString *path = g_string_new (NULL);
  if (rest[0] == '?')
    g_string_append (path, call->path);
  else if (rest[0] != '/')
    g_string_append (path, call->link_base);
  append_encoded (path, rest);
  return g_string_free (path, FALSE);
}
