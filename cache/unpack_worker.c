/* SPDX-License-Identifier: MIT
 *
 * cabfs-unpack: does one job of unpack.h, in a sandbox, and ends.  Started by cabfs only, with a socket as
 * descriptor 3 and, to extract, the file as descriptor 4 (unpack_wire.h).
 */
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cache/unpack_blocks.h"
#include "cache/unpack_reader.h"
#include "cache/unpack_sandbox.h"
#include "cache/unpack_wire.h"
#include "client/error.h"

enum {
  /* The first bytes are told of early: somebody waits for them. */
  FLUSH_FIRST = 64 * 1024,
  FLUSH = 256 * 1024,
};

typedef struct {
  CabBlocks *blocks;
  gsize held; /* in the buffer */
  guint64 written;
  guint8 buffer[FLUSH];
} Worker;

static void tell (const CabWire *head, const void *text, gsize len) {
  CabWireResult result = cab_wire_send (CAB_WIRE_SOCKET, TRUE, head, text, len);
  if (result != CAB_WIRE_OK)
    _exit (result == CAB_WIRE_GONE ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* --- what the reader calls ---------------------------------------------------------------------------------- */

static gsize read_block (gpointer data, guint64 off, const void **bytes) {
  Worker *self = data;
  return cab_blocks_read (self->blocks, off, bytes);
}

static void tell_member (gpointer data, const CabMember *member) {
  const CabWire head = {
      .kind = CAB_WIRE_MEMBER,
      .code = member->has_size,
      .outer = member->outer,
      .ordinal = member->ordinal,
      .size = member->size,
      .modified = member->modified,
  };
  tell (&head, member->path, strlen (member->path));
}

/* To the daemon's log, at level debug. */
static void note (gpointer data, const char *text) {
  fprintf (stderr, "%s\n", text);
}

static gboolean flush (Worker *self, GError **error) {
  gsize done = 0;
  while (done < self->held) {
    gssize n = pwrite (CAB_WIRE_OUTPUT, self->buffer + done, self->held - done, (off_t) (self->written + done));
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && errno == EFBIG)
      errno = ENOSPC;
    if (n < 0) {
      cab_error_errno (error, "write what was extracted");
      return FALSE;
    }
    done += (gsize) n;
  }
  if (done == 0)
    return TRUE;
  self->written += done;
  self->held = 0;
  const CabWire head = {.kind = CAB_WIRE_WRITTEN, .size = self->written};
  tell (&head, NULL, 0);
  return TRUE;
}

static gboolean write_bytes (gpointer data, const void *bytes, gsize len, GError **error) {
  Worker *self = data;
  const guint8 *from = bytes;
  while (len > 0) {
    gsize full = self->written == 0 ? FLUSH_FIRST : FLUSH;
    gsize part = MIN (len, full - self->held);
    memcpy (self->buffer + self->held, from, part);
    self->held += part;
    from += part;
    len -= part;
    if (self->held == full && !flush (self, error))
      return FALSE;
  }
  return TRUE;
}

/* --- the job ------------------------------------------------------------------------------------------------ */

static void tell_done (guint64 size, const GError *error) {
  CabWire head = {.kind = CAB_WIRE_DONE, .code = CAB_WIRE_END_GOOD, .size = size};
  if (error == NULL) {
    tell (&head, NULL, 0);
    return;
  }
  head.code = CAB_WIRE_END_FAILED;
  if (g_error_matches (error, CAB_ERROR, CAB_ERROR_INVALID))
    head.code = CAB_WIRE_END_INVALID;
  else if (g_error_matches (error, CAB_ERROR, CAB_ERROR_NO_SPACE))
    head.code = CAB_WIRE_END_NO_SPACE;
  tell (&head, error->message, MIN (strlen (error->message), CAB_WIRE_WORDS_MAX));
}

static void work (const CabWire *job) {
  g_autoptr (GError) error = NULL;
  Worker *self = g_new0 (Worker, 1);
  gboolean extract = job->kind == CAB_WIRE_EXTRACT;
  self->blocks = cab_blocks_new (CAB_WIRE_SOCKET, job->size, extract);
  const CabArchive archive = {
      .size = job->size,
      .data = self,
      .read = read_block,
      .member = tell_member,
      .note = note,
      .write = write_bytes,
  };
  guint64 size = 0;
  if (!extract)
    cab_archive_list (&archive, &error);
  else if (cab_archive_extract (&archive, job->outer, job->ordinal, job->expected, job->limit, &size, &error))
    flush (self, &error);
  tell_done (size, error);
  cab_blocks_free (self->blocks);
  g_free (self);
}

static gboolean take_job (CabWire *job) {
  gsize len = 0;
  return cab_wire_receive (CAB_WIRE_SOCKET, TRUE, job, NULL, 0, &len) == CAB_WIRE_OK &&
         (job->kind == CAB_WIRE_LIST || job->kind == CAB_WIRE_EXTRACT);
}

static gboolean is_our_socket (void) {
  int type = 0;
  socklen_t len = sizeof type;
  return getsockopt (CAB_WIRE_SOCKET, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET;
}

/* Names of archives are bytes or UTF-8, their times local ones of nowhere; both are read before the files that
 * tell of languages and zones are out of reach. */
static void settle (void) {
  setlocale (LC_CTYPE, "C.UTF-8");
  setenv ("TZ", "UTC0", 1);
  tzset ();
  signal (SIGPIPE, SIG_IGN);
  signal (SIGXFSZ, SIG_IGN);
}

int main (int argc, char **argv) {
  CabWire job;
  if (argc != 1 || !is_our_socket ()) {
    fprintf (stderr, "cabfs-unpack: this program is for cabfs to start\n");
    return EXIT_FAILURE;
  }
  settle ();
  if (!take_job (&job))
    return EXIT_FAILURE;
  CabWire ready = {.kind = CAB_WIRE_READY};
  ready.code = cab_sandbox_enter (job.limit, CAB_WIRE_OUTPUT + 1);
  tell (&ready, NULL, 0);
  work (&job);
  /* Without what others do at an end: there, under a sanitizer, is what the sandbox does not allow. */
  _exit (EXIT_SUCCESS);
}
