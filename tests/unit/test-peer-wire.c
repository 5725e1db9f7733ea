/* test-peer-wire.c - frames between mounts: what is said is what is heard, and nothing else is taken for a frame.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cache/peer_wire.h"
#include "client/error.h"

#include <string.h>

/* As it lies in memory; the magic number is that of a frame we made. */
typedef struct {
  guint32 magic, kind;
  guint64 start, end;
  guint32 len, zero;
} Head;

static Head head_of (CabPeerKind kind, guint64 start, guint64 end, guint32 len) {
  const CabPeerFrame frame = {.kind = CAB_PEER_WAIT};
  g_autoptr (GByteArray) made = g_byte_array_new ();
  cab_peer_frame_append (&frame, made);
  Head head;
  memcpy (&head, made->data, sizeof head);
  head.kind = kind;
  head.start = start;
  head.end = end;
  head.len = len;
  return head;
}

static void test_round_trip (void) {
  g_autofree char *piece = g_malloc0 (CAB_PEER_PIECE);
  const CabPeerFrame frames[] = {
      {.kind = CAB_PEER_ASK, .payload = "driver/1/x", .len = 10},
      {.kind = CAB_PEER_WANT, .range = {5, 1000}},
      {.kind = CAB_PEER_FACTS, .payload = "abc", .len = 3},
      {.kind = CAB_PEER_BYTES, .range = {7, 7 + CAB_PEER_PIECE}, .payload = piece, .len = CAB_PEER_PIECE},
      {.kind = CAB_PEER_BYTES, .range = {G_MAXINT64 - 1, G_MAXINT64}, .payload = "a", .len = 1},
      {.kind = CAB_PEER_WAIT},
      {.kind = CAB_PEER_NO},
  };
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  for (guint i = 0; i < G_N_ELEMENTS (frames); i++)
    cab_peer_frame_append (&frames[i], bytes);
  gsize at = 0;
  for (guint i = 0; i < G_N_ELEMENTS (frames); i++) {
    g_autoptr (GError) error = NULL;
    CabPeerFrame frame;
    gsize used;
    g_assert_true (cab_peer_frame_parse (bytes->data + at, bytes->len - at, &frame, &used, &error));
    g_assert_no_error (error);
    g_assert_cmpuint (used, ==, CAB_PEER_HEAD + frames[i].len);
    g_assert_cmpuint (frame.kind, ==, frames[i].kind);
    g_assert_cmpuint (frame.range.start, ==, frames[i].range.start);
    g_assert_cmpuint (frame.range.end, ==, frames[i].range.end);
    g_assert_cmpuint (frame.len, ==, frames[i].len);
    g_assert_true (frame.len == 0 || memcmp (frame.payload, frames[i].payload, frame.len) == 0);
    at += used;
  }
  g_assert_cmpuint (at, ==, bytes->len);
}

/* As long as a byte is missing it is no frame yet, and no error. */
static void test_cut (void) {
  const CabPeerFrame frame = {.kind = CAB_PEER_ASK, .payload = "driver/1/x", .len = 10};
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  cab_peer_frame_append (&frame, bytes);
  for (gsize len = 0; len <= bytes->len; len++) {
    g_autofree char *exact = g_memdup2 (bytes->data, len);
    g_autoptr (GError) error = NULL;
    CabPeerFrame out;
    gsize used;
    g_assert_true (cab_peer_frame_parse (exact, len, &out, &used, &error));
    g_assert_cmpuint (used, ==, len == bytes->len ? len : 0);
  }
}

static void assert_refused (Head head) {
  g_autofree char *bytes = g_malloc0 (sizeof head + CAB_PEER_PIECE + 1);
  memcpy (bytes, &head, sizeof head);
  g_autoptr (GError) error = NULL;
  CabPeerFrame frame;
  gsize used;
  g_assert_false (cab_peer_frame_parse (bytes, sizeof head + CAB_PEER_PIECE + 1, &frame, &used, &error));
  g_assert_error (error, CAB_ERROR, CAB_ERROR_INVALID);
}

