# SPDX-License-Identifier: MIT
"""The emulator against the wire contract: each endpoint, the rules of SAS and ranges, each fault once."""

import base64
import datetime
import hashlib
import http.client
import json
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time
import urllib.parse

import pytest

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "mount"))
from emulator import Emulator, EmulatorError  # noqa: E402

APP = "13984104677400476"
HASH = "1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed"
ANALYTICS = "/v1.0/my/analytics/driver/"
UTC = datetime.timezone.utc


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


@pytest.fixture(scope="module")
def running():
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def emu(running):
    running.reset()
    return running


class Api:
    """The API host with a token."""

    def __init__(self, emulator):
        self.emu = emulator
        self.token = emulator.token()

    def call(self, name, token=None, **query):
        query = {k: v for k, v in query.items() if v is not None}
        return fetch(f"{self.emu.api}{ANALYTICS}{name}?{urllib.parse.urlencode(query)}",
                     Authorization="Bearer " + (token or self.token))

    def batch(self, **query):
        return self.call("cabdownloadbatch", **{"applicationId": APP, "failureHash": HASH, **query})

    def rows(self, **query):
        answer = self.batch(**query)
        assert answer.status == 200, answer.body
        return answer.json()["Value"]


@pytest.fixture
def api(emu):
    return Api(emu)


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


# --- the program ------------------------------------------------------------------------------------------------

