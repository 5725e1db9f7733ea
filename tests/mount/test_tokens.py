# SPDX-License-Identifier: MIT
"""Tokens without a client secret: by a certificate, by a token of another issuer, by the machine's own identity."""
import contextlib
import os
import socket
import threading

import pytest

from conftest import APP, FAILURE, OTHER_APP, OTHER_FAILURE
from identity import Identity, openssl
from mount import Mount, MountError, errno_of, within
from recorder import Recorder
from test_secrets import Trap, check_attributes, check_process, check_texts, search, try_all, walk

NO_SECRET = {"client_secret_file": None}
NOBODY = {"tenant": None, "client_id": None, **NO_SECRET}


@pytest.fixture(scope="module")
def identities(tmp_path_factory):
    """Two, since making keys takes long."""
    return [Identity(tmp_path_factory.mktemp(name), name) for name in ("first", "second")]


def with_certificate(directory, identity, **options):
    path = directory / "identity.pem"
    identity.install(path)
    return {**NO_SECRET, "client_certificate_file": str(path), **options}


def read_all(emulator, m):
    assert os.listdir(m.path / APP) == [FAILURE]
    for cab in emulator.cabs():
        m.verify(cab)


# --- certificates ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("version", [1, 2])
def test_certificate(emulator, directory, identities, version):
    """What the key signs is taken for a token, with either form of the request."""
    emulator.config(certificate=identities[0].certificate)
    emulator.add_cabs(APP, FAILURE, count=2, size=300_000)
    with Mount(emulator, directory, driver=[APP], token_version=version,
               **with_certificate(directory, identities[0])) as m:
        read_all(emulator, m)
    assert emulator.counters()["endpoints"]["login"]["statuses"] == {"200": 1}
    assert emulator.log("login")[0]["path"].endswith("v2.0/token") == (version == 2)


def test_certificate_is_read_anew(emulator, directory, identities):
    """A new certificate in the place of the old is used for the next token, without a restart."""
    first, second = identities
    emulator.config(certificate=first.certificate)
    emulator.add_cabs(APP, FAILURE)
    with Mount(emulator, directory, driver=[APP], **with_certificate(directory, first)) as m:
        read_all(emulator, m)
        emulator.config(certificate=second.certificate)
        second.install(directory / "identity.pem")
        emulator.revoke_tokens()
        assert errno_of(os.listdir, m.path / APP / OTHER_FAILURE) == "ENOENT"
    assert emulator.counters()["endpoints"]["login"]["statuses"] == {"200": 2}


def test_certificate_from_credentials(emulator, directory, identities):
    """A relative path is a credential of systemd, which it lets the group read."""
    emulator.config(certificate=identities[0].certificate)
    emulator.add_cabs(APP, FAILURE)
    place = directory / "credentials"
    place.mkdir(mode=0o700)
    identities[0].install(place / "application", mode=0o440)
    with Mount(emulator, directory, driver=[APP], client_certificate_file="application",
               environment={"CREDENTIALS_DIRECTORY": str(place)}, **NO_SECRET) as m:
        read_all(emulator, m)


def locked_key(identity):
    return openssl("pkey", "-in", identity.key_file, "-aes128", "-passout", "pass:sesame").decode()


@pytest.mark.parametrize("words, text", [
    ("not PEM", lambda first, second: "nonsense\n"),
    ("no private key", lambda first, second: first.certificate),
    ("no certificate", lambda first, second: first.key),
    ("does not belong to the certificate", lambda first, second: second.certificate + first.key),
    ("passphrase", lambda first, second: first.certificate + locked_key(first)),
    ("client-certificate-file: ", None),
], ids=["no-pem", "no-key", "no-certificate", "mismatch", "passphrase", "open"])
def test_certificate_refused(emulator, directory, identities, words, text):
    """A file that cannot work is said to be one at the start, with its name and what to do."""
    options = with_certificate(directory, identities[0])
    path = directory / "identity.pem"
    if text is None:
        path.chmod(0o644)  # others can read or write this secret
    else:
        path.write_text(text(*identities))
    with pytest.raises(MountError) as caught:
        Mount(emulator, directory, driver=[APP], **options).mount()
    assert str(path) in caught.value.log and words in caught.value.log
    assert not any(line in caught.value.log for line in identities[0].secrets())
    assert emulator.requests("login") == 0


