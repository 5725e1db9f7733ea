/* SPDX-License-Identifier: MIT
 *
 * What another mount on the same cache directory says: the input as frames, one after the other, and as facts.
 */
#include "cache/peer_wire.h"
#include "client/error.h"
#include "tests/fuzz/fuzz.h"

/* What counts as a frame is what would have been sent. */
static void check_frame (const CabPeerFrame *frame, const guint8 *bytes, gsize used) {
  g_assert_true (used >= CAB_PEER_HEAD && frame->range.start <= frame->range.end);
  g_assert_cmpuint (used - CAB_PEER_HEAD, ==, frame->len);
  g_autoptr (GByteArray) again = g_byte_array_new ();
  cab_peer_frame_append (frame, again);
  g_assert_true (again->len == used && memcmp (again->data, bytes, used) == 0);
}

static void check_facts (const void *payload, gsize len) {
  g_autoptr (GError) error = NULL;
  CabFacts facts;
  if (!cab_peer_facts_parse (payload, len, &facts, &error)) {
    g_assert_error (error, CAB_ERROR, CAB_ERROR_INVALID);
    return;
  }
  g_autoptr (GByteArray) again = cab_peer_facts_format (&facts);
  if (again == NULL) /* longer than a frame takes */
    g_assert_cmpuint (len + CAB_PEER_HEAD, >, CAB_PEER_WORDS);
  else
    g_assert_true (again->len == len && memcmp (again->data, payload, len) == 0);
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size) {
  if (size == 0)
    return 0; /* who says nothing is not parsed */
  g_autofree guint8 *exact = g_memdup2 (data, size);
  gsize used = 1;
  for (gsize at = 0; used > 0; at += used) {
    g_autoptr (GError) error = NULL;
    CabPeerFrame frame;
    if (!cab_peer_frame_parse (exact + at, size - at, &frame, &used, &error)) {
      g_assert_error (error, CAB_ERROR, CAB_ERROR_INVALID);
      break;
    }
    if (used > 0)
      check_frame (&frame, exact + at, used);
    if (used > 0 && frame.kind == CAB_PEER_FACTS)
      check_facts (frame.payload, frame.len);
  }
  check_facts (exact, size);
  return 0;
}
