/* test-peer.c - two caches on one directory, and others that only seem to be one: what each is made to do, and what the
 * bytes are then.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cache/content-private.h"
#include "cache/files.h"
#include "cache/peer_conn.h"
#include "client/error.h"
#include "fake-client.h"
#include "gate.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KIB  ((guint64) 1 << 10)
#define SIZE (3 * KIB * KIB + 5)
#define ID   "fb57b37b-d364-4caf-995b-d99ae651ee18"

typedef struct {
  char *dir;
  CabScope *scope;
  CabRecord record;
  char *key;
  int dirfd;
  CabStore *store;   /* NULL, or that of: */
  CabObject *object; /* the file of the CAB, which is the test's */
} Fixture;

static CabCache *cache_new (const Fixture *f) {
  g_autoptr (GError) error = NULL;
  CabCacheOptions options = {.dir = f->dir,
                             .keep_s = 86400,
                             .listing_ttl_s = 300,
                             .read_ahead = 0,
                             .connections = 4,
                             .size_connections = 8,
                             .timeout_ms = 60000};
  CabCache *cache = cab_cache_new (&options, NULL, &error);
  g_assert_no_error (error);
  cab_cache_begin (cache);
  return cache;
}

static void cache_free (CabCache *cache) {
  cab_cache_stop (cache);
  cab_cache_free (cache);
}

