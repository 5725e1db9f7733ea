/* cabfs-bench-link: a far host on this machine.  A TCP relay in front of a near one, on 127.0.0.1, that gives each
 * connection the round trip, the rate and the slow start of a long way.
 *
 *   cabfs-bench-link [--rtt-ms=40] [--rate=60000000] [--port=P] HOST-PORT
 *
 * It prints {"port": P}.  For each line on its standard input it prints what passed so far, {"connections", "open",
 * "up", "down"}, and at its end it ends.
 *
 * What a client sends is held until one round trip after it connected (the handshake, which loopback does at once), then
 * for half a round trip; what comes back is held for the other half.  Downwards a connection has the rate, and a window
 * of bytes that are not yet acknowledged: ten segments at first, one more for each acknowledged, up to what the rate
 * fills, and half as much for each time-out of a pause, as Linux' servers have it.  Nothing is ever lost.
 *
 * One thread.  It looks at a connection when its sockets have news or its next event is due, at most every TICK_US, so
 * that a relayed byte costs little more than being read and written once.
 *
 * SPDX-License-Identifier: MIT
 */
#include <arpa/inet.h>
#include <errno.h>
#include <glib.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define PARCEL     (64 * 1024)
#define SEGMENT    1460
#define FIRST      (10 * SEGMENT)
#define TICK_US    300
#define LATE_US    2000   /* how much rate a connection that was looked at late makes up for */
#define TIMEOUT_US 200000 /* and a round trip: Linux' time-out of a connection that loses nothing */
#define EVENTS     256
#define BACKLOG    4096

/* Bytes under way; none: the end of the stream. */
typedef struct {
  gint64 due_us;
  gsize len, sent;
  char bytes[];
} Parcel;

typedef struct {
  gint64 at_us;
  gsize len;
} Ack;

/* One direction of a connection. */
typedef struct {
  int from, to;
  gboolean readable, writable; /* as far as epoll has told */
  gboolean ended, closed;      /* the end was read; was handed on */
  gboolean paced;
  GQueue road, acks;
  gsize window, in_flight;
  gint64 free_at_us; /* when the line has sent what it was given */
  guint64 *moved;
} Lane;

typedef struct {
  gint64 open_us; /* before that the client has no connection yet */
  Lane up, down;
  gint64 next_us;
  guint index; /* in connections */
  gboolean broken;
} Connection;

static struct {
  gint64 rtt_us, rate;
  gsize window_max;
  guint16 port, target;
  int epoll, listener;
  guint64 accepted, up, down;
  GPtrArray *connections;
  char scratch[PARCEL];
} link_;

static gint64 now_us (void) {
  return g_get_monotonic_time ();
}

/* --- one direction ------------------------------------------------------------------------------------------- */

static void lane_acknowledge (Lane *lane, gint64 now) {
  for (Ack *ack; (ack = g_queue_peek_head (&lane->acks)) != NULL && ack->at_us <= now;) {
    lane->in_flight -= ack->len;
    lane->window = MIN (lane->window + ack->len, link_.window_max);
    g_free (g_queue_pop_head (&lane->acks));
  }
}

static void lane_push (Lane *lane, gsize len, gint64 due) {
  Parcel *parcel = g_malloc (sizeof *parcel + len);
  parcel->due_us = due;
  parcel->len = len;
  parcel->sent = 0;
  if (len > 0)
    memcpy (parcel->bytes, link_.scratch, len);
  g_queue_push_tail (&lane->road, parcel);
}

/* After a pause a sender knows less of the line. */
static void lane_shrink (Lane *lane, gint64 pause_us) {
  gint64 timeout_us = link_.rtt_us + TIMEOUT_US;
  for (; pause_us > timeout_us && lane->window > FIRST; pause_us -= timeout_us)
    lane->window = MAX (lane->window / 2, (gsize) FIRST);
}

/* How many bytes the line takes now. */
static gsize lane_room (Lane *lane, gint64 now) {
  if (!lane->paced)
    return PARCEL;
  if (lane->free_at_us > now)
    return 0;
  if (lane->in_flight == 0)
    lane_shrink (lane, now - lane->free_at_us);
  return MIN (lane->window - lane->in_flight, (gsize) PARCEL);
}

/* Reads one parcel; FALSE if there is nothing or no room for it. */
static gboolean lane_take (Lane *lane, gint64 now, gint64 open, gboolean *broken) {
  gsize room = lane->readable && !lane->ended ? lane_room (lane, now) : 0;
  if (room == 0)
    return FALSE;
  gssize n = recv (lane->from, link_.scratch, room, 0);
  if (n < 0) {
    lane->readable = errno == EINTR;
    *broken |= errno != EAGAIN && errno != EINTR;
    return lane->readable;
  }
  gint64 sent = MAX (MAX (lane->free_at_us, now - LATE_US), open);
  if (lane->paced)
    sent += n * G_USEC_PER_SEC / link_.rate;
  lane->free_at_us = sent;
  lane->ended = n == 0;
  lane->in_flight += (gsize) n;
  lane_push (lane, (gsize) n, MAX (sent, now) + link_.rtt_us / 2);
  return TRUE;
}

