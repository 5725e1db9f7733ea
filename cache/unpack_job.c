/* SPDX-License-Identifier: MIT */
#include "cache/unpack_job.h"

#include "cache/unpack_reader.h"
#include "cache/unpack_spawn.h"
#include "cache/unpack_wire.h"
#include "client/error.h"
#include "client/sync.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
  PACKETS_IN_A_ROW = 256, /* of one worker, before others have their turn */
  PATHS_MAX = 80 << 20,   /* bytes of all names of an archive; the worker stops at 64 MiB */
  WORDS_MAX = 4000,       /* for the log, of what it says to standard error */
  PATIENCE_S = 60,
};

#define YEAR_1    (-G_GINT64_CONSTANT (62135596800))
#define YEAR_9999 G_GINT64_CONSTANT (253402300799)

struct CabUnpack {
  CabRefs refs;
  /* set at creation */
  CabUnpackSink sink;
  gpointer data;
  CabJobTask task; /* its fd is ours, -1 to list, or because of dup_errno */
  int dup_errno;
  int wake;
  pthread_mutex_t lock;
  gsize asked;     /* lock: bytes of the need that is not answered, 0 for none */
  guint8 *answer;  /* lock: was given, the thread has not seen it yet */
  GError *verdict; /* lock: how another thread ended it */
  gboolean over;   /* lock: what others do has no effect any more, and `wake` may be gone */
  /* owned by the unpacker's thread */
  CabSpawned worker;
  guint64 limit;
  guint patience_s;
  gboolean ended; /* error, or NULL, and size say how */
  gboolean gone;  /* the worker is no more, or never was */
  GError *error;
  guint64 size;
  guint64 need_off;
  gsize need_len;
  guint8 *sending; /* need_len bytes */
  gsize sent;
  gint sandbox;
  guint members;
  gsize path_bytes;
  guint64 written;
  char *text; /* of a packet: CAB_WIRE_TEXT_MAX and a NUL */
  GString *words;
  gboolean spoke;  /* since cpu_us was taken */
  gint64 cpu_us;   /* its CPU time when it had last spoken */
  gint64 check_us; /* when to look at that again */
};

/* --- life --------------------------------------------------------------------------------------------------- */

CabUnpack *cab_job_new (const CabJobTask *task, const CabUnpackSink *sink, gpointer data, int wake) {
  CabUnpack *self = g_new0 (CabUnpack, 1);
  cab_ref_init (&self->refs);
  self->task = *task;
  self->sink = *sink;
  self->data = data;
  self->wake = wake;
  self->sandbox = -1;
  self->worker = (CabSpawned){.pid = -1, .process = -1, .socket = -1, .words = -1};
  self->words = g_string_new (NULL);
  pthread_mutex_init (&self->lock, NULL);
  if (task->extract) {
    self->task.fd = fcntl (task->fd, F_DUPFD_CLOEXEC, 0);
    self->dup_errno = self->task.fd < 0 ? errno : 0;
  } else {
    self->task.fd = -1;
  }
  return self;
}

CabUnpack *cab_job_ref (CabUnpack *self) {
  cab_ref_take (&self->refs);
  return self;
}

static void close_fd (int *fd) {
  if (*fd >= 0)
    close (*fd);
  *fd = -1;
}

void cab_unpack_unref (CabUnpack *self) {
  if (self == NULL || !cab_ref_drop (&self->refs))
    return;
  g_clear_error (&self->verdict);
  g_clear_error (&self->error);
  g_string_free (self->words, TRUE);
  g_free (self->answer);
  g_free (self->sending);
  g_free (self->text);
  close_fd (&self->task.fd);
  pthread_mutex_destroy (&self->lock);
  g_free (self);
}

/* --- what others do ----------------------------------------------------------------------------------------- */

void cab_unpack_give (CabUnpack *self, const void *bytes, gsize len) {
  guint8 *copy = g_memdup2 (bytes, len);
  {
    CAB_LOCK_SCOPE (&self->lock);
    if (!self->over && self->asked > 0) {
      g_assert (len == self->asked);
      self->asked = 0;
      self->answer = g_steal_pointer (&copy);
      eventfd_write (self->wake, 1);
    }
  }
  g_free (copy);
}

/* Takes @error. */
static void set_verdict (CabUnpack *self, GError *error) {
  {
    CAB_LOCK_SCOPE (&self->lock);
    if (!self->over && self->verdict == NULL) {
      self->verdict = g_steal_pointer (&error);
      eventfd_write (self->wake, 1);
    }
  }
  g_clear_error (&error);
}

