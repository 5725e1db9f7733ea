/* hosts.h - what is known of each host that answers: its clock, and the pause it asked for.  Pure but for the boot
 * clock.
 *
 * The server's time decides how long an address still lives (api-contract.md 12.2), because the local clock may be
 * wrong; between two answers it is carried on by the boot clock, so that setting the local clock changes nothing.
 * A host that answers 429 gets no request from anyone until its pause is over (11.3).
 *
 * Threads: a table has no lock of its own.  One thread changes it, and looks at it as it likes; where others look too,
 * it changes it, and they look, under a lock of whoever owns the table (`tables` in http_private.h).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_HOSTS_H
#define CABFS_CLIENT_HOSTS_H

#include <glib.h>

typedef struct CabHosts CabHosts;

CabHosts *cab_hosts_new (void);
void cab_hosts_free (CabHosts *self);

/* @host as cab_address_host() makes it.  NULL: nothing is known, no pause. */
void cab_hosts_heard (CabHosts *self, const char *host, gint64 date);

/* Unix seconds by the clock of @host, by the local one if it is not known. */
gint64 cab_hosts_time (const CabHosts *self, const char *host);

/* No request before @until (monotonic microseconds); an earlier end never shortens a pause. */
void cab_hosts_pause (CabHosts *self, const char *host, gint64 until);

/* When the pause ends; 0 if there was none. */
gint64 cab_hosts_open_at (const CabHosts *self, const char *host);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CabHosts, cab_hosts_free)

#endif
