# SPDX-License-Identifier: MIT
"""Stands between cabfs and a host of the emulator and remembers the secrets that pass: a server that is asked in its
place, sends everything on, and keeps tokens and signatures in memory."""
import http.client
import http.server
import re
import threading
import urllib.parse


class Recorder:
    """`url` is to be configured in place of @target."""

    def __init__(self, target):
        self.target = urllib.parse.urlsplit(target)
        self.secrets = set()
        self.requests = 0
        recorder = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self):
                recorder.forward(self)

            do_GET = do_POST = do_HEAD = forward

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def forward(self, handler):
        self.requests += 1
        length = int(handler.headers.get("Content-Length") or 0)
        body = handler.rfile.read(length)
        headers = dict(handler.headers.items())  # Host too: a proof of who asks is for the address that was asked
        self.look(" ".join(headers.values()))
        self.look(body.decode(errors="replace"))
        connection = http.client.HTTPConnection(self.target.hostname, self.target.port, timeout=60)
        try:
            connection.request(handler.command, handler.path, body or None, headers)
            answer = connection.getresponse()
            data = answer.read()
        except OSError:
            handler.close_connection = True
            return
        finally:
            connection.close()
        self.look(data.decode(errors="replace"))
        self.look(" ".join(f"{name}: {value}" for name, value in answer.getheaders()))
        handler.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(data)

    def look(self, text):
        for pattern in (r'"access_token"\s*:\s*"([^"]+)"', r"Bearer ([^\s\"]{20,})", r"[?&]sig=([^&\"\s]+)",
                        r"client_(?:assertion|secret)=([^&\s]+)"):
            for secret in re.findall(pattern, text):
                self.secrets |= {secret, urllib.parse.unquote(secret)}

    def close(self):
        self.server.shutdown()
        self.server.server_close()