static void lane_delivered (Lane *lane, Parcel *parcel, gint64 now) {
  Ack *ack = g_new (Ack, 1);
  *ack = (Ack){now + link_.rtt_us / 2, parcel->len};
  g_queue_push_tail (&lane->acks, ack);
  g_free (g_queue_pop_head (&lane->road));
}

/* Hands on the parcel at the head; FALSE if it is not due or not taken. */
static gboolean lane_give (Lane *lane, gint64 now, gboolean *broken) {
  Parcel *parcel = g_queue_peek_head (&lane->road);
  if (parcel == NULL || parcel->due_us > now || !lane->writable)
    return FALSE;
  if (parcel->len == 0) {
    lane->closed = TRUE;
    shutdown (lane->to, SHUT_WR);
    g_free (g_queue_pop_head (&lane->road));
    return FALSE;
  }
  gssize n = send (lane->to, parcel->bytes + parcel->sent, parcel->len - parcel->sent, MSG_NOSIGNAL);
  if (n < 0) {
    lane->writable = errno == EINTR;
    *broken |= errno != EAGAIN && errno != EINTR;
    return lane->writable;
  }
  parcel->sent += (gsize) n;
  *lane->moved += (guint64) n;
  if (parcel->sent == parcel->len)
    lane_delivered (lane, parcel, now);
  return TRUE;
}

/* When time alone will change something. */
static gint64 lane_next (const Lane *lane, gint64 now) {
  const Parcel *parcel = lane->road.head != NULL ? lane->road.head->data : NULL;
  const Ack *ack = lane->acks.head != NULL ? lane->acks.head->data : NULL;
  gint64 next = G_MAXINT64;
  if (parcel != NULL && lane->writable)
    next = parcel->due_us;
  if (ack != NULL)
    next = MIN (next, ack->at_us);
  if (lane->readable && !lane->ended && lane->free_at_us > now)
    next = MIN (next, lane->free_at_us);
  return next;
}

static gint64 lane_pump (Lane *lane, gint64 now, gint64 open, gboolean *broken) {
  lane_acknowledge (lane, now);
  while (!*broken && lane_take (lane, now, open, broken))
    continue;
  while (!*broken && lane_give (lane, now, broken))
    continue;
  return lane_next (lane, now);
}

static void lane_clear (Lane *lane) {
  g_queue_clear_full (&lane->road, g_free);
  g_queue_clear_full (&lane->acks, g_free);
}

/* --- connections --------------------------------------------------------------------------------------------- */

/* The lowest bit of what epoll keeps tells the two sockets of a connection apart. */
static void watch (int fd, Connection *connection, gboolean server) {
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                              .data.u64 = (guintptr) connection | (server ? 1 : 0)};
  epoll_ctl (link_.epoll, EPOLL_CTL_ADD, fd, &event);
}

static int connect_target (void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons (link_.target)};
  address.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
  int fd = socket (AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd >= 0 && connect (fd, (struct sockaddr *) &address, sizeof address) < 0 && errno != EINPROGRESS) {
    close (fd);
    return -1;
  }
  return fd;
}

