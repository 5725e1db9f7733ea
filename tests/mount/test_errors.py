# SPDX-License-Identifier: MIT
"""Each way a blob host can fail, what a program sees of it, what it costs in requests, and that it passes."""
import contextlib
import errno
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import APP, FAILURE, OTHER_FAILURE
from mount import Reader, errno_of, read_at, tool, wait_in_fuse, wait_until, within, xattrs

MIB = 1 << 20
HEAD = 256 << 10  # what the first request for a CAB brings


class Operation:
    """One way to a CAB that takes a request of its kind."""

    def __init__(self, kind, prepare, run, asks):
        self.kind, self.prepare, self.run = kind, prepare, run
        self.asks = asks  # how often the kernel does it where it is told ESTALE


def nothing(path):
    return None


def stat_size(path, _):
    return os.stat(path).st_size


def open_and_close(path, _):
    os.close(os.open(path, os.O_RDONLY))


def open_file(path):
    return os.open(path, os.O_RDONLY)


def read_on(_, file):
    """Bytes far behind those that open() has fetched."""
    os.pread(file, 65536, 2 * MIB)


OPERATIONS = {
    "stat": Operation("head", nothing, stat_size, asks=2),
    "open": Operation("get", nothing, open_and_close, asks=2),
    "read": Operation("get", open_file, read_on, asks=1),
}

# fault, arguments, errno, requests with retries=3
ROWS = {
    "404": ("status", {"status": 404, "code": "BlobNotFound"}, "ENOENT", 1),
    "403": ("status", {"status": 403, "code": "AuthorizationPermissionMismatch"}, "EACCES", 1),
    "403-run-out": ("status", {"status": 403, "code": "AuthenticationFailed"}, "EACCES", 2),
    "401": ("status", {"status": 401}, "EACCES", 1),
    "409": ("status", {"status": 409, "code": "BlobArchived"}, "EIO", 1),
    "412": ("status", {"status": 412, "code": "ConditionNotMet"}, "ESTALE", 1),
    "429": ("status", {"status": 429, "retryAfter": 0}, "EIO", 3),
    "500": ("status", {"status": 500, "code": "InternalError"}, "EIO", 3),
    "503": ("status", {"status": 503, "code": "ServerBusy"}, "EIO", 3),
    "302": ("status", {"status": 302}, "EIO", 1),
    "stall": ("hold", {}, "ETIMEDOUT", 1),
}


class Attempts:
    """The three operations at a time, each on a CAB of its own."""

    def __init__(self, emulator, mount, **options):
        self.emulator = emulator
        emulator.add_cabs(APP, FAILURE, count=len(OPERATIONS), size=3 * MIB)
        self.mount = mount(**options)
        # the last one is looked at: behind it there are none whose sizes would be asked for ahead
        self.cabs = dict(zip(reversed(OPERATIONS), sorted(emulator.cabs(), key=lambda cab: cab["id"])))
        os.listdir(self.mount.path / APP / FAILURE)
        self.files = {name: way.prepare(self.path(name)) for name, way in OPERATIONS.items()}
        emulator.reset_counters()

    def path(self, name):
        return self.mount.cab(self.cabs[name])

    def start(self):
        return {name: Reader(way.run, self.path(name), self.files[name]) for name, way in OPERATIONS.items()}

    def results(self, readers):
        """What each has returned, or the name of its error."""
        results = {name: reader.get(30) for name, reader in readers.items()}
        return {name: errno.errorcode[readers[name].error] if readers[name].error else result
                for name, result in results.items()}

    def requests(self):
        """Of the kind that each operation makes."""
        counters = self.emulator.counters()["cabs"]
        return {name: counters.get(cab["id"], {}).get(OPERATIONS[name].kind, 0) for name, cab in self.cabs.items()}

    def close(self):
        for file in self.files.values():
            if file is not None:
                os.close(file)


