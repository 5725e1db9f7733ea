# SPDX-License-Identifier: MIT
"""Each fault of the emulator once: fault_<name>() tests the fault of that name."""

import http.client
import json
import socket
import time
import urllib.parse

import pytest

from service import ANALYTICS, APP, HASH, HERE, Background, add, blob, fetch, login, receive, refused


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
    emu.fault("status", "batch", status=502, skip=1, count=2, once=True)
    assert [api.batch(top=top).status for top in (1, 1, 1, 2, 2, 3)] == [200, 502, 200, 502, 200, 200]
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
    readme = (HERE / "README.md").read_text(encoding="utf-8").split("### Faults")[1]
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
