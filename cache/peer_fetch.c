/* peer_fetch.c - the other mount that we take bytes from.
 *
 * A link is what one content has to do with others: at first all who listen are asked at once; the first who has it is
 * the one.  It keeps a connection to him until it leaves, so that he does not close the CAB in between.  A connection
 * brings one range at a time; there are a few, for readers who want far apart.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cache/peer-private.h"
#include "client/error.h"
#include "client/metrics.h"

#include <string.h>
#include <unistd.h>

/* Connections to whom we take bytes from, of one link. */
#define TIES_MAX 4

/* Who did not answer at all is not asked for so long. */
#define AVOID_US (60 * G_USEC_PER_SEC)

struct CabPeerLink {
  CabRefs refs;     /* the content's, and of each transfer, connection and job */
  CabPeers *peers;  /* set at creation */
  char *key;        /* likewise */
  atomic_bool good; /* there may be somebody */
  /* owned by the thread */
  GPtrArray *ties;   /* of Tie, open ones */
  GQueue waiting;    /* of CabPeerTransfer, each a reference */
  gboolean chosen;   /* one has it: */
  guint number;      /* which one */
  guint connections; /* most that he takes */
};

typedef enum {
  TIE_ASKING,
  TIE_IDLE,
  TIE_BUSY, /* with its transfer */
} TieState;

/* One connection; owned by the thread. */
typedef struct {
  CabPeerLink *link; /* a reference */
  CabPeerConn *conn;
  guint number; /* to whom */
  TieState state;
  gboolean heard;            /* of him */
  CabFacts facts;            /* but for ASKING; strings owned */
  CabPeerTransfer *transfer; /* of BUSY: a reference */
} Tie;

struct CabPeerTransfer {
  CabRefs refs;      /* the caller's, and the link's until it is over */
  CabPeerLink *link; /* set at creation, as are the next two: a reference */
  CabSink sink;
  gpointer data;
  /* owned by the thread */
  guint64 pos, end; /* [pos, end) is still to come */
  Tie *tie;         /* NULL: it waits, or is over */
  gboolean over;
};

/* --- references --------------------------------------------------------------------------------------------- */

static CabPeerLink *link_hold (CabPeerLink *self) {
  cab_ref_take (&self->refs);
  return self;
}

static void link_drop (CabPeerLink *self) {
  if (!cab_ref_drop (&self->refs))
    return;
  g_assert (self->ties->len == 0 && g_queue_is_empty (&self->waiting));
  g_ptr_array_unref (self->ties);
  g_free (self->key);
  g_free (self);
}

static CabPeerTransfer *transfer_hold (CabPeerTransfer *self) {
  cab_ref_take (&self->refs);
  return self;
}

void cab_peer_transfer_unref (CabPeerTransfer *self) {
  if (self == NULL || !cab_ref_drop (&self->refs))
    return;
  link_drop (self->link);
  g_free (self);
}

/* --- the end of transfers ----------------------------------------------------------------------------------- */

/* It belongs to no connection any more; drops the link's reference. */
static void transfer_end (CabPeerTransfer *self, const GError *error) {
  self->over = TRUE;
  self->tie = NULL;
  self->sink.done (self->data, error);
  cab_peer_transfer_unref (self);
}

static void end_with (CabPeerTransfer *self, CabErrorCode code, const char *words) {
  g_autoptr (GError) error = g_error_new_literal (CAB_ERROR, code, words);
  transfer_end (self, error);
}

/* As if it had never been there; its transfer is the caller's to end. */
static CabPeerTransfer *untie (Tie *self) {
  cab_peer_conn_close (self->conn);
  self->conn->timed = FALSE;
  g_ptr_array_remove_fast (self->link->ties, self);
  return g_steal_pointer (&self->transfer);
}

static void close_ties (CabPeerLink *self, GQueue *transfers) {
  while (self->ties->len > 0) {
    CabPeerTransfer *transfer = untie (g_ptr_array_index (self->ties, 0));
    if (transfer != NULL)
      g_queue_push_tail (transfers, transfer);
  }
}

/* Nobody has it, or he has it no more. */
static void link_break (CabPeerLink *self, const char *why) {
  GQueue transfers = G_QUEUE_INIT;
  gboolean news = atomic_exchange (&self->good, FALSE) && self->chosen;
  if (news)
    g_debug ("cache: %s comes from its host from now on: %s", self->key, why);
  close_ties (self, &transfers);
  for (CabPeerTransfer *t = g_queue_pop_head (&self->waiting); t != NULL; t = g_queue_pop_head (&self->waiting))
    g_queue_push_tail (&transfers, t);
  for (CabPeerTransfer *t = g_queue_pop_head (&transfers); t != NULL; t = g_queue_pop_head (&transfers))
    end_with (t, CAB_ERROR_FAILED, why);
}

/* --- what a connection is doing ----------------------------------------------------------------------------- */

static void link_pump (CabPeerLink *self);

static void enter (Tie *self, TieState state) {
  self->state = state;
  self->conn->timed = state != TIE_IDLE;
}