@pytest.mark.parametrize("row", ROWS)
def test_status(emulator, mount, row):
    """An answer that is none: its errno, its number of requests, and the next try after it has passed. [E1, E7, E9]"""
    fault, args, expected, requests = ROWS[row]
    attempts = Attempts(emulator, mount, timeout=2 if fault == "hold" else 20, retries=3)
    emulator.fault(fault, ["blob-head", "blob-get"], **args)
    results = attempts.results(attempts.start())
    # what may not be had is shown without a size; its open() tells why
    assert results == {"stat": 0 if expected == "EACCES" else expected, "open": expected, "read": expected}
    asks = {name: way.asks if expected == "ESTALE" else 1 for name, way in OPERATIONS.items()}
    assert attempts.requests() == {name: requests * asks[name] for name in OPERATIONS}
    assert (emulator.requests("batch") > 0) == (row == "403-run-out")
    emulator.clear_faults()
    read = OPERATIONS["read"].run
    if expected == "ESTALE":  # for good: it may have given bytes of the other version
        assert errno_of(read, attempts.path("read"), attempts.files["read"]) == "ESTALE"
    elif expected != "ENOENT":
        within(5, lambda: errno_of(read, attempts.path("read"), attempts.files["read"]) is None,
               "an open file does not recover")
    attempts.close()
    for cab in attempts.cabs.values():
        assert os.stat(attempts.mount.cab(cab)).st_size == 3 * MIB
        attempts.mount.verify(cab)


@pytest.mark.parametrize("fault, args", [
    ("status", {"status": 500}), ("status", {"status": 503}), ("status", {"status": 408}),
    ("status", {"status": 502, "body": "html"}), ("status", {"status": 504, "body": "empty"}), ("drop", {}),
    ("drop", {"how": "reset"}),
], ids=["500", "503", "408", "502", "504", "close", "reset"])
def test_short_burst(emulator, mount, fault, args):
    """A fault that is shorter than the retries is not seen at all. [E8]"""
    attempts = Attempts(emulator, mount, retries=3)
    for cab in attempts.cabs.values():
        emulator.fault(fault, ["blob-head", "blob-get"], path=cab["id"], count=2, **args)
    assert attempts.results(attempts.start()) == {"stat": 3 * MIB, "open": None, "read": None}
    assert attempts.requests() == {name: 3 for name in OPERATIONS}
    attempts.close()
    for cab in attempts.cabs.values():
        attempts.mount.verify(cab)
    assert "warning" not in attempts.mount.log()


@pytest.mark.parametrize("status", [400, 403, 405, 501])
def test_head_refused(emulator, mount, status):
    """Where a host does not take HEAD, one byte tells the size. [F8]"""
    emulator.add_cabs(APP, FAILURE, count=2, size=[12345, 0])
    m = mount()
    emulator.fault("status", "blob-head", status=status, code="UnsupportedHttpVerb")
    for cab in emulator.cabs():
        assert os.stat(m.cab(cab)).st_size == cab["size"]
        assert emulator.counters()["cabs"][cab["id"]]["get"] == 1
        m.verify(cab)


# --- bodies -----------------------------------------------------------------------------------------------------

BODIES = {
    # fault, arguments, what reading the whole CAB ends with while it is there
    "short": ("short", {"after": 100_000}, None),
    "short-at-once": ("short", {"after": 0}, "EIO"),
    "reset": ("reset", {"after": 100_000}, None),
    "reset-at-once": ("reset", {"after": 0}, "EIO"),
    "small-pieces": ("short-range", {"bytes": 150_000}, None),
    "gzip-header": ("header", {"name": "Content-Encoding", "value": "gzip"}, None),
    "whole": ("range-ignored", {}, None),  # not far from the beginning
    "shifted": ("content-range", {"shift": 1}, "EIO"),
    "no-range": ("content-range", {"value": None}, "EIO"),
    "nonsense-range": ("content-range", {"value": "bytes 7-3/x"}, "EIO"),
    "unknown-total": ("content-range", {"value": "bytes 0-9/*"}, "EIO"),
    "longer-than-told": ("content-range", {"value": "bytes 0-9/900000"}, "EIO"),
    "drip": ("drip", {"bytes": 40_000, "ms": 5}, None),
}


