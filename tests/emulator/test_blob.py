# SPDX-License-Identifier: MIT
"""The emulator's blob host against the wire contract, and the counters and waits of the control host."""

import base64
import datetime
import hashlib
import subprocess
import threading
import time
import urllib.parse

import pytest

from service import APP, HASH, EmulatorError, add, blob, fetch, refused

UTC = datetime.timezone.utc


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


def test_files(emu, tmp_path):
    path = tmp_path / "any.bin"
    path.write_bytes(b"MSCF" + bytes(range(256)))
    cab, = add(emu, file=str(path))
    assert blob(emu, cab).body == path.read_bytes()
    other = tmp_path / "other.bin"
    other.write_bytes(b"other")
    etag = blob(emu, cab).headers["ETag"]
    emu.change_cab(cab, file=str(other))
    assert blob(emu, cab).body == b"other" and blob(emu, cab).headers["ETag"] != etag
    with pytest.raises(EmulatorError, match="No such file"):
        add(emu, file=str(tmp_path / "none"))


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
    assert counters["cabs"] == {cab: {"head": 1, "get": 1, "cabdownload": 0, "stacktrace": 0, "bytes": 100}}
    assert counters["concurrent"]["max"] == 1
    log = emu.log()
    assert [(entry["endpoint"], entry["method"], entry["range"], entry["status"]) for entry in log] == [
        ("batch", "GET", None, 200), ("blob-head", "HEAD", None, 200), ("blob-get", "GET", "bytes=0-99", 206)]
    assert "sig=REDACTED&" in log[2]["path"] and log[2]["cab"] == cab
    assert [entry["endpoint"] for entry in emu.log(endpoint="batch")] == ["batch"]
    assert len(emu.log(cab=cab)) == 2 and len(emu.log(n=1)) == 1
    emu.reset_counters()
    assert emu.counters()["requests"] == 0 and emu.log() == []


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
