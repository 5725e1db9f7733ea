# SPDX-License-Identifier: MIT
"""Everything that the emulator can do wrong, to everything that is asked of it: errno, requests, and that it passes."""
import contextlib
import errno
import fnmatch
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from conftest import APP, FAILURE, OTHER_FAILURE
from ctl import run
from emulator import Emulator
from faultrows import ELSEWHERE, ROLES, ROWS
from mount import Mount, Reader, errno_of, tool, within, xattrs

DESKTOP = "10238467886765136388"
SMALL, LARGE, FAR = 100_000, 3 << 20, 2 << 20  # one range brings the small one; FAR is behind what open() brings


def hash_of(number):
    return f"1fd83f6d-9fe0-96ec-2c47-{number:012}"


class Operation:
    """One thing that a program does and that takes requests of one kind.  It has data of its own, by which its requests
    are known: faults and counts concern those alone."""

    endpoints = ()  # for faults; the first is counted
    application, family, size, count = APP, "driver", SMALL, 1

    def __init__(self, bench, number):
        self.bench, self.failure = bench, hash_of(number)
        self.ids = bench.emulator.add_cabs(self.application, self.failure, seed=number + 1, size=self.size,
                                           count=self.count, family=self.family)
        self.key = self.failure

    @property
    def mount(self):
        return self.bench.mount

    @property
    def folder(self):
        return self.mount.path / self.application / self.failure

    @property
    def path(self):
        return self.folder / f"{self.ids[0]}.cab"

    def prepare(self):
        pass

    def run(self):
        raise NotImplementedError

    def again(self):
        return self.run()

    def truth(self):
        raise NotImplementedError

    def close(self):
        pass


class List(Operation):
    count = 3

    def run(self):
        return sorted(os.listdir(self.folder))

    def truth(self):
        return sorted(f"{cab}.cab" for cab in self.ids)


class Batch(List):
    endpoints = ("batch", "details")


class Details(List):
    endpoints = ("desktop-details",)
    application, family = DESKTOP, "desktop"


class Failures(Operation):
    endpoints = ("hits",)

    def __init__(self, bench, number):
        self.application = self.key_of(number)
        super().__init__(bench, number)
        for other in (1000, 2000):
            bench.emulator.add_cabs(self.application, hash_of(number + other))
        self.key = self.application
        self.names = [hash_of(number + other) for other in (0, 1000, 2000)]

    @staticmethod
    def key_of(number):
        return f"139841046774{number:05}"

    def run(self):
        return sorted(os.listdir(self.mount.path / self.application))

    def truth(self):
        return self.names


class Token(Failures):
    """A mount of its own, without a token."""

    endpoints = ("login",)

    def prepare(self):
        self.key = None
        self.bench.without_token.remount()

    @property
    def mount(self):
        return self.bench.without_token

    def again(self):
        """What the login host refused for good is remembered for a minute."""
        self.bench.without_token.remount()
        return self.run()


class Read(Operation):
    """The address is at hand, nothing else."""

    endpoints = ("blob-get",)

    def prepare(self):
        os.listdir(self.folder)
        self.key = self.ids[0]

    def truth(self):
        return self.bench.emulator.content(self.ids[0])

    def run(self):
        return self.path.read_bytes()


class Head(Read):
    endpoints = ("blob-head",)

    def run(self):
        return os.stat(self.path).st_size

    def again(self):
        return len(self.path.read_bytes())

    def truth(self):
        return self.size


class First(Read):
    pass


class Later(Read):
    """The file is open, and the bytes lie far behind those that open() brought."""

    size = LARGE
    file = -1

    def prepare(self):
        super().prepare()
        self.file = os.open(self.path, os.O_RDONLY)

    def run(self):
        return os.pread(self.file, 65536, FAR)

    def again(self):
        if errno_of(self.run) in ("ESTALE", "ENOENT"):  # for good, for who has it open
            with open(self.path, "rb", buffering=0) as file:
                return os.pread(file.fileno(), 65536, FAR)
        return self.run()

    def truth(self):
        return self.bench.emulator.content(self.ids[0], FAR, 65536)

    def close(self):
        if self.file >= 0:
            os.close(self.file)
        self.file = -1


class Locate(Read):
    endpoints = ("desktop-cabdownload",)
    application, family = DESKTOP, "desktop"

    def again(self):
        """That the service refused one CAB is remembered for a while, and a list is kept with its addresses."""
        if errno_of(self.run) in ("EACCES", "ENOENT"):
            self.bench.mount.remount()
        return self.run()