/* It is free for another range. */
static void finish (Tie *self, const GError *error) {
  CabPeerTransfer *transfer = g_steal_pointer (&self->transfer);
  enter (self, TIE_IDLE);
  transfer_end (transfer, error);
}

/* Takes the transfer's reference. */
static void begin (Tie *self, CabPeerTransfer *transfer) {
  g_autoptr (GError) error = NULL;
  self->transfer = transfer;
  transfer->tie = self;
  transfer->end = MIN (transfer->end, MAX (self->facts.size, transfer->pos));
  enter (self, TIE_BUSY);
  if (!transfer->sink.facts (transfer->data, &self->facts, &error) || transfer->pos == transfer->end) {
    finish (self, error);
    return;
  }
  const CabPeerFrame frame = {.kind = CAB_PEER_WANT, .range = {transfer->pos, transfer->end}};
  cab_peer_conn_send (self->conn, &frame);
  self->conn->heard_us = g_get_monotonic_time ();
}

static gboolean on_bytes (Tie *self, const CabPeerFrame *frame) {
  g_autoptr (GError) error = NULL;
  CabPeerTransfer *transfer = self->transfer;
  if (frame->range.start != transfer->pos || frame->range.end > transfer->end)
    return FALSE;
  transfer->pos = frame->range.end;
  cab_metric_add (CAB_METRIC_BYTES_SHARED, frame->len);
  if (!transfer->sink.write (transfer->data, frame->range.start, frame->payload, frame->len, &error)) {
    transfer_end (untie (self), error); /* with what is still on its way */
    link_pump (self->link);
  } else if (transfer->pos == transfer->end) {
    finish (self, NULL);
    link_pump (self->link);
  }
  return TRUE;
}

static void on_no (Tie *self) {
  g_autoptr (GError) error = g_error_new_literal (CAB_ERROR, CAB_ERROR_FAILED, "the other mount has it not");
  finish (self, error);
  link_pump (self->link);
}

/* --- who has it --------------------------------------------------------------------------------------------- */

/* He who answered, and not the others. */
static void choose (CabPeerLink *self, guint number) {
  if (self->chosen)
    return;
  g_debug ("cache: %s comes from another mount on this cache", self->key);
  self->chosen = TRUE;
  self->number = number;
  for (guint i = self->ties->len; i > 0; i--) {
    Tie *tie = g_ptr_array_index (self->ties, i - 1);
    if (tie->number != number)
      untie (tie);
  }
}

static gboolean on_facts (Tie *self, const CabPeerFrame *frame) {
  g_autoptr (GError) error = NULL;
  CabFacts facts;
  if (!cab_peer_facts_parse (frame->payload, frame->len, &facts, &error)) {
    g_debug ("cache: %s", error->message);
    return FALSE;
  }
  self->facts = facts;
  self->facts.etag = g_strdup (facts.etag);
  self->facts.md5 = g_strdup (facts.md5);
  enter (self, TIE_IDLE);
  choose (self->link, self->number);
  link_pump (self->link);
  return TRUE;
}

/* This one is of no use; others may be, or ranges that have not been asked for yet get on with fewer. */
static void give_up (Tie *self, const char *why) {
  CabPeerLink *link = self->link;
  gboolean asking = self->state == TIE_ASKING;
  if (!asking) {
    link_break (link, why);
    return;
  }
  untie (self);
  if (link->chosen)
    link->connections = link->ties->len;
  if (link->ties->len == 0)
    link_break (link, why);
}

static gboolean on_frame (gpointer data, const CabPeerFrame *frame) {
  Tie *self = data;
  self->heard = TRUE;
  if (frame->kind == CAB_PEER_WAIT && self->state != TIE_IDLE)
    return TRUE;
  if (frame->kind == CAB_PEER_FACTS && self->state == TIE_ASKING)
    return on_facts (self, frame);
  if (frame->kind == CAB_PEER_BYTES && self->state == TIE_BUSY)
    return on_bytes (self, frame);
  if (frame->kind != CAB_PEER_NO || self->state == TIE_IDLE)
    return FALSE;
  if (self->state == TIE_ASKING)
    give_up (self, "no other mount has it");
  else
    on_no (self);
  return TRUE;
}

static void on_ended (gpointer data) {
  give_up (data, "the other mount has gone");
}

static void on_tick (gpointer data, gint64 now_us) {
  Tie *self = data;
  if (now_us - self->conn->heard_us < CAB_PEER_SILENT_US)
    return;
  if (!self->heard)
    self->link->peers->avoid_until_us[self->number] = now_us + AVOID_US;
  give_up (self, "the other mount does not answer");
}

static void on_gone (gpointer data) {
  Tie *self = data;
  link_drop (self->link);
  g_free ((char *) (gsize) self->facts.etag);
  g_free ((char *) (gsize) self->facts.md5);
  g_free (self);
}

/* --- connecting --------------------------------------------------------------------------------------------- */

