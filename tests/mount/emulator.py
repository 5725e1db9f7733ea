# SPDX-License-Identifier: MIT
"""The test Partner Center of tests/emulator, as tests use it (standard library only).

    with Emulator() as emu:
        ids = emu.add_cabs("13984104677400476", "1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed", count=3, size=100_000)
        fault = emu.fault("hold", "blob-get", count=1)
        ...
        emu.wait_held(1)
        emu.release()
        assert emu.counters()["endpoints"]["blob-get"]["requests"] == 1

The program is $CABFS_EMULATOR.  It ends with this process: its standard input is a pipe from here.
tests/emulator/README.md tells what each call takes.
"""

import json
import os
import subprocess
import urllib.error
import urllib.parse
import urllib.request


class EmulatorError(Exception):
    """The control port refused a call; the message is its own."""

    def __init__(self, status, message):
        super().__init__(f"{status}: {message}")
        self.status = status


class Emulator:
    """One running emulator.  `login`, `api`, `blob`, `metadata` and `control` are its URLs once it is started."""

    def __init__(self, *, demo=False, threads=None, program=None, start=True):
        self.demo = demo
        self.threads = threads
        self.program = program or os.environ["CABFS_EMULATOR"]
        self.process = None
        self.login = self.api = self.blob = self.metadata = self.control = None
        self._direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        if start:
            self.start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()

    def start(self, ports=None):
        """Starts the program; `ports` = {"api": n, …} to come back at the addresses of an earlier one."""
        command = [self.program, "--until-eof"]
        if self.demo:
            command.append("--demo")
        if self.threads:
            command.append(f"--threads={self.threads}")
        command += [f"--{host}-port={port}" for host, port in (ports or {}).items()]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, start_new_session=True)
        line = self.process.stdout.readline()
        if not line:
            raise EmulatorError(self.process.wait(), "the emulator did not start")
        urls = json.loads(line)
        self.login, self.api, self.blob, self.metadata, self.control = (
            urls[name] for name in ("login", "api", "blob", "metadata", "control"))

    def stop(self):
        """Ends it and fails if it did not end cleanly (a sanitizer may have found something)."""
        if self.process is None:
            return
        process, self.process = self.process, None
        process.stdin.close()
        try:
            status = process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        finally:
            process.stdout.close()
        if status != 0:
            raise EmulatorError(status, "the emulator ended with this status")

    def kill(self):
        """As when the network goes away: no host answers any more."""
        process, self.process = self.process, None
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()

    @property
    def ports(self):
        """For start(), to come back at the same addresses."""
        urls = {"login": self.login, "api": self.api, "blob": self.blob, "metadata": self.metadata,
                "control": self.control}
        return {name: urllib.parse.urlsplit(url).port for name, url in urls.items()}

    # --- the control port -----------------------------------------------------------------------------------

    def _open(self, path, body=None, timeout=120):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.control + path, data=data)
        try:
            with self._direct.open(request, timeout=timeout) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            with error:
                text = error.read()
            try:
                message = json.loads(text)["error"]
            except (ValueError, KeyError, TypeError):
                message = text.decode(errors="replace")
            raise EmulatorError(error.code, message) from None

    def get(self, path, /, **query):
        """GET of the control port; parameters that are None are left out."""
        query = {name: value for name, value in query.items() if value is not None}
        return json.loads(self._open(f"{path}?{urllib.parse.urlencode(query)}"))

    def post(self, path, /, **body):
        return json.loads(self._open(path, body))

    # --- data -----------------------------------------------------------------------------------------------

    def add_cabs(self, application, failure, **rule):
        """Adds CABs by a rule; their ids (None with reply=False).  A new application is a driver, unless family= says
        otherwise or it is called "ihvdriver" or "hardware"."""
        return self.post("/cabs", application=application, failure=failure, **rule).get("ids")

    def add_dataset(self, applications, clear=False):
        return self.post("/dataset", applications=applications, clear=clear)["ids"]

    def change_cab(self, cab, **changes):
        self.post("/cab/change", id=cab, **changes)

    def remove_cab(self, cab):
        self.post("/cab/remove", id=cab)

    def cabs(self, application=None, failure=None):
        """What is to be seen: dictionaries with id, family, application, failure, date, expires, size, …"""
        return self.get("/cabs", application=application, failure=failure)["cabs"]

    def content(self, cab, off=0, length=None):
        """The bytes a reader must get; not counted."""
        query = {"cab": cab, "off": off}
        if length is not None:
            query["len"] = length
        return self._open("/content?" + urllib.parse.urlencode(query))

    def sha256(self, cab):
        return self.get("/sha256", cab=cab)["sha256"]

    def url(self, cab, **options):
        """A signed URL; life and start in milliseconds, sp, sr, sv."""
        return self.get("/url", cab=cab, **options)["url"]

    # --- settings and tokens --------------------------------------------------------------------------------

    def config(self, **settings):
        """Changes settings; all of them are returned."""
        if settings:
            self.post("/config", **settings)
        return self.get("/config")

    def token(self, life=3599):
        """A token that no login was counted for."""
        return self.post("/token", life=life)["token"]

    def revoke_tokens(self):
        self.post("/tokens/revoke")

    # --- faults ---------------------------------------------------------------------------------------------

    def fault(self, fault, endpoint=None, /, **arguments):
        """Sets a fault for an endpoint, a pattern ("desktop-*") or a list of them; its number.  count, skip, once,
        probability, seed, path and the fault's own arguments."""
        if endpoint is not None:
            arguments["endpoint"] = endpoint
        return self.post("/faults", fault=fault, **arguments)["id"]

    def clear_faults(self, fault=0):
        """Ends one or all, and lets go whom they hold."""
        self.post("/faults/remove", id=fault)

    def release(self, fault=0, n=0):
        return self.post("/release", id=fault, n=n)["released"]

    def wait_held(self, n=1, fault=0, timeout=30):
        """Waits until n requests are held (or stalled)."""
        self.get("/wait-held", n=n, id=fault, timeout=int(timeout * 1000))

    # --- counters -------------------------------------------------------------------------------------------

    def counters(self, cabs=True):
        return self.get("/counters", cabs=int(cabs))

    def requests(self, endpoint):
        return self.counters(cabs=False)["endpoints"][endpoint]["requests"]

    def reset_counters(self):
        self.post("/reset-counters")

    def log(self, endpoint=None, cab=None, n=None):
        return self.get("/log", endpoint=endpoint, cab=cab, n=n)["log"]

    def wait_requests(self, endpoint, n=1, cab=None, timeout=30):
        """Waits until n requests were made of the endpoint since the last reset."""
        self.get("/wait-requests", endpoint=endpoint, n=n, cab=cab, timeout=int(timeout * 1000))

    def reset(self):
        """No data, no faults, default settings, all counters 0."""
        self.post("/reset")