@pytest.mark.parametrize("row", BODIES)
def test_body(emulator, mount, row):
    """A body that is not what was asked for is never taken for it: right bytes or an error, and right bytes after.
    [B6]"""
    fault, args, expected = BODIES[row]
    emulator.add_cabs(APP, FAILURE, count=2, size=900_000)
    once, always = emulator.cabs()
    m = mount(retries=3)
    os.listdir(m.path / APP / FAILURE)
    emulator.fault(fault, "blob-get", path=once["id"], count=1, **args)
    emulator.fault(fault, "blob-get", path=always["id"], **args)
    readers = [Reader(m.verify, once), Reader(m.cab(always).read_bytes)]
    for reader in readers:
        reader.get(30)
    assert readers[0].error is None
    assert (errno.errorcode[readers[1].error] if readers[1].error else None) == expected
    if expected is None:
        assert readers[1].result == emulator.content(always["id"])
    emulator.clear_faults()
    within(5, lambda: errno_of(m.cab(always).read_bytes) is None, "the CAB does not come back")
    for cab in (once, always):
        m.verify(cab)
        assert xattrs(m.cab(cab))["state"] == "cached"


def test_far_range_ignored(emulator, mount):
    """A host that ignores ranges is not read from the beginning for a byte far behind: an error, and little traffic.
    [B6]"""
    emulator.add_cabs(APP, FAILURE, size=40 * MIB)
    cab = emulator.cabs()[0]
    m = mount(retries=3)
    with open(m.cab(cab), "rb", buffering=0) as file:
        emulator.reset_counters()
        emulator.fault("range-ignored", "blob-get")
        assert errno_of(os.pread, file.fileno(), 4096, 32 * MIB) == "EIO"
        assert emulator.requests("blob-get") == 2
        emulator.clear_faults()
        within(5, lambda: errno_of(os.pread, file.fileno(), 4096, 32 * MIB) is None, "it does not come back")
        assert os.pread(file.fileno(), 4096, 32 * MIB) == emulator.content(cab["id"], 32 * MIB, 4096)
    # Three answers of 40 MiB were cut off: what the sockets had taken by then counts, up to some MiB each.
    assert emulator.counters()["cabs"][cab["id"]]["bytes"] < 24 * MIB


@pytest.mark.parametrize("size, at", [(100_000, 70_000), (3 * MIB, 2 * MIB + 5)])
def test_corrupt_byte(emulator, mount, size, at):
    """Bytes that do not have the MD5 their host tells are an error, and are right once fetched again:
    also out of the kernel's page cache, and in the next mount. [B7]"""
    emulator.add_cabs(APP, FAILURE, size=size)
    cab = emulator.cabs()[0]
    m = mount()
    assert os.stat(m.cab(cab)).st_size == size  # by a HEAD, which tells the MD5
    emulator.fault("corrupt", "blob-get", at=at, count=1 if size < HEAD else None)
    assert errno_of(m.cab(cab).read_bytes) == "EIO"
    m.wait_log("MD5")
    emulator.clear_faults()
    assert xattrs(m.cab(cab))["state"] == "remote"
    m.verify(cab)
    m.remount()
    m.verify(cab)
    assert xattrs(m.cab(cab))["state"] == "cached"


# --- a blob that changes ----------------------------------------------------------------------------------------

NEW_SIZE = {"same-size": 3 * MIB, "larger": 5 * MIB + 17, "smaller": MIB + 3, "empty": 0}


@pytest.mark.parametrize("change", NEW_SIZE)
def test_replaced_blob(emulator, mount, change):
    """Who reads a blob that is replaced gets ESTALE, not a mixture; who opens it then gets the new one, whole.
    [B2, B3, B4]"""
    emulator.add_cabs(APP, FAILURE, size=3 * MIB)
    cab = emulator.cabs()[0]
    m = mount(read_ahead=0)  # what is read behind is not here yet when the blob is replaced
    path = m.cab(cab)
    assert os.stat(path).st_size == 3 * MIB
    with open(path, "rb", buffering=0) as file:
        old = os.pread(file.fileno(), 65536, 0)
        assert old == emulator.content(cab["id"], 0, 65536)
        emulator.change_cab(cab["id"], seed=77, size=NEW_SIZE[change])
        assert errno_of(os.pread, file.fileno(), 65536, 2 * MIB) == "ESTALE"
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        assert errno_of(os.pread, file.fileno(), 65536, 0) == "ESTALE"
        # while the old one is still open
        assert path.read_bytes() == emulator.content(cab["id"])
    assert path.read_bytes() == emulator.content(cab["id"])
    assert os.stat(path).st_size == NEW_SIZE[change]
    m.remount()
    assert path.read_bytes() == emulator.content(cab["id"])


