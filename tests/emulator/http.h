/* http.h - the HTTP layer: requests in, replies out, and the faults that do not depend on what is asked.
 *
 * Each host gives a table of functions; this module collects a request, counts it, takes its faults, delays, drops
 * or refuses it as they say, and else sends what the host answers.
 *
 * Threads: a request belongs to one thread of its host at a time; a host's functions must not block, the control
 * host's may.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_EMULATOR_HTTP_H
#define CABFS_EMULATOR_HTTP_H

#include "tests/emulator/data.h"
#include "tests/emulator/faults.h"
#include "tests/emulator/park.h"

typedef struct EmuHost EmuHost;
typedef struct EmuReply EmuReply;

typedef struct {
  Emu *emu; /* these are set at creation */
  const EmuHost *host;
  char *uri; /* path and query as they came */

  struct MHD_Connection *connection; /* these once the headers are here */
  char *method;
  char *path; /* decoded, without the query */
  GByteArray *body;

  EmuEndpoint endpoint; /* these once all of it is here */
  guint64 number;
  EmuFaultSet faults;
  guint stage;
  EmuParked parked;
  guint64 sent; /* bytes of the body */
} EmuRequest;

struct EmuHost {
  EmuHostId id;
  gboolean may_block; /* a thread for each connection; no faults, no counters */
  /* What @request is for the counters, and the CAB it is about in @cab (new text or NULL). */
  EmuEndpoint (*classify) (EmuRequest *request, char **cab);
  /* Never NULL. */
  EmuReply *(*answer) (EmuRequest *request);
  /* The documented form of an error; @code and @message may be NULL. */
  EmuReply *(*refuse) (EmuRequest *request, guint status, const char *code, const char *message);
};

/* A parameter of the query, decoded, or NULL; and a header.  Borrowed. */
const char *emu_request_param (EmuRequest *request, const char *name);
const char *emu_request_header (EmuRequest *request, const char *name);
gboolean emu_request_is (EmuRequest *request, const char *method);
/* The first parameter whose name is not in @known (NULL-terminated), or NULL. */
const char *emu_request_unknown_param (EmuRequest *request, const char *const *known);
/* The fault of @kind that struck this request, or NULL. */
EmuFault *emu_request_fault (EmuRequest *request, EmuFaultKind kind);

/* "a=b&c=d", decoded, as name -> value. */
GHashTable *emu_form_parse (const void *bytes, gsize len);

EmuReply *emu_reply_new (guint status);
/* For a reply that is not sent after all. */
void emu_reply_free (EmuReply *reply);
/* @value NULL: nothing. */
void emu_reply_header (EmuReply *reply, const char *name, const char *value);
void emu_reply_text (EmuReply *reply, const char *type, const char *text);
/* Takes ownership of @text, which need not be terminated. */
void emu_reply_take (EmuReply *reply, const char *type, char *text, gsize len);
/* Takes the reference. */
EmuReply *emu_reply_json (guint status, json_t *json);
/* @len bytes of @cab's payload at @off; zeros beyond its end.  @cab may be counted: its reference is taken. */
void emu_reply_cab (EmuReply *reply, EmuCab *cab, guint64 off, guint64 len);

/* Starts @host on 127.0.0.1:@port (0: the kernel's choice) and sets emu->urls.  NULL with @error. */
typedef struct EmuDaemon EmuDaemon;
EmuDaemon *emu_daemon_start (Emu *emu, const EmuHost *host, guint16 port, guint threads, GError **error);
/* After emu_park_stop() and emu_stats_stop(). */
void emu_daemon_stop (EmuDaemon *self);

/* The hosts. */
extern const EmuHost emu_login_host, emu_api_host, emu_blob_host, emu_metadata_host, emu_control_host;

#endif
