/* SPDX-License-Identifier: MIT */
#include "tests/emulator/park.h"
#include "client/sync.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define TIMER_ID 0
#define EVENTS   64

struct EmuPark {
  pthread_t thread;
  int epoll; /* watches the clients of the parked, and the timer */
  int timer;

  pthread_mutex_t lock;
  pthread_cond_t changed; /* the held grew, or stopped */
  gboolean stopped;       /* lock, as is all that follows */
  guint64 last_id;
  GHashTable *parked; /* id -> EmuParked, borrowed */
  GTree *timed;       /* EmuParked -> itself, by time; those that have one */
  GQueue held;        /* their `link`: those with a fault */
};

static int by_time (gconstpointer a, gconstpointer b, gpointer data) {
  const EmuParked *x = a, *y = b;
  if (x->until_us != y->until_us)
    return x->until_us < y->until_us ? -1 : 1;
  return x->id < y->id ? -1 : x->id > y->id;
}

/* --- with the lock ------------------------------------------------------------------------------------------ */

static void arm_locked (EmuPark *self) {
  GTreeNode *first = g_tree_node_first (self->timed);
  struct itimerspec spec = {0};
  if (self->stopped) {
    spec.it_value.tv_nsec = 1;
  } else if (first != NULL) {
    gint64 at = MAX (((const EmuParked *) g_tree_node_key (first))->until_us, 1);
    spec.it_value.tv_sec = at / 1000000;
    spec.it_value.tv_nsec = (at % 1000000) * 1000;
  }
  timerfd_settime (self->timer, TFD_TIMER_ABSTIME, &spec, NULL);
}

static void insert_locked (EmuPark *self, EmuParked *parked) {
  parked->id = ++self->last_id;
  g_hash_table_insert (self->parked, &parked->id, parked);
  if (parked->until_us != G_MAXINT64) {
    g_tree_insert (self->timed, parked, parked);
    arm_locked (self);
  }
  if (parked->fault != 0) {
    parked->link.data = parked;
    g_queue_push_tail_link (&self->held, &parked->link);
    pthread_cond_broadcast (&self->changed);
  }
  struct epoll_event event = {.events = EPOLLRDHUP | EPOLLONESHOT, .data.u64 = parked->id};
  epoll_ctl (self->epoll, EPOLL_CTL_ADD, parked->fd, &event);
}

/* Takes @parked out; whoever does so resumes its connection, without the lock. */
static void remove_locked (EmuPark *self, EmuParked *parked, EmuWoken woken, GPtrArray *out) {
  epoll_ctl (self->epoll, EPOLL_CTL_DEL, parked->fd, NULL);
  g_hash_table_remove (self->parked, &parked->id);
  if (parked->until_us != G_MAXINT64)
    g_tree_remove (self->timed, parked);
  if (parked->fault != 0)
    g_queue_unlink (&self->held, &parked->link);
  parked->woken = woken;
  g_ptr_array_add (out, parked);
}

static guint held_locked (EmuPark *self, guint fault) {
  guint n = 0;
  for (GList *at = self->held.head; at != NULL; at = at->next)
    n += fault == 0 || ((const EmuParked *) at->data)->fault == fault;
  return n;
}

static void due_locked (EmuPark *self, GPtrArray *out) {
  gint64 now = g_get_monotonic_time ();
  GTreeNode *first;
  while ((first = g_tree_node_first (self->timed)) != NULL) {
    EmuParked *parked = g_tree_node_value (first);
    if (parked->until_us > now)
      break;
    remove_locked (self, parked, EMU_WOKEN_TIME, out);
  }
  arm_locked (self);
}

/* --- the thread --------------------------------------------------------------------------------------------- */

static void resume_all (GPtrArray *woken) {
  for (guint i = 0; i < woken->len; i++)
    MHD_resume_connection (((EmuParked *) woken->pdata[i])->connection);
  g_ptr_array_set_size (woken, 0);
}

static gboolean round_of (EmuPark *self, const struct epoll_event *events, int n, GPtrArray *woken) {
  CAB_LOCK_SCOPE (&self->lock);
  for (int i = 0; i < n; i++) {
    guint64 id = events[i].data.u64;
    EmuParked *parked = id != TIMER_ID ? g_hash_table_lookup (self->parked, &id) : NULL;
    if (parked != NULL)
      remove_locked (self, parked, EMU_WOKEN_GONE, woken);
  }
  due_locked (self, woken);
  return !self->stopped;
}

static void *run (void *data) {
  EmuPark *self = data;
  g_autoptr (GPtrArray) woken = g_ptr_array_new ();
  struct epoll_event events[EVENTS];
  gboolean go_on = TRUE;
  while (go_on) {
    int n = epoll_wait (self->epoll, events, EVENTS, -1);
    guint64 expirations;
    ssize_t got = read (self->timer, &expirations, sizeof expirations);
    (void) got; /* only empties it: what is due is seen from the times */
    go_on = round_of (self, events, n, woken);
    resume_all (woken);
  }
  return NULL;
}