@pytest.mark.parametrize("change", NEW_SIZE)
def test_replaced_while_closed(emulator, mount, change):
    """A CAB of which a part is cached when it is replaced is never a mixture of both. [B4]"""
    emulator.add_cabs(APP, FAILURE, size=3 * MIB)
    cab = emulator.cabs()[0]
    m = mount(read_ahead=0)
    path = m.cab(cab)
    assert read_at(path, 0, 65536) == emulator.content(cab["id"], 0, 65536)
    within(5, lambda: xattrs(path)["state"] == "partial", "what was read is not kept")
    emulator.change_cab(cab["id"], seed=77, size=NEW_SIZE[change])
    truth = emulator.content(cab["id"])

    def whole():
        try:
            return path.read_bytes()
        except OSError as error:
            assert error.errno == errno.ESTALE
            return None

    first = whole()
    assert first in (None, truth)
    assert whole() == truth
    assert os.stat(path).st_size == len(truth)


@pytest.mark.parametrize("change", NEW_SIZE)
def test_replaced_after_stat(emulator, mount, change):
    """A size that was true when it was asked for does not cut or stretch what is opened later, by a program that does
    not look at it again; and an MD5 that was does not spoil it. [F9]"""
    emulator.add_cabs(APP, FAILURE, count=5, size=3 * MIB)
    m = mount()
    for cab in emulator.cabs():
        path = m.cab(cab)
        assert os.stat(path).st_size == 3 * MIB
        emulator.change_cab(cab["id"], seed=77, size=NEW_SIZE[change])
        truth = emulator.content(cab["id"])
        file = os.open(path, os.O_RDONLY)
        try:
            assert b"".join(iter(lambda: os.read(file, 1 << 17), b"")) == truth
            within(5, lambda: xattrs(path)["state"] == "cached", "it is not kept")
            assert os.pread(file, 1 << 17, 0) == truth[:1 << 17]
        finally:
            os.close(file)
        assert path.read_bytes() == truth
        assert os.stat(path).st_size == len(truth)


@pytest.mark.parametrize("change", NEW_SIZE)
def test_replaced_below_a_descriptor(emulator, mount, change):
    """Who opens it by a descriptor that stands for the name, as Samba does, is told ESTALE once at most, and sees the new size
    then. [F9]"""
    emulator.add_cabs(APP, FAILURE, size=3 * MIB)
    cab, = emulator.cabs()
    path = mount().cab(cab)
    assert os.stat(path).st_size == 3 * MIB
    emulator.change_cab(cab["id"], seed=77, size=NEW_SIZE[change])
    name = os.open(path, os.O_PATH)
    try:
        by_name = Path(f"/proc/self/fd/{name}")
        assert errno_of(by_name.read_bytes) in (None, "ESTALE")
        within(5, lambda: os.fstat(name).st_size == NEW_SIZE[change], "the new size")
        assert by_name.read_bytes() == emulator.content(cab["id"])
    finally:
        os.close(name)


@pytest.mark.parametrize("is_open", [False, True], ids=["closed", "open"])
def test_cached_and_replaced(emulator, mount, is_open):
    """A CAB that is wholly here is read as it is here, also where the host was asked for its size after it had been
    replaced. [B5, F9, K1]"""
    emulator.add_cabs(APP, FAILURE, size=5000)
    cab, = emulator.cabs()
    truth = emulator.content(cab["id"])
    m = mount()
    path = m.cab(cab)
    m.verify(cab)
    within(5, lambda: any(m.cache.glob(f"2*/{cab['id']}.map")), "it is not kept")
    m.unmount()
    shutil.rmtree(m.cache / "listings")  # with the sizes
    emulator.change_cab(cab["id"], seed=77, size=300_000)
    m.mount()
    with contextlib.ExitStack() as stack:
        if is_open:
            stack.enter_context(open(path, "rb"))
        assert os.stat(path).st_size in (5000, 300_000)
        for _ in range(2):
            assert path.read_bytes() == truth
        assert os.stat(path).st_size == 5000


