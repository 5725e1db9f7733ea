# SPDX-License-Identifier: MIT
"""A blob host for files of a test's own: HEAD and ranges, and how many bytes went out.

    with FileHost() as host:
        emulator.add_cabs(APP, FAILURE, url=host.add(path))
"""
import http.server
import re
import threading
from pathlib import Path

PIECE = 1 << 16


class FileHost:
    def __init__(self):
        self.files = {}
        self.sent = 0
        self._lock = threading.Lock()
        host = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_HEAD(self):
                host.answer(self)

            def do_GET(self):
                host.answer(self)

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.name = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exc):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def add(self, path):
        """The address of the file."""
        name = f"/files/{len(self.files)}"
        self.files[name] = Path(path)
        return f"http://{self.name}{name}?sig=none"

    def answer(self, request):
        path = self.files[request.path.partition("?")[0]]
        size = path.stat().st_size
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
        first = int(found[1]) if found else 0
        last = min(int(found[2]) if found and found[2] else size - 1, size - 1)
        request.send_response(206 if found else 200)
        request.send_header("ETag", '"one"')
        request.send_header("Content-Length", str(last - first + 1))
        if found:
            request.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        request.end_headers()
        if request.command == "GET":
            self._send(request, path, first, last + 1)

    def _send(self, request, path, off, end):
        with open(path, "rb") as file:
            file.seek(off)
            while off < end:
                piece = file.read(min(PIECE, end - off))
                try:
                    request.wfile.write(piece)
                except OSError:  # the client wants no more
                    request.close_connection = True
                    return
                off += len(piece)
                with self._lock:
                    self.sent += len(piece)
