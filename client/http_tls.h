/* http_tls.h - what a connection that somebody waits for asks of TLS.
 *
 * Nothing of a TLS record can be read before its end has come, and servers fill theirs, of 16 KiB.  That is more than a
 * new connection brings in its first round trip (ten segments, RFC 6928), so the first byte would wait for the second
 * one.  A client may ask for shorter records (max_fragment_length, RFC 6066 section 4); a server that knows nothing of
 * it goes on as before.
 *
 * A resumed session has to ask for what the first one asked for, or the handshake fails; libcurl keeps one session for
 * each host.  So such a connection neither resumes a session nor leaves one.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_CLIENT_HTTP_TLS_H
#define CABFS_CLIENT_HTTP_TLS_H

/* If @easy, libcurl's handle, has to make a connection, and one of TLS, that one is asked for records of 4 KiB, without
 * what encryption adds.  Nothing if libcurl was built with another TLS library than OpenSSL. */
void cab_http_want_short_records (void *easy);

#endif