@pytest.mark.parametrize("change", NEW_SIZE)
def test_replaced_after_stat_by_many(emulator, mount, change):
    """The same if several open it at a time: each gets the size that it has now, not only the first. [F9]"""
    emulator.add_cabs(APP, FAILURE, size=3 * MIB)
    cab, = emulator.cabs()
    m = mount()
    path = m.cab(cab)
    assert os.stat(path).st_size == 3 * MIB
    emulator.change_cab(cab["id"], seed=77, size=NEW_SIZE[change])
    truth = emulator.content(cab["id"])

    def read_whole():
        with open(path, "rb", buffering=0) as file:
            return os.fstat(file.fileno()).st_size, b"".join(iter(lambda: file.read(1 << 17), b""))

    emulator.fault("hold", "blob-get")
    readers = [Reader(read_whole) for _ in range(8)]
    emulator.wait_held(1)
    wait_in_fuse(readers)
    emulator.clear_faults()
    for reader in readers:
        assert reader.get() == (len(truth), truth)


def test_replaced_and_the_first_is_slow(emulator, mount):
    """Of several who open a replaced CAB none gets what the kernel holds of the old one, also if the first one, by whom
    the kernel forgets that, comes late to it. [B2, B4]"""
    emulator.add_cabs(APP, FAILURE, size=300_000)
    cab, = emulator.cabs()
    m = mount(read_ahead=0, cache_free="100%")  # nothing is kept: each opening asks the host
    path = m.cab(cab)

    def read_slowly():
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        return read_at(path, 0, 4096)

    def first():
        """One who asks the host; None while the old one is still being closed."""
        reader = Reader(read_slowly)
        wait_until(lambda: reader.is_in_fuse() or not reader.is_alive(), "it opens")
        return reader if reader.is_alive() else None

    for seed in range(2, 7):
        assert read_at(path, 0, 4096) == emulator.content(cab["id"], 0, 4096)
        emulator.change_cab(cab["id"], seed=seed, size=300_000)
        fault = emulator.fault("hold", "blob-get")
        readers = [wait_until(first, "the host is asked")]
        wait_in_fuse(readers)
        readers += [Reader(read_at, path, 0, 4096) for _ in range(4)]
        wait_in_fuse(readers)
        spinners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * os.cpu_count())]
        try:
            emulator.clear_faults(fault)
            for reader in readers:
                assert reader.get() == emulator.content(cab["id"], 0, 4096)
        finally:
            for spinner in spinners:
                spinner.kill()
                spinner.wait()


@pytest.mark.parametrize("enforce", [True, False], ids=["412", "206"])
def test_other_etag(emulator, mount, enforce):
    """Another ETag is another blob, whether the host looks at If-Match or not. [B2]"""
    emulator.add_cabs(APP, FAILURE, size=3 * MIB)
    cab = emulator.cabs()[0]
    m = mount()
    with open(m.cab(cab), "rb", buffering=0) as file:
        emulator.fault("etag", "blob-get", value='"0xANOTHER"', enforce=enforce)
        assert errno_of(os.pread, file.fileno(), 65536, 2 * MIB) == "ESTALE"
    emulator.clear_faults()
    m.verify(cab)


@pytest.mark.parametrize("delta", [-1000, 1000])
def test_other_size(emulator, mount, delta):
    """So is another size under the same ETag. [B2]"""
    emulator.add_cabs(APP, FAILURE, size=3 * MIB)
    cab = emulator.cabs()[0]
    m = mount()
    with open(m.cab(cab), "rb", buffering=0) as file:
        emulator.fault("size", "blob-get", delta=delta)
        assert errno_of(os.pread, file.fileno(), 65536, 2 * MIB) == "ESTALE"
    emulator.clear_faults()
    m.verify(cab)


def test_gone_blob(emulator, mount):
    """A blob that is gone is ENOENT for who opens it and for who has it open; what is cached stays readable.
    [E2, X4]"""
    ids = emulator.add_cabs(APP, FAILURE, count=2, size=3 * MIB)
    one, other = (next(cab for cab in emulator.cabs() if cab["id"] == i) for i in ids)
    m = mount()
    m.verify(other)
    with open(m.cab(one), "rb", buffering=0) as file:
        for cab in ids:
            emulator.change_cab(cab, gone=True)
        assert errno_of(os.pread, file.fileno(), 65536, 2 * MIB) == "ENOENT"
    assert errno_of(m.cab(one).read_bytes) == "ENOENT"
    for operation in ("read", "open"):
        assert re.search(f"warning: {operation} /{APP}/{FAILURE}/{one['id']}.cab: .*HTTP status 404", m.log())
    m.verify(other)


