# SPDX-License-Identifier: MIT
"""Something between cabfs and a host that can go black, as a network does behind a machine that sleeps.

    with Relay(emulator.ports["api"]) as relay:
        ... relay.url ...
        relay.go_black()  # nothing goes through the connections of until now, and nobody is told; new ones work
"""
import select
import socket
import threading


class Relay:
    def __init__(self, port):
        self.port = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.name = f"127.0.0.1:{self._server.getsockname()[1]}"
        self.url = f"http://{self.name}"
        self.opened = 0
        self.lost = 0  # bytes that were sent into the black
        self._pairs = {}  # socket: the other one, or what passes things on; None where it is black
        self._lock = threading.Lock()
        self._wake, self._waker = socket.socketpair()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exc):
        self._waker.close()
        self._thread.join()
        for one in (*self._pairs, self._server, self._wake):
            one.close()

    def go_black(self):
        with self._lock:
            for one in self._pairs:
                self._pairs[one] = None

    def _run(self):
        while True:
            ready, _, _ = select.select([self._server, self._wake, *self._pairs], [], [])
            if self._wake in ready:
                return
            with self._lock:
                for one in ready:
                    if one is self._server:
                        self._accept()
                    elif one in self._pairs:
                        self._pass_on(one)

    def _accept(self):
        client, _ = self._server.accept()
        self.opened += 1
        host = socket.create_connection(("127.0.0.1", self.port))
        self._pairs[client], self._pairs[host] = host, client

    def _pass_on(self, one):
        other = self._pairs[one]
        try:
            data = one.recv(1 << 16)
        except ConnectionError:
            data = b""
        if other is None:
            self.lost += len(data)
            if not data:
                del self._pairs[one]
                one.close()
            return
        try:
            if data:
                other.sendall(data)
                return
        except ConnectionError:
            pass
        for end in (one, other):
            del self._pairs[end]
            end.close()