def test_elliptic_key(emulator, directory):
    identity = Identity(directory, "curve", kind=("ec", "-pkeyopt", "ec_paramgen_curve:P-256"))
    with pytest.raises(MountError) as caught:
        Mount(emulator, directory, driver=[APP], **with_certificate(directory, identity)).mount()
    assert "not an RSA key" in caught.value.log


def test_expired_certificate(emulator, directory, identities):
    """It does not keep a mount from what it has, and one that takes its place is used at once."""
    emulator.config(certificate=identities[0].certificate)
    emulator.add_cabs(APP, FAILURE)
    old = Identity(directory, "old", days=-1)
    with Mount(emulator, directory, driver=[APP], **with_certificate(directory, old)) as m:
        assert "the certificate expired at" in m.log()
        assert errno_of(os.listdir, m.path / APP) == "EIO"
        assert emulator.requests("login") == 0
        identities[0].install(directory / "identity.pem")
        within(10, lambda: errno_of(os.listdir, m.path / APP) is None, "the new certificate is not taken")
        read_all(emulator, m)


@pytest.mark.parametrize("code, hint", [(700027, "upload the certificate of client-certificate-file"),
                                        (700021, "client-id is not the application"),
                                        (700024, "is the clock of this machine right"),
                                        (700016, "compare client-id with its Application")])
def test_refusal_says_what_to_do(emulator, directory, identities, code, hint):
    """EACCES, and a line with the host's code, its correlation id and what to do."""
    emulator.config(certificate=identities[0].certificate)
    emulator.add_cabs(APP, FAILURE)
    with Mount(emulator, directory, driver=[APP], **with_certificate(directory, identities[0])) as m:
        emulator.fault("status", "login", status=401, code=str(code))
        for _ in range(3):
            assert errno_of(os.listdir, m.path / APP) == "EACCES"
        [line] = {line.partition("HTTP status")[2] for line in m.log().splitlines() if f"AADSTS{code}" in line}
        assert hint in line and "correlation id" in line
        assert emulator.requests("login") == 1  # and it is remembered


def test_unknown_certificate(emulator, directory, identities):
    """The login host knows another one."""
    emulator.config(certificate=identities[1].certificate)
    with Mount(emulator, directory, driver=[APP], **with_certificate(directory, identities[0])) as m:
        assert errno_of(os.listdir, m.path / APP) == "EACCES"
        assert "AADSTS700027" in m.log()


# --- tokens of another issuer ---------------------------------------------------------------------------------------

FEDERATED = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQifQ.c2lnbmF0dXJlLW9mLXRoZS1jbHVzdGVy"


@pytest.mark.parametrize("source", ["key", "environment"])
def test_federated_token(emulator, directory, source):
    """The token in the file is the proof, as it is in there when one is needed."""
    emulator.add_cabs(APP, FAILURE)
    config = emulator.config(clientAssertion=FEDERATED) or emulator.config()
    path = directory / "federated"
    path.write_text(FEDERATED + "\n")
    path.chmod(0o644)
    options, variables = {**NO_SECRET, "federated_token_file": str(path)}, {}
    if source == "environment":
        options = NOBODY
        variables = {"AZURE_TENANT_ID": config["tenant"], "AZURE_CLIENT_ID": config["clientId"],
                     "AZURE_FEDERATED_TOKEN_FILE": str(path),
                     "AZURE_AUTHORITY_HOST": "https://login.example"}  # login-url says who is asked
    with Mount(emulator, directory, driver=[APP], secrets=[FEDERATED], environment=variables, **options) as m:
        read_all(emulator, m)
        emulator.config(clientAssertion=FEDERATED[::-1])
        path.write_text(FEDERATED[::-1])
        emulator.revoke_tokens()
        assert errno_of(os.listdir, m.path / APP / OTHER_FAILURE) == "ENOENT"
        emulator.config(clientAssertion="else")
        emulator.revoke_tokens()
        assert errno_of(os.listdir, m.path / APP / FAILURE.replace("1", "2")) == "EACCES"
        assert "AADSTS700213" in m.log() and "no federated credential with the subject" in m.log()
    assert emulator.counters()["endpoints"]["login"]["statuses"] == {"200": 2, "401": 1}


# --- the machine's own identity -------------------------------------------------------------------------------------

@pytest.fixture
def trap():
    with contextlib.closing(Trap()) as trap:
        yield trap


def managed(emulator, identity="system", **options):
    return {**NOBODY, "managed_identity": identity, "managed_identity_url": emulator.metadata, **options}