# --- a host that asks for a pause -------------------------------------------------------------------------------


@pytest.mark.parametrize("retry_after, least, most", [
    (2, 2, 6), ({"date": 3}, 1.9, 7), ("soon", 0, 4), (-5, 0, 4),
], ids=["seconds", "date", "nonsense", "negative"])
@pytest.mark.parametrize("endpoint", ["batch", "blob-get"])
def test_retry_after(emulator, mount, endpoint, retry_after, least, most):
    """Retry-After holds for the whole host: nobody else asks it meanwhile. [E11]"""
    emulator.add_cabs(APP, FAILURE, size=1000)
    emulator.add_cabs(APP, OTHER_FAILURE, count=3, size=1000)
    m = mount(retries=3)
    os.listdir(m.path / APP)
    if endpoint == "blob-get":
        os.listdir(m.path / APP / FAILURE)
        os.listdir(m.path / APP / OTHER_FAILURE)
    emulator.reset_counters()
    emulator.fault("status", endpoint, status=429, retryAfter=retry_after, count=1)
    began = time.monotonic()
    one = emulator.cabs(APP, FAILURE)[0]
    first = Reader(m.cab(one).read_bytes)
    emulator.wait_requests(endpoint, 1)
    time.sleep(0.2)
    others = [Reader(m.cab(cab).read_bytes) for cab in emulator.cabs(APP, OTHER_FAILURE)]
    assert first.get(20) == emulator.content(one["id"])
    took = time.monotonic() - began
    assert least <= took < most
    for reader, cab in zip(others, emulator.cabs(APP, OTHER_FAILURE)):
        assert reader.get(20) == emulator.content(cab["id"])
    hosts = ("batch", "hits", "details") if endpoint == "batch" else ("blob-get", "blob-head")
    times = [entry["ms"] for entry in emulator.log() if entry["endpoint"] in hosts]
    assert times[1] - times[0] >= least * 1000 - 50


# --- CABs that cannot be had ------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["missing", "null", "empty"])
def test_undownloadable(emulator, mount, form):
    """A row without an address is shown with size 0; its open() is EACCES, without a request. [E3]"""
    emulator.add_cabs(APP, FAILURE, count=2, size=5000)
    hidden = emulator.add_cabs(APP, FAILURE, count=2, seed=2, size=5000, urlForm=form)
    m = mount()
    assert len(os.listdir(m.path / APP / FAILURE)) == 4
    emulator.reset_counters()
    for cab in hidden:
        path = m.path / APP / FAILURE / f"{cab}.cab"
        assert os.stat(path).st_size == 0
        assert errno_of(path.read_bytes) == "EACCES"
        assert os.stat(path).st_size == 0
    assert emulator.counters()["requests"] == 0
    listed = subprocess.run(["ls", "-l", m.path / APP / FAILURE], capture_output=True, text=True, check=True)
    assert len(listed.stdout.splitlines()) == 5


@pytest.mark.parametrize("form", ["missing", "null", "empty"])
def test_undownloadable_hidden(emulator, mount, form):
    """With undownloadable=hide it is not there."""
    shown = emulator.add_cabs(APP, FAILURE, count=2, size=5000)
    hidden = emulator.add_cabs(APP, FAILURE, count=2, seed=2, size=5000, urlForm=form)
    m = mount(undownloadable="hide")
    assert sorted(os.listdir(m.path / APP / FAILURE)) == sorted(f"{cab}.cab" for cab in shown)
    emulator.reset_counters()
    for cab in hidden:
        assert errno_of(os.stat, m.path / APP / FAILURE / f"{cab}.cab") == "ENOENT"
        assert errno_of((m.path / APP / FAILURE / f"{cab}.cab").read_bytes) == "ENOENT"
    assert emulator.counters()["requests"] == 0


# --- programs that may not cause requests -----------------------------------------------------------------------


