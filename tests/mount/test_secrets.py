# SPDX-License-Identifier: MIT
"""Tokens, the client secret and signatures go to the hosts they are for, and nowhere else: no log, no command line, no
attribute, no file."""
import contextlib
import os
import re
import socket
import threading
import urllib.parse
from pathlib import Path

import pytest

from conftest import APP, FAILURE, OTHER_APP, OTHER_FAILURE
from mount import Mount, within, xattrs
from recorder import Recorder


class Trap:
    """A host that must not be asked."""

    def __init__(self, address="127.0.0.1"):
        self.socket = socket.create_server((address, 0))
        self.port = self.socket.getsockname()[1]
        self.host = f"{address}:{self.port}"
        self.asked = []
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                with connection:
                    connection.settimeout(2)
                    self.asked.append(connection.recv(4096))

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


@pytest.fixture
def trap():
    with contextlib.closing(Trap()) as trap:
        yield trap


def try_all(path):
    """Everything a program may do with a CAB; its errors."""
    errors = []
    for func in (os.stat, lambda p: p.read_bytes(), xattrs, os.listxattr):
        try:
            func(path)
        except OSError as error:
            errors.append(str(error))
    return errors


def reads(path):
    with contextlib.suppress(OSError):
        return path.read_bytes() is not None
    return False


def walk(m, failure):
    """Looks at everything that has to do with a failure; the errors."""
    errors = []
    for app in os.listdir(m.path):
        for place in (m.path / app, m.path / app / failure):
            errors += try_all(place)
            try:
                names = os.listdir(place)
            except OSError as error:
                errors.append(str(error))
                names = []
        for name in names:
            errors += try_all(place / name)
    return errors


def failure_of(number):
    return f"1fd83f6d-9fe0-96ec-2c47-{number:012}"


def search(directory, secrets, allowed):
    """Fails where a secret stands in a file, or in a name."""
    assert len(secrets) > 3
    needles = [secret.encode() for secret in secrets if secret]
    for place, _, files in os.walk(directory):
        for name in files:
            path = os.path.join(place, name)
            assert not any(needle in path.encode() for needle in needles), "a secret is in a name"
            if path in allowed:
                continue
            with open(path, "rb") as file:
                data = file.read()
            for needle in needles:
                at = data.find(needle)
                assert at < 0, f"a secret is in {path}: …{data[max(0, at - 60):at]}"


REFUSAL = ("<Error><Code>AuthenticationFailed</Code><Message>Signature did not match.</Message>"
           "<AuthenticationErrorDetail>String to sign used was {}</AuthenticationErrorDetail></Error>")
SECRET = "Correct~Horse+Battery/Staple=8"

FAULTS = [
    # what goes wrong after everything was right once
    [],
    [("status", "blob-get", {"status": 403, "code": "AuthenticationFailed", "count": 3})],
    [("status", ["blob-get", "blob-head"], {"status": 404})],
    [("status", "blob-get", {"status": 412})],
    [("status", ["batch", "details", "hits"], {"status": 500, "body": "html"})],
    [("status", ["batch", "details", "hits"], {"status": 401})],
    [("status", "blob-get", {"status": 302})],
    [("drop", ["batch", "blob-get"], {"how": "reset"})],
    [("short", "blob-get", {"after": 100_000})],
    [("sas", "batch", {"host": "foreign.example"})],
    [("sas", "batch", {"userinfo": "somebody:sesame"})],
    [("sas", "batch", {"fragment": "here"})],
    [("sas", "batch", {"scheme": "ftp"})],
    [("sas", "batch", {"signature": "wrong"})],
    [("sas", "batch", {"permissions": "w"})],
    [("sas", "batch", {"remove": "se"})],
    [("status", "batch", {"status": 404}), ("redirect", "cabdownload", {"form": "foreign"})],
    [("status", "batch", {"status": 404}), ("redirect", "cabdownload", {"form": "missing"})],
    [("status", "batch", {"status": 404}), ("redirect", "cabdownload", {"form": "loop"})],
    [("status", "batch", {"status": 404}), ("redirect", "cabdownload", {"form": "relative"})],
    [("next-link", "batch", {"form": "foreign"})],
    [("status", "login", {"status": 401, "code": 7000215})],
    [("token", "login", {"remove": "access_token"})],
    [("answer", "login", {"text": '{"access_token": 12345678901234567890, "token_type": "Bearer"'})],
]