void cab_unpack_fail (CabUnpack *self, const GError *error) {
  set_verdict (self, g_error_copy (error));
}

void cab_unpack_cancel (CabUnpack *self) {
  set_verdict (self, g_error_new (CAB_ERROR, CAB_ERROR_CANCELLED, "reading the archive was cancelled"));
}

gboolean cab_job_is_ending (CabUnpack *self) {
  CAB_LOCK_SCOPE (&self->lock);
  return self->verdict != NULL;
}

gboolean cab_job_is_waiting (CabUnpack *self) {
  CAB_LOCK_SCOPE (&self->lock);
  return self->asked > 0;
}

/* --- the end ------------------------------------------------------------------------------------------------ */

/* Takes @error; NULL is success.  The first end counts. */
static void end_with (CabUnpack *self, GError *error) {
  if (self->ended) {
    g_clear_error (&error);
    return;
  }
  self->ended = TRUE;
  self->error = error;
  if (self->worker.pid > 0 && !self->gone)
    kill (self->worker.pid, SIGKILL);
}

/* Not the archive's fault but the worker's: it crashed, or somebody got hold of it. */
static void end_with_fault (CabUnpack *self, const char *words) {
  g_warning ("cabfs-unpack, which reads archives, %s", words);
  end_with (self, g_error_new (CAB_ERROR, CAB_ERROR_FAILED, "the process that reads archives %s", words));
}

static void end_with_nonsense (CabUnpack *self, const CabWire *head) {
  g_autofree char *words = g_strdup_printf ("said what it should not (%u)", head->kind);
  end_with_fault (self, words);
}

static void take_verdict (CabUnpack *self) {
  GError *verdict;
  {
    CAB_LOCK_SCOPE (&self->lock);
    verdict = self->verdict != NULL ? g_error_copy (self->verdict) : NULL;
  }
  if (verdict != NULL)
    end_with (self, verdict);
}

static void judge (CabUnpack *self, int status) {
  if (self->ended)
    return;
  g_autofree char *words =
      WIFSIGNALED (status)
          ? g_strdup_printf ("crashed: signal %d (%s)", WTERMSIG (status), g_strsignal (WTERMSIG (status)))
          : g_strdup_printf ("ended with status %d before it was done", WEXITSTATUS (status));
  end_with_fault (self, words);
}

void cab_job_finish (CabUnpack *self) {
  take_verdict (self);
  close_fd (&self->worker.process);
  close_fd (&self->worker.socket);
  close_fd (&self->worker.words);
  close_fd (&self->task.fd);
  {
    CAB_LOCK_SCOPE (&self->lock);
    self->over = TRUE;
  }
  if (self->words->len > 0) {
    g_autofree char *words = g_utf8_make_valid (self->words->str, (gssize) self->words->len);
    g_debug ("cabfs-unpack says: %s", g_strchomp (words));
  }
  self->sink.done (self->data, self->error == NULL ? self->size : 0, self->error);
}

/* --- what the worker says ----------------------------------------------------------------------------------- */

static gboolean take_need (CabUnpack *self, const CabWire *head) {
  if (head->size == 0 || head->size > CAB_WIRE_BLOCK_MAX || head->off >= self->task.size ||
      head->size > self->task.size - head->off || self->sending != NULL)
    return FALSE;
  {
    CAB_LOCK_SCOPE (&self->lock);
    if (self->asked > 0 || self->answer != NULL)
      return FALSE;
    self->asked = (gsize) head->size;
  }
  self->need_off = head->off;
  self->need_len = (gsize) head->size;
  self->sink.need (self->data, self, head->off, (gsize) head->size);
  return TRUE;
}

static gboolean take_member (CabUnpack *self, const CabWire *head, gsize len) {
  self->members++;
  self->path_bytes += len;
  if (self->task.extract || self->members > CAB_ARCHIVE_MEMBERS_MAX || self->path_bytes > PATHS_MAX ||
      head->outer > CAB_ARCHIVE_MEMBERS_MAX || head->ordinal >= CAB_ARCHIVE_MEMBERS_MAX ||
      head->size > G_MAXINT64 || len > CAB_ARCHIVE_PATH_MAX || !g_utf8_validate_len (self->text, len, NULL))
    return FALSE;
  self->text[len] = '\0';
  gboolean dated = head->modified >= YEAR_1 && head->modified <= YEAR_9999;
  const CabMember member = {
      .outer = head->outer,
      .ordinal = head->ordinal,
      .path = self->text,
      .has_size = head->code != 0,
      .size = head->code != 0 ? head->size : 0,
      .modified = dated ? head->modified : CAB_TIME_UNKNOWN,
  };
  self->sink.member (self->data, &member);
  return TRUE;
}

