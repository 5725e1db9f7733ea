# SPDX-License-Identifier: MIT
"""What serves the bytes: nginx with files in memory, links that make it far, and the emulator for all that is no bytes.

Every contestant gets its bytes from the same nginx: cabfs because the emulator's rows carry nginx' addresses, the others
because they read its directory index.
"""
import contextlib
import json
import os
import socket
import subprocess
import time
from pathlib import Path

from emulator import Emulator

MIB = 1 << 20
APP = "13984104677400476"
RTT_MS = 40
RATE = 60_000_000

# As long as those of Azure, and good for ever.
SIGNATURE = ("sv=2018-03-28&sr=b&sig=QmVuY2htYXJrcyBuZWVkIG5vIHNlY3JldHMsIG9ubHkgbGVuZ3Ro&st=2020-01-01T00%3A00%3A00Z"
             "&se=2099-01-01T00%3A00%3A00Z&sp=r")

NGINX = """
worker_processes 1;
daemon off;
pid {place}/nginx.pid;
error_log {place}/error.log;
events {{ worker_connections 8192; }}
http {{
  log_format bench '$request_method $status $body_bytes_sent';
  access_log {place}/access.log bench;
  types {{ }}
  default_type application/octet-stream;
  sendfile on;
  tcp_nopush on;
  tcp_nodelay on;
  keepalive_timeout 600;
  keepalive_requests 1000000;
  client_body_temp_path {place}/temp;
  proxy_temp_path {place}/temp;
  fastcgi_temp_path {place}/temp;
  uwsgi_temp_path {place}/temp;
  scgi_temp_path {place}/temp;
  server {{
    listen 127.0.0.1:{port};
    listen 127.0.0.1:{tls_port} ssl;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_certificate {place}/cert.pem;
    ssl_certificate_key {place}/key.pem;
    root {place}/www;
    autoindex on;
  }}
}}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_port(port, process):
    deadline = time.monotonic() + 20
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("nginx does not start")
        time.sleep(0.02)


class Link:
    """cabfs-bench-link in front of a port."""

    def __init__(self, program, target, rtt_ms, rate):
        self.process = subprocess.Popen([program, f"--rtt-ms={rtt_ms}", f"--rate={rate}", str(target)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = json.loads(self.process.stdout.readline())["port"]
        with contextlib.suppress(PermissionError):  # a line does not get longer because a processor is busy
            os.setpriority(os.PRIO_PROCESS, self.process.pid, -15)

    def stats(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def stop(self):
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()


class Servers:
    """All that runs besides the contestants; started when first asked for.  Far is `further` times as far and as slow."""

    def __init__(self, build, place, further=1):
        self.rtt_ms, self.rate = RTT_MS * further, RATE // further
        self.programs = Path(build) / "tests/bench"
        self.place = Path(place)
        self.www = self.place / "www"
        self.ca_file = self.place / "cert.pem"
        self.port, self.tls_port = free_port(), free_port()
        self._links = {}
        self._directories = {}
        self._failures = {}
        self._log_at = self._through = 0
        for name in ("www", "temp"):
            (self.place / name).mkdir(parents=True)
        self._start_nginx()
        self.emulator = Emulator(program=str(Path(build) / "tests/emulator/cabfs-emulator"))

    def _start_nginx(self):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-days", "3650", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
                        "-keyout", self.place / "key.pem", "-out", self.ca_file], check=True, capture_output=True)
        config = self.place / "nginx.conf"
        config.write_text(NGINX.format(place=self.place, port=self.port, tls_port=self.tls_port))
        for path in (self.place, self.www, self.place / "temp"):
            path.chmod(0o777)  # the worker may be another user
        self.nginx = subprocess.Popen(["nginx", "-e", self.place / "error.log", "-c", config], stderr=subprocess.DEVNULL)
        wait_port(self.port, self.nginx)

    def stop(self):
        self.emulator.stop()
        for link in self._links.values():
            link.stop()
        self.nginx.terminate()
        self.nginx.wait(20)

    def program(self, name):
        return str(self.programs / f"cabfs-bench-{name}")

    # --- addresses -----------------------------------------------------------------------------------------------

    def link(self, port):
        if port not in self._links:
            self._links[port] = Link(self.program("link"), port, self.rtt_ms, self.rate)
        return self._links[port]

    def base(self, far, tls=False):
        """Of nginx, or of the link in front of it."""
        port = self.tls_port if tls else self.port
        if far:
            port = self.link(port).port
        return f"http{'s' if tls else ''}://127.0.0.1:{port}"

    def api(self, far):
        """Configuration keys that lead cabfs to login and API."""
        urls = {"login_url": self.emulator.login, "api_url": self.emulator.api}
        if far:
            urls = {key: f"http://127.0.0.1:{self.link(int(url.rsplit(':', 1)[1])).port}" for key, url in urls.items()}
        return urls

    # --- files -----------------------------------------------------------------------------------------------------

    def directory(self, name, sizes):
        """A directory of nginx with files of these sizes; gives their names.  Up to 1 GiB they have random bytes."""
        if name not in self._directories:
            path = self.www / name
            path.mkdir(mode=0o755)
            self._directories[name] = [f"{len(self._directories):08x}-0000-4000-8000-{i:012x}" for i in range(len(sizes))]
            for cab, size in zip(self._directories[name], sizes):
                with open(path / f"{cab}.cab", "wb") as file:
                    for at in range(0, size, 64 * MIB) if size <= 1024 * MIB else ():
                        file.write(os.urandom(min(64 * MIB, size - at)))
                    file.truncate(size)
                    os.fchmod(file.fileno(), 0o644)
        return self._directories[name]

    def failure(self, directory, far, tls=False):
        """The failure whose CABs are that directory's files, at their near or far addresses."""
        key = (directory, far, tls)
        if key not in self._failures:
            n = len(self._failures) + 1
            failure = f"{n:08x}-9fe0-96ec-2c47-ef08b65ccbed"
            cabs = [f"{n:04x}{cab[4:]}" for cab in self._directories[directory]]
            for old, new in zip(self._directories[directory], cabs):
                if not (self.www / f"{directory}-{n}").exists():
                    (self.www / f"{directory}-{n}").mkdir(mode=0o755)
                os.link(self.www / directory / f"{old}.cab", self.www / f"{directory}-{n}" / f"{new}.cab")
            self.emulator.add_cabs(APP, failure, ids=cabs,
                                   url=f"{self.base(far, tls)}/{directory}-{n}/{{id}}.cab?{SIGNATURE}")
            self._failures[key] = (failure, cabs)
        return self._failures[key]

    def urls(self, directory, far, tls=False):
        return [f"{self.base(far, tls)}/{directory}/{cab}.cab?{SIGNATURE}" for cab in self._directories[directory]]

    # --- what was asked for ------------------------------------------------------------------------------------------

    def moved(self):
        """Requests and bytes at nginx since the last call, and bytes that came out of the links in front of it."""
        with open(self.place / "access.log") as log:
            log.seek(self._log_at)
            lines = log.read().splitlines()
            self._log_at = log.tell()
        moved = {"requests": len(lines), "bytes": sum(int(line.split()[2]) for line in lines)}
        through = sum(self._links[port].stats()["down"] for port in (self.port, self.tls_port) if port in self._links)
        moved["link_bytes"], self._through = through - self._through, through
        return moved
