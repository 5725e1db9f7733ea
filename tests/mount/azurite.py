# SPDX-License-Identifier: MIT
"""Azurite as a blob host, as tests use it (standard library only).

    with Azurite(install(), directory) as azurite:
        azurite.put("kernel-20260102/a.ext.zip", b"...")
        url = azurite.sign("kernel-20260102/a.ext.zip", expires=time.time() + 3600)

It knows nothing of cabfs or of the emulator: blobs are put by its REST API, addresses are signed as Azure's
documentation says.  tests/azurite/package-lock.json pins what is installed.
"""
import base64
import contextlib
import email.utils
import fcntl
import hashlib
import hmac
import http.client
import os
import re
import secrets
import shutil
import ssl
import subprocess
import time
import urllib.parse
import uuid
from pathlib import Path

PINNED = Path(__file__).parent.parent / "azurite"
ACCOUNT = "contosocabs"
VERSION = "2021-12-02"  # of the requests made here; an address says its own


class NotInstalled(Exception):
    """Azurite cannot be had here; the text says why."""


def install(place):
    """Installs what is pinned into the directory @place, unless it is there; the program."""
    lock = (PINNED / "package-lock.json").read_bytes()
    program = place / "node_modules/.bin/azurite-blob"
    place.mkdir(parents=True, exist_ok=True)
    with open(place / "lock", "w", encoding="ascii") as busy:
        fcntl.flock(busy, fcntl.LOCK_EX)
        done = place / "installed"
        if not done.exists() or done.read_bytes() != lock:
            done.unlink(missing_ok=True)
            run_npm(place)
            done.write_bytes(lock)
    return program


def run_npm(place):
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            raise NotInstalled(f"{tool} is not installed")
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(PINNED / name, place / name)
    try:
        result = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"],
                                cwd=place, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=400,
                                check=False)
    except subprocess.TimeoutExpired:
        raise NotInstalled("npm ci took more than 400 s") from None
    if result.returncode != 0:
        raise NotInstalled(f"npm ci ended with status {result.returncode}:\n{result.stderr[-2000:]}")


def hex_md5(header):
    """What Content-MD5 says, as hexadecimal digits."""
    return base64.b64decode(header).hex()


def make_certificate(directory, name):
    """A self-signed certificate for 127.0.0.1; (certificate, key)."""
    certificate, key = directory / f"{name}.pem", directory / f"{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1",
                    "-out", certificate, "-keyout", key], check=True, capture_output=True, timeout=60)
    return certificate, key


