/* SPDX-License-Identifier: MIT */
#include "cache/peer_wire.h"

#include "client/error.h"

#include <string.h>

#define MAGIC 0x31534643u /* with the version of all this */

typedef struct {
  guint32 magic;
  guint32 kind;
  guint64 start, end;
  guint32 len;
  guint32 zero;
} Head;

G_STATIC_ASSERT (sizeof (Head) == CAB_PEER_HEAD);

/* Of a CAB's facts, before its strings. */
typedef struct {
  guint64 size;
  gint64 modified;
} Numbers;

#define MD5_LEN 32

static gboolean invalid (GError **error, const char *what) {
  g_set_error (error, CAB_ERROR, CAB_ERROR_INVALID, "another mount sent %s", what);
  return FALSE;
}

/* Goes into the log, into a map and into requests. */
static gboolean is_line (const char *text, gsize len) {
  for (gsize i = 0; i < len; i++)
    if ((guchar) text[i] < 0x20 || text[i] == 0x7f)
      return FALSE;
  return TRUE;
}

/* --- frames ------------------------------------------------------------------------------------------------- */

static gboolean is_length_of (const Head *head) {
  switch ((CabPeerKind) head->kind) {
  case CAB_PEER_ASK:
  case CAB_PEER_FACTS:
    return head->len > 0 && head->len <= CAB_PEER_WORDS;
  case CAB_PEER_BYTES:
    return head->len > 0 && head->len <= CAB_PEER_PIECE && head->end - head->start == head->len;
  case CAB_PEER_WANT:
  case CAB_PEER_WAIT:
  case CAB_PEER_NO:
    return head->len == 0;
  }
  return FALSE;
}

static gboolean is_range_of (const Head *head) {
  if (head->kind == CAB_PEER_WANT || head->kind == CAB_PEER_BYTES)
    return head->start < head->end && head->end <= G_MAXINT64;
  return head->start == 0 && head->end == 0;
}

gboolean cab_peer_frame_parse (const void *bytes, gsize len, CabPeerFrame *out, gsize *used, GError **error) {
  Head head;
  *used = 0;
  if (len < sizeof head)
    return TRUE;
  memcpy (&head, bytes, sizeof head);
  if (head.magic != MAGIC || head.zero != 0)
    return invalid (error, "something that is not of this version of cabfs");
  if (!is_range_of (&head) || !is_length_of (&head))
    return invalid (error, "a frame that is none");
  if (len - sizeof head < head.len)
    return TRUE;
  *out = (CabPeerFrame){.kind = (CabPeerKind) head.kind,
                        .range = {head.start, head.end},
                        .payload = (const char *) bytes + sizeof head,
                        .len = head.len};
  if (out->kind == CAB_PEER_ASK && !is_line (out->payload, out->len))
    return invalid (error, "a key that is none");
  *used = sizeof head + head.len;
  return TRUE;
}

void cab_peer_frame_append (const CabPeerFrame *frame, GByteArray *into) {
  const Head head = {.magic = MAGIC,
                     .kind = frame->kind,
                     .start = frame->range.start,
                     .end = frame->range.end,
                     .len = (guint32) frame->len};
  g_assert (is_range_of (&head) && is_length_of (&head));
  g_byte_array_append (into, (const guint8 *) &head, sizeof head);
  if (frame->len > 0)
    g_byte_array_append (into, frame->payload, (guint) frame->len);
}

/* --- facts -------------------------------------------------------------------------------------------------- */

static gboolean is_md5 (const char *text) {
  return strlen (text) == MD5_LEN && strspn (text, "0123456789abcdef") == MD5_LEN;
}

GByteArray *cab_peer_facts_format (const CabFacts *facts) {
  const Numbers numbers = {facts->size, facts->modified};
  const char *etag = facts->etag != NULL ? facts->etag : "";
  const char *md5 = facts->md5 != NULL ? facts->md5 : "";
  gsize len = strlen (etag) + 1;
  if (facts->size > G_MAXINT64 || !is_line (etag, len - 1) || (*md5 != '\0' && !is_md5 (md5)) ||
      sizeof numbers + len + MD5_LEN + 1 > CAB_PEER_WORDS)
    return NULL;
  GByteArray *payload = g_byte_array_new ();
  g_byte_array_append (payload, (const guint8 *) &numbers, sizeof numbers);
  g_byte_array_append (payload, (const guint8 *) etag, (guint) len);
  g_byte_array_append (payload, (const guint8 *) md5, (guint) strlen (md5) + 1);
  return payload;
}

gboolean cab_peer_facts_parse (const void *payload, gsize len, CabFacts *out, GError **error) {
  Numbers numbers;
  if (len < sizeof numbers + 2 || ((const char *) payload)[len - 1] != '\0')
    return invalid (error, "facts that are cut");
  memcpy (&numbers, payload, sizeof numbers);
  const char *etag = (const char *) payload + sizeof numbers;
  const char *md5 = etag + strlen (etag) + 1;
  if (md5 >= (const char *) payload + len || md5 + strlen (md5) + 1 != (const char *) payload + len)
    return invalid (error, "facts that are no two strings");
  if (numbers.size > G_MAXINT64 || !is_line (etag, strlen (etag)) || (*md5 != '\0' && !is_md5 (md5)))
    return invalid (error, "facts that cannot be");
  *out = (CabFacts){.size = numbers.size,
                    .etag = *etag != '\0' ? etag : NULL,
                    .md5 = *md5 != '\0' ? md5 : NULL,
                    .modified = numbers.modified};
  return TRUE;
}