def test_no_secret_anywhere(emulator, directory):
    """A mount at debug level, through everything that goes right and wrong, leaves no secret behind. [E13]"""
    emulator.config(clientSecret=SECRET)
    with contextlib.closing(Recorder(emulator.api)) as api, contextlib.closing(Recorder(emulator.login)) as login:
        secrets = {SECRET, urllib.parse.quote_plus(SECRET), "sesame"}
        m = Mount(emulator, directory, driver=[APP, OTHER_APP], listing_ttl=0, timeout=3, retries=2,
                  api_url=api.url, login_url=login.url)
        for number, faults in enumerate(FAULTS):
            emulator.clear_faults()
            emulator.add_cabs(APP, failure_of(number), count=2, size=[5000, 400_000])
            emulator.add_cabs(OTHER_APP, failure_of(number), size=3000)
            if number % 6 == 5:
                emulator.revoke_tokens()
            for fault, endpoint, args in faults:
                emulator.fault(fault, endpoint, **args)
            with m:
                errors = walk(m, failure_of(number))
                secrets |= api.secrets | login.secrets
                check_process(m.process.pid, secrets)
                check_texts(errors, secrets)
                check_attributes(m, secrets)
        # an address that an answer spells out, and what hosts say of it
        emulator.clear_faults()
        token = emulator.token()
        signed = emulator.url(emulator.cabs()[0]["id"])
        secrets |= {token, *re.findall(r"sig=([^&]+)", signed)}
        emulator.fault("status", ["batch", "details"], status=400, message=f"no such {signed} for Bearer {token}")
        emulator.fault("answer", "blob-get", status=403, text=REFUSAL.format(signed))
        fresh = emulator.add_cabs(OTHER_APP, FAILURE, size=5000)
        with m:
            check_texts(walk(m, failure_of(0)) + try_all(m.path / OTHER_APP / FAILURE / f"{fresh[0]}.cab"), secrets)
        assert "sig=REDACTED" in m.log_file.read_text()
    assert api.requests > 50 and len(secrets) > 40
    search(directory, secrets, allowed={str(directory / "secret")})


def check_process(pid, secrets):
    for name in ("cmdline", "comm", "environ", "mountinfo"):
        with open(f"/proc/{pid}/{name}", "rb") as file:
            data = file.read()
        assert not any(secret.encode() in data for secret in secrets), name


