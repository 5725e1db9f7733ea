# SPDX-License-Identifier: MIT
"""TLS in front of a host that has none, and what it looked like from there.

    certificate = make_certificate(directory, "host")
    with TlsRelay(host.port, certificate, ssl.TLSVersion.TLSv1_3) as relay:
        ... relay.name ...
        relay.connections[0].longest  # bytes of the longest record that went out after the handshake
"""
import socket
import ssl

from relay import Relay

RECORD_HEAD = 5  # type, version, length of what follows
APPLICATION_DATA = 23


class Connection:
    def __init__(self, client, context, port):
        self.client = client
        self.host = socket.create_connection(("127.0.0.1", port))
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.asked = False  # the client has sent something through TLS
        self.error = None
        self.longest = 0
        self.kept = b""  # ready to go out, but not to be sent yet
        self.sent = 0    # bytes since the client asked

    @property
    def resumed(self):
        return bool(self.tls.session_reused)

    def from_client(self):
        """FALSE at the end."""
        data = self.client.recv(1 << 16)
        if not data:
            return False
        self.incoming.write(data)
        try:
            while plain := self.tls.read(1 << 16):
                self._take()
                self.asked = True
                self.host.sendall(plain)
        except ssl.SSLWantReadError:
            self._take()
            return True
        except ssl.SSLError as error:
            self.error = error
            self._take()
        return False

    def from_host(self):
        data = self.host.recv(1 << 16)
        if data:
            self.tls.write(data)
            self._take()
        return bool(data)

    def _take(self):
        data = self.outgoing.read()
        if self.asked:
            self._look(data)
        self.kept += data

    def _look(self, data):
        while data:
            kind, length = data[0], int.from_bytes(data[3:RECORD_HEAD], "big")
            if kind == APPLICATION_DATA:
                self.longest = max(self.longest, length)
            data = data[RECORD_HEAD + length:]

    def send(self, window):
        """What may be sent, of all that is there."""
        room = len(self.kept) if window is None or not self.asked else max(0, window - self.sent)
        piece, self.kept = self.kept[:room], self.kept[room:]
        self.sent += len(piece) if self.asked else 0
        self.client.sendall(piece)

    def close(self):
        self.client.close()
        self.host.close()


class TlsRelay(Relay):
    """`window`: bytes that each connection sends after its handshake until open_window()."""

    def __init__(self, port, certificate, version, window=None):
        super().__init__(port)
        self.window = window
        self.connections = []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.minimum_version = self._context.maximum_version = version
        self._context.load_cert_chain(*certificate)

    def open_window(self):
        with self._lock:
            self.window = None
            for connection in set(self._pairs.values()):
                connection.send(None)

    def drop(self):
        """Closes all connections, as hosts do with those that nobody uses."""
        with self._lock:
            for connection in set(self._pairs.values()):
                self._close(connection)

    def _close(self, connection):
        del self._pairs[connection.client], self._pairs[connection.host]
        connection.close()

    def _accept(self):
        client, _ = self._server.accept()
        connection = Connection(client, self._context, self.port)
        self.connections.append(connection)
        self._pairs[connection.client] = self._pairs[connection.host] = connection

    def _pass_on(self, one):
        connection = self._pairs[one]
        try:
            goes_on = connection.from_client() if one is connection.client else connection.from_host()
            connection.send(self.window)
        except OSError:  # the client wants no more
            goes_on = False
        if not goes_on:
            self._close(connection)