class Address(Locate):
    """The address is the one in the list, and where that is of no use another list's."""

    endpoints = ("batch",)
    application, family = APP, "driver"

    def prepare(self):
        pass


# In the order in which they are looked at again: the last ones may need a new mount, which none may keep busy.
OPERATIONS = {"token": Token, "failures": Failures, "batch": Batch, "details": Details, "head": Head, "first": First,
              "later": Later, "address": Address, "locate": Locate}


class Bench:
    """Two mounts for all rows: what they look at has no row in common."""

    def __init__(self, emulator, directory):
        self.emulator = emulator
        options = {"timeout": 2, "retries": 2, "api_connections": 16, "driver": [APP], "desktop": [DESKTOP]}
        self.mount = Mount(emulator, directory / "mount", **options)
        self.without_token = Mount(emulator, directory / "without-token", **options)
        self.operations = {row: OPERATIONS[row.operation](self, number) for number, row in enumerate(ROWS)}

    def start(self):
        self.mount.mount()
        self.without_token.mount()
        for application in (APP, DESKTOP):
            os.listdir(self.mount.path / application)


@pytest.fixture(scope="module")
def bench():
    place = Path(tempfile.mkdtemp(prefix="cabfs-test-", dir=os.environ.get("CABFS_TEST_DIR")))
    with contextlib.ExitStack() as stack:
        emulator = stack.enter_context(Emulator())
        bench = Bench(emulator, place)
        stack.callback(bench.mount.close)
        stack.callback(bench.without_token.close)
        for operation in bench.operations.values():
            stack.callback(operation.close)
        bench.start()
        yield bench
        assert emulator.counters(cabs=False)["authorizationAtBlob"] == 0, "a token reached a blob host"
    shutil.rmtree(place)


def set_faults(emulator, row, operation):
    for fault, arguments in row.faults:
        endpoints = list(operation.endpoints[:1] if fault == "sas" else operation.endpoints)
        emulator.fault(fault, endpoints, path=operation.key, **arguments)


def run_with_faults(emulator, operations):
    emulator.reset_counters()
    for row, operation in operations.items():
        set_faults(emulator, row, operation)
    try:
        readers = {row: Reader(operation.run) for row, operation in operations.items()}
        for reader in readers.values():
            reader.get(30)
    finally:
        emulator.clear_faults()
    return readers


def check_result(row, operation, reader):
    seen = errno.errorcode[reader.error] if reader.error else None
    if row.error == "0":  # what may not be had is shown without a size; its open() tells why
        assert (seen, reader.result) == (None, 0), row
    else:
        assert seen == row.error, (row, seen)
    if row.error is None:
        assert reader.result == operation.truth(), row


def check_requests(row, operation, emulator):
    log = emulator.log(operation.endpoints[0])
    made = sum(operation.key is None or operation.key in entry["path"] for entry in log)
    least, most = row.requests if isinstance(row.requests, tuple) else (row.requests, row.requests)
    assert least <= made <= most, (row, made)


def check_again(row, operation):
    def works():
        try:
            return operation.again() == operation.truth()
        except OSError:
            return False

    within(5, works, f"{row} works again")


def label_of(row):
    """Rows of one label are tried side by side: what is silent, as it takes the whole `timeout`, and what has the same
    fault.  Those of the token are for themselves: the other mount may need the login host too."""
    if row.is_silent:
        return "silence"
    return str(row) if row.operation == "token" else row.label


LABELS = {}
for one in sorted(ROWS, key=lambda row: list(OPERATIONS).index(row.operation)):
    LABELS.setdefault(label_of(one), []).append(one)


@pytest.mark.parametrize("label", LABELS)
def test_fault(bench, label):
    """A fault ends as the table says, after as many requests, and when it is over all is as it should be.
    [B6, E1, E7, E9]"""
    operations = {row: bench.operations[row] for row in LABELS[label]}
    for operation in operations.values():
        operation.prepare()
    try:
        readers = run_with_faults(bench.emulator, operations)
        for row, operation in operations.items():
            check_result(row, operation, readers[row])
            check_requests(row, operation, bench.emulator)
        for row, operation in operations.items():
            check_again(row, operation)
            operation.close()
    finally:
        for operation in operations.values():
            operation.close()


