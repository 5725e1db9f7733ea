# SPDX-License-Identifier: MIT
"""What the tests of the emulator share: requests as a client makes them, nothing hidden by a library."""

import http.client
import json
import pathlib
import socket
import sys
import threading
import urllib.parse

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "mount"))
from emulator import Emulator, EmulatorError  # noqa: E402,F401

APP = "13984104677400476"
HASH = "1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed"
ANALYTICS = "/v1.0/my/analytics/driver/"


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)


def fetch(url, method="GET", body=None, timeout=30, **headers):
    """One request on a connection of its own; redirects are not followed."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    try:
        target = parts.path + ("?" + parts.query if parts.query else "")
        connection.request(method, target, body, {k.replace("_", "-"): v for k, v in headers.items()})
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


class Api:
    """The API host with a token."""

    def __init__(self, emulator):
        self.emu = emulator
        self.token = emulator.token()

    def get(self, path, token=None, /, **query):
        query = {k: v for k, v in query.items() if v is not None}
        return fetch(f"{self.emu.api}{path}?{urllib.parse.urlencode(query)}",
                     Authorization="Bearer " + (token or self.token))

    def call(self, name, token=None, **query):
        return self.get(ANALYTICS + name, token, **query)

    def batch(self, **query):
        return self.call("cabdownloadbatch", **{"applicationId": APP, "failureHash": HASH, **query})

    def rows(self, **query):
        answer = self.batch(**query)
        assert answer.status == 200, answer.body
        return answer.json()["Value"]


def add(emulator, **rule):
    return emulator.add_cabs(APP, HASH, **rule)


def blob(emulator, cab, method="GET", **headers):
    return fetch(emulator.url(cab), method, **headers)


def login(emulator, path="/oauth2/token", content_type="application/x-www-form-urlencoded; charset=utf-8",
          headers=None, tenant=None, **changes):
    settings = emulator.config()
    form = {"grant_type": "client_credentials", "client_id": settings["clientId"],
            "client_secret": settings["clientSecret"]}
    if "v2.0" in path:
        form["scope"] = settings["resource"] + "/.default"
    else:
        form["resource"] = settings["resource"]
    form.update(changes)
    body = urllib.parse.urlencode({k: v for k, v in form.items() if v is not None})
    return fetch(f"{emulator.login}/{tenant or settings['tenant']}{path}", "POST", body,
                 Content_Type=content_type, **(headers or {}))


def refused(answer, status, code):
    assert answer.status == status and answer.headers["x-ms-error-code"] == code
    assert answer.headers["Content-Type"] == "application/xml" and f"<Code>{code}</Code>".encode() in answer.body
    return answer.body.decode("utf-8-sig")


class Background(threading.Thread):
    """A request of its own thread; answer or the exception."""

    def __init__(self, *args, **kwargs):
        super().__init__(daemon=True)
        self.call, self.answer, self.error = (args, kwargs), None, None
        self.start()

    def run(self):
        try:
            self.answer = fetch(*self.call[0], **self.call[1])
        except (OSError, http.client.HTTPException) as error:
            self.error = error

    def done(self):
        self.join(30)
        assert not self.is_alive()
        return self


def receive(emulator, cab, wanted):
    """Opens a GET and reads `wanted` bytes of the body; socket and bytes."""
    client = socket.create_connection(("127.0.0.1", emulator.ports["blob"]), timeout=30)
    url = urllib.parse.urlsplit(emulator.url(cab))
    client.sendall(f"GET {url.path}?{url.query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    data = b""
    while b"\r\n\r\n" not in data or len(data.split(b"\r\n\r\n", 1)[1]) < wanted:
        data += client.recv(65536)
    return client, data.split(b"\r\n\r\n", 1)[1]