@pytest.mark.parametrize("identity", ["system", "assigned"])
def test_managed_identity(emulator, directory, trap, identity):
    """Its token is had from the metadata service, not through a proxy, and serves for everything."""
    name = "system" if identity == "system" else emulator.config()["managedIdentity"]
    emulator.config(**{"systemIdentity" if identity != "system" else "managedIdentity": None})
    emulator.add_cabs(APP, FAILURE, count=2, size=300_000)
    proxies = {name: f"http://{trap.host}" for name in ("http_proxy", "https_proxy", "all_proxy", "ALL_PROXY")}
    with Mount(emulator, directory, driver=[APP], environment={**proxies, "no_proxy": ""},
               **managed(emulator, name, proxy=f"http://{trap.host}")) as m:
        read_all(emulator, m)
        emulator.revoke_tokens()
        assert errno_of(os.listdir, m.path / APP / OTHER_FAILURE) == "ENOENT"
    assert trap.asked == []
    assert emulator.requests("login") == 0
    assert emulator.counters()["endpoints"]["metadata"]["statuses"] == {"200": 2}


@pytest.mark.parametrize("fault, arguments, requests", [
    ("status", {"status": 404, "retryAfter": 0}, 2),
    ("status", {"status": 410, "retryAfter": 0}, 2),
    ("status", {"status": 429, "retryAfter": 0}, 2),
    ("status", {"status": 500, "retryAfter": 0}, 2),
    ("status", {"status": 599, "retryAfter": 0}, 2),
    ("drop", {"how": "reset"}, 2),
    ("short", {"after": 30}, 2),
    ("latency", {"ms": 300}, 1),
    ("drip", {"bytes": 500, "ms": 5}, 1),
    ("token", {"remove": "expires_in"}, 1),
], ids=lambda value: str(value.get("status", "")) if isinstance(value, dict) else None)
def test_metadata_recovers(emulator, directory, fault, arguments, requests):
    """What passes by itself is waited for."""
    emulator.add_cabs(APP, FAILURE)
    emulator.fault(fault, "metadata", count=1, **arguments)
    with Mount(emulator, directory, driver=[APP], **managed(emulator)) as m:
        read_all(emulator, m)
    assert emulator.requests("metadata") == requests


@pytest.mark.parametrize("fault, arguments, error, words", [
    ("status", {"status": 400, "message": "Identity not found"}, "EACCES", "has this machine the identity"),
    ("status", {"status": 403}, "EACCES", "HTTP status 403"),
    ("status", {"status": 404, "retryAfter": 0}, "EIO", "HTTP status 404"),
    ("status", {"status": 503, "retryAfter": 0}, "EIO", "HTTP status 503"),
    ("answer", {"text": "<html>sign in</html>", "type": "text/html"}, "EIO", "token answer: "),
    ("token", {"remove": "access_token"}, "EIO", "no access_token"),
    ("token", {"tokenType": "mac"}, "EIO", "token_type"),
    ("header", {"name": "Content-Encoding", "value": "gzip"}, "EIO", "metadata"),
], ids=["400", "403", "404", "503", "html", "no-token", "token-type", "gzip"])
def test_metadata_fails(emulator, directory, fault, arguments, error, words):
    """What does not pass has an error that says what it was."""
    emulator.fault(fault, "metadata", **arguments)
    with Mount(emulator, directory, driver=[APP], retries=2, **managed(emulator)) as m:
        assert errno_of(os.listdir, m.path / APP) == error
        assert words in m.log()
    assert emulator.requests("metadata") == (2 if "retryAfter" in arguments else 1)


def test_metadata_redirect(emulator, directory, trap):
    """A metadata service sends nobody elsewhere; who does is not followed."""
    emulator.fault("status", "metadata", status=302)
    emulator.fault("header", "metadata", name="Location", value=f"http://{trap.host}/")
    with Mount(emulator, directory, driver=[APP], **managed(emulator)) as m:
        assert errno_of(os.listdir, m.path / APP) == "EIO"
        assert "redirects are not followed" in m.log()
    assert trap.asked == []


class Deaf:
    """A port where connections are neither taken nor refused, as at an address where nobody is."""

    def __init__(self):
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(0)
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.filling = [socket.socket() for _ in range(4)]
        for one in self.filling:
            one.setblocking(False)
            one.connect_ex(self.socket.getsockname())

    def close(self):
        for one in (*self.filling, self.socket):
            one.close()