def operations_of(fault, endpoint):
    if fault == "sas" and endpoint == "batch":
        return ("address",)
    return next((operations for pattern, operations in ROLES if fnmatch.fnmatch(endpoint, pattern)), ("none",))


def test_table_is_complete(bench):
    """Each fault of the emulator and each operation that it can hit stand in the table, or there is a reason; and
    nothing is left out for a reason that is none any more."""
    there = {(fault, row.operation) for row in ROWS for fault, _ in row.faults}
    missing, used = [], set()
    for entry in bench.emulator.get("/fault-table")["faults"]:
        for endpoint in entry["endpoints"]:
            for operation in operations_of(entry["fault"], endpoint):
                what = (entry["fault"], endpoint, operation)
                reasons = [line for line in ELSEWHERE if all(map(fnmatch.fnmatch, what, line[:3]))]
                used.update(reasons)
                if not reasons and (entry["fault"], operation) not in there:
                    missing.append(what)
    assert missing == []
    assert used == set(ELSEWHERE)
    for *_, reason in ELSEWHERE:
        assert not reason.endswith(".py") or Path(__file__).with_name(reason).exists(), reason


# --- what is not of one operation alone -------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("absurd", [10**6, {"date": 10**6}], ids=["seconds", "date"])
def test_absurd_pause(emulator, mount, status, absurd):
    """A host that asks for days of rest gets it from all requests, but nobody waits longer than `timeout`, and the
    other hosts are asked as ever.  (The pause itself is cut to two minutes: the test of client/retry has that.)
    [E5, E11]"""
    for failure in (FAILURE, OTHER_FAILURE):
        emulator.add_cabs(APP, failure, count=2, size=5000)
    m = mount(timeout=2, retries=5)
    os.listdir(m.path / APP)
    os.listdir(m.path / APP / FAILURE)
    emulator.reset_counters()
    emulator.fault("status", "batch", status=status, retryAfter=absurd, count=1)
    readers = [Reader(os.listdir, m.path / APP / OTHER_FAILURE)]
    emulator.wait_requests("batch", 1)
    readers.append(Reader(os.stat, m.path / APP / FAILURE.replace("1", "2")))
    for cab in emulator.cabs(APP, FAILURE):
        m.verify(cab)
    for reader in readers:
        reader.get(10)
        assert reader.error == errno.ETIMEDOUT
    assert emulator.requests("batch") == 1
    m.remount()
    assert len(os.listdir(m.path / APP / OTHER_FAILURE)) == 2


@pytest.mark.parametrize("size", [5000, 300_000, 5_000_000])
def test_wrong_byte(emulator, mount, directory, size):
    """Who copies a CAB of which a byte was changed on the way has no copy, and finds out why; then he has the right one. [B7]"""
    emulator.add_cabs(APP, FAILURE, size=size)
    cab, = emulator.cabs()
    m = mount()
    os.stat(m.cab(cab))
    emulator.fault("corrupt", "blob-get", at=size // 2)
    for _ in range(2):
        copy = subprocess.run([tool("cp"), m.cab(cab), directory / "copy"], capture_output=True, text=True, timeout=60,
                              check=False)
        assert copy.returncode != 0 and "Input/output error" in copy.stderr
        assert "MD5" in xattrs(m.cab(cab))["error"]
    fetch = run("fetch", m.cab(cab))
    assert fetch.returncode == 1 and "1 failed" in fetch.stdout
    emulator.clear_faults()
    m.verify(cab)
    assert xattrs(m.cab(cab))["state"] == "cached"


def test_wrong_md5(emulator, mount):
    """Bytes that have another MD5 than their host tells are not kept; they are once it tells the truth. [B7]"""
    emulator.add_cabs(APP, FAILURE, size=SMALL)
    cab, = emulator.cabs()
    m = mount()
    emulator.fault("md5", ["blob-head", "blob-get"], value="wrong")
    os.stat(m.cab(cab))  # by a HEAD, which tells the MD5
    assert errno_of(m.verify, cab) == "EIO"
    m.wait_log("MD5")
    within(5, lambda: xattrs(m.cab(cab))["state"] == "remote", "it is dropped")
    emulator.clear_faults()
    within(5, lambda: errno_of(m.verify, cab) is None and xattrs(m.cab(cab))["state"] == "cached", "it is kept")
