/* peer_serve.c - the other mounts that take bytes from here: each connection is one user of one content.
 *
 * A range is served piece by piece, each when the one before has left: so much is in memory for each connection, however
 * slow the other end is.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cache/peer-private.h"

#include <unistd.h>

/* Connections at a time: a mount has a few for each CAB that it has open. */
#define GUESTS_MAX 128

typedef enum {
  GUEST_NEW,     /* is to ask */
  GUEST_ASKED,   /* waits for the content */
  GUEST_IDLE,    /* has it, and may want some */
  GUEST_READING, /* waits for a piece */
  GUEST_SENDING, /* is sent one, then gets the next */
  GUEST_REFUSED, /* hears it, and that was all */
} GuestState;

typedef struct {
  CabRefs refs; /* the connection's, and of what was asked for it */
  CabPeers *peers;
  /* owned by the thread */
  CabPeerConn *conn; /* NULL: gone */
  GuestState state;
  CabContent *content; /* NULL: none yet, or no more */
  CabZone zone;        /* what it still wants */
} Guest;

static Guest *guest_hold (Guest *self) {
  cab_ref_take (&self->refs);
  return self;
}

static void guest_drop (Guest *self) {
  if (cab_ref_drop (&self->refs))
    g_free (self);
}

static gboolean is_here (const Guest *self) {
  return self->conn != NULL && self->conn->fd >= 0;
}

/* What the state needs of the connection: who waits is told so, who is sent something gets more. */
static void enter (Guest *self, GuestState state) {
  self->state = state;
  self->conn->timed = state == GUEST_ASKED || state == GUEST_READING;
  self->conn->eager = state == GUEST_SENDING || state == GUEST_REFUSED;
}

static void tell (Guest *self, CabPeerKind kind) {
  const CabPeerFrame frame = {.kind = kind};
  cab_peer_conn_send (self->conn, &frame);
}

static void let_go (Guest *self) {
  g_clear_pointer (&self->content, cab_content_unref);
}

/* --- the content -------------------------------------------------------------------------------------------- */

typedef struct {
  Guest *guest;
  CabContent *content;
} Loan;

static gboolean tell_facts (Guest *self) {
  CabFacts facts;
  cab_content_lend_facts (self->content, &facts);
  g_autoptr (GByteArray) payload = cab_peer_facts_format (&facts);
  g_free ((char *) (gsize) facts.md5);
  if (payload == NULL)
    return FALSE;
  const CabPeerFrame frame = {.kind = CAB_PEER_FACTS, .payload = payload->data, .len = payload->len};
  cab_peer_conn_send (self->conn, &frame);
  return TRUE;
}

static void lent (gpointer data) {
  g_autofree Loan *loan = data;
  Guest *self = loan->guest;
  if (!is_here (self)) {
    cab_content_unref (loan->content);
  } else {
    self->content = loan->content;
    gboolean good = self->content != NULL && tell_facts (self);
    if (!good)
      tell (self, CAB_PEER_NO);
    enter (self, good ? GUEST_IDLE : GUEST_REFUSED);
  }
  guest_drop (self);
}

/* Any thread, maybe ours. */
static void on_lent (gpointer data, CabContent *content, const GError *error) {
  Guest *self = data;
  Loan *loan = g_new (Loan, 1);
  *loan = (Loan){self, content};
  if (cab_peers_run (self->peers, lent, loan))
    return;
  cab_content_unref (content);
  guest_drop (self);
  g_free (loan);
}

static gboolean on_ask (Guest *self, const CabPeerFrame *frame) {
  g_autofree char *key = g_strndup (frame->payload, frame->len);
  enter (self, GUEST_ASKED);
  cab_contents_lend (self->peers->contents, key, on_lent, guest_hold (self));
  return TRUE;
}

/* --- pieces ------------------------------------------------------------------------------------------------- */

