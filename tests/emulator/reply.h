/* reply.h - a reply on its way: the inside of EmuReply, for http.c and stream.c only.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_EMULATOR_REPLY_H
#define CABFS_EMULATOR_REPLY_H

#include "tests/emulator/http.h"

struct EmuReply {
  guint status;
  GPtrArray *headers; /* name, value, name, value, … */
  GBytes *bytes;      /* the body, or NULL */
  EmuCab *cab;        /* else the body is of this CAB; NULL: none */
  guint64 off;        /* there */
  guint64 len;        /* of the body */
};

/* The response for libmicrohttpd, with all faults of a body.  Takes ownership of @reply. */
struct MHD_Response *emu_stream_response (EmuRequest *request, EmuReply *reply);

/* Ends the connection with a TCP reset. */
void emu_stream_reset (struct MHD_Connection *connection);

#endif