/* The head alone is enough to see it: nobody waits for a payload that is too long. */
static void test_malformed (void) {
  Head head = head_of (CAB_PEER_WAIT, 0, 0, 0);
  head.magic++;
  assert_refused (head);
  head = head_of (CAB_PEER_WAIT, 0, 0, 0);
  head.zero = 1;
  assert_refused (head);
  const Head heads[] = {
      head_of (0, 0, 0, 0),
      head_of (CAB_PEER_NO + 1, 0, 0, 0),
      head_of (G_MAXUINT32, 0, 0, 0),
      head_of (CAB_PEER_WAIT, 0, 1, 0),
      head_of (CAB_PEER_WAIT, 0, 0, 1),
      head_of (CAB_PEER_NO, 1, 2, 0),
      head_of (CAB_PEER_ASK, 0, 0, 0),
      head_of (CAB_PEER_ASK, 0, 0, CAB_PEER_WORDS + 1),
      head_of (CAB_PEER_ASK, 0, 5, 5),
      head_of (CAB_PEER_ASK, 0, 0, 5), /* of NULs */
      head_of (CAB_PEER_FACTS, 0, 0, CAB_PEER_WORDS + 1),
      head_of (CAB_PEER_WANT, 0, 0, 0),
      head_of (CAB_PEER_WANT, 6, 5, 0),
      head_of (CAB_PEER_WANT, 5, 6, 1),
      head_of (CAB_PEER_WANT, 0, (guint64) G_MAXINT64 + 1, 0),
      head_of (CAB_PEER_BYTES, 0, 0, 0),
      head_of (CAB_PEER_BYTES, 0, 5, 4),
      head_of (CAB_PEER_BYTES, 5, 0, 5),
      head_of (CAB_PEER_BYTES, G_MAXUINT64, 4, 5), /* wraps around */
      head_of (CAB_PEER_BYTES, 0, CAB_PEER_PIECE + 1, CAB_PEER_PIECE + 1),
      head_of (CAB_PEER_BYTES, 0, G_MAXUINT32, G_MAXUINT32),
  };
  for (guint i = 0; i < G_N_ELEMENTS (heads); i++)
    assert_refused (heads[i]);
}

static void assert_facts (const CabFacts *facts) {
  g_autoptr (GByteArray) payload = cab_peer_facts_format (facts);
  g_assert_nonnull (payload);
  g_autofree char *exact = g_memdup2 (payload->data, payload->len);
  g_autoptr (GError) error = NULL;
  CabFacts out;
  g_assert_true (cab_peer_facts_parse (exact, payload->len, &out, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (out.size, ==, facts->size);
  g_assert_cmpint (out.modified, ==, facts->modified);
  g_assert_cmpstr (out.etag, ==, facts->etag);
  g_assert_cmpstr (out.md5, ==, facts->md5);
}

static void test_facts (void) {
  const char *md5 = "0123456789abcdef0123456789abcdef";
  assert_facts (&(CabFacts){.size = 0, .modified = CAB_TIME_UNKNOWN});
  assert_facts (&(CabFacts){.size = 1, .etag = "\"0x8D\"", .modified = 5});
  assert_facts (&(CabFacts){.size = G_MAXINT64, .etag = "\"\xc3\xa4\"", .md5 = md5, .modified = -5});
  assert_facts (&(CabFacts){.size = 1, .md5 = md5});
  g_autofree char *long_etag = g_strnfill (CAB_PEER_WORDS, 'x');
  const CabFacts strange[] = {
      {.size = 1, .etag = "a\nb"},
      {.size = 1, .etag = long_etag},
      {.size = 1, .md5 = "0123456789abcdef0123456789ABCDEF"},
      {.size = 1, .md5 = "0123"},
      {.size = (guint64) G_MAXINT64 + 1},
  };
  for (guint i = 0; i < G_N_ELEMENTS (strange); i++)
    g_assert_null (cab_peer_facts_format (&strange[i]));
}

static void test_facts_malformed (void) {
  const CabFacts facts = {
      .size = 1000, .etag = "\"one\"", .md5 = "0123456789abcdef0123456789abcdef", .modified = 5};
  g_autoptr (GByteArray) payload = cab_peer_facts_format (&facts);
  CabFacts out;
  for (gsize len = 0; len < payload->len; len++) {
    g_autofree char *exact = g_memdup2 (payload->data, len);
    g_assert_false (cab_peer_facts_parse (exact, len, &out, NULL));
  }
  static const struct {
    gsize at;
    char byte;
  } changes[] = {{7, '\x80'}, {17, '\n'}, {17, '\0'}, {30, 'X'}, {30, '\0'}};
  for (guint i = 0; i < G_N_ELEMENTS (changes); i++) {
    g_autofree char *bad = g_memdup2 (payload->data, payload->len);
    g_autoptr (GError) error = NULL;
    bad[changes[i].at] = changes[i].byte;
    g_assert_false (cab_peer_facts_parse (bad, payload->len, &out, &error));
    g_assert_error (error, CAB_ERROR, CAB_ERROR_INVALID);
  }
}

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/peer-wire/round-trip", test_round_trip);
  g_test_add_func ("/peer-wire/cut", test_cut);
  g_test_add_func ("/peer-wire/malformed", test_malformed);
  g_test_add_func ("/peer-wire/facts", test_facts);
  g_test_add_func ("/peer-wire/facts-malformed", test_facts_malformed);
  return g_test_run ();
}
