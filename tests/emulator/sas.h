/* sas.h - signed URLs of blobs (api-contract.md 12.2): made by the API host, checked by the blob host.  Pure.
 *
 * The signature is an HMAC-SHA256 with the emulator's own key over the decoded path and all fields.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_EMULATOR_SAS_H
#define CABFS_EMULATOR_SAS_H

#include <glib.h>

/* What a URL says.  Texts as they stand decoded in the query; NULL where absent. */
typedef struct {
  const char *version;     /* sv */
  const char *resource;    /* sr */
  const char *start;       /* st */
  const char *expiry;      /* se */
  const char *permissions; /* sp */
  const char *signature;   /* sig */
} EmuSas;

#define EMU_SAS_VERSION "2015-07-08"

/* `se` or `st`: with milliseconds only if @ms is no whole second.  New text. */
char *emu_sas_time (gint64 ms);

/* The signature, Base64, for the decoded @path ("/container/blob"); @sas->signature is not looked at.  New text. */
char *emu_sas_sign (const EmuSas *sas, const char *path);

/* "sv=…&sr=…&sig=…&se=…&sp=…" in the order of the documented sample, percent-encoded.  New text. */
char *emu_sas_query (const EmuSas *sas);

typedef struct {
  guint status;     /* 0: the request may pass */
  const char *code; /* static */
  char *detail;     /* AuthenticationErrorDetail, or NULL; owned */
} EmuSasVerdict;

/* May a read pass at @now_ms?  Free verdict.detail. */
EmuSasVerdict emu_sas_check (const EmuSas *sas, const char *path, gint64 now_ms);

#endif