/* -1 if that cannot be known. */
static gint64 file_size (const CabUnpack *self) {
  struct stat facts;
  return fstat (self->task.fd, &facts) == 0 ? facts.st_size : -1;
}

static gboolean take_written (CabUnpack *self, const CabWire *head) {
  if (!self->task.extract || head->size <= self->written ||
      head->size > MIN (self->limit, (guint64) G_MAXINT64) || file_size (self) < (gint64) head->size)
    return FALSE;
  self->written = head->size;
  self->sink.written (self->data, head->size);
  return TRUE;
}

static gboolean is_whole (CabUnpack *self, guint64 size) {
  if (!self->task.extract)
    return size == 0;
  return size == self->written && (self->task.expected == G_MAXUINT64 || size == self->task.expected) &&
         file_size (self) == (gint64) size;
}

static gboolean take_done (CabUnpack *self, const CabWire *head, gsize len) {
  static const CabErrorCode codes[CAB_WIRE_END_COUNT] = {
      [CAB_WIRE_END_INVALID] = CAB_ERROR_INVALID,
      [CAB_WIRE_END_NO_SPACE] = CAB_ERROR_NO_SPACE,
      [CAB_WIRE_END_FAILED] = CAB_ERROR_FAILED,
  };
  if (head->code >= CAB_WIRE_END_COUNT || len > CAB_WIRE_WORDS_MAX)
    return FALSE;
  if (head->code == CAB_WIRE_END_GOOD) {
    self->size = head->size;
    if (!is_whole (self, head->size))
      return FALSE;
    end_with (self, NULL);
    return TRUE;
  }
  g_autofree char *words = g_utf8_make_valid (self->text, (gssize) len);
  for (char *c = words; *c != '\0'; c++)
    if (g_ascii_iscntrl (*c))
      *c = ' ';
  end_with (self, g_error_new_literal (CAB_ERROR, (gint) codes[head->code], words));
  return TRUE;
}

static gboolean take_packet (CabUnpack *self, const CabWire *head, gsize len) {
  gboolean has_text = head->kind == CAB_WIRE_MEMBER || head->kind == CAB_WIRE_DONE;
  if ((len > 0 && !has_text) || (self->sandbox < 0) != (head->kind == CAB_WIRE_READY))
    return FALSE;
  switch (head->kind) {
  case CAB_WIRE_READY:
    self->sandbox = (gint) (head->code & G_MAXINT);
    return TRUE;
  case CAB_WIRE_NEED:
    return take_need (self, head);
  case CAB_WIRE_MEMBER:
    return take_member (self, head, len);
  case CAB_WIRE_WRITTEN:
    return take_written (self, head);
  case CAB_WIRE_DONE:
    return take_done (self, head, len);
  default:
    return FALSE;
  }
}

/* @dead: it will say no more, so take all. */
static void listen (CabUnpack *self, gboolean dead) {
  for (guint i = 0; (dead || i < PACKETS_IN_A_ROW) && !self->ended && self->worker.socket >= 0; i++) {
    CabWire head = {0};
    gsize len = 0;
    CabWireResult result =
        cab_wire_receive (self->worker.socket, FALSE, &head, self->text, CAB_WIRE_TEXT_MAX, &len);
    if (result == CAB_WIRE_LATER)
      return;
    self->spoke = TRUE;
    if (result == CAB_WIRE_GONE) {
      close_fd (&self->worker.socket);
      if (!self->gone) /* else the number may be another process's by now */
        kill (self->worker.pid, SIGKILL);
    } else if (result == CAB_WIRE_BAD || !take_packet (self, &head, len)) {
      end_with_nonsense (self, &head);
    }
  }
}

/* All is read in time, so that it never has to wait for long, and not much is kept. */
static void listen_to_words (CabUnpack *self) {
  char bytes[1024];
  gssize got = 1;
  for (guint i = 0; i < PACKETS_IN_A_ROW && self->worker.words >= 0 && got > 0; i++) {
    got = read (self->worker.words, bytes, sizeof bytes);
    if (got > 0 && self->words->len < WORDS_MAX)
      g_string_append_len (self->words, bytes, got);
    else if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
      close_fd (&self->worker.words);
  }
}

