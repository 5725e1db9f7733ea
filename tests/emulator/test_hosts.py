# SPDX-License-Identifier: MIT
"""The emulator's program and its login and API hosts against the wire contract."""

import base64
import collections
import datetime
import http.client
import json
import os
import subprocess
import time
import urllib.parse

import pytest

from service import ANALYTICS, APP, HASH, Api, Emulator, add, fetch, login

UTC = datetime.timezone.utc


# --- the program ------------------------------------------------------------------------------------------------

def test_start_line_and_signals():
    program = os.environ["CABFS_EMULATOR"]
    for end in ("terminate", "eof"):
        process = subprocess.Popen([program, "--until-eof"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        line = json.loads(process.stdout.readline())
        assert list(line) == ["login", "api", "blob", "metadata", "control"]
        assert len({urllib.parse.urlsplit(url).port for url in line.values()}) == 5
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
    connections = [http.client.HTTPConnection("127.0.0.1", ports[name], timeout=30) for name in ("api", "blob")]
    for connection in connections:
        connection.request("GET", "/")
        connection.getresponse().read()
    first.stop()  # the connections are still open: their ports stay busy on this side
    with Emulator(start=False) as second:
        second.start(ports)
        assert second.ports == ports
    for connection in connections:
        connection.close()


def test_wrong_options():
    program = os.environ["CABFS_EMULATOR"]
    for option in ("--nonsense", "word"):
        result = subprocess.run([program, option], capture_output=True, text=True, timeout=30, check=False)
        assert result.returncode == 2
        assert result.stderr.startswith("cabfs-emulator: ")


def test_demo():
    with Emulator(demo=True) as emulator:
        cabs = emulator.cabs()
        assert len(cabs) == 90
        assert len({cab["failure"] for cab in cabs}) == 22
        applications = {cab["application"]: cab["family"] for cab in cabs}
        assert collections.Counter(applications.values()) == {
            "driver": 4, "desktop": 2, "store": 1, "ihvdriver": 1, "hardware": 1}
        assert {len(name) for name, family in applications.items() if family == "driver"} == {17}
        assert {len(name) for name, family in applications.items() if family == "desktop"} == {20}
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
    assert login(emu, "/oauth2/v2.0/token", **proof).status == 400
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