EmuPark *emu_park_new (GError **error) {
  EmuPark *self = g_new0 (EmuPark, 1);
  pthread_condattr_t attr;
  pthread_condattr_init (&attr);
  pthread_condattr_setclock (&attr, CLOCK_MONOTONIC);
  pthread_cond_init (&self->changed, &attr);
  pthread_condattr_destroy (&attr);
  pthread_mutex_init (&self->lock, NULL);
  self->parked = g_hash_table_new (g_int64_hash, g_int64_equal);
  self->timed = g_tree_new_with_data (by_time, NULL);
  g_queue_init (&self->held);
  self->epoll = epoll_create1 (EPOLL_CLOEXEC);
  self->timer = timerfd_create (CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  struct epoll_event event = {.events = EPOLLIN, .data.u64 = TIMER_ID};
  if (self->epoll < 0 || self->timer < 0 || epoll_ctl (self->epoll, EPOLL_CTL_ADD, self->timer, &event) < 0 ||
      pthread_create (&self->thread, NULL, run, self) != 0) {
    emu_error_set (error, "cannot watch connections: %s", g_strerror (errno));
    return NULL; /* the program ends */
  }
  return self;
}

void emu_park_stop (EmuPark *self) {
  g_autoptr (GPtrArray) woken = g_ptr_array_new ();
  {
    CAB_LOCK_SCOPE (&self->lock);
    self->stopped = TRUE;
    GHashTableIter iter;
    gpointer parked;
    g_autoptr (GPtrArray) all = g_ptr_array_new ();
    g_hash_table_iter_init (&iter, self->parked);
    while (g_hash_table_iter_next (&iter, NULL, &parked))
      g_ptr_array_add (all, parked);
    for (guint i = 0; i < all->len; i++)
      remove_locked (self, all->pdata[i], EMU_WOKEN_STOPPED, woken);
    arm_locked (self);
    pthread_cond_broadcast (&self->changed);
  }
  resume_all (woken);
  pthread_join (self->thread, NULL);
}

void emu_park_free (EmuPark *self) {
  if (self == NULL)
    return;
  close (self->epoll);
  close (self->timer);
  g_tree_unref (self->timed);
  g_hash_table_unref (self->parked);
  pthread_cond_destroy (&self->changed);
  pthread_mutex_destroy (&self->lock);
  g_free (self);
}

/* --- waiting ------------------------------------------------------------------------------------------------ */

static gboolean try_insert (EmuPark *self, EmuParked *parked) {
  CAB_LOCK_SCOPE (&self->lock);
  if (!self->stopped)
    insert_locked (self, parked);
  return !self->stopped;
}

static gboolean is_stopped (EmuPark *self) {
  CAB_LOCK_SCOPE (&self->lock);
  return self->stopped;
}

gboolean emu_park_wait (EmuPark *self, EmuParked *parked, struct MHD_Connection *connection, gint64 until_us,
                        guint fault) {
  int on = 1;
  parked->woken = EMU_WOKEN_STOPPED;
  if (is_stopped (self))
    return FALSE;
  parked->connection = connection;
  parked->fd = MHD_get_connection_info (connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
  parked->until_us = until_us;
  parked->fault = fault;
  /* Pushes out what the kernel still keeps back to fill a segment: the client must have all that was sent. */
  setsockopt (parked->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  MHD_suspend_connection (connection);
  if (!try_insert (self, parked))
    MHD_resume_connection (connection);
  return TRUE;
}

guint emu_park_release (EmuPark *self, guint fault, guint n) {
  g_autoptr (GPtrArray) woken = g_ptr_array_new ();
  {
    CAB_LOCK_SCOPE (&self->lock);
    for (GList *at = self->held.head, *next; at != NULL && (n == 0 || woken->len < n); at = next) {
      EmuParked *parked = at->data;
      next = at->next;
      if (fault == 0 || parked->fault == fault)
        remove_locked (self, parked, EMU_WOKEN_RELEASED, woken);
    }
  }
  guint released = woken->len;
  resume_all (woken);
  return released;
}

guint emu_park_held (EmuPark *self, guint fault) {
  CAB_LOCK_SCOPE (&self->lock);
  return held_locked (self, fault);
}

gboolean emu_park_wait_held (EmuPark *self, guint fault, guint n, gint64 timeout_ms) {
  struct timespec until;
  clock_gettime (CLOCK_MONOTONIC, &until);
  until.tv_sec += timeout_ms / 1000;
  until.tv_nsec += (timeout_ms % 1000) * 1000000;
  if (until.tv_nsec >= 1000000000) {
    until.tv_sec++;
    until.tv_nsec -= 1000000000;
  }
  CAB_LOCK_SCOPE (&self->lock);
  while (!self->stopped && held_locked (self, fault) < n)
    if (pthread_cond_timedwait (&self->changed, &self->lock, &until) == ETIMEDOUT)
      break;
  return held_locked (self, fault) >= n;
}