/* --- what the worker is told -------------------------------------------------------------------------------- */

static void send_answer (CabUnpack *self) {
  if (self->sending == NULL) {
    CAB_LOCK_SCOPE (&self->lock);
    self->sending = g_steal_pointer (&self->answer);
    self->sent = 0;
  }
  while (self->sending != NULL && !self->ended && self->worker.socket >= 0) {
    gsize part = MIN (self->need_len - self->sent, CAB_WIRE_CHUNK);
    const CabWire head = {.kind = CAB_WIRE_DATA, .off = self->need_off + self->sent};
    if (cab_wire_send (self->worker.socket, FALSE, &head, self->sending + self->sent, part) != CAB_WIRE_OK)
      return;
    self->sent += part;
    if (self->sent == self->need_len)
      g_clear_pointer (&self->sending, g_free);
  }
}

static void send_task (CabUnpack *self) {
  const CabWire head = {
      .kind = self->task.extract ? CAB_WIRE_EXTRACT : CAB_WIRE_LIST,
      .outer = self->task.outer,
      .ordinal = self->task.ordinal,
      .size = self->task.size,
      .expected = self->task.expected,
      .limit = self->limit,
  };
  /* The first packet finds room; if there is nobody, that shows soon. */
  cab_wire_send (self->worker.socket, FALSE, &head, NULL, 0);
}

void cab_job_start (CabUnpack *self, const CabUnpackerOptions *options) {
  GError *error = NULL;
  self->limit = options->limit;
  self->patience_s = options->patience_s > 0 ? options->patience_s : PATIENCE_S;
  self->text = g_malloc (CAB_WIRE_TEXT_MAX + 1);
  if (self->dup_errno != 0) {
    errno = self->dup_errno;
    cab_error_errno (&error, "duplicate the descriptor of the file to extract to");
  } else if (cab_unpack_spawn (options->program, self->task.fd, &self->worker, &error)) {
    send_task (self);
    return;
  }
  self->gone = TRUE;
  end_with (self, error);
}

/* --- turn by turn ------------------------------------------------------------------------------------------- */

void cab_job_poll (CabUnpack *self, struct pollfd *fds) {
  gshort events = POLLIN;
  if (self->sending != NULL)
    events |= POLLOUT;
  fds[0] = (struct pollfd){.fd = self->ended ? -1 : self->worker.socket, .events = events};
  fds[1] = (struct pollfd){.fd = self->worker.words, .events = POLLIN};
  fds[2] = (struct pollfd){.fd = self->worker.process, .events = POLLIN};
}

gboolean cab_job_is_blind (const CabUnpack *self) {
  return self->worker.pid > 0 && self->worker.process < 0;
}

gint cab_job_sandbox (const CabUnpack *self) {
  return self->sandbox;
}

static gint64 cpu_time_us (pid_t pid) {
  clockid_t clock;
  struct timespec used;
  if (clock_getcpuclockid (pid, &clock) != 0 || clock_gettime (clock, &used) < 0)
    return -1;
  return used.tv_sec * G_USEC_PER_SEC + used.tv_nsec / 1000;
}

/* Only its own time counts: what it waits for, bytes or a slow disk, is not its fault. */
static void check_patience (CabUnpack *self) {
  gint64 now = g_get_monotonic_time ();
  if (self->ended || now < self->check_us)
    return;
  self->check_us = now + G_USEC_PER_SEC / 2;
  gint64 used = cpu_time_us (self->worker.pid);
  if (used < 0)
    return;
  if (self->spoke)
    self->cpu_us = used;
  self->spoke = FALSE;
  if (used - self->cpu_us <= (gint64) self->patience_s * G_USEC_PER_SEC)
    return;
  g_autofree char *words = g_strdup_printf ("worked for %u s without a word", self->patience_s);
  end_with_fault (self, words);
}

static void reap (CabUnpack *self) {
  int status = 0;
  pid_t ended = waitpid (self->worker.pid, &status, WNOHANG);
  if (ended == 0 || (ended < 0 && errno == EINTR))
    return;
  self->gone = TRUE;
  listen (self, TRUE);
  listen_to_words (self);
  judge (self, status);
}

gboolean cab_job_handle (CabUnpack *self) {
  if (self->gone)
    return TRUE;
  take_verdict (self);
  send_answer (self);
  listen (self, FALSE);
  send_answer (self); /* to a need that was answered at once */
  listen_to_words (self);
  check_patience (self);
  reap (self);
  return self->gone;
}