def helpers(m):
    """Processes that have to do with a mount, besides cabfs: pid and name."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            status = dict(line.split(":\t", 1) for line in (place / "status").read_text().splitlines())
            mine = status["PPid"] == str(m.process.pid) or str(m.path) in (place / "cmdline").read_text()
            if mine and int(place.name) not in (m.process.pid, os.getpid()):
                found[int(place.name)] = status["Name"]
    return found


@pytest.mark.parametrize("source", ["environment", "command", "file"])
def test_environment(emulator, directory, source):
    """A secret in the environment is for cabfs alone: neither what it starts nor who looks at it gets it."""
    emulator.config(clientSecret=SECRET)
    emulator.add_cabs(APP, FAILURE, size=5000)
    config = emulator.config()
    variables = {"AZURE_TENANT_ID": config["tenant"], "AZURE_CLIENT_ID": config["clientId"],
                 "AZURE_CLIENT_SECRET": SECRET}
    options = {"tenant": None, "client_id": None, "client_secret_file": None}
    token, seen = directory / "token", directory / "seen"
    token.write_text(emulator.token())
    if source == "command":
        options["token_command"] = f"tr '\\0' '\\n' < /proc/$$/environ > {seen}; cat /proc/$$/cmdline >> {seen}; cat {token}"
    elif source == "file":
        options["token_file"] = str(token)
    secrets = {SECRET, emulator.token(), token.read_text()}
    with Mount(emulator, directory, driver=[APP], environment=variables, **options) as m:
        m.verify(emulator.cabs()[0])
        check_process(m.process.pid, secrets)
        started = helpers(m)
        assert "fusermount3" in started.values() or os.geteuid() != 0  # it waits to clear the mount
        for pid in started:
            with contextlib.suppress(PermissionError):  # it is root's
                check_process(pid, secrets)
        if source == "command":
            text = seen.read_text()
            assert "AZURE_TENANT_ID=" in text and "/proc/$$/environ" in text
            check_texts([text], secrets)
    assert emulator.requests("login") == (1 if source == "environment" else 0)


def check_texts(texts, secrets):
    for text in texts:
        assert not any(secret in text for secret in secrets), "a secret is in an error"


def check_attributes(m, secrets):
    for place, dirs, files in os.walk(m.path):
        for name in ["", *dirs, *files]:
            with contextlib.suppress(OSError):
                for key, value in xattrs(os.path.join(place, name)).items():
                    assert not any(secret in key + value for secret in secrets), key
                    assert "cabUrl" not in key and "sig=" not in value


# --- addresses that are not asked -------------------------------------------------------------------------------

PATH = "/kernel/{id}.zip?sv=2015-07-08&sr=b&sig=c2VjcmV0LXNpZ25hdHVyZS1vZi1pdA%3D%3D&se=2099-01-01T00%3A00%3A00Z&sp=r"


def refused(m, cab):
    """EACCES for whoever opens it; whoever looks at it sees no size."""
    with pytest.raises(PermissionError):
        m.cab(cab).read_bytes()
    assert os.stat(m.cab(cab)).st_size == 0
    assert "c2VjcmV0" not in m.log()


@pytest.mark.parametrize("url, listed", [
    ("http://{trap}" + PATH, False),
    ("http://user:password@{trap}" + PATH, True),
    ("http://{trap}@{blob}" + PATH, True),
    ("http://{blob}:80@{trap}" + PATH, True),
    ("http://{trap}" + PATH + "#part", True),
    ("http://{trap}\\@{blob}" + PATH, True),
    ("http://{blob}.{trap}" + PATH, False),
    ("ftp://{trap}" + PATH, True),
    ("file:///etc/passwd", True),
    ("//{trap}" + PATH, True),
    ("/kernel/{id}.zip", True),
    ("http:{trap}" + PATH, True),
    ("http://[::1" + PATH, True),
    ("http:// {trap}" + PATH, True),
    ("http://{trap}\r\nHost: elsewhere" + PATH, True),
    ("nonsense", True),
], ids=["foreign", "user-info", "user-info-host", "user-info-port", "fragment", "backslash", "suffix", "ftp", "file",
        "no-scheme", "relative", "no-slashes", "bracket", "blank", "newline", "nonsense"])
def test_address_refused(emulator, mount, trap, url, listed):
    """An address that is not clearly one of the allowed hosts is EACCES, and nobody is asked. [E4]"""
    blob = emulator.blob.split("//")[1]
    text = url.replace("{trap}", trap.host).replace("{blob}", blob)
    emulator.add_cabs(APP, FAILURE, url=text)
    emulator.add_cabs(APP, OTHER_FAILURE)
    hosts = [blob, trap.host] if listed else [blob]
    m = mount(blob_hosts=hosts)
    cab = emulator.cabs(APP, FAILURE)[0]
    assert os.listdir(m.path / APP / FAILURE) == [f"{cab['id']}.cab"]
    refused(m, cab)
    assert trap.asked == []
    assert emulator.requests("blob-get") == emulator.requests("blob-head") == 0
    m.verify(emulator.cabs(APP, OTHER_FAILURE)[0])


def test_plain_http_elsewhere(emulator, mount):
    """allow-http is for the loopback interface: no other host is spoken to without encryption, allowed or not."""
    addresses = [info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)]
    own = next((address for address in addresses if not address.startswith("127.")), None)
    with contextlib.closing(Trap(own or "127.0.0.1")) as elsewhere:
        host = elsewhere.host if own else f"192.0.2.1:{elsewhere.port}"
        emulator.add_cabs(APP, FAILURE, url=f"http://{host}" + PATH)
        m = mount(blob_hosts=[host])
        refused(m, emulator.cabs()[0])
        assert elsewhere.asked == []


@pytest.mark.parametrize("form", ["foreign", "http", "missing", "loop", "relative"])
def test_redirect_refused(emulator, mount, form):
    """A redirect leads to an allowed host or nowhere. [E4]"""
    emulator.add_cabs(APP, FAILURE, size=5000)
    cab = emulator.cabs()[0]
    m = mount()
    emulator.fault("status", "batch", status=404)
    emulator.fault("redirect", "cabdownload", form=form)
    with pytest.raises(OSError) as caught:
        m.cab(cab).read_bytes()
    assert isinstance(caught.value, PermissionError) or form == "missing"
    assert emulator.requests("blob-get") == 0
    assert emulator.requests("cabdownload") == 1
    emulator.clear_faults()
    within(5, lambda: reads(m.cab(cab)), "it does not come back")
    m.verify(cab)


def test_token_stays_at_its_host(emulator, mount, trap):
    """A link to the next page on another host is not followed."""
    emulator.add_cabs(APP, FAILURE, count=250)
    m = mount()
    emulator.fault("next-link", "batch", form="foreign")
    assert len(os.listdir(m.path / APP / FAILURE)) == 250
    assert trap.asked == []
