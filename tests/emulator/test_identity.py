# SPDX-License-Identifier: MIT
"""What the emulator takes in the place of a client secret, and its metadata service."""
import base64
import hashlib
import time

import pytest

from identity import Identity, encode
from service import APP, HASH, Api, add, fetch, login

KIND = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
V1, V2 = "/oauth2/token", "/oauth2/v2.0/token"


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return Identity(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    return Identity(tmp_path_factory.mktemp("other"))


def prove(emu, assertion, path=V2):
    return login(emu, path, client_secret=None, client_assertion_type=KIND, client_assertion=assertion)


def endpoint(emu, path=V2):
    return f"{emu.login}/{emu.config()['tenant']}{path}"


@pytest.mark.parametrize("path", [V1, V2])
def test_assertion(emu, ours, other, path):
    client = emu.config()["clientId"]
    emu.config(certificate=other.certificate + ours.certificate)
    answer = prove(emu, ours.assertion(endpoint(emu, path), client), path)
    assert answer.status == 200, answer.body
    add(emu)
    token = answer.json()["access_token"]
    assert Api(emu).call("cabdownloadbatch", token, applicationId=APP, failureHash=HASH).status == 200
    for missing in ("x5t", "x5t#S256"):  # one of them is enough
        assert prove(emu, ours.assertion(endpoint(emu), client, header={missing: None})).status == 200


@pytest.mark.parametrize("header, claims, aadsts", [
    ({"alg": "none"}, {}, 50027),
    ({"x5t": encode(hashlib.sha1(b"x").digest())}, {}, 700027),
    ({"x5t#S256": encode(hashlib.sha256(b"x").digest())}, {}, 700027),
    ({"x5t": None, "x5t#S256": None}, {}, 700027),
    ({}, {"aud": "https://elsewhere.example"}, 700023),
    ({}, {"iss": "someone"}, 700021),
    ({}, {"sub": None}, 700021),
    ({}, {"jti": None}, 50027),
    ({}, {"nbf": int(time.time()) - 7200, "exp": int(time.time()) - 3600}, 700024),
    ({}, {"nbf": int(time.time()) + 3600, "exp": int(time.time()) + 7200}, 700024),
    ({}, {"exp": None}, 700024),
])
def test_assertion_refused(emu, ours, header, claims, aadsts):
    emu.config(certificate=ours.certificate)
    answer = prove(emu, ours.assertion(endpoint(emu), emu.config()["clientId"], header=header, **claims))
    assert answer.status in (400, 401)
    assert answer.json()["error_codes"] == [aadsts]


def test_assertion_of_others(emu, ours, other, tmp_path):
    client = emu.config()["clientId"]
    good = ours.assertion(endpoint(emu), client)
    assert prove(emu, good).json()["error_codes"] == [700027]  # none is registered
    emu.config(certificate=other.certificate)
    assert prove(emu, good).json()["error_codes"] == [700027]
    emu.config(certificate=ours.certificate)
    start, _, signature = good.rpartition(".")
    bent = bytearray(base64.urlsafe_b64decode(signature + "=="))
    bent[9] ^= 1
    assert prove(emu, f"{start}.{encode(bytes(bent))}").json()["error_codes"] == [700027]
    assert prove(emu, f"{start}.").json()["error_codes"] == [700027]
    for nonsense in ("", "a.b", "a.b.c", "a.b.c.d", "=.=.="):
        assert prove(emu, nonsense).json()["error_codes"] in ([50027], [900144])
    assert prove(emu, good).status == 200
    old = Identity(tmp_path, "old", days=-1)
    emu.config(certificate=old.certificate)
    assert prove(emu, old.assertion(endpoint(emu), client)).json()["error_codes"] == [700027]


def test_federated(emu):
    emu.config(clientAssertion="signed.by.them")
    assert prove(emu, "signed.by.them").status == 200
    assert prove(emu, "signed.by.others").json()["error_codes"] == [700213]


# --- the metadata service -------------------------------------------------------------------------------------------

def ask(emu, path="/metadata/identity/oauth2/token", method="GET", headers=None, **changes):
    query = {"api-version": "2018-02-01", "resource": emu.config()["resource"], **changes}
    text = "&".join(f"{name}={value}" for name, value in query.items() if value is not None)
    return fetch(f"{emu.metadata}{path}?{text}", method, **({"Metadata": "true"} if headers is None else headers))


def test_metadata(emu):
    for client in (None, emu.config()["managedIdentity"]):
        answer = ask(emu, client_id=client).json()
        assert answer["token_type"] == "Bearer" and answer["expires_in"] == "3599"
        add(emu)
        assert Api(emu).call("failurehits", answer["access_token"], applicationId=APP).status == 200
    assert emu.counters()["endpoints"]["metadata"]["statuses"] == {"200": 2}
    assert emu.counters()["tokensIssued"] == 2


@pytest.mark.parametrize("changes, status", [
    ({"headers": {}}, 400),
    ({"headers": {"Metadata": "true", "X_Forwarded_For": "10.0.0.1"}}, 400),
    ({"api-version": None}, 400),
    ({"resource": None}, 400),
    ({"resource": "https://elsewhere.example"}, 400),
    ({"client_id": "someone"}, 400),
    ({"method": "POST"}, 405),
    ({"path": "/metadata/instance"}, 404),
])
def test_metadata_refused(emu, changes, status):
    assert ask(emu, **changes).status == status
    assert emu.counters()["tokensIssued"] == 0


def test_metadata_identities_and_faults(emu):
    emu.config(systemIdentity=None)
    assert ask(emu).json()["error_description"] == "Identity not found"
    emu.config(systemIdentity="one")
    emu.fault("status", "metadata", status=410, count=1)
    emu.fault("token", "metadata", remove="expires_in", skip=1)
    assert ask(emu).status == 410
    assert "expires_in" not in ask(emu).json()
    assert emu.counters()["endpoints"]["metadata"]["requests"] == 3