def test_no_metadata_service(emulator, directory):
    """On a machine without one the error comes long before the timeout, and says that."""
    with contextlib.closing(Deaf()) as deaf, \
            Mount(emulator, directory, driver=[APP], timeout=120, **managed(emulator, managed_identity_url=deaf.url)) as m:
        done = threading.Event()
        errors = []
        threading.Thread(target=lambda: (errors.append(errno_of(os.listdir, m.path / APP)), done.set()), daemon=True).start()
        assert done.wait(40), "it waits for nobody"
        assert errors[0] in ("EIO", "ETIMEDOUT")
        assert "is this a virtual machine of Azure?" in m.log()


@pytest.mark.parametrize("url", ["http://metadata.example", "http://192.0.2.1", "https://169.254.169.254",
                                 "http://169.254.169.254.example"])
def test_metadata_elsewhere(emulator, directory, url):
    """Who is not on the machine is not its metadata service."""
    with pytest.raises(MountError) as caught:
        Mount(emulator, directory, driver=[APP], **managed(emulator, managed_identity_url=url)).mount()
    assert "managed-identity-url" in caught.value.log


# --- together ---------------------------------------------------------------------------------------------------------

def test_two_ways(emulator, directory, identities):
    """Of two ways in one section one is taken; one of the command line takes the file's place."""
    options = with_certificate(directory, identities[0], managed_identity="system", managed_identity_url=emulator.metadata)
    emulator.add_cabs(APP, FAILURE)
    with Mount(emulator, directory, driver=[APP], **options) as m:
        read_all(emulator, m)
    assert (emulator.requests("login"), emulator.requests("metadata")) == (0, 1)
    token = directory / "token"
    token.touch(mode=0o600)
    token.write_text(emulator.token())
    emulator.reset_counters()
    with Mount(emulator, directory, driver=[APP], cache_dir=directory / "other", arguments=["-o", f"token-file={token}"],
               **options) as m:
        read_all(emulator, m)
    assert (emulator.requests("login"), emulator.requests("metadata")) == (0, 0)


FAULTS = [
    [],
    [("status", "login", {"status": 401, "code": "700027"})],
    [("status", "metadata", {"status": 400})],
    [("token", ["login", "metadata"], {"remove": "access_token"})],
    [("status", ["login", "metadata"], {"status": 302})],
    [("drop", ["login", "metadata"], {"how": "reset"})],
    [("answer", ["login", "metadata"], {"text": '{"access_token": 12345678901234567890, "token_type": "Bearer"'})],
]


@pytest.mark.parametrize("way", ["certificate", "federated", "managed"])
def test_no_secret_anywhere(emulator, directory, identities, way):
    """Neither key nor what it signed, neither another's token nor the machine's is in a log, a file or an error. [E13]"""
    config = emulator.config(certificate=identities[0].certificate) or emulator.config()
    with contextlib.ExitStack() as stack:
        api, login, metadata = (stack.enter_context(contextlib.closing(Recorder(url)))
                                for url in (emulator.api, emulator.login, emulator.metadata))
        federated = directory / "federated"
        options = {"certificate": with_certificate(directory, identities[0]),
                   "federated": {**NO_SECRET, "federated_token_file": str(federated)},
                   "managed": managed(emulator, managed_identity_url=metadata.url)}[way]
        secrets = {FEDERATED, config["clientSecret"], *identities[0].secrets()}
        if way == "federated":
            federated.write_text(FEDERATED)
            emulator.config(clientAssertion=FEDERATED)
        m = Mount(emulator, directory, driver=[APP, OTHER_APP], secrets=secrets, listing_ttl=0, timeout=5, retries=2,
                  **{"api_url": api.url, "login_url": login.url, **options})
        for faults in FAULTS:
            emulator.clear_faults()
            for app in (APP, OTHER_APP):
                emulator.add_cabs(app, FAILURE, size=5000)
            for fault, endpoint, arguments in faults:
                emulator.fault(fault, endpoint, **arguments)
            with m:
                errors = walk(m, FAILURE) + try_all(m.path / APP)
                secrets |= api.secrets | login.secrets | metadata.secrets
                check_process(m.process.pid, secrets)
                check_texts(errors, secrets)
                check_attributes(m, secrets)
        kept = {str(directory / name) for name in ("identity.pem", "federated", "secret")}
        assert (login.requests > 0) == (way != "managed") and (metadata.requests > 0) == (way == "managed")
        assert any(secret.startswith("eyJ") for secret in login.secrets | metadata.secrets)
    search(directory, secrets, allowed=kept)