class Azurite:
    """One running Azurite that serves blobs.  `certificate` as make_certificate() gives it, None for plain http."""

    def __init__(self, program, directory, certificate=None):
        self.program = program
        self.directory = Path(directory)
        self.certificate = certificate
        self.key = base64.b64encode(secrets.token_bytes(64)).decode()
        self.scheme = "http" if certificate is None else "https"
        self.log_file = self.directory / f"azurite-{self.scheme}.log"
        self.process = self.port = None
        self._containers = set()

    def __enter__(self):
        # It has no way to end with its parent: setpriv sees to that.
        command = ["setpriv", "--pdeathsig", "TERM", self.program, "--disableTelemetry", "--inMemoryPersistence",
                   "--extentMemoryLimit", "1024", "--blobHost", "127.0.0.1", "--blobPort", "0"]
        if self.certificate is not None:
            command += ["--cert", self.certificate[0], "--key", self.certificate[1]]
        with open(self.log_file, "wb") as log:
            environment = {**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{self.key}"}
            self.process = subprocess.Popen(command, cwd=self.directory, env=environment, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)
        self.port = int(self._wait_log(rb"successfully listens on https?://127\.0\.0\.1:(\d+)").group(1))
        return self

    def __exit__(self, *exc):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _wait_log(self, pattern, timeout=60):
        deadline = time.monotonic() + timeout
        while not (found := re.search(pattern, self.log_file.read_bytes())):
            text = self.log_file.read_text(errors="replace")[-2000:]
            assert self.process.poll() is None, f"Azurite ended with status {self.process.returncode}:\n{text}"
            assert time.monotonic() < deadline, f"no {pattern} from Azurite:\n{text}"
            time.sleep(0.05)  # a file cannot be waited for otherwise
        return found

    # --- requests ----------------------------------------------------------------------------------------------

    @property
    def host(self):
        return f"127.0.0.1:{self.port}"

    def _connect(self):
        if self.scheme == "http":
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        trust = ssl.create_default_context(cafile=self.certificate[0])
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=60, context=trust)

    def request(self, method, target, body=None, headers=None):
        """One request as it stands; (status, headers, body)."""
        with contextlib.closing(self._connect()) as connection:
            connection.request(method, target, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def _authorized(self, method, path, query, body, headers):
        """A request signed with the account's key ("Authorize with Shared Key")."""
        headers = {"x-ms-version": VERSION, "x-ms-date": email.utils.formatdate(usegmt=True), **headers}
        own = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()) if name.startswith("x-ms-"))
        resource = f"/{ACCOUNT}/{ACCOUNT}/{path}" + "".join(f"\n{name}:{query[name]}" for name in sorted(query))
        length = str(len(body)) if body else ""
        text = f"{method}\n\n\n{length}\n" + "\n" * 8 + own + resource
        headers["Authorization"] = f"SharedKey {ACCOUNT}:{self._mac(text)}"
        target = f"/{ACCOUNT}/{path}" + ("?" + urllib.parse.urlencode(query) if query else "")
        status, _, answer = self.request(method, target, body, {"Content-Length": str(len(body)), **headers})
        assert status == 201, f"{method} {target}: {status}: {answer.decode(errors='replace')}"

    def _mac(self, text):
        return base64.b64encode(hmac.digest(base64.b64decode(self.key), text.encode(), "sha256")).decode()

    # --- blobs -------------------------------------------------------------------------------------------------

    def put(self, path, content):
        """Makes or replaces the block blob "container/name"."""
        container = path.split("/")[0]
        if container not in self._containers:
            self._authorized("PUT", container, {"restype": "container"}, b"", {})
            self._containers.add(container)
        md5 = base64.b64encode(hashlib.md5(content).digest()).decode()
        self._authorized("PUT", path, {}, content, {"x-ms-blob-type": "BlockBlob", "x-ms-blob-content-md5": md5})

    def sign(self, path, expires, broken=False):
        """An address for reading until @expires (Unix seconds), with the fields that the services' own have; @broken:
        the signature is of another path."""
        version, permissions, end = "2015-07-08", "r", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(expires))
        resource = f"/blob/{ACCOUNT}/{path}" + ("x" if broken else "")
        # permissions, start, expiry, resource, identifier, IP, protocol, version, five response headers
        text = "\n".join([permissions, "", end, resource, "", "", "", version, "", "", "", "", ""])
        query = urllib.parse.urlencode({"sv": version, "sr": "b", "sig": self._mac(text), "se": end,
                                        "sp": permissions})
        return f"{self.scheme}://{self.host}/{ACCOUNT}/{path}?{query}"

    def head(self, url):
        """The headers of the blob at @url."""
        status, headers, _ = self.request("HEAD", url.partition(self.host)[2])
        assert status == 200, status
        return headers

    def status(self, url):
        """The status of a HEAD of @url."""
        return self.request("HEAD", url.partition(self.host)[2])[0]

    def seen(self, path):
        """How often the blob was asked for since the start."""
        # Lines come a little after the answers, but in order: when that of this request is there, all are.
        mark = f"/{ACCOUNT}/mark-{uuid.uuid4()}?"
        self.request("HEAD", mark)
        self._wait_log(re.escape(mark).encode())
        lines = self.log_file.read_text(errors="replace").splitlines()
        return sum(f"/{ACCOUNT}/{path}?" in line and ('"GET ' in line or '"HEAD ' in line) for line in lines)