class Denied:
    """Programs of the system under a name that is on the list."""

    def __init__(self, directory, name="updatedb"):
        self.directory, self.name = directory, name

    def run(self, program, *arguments):
        place = self.directory / program
        place.mkdir(exist_ok=True)
        path = place / self.name
        if not path.exists():
            shutil.copy(tool(program), path)
        return subprocess.run([path, *map(str, arguments)], capture_output=True, timeout=30, check=False,
                              env={**os.environ, "LC_ALL": "C"})

    def refused(self, program, *arguments):
        result = self.run(program, *arguments)
        assert result.returncode != 0 and b"Permission denied" in result.stderr, result
        return result


@pytest.mark.parametrize("name", ["updatedb", "baloo_file_extr"])
def test_denied_program(emulator, mount, directory, name):
    """A program of the list gets EACCES wherever a request would be needed, and no request is made for it; what is
    known it may list, and what is cached read. [C8]"""
    emulator.add_cabs(APP, FAILURE, count=3, size=5000)
    m = mount()
    denied = Denied(directory, name)
    cached, known, unknown = emulator.cabs()
    there = m.path / APP / FAILURE
    assert denied.run("ls", m.path).stdout.decode().split() == [APP]
    denied.refused("ls", m.path / APP)
    denied.refused("ls", there)
    denied.refused("stat", m.cab(cached))
    denied.refused("cat", m.cab(cached))
    assert emulator.counters()["requests"] == 0
    assert os.listdir(m.path / APP) == [FAILURE]
    denied.refused("ls", there)
    names = sorted(os.listdir(there))
    m.verify(cached)
    assert os.stat(m.cab(known)).st_size == 5000
    time.sleep(0.3)  # sizes asked for ahead of the one who looked
    emulator.reset_counters()
    assert sorted(denied.run("ls", there).stdout.decode().split()) == names
    assert denied.run("cat", m.cab(cached)).stdout == emulator.content(cached["id"])
    assert denied.run("stat", "-c", "%s", m.cab(known)).stdout.decode().strip() == "5000"
    denied.refused("cat", m.cab(known))
    denied.refused("cat", m.cab(unknown))
    assert emulator.counters()["requests"] == 0
    m.verify(unknown)


def test_denied_size(emulator, mount, directory):
    """An unknown size is refused too: a program that took 0 for it would believe it. [C8]"""
    emulator.add_cabs(APP, FAILURE, size=5000)
    cab = emulator.cabs()[0]
    m = mount(deny="indexer")
    os.listdir(m.cab(cab).parent)
    emulator.reset_counters()
    denied = Denied(directory, "indexer")
    denied.refused("stat", m.cab(cab))
    denied.refused("cat", m.cab(cab))
    assert emulator.counters()["requests"] == 0
    assert Denied(directory, "updatedb").run("cat", m.cab(cab)).stdout == emulator.content(cab["id"])
    assert denied.run("stat", "-c", "%s", m.cab(cab)).stdout.decode().strip() == "5000"


def test_code_that_is_none(emulator, mount):
    """What a host sends in the place of its code is told only where it looks like one. [E13]"""
    emulator.add_cabs(APP, FAILURE, size=1000)
    cab, = emulator.cabs()
    m = mount(sizes="lazy")
    emulator.fault("status", "blob-get", status=403, code="Evil" * 1000)
    assert errno_of(m.cab(cab).read_bytes) == "EACCES"
    assert "HTTP status 403" in xattrs(m.cab(cab))["error"]
    assert len(xattrs(m.cab(cab))["error"]) < 500
    assert "EvilEvil" not in m.log()


def test_address_that_was_missing_once(emulator, mount):
    """A row that had no address when that of another CAB was asked for may have one when its own is. [E9]"""
    emulator.add_cabs(APP, FAILURE, count=2, size=1000)
    one, other = emulator.cabs()
    m = mount(sizes="lazy")
    os.listdir(m.path / APP / FAILURE)
    emulator.change_cab(other["id"], urlForm="null")
    for cab in (one, other):
        emulator.fault("status", "blob-get", status=403, code="AuthenticationFailed", path=cab["id"], count=1)
    m.verify(one)
    emulator.change_cab(other["id"], urlForm="plain")
    m.verify(other)
    assert emulator.requests("batch") == 3