static void start_connection (int client, int server) {
  static const int on = 1;
  setsockopt (client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt (server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  Connection *self = g_new0 (Connection, 1);
  self->open_us = now_us () + link_.rtt_us;
  self->next_us = G_MAXINT64;
  self->up = (Lane){.from = client, .to = server, .moved = &link_.up, .window = G_MAXSIZE / 2};
  self->down =
      (Lane){.from = server, .to = client, .moved = &link_.down, .window = FIRST, .paced = link_.rate > 0};
  self->index = link_.connections->len;
  g_ptr_array_add (link_.connections, self);
  link_.accepted++;
  watch (client, self, FALSE);
  watch (server, self, TRUE);
}

static void accept_all (void) {
  for (int client; (client = accept4 (link_.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
    int server = connect_target ();
    if (server < 0)
      close (client);
    else
      start_connection (client, server);
  }
}

static void connection_free (Connection *self) {
  close (self->up.from);
  close (self->up.to);
  lane_clear (&self->up);
  lane_clear (&self->down);
  g_ptr_array_remove_index_fast (link_.connections, self->index);
  if (self->index < link_.connections->len)
    ((Connection *) link_.connections->pdata[self->index])->index = self->index;
  g_free (self);
}

static void connection_note (Connection *self, gboolean server, guint32 events) {
  Lane *in = server ? &self->down : &self->up, *out = server ? &self->up : &self->down;
  in->readable |= (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP)) != 0;
  out->writable |= (events & EPOLLOUT) != 0;
  self->broken |= (events & EPOLLERR) != 0;
  self->next_us = 0;
}

static void connection_pump (Connection *self, gint64 now) {
  gint64 up = lane_pump (&self->up, now, self->open_us, &self->broken);
  gint64 down = lane_pump (&self->down, now, 0, &self->broken);
  self->next_us = MIN (up, down);
  if (self->broken || (self->up.closed && self->down.closed))
    connection_free (self);
}

/* Backwards, because a connection that ends is replaced by the last one. */
static gint64 pump_due (gint64 now) {
  gint64 next = G_MAXINT64;
  for (guint i = link_.connections->len; i-- > 0;) {
    Connection *connection = link_.connections->pdata[i];
    if (connection->next_us <= now)
      connection_pump (connection, now);
  }
  for (guint i = 0; i < link_.connections->len; i++)
    next = MIN (next, ((Connection *) link_.connections->pdata[i])->next_us);
  return next;
}

/* --- the program --------------------------------------------------------------------------------------------- */

/* FALSE at the end of standard input. */
static gboolean answer_control (void) {
  char line[256];
  if (read (STDIN_FILENO, line, sizeof line) <= 0)
    return FALSE;
  printf ("{\"connections\": %" G_GUINT64_FORMAT ", \"open\": %u, \"up\": %" G_GUINT64_FORMAT
          ", \"down\": %" G_GUINT64_FORMAT "}\n",
          link_.accepted, link_.connections->len, link_.up, link_.down);
  fflush (stdout);
  return TRUE;
}

/* Events of a connection have its address; these two have none. */
enum { EVENT_CONTROL = 2, EVENT_LISTENER = 4, EVENT_SMALL = 16 };

static gboolean take_event (const struct epoll_event *event) {
  if (event->data.u64 == EVENT_CONTROL)
    return answer_control ();
  if (event->data.u64 == EVENT_LISTENER)
    accept_all ();
  if (event->data.u64 > EVENT_SMALL)
    connection_note ((gpointer) (guintptr) (event->data.u64 & ~(guint64) 1), (event->data.u64 & 1) != 0,
                     event->events);
  return TRUE;
}

static void run (void) {
  struct epoll_event events[EVENTS];
  gint64 next = G_MAXINT64;
  for (;;) {
    gint64 wait = next == G_MAXINT64 ? 0 : MAX (next - now_us (), TICK_US);
    struct timespec timeout = {wait / G_USEC_PER_SEC, wait % G_USEC_PER_SEC * 1000};
    int n = epoll_pwait2 (link_.epoll, events, EVENTS, next == G_MAXINT64 ? NULL : &timeout, NULL);
    for (int i = 0; i < n; i++)
      if (!take_event (&events[i]))
        return;
    next = pump_due (now_us ());
  }
}

static gboolean listen_here (void) {
  static const int on = 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons (link_.port)};
  socklen_t len = sizeof address;
  address.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
  link_.listener = socket (AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  setsockopt (link_.listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind (link_.listener, (struct sockaddr *) &address, len) < 0 || listen (link_.listener, BACKLOG) < 0 ||
      getsockname (link_.listener, (struct sockaddr *) &address, &len) < 0)
    return FALSE;
  link_.epoll = epoll_create1 (EPOLL_CLOEXEC);
  struct epoll_event control = {.events = EPOLLIN, .data.u64 = EVENT_CONTROL};
  struct epoll_event news = {.events = EPOLLIN, .data.u64 = EVENT_LISTENER};
  epoll_ctl (link_.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &control);
  epoll_ctl (link_.epoll, EPOLL_CTL_ADD, link_.listener, &news);
  printf ("{\"port\": %d}\n", ntohs (address.sin_port));
  fflush (stdout);
  return TRUE;
}

static void raise_descriptor_limit (void) {
  struct rlimit limit;
  if (getrlimit (RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit (RLIMIT_NOFILE, &limit);
  }
}

int main (int argc, char **argv) {
  double rtt_ms = 40;
  int port = 0;
  link_.rate = 60000000;
  const GOptionEntry entries[] = {
      {"rtt-ms", 0, 0, G_OPTION_ARG_DOUBLE, &rtt_ms, "Round trip (40)", "MS"},
      {"rate", 0, 0, G_OPTION_ARG_INT64, &link_.rate, "Of a connection, bytes/s (60000000; 0: no limit)", "N"},
      {"port", 0, 0, G_OPTION_ARG_INT, &port, "To listen on (the kernel's choice)", "P"},
      {NULL, 0, 0, 0, NULL, NULL, NULL},
  };
  g_autoptr (GError) error = NULL;
  g_autoptr (GOptionContext) context = g_option_context_new ("PORT - a far way to 127.0.0.1:PORT");
  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error) || argc != 2) {
    fprintf (stderr, "cabfs-bench-link: %s\n", error != NULL ? error->message : "one port is wanted");
    return 2;
  }
  link_.rtt_us = (gint64) (rtt_ms * 1000);
  link_.window_max = MAX ((gsize) (link_.rate * link_.rtt_us / G_USEC_PER_SEC), (gsize) FIRST);
  link_.port = (guint16) port;
  link_.target = (guint16) atoi (argv[1]);
  link_.connections = g_ptr_array_new ();
  raise_descriptor_limit ();
  if (!listen_here ()) {
    fprintf (stderr, "cabfs-bench-link: cannot listen: %s\n", g_strerror (errno));
    return 1;
  }
  run ();
  return 0;
}