typedef struct {
  Guest *guest;
  char *bytes; /* NULL: there are none to be had */
  gsize len;
} Piece;

static void piece_free (Piece *piece) {
  guest_drop (piece->guest);
  g_free (piece->bytes);
  g_free (piece);
}

static void send_piece (Guest *self, const char *bytes, gsize len) {
  const CabPeerFrame frame = {CAB_PEER_BYTES, {self->zone.start, self->zone.start + len}, bytes, len};
  cab_peer_conn_send (self->conn, &frame);
  self->zone.start += len;
  enter (self, self->zone.start < self->zone.end ? GUEST_SENDING : GUEST_IDLE);
  cab_content_take_brought (self->content); /* who reads them there has had them downloaded, and nobody here */
}

static void arrived (gpointer data) {
  Piece *piece = data;
  Guest *self = piece->guest;
  if (is_here (self) && piece->bytes != NULL) {
    send_piece (self, piece->bytes, piece->len);
  } else if (is_here (self)) {
    tell (self, CAB_PEER_NO);
    enter (self, GUEST_IDLE);
  }
  piece_free (piece);
}

/* Any thread, maybe ours. */
static void on_read (gpointer data, const void *bytes, gsize len, const GError *error) {
  Guest *self = data;
  Piece *piece = g_new (Piece, 1);
  *piece = (Piece){self, error == NULL && len > 0 ? g_memdup2 (bytes, len) : NULL, len};
  if (!cab_peers_run (self->peers, arrived, piece))
    piece_free (piece);
}

static void serve (Guest *self) {
  gsize len = (gsize) MIN (self->zone.end - self->zone.start, CAB_PEER_PIECE);
  g_autofree char *bytes = g_malloc (len);
  if (cab_content_peek (self->content, self->zone.start, bytes, len)) {
    send_piece (self, bytes, len);
    return;
  }
  enter (self, GUEST_READING);
  cab_content_lend_read (self->content, self->zone, len, on_read, guest_hold (self));
}

static gboolean on_want (Guest *self, CabRange range) {
  if (range.end > cab_content_size (self->content))
    return FALSE;
  self->zone = cab_content_lend_zone (self->content, range);
  serve (self);
  return TRUE;
}

/* --- the connection ----------------------------------------------------------------------------------------- */

static gboolean on_frame (gpointer data, const CabPeerFrame *frame) {
  Guest *self = data;
  if (self->state == GUEST_NEW && frame->kind == CAB_PEER_ASK)
    return on_ask (self, frame);
  if (self->state == GUEST_IDLE && frame->kind == CAB_PEER_WANT)
    return on_want (self, frame->range);
  return FALSE;
}

static void on_drained (gpointer data) {
  Guest *self = data;
  if (self->state == GUEST_SENDING)
    serve (self);
  else
    cab_peer_conn_close (self->conn); /* refused: it has no content */
}

static void on_ended (gpointer data) {
  let_go (data);
}

static void on_tick (gpointer data, gint64 now_us) {
  Guest *self = data;
  if (now_us - self->conn->told_us >= CAB_PEER_TELL_US && cab_peer_conn_is_drained (self->conn))
    tell (self, CAB_PEER_WAIT);
}

static void on_gone (gpointer data) {
  Guest *self = data;
  let_go (self);
  self->conn = NULL;
  self->peers->guests--;
  guest_drop (self);
}

void cab_peers_let_in (CabPeers *self, int fd) {
  static const CabPeerHandlers handlers = {on_frame, on_drained, on_ended, on_tick, on_gone};
  if (self->guests >= GUESTS_MAX) {
    close (fd);
    return;
  }
  Guest *guest = g_new0 (Guest, 1);
  cab_ref_init (&guest->refs);
  guest->peers = self;
  guest->conn = cab_peer_conn_new (fd, CAB_PEER_WORDS, &handlers, guest);
  self->guests++;
  cab_peers_add (self, guest->conn);
}