static void ask (CabPeerLink *self, guint number) {
  static const CabPeerHandlers handlers = {on_frame, NULL, on_ended, on_tick, on_gone};
  int fd = cab_peer_connect (self->peers->dirfd, number);
  if (fd < 0)
    return;
  Tie *tie = g_new0 (Tie, 1);
  tie->link = link_hold (self);
  tie->number = number;
  tie->conn = cab_peer_conn_new (fd, CAB_PEER_PIECE, &handlers, tie);
  enter (tie, TIE_ASKING);
  g_ptr_array_add (self->ties, tie);
  cab_peers_add (self->peers, tie->conn);
  const CabPeerFrame frame = {.kind = CAB_PEER_ASK, .payload = self->key, .len = strlen (self->key)};
  cab_peer_conn_send (tie->conn, &frame);
}

static void ask_all (CabPeerLink *self) {
  const CabPeers *peers = self->peers;
  gint64 now_us = g_get_monotonic_time ();
  for (guint i = 0; i < CAB_PEER_NUMBERS; i++)
    if ((peers->listener < 0 || i != peers->number) && peers->avoid_until_us[i] <= now_us)
      ask (self, i);
}

/* One that is in @state. */
static Tie *find_tie (const CabPeerLink *self, TieState state) {
  for (guint i = 0; i < self->ties->len; i++) {
    Tie *tie = g_ptr_array_index (self->ties, i);
    if (tie->state == state)
      return tie;
  }
  return NULL;
}

/* Gets what waits going, as far as there are connections. */
static void link_pump (CabPeerLink *self) {
  Tie *tie;
  while (!g_queue_is_empty (&self->waiting) && (tie = find_tie (self, TIE_IDLE)) != NULL)
    begin (tie, g_queue_pop_head (&self->waiting));
  if (g_queue_is_empty (&self->waiting) || find_tie (self, TIE_ASKING) != NULL)
    return;
  if (!self->chosen)
    ask_all (self);
  else if (self->ties->len < MAX (1, self->connections))
    ask (self, self->number);
  if (self->ties->len == 0)
    link_break (self, "no other mount is there");
}

/* --- from other threads ------------------------------------------------------------------------------------- */

CabPeerLink *cab_peer_link_new (CabPeers *peers, const char *key) {
  if (strlen (key) > CAB_PEER_WORDS)
    return NULL;
  CabPeerLink *self = g_new0 (CabPeerLink, 1);
  cab_ref_init (&self->refs);
  self->peers = peers;
  self->key = g_strdup (key);
  atomic_init (&self->good, TRUE);
  self->ties = g_ptr_array_new ();
  g_queue_init (&self->waiting);
  self->connections = TIES_MAX;
  return self;
}

gboolean cab_peer_link_is_good (const CabPeerLink *self) {
  return atomic_load (&self->good);
}

static void leave (gpointer data) {
  CabPeerLink *self = data;
  self->chosen = FALSE; /* nothing to be told of */
  link_break (self, "it is not needed");
  link_drop (self);
}

void cab_peer_link_leave (CabPeerLink *self) {
  if (!cab_peers_run (self->peers, leave, link_hold (self)))
    link_drop (self);
}

void cab_peer_link_unref (CabPeerLink *self) {
  if (self == NULL)
    return;
  if (cab_peer_link_is_good (self))
    cab_peer_link_leave (self);
  link_drop (self);
}

static void start (gpointer data) {
  CabPeerTransfer *self = data;
  if (!cab_peer_link_is_good (self->link)) {
    end_with (self, CAB_ERROR_FAILED, "no other mount is there");
  } else {
    g_queue_push_tail (&self->link->waiting, self);
    link_pump (self->link);
  }
}

CabPeerTransfer *cab_peer_get (CabPeerLink *link, guint64 off, guint64 len, const CabSink *sink,
                               gpointer data) {
  if (!cab_peer_link_is_good (link))
    return NULL;
  CabPeerTransfer *self = g_new0 (CabPeerTransfer, 1);
  cab_ref_init (&self->refs);
  self->link = link_hold (link);
  self->sink = *sink;
  self->data = data;
  self->pos = off;
  self->end = off + len;
  if (cab_peers_run (link->peers, start, transfer_hold (self)))
    return self;
  atomic_store (&link->good, FALSE); /* there is no thread */
  cab_peer_transfer_unref (self);
  cab_peer_transfer_unref (self);
  return NULL;
}

static void cancel (gpointer data) {
  CabPeerTransfer *self = data;
  if (!self->over && self->tie != NULL) {
    CabPeerLink *link = self->link;
    end_with (untie (self->tie), CAB_ERROR_CANCELLED, "cancelled");
    link_pump (link);
  } else if (!self->over) {
    g_queue_remove (&self->link->waiting, self);
    end_with (self, CAB_ERROR_CANCELLED, "cancelled");
  }
  cab_peer_transfer_unref (self);
}

void cab_peer_transfer_cancel (CabPeerTransfer *self) {
  if (!cab_peers_run (self->link->peers, cancel, transfer_hold (self)))
    cab_peer_transfer_unref (self);
}
