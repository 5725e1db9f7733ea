# SPDX-License-Identifier: MIT
"""A server that keeps its callers waiting: who waits can be interrupted and gets ETIMEDOUT in the end, and nobody else
notices."""
import contextlib
import errno
import os
import signal
import subprocess
import sys
import time

import pytest

from conftest import APP, FAILURE, OTHER_APP, OTHER_FAILURE
from mount import Reader, is_mounted, tool, wait_in_fuse, within, xattrs
from relay import Relay

READERS = 40
CONNECTIONS = 16  # the default
SIZE = 200_000    # the first request for a CAB brings all of it
AT_ONCE = 2       # seconds
DESKTOP = "10238467886765136388"

# How the server keeps a reader waiting: before it answers at all (in open()), or after its headers (in read()).
KINDS = [("hold", {}), ("stall", {"after": 0})]
KIND_IDS = ["open", "read"]


def read_whole(path):
    with open(path, "rb", buffering=0) as file:
        return file.readall()


def read_again(path):
    """Reads a CAB past the kernel's page cache."""
    with open(path, "rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return file.readall()


def quickly(func, *args, limit=1.0):
    """The result of a call that must not take longer than the limit."""
    began = time.monotonic()
    reader = Reader(func, *args)
    result = reader.get(30)
    took = time.monotonic() - began
    assert reader.error is None, f"{func.__name__}{args}: {errno.errorcode[reader.error]}"
    assert took < limit, f"{func.__name__}{args} took {took:.1f} s"
    return result


class Crowd:
    """A cached CAB, and forty readers of one CAB or of one each, all kept waiting."""

    def __init__(self, emulator, mount, kind, files, timeout):
        self.emulator = emulator
        emulator.add_cabs(APP, OTHER_FAILURE, count=3, size=1_000_000)
        emulator.add_cabs(APP, FAILURE, count=files, size=SIZE)
        self.mount = mount(timeout=timeout)
        *self.cached, self.unread = emulator.cabs(APP, OTHER_FAILURE)
        self.cabs = emulator.cabs(APP, FAILURE)
        for cab in self.cached:
            self.mount.verify(cab)
        os.listdir(self.mount.path / APP / FAILURE)
        self.before = emulator.requests("blob-get")
        self.fault = emulator.fault(kind[0], "blob-get", **kind[1])
        self.began = time.monotonic()
        self.readers = [Reader(self.read, self.mount.cab(self.cabs[i % files])) for i in range(READERS)]
        self.parked = min(files, CONNECTIONS)
        emulator.wait_held(self.parked)

    def read(self, path):
        """The bytes and the error, and how long it took."""
        began = time.monotonic()
        try:
            return read_whole(path), None, time.monotonic() - began
        except OSError as error:
            return None, error.errno, time.monotonic() - began

    def release(self):
        self.emulator.clear_faults(self.fault)

    def check_right(self, readers=None):
        for reader, cab in zip(readers or self.readers, self.cabs * READERS):
            data, error, _ = reader.get(30)
            assert error is None, errno.errorcode[error]
            assert data == self.emulator.content(cab["id"])


crowds = pytest.mark.parametrize("files", [READERS, 1], ids=["forty-files", "one-file"])
kinds = pytest.mark.parametrize("kind", KINDS, ids=KIND_IDS)


@crowds
@kinds
def test_nobody_else_waits(emulator, mount, kind, files):
    """Everything that does not need the stalled bytes goes on at its usual pace; in the end all readers get theirs.
    [C3]"""
    crowd = Crowd(emulator, mount, kind, files, timeout=60)
    mnt = crowd.mount.path
    known = crowd.mount.cab(crowd.cached[0])
    expected = emulator.content(crowd.cached[0]["id"])
    fresh = emulator.add_cabs(OTHER_APP, FAILURE, count=3, size=5000)
    assert quickly(os.stat, known).st_size == 1_000_000
    assert quickly(read_again, known) == expected
    assert len(quickly(os.listdir, mnt / APP / FAILURE)) == files
    assert quickly(xattrs, crowd.mount.cab(crowd.cabs[0]))["state"] == "remote"
    assert quickly(os.statvfs, mnt).f_blocks == 0
    # what takes a request, but not of the kind that stalls
    assert sorted(quickly(os.listdir, mnt / OTHER_APP / FAILURE)) == sorted(f"{cab}.cab" for cab in fresh)
    assert quickly(os.stat, mnt / OTHER_APP / FAILURE / f"{fresh[0]}.cab").st_size == 5000
    assert quickly(os.stat, crowd.mount.cab(crowd.cabs[-1])).st_size == SIZE
    assert quickly(os.stat, crowd.mount.cab(crowd.unread)).st_size == 1_000_000
    assert all(reader.is_alive() for reader in crowd.readers)
    assert emulator.requests("blob-get") - crowd.before == crowd.parked
    crowd.release()
    crowd.check_right()
    gets = emulator.counters()["cabs"]
    assert {gets[cab["id"]]["get"] for cab in crowd.cabs} == {1}


@crowds
@kinds
def test_time_out(emulator, mount, kind, files):
    """Each reader, one that waits for a connection too, fails with ETIMEDOUT; afterwards everything works again.
    [E5]"""
    crowd = Crowd(emulator, mount, kind, files, timeout=4)
    for reader in crowd.readers:
        data, error, took = reader.get(30)
        assert (data, error) == (None, errno.ETIMEDOUT)
        assert 3.9 < took < 9.5, f"it took {took:.1f} s"
    crowd.release()
    # A download that nobody waits for any more may be ending only now, and takes those down who join it.
    deadline = time.monotonic() + 5
    for cab in crowd.cabs:
        while Reader(read_whole, crowd.mount.cab(cab)).get(20) is None:
            assert time.monotonic() < deadline
        crowd.mount.verify(cab)
    assert emulator.counters(cabs=False)["held"] == 0


def start_cat(path):
    """A pytest in the background ignores SIGINT, and so would its children."""
    return subprocess.Popen([tool("env"), "--default-signal=INT", "cat", path], stdout=subprocess.DEVNULL)


@kinds
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_killed_reader(emulator, mount, kind, number):
    """A reader that is killed is gone at once; others who wait for the same CAB, or for others, get it all the same.
    [C4]"""
    crowd = Crowd(emulator, mount, kind, files=1, timeout=60)
    with start_cat(crowd.mount.cab(crowd.cabs[0])) as cat:
        time.sleep(0.3)  # nothing tells that it waits now: the server sees one request for all
        began = time.monotonic()
        cat.send_signal(number)
        assert cat.wait(AT_ONCE) == -number
        assert time.monotonic() - began < AT_ONCE
    assert all(reader.is_alive() for reader in crowd.readers)
    assert emulator.counters(cabs=False)["held"] == 1, "the others' download has ended with it"
    crowd.release()
    crowd.check_right()


@kinds
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nobody_waits_any_more(emulator, mount, kind, number):
    """With the last reader of a CAB goes its download. [C5]"""
    emulator.add_cabs(APP, FAILURE, size=SIZE)
    m = mount(timeout=60)
    cab = emulator.cabs()[0]
    os.stat(m.cab(cab))
    fault = emulator.fault(kind[0], "blob-get", **kind[1])
    with start_cat(m.cab(cab)) as cat:
        emulator.wait_held(1)
        cat.send_signal(number)
        assert cat.wait(AT_ONCE) == -number
    if kind[0] == "stall":  # an open() that was interrupted leaves its download to whoever comes next
        within(10, lambda: emulator.counters(cabs=False)["held"] == 0, "the download goes on for nobody")
    emulator.clear_faults(fault)
    m.verify(cab)


# A program with a handler of its own: interrupted, it goes on; later it does the same again.
HANDLER = """
import os, signal, sys
operation, path = sys.argv[1:]
def run():
    if operation == "open":
        fd = os.open(path, os.O_RDONLY)
        return str(len(os.pread(fd, 1 << 20, 0)))
    return str(os.stat(path).st_size) if operation == "stat" else ",".join(sorted(os.listdir(path)))
class Interrupted(Exception):
    pass
def interrupt(*_):
    raise Interrupted
signal.signal(signal.SIGINT, interrupt)
try:
    print(run())
except Interrupted:
    print("interrupted")
sys.stdout.flush()
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.stdin.readline()
print(run())
"""


class Program:
    def __init__(self, operation, path):
        self.process = subprocess.Popen([sys.executable, "-c", HANDLER, operation, path], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def line(self, timeout):
        reader = Reader(self.process.stdout.readline)
        return reader.get(timeout).strip()

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)

    def again(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def close(self):
        self.process.kill()
        self.process.communicate()


@pytest.mark.parametrize("operation, path, endpoint, known", [
    ("open", "{app}/{failure}/{cab}.cab", "blob-get", "{app}/{failure}"),
    ("stat", "{app}/{failure}/{cab}.cab", "blob-head", "{app}/{failure}"),
    ("stat", "{app}/{failure}", "batch", ""),  # a failure that no list has: asked for by name
    ("stat", "{app}/{failure}/{cab}.cab", "batch", "{app}"),
    ("list", "{app}", "hits", ""),
    ("list", "{app}/{failure}", "batch", "{app}"),
    ("stat", "{app}/{failure}", "login", ""),
], ids=["open", "stat", "lookup-failure", "lookup-cab", "list-failures", "list-cabs", "token"])
def test_interrupt(emulator, mount, operation, path, endpoint, known):
    """A signal with a handler ends each wait at once, for the one who got it; he and others can ask again. [E6]"""
    emulator.add_cabs(APP, FAILURE, count=3, size=SIZE)
    emulator.add_cabs(OTHER_APP, OTHER_FAILURE, size=SIZE)
    m = mount(timeout=60)
    names = {"app": APP, "failure": FAILURE, "cab": emulator.cabs(APP)[0]["id"]}
    if known:
        os.listdir(m.path / known.format(**names))
    fault = emulator.fault("hold", endpoint)
    target = str(m.path / path.format(**names))
    with contextlib.ExitStack() as stack:
        one = stack.enter_context(contextlib.closing(Program(operation, target)))
        emulator.wait_held(1)  # from here on: of two look-ups of a name the kernel holds up the second, deaf to signals
        two = stack.enter_context(contextlib.closing(Program(operation, target)))
        time.sleep(0.3)  # nothing tells when it waits
        began = time.monotonic()
        one.interrupt()
        assert one.line(10) == "interrupted"
        assert time.monotonic() - began < AT_ONCE
        assert quickly(os.listdir, m.path) == [APP]
        one.again()
        emulator.clear_faults(fault)
        assert one.line(30) == two.line(30) != ""


# --- the end of a mount -----------------------------------------------------------------------------------------


def park_everything(emulator, mount):
    """Forty readers, a lister, a looker-up and one who wants a size, all of them waiting."""
    crowd = Crowd(emulator, mount, KINDS[1], files=10, timeout=60)
    for endpoint in ("batch", "hits", "blob-head"):
        emulator.fault("hold", endpoint)
    mnt = crowd.mount.path
    others = [Reader(os.listdir, mnt / OTHER_APP), Reader(os.stat, mnt / OTHER_APP / FAILURE),
              Reader(os.stat, crowd.mount.cab(crowd.unread)), Reader(os.listdir, mnt / OTHER_APP / OTHER_FAILURE)]
    emulator.wait_held(10 + 4)
    return crowd, others


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ended_by_signal(emulator, mount, number):
    """A signal ends the mount whatever waits there: those who wait get an error, and the place can be used again.
    [C6]"""
    crowd, others = park_everything(emulator, mount)
    crowd.mount.process.send_signal(number)
    crowd.mount.wait_end(5)
    for reader in crowd.readers:
        data, error, _ = reader.get(5)
        assert data is None and error in (errno.ENOTCONN, errno.ECONNABORTED, errno.EINTR), error
    for reader in others:
        reader.get(5)
        assert reader.error is not None
    emulator.clear_faults()
    crowd.mount.mount()
    for cab in crowd.cabs + crowd.cached:
        crowd.mount.verify(cab)


@pytest.mark.skipif(os.geteuid() != 0, reason="umount -f is for root")
def test_forced_unmount(emulator, mount):
    """umount -f takes the mount from under everybody."""
    crowd, others = park_everything(emulator, mount)
    subprocess.run([tool("umount"), "-f", crowd.mount.path], check=False, timeout=10)
    # what is in use can be aborted, but not be taken away by this call: the program sees the end and does the rest
    crowd.mount.wait_end(5)
    for reader in crowd.readers:
        data, error, _ = reader.get(5)
        assert data is None and error is not None
    for reader in others:
        reader.get(5)
        assert reader.error is not None
    emulator.clear_faults()
    crowd.mount.mount()
    for cab in crowd.cabs:
        crowd.mount.verify(cab)


def test_lazy_unmount(emulator, mount, directory):
    """fusermount3 -u -z frees the place at once; who has a file open may read on, and with him the program ends.
    [C7]"""
    crowd, others = park_everything(emulator, mount)
    subprocess.run(["fusermount3", "-u", "-z", crowd.mount.path], check=True, timeout=10)
    assert not is_mounted(crowd.mount.path)
    assert quickly(os.listdir, crowd.mount.path) == []
    emulator.clear_faults()
    crowd.check_right()
    for reader in others:
        reader.get(10)
    crowd.mount.wait_end(5)
    assert crowd.mount.mount()
    for cab in crowd.cabs:
        crowd.mount.verify(cab)


def test_busy_unmount(emulator, mount):
    """Without -z a mount that is in use stays, and works on."""
    crowd = Crowd(emulator, mount, KINDS[1], files=1, timeout=60)
    result = subprocess.run(["fusermount3", "-u", crowd.mount.path], capture_output=True, text=True, check=False)
    assert result.returncode != 0 and "busy" in result.stderr
    crowd.release()
    crowd.check_right()


def test_idle_unmount(emulator, mount):
    """Nothing that runs behind holds up the end: no connection, no renewal, no reading ahead."""
    emulator.add_cabs(APP, FAILURE, count=2, size=40_000_000)
    m = mount(timeout=60)
    for _ in range(3):
        cab = emulator.cabs()[0]
        with open(m.cab(cab), "rb") as file:
            file.read(4_000_000)  # reading ahead has begun
        began = time.monotonic()
        m.unmount()
        assert time.monotonic() - began < 5
        m.mount()
    m.verify(cab)


# --- those who wait for something else ------------------------------------------------------------------------------


def read_head(path):
    with open(path, "rb") as file:
        return file.read(100)


def two_kinds(emulator, mount, **options):
    """A mount with 20 CABs that have no address yet, and one that has one; (mount, the 20, the one)."""
    emulator.add_cabs(DESKTOP, FAILURE, family="desktop", count=20, size=3 << 20)
    emulator.add_cabs(APP, FAILURE, size=3 << 20)
    m = mount(desktop=[DESKTOP], sizes="lazy", **options)
    cabs = {app: emulator.cabs(app, FAILURE) for app in (DESKTOP, APP)}
    for app in cabs:
        os.listdir(m.path / app / FAILURE)
    return m, cabs[DESKTOP], cabs[APP][0]


def test_addresses_that_do_not_come(emulator, mount):
    """While addresses are waited for, by more readers than there are connections, a CAB that has one is read. [C3]"""
    m, without, cab = two_kinds(emulator, mount)
    fault = emulator.fault("hold", "desktop-cabdownload")
    readers = [Reader(read_head, m.cab(one)) for one in without]
    wait_in_fuse(readers)
    emulator.wait_held(4)
    assert Reader(read_head, m.cab(cab)).get(20) == emulator.content(cab["id"], 0, 100)
    assert all(reader.is_alive() for reader in readers)
    emulator.clear_faults(fault)
    for reader, one in zip(readers, without):
        assert reader.get(60) == emulator.content(one["id"], 0, 100)


def test_host_that_rests(emulator, mount):
    """Nor do those whose host has asked for a pause keep the places from others. [C3, E11]"""
    with Relay(emulator.ports["blob"]) as other:
        emulator.fault("sas", "batch", host=other.name)
        m, without, cab = two_kinds(emulator, mount, blob_hosts=[emulator.blob.partition("//")[2], other.name])
        emulator.fault("status", "blob-get", status=429, retryAfter=60, path=without[0]["id"], count=1)
        readers = [Reader(read_head, m.cab(without[0]))]
        m.wait_log("HTTP status 429")
        readers += [Reader(read_head, m.cab(one)) for one in without[1:]]
        wait_in_fuse(readers)
        within(20, lambda: emulator.requests("desktop-cabdownload") == len(without), "addresses are not asked for")
        assert Reader(read_head, m.cab(cab)).get(20) == emulator.content(cab["id"], 0, 100)
        assert all(reader.is_alive() for reader in readers)
        m.kill()
        for reader in readers:
            reader.join(20)