static void set_up (Fixture *f, gconstpointer unused) {
  f->dir = g_dir_make_tmp ("cabfs-peer-XXXXXX", NULL);
  /* Its lists have no addresses, so that opening a CAB asks for none. */
  f->scope = cab_scope_new ("desktop", "13984104677400476", "1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed");
  f->record = (CabRecord){.id = ID,
                          .date = CAB_TIME_UNKNOWN,
                          .expires = g_get_real_time () / G_USEC_PER_SEC / 86400 * 86400 + 86400 * 9,
                          .downloadable = TRUE};
  f->key = cab_content_key (f->scope, &f->record, NULL);
  f->dirfd = open (f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  fake_start ();
  fake_set_blob (SIZE, "\"one\"");
}

static void tear_down (Fixture *f, gconstpointer unused) {
  close (f->dirfd);
  cab_object_close (f->object);
  cab_store_free (f->store);
  cab_scope_free (f->scope);
  g_free (f->key);
  g_autofree char *command = g_strdup_printf ("rm -rf '%s'", f->dir);
  g_assert_true (g_spawn_command_line_sync (command, NULL, NULL, NULL, NULL));
  g_free (f->dir);
}

/* --- who waits for an answer -------------------------------------------------------------------------------- */

typedef struct {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  gboolean over;
  GError *error;
  CabContent *content;
  char *bytes;
  gsize len;
} Result;

#define RESULT_INIT                                                                                            \
  { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER }

static void result_clear (Result *self) {
  g_clear_error (&self->error);
  g_free (self->bytes);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Result, result_clear)

static void arrive (Result *self, const GError *error) {
  CAB_LOCK_SCOPE (&self->lock);
  self->over = TRUE;
  self->error = error != NULL ? g_error_copy (error) : NULL;
  pthread_cond_broadcast (&self->changed);
}

static void wait_for (Result *self) {
  CAB_LOCK_SCOPE (&self->lock);
  while (!self->over)
    pthread_cond_wait (&self->changed, &self->lock);
}

static void on_open (gpointer data, CabContent *content, const GError *error) {
  Result *self = data;
  self->content = content;
  arrive (self, error);
}

static void on_read (gpointer data, const void *bytes, gsize len, const GError *error) {
  Result *self = data;
  self->bytes = g_memdup2 (bytes, len);
  self->len = len;
  arrive (self, error);
}

static void begin_open (const Fixture *f, CabCache *cache, Result *result) {
  cab_cache_open (cache, f->scope, &f->record, CAB_REACH_NETWORK, on_open, result);
}

static CabContent *opened (Result *result) {
  wait_for (result);
  g_assert_no_error (result->error);
  return result->content;
}

/* All that hosts are asked for from now on, until somebody has read all of @content. */
static void *answer_all (void *unused) {
  for (FakeRequest *request = fake_take (); request != NULL; request = fake_take ())
    fake_answer_get (request, G_MAXUINT64, 100000, NULL);
  return NULL;
}

static void assert_bytes (CabContent *content) {
  for (guint64 off = 0; off < SIZE; off += 128 * KIB) {
    g_auto (Result) result = RESULT_INIT;
    cab_content_read (content, off, 128 * KIB, on_read, &result);
    wait_for (&result);
    g_assert_no_error (result.error);
    g_assert_cmpuint (result.len, ==, MIN (128 * KIB, SIZE - off));
    for (gsize i = 0; i < result.len; i++)
      if ((guchar) result.bytes[i] != fake_byte (off + i))
        g_error ("wrong byte at %" G_GUINT64_FORMAT, off + i);
  }
}

/* --- two caches --------------------------------------------------------------------------------------------- */

/* Who opens it second waits for the first one's host, and has its bytes without asking one. */
static void test_one_download (Fixture *f, gconstpointer unused) {
  g_auto (Result) first = RESULT_INIT, second = RESULT_INIT;
  CabCache *one = cache_new (f), *two = cache_new (f);
  begin_open (f, one, &first);
  FakeRequest *request = fake_take ();
  begin_open (f, two, &second);
  fake_answer_get (request, G_MAXUINT64, 10000, NULL);
  g_autoptr (CabContent) a = opened (&first);
  g_autoptr (CabContent) b = opened (&second);
  g_assert_cmpuint (cab_content_size (b), ==, SIZE);
  pthread_t host;
  g_assert_cmpint (pthread_create (&host, NULL, answer_all, NULL), ==, 0);
  assert_bytes (b);
  guint requests = fake_count (FAKE_GET);
  assert_bytes (a); /* it has them all: the other one had them from there */
  g_assert_cmpuint (fake_count (FAKE_GET), ==, requests);
  g_clear_pointer (&b, cab_content_unref);
  g_clear_pointer (&a, cab_content_unref);
  cab_cache_stop (two);
  cab_cache_stop (one);
  pthread_join (host, NULL);
  cab_cache_free (two);
  cab_cache_free (one);
}

static Gate closing = GATE_INIT;

/* A file was closed by its last reader. */
int futimens (int fd, const struct timespec times[2]) {
  gate_enter (&closing);
  return (int) syscall (SYS_utimensat, fd, NULL, times, 0);
}

static void await_openers (const CabContent *content, guint count) {
  for (;;) {
    {
      CAB_LOCK_SCOPE (&content->owner->lock);
      if (content->openers.length == count)
        return;
    }
    g_usleep (1000);
  }
}

/* Two wait for one who closes it: the first of them has the file then, and the second has it from him. */
static void test_closed_for_two (Fixture *f, gconstpointer unused) {
  g_auto (Result) first = RESULT_INIT, second = RESULT_INIT, third = RESULT_INIT;
  CabCache *one = cache_new (f), *two = cache_new (f), *three = cache_new (f);
  begin_open (f, one, &first);
  fake_answer_get (fake_take (), G_MAXUINT64, 10000, NULL);
  CabContent *closed = cab_content_hold (opened (&first));
  gate_close (&closing, 0);
  cab_content_unref (closed);
  gate_wait (&closing);
  begin_open (f, two, &second);
  begin_open (f, three, &third);
  await_openers (closed, 2);
  cab_content_drop (closed);
  pthread_t host;
  g_assert_cmpint (pthread_create (&host, NULL, answer_all, NULL), ==, 0);
  guint requests = fake_count (FAKE_GET);
  gate_open (&closing);
  g_autoptr (CabContent) b = opened (&second);
  g_autoptr (CabContent) c = opened (&third);
  g_assert_cmpuint (fake_count (FAKE_GET), ==, requests);
  assert_bytes (b);
  requests = fake_count (FAKE_GET);
  assert_bytes (c);
  g_assert_cmpuint (fake_count (FAKE_GET), ==, requests);
  g_clear_pointer (&c, cab_content_unref);
  g_clear_pointer (&b, cab_content_unref);
  cab_cache_stop (three);
  cab_cache_stop (two);
  cab_cache_stop (one);
  pthread_join (host, NULL);
  cab_cache_free (three);
  cab_cache_free (two);
  cab_cache_free (one);
}

/* --- who is no cache ---------------------------------------------------------------------------------------- */

typedef struct {
  int fd;
  GByteArray *in;
} Line;

static void say (const Line *line, const CabPeerFrame *frame) {
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  cab_peer_frame_append (frame, bytes);
  for (gsize sent = 0; sent < bytes->len;) {
    struct pollfd polled = {.fd = line->fd, .events = POLLOUT};
    poll (&polled, 1, -1);
    ssize_t n = send (line->fd, bytes->data + sent, bytes->len - sent, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN)
      return;
    sent += (gsize) MAX (n, 0);
  }
}

/* The kind of the next frame but for WAIT, or 0 when the other end hangs up. */
static CabPeerKind hear (Line *line, CabRange *range) {
  for (;;) {
    CabPeerFrame frame;
    gsize used;
    guint8 block[4096];
    g_assert_true (cab_peer_frame_parse (line->in->data, line->in->len, &frame, &used, NULL));
    *range = frame.range;
    if (used > 0)
      g_byte_array_remove_range (line->in, 0, (guint) used);
    if (used > 0 && frame.kind != CAB_PEER_WAIT)
      return frame.kind;
    if (used > 0)
      continue;
    struct pollfd polled = {.fd = line->fd, .events = POLLIN};
    g_assert_cmpint (poll (&polled, 1, 60000), ==, 1);
    ssize_t n = recv (line->fd, block, sizeof block, 0);
    if (n <= 0)
      return 0;
    g_byte_array_append (line->in, block, (guint) n);
  }
}

static void line_clear (Line *line) {
  close (line->fd);
  g_byte_array_unref (line->in);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Line, line_clear)

static void say_key (const Fixture *f, const Line *line) {
  say (line, &(CabPeerFrame){.kind = CAB_PEER_ASK, .payload = f->key, .len = strlen (f->key)});
}

static void say_facts (const Line *line, guint64 size, const char *etag) {
  const CabFacts facts = {.size = size, .etag = etag, .modified = CAB_TIME_UNKNOWN};
  g_autoptr (GByteArray) payload = cab_peer_facts_format (&facts);
  say (line, &(CabPeerFrame){.kind = CAB_PEER_FACTS, .payload = payload->data, .len = payload->len});
}

/* --- one that takes ----------------------------------------------------------------------------------------- */

static Line connect_to (const Fixture *f, guint number) {
  Line line = {cab_peer_connect (f->dirfd, number), g_byte_array_new ()};
  g_assert_cmpint (line.fd, >=, 0);
  return line;
}

static void assert_hung_up (Line *line) {
  CabRange range;
  CabPeerKind kind;
  do
    kind = hear (line, &range);
  while (kind == CAB_PEER_FACTS || kind == CAB_PEER_BYTES);
  g_assert_cmpuint (kind, ==, 0);
}

/* What must not come ends the connection, and nothing else. */
static void test_guests (Fixture *f, gconstpointer unused) {
  static const CabPeerFrame strange[] = {
      {.kind = CAB_PEER_WANT, .range = {0, 1}},
      {.kind = CAB_PEER_FACTS, .payload = "abc", .len = 3},
      {.kind = CAB_PEER_BYTES, .range = {0, 1}, .payload = "a", .len = 1},
      {.kind = CAB_PEER_WAIT},
      {.kind = CAB_PEER_NO},
  };
  g_auto (Result) result = RESULT_INIT;
  CabRange range;
  CabCache *cache = cache_new (f);
  begin_open (f, cache, &result);
  fake_answer_get (fake_take (), G_MAXUINT64, 10000, NULL);
  g_autoptr (CabContent) content = opened (&result);
  for (guint i = 0; i < G_N_ELEMENTS (strange); i++) {
    g_auto (Line) before = connect_to (f, 0);
    say (&before, &strange[i]);
    assert_hung_up (&before);
    g_auto (Line) after = connect_to (f, 0);
    say_key (f, &after);
    g_assert_cmpuint (hear (&after, &range), ==, CAB_PEER_FACTS);
    say (&after, &strange[i]);
    if (strange[i].kind == CAB_PEER_WANT)
      say (&after, &(CabPeerFrame){.kind = CAB_PEER_WANT, .range = {SIZE - 1, SIZE + 1}});
    assert_hung_up (&after);
  }
  g_auto (Line) garbage = connect_to (f, 0);
  g_assert_cmpint (send (garbage.fd, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 35, 0), ==, 35);
  assert_hung_up (&garbage);
  g_clear_pointer (&content, cab_content_unref);
  cache_free (cache);
}

static void assert_no (Line *line) {
  CabRange range;
  g_assert_cmpuint (hear (line, &range), ==, CAB_PEER_NO);
  g_assert_cmpuint (hear (line, &range), ==, 0);
}

/* What nobody has open here, and what was never a CAB. */
static void test_guest_unknown (Fixture *f, gconstpointer unused) {
  CabCache *cache = cache_new (f);
  g_auto (Line) one = connect_to (f, 0), two = connect_to (f, 0);
  say_key (f, &one);
  assert_no (&one);
  say (&two, &(CabPeerFrame){.kind = CAB_PEER_ASK, .payload = "../../etc/passwd", .len = 16});
  assert_no (&two);
  cache_free (cache);
}

/* One that does not take what it has asked for gets no more than fits, and holds up nobody. */
static void test_guest_slow (Fixture *f, gconstpointer unused) {
  g_auto (Result) result = RESULT_INIT;
  CabRange range;
  CabCache *cache = cache_new (f);
  begin_open (f, cache, &result);
  pthread_t host;
  g_assert_cmpint (pthread_create (&host, NULL, answer_all, NULL), ==, 0);
  g_autoptr (CabContent) content = opened (&result);
  g_auto (Line) slow = connect_to (f, 0), quick = connect_to (f, 0);
  say_key (f, &slow);
  g_assert_cmpuint (hear (&slow, &range), ==, CAB_PEER_FACTS);
  say (&slow, &(CabPeerFrame){.kind = CAB_PEER_WANT, .range = {0, SIZE}});
  say_key (f, &quick);
  g_assert_cmpuint (hear (&quick, &range), ==, CAB_PEER_FACTS);
  say (&quick, &(CabPeerFrame){.kind = CAB_PEER_WANT, .range = {0, SIZE}});
  for (guint64 at = 0; at < SIZE; at = range.end) {
    g_assert_cmpuint (hear (&quick, &range), ==, CAB_PEER_BYTES);
    g_assert_cmpuint (range.start, ==, at);
  }
  say (&quick, &(CabPeerFrame){.kind = CAB_PEER_WANT, .range = {5, 6}});
  g_assert_cmpuint (hear (&quick, &range), ==, CAB_PEER_BYTES);
  g_clear_pointer (&content, cab_content_unref);
  cab_cache_stop (cache);
  pthread_join (host, NULL);
  cab_cache_free (cache);
}

/* Whoever is connected keeps the CAB open, until he hangs up; also one who asked while it opened. */
static void test_guest_leaves (Fixture *f, gconstpointer unused) {
  g_auto (Result) result = RESULT_INIT;
  CabRange range;
  CabCache *cache = cache_new (f);
  begin_open (f, cache, &result);
  FakeRequest *request = fake_take ();
  Line early = connect_to (f, 0), guest = connect_to (f, 0);
  say_key (f, &early);
  say_key (f, &guest);
  line_clear (&early);
  fake_answer_get (request, G_MAXUINT64, 10000, NULL);
  g_autoptr (CabContent) content = opened (&result);
  g_assert_cmpuint (hear (&guest, &range), ==, CAB_PEER_FACTS);
  g_clear_pointer (&content, cab_content_unref);
  g_autofree char *name = cab_store_dir_name (f->record.expires);
  g_autofree char *path = g_strdup_printf ("%s/%s/%s.cab", f->dir, name, ID);
  g_auto (CabFd) fd = open (path, O_RDONLY | O_CLOEXEC);
  g_assert_cmpint (flock (fd, LOCK_EX | LOCK_NB), <, 0);
  line_clear (&guest);
  g_assert_cmpint (flock (fd, LOCK_EX), ==, 0); /* waits for it */
  cache_free (cache);
}

/* So many at a time are let in, and when one leaves, another one. */
static void test_guest_crowd (Fixture *f, gconstpointer unused) {
  CabCache *cache = cache_new (f);
  Line lines[140];
  guint refused = 0;
  for (guint i = 0; i < G_N_ELEMENTS (lines); i++) {
    lines[i] = connect_to (f, 0);
    struct pollfd polled = {.fd = lines[i].fd, .events = POLLIN};
    refused += poll (&polled, 1, i < 128 ? 0 : 60000) > 0;
  }
  g_assert_cmpuint (refused, ==, G_N_ELEMENTS (lines) - 128);
  for (guint i = 0; i < G_N_ELEMENTS (lines); i++)
    line_clear (&lines[i]);
  CabPeerKind kind = 0;
  for (guint i = 0; i < 1000 && kind == 0; i++) { /* when they are gone is not told */
    CabRange range;
    g_auto (Line) next = connect_to (f, 0);
    say_key (f, &next);
    kind = hear (&next, &range);
  }
  g_assert_cmpuint (kind, ==, CAB_PEER_NO);
  cache_free (cache);
}

/* --- one that gives ----------------------------------------------------------------------------------------- */

typedef struct {
  const char *name;
  void (*act) (const Fixture *f, Line *line); /* once it was asked */
} Rogue;

static void hang_up (const Fixture *f, Line *line) {
}

static void say_no (const Fixture *f, Line *line) {
  say (line, &(CabPeerFrame){.kind = CAB_PEER_NO});
}

static void talk_nonsense (const Fixture *f, Line *line) {
  g_assert_cmpint (send (line->fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 38, 0), ==, 38);
}

static void bad_facts (const Fixture *f, Line *line) {
  say (line, &(CabPeerFrame){.kind = CAB_PEER_FACTS, .payload = "no facts at all, but as long", .len = 28});
}

static void bytes_at_once (const Fixture *f, Line *line) {
  say (line, &(CabPeerFrame){.kind = CAB_PEER_BYTES, .range = {0, 1}, .payload = "?", .len = 1});
}

/* What is wanted after the facts, of which [0, @good) is given. */
static void give (Line *line, guint64 good) {
  CabRange range;
  say_facts (line, SIZE, "\"one\"");
  if (hear (line, &range) != CAB_PEER_WANT || good == 0)
    return;
  g_autofree char *bytes = g_malloc (good);
  for (guint64 i = 0; i < good; i++)
    bytes[i] = (char) fake_byte (i);
  say (line, &(CabPeerFrame){.kind = CAB_PEER_BYTES, .range = {0, good}, .payload = bytes, .len = good});
}

static void other_bytes (const Fixture *f, Line *line) {
  give (line, 1000);
  say (line, &(CabPeerFrame){.kind = CAB_PEER_BYTES, .range = {1001, 1002}, .payload = "?", .len = 1});
}

static void more_bytes (const Fixture *f, Line *line) {
  give (line, 128 * KIB - 1);
  g_autofree char *bytes = g_strnfill (128 * KIB, '?');
  for (guint64 at = 128 * KIB - 1; at < 400 * KIB; at += 128 * KIB)
    say (line, &(CabPeerFrame){.kind = CAB_PEER_WAIT});
  say (line, &(CabPeerFrame){
                 .kind = CAB_PEER_BYTES, .range = {300 * KIB, 428 * KIB}, .payload = bytes, .len = 128 * KIB});
}

static void half (const Fixture *f, Line *line) {
  give (line, 100 * KIB);
}

static void half_and_no (const Fixture *f, Line *line) {
  give (line, 100 * KIB);
  say_no (f, line);
}

static void half_a_frame (const Fixture *f, Line *line) {
  give (line, 100 * KIB);
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  g_autofree char *piece = g_strnfill (1000, '?');
  cab_peer_frame_append (&(CabPeerFrame){CAB_PEER_BYTES, {100 * KIB, 100 * KIB + 1000}, piece, 1000}, bytes);
  g_assert_cmpint (send (line->fd, bytes->data, 500, 0), ==, 500);
}

static void silence (const Fixture *f, Line *line) {
  CabRange range;
  give (line, 100 * KIB);
  g_assert_cmpuint (hear (line, &range), ==, 0); /* until the other one has had enough */
}

static const Rogue rogues[] = {{"hang-up", hang_up},
                               {"no", say_no},
                               {"nonsense", talk_nonsense},
                               {"bad-facts", bad_facts},
                               {"bytes-at-once", bytes_at_once},
                               {"other-bytes", other_bytes},
                               {"more-bytes", more_bytes},
                               {"half", half},
                               {"half-and-no", half_and_no},
                               {"half-a-frame", half_a_frame},
                               {"silence", silence}};

/* The next connection to @listener that asks for the CAB. */
static Line let_in (const Fixture *f, int listener) {
  struct pollfd polled = {.fd = listener, .events = POLLIN};
  gboolean more;
  CabRange range;
  g_assert_cmpint (poll (&polled, 1, 60000), ==, 1);
  Line line = {cab_peer_accept (listener, &more), g_byte_array_new ()};
  g_assert_cmpint (line.fd, >=, 0);
  g_assert_cmpuint (hear (&line, &range), ==, CAB_PEER_ASK);
  return line;
}

/* The file of the CAB is somebody else's. */
static void take_file (Fixture *f) {
  g_autoptr (GError) error = NULL;
  g_auto (CabMap) map = {0};
  g_autofree char *owner = cab_content_owner (f->scope);
  const CabObjectKey key = {owner, f->record.expires, ID, FALSE};
  f->store = cab_store_new (f->dir, &error);
  g_assert_no_error (error);
  f->object = cab_object_open (f->store, &key, &map);
  g_assert_false (cab_object_is_private (f->object));
}

/* The same, and that one listens: a descriptor. */
static int pose_as_owner (Fixture *f) {
  g_autoptr (GError) error = NULL;
  guint number;
  take_file (f);
  int listener = cab_peer_listen (f->dirfd, &number, &error);
  g_assert_no_error (error);
  return listener;
}

static pthread_t begin_host (void) {
  pthread_t host;
  g_assert_cmpint (pthread_create (&host, NULL, answer_all, NULL), ==, 0);
  return host;
}

static void end_host (pthread_t host, CabCache *cache) {
  cab_cache_stop (cache);
  pthread_join (host, NULL);
  cab_cache_free (cache);
}

/* Whatever the other one does: the bytes are right, and come from the host as far as he did not bring them. */
static void test_rogue (Fixture *f, gconstpointer data) {
  const Rogue *rogue = data;
  g_auto (Result) result = RESULT_INIT;
  g_auto (CabFd) listener = pose_as_owner (f);
  CabCache *cache = cache_new (f);
  pthread_t host = begin_host ();
  begin_open (f, cache, &result);
  {
    g_auto (Line) line = let_in (f, listener);
    rogue->act (f, &line);
    close (cab_fd_steal (&listener)); /* nobody is there when he is asked for again */
  }
  g_autoptr (CabContent) content = opened (&result);
  assert_bytes (content);
  g_assert_cmpuint (fake_count (FAKE_GET), >, 0);
  g_clear_pointer (&content, cab_content_unref);
  end_host (host, cache);
}

/* Its facts are not those of the bytes that are here: they are no reason to call the blob another one. */
static void test_rogue_other_facts (Fixture *f, gconstpointer unused) {
  g_auto (Result) result = RESULT_INIT;
  g_auto (CabFd) listener = pose_as_owner (f);
  CabCache *cache = cache_new (f);
  begin_open (f, cache, &result);
  g_auto (Line) first = let_in (f, listener);
  give (&first, 100 * KIB);
  g_autoptr (CabContent) content = opened (&result);
  pthread_t host = begin_host ();
  g_auto (Result) far = RESULT_INIT;
  cab_content_read (content, 2 * KIB * KIB, 1000, on_read, &far);
  g_auto (Line) second = let_in (f, listener);
  say_facts (&second, SIZE, "\"two\"");
  wait_for (&far);
  g_assert_no_error (far.error);
  shutdown (first.fd, SHUT_RDWR);
  shutdown (second.fd, SHUT_RDWR);
  assert_bytes (content);
  g_clear_pointer (&content, cab_content_unref);
  end_host (host, cache);
}

/* Who closes a CAB while its bytes are on their way from another mount hangs up there. */
static void test_closed (Fixture *f, gconstpointer unused) {
  g_auto (Result) result = RESULT_INIT, far = RESULT_INIT;
  CabRange range;
  g_auto (CabFd) listener = pose_as_owner (f);
  CabCache *cache = cache_new (f);
  begin_open (f, cache, &result);
  g_auto (Line) line = let_in (f, listener);
  give (&line, 0);
  CabContent *content = opened (&result);
  cab_content_read (content, 200 * KIB, 1000, on_read, &far);
  cab_content_unref (content);
  wait_for (&far);
  g_assert_error (far.error, CAB_ERROR, CAB_ERROR_CANCELLED);
  g_assert_cmpuint (hear (&line, &range), ==, 0);
  g_assert_cmpuint (fake_count (FAKE_GET), ==, 0);
  cache_free (cache);
}

/* A mount that ends while another one gives it bytes, and while it waits to be answered. */
static void test_stopped (Fixture *f, gconstpointer asked) {
  g_auto (Result) result = RESULT_INIT;
  g_auto (CabFd) listener = pose_as_owner (f);
  CabCache *cache = cache_new (f);
  begin_open (f, cache, &result);
  g_auto (Line) line = let_in (f, listener);
  if (asked == NULL) {
    give (&line, 100 * KIB);
    opened (&result);
  }
  cab_cache_stop (cache);
  if (asked != NULL) {
    wait_for (&result);
    g_assert_error (result.error, CAB_ERROR, CAB_ERROR_CANCELLED);
  }
  cab_content_unref (result.content);
  cab_cache_free (cache);
}

/* Nobody else is there, though the file is locked: as if nothing had been asked. */
static void test_alone (Fixture *f, gconstpointer unused) {
  g_auto (Result) result = RESULT_INIT;
  take_file (f);
  CabCache *cache = cache_new (f);
  begin_open (f, cache, &result);
  fake_answer_get (fake_take (), G_MAXUINT64, 10000, NULL);
  g_autoptr (CabContent) content = opened (&result);
  g_clear_pointer (&content, cab_content_unref);
  cache_free (cache);
}

#define PEER_TEST(name, func, data) g_test_add ("/peer/" name, Fixture, data, set_up, func, tear_down)

int main (int argc, char **argv) {
  g_test_init (&argc, &argv, NULL);
  PEER_TEST ("one-download", test_one_download, NULL);
  PEER_TEST ("closed-for-two", test_closed_for_two, NULL);
  PEER_TEST ("guest/strange", test_guests, NULL);
  PEER_TEST ("guest/unknown", test_guest_unknown, NULL);
  PEER_TEST ("guest/slow", test_guest_slow, NULL);
  PEER_TEST ("guest/leaves", test_guest_leaves, NULL);
  PEER_TEST ("guest/crowd", test_guest_crowd, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (rogues); i++) {
    g_autofree char *path = g_strconcat ("/peer/rogue/", rogues[i].name, NULL);
    g_test_add (path, Fixture, &rogues[i], set_up, test_rogue, tear_down);
  }
  PEER_TEST ("rogue/other-facts", test_rogue_other_facts, NULL);
  PEER_TEST ("closed", test_closed, NULL);
  PEER_TEST ("stopped/giving", test_stopped, NULL);
  PEER_TEST ("stopped/asked", test_stopped, "asked");
  PEER_TEST ("alone", test_alone, NULL);
  return g_test_run ();
}