def test_start_line_and_signals():
    program = os.environ["CABFS_EMULATOR"]
    for end in ("terminate", "eof"):
        process = subprocess.Popen([program, "--until-eof"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        line = json.loads(process.stdout.readline())
        assert list(line) == ["login", "api", "blob", "control"]
        assert len({urllib.parse.urlsplit(url).port for url in line.values()}) == 4
        process.terminate() if end == "terminate" else process.stdin.close()
        assert process.wait(timeout=30) == 0
        assert process.stdout.read() == b""
        process.stdout.close()
        process.stdin.close()


def test_ends_with_held_requests():
    emulator = Emulator()
    add(emulator, ids=["held-1"])
    emulator.fault("hold", "blob-get")
    connection = http.client.HTTPConnection("127.0.0.1", emulator.ports["blob"], timeout=30)
    url = urllib.parse.urlsplit(emulator.url("held-1"))
    connection.request("GET", f"{url.path}?{url.query}")
    emulator.wait_held(1)
    emulator.stop()
    with pytest.raises((http.client.HTTPException, OSError)):
        connection.getresponse()
    connection.close()


def test_same_ports_again():
    first = Emulator()
    ports = first.ports
    first.stop()
    with Emulator(start=False) as second:
        second.start(ports)
        assert second.ports == ports


def test_wrong_options():
    program = os.environ["CABFS_EMULATOR"]
    for option in ("--nonsense", "word"):
        result = subprocess.run([program, option], capture_output=True, text=True, timeout=30, check=False)
        assert result.returncode == 2
        assert result.stderr.startswith("cabfs-emulator: ")


def test_demo():
    with Emulator(demo=True) as emulator:
        cabs = emulator.cabs()
        assert len(cabs) == 60
        assert len({cab["application"] for cab in cabs}) == 4
        assert len({cab["failure"] for cab in cabs}) == 12
        assert all(len(cab["application"]) == 17 for cab in cabs)
        assert max(cab["size"] for cab in cabs) > 16 * 2**20
        now = time.time()
        assert all(now - 27 * 86400 < cab["date"] < now < cab["expires"] for cab in cabs)
        heads = [emulator.content(cab["id"], 0, 4) for cab in cabs]
        assert heads.count(b"MSCF") >= 40 and heads.count(b"PK\x03\x04") >= 5
        cabinets = [emulator.sha256(cab["id"]) for cab, head in zip(cabs, heads) if head == b"MSCF"]
        assert len(set(cabinets)) == len(cabinets)
        again = Emulator(demo=True)
        assert [cab["id"] for cab in again.cabs()] == [cab["id"] for cab in cabs]
        again.stop()


# --- login ------------------------------------------------------------------------------------------------------

def test_login_v1_and_v2(emu):
    one, two = login(emu).json(), login(emu, "/oauth2/v2.0/token").json()
    assert one["expires_in"] == "3599" and one["resource"] == emu.config()["resource"]
    assert isinstance(one["expires_on"], str) and one["token_type"] == "Bearer"
    assert two["expires_in"] == 3599 and "resource" not in two
    assert one["access_token"] != two["access_token"] and len(one["access_token"]) > 1000
    assert emu.counters()["tokensIssued"] == 2
    add(emu)
    for token in (one["access_token"], two["access_token"]):
        assert Api(emu).call("cabdownloadbatch", token, applicationId=APP, failureHash=HASH).status == 200


def test_login_basic_and_assertion(emu):
    settings = emu.config()
    pair = f"{settings['clientId']}:{urllib.parse.quote(settings['clientSecret'], safe='')}"
    basic = {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
    assert login(emu, "/oauth2/v2.0/token", headers=basic, client_id=None, client_secret=None).status == 200
    kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    proof = {"client_secret": None, "client_assertion_type": kind, "client_assertion": "signed.by.me"}
    assert login(emu, "/oauth2/v2.0/token", **proof).status == 401
    emu.config(clientAssertion="signed.by.me")
    assert login(emu, "/oauth2/v2.0/token", **proof).status == 200


@pytest.mark.parametrize("changes, status, aadsts, error", [
    ({"client_secret": "wrong"}, 401, 7000215, "invalid_client"),
    ({"client_secret": None}, 401, 7000215, "invalid_client"),
    ({"client_id": "someone"}, 400, 700016, "unauthorized_client"),
    ({"tenant": "else.example"}, 400, 90002, "invalid_request"),
    ({"resource": "https://elsewhere.example"}, 400, 500011, "invalid_resource"),
    ({"path": "/oauth2/v2.0/token", "scope": "https://elsewhere.example/.default"}, 400, 70011, "invalid_scope"),
    ({"grant_type": None}, 400, 900144, "invalid_request"),
    ({"grant_type": "password"}, 400, 70003, "unsupported_grant_type"),
    ({"content_type": "application/json"}, 400, 900144, "invalid_request"),
])
def test_login_refused(emu, changes, status, aadsts, error):
    answer = login(emu, **changes)
    body = answer.json()
    assert answer.status == status
    assert body["error"] == error and body["error_codes"] == [aadsts]
    assert body["error_description"].startswith(f"AADSTS{aadsts}: ") and "\r\n" in body["error_description"]
    assert {"timestamp", "trace_id", "correlation_id"} <= set(body)
    assert emu.counters()["tokensIssued"] == 0 and emu.counters()["tokensRefused"] == 1


def test_login_paths(emu):
    assert fetch(emu.login + "/contoso.onmicrosoft.com/oath2/token", "POST", "a=b").status == 404
    assert fetch(emu.login + "/contoso.onmicrosoft.com/oauth2/token").status == 405


def test_token_life_and_revocation(emu):
    add(emu)
    emu.config(tokenLife=0)
    dead = login(emu).json()["access_token"]
    api = Api(emu)
    assert api.call("cabdownloadbatch", dead, applicationId=APP, failureHash=HASH).status == 401
    assert api.batch().status == 200
    emu.revoke_tokens()
    assert api.batch().status == 401


# --- the API ----------------------------------------------------------------------------------------------------

def test_batch_row(emu, api):
    cab, = add(emu, size=10, date="2026-11-02 03:04:05", fields={"cabType": "MINI"})
    row, = api.rows(startDate="2026-11-01", endDate="2026-11-03")
    assert list(row) == ["applicationId", "failureHash", "cabIdHash", "cabUrl", "date", "cabExpirationTime", "cabType"]
    assert (row["applicationId"], row["failureHash"], row["cabIdHash"]) == (APP, HASH, cab)
    assert row["date"] == "2026-11-02 03:04:05" and row["cabExpirationTime"] == "2026-12-02 03:04:05"
    url = urllib.parse.urlsplit(row["cabUrl"])
    assert url.path == f"/kernel-20261102/{cab}.ext.zip"
    assert [part.split("=")[0] for part in url.query.split("&")] == ["sv", "sr", "sig", "se", "sp"]
    assert url.query.startswith("sv=2015-07-08&sr=b&sig=") and url.query.endswith("Z&sp=r")


def test_batch_pages(emu, api):
    ids = add(emu, count=234)
    seen, link = [], None
    for skip, rows in ((0, 100), (100, 100), (200, 34), (300, 0)):
        answer = api.batch(skip=skip).json()
        link = answer.get("@nextLink")
        assert len(answer["Value"]) == rows and (link is not None) == (skip < 200)
        seen += [row["cabIdHash"] for row in answer["Value"]]
        if link:
            assert link.startswith(f"driver/cabdownloadbatch?applicationId={APP}&") and f"skip={skip + 100}" in link
    assert seen == ids
    assert [row["cabIdHash"] for row in api.rows(top=7, skip=3)] == ids[3:10]


def test_known_application_unknown_failure(emu, api):
    add(emu)
    assert api.rows(failureHash="00000000-0000-0000-0000-000000000000") == []
    assert api.rows(failureHash=HASH.upper()) != []
    answer = api.batch(applicationId="10000000000000001")
    assert answer.status == 404 and answer.json()["innererror"]["code"] == "NotFound"


@pytest.mark.parametrize("query, words", [
    ({"top": 101}, "top cannot exceed 100"),
    ({"top": "x"}, "top is not a number"),
    ({"skip": -1}, "skip is not a number"),
    ({"failureHash": None}, "failureHash is required"),
    ({"applicationId": ""}, "applicationId is required"),
    ({"startDate": "yesterday"}, "startDate is not a date"),
    ({"endDate": "2026-02-30"}, "endDate is not a date"),
    ({"startDate": "2026-11-03", "endDate": "2026-11-02"}, "endDate is before startDate"),
    ({"filter": "market eq 'US'"}, "filter is not a parameter"),
])
def test_batch_bad_request(emu, api, query, words):
    add(emu)
    answer = api.batch(**query)
    body = answer.json()
    assert answer.status == 400 and answer.headers["MS-CorrelationId"]
    assert body["code"] == "BadRequest" and body["source"] == "AnalyticsAPI"
    assert body["data"] == [] and body["details"] == []
    assert body["innererror"]["code"] == "InvalidQueryParameters"
    assert words in body["innererror"]["data"][0]


def test_authorization(emu):
    add(emu)
    url = f"{emu.api}{ANALYTICS}cabdownloadbatch?applicationId={APP}&failureHash={HASH}"
    for header in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic " + emu.token()}):
        assert fetch(url, **header).status == 401
    assert fetch(url, Authorization="bearer " + emu.token()).status == 200
    assert fetch(url, "POST", "x", Authorization="Bearer " + emu.token()).status == 405
    assert fetch(emu.api + "/v1.0/my/else", Authorization="Bearer " + emu.token()).status == 404


@pytest.mark.parametrize("form", ["2026-11-02", "2026/11/02", "11/02/2026", "11/2/2026", "11-02-2026",
                                  "2026-11-02 00:00:00", "2026-11-02T00:00:00Z"])
def test_date_forms(emu, api, form):
    ids = add(emu, date=["2026-11-01 23:59:59", "2026-11-02 00:00:00", "2026-11-02 23:59:59", "2026-11-03 00:00:00"],
              count=4)
    assert [row["cabIdHash"] for row in api.rows(startDate=form, endDate="2026-11-02")] == ids[1:3]
    if ":" not in form:
        assert [row["cabIdHash"] for row in api.rows(startDate="2026-11-02", endDate=form)] == ids[1:3]


def test_raw_slashes_in_dates(emu, api):
    add(emu, date="2026-11-02 00:00:00")
    url = (f"{emu.api}{ANALYTICS}cabdownloadbatch?applicationId={APP}&failureHash={HASH}"
           "&startDate=11/02/2026&endDate=11/02/2026")
    assert len(fetch(url, Authorization="Bearer " + api.token).json()["Value"]) == 1


def test_default_dates(emu, api):
    today = datetime.datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    days = [int((today - datetime.timedelta(days=n)).timestamp()) for n in (-1, 0, 30, 31)]
    ids = add(emu, date=days, count=4)
    assert [row["cabIdHash"] for row in api.rows()] == ids[1:3]
    assert len(api.call("failuredetails", applicationId=APP, failureHash=HASH).json()["Value"]) == 2
    assert len(api.call("failurehits", applicationId=APP).json()["Value"]) == 1


def two_failures(emulator):
    emulator.add_dataset([{"id": APP, "fields": {"submissionId": "1_2_3"}, "failures": [
        {"hash": HASH, "fields": {"failureName": "0x9F_a!B", "market": "US", "driverName": "it's.sys"},
         "events": [{"date": 1793577600, "count": 2.5}],
         "cabs": [{"count": 3, "date": "2026-11-02 12:00:00", "step": 86400}]},
        {"hash": "2" + HASH[1:], "fields": {"failureName": "AV_c!D", "market": "DE"},
         "cabs": [{"count": 2, "date": "2026-11-02 12:00:00"}]}]}])


def hits(api, **query):
    answer = api.call("failurehits", **{"applicationId": APP, "startDate": "10/01/2026", **query})
    assert answer.status == 200, answer.body
    return answer.json()


def test_hits(emu, api):
    two_failures(emu)
    rows = hits(api, groupby="failureHash,failureName", orderby="date desc,failureName")["Value"]
    assert [list(row) for row in rows[:1]] == [["date", "applicationId", "failureHash", "failureName", "eventCount"]]
    assert [(row["date"], row["failureName"], row["eventCount"]) for row in rows] == [
        ("2026-11-02", "0x9F_a!B", 3.5), ("2026-11-02", "AV_c!D", 2),
        ("2026-11-01", "0x9F_a!B", 1), ("2026-10-31", "0x9F_a!B", 1)]
    assert hits(api)["TotalCount"] == 4 and hits(api)["@nextLink"] is None
    assert hits(api, top=1)["@nextLink"].startswith("driver/failurehits?")
    assert [row["date"] for row in hits(api, aggregationLevel="month", groupby="failureHash")["Value"]] == [
        "2026-10-01", "2026-11-01", "2026-11-01"]
    assert [row["date"] for row in hits(api, aggregationLevel="week", groupby="market")["Value"]] == [
        "2026-10-26", "2026-11-02", "2026-11-02"]


def test_hits_buckets(emu, api):
    emu.add_dataset([{"id": APP, "failures": [
        {"hash": f"{n:08d}", "events": [{"date": 1793577600, "count": 1}]} for n in range(1005)]}])
    assert len(hits(api, groupby="failureHash")["Value"]) == 1005
    assert len(hits(api, groupby="failureHash", aggregationLevel="week")["Value"]) == 1000


@pytest.mark.parametrize("text, rows", [
    ("market eq 'US'", 3), ("market ne 'US'", 2), ("market eq 'us' and date eq '2026-11-02 12:00:00'", 1),
    ("market eq 'US' or market eq 'DE' and failureName eq 'x'", 3),
    ("(market eq 'US' or market eq 'DE') and failureName eq 'x'", 0),
    ("driverName eq 'it''s.sys'", 3),
])
def test_filter(emu, api, text, rows):
    two_failures(emu)
    found = sum(len(api.call("failuredetails", applicationId=APP, failureHash=h, filter=text,
                             startDate="2026-10-01").json()["Value"]) for h in (HASH, "2" + HASH[1:]))
    assert found == rows


@pytest.mark.parametrize("query", [
    {"filter": "market eq"}, {"filter": "market = 'US'"}, {"filter": "nothing eq 'x'"}, {"filter": "market eq 'US"},
    {"filter": "(market eq 'US'"}, {"filter": "market eq 'a' market"}, {"orderby": "nothing"},
    {"orderby": "market up"}, {"groupby": "date"}, {"aggregationLevel": "hour"}, {"top": 10001},
])
def test_hits_bad_request(emu, api, query):
    two_failures(emu)
    answer = api.call("failurehits", applicationId=APP, **query)
    assert answer.status == 400 and answer.json()["innererror"]["code"] == "InvalidQueryParameters"


def test_details_row(emu, api):
    two_failures(emu)
    answer = api.call("failuredetails", applicationId=APP, failureHash=HASH, startDate="2026-10-01", orderby="date",
                      top=2).json()
    first = answer["Value"][0]
    assert first["date"] == "2026-10-31 12:00:00" and first["market"] == "US" and first["submissionId"] == "1_2_3"
    assert "cabUrl" not in first and first["cabIdHash"]
    assert answer["TotalCount"] == 3 and "skip=2" in answer["@nextLink"]


def test_cabdownload(emu, api):
    cab, refused, nowhere, elsewhere = add(
        emu, count=4, size=100, ids=["cab-1", "cab-2", "cab-3", "cab-4"])
    emu.change_cab(refused, cabDownloadable=False)
    emu.change_cab(nowhere, urlForm="missing")
    emu.change_cab(elsewhere, url="https://elsewhere.example/c/{id}?sig=x")
    answer = api.call("cabdownload", applicationId=APP, cabIdHash=cab)
    assert answer.status == 302 and answer.body == b""
    assert fetch(answer.headers["Location"]).body == emu.content(cab)
    assert api.call("cabdownload", applicationId=APP, cabIdHash=refused).status == 401
    assert api.call("cabdownload", applicationId=APP, cabIdHash=nowhere).status == 404
    assert api.call("cabdownload", applicationId=APP, cabIdHash=elsewhere).headers["Location"] \
        == "https://elsewhere.example/c/cab-4?sig=x"
    assert api.call("cabdownload", applicationId=APP, cabIdHash="unknown").status == 404
    assert api.call("cabdownload", applicationId="10000000000000001", cabIdHash=cab).status == 404
    assert api.call("cabdownload", applicationId=APP).status == 400
    assert emu.counters()["cabs"][cab]["cabdownload"] == 2


def test_url_forms(emu, api):
    for n, form in enumerate(("missing", "null", "empty")):
        add(emu, ids=[f"cab-{n}"], urlForm=form)
    add(emu, ids=["cab-3"], url="https://elsewhere.example/{id}")
    rows = api.rows()
    assert "cabUrl" not in rows[0] and rows[1]["cabUrl"] is None and rows[2]["cabUrl"] == ""
    assert rows[3]["cabUrl"] == "https://elsewhere.example/cab-3"


# --- the blob host ----------------------------------------------------------------------------------------------

def test_whole_blob(emu):
    cab, = add(emu, size=123457)
    for method in ("GET", "HEAD"):
        answer = blob(emu, cab, method)
        assert answer.status == 200
        assert answer.headers["Content-Length"] == "123457" and answer.headers["Accept-Ranges"] == "bytes"
        assert answer.headers["ETag"].startswith('"0x8D') and answer.headers["x-ms-blob-type"] == "BlockBlob"
        assert answer.headers["Content-MD5"] == base64.b64encode(hashlib.md5(emu.content(cab)).digest()).decode()
        assert answer.headers["Last-Modified"].endswith(" GMT") and answer.headers["x-ms-request-id"]
        assert answer.body == (emu.content(cab) if method == "GET" else b"")
    assert emu.sha256(cab) == hashlib.sha256(emu.content(cab)).hexdigest()


@pytest.mark.parametrize("header", ["Range", "x_ms_range"])
@pytest.mark.parametrize("text, first, last", [
    ("bytes=0-0", 0, 0), ("bytes=7-1000", 7, 1000), ("bytes=65530-65545", 65530, 65545), ("bytes=99990-", 99990, 99999),
    ("bytes=99990-200000", 99990, 99999), ("bytes=0-99999", 0, 99999), ("bytes=0-", 0, 99999),
])
def test_ranges(emu, header, text, first, last):
    cab, = add(emu, size=100000)
    answer = blob(emu, cab, **{header: text})
    assert answer.status == 206
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/100000"
    assert answer.headers["Content-Length"] == str(last - first + 1)
    assert answer.body == emu.content(cab)[first:last + 1]
    assert "Content-MD5" not in answer.headers and "x-ms-blob-content-md5" not in answer.headers


def test_range_header_order_and_nonsense(emu):
    cab, = add(emu, size=1000)
    assert blob(emu, cab, Range="bytes=0-9", x_ms_range="bytes=10-12").body == emu.content(cab)[10:13]
    for text in ("bytes=5-2", "bytes=-5", "bytes=a-b", "lines=1-2", "bytes=1-2,4-5", "bytes=1"):
        assert blob(emu, cab, Range=text).status == 200


def test_range_beyond(emu):
    cab, empty = add(emu, count=2, size=[1000, 0])
    for which, total in ((cab, 1000), (empty, 0)):
        answer = blob(emu, which, Range="bytes=1000-")
        assert answer.status == 416 and answer.headers["Content-Range"] == f"bytes */{total}"
        assert answer.headers["x-ms-error-code"] == "InvalidRange" and b"<Code>InvalidRange</Code>" in answer.body
    assert blob(emu, empty, Range="bytes=0-").status == 416
    answer = blob(emu, empty)
    assert answer.status == 200 and answer.headers["Content-Length"] == "0"


def test_huge_blob(emu):
    size = 5 * 2**30 + 7
    cab, = add(emu, size=size)
    assert blob(emu, cab, "HEAD").headers["Content-Length"] == str(size)
    assert "Content-MD5" not in blob(emu, cab, "HEAD").headers
    for first in (0, 2**32 - 5, size - 10):
        answer = blob(emu, cab, Range=f"bytes={first}-{first + 99}")
        assert answer.body == emu.content(cab, first, 100)
    # Bytes do not depend on how they are cut.
    whole = emu.content(cab, 2**31 + 3, 1000)
    assert b"".join(emu.content(cab, 2**31 + 3 + n, 7) for n in range(0, 994, 7)) == whole[:994]
    assert len(set(whole)) > 200


def test_conditions(emu):
    cab, = add(emu, size=100)
    etag = blob(emu, cab).headers["ETag"]
    assert blob(emu, cab, If_Match=etag, Range="bytes=1-2").status == 206
    assert blob(emu, cab, If_Match="*").status == 200
    answer = blob(emu, cab, If_Match='"0x0"')
    assert answer.status == 412 and answer.headers["x-ms-error-code"] == "ConditionNotMet"
    assert blob(emu, cab, If_None_Match=etag).status == 304
    assert blob(emu, cab, If_None_Match='"0x0"').status == 200
    modified = blob(emu, cab).headers["Last-Modified"]
    assert blob(emu, cab, If_Modified_Since=modified).status == 304
    assert blob(emu, cab, If_Unmodified_Since="Mon, 01 Jan 2001 00:00:00 GMT").status == 412
    emu.change_cab(cab, seed=99)
    assert blob(emu, cab, If_Match=etag).status == 412
    assert blob(emu, cab).headers["Content-Length"] == "100"


def test_md5_rules(emu):
    cab, = add(emu, size=5 * 2**20)
    data = emu.content(cab)
    flag = {"x_ms_range_get_content_md5": "true"}
    answer = blob(emu, cab, Range="bytes=5-1004", **flag)
    assert answer.headers["Content-MD5"] == base64.b64encode(hashlib.md5(data[5:1005]).digest()).decode()
    assert blob(emu, cab, Range=f"bytes=0-{4 * 2**20 - 1}", **flag).status == 206
    assert blob(emu, cab, Range=f"bytes=0-{4 * 2**20}", **flag).status == 400
    assert blob(emu, cab, **flag).status == 400
    answer = blob(emu, cab, Range="bytes=0-9", x_ms_version="2016-05-31")
    assert answer.headers["x-ms-blob-content-md5"] == base64.b64encode(hashlib.md5(data).digest()).decode()
    emu.config(md5Limit=100)
    assert "Content-MD5" not in blob(emu, cab).headers


def refused(answer, status, code):
    assert answer.status == status and answer.headers["x-ms-error-code"] == code
    assert answer.headers["Content-Type"] == "application/xml" and f"<Code>{code}</Code>".encode() in answer.body
    return answer.body.decode("utf-8-sig")


def test_sas(emu):
    cab, = add(emu, size=10)
    url = emu.url(cab)
    assert fetch(url).status == 200
    text = refused(fetch(emu.url(cab, life=-1000)), 403, "AuthenticationFailed")
    assert "Signature not valid in the specified time frame: Start [] - Expiry [" in text and "] - Current [" in text
    refused(fetch(emu.url(cab, start=60000)), 403, "AuthenticationFailed")
    assert fetch(emu.url(cab, start=-60000)).status == 200
    refused(fetch(emu.url(cab, sp="w")), 403, "AuthorizationPermissionMismatch")
    refused(fetch(emu.url(cab, sr="c")), 403, "AuthorizationResourceTypeMismatch")
    refused(fetch(url.replace("sp=r", "sp=rw")), 403, "AuthenticationFailed")
    other, = add(emu, seed=2)
    refused(fetch(url.replace(cab, other)), 403, "AuthenticationFailed")
    refused(fetch(url.split("?")[0]), 404, "ResourceNotFound")
    assert fetch(url, "HEAD").status == 200
    head = fetch(emu.url(cab, life=-1000), "HEAD")
    assert head.status == 403 and head.headers["x-ms-error-code"] == "AuthenticationFailed" and head.body == b""


def test_sas_life(emu, api):
    add(emu, size=10, sasLife=2000)
    before = time.time()
    whole = urllib.parse.parse_qs(urllib.parse.urlsplit(api.rows()[0]["cabUrl"]).query)["se"][0]
    end = datetime.datetime.strptime(whole, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    assert before + 2 <= end <= time.time() + 3
    emu.config(sasLife=1)
    add(emu, ids=["brief"], size=10)
    url = [row["cabUrl"] for row in api.rows() if row["cabIdHash"] == "brief"][0]
    deadline = time.monotonic() + 5
    while fetch(url).status == 200 and time.monotonic() < deadline:
        pass
    refused(fetch(url), 403, "AuthenticationFailed")


def test_authorization_at_blob(emu):
    cab, = add(emu)
    refused(blob(emu, cab, Authorization="Bearer x"), 400, "InvalidAuthenticationInfo")
    assert emu.counters()["authorizationAtBlob"] == 1


def test_gone(emu):
    gone, old, removed = add(emu, count=3, ids=["gone", "old", "removed"])
    url = emu.url(removed)
    emu.change_cab(gone, gone=True)
    emu.change_cab(old, expires="2026-01-01 00:00:00")
    emu.remove_cab(removed)
    refused(blob(emu, gone), 404, "BlobNotFound")
    refused(blob(emu, old), 404, "BlobNotFound")
    refused(fetch(url), 404, "BlobNotFound")
    assert [cab["id"] for cab in emu.cabs()] == ["gone", "old"]
    assert blob(emu, gone, "POST").status == 405


@pytest.mark.parametrize("name, magic", [
    ("null-write-plain.cab", b"MSCF"), ("abort-mszip.cab", b"MSCF"), ("divide-kernel.cab", b"MSCF"),
    ("recursion-cab.zip", b"PK\3\4"), ("illegal-files.zip", b"PK\3\4")])
def test_payloads(emu, tmp_path, name, magic):
    first, second = add(emu, count=2, payload=name)
    data = emu.content(first)
    assert data[:4] == magic and blob(emu, first).body == data
    if magic == b"MSCF":
        assert int.from_bytes(data[8:12], "little") == len(data)
        assert data != emu.content(second)
    path = tmp_path / name
    path.write_bytes(data)
    listing = subprocess.run(["bsdtar", "-tf", path], capture_output=True, text=True, check=True).stdout.split()
    wanted = {"-kernel.cab": {"WATCHDOG-20260102-0304.dmp", "sysdata.xml", "WERInternalMetadata.xml"},
              "-cab.zip": {"recursion-mszip.cab"}}
    for end, members in wanted.items():
        if name.endswith(end):
            assert set(listing) == members
    if name.endswith("-plain.cab"):
        dump = subprocess.run(["bsdtar", "-xOf", path, "minidump.mdmp"], capture_output=True, check=True).stdout
        assert dump[:4] == b"MDMP"
        subprocess.run(["cabextract", "-qt", path], check=True)


# --- counters, log, waiting -------------------------------------------------------------------------------------

def test_counters_and_log(emu, api):
    cab, = add(emu, size=1000)
    api.rows()
    blob(emu, cab, "HEAD")
    blob(emu, cab, Range="bytes=0-99")
    counters = emu.counters()
    assert counters["requests"] == 3 and counters["refused"] == 0 and counters["bytes"] == 100
    assert counters["endpoints"]["batch"] == {"requests": 1, "statuses": {"200": 1}}
    assert counters["endpoints"]["blob-get"] == {"requests": 1, "statuses": {"206": 1}}
    assert counters["cabs"] == {cab: {"head": 1, "get": 1, "cabdownload": 0, "bytes": 100}}
    assert counters["concurrent"]["max"] == 1
    log = emu.log()
    assert [(entry["endpoint"], entry["method"], entry["range"], entry["status"]) for entry in log] == [
        ("batch", "GET", None, 200), ("blob-head", "HEAD", None, 200), ("blob-get", "GET", "bytes=0-99", 206)]
    assert "sig=REDACTED&" in log[2]["path"] and log[2]["cab"] == cab
    assert [entry["endpoint"] for entry in emu.log(endpoint="batch")] == ["batch"]
    assert len(emu.log(cab=cab)) == 2 and len(emu.log(n=1)) == 1
    emu.reset_counters()
    assert emu.counters()["requests"] == 0 and emu.log() == []


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


def test_wait_requests(emu):
    cab, = add(emu)
    with pytest.raises(EmulatorError) as error:
        emu.wait_requests("blob-get", 1, timeout=0.05)
    assert error.value.status == 408
    waiter = threading.Thread(target=emu.wait_requests, args=("blob-get", 2), kwargs={"cab": cab})
    waiter.start()
    blob(emu, cab)
    blob(emu, cab)
    waiter.join(30)
    assert not waiter.is_alive()


def test_control_errors(emu):
    for path, body in (("/faults", {"fault": "nothing"}), ("/faults", {"fault": "hold", "endpoint": "nowhere"}),
                       ("/faults", {"fault": "token", "endpoint": "batch"}), ("/faults", {"fault": "hold", "x": 1}),
                       ("/cabs", {}), ("/cabs", {"application": APP, "failure": HASH, "size": -1}),
                       ("/cabs", {"application": APP, "failure": HASH, "payload": "none.cab"}),
                       ("/cabs", {"application": APP, "failure": HASH, "payload": "../meson.build"}),
                       ("/cabs", {"application": APP, "failure": HASH, "date": "soon"}),
                       ("/cab/change", {"id": "none"}), ("/cab/remove", {"id": "none"}),
                       ("/config", {"nothing": 1}), ("/config", {"sasLife": "long"}), ("/nothing", {})):
        with pytest.raises(EmulatorError) as error:
            emu.post(path, **body)
        assert error.value.status == (404 if path == "/nothing" else 400), (path, body)
        assert str(error.value)
    assert fetch(emu.control + "/cabs", "POST", "no json").status == 400


# --- faults -----------------------------------------------------------------------------------------------------

def fault_latency(emu, api):
    add(emu)
    emu.fault("latency", "batch", ms=200, maxMs=250, count=1)
    start = time.monotonic()
    api.rows()
    assert time.monotonic() - start >= 0.2


def fault_hold(emu, api):
    cab, = add(emu, size=50)
    fault = emu.fault("hold", "blob-get")
    requests = [Background(emu.url(cab)) for _ in range(5)]
    emu.wait_held(5, fault)
    assert emu.counters()["held"] == 5 and emu.counters()["concurrent"]["blobMax"] == 5
    assert blob(emu, cab, "HEAD").status == 200
    assert emu.release(fault, 2) == 2
    emu.clear_faults(fault)
    assert all(request.done().answer.body == emu.content(cab) for request in requests)
    emu.fault("hold", "blob-get", path=cab)
    with socket.create_connection(("127.0.0.1", emu.ports["blob"])) as client:
        url = urllib.parse.urlsplit(emu.url(cab))
        client.sendall(f"GET {url.path}?{url.query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        emu.wait_held(1)
    deadline = time.monotonic() + 10
    while emu.counters()["held"] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert emu.counters()["held"] == 0  # a client that goes away is let go


def fault_drop(emu, api):
    cab, = add(emu)
    emu.fault("drop", "blob-get", count=1)
    emu.fault("drop", "blob-get", count=1, how="reset")
    with pytest.raises(http.client.RemoteDisconnected):
        blob(emu, cab)
    with pytest.raises(ConnectionResetError):
        blob(emu, cab)
    assert blob(emu, cab).status == 200


def fault_status(emu, api):
    cab, = add(emu)
    emu.fault("status", "batch", status=503, count=2, retryAfter=7)
    emu.fault("status", "batch", status=429, count=1, retryAfter={"date": 30})
    emu.fault("status", "batch", status=502, count=1, body="html", retryAfter="soon, I hope")
    emu.fault("status", "batch", status=500, count=1, body="empty")
    answers = [api.batch() for _ in range(6)]
    assert [answer.status for answer in answers] == [503, 503, 429, 502, 500, 200]
    assert answers[0].headers["Retry-After"] == "7" and answers[0].json()["code"] == "ServiceUnavailable"
    assert answers[2].headers["Retry-After"].endswith(" GMT")
    assert answers[3].body.startswith(b"<!DOCTYPE html>") and answers[3].headers["Retry-After"] == "soon, I hope"
    assert answers[4].body == b""
    emu.fault("status", "blob-get", status=503, count=1)
    refused(blob(emu, cab), 503, "ServerBusy")
    emu.fault("status", "blob-head", status=405, count=1)
    assert blob(emu, cab, "HEAD").status == 405
    emu.fault("status", "login", status=503, count=1)
    assert login(emu).json()["error_codes"] == [90033]
    emu.fault("status", "login", status=401, code="7000222", count=1)
    assert login(emu).json()["error_codes"] == [7000222]
    emu.fault("status", "batch", status=401, skip=1, count=1)
    assert [api.batch().status for _ in range(3)] == [200, 401, 200]
    emu.fault("status", "batch", status=500, probability=0.5, seed=3)
    assert 10 < [api.batch().status for _ in range(60)].count(500) < 50


def fault_answer(emu, api):
    add(emu)
    emu.fault("answer", "batch", text='{"Value": null}', count=1)
    emu.fault("answer", "batch", text="<html>", type="text/html", status=200, count=1)
    assert api.batch().json() == {"Value": None}
    assert api.batch().body == b"<html>"


def fault_header(emu, api):
    cab, = add(emu)
    emu.fault("header", "blob-get", name="Content-Encoding", value="gzip")
    answer = blob(emu, cab)
    assert answer.headers["Content-Encoding"] == "gzip" and answer.body == emu.content(cab)


def receive(emulator, cab, wanted):
    """Opens a GET and reads `wanted` bytes of the body; socket and bytes."""
    client = socket.create_connection(("127.0.0.1", emulator.ports["blob"]), timeout=30)
    url = urllib.parse.urlsplit(emulator.url(cab))
    client.sendall(f"GET {url.path}?{url.query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    data = b""
    while b"\r\n\r\n" not in data or len(data.split(b"\r\n\r\n", 1)[1]) < wanted:
        data += client.recv(65536)
    return client, data.split(b"\r\n\r\n", 1)[1]


def fault_stall(emu, api):
    cab, = add(emu, size=100000)
    for after in (0, 5000):
        emu.fault("stall", "blob-get", after=after, count=1)
        client, body = receive(emu, cab, after)
        emu.wait_held(1)
        assert len(body) == after
        assert emu.release() == 1
        while len(body) < 100000:
            body += client.recv(65536)
        assert body == emu.content(cab)
        client.close()
    emu.fault("stall", "blob-get", after=5, ms=50, count=1)
    assert blob(emu, cab).body == emu.content(cab)
    add(emu, ids=["other"])
    emu.fault("stall", "batch", after=20, count=1)
    waiting = Background(f"{emu.api}{ANALYTICS}cabdownloadbatch?applicationId={APP}&failureHash={HASH}",
                         Authorization="Bearer " + api.token)
    emu.wait_held(1)
    emu.release()
    assert len(waiting.done().answer.json()["Value"]) == 2


def fault_drip(emu, api):
    cab, = add(emu, size=100)
    emu.fault("drip", "blob-get", bytes=10, ms=20)
    start = time.monotonic()
    assert blob(emu, cab).body == emu.content(cab)
    assert time.monotonic() - start >= 0.18


def fault_reset(emu, api):
    cab, = add(emu, size=10**6)
    emu.fault("reset", "blob-get", after=1000, count=1)
    client, body = receive(emu, cab, 1000)
    assert body == emu.content(cab, 0, 1000)
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    client.close()


def fault_short(emu, api):
    cab, = add(emu, size=10**6)
    emu.fault("short", "blob-get", after=1000, count=1)
    with pytest.raises(http.client.IncompleteRead) as error:
        blob(emu, cab)
    assert error.value.partial == emu.content(cab, 0, 1000)
    assert emu.counters()["bytes"] == 1000


def fault_bandwidth(emu, api):
    cab, = add(emu, size=200000)
    for scope in ("connection", "total"):
        fault = emu.fault("bandwidth", "blob-get", rate=1000000, scope=scope)
        start = time.monotonic()
        requests = [Background(emu.url(cab)) for _ in range(2)]
        assert all(request.done().answer.body == emu.content(cab) for request in requests)
        assert time.monotonic() - start >= (0.17 if scope == "connection" else 0.35)
        emu.clear_faults(fault)


def fault_token(emu, api):
    emu.fault("token", "login", expiresIn="soon", tokenType="bearer", count=1)
    emu.fault("token", "login", remove="expires_in", count=1)
    assert login(emu).json()["expires_in"] == "soon"
    assert "expires_in" not in login(emu).json()


def fault_casing(emu, api):
    add(emu)
    emu.fault("casing", "batch", envelope="lower", rows="upper", count=1)
    answer = api.batch().json()
    assert "CABIDHASH" in answer["value"][0]
    emu.fault("casing", "details", envelope="upper", rows="title", count=1)
    answer = api.call("failuredetails", applicationId=APP, failureHash=HASH).json()
    assert "CabIdHash" in answer["VALUE"][0] and "TOTALCOUNT" in answer


def fault_next_link(emu, api):
    add(emu, count=3)
    links = {}
    for form in ("absent", "null", "empty", "relative", "absolute", "unencoded", "malformed", "foreign"):
        fault = emu.fault("next-link", "batch", form=form)
        links[form] = api.batch(top=2).json().get("@nextLink", "none")
        emu.clear_faults(fault)
    assert links["absent"] == "none" and links["null"] is None and links["empty"] == ""
    assert links["relative"].startswith("driver/") and links["absolute"].startswith(emu.api + ANALYTICS)
    assert "startDate=2026/" in links["unencoded"] or "/" in links["unencoded"].split("startDate=")[1]
    assert "evil" in links["foreign"] and "%zz" in links["malformed"]
    emu.fault("next-link", "batch", last=True)
    assert "skip=3" in api.batch().json()["@nextLink"]


def fault_types(emu, api):
    add(emu, ids=["cab-1"], fields={"count": 7, "digits": "12345678901234567"})
    fault = emu.fault("types", "batch", numbers="string", null="digits", unknown=True, bom=True, blanks=True)
    answer = api.batch()
    row = json.loads(answer.body.decode("utf-8-sig"))["Value"][0]
    assert answer.body.startswith(b"\xef\xbb\xbf") and row["cabIdHash"] == "cab-1  "
    assert row["count"] == "7" and row["digits"] is None and row["applicationId"] == int(APP) and row["praid"]
    emu.clear_faults(fault)
    emu.fault("types", "batch", numbers="fraction")
    assert api.rows()[0]["count"] == pytest.approx(7.142857)


def fault_identifiers(emu, api):
    cab, = add(emu)
    emu.fault("identifiers", "batch")
    keys = [row.get("cabIdHash") for row in api.rows()]
    assert len(keys) == 21 and keys[-1] == cab
    assert {"../x", "", "nul\0byte", "a" * 300, None, True} <= {key for key in keys if not isinstance(key, list)}


def fault_foreign_rows(emu, api):
    cab, = add(emu)
    emu.fault("foreign-rows", "batch", field="failureHash")
    rows = api.rows()
    assert len(rows) == 2 and rows[0]["failureHash"] != HASH and rows[0]["cabIdHash"] != cab


def fault_dates(emu, api):
    add(emu, date="2026-11-02 03:04:05")
    forms = {"day": "2026-11-02", "slashes": "2026/11/02", "us": "11/02/2026", "us-short": "11/2/2026",
             "t": "2026-11-02T03:04:05", "z": "2026-11-02T03:04:05Z", "fraction": "2026-11-02T03:04:05.1234567Z",
             "offset": "2026-11-02T05:34:05+02:30", "blank": "2026-11-02 03:04:05", "missing": None,
             "nonsense": "2026-13-45 99:99"}
    for form, text in forms.items():
        emu.fault("dates", "batch", form=form, count=1)
        assert api.rows()[0].get("date") == text


def fault_paging(emu, api):
    ids = add(emu, count=10)

    def page(skip):
        return [row["cabIdHash"] for row in api.rows(top=4, skip=skip)]

    fault = emu.fault("paging", "batch", form="skip-ignored")
    assert page(4) == ids[:4]
    emu.clear_faults(fault)
    fault = emu.fault("paging", "batch", form="overlap", rows=2)
    assert page(0) == ids[:4] and page(4) == ids[2:6] and page(8) == ids[6:]
    emu.clear_faults(fault)
    fault = emu.fault("paging", "batch", form="short", rows=1)
    assert page(3) == ids[3:4] and "skip=1" in api.batch(top=4).json()["@nextLink"]
    emu.clear_faults(fault)
    emu.fault("paging", "batch", form="repeat")
    assert page(0) == [cab for cab in ids[:4] for _ in range(2)]


def fault_sas(emu, api):
    add(emu, size=10)

    def url(**arguments):
        emu.fault("sas", "batch", count=1, **arguments)
        return api.rows()[0]["cabUrl"]

    assert fetch(url(life=60000)).status == 200
    assert fetch(url(life=-1)).status == 403
    assert fetch(url(start=60000)).status == 403
    refused(fetch(url(signature="wrong")), 403, "AuthenticationFailed")
    assert fetch(url(permissions="w")).status == 403
    assert urllib.parse.urlsplit(url(host="blob.example.invalid")).hostname == "blob.example.invalid"
    other = url(host=f"localhost:{emu.ports['blob']}")
    assert fetch(other).status == 200
    assert url(scheme="ftp").startswith("ftp://") and "//me@127" in url(userinfo="me")
    assert url(fragment="x").endswith("#x")
    assert "se=" not in url(remove="se") and "sig=" not in url(remove="sig")


def fault_redirect(emu, api):
    cab, = add(emu, size=10)

    def location(**arguments):
        emu.fault("redirect", "cabdownload", count=1, **arguments)
        return api.call("cabdownload", applicationId=APP, cabIdHash=cab)

    assert location(status=307).status == 307
    assert location(form="relative").headers["Location"].startswith("/kernel-")
    assert location(form="missing").headers["Location"] is None
    assert location(form="http").headers["Location"].startswith("http://uswewatcab01.blob.core.windows.net/")
    assert location(form="foreign").headers["Location"].startswith("https://blob.example.invalid/")
    assert "cabdownload?" in location(form="loop").headers["Location"]
    assert location(location="gopher://x").headers["Location"] == "gopher://x"
    answer = location(form="body")
    assert answer.status == 200 and answer.body == emu.content(cab)


def fault_range_ignored(emu, api):
    cab, = add(emu, size=1000)
    emu.fault("range-ignored", "blob-get")
    answer = blob(emu, cab, Range="bytes=5-6")
    assert answer.status == 200 and answer.body == emu.content(cab)


def fault_short_range(emu, api):
    cab, = add(emu, size=1000)
    emu.fault("short-range", "blob-get", bytes=10)
    answer = blob(emu, cab, Range="bytes=5-")
    assert answer.headers["Content-Range"] == "bytes 5-14/1000" and answer.body == emu.content(cab, 5, 10)


def fault_content_range(emu, api):
    cab, = add(emu, size=1000)
    for arguments, text in (({"shift": 3}, "bytes 8-9/1000"), ({"total": 7}, "bytes 5-6/7"),
                            ({"value": "nonsense"}, "nonsense"), ({"value": None}, None)):
        emu.fault("content-range", "blob-get", count=1, **arguments)
        assert blob(emu, cab, Range="bytes=5-6").headers["Content-Range"] == text


def fault_etag(emu, api):
    cab, = add(emu, size=1000)
    etag = blob(emu, cab).headers["ETag"]
    fault = emu.fault("etag", ["blob-get"])
    assert len({blob(emu, cab).headers["ETag"] for _ in range(2)} | {etag}) == 3
    assert blob(emu, cab, If_Match=etag).status == 412
    emu.clear_faults(fault)
    emu.fault("etag", "blob-get", value='"0x1"', enforce=False, count=1)
    emu.fault("etag", "blob-get", value=None, count=1)
    answer = blob(emu, cab, If_Match=etag)
    assert answer.status == 200 and answer.headers["ETag"] == '"0x1"'
    assert blob(emu, cab).headers["ETag"] is None


def fault_size(emu, api):
    cab, = add(emu, size=1000)
    emu.fault("size", size=1500, count=2)
    assert blob(emu, cab, "HEAD").headers["Content-Length"] == "1500"
    assert blob(emu, cab).body == emu.content(cab) + bytes(500)
    emu.fault("size", "blob-get", delta=-1, count=1)
    assert blob(emu, cab, Range="bytes=0-0").headers["Content-Range"] == "bytes 0-0/999"


def fault_md5(emu, api):
    cab, = add(emu, size=1000)
    good = blob(emu, cab).headers["Content-MD5"]
    emu.fault("md5", "blob-get", value="wrong", count=1)
    emu.fault("md5", "blob-get", value="none", count=1)
    assert blob(emu, cab).headers["Content-MD5"] not in (good, None)
    assert blob(emu, cab).headers["Content-MD5"] is None


def fault_corrupt(emu, api):
    cab, = add(emu, size=1000)
    emu.fault("corrupt", "blob-get", at=500)
    wrong, right = blob(emu, cab).body, emu.content(cab)
    assert [n for n in range(1000) if wrong[n] != right[n]] == [500]
    assert blob(emu, cab, Range="bytes=0-499").body == right[:500]


def fault_no_error_code(emu, api):
    cab, = add(emu)
    emu.fault("no-error-code", count=1)
    answer = blob(emu, cab, If_Match='"no"')
    assert answer.status == 412 and "x-ms-error-code" not in answer.headers and b"ConditionNotMet" in answer.body


FAULTS = {name.removeprefix("fault_").replace("_", "-"): function
          for name, function in list(globals().items()) if name.startswith("fault_")}


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_fault(emu, api, name):
    FAULTS[name](emu, api)


def test_every_fault_is_tested_and_documented(emu):
    table = {fault["fault"]: fault for fault in emu.get("/fault-table")["faults"]}
    assert set(table) == set(FAULTS)
    readme = (HERE / "README.md").read_text(encoding="utf-8")
    for name, fault in table.items():
        row = [line for line in readme.splitlines() if line.startswith(f"| `{name}` |")]
        assert len(row) == 1, name
        for argument in fault["arguments"].split():
            assert f"`{argument}`" in row[0], (name, argument)


def test_path_of_a_fault(emu):
    one, two = add(emu, count=2)
    fault = emu.fault("status", "*", status=500, path=one)
    assert blob(emu, one).status == 500 and blob(emu, two).status == 200
    assert [item["id"] for item in emu.get("/faults")["faults"]] == [fault]


def test_thousands_held(emu):
    """Held requests cost no thread, and the control port answers all the while."""
    cab, = add(emu)
    emu.fault("hold", "blob-get")
    url = urllib.parse.urlsplit(emu.url(cab))
    clients = []
    for _ in range(900):
        client = socket.create_connection(("127.0.0.1", emu.ports["blob"]), timeout=30)
        client.sendall(f"GET {url.path}?{url.query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        clients.append(client)
    emu.wait_held(900)
    with open(f"/proc/{emu.process.pid}/status", encoding="ascii") as status:
        threads = int([line for line in status if line.startswith("Threads:")][0].split()[1])
    assert threads < 30
    assert emu.release() == 900
    for client in clients:
        assert client.recv(12) == b"HTTP/1.1 200"
        client.close()
