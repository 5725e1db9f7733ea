# SPDX-License-Identifier: MIT
"""Two mounts in two processes on one cache directory, while both read, evict, are killed and begin again.

What they do for each other while nothing goes wrong is in test_eviction.py.
"""
import errno
import hashlib
import json
import os
import random
import signal
import threading
import time

import pytest

from archives import opened, payload_members
from conftest import APP, FAILURE
from heldcalls import Calls
from mount import Reader, errno_of, is_let_go, wait_in_fuse, wait_until, within, xattrs

MIB = 1 << 20
GONE = (errno.ENOTCONN, errno.ECONNABORTED, errno.EINTR, errno.EIO, errno.ENOENT, errno.ENODEV)


def moved(emulator, cab):
    """Bytes of the CAB that its host has sent since the last reset."""
    return emulator.counters()["cabs"].get(cab["id"], {"bytes": 0})["bytes"]


class Pair:
    """Two mounts on one cache."""

    def __init__(self, mount, directory, **options):
        self.cache = directory / "shared"
        self.mounts = [mount(cache_dir=str(self.cache), cache_free=0, **options) for _ in range(2)]

    def kill_and_mount(self, number):
        self.mounts[number].kill()
        self.mounts[number].check_log()
        self.mounts[number].mount()

    def on_disk(self):
        total = 0
        for place, _, files in os.walk(self.cache):
            for name in files:
                try:
                    total += os.lstat(os.path.join(place, name)).st_blocks * 512
                except FileNotFoundError:
                    pass
        return total


class Short(Exception):
    """A read that ended before its end.  The kernel gives what it has of one whose mount dies under it, and the error to
    the next one."""


class Crowd:
    """Readers of one mount who read CABs by chance, wholly or in part, until they are told to end.  An error ends none of
    them; what one saw while its mount lived, and wrong bytes, are kept."""

    def __init__(self, pair, number, cabs, truth, seed, readers=3):
        self.pair, self.number, self.cabs, self.truth = pair, number, cabs, truth
        self.ending = threading.Event()
        self.changes = 0         # raised before the mount dies and when it is back: odd while it is not there
        self.wrong, self.failed, self.reads = [], [], 0
        self.readers = [Reader(self.run, random.Random(f"{seed}/{number}/{i}")) for i in range(readers)]

    def run(self, chance):
        while not self.ending.is_set():
            cab = chance.choice(self.cabs)
            before = self.changes
            try:
                self.read(cab, chance)
            except Short as short:
                if self.lived_since(before):
                    self.wrong.append(short.args)
            except OSError as error:
                if self.lived_since(before) or error.errno not in GONE:
                    self.failed.append((cab["id"], errno.errorcode[error.errno]))
                time.sleep(0.02)  # where nothing is mounted that comes at once
            self.reads += 1

    def lived_since(self, before):
        return self.changes == before and before % 2 == 0

    def read(self, cab, chance):
        truth = self.truth[cab["id"]]
        path = self.pair.mounts[self.number].cab(cab)
        with open(path, "rb", buffering=0) as file:
            if chance.random() < 0.5:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            if chance.random() < 0.5:
                off = chance.randrange(len(truth))
                self.compare(cab, off, os.pread(file.fileno(), 100_000, off), truth[off:off + 100_000])
            else:
                off = 0
                while data := file.read(1 << 17):
                    self.compare(cab, off, data, truth[off:off + len(data)])
                    off += len(data)
                self.compare(cab, off, b"", truth[off:])

    def compare(self, cab, off, data, truth):
        if len(data) < len(truth) and truth.startswith(data):
            raise Short(cab["id"], off, len(data), "short")
        if data != truth:
            self.wrong.append((cab["id"], off, len(data), hashlib.sha256(data).hexdigest()))

    def end(self):
        self.ending.set()
        for reader in self.readers:
            reader.get(60)
            assert reader.error is None


def test_killed_while_both_read_and_evict(emulator, mount, directory):
    """Whichever of two mounts on one cache is killed, at whatever moment, and mounted again: neither ever shows a wrong
    byte, the readers of the other see no error, and the cache stays near its limit. [K3, K6, S2, S3, S5]"""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    emulator.add_cabs(APP, FAILURE, count=16, size=[3 * MIB, 700_001, 262_145, 5000])
    cabs = emulator.cabs()
    truth = {cab["id"]: emulator.content(cab["id"]) for cab in cabs}
    pair = Pair(mount, directory, cache_size=8 * MIB, listing_ttl=1)
    crowds = [Crowd(pair, number, cabs, truth, seed) for number in range(2)]
    try:
        for _ in range(14):
            number = chance.randrange(2)
            reads = crowds[number].reads + chance.randrange(30)
            wait_until(lambda: crowds[number].reads >= reads, "the readers go on", 60)
            crowds[number].changes += 1
            pair.kill_and_mount(number)
            crowds[number].changes += 1
    finally:
        for crowd in crowds:
            crowd.end()
    for crowd in crowds:
        assert (crowd.wrong, crowd.failed) == ([], [])
    for mounted in pair.mounts:
        for cab in cabs:
            assert mounted.cab(cab).read_bytes() == truth[cab["id"]]
    within(10, lambda: pair.on_disk() <= 8 * MIB + 2 * 9 * MIB, "the cache stays above its limit")


def test_one_download_for_both(emulator, mount, directory):
    """What one of two mounts has fetched whole is fetched by neither again, whichever is killed meanwhile. [K6, S1, S5]"""
    emulator.add_cabs(APP, FAILURE, count=12, size=[2 * MIB, 700_001, 65_536])
    cabs = emulator.cabs()
    chance = random.Random(5)
    pair = Pair(mount, directory)
    for cab in cabs:
        emulator.reset_counters()
        first = chance.randrange(2)
        pair.mounts[first].verify(cab)
        within(10, lambda: xattrs(pair.mounts[first].cab(cab))["state"] == "cached" and
               any(pair.cache.glob(f"2*/{cab['id']}.map")), "it is not kept")
        pair.kill_and_mount(chance.randrange(2))
        for mounted in pair.mounts:
            mounted.verify(cab)
        assert moved(emulator, cab) == cab["size"]


@pytest.mark.parametrize("dies", [0, 1], ids=["writer", "other"])
def test_killed_in_a_common_download(emulator, mount, directory, dies):
    """Of two who fetch the same CAB at the same time one dies: the other goes on, and what is kept then is right and
    serves both. [C4, K6, S2, S5]"""
    emulator.add_cabs(APP, FAILURE, size=12 * MIB)
    cab, = emulator.cabs()
    pair = Pair(mount, directory)
    os.listdir(pair.mounts[0].path / APP / FAILURE), os.listdir(pair.mounts[1].path / APP / FAILURE)
    emulator.fault("stall", "blob-get", after=100_000)
    readers = [Reader(pair.mounts[0].verify, cab)]
    emulator.wait_held(1)
    readers.append(Reader(pair.mounts[1].verify, cab))
    emulator.wait_held(2)
    pair.kill_and_mount(dies)
    readers[dies].get()
    assert readers[dies].error in GONE
    emulator.clear_faults()
    readers[1 - dies].get()
    assert readers[1 - dies].error is None
    for mounted in pair.mounts:
        mounted.verify(cab)
    within(10, lambda: any(xattrs(mounted.cab(cab))["state"] == "cached" for mounted in pair.mounts), "it is not kept")
    for mounted in pair.mounts:
        mounted.remount()
    emulator.reset_counters()
    for mounted in pair.mounts:
        assert errno_of(mounted.verify, cab) is None
    assert emulator.requests("blob-get") == 0


# --- one download while it goes on ------------------------------------------------------------------------------


def digest(mounted, cab):
    """Reads all of it: (size, SHA-256)."""
    sha, size = hashlib.sha256(), 0
    with open(mounted.cab(cab), "rb", buffering=0) as file:
        while data := file.read(1 << 17):
            sha.update(data)
            size += len(data)
    return size, sha.hexdigest()


def truth_of(emulator, cab):
    return cab["size"], emulator.sha256(cab["id"])


def results(readers, timeout=120):
    """What they have read, for who demands that none of them failed."""
    found = [reader.get(timeout) for reader in readers]
    assert [reader.error for reader in readers] == [None] * len(readers)
    return found


def know(*mounts):
    """All have the list, so that what follows begins with the CABs."""
    for mounted in mounts:
        os.listdir(mounted.path / APP / FAILURE)


def begin_stalled(emulator, mounts, cab, func=digest):
    """The first of the mounts has the file, and the others take its bytes from there; each answer of the host stops after
    some."""
    know(*mounts)
    emulator.fault("stall", "blob-get", after=100_000)
    readers = [Reader(func, mounts[0], cab)]
    emulator.wait_held(1)
    readers += [Reader(func, mounted, cab) for mounted in mounts[1:]]
    for mounted in mounts[1:]:
        mounted.wait_log("comes from another mount")
    return readers


def bytes_of(pair, kind):
    """What the mounts say of where their bytes are from: "downloaded" (from hosts) or "shared" (from one another)."""
    return sum(json.loads((mounted.path / ".cabfs/status.json").read_text())["bytes"][kind] for mounted in pair.mounts)


@pytest.mark.parametrize("size", [0, 1, 5000, 262_144, 262_145, 3 * MIB + 1, 24 * MIB], ids=str)
def test_wanted_by_both_at_once(emulator, mount, directory, size):
    """A CAB that two mounts want for the first time in the same moment is downloaded once, and neither counts the bytes of
    the other as its own. [S6]"""
    emulator.add_cabs(APP, FAILURE, size=size)
    cab, = emulator.cabs()
    pair = Pair(mount, directory)
    know(*pair.mounts)
    fault = emulator.fault("hold", "blob-get")
    readers = [Reader(digest, mounted, cab) for mounted in pair.mounts]
    wait_in_fuse(readers)
    emulator.wait_held(1)
    emulator.clear_faults(fault)
    assert results(readers) == [truth_of(emulator, cab)] * 2
    assert (bytes_of(pair, "downloaded"), bytes_of(pair, "shared")) == (size, size)
    for mounted in pair.mounts:
        assert digest(mounted, cab) == truth_of(emulator, cab)
    assert moved(emulator, cab) == size
    within(10, lambda: is_let_go(pair.cache, cab), "it stays open")


@pytest.mark.parametrize("size", [0, 4000, 700_001], ids=str)
def test_closed_before_the_other_asks(emulator, mount, directory, size):
    """Who finds the file of a CAB held by another mount, which has read and closed it before it is asked for its bytes,
    has them from the file. [S6]"""
    emulator.add_cabs(APP, FAILURE, size=size)
    cab, = emulator.cabs()
    calls = Calls(directory)
    cache = directory / "shared"
    mounts = [mount(cache_dir=str(cache), cache_free=0, environment=environment) for environment in ({}, calls.environment)]
    know(*mounts)
    fault = emulator.fault("hold", "blob-get")
    first = Reader(digest, mounts[0], cab)
    emulator.wait_held(1)
    calls.hold("eventfd_read.cabfs-peers")
    second = Reader(digest, mounts[1], cab)
    calls.wait_held("eventfd_read.cabfs-peers")
    emulator.clear_faults(fault)
    assert results([first]) == [truth_of(emulator, cab)]
    within(10, lambda: is_let_go(cache, cab), "it stays open")
    requests = emulator.requests("blob-get")
    calls.go_on("eventfd_read.cabfs-peers")
    assert results([second]) == [truth_of(emulator, cab)]
    assert emulator.requests("blob-get") == requests


def test_many_wanted_by_both_at_once(emulator, mount, directory):
    """So it is with many CABs at a time, from a host that is slow, and for more than two mounts. [S6]"""
    emulator.add_cabs(APP, FAILURE, count=8, size=[48 * MIB, 5 * MIB + 3, 700_001, 4000])
    cabs = emulator.cabs()
    pair = Pair(mount, directory)
    third = mount(cache_dir=str(pair.cache), cache_free=0)
    know(*pair.mounts, third)
    emulator.fault("bandwidth", "blob-get", rate=40 * MIB, scope="total")
    readers = {(cab["id"], i): Reader(digest, mounted, cab)
               for cab in cabs for i, mounted in enumerate([*pair.mounts, third])}
    assert dict(zip(readers, results(readers.values()))) == \
        {(cab["id"], i): truth_of(emulator, cab) for cab in cabs for i in range(3)}
    assert {cab["id"]: moved(emulator, cab) for cab in cabs} == {cab["id"]: cab["size"] for cab in cabs}


def test_crowd_of_cabs_wanted_by_both(emulator, mount, directory):
    """So it is with a hundred CABs at a time. [S6]"""
    emulator.add_cabs(APP, FAILURE, count=100, size=[20_000, 400_000])
    cabs = emulator.cabs()
    pair = Pair(mount, directory)
    know(*pair.mounts)
    fault = emulator.fault("hold", "blob-get")
    readers = [Reader(digest, mounted, cab) for cab in cabs for mounted in pair.mounts]
    wait_in_fuse(readers)
    emulator.clear_faults(fault)
    assert results(readers) == [truth_of(emulator, cab) for cab in cabs for _ in pair.mounts]
    assert {cab["id"]: moved(emulator, cab) for cab in cabs} == {cab["id"]: cab["size"] for cab in cabs}


def test_members_wanted_by_both(emulator, mount, directory):
    """What two mounts take out of a CAB at once needs one download of it. [S6]"""
    emulator.add_cabs(APP, FAILURE, payload="null-write-mszip.cab")
    cab, = emulator.cabs()
    pair = Pair(mount, directory)
    know(*pair.mounts)

    def read_member(mounted):
        return (opened(mounted, cab) / "minidump.mdmp").read_bytes()

    emulator.fault("hold", "blob-get", count=1)
    readers = [Reader(read_member, mounted) for mounted in pair.mounts]
    emulator.wait_held(1)
    emulator.clear_faults()
    assert results(readers) == [payload_members("null-write-mszip.cab")["minidump.mdmp"]] * 2
    assert moved(emulator, cab) <= cab["size"]


def test_parts_wanted_by_both(emulator, mount, directory):
    """Who reads parts by chance in both mounts gets right bytes, and none of them is downloaded twice. [S6]"""
    emulator.add_cabs(APP, FAILURE, size=24 * MIB)
    cab, = emulator.cabs()
    truth = emulator.content(cab["id"])
    pair = Pair(mount, directory)
    know(*pair.mounts)
    emulator.fault("bandwidth", "blob-get", rate=20 * MIB, scope="total")
    seed = random.randrange(1 << 32)
    print("seed", seed)

    def read_parts(number):
        chance, wrong = random.Random(f"{seed}/{number}"), []
        with open(pair.mounts[number % 2].cab(cab), "rb", buffering=0) as file:
            for _ in range(60):
                off, length = chance.randrange(len(truth)), chance.choice([100, 5000, 131_072, 700_000])
                if os.pread(file.fileno(), length, off) != truth[off:off + length]:
                    wrong.append((off, length))
        return wrong

    assert results([Reader(read_parts, number) for number in range(6)]) == [[]] * 6
    assert moved(emulator, cab) <= cab["size"]


def test_little_wanted_of_the_other(emulator, mount, directory):
    """Who reads a little of what another mount has open has no more downloaded than if he were alone. [S6]"""
    emulator.add_cabs(APP, FAILURE, size=24 * MIB)
    cab, = emulator.cabs()
    truth = emulator.content(cab["id"])
    pair = Pair(mount, directory)
    know(*pair.mounts)
    with open(pair.mounts[0].cab(cab), "rb", buffering=0) as file:
        assert os.pread(file.fileno(), 1000, 0) == truth[:1000]
        before = moved(emulator, cab)
        for off in (0, 9 * MIB + 5, 20 * MIB):
            with open(pair.mounts[1].cab(cab), "rb", buffering=0) as other:
                os.posix_fadvise(other.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
                assert os.pread(other.fileno(), 5000, off) == truth[off:off + 5000]
        assert moved(emulator, cab) - before <= 2 * (128 << 10)


@pytest.mark.parametrize("how", ["kill", "unmount"])
def test_gone_in_a_common_download(emulator, mount, directory, how):
    """If the mount that has the file goes, who takes his bytes from there goes on without an error. [S2, S5]"""
    emulator.add_cabs(APP, FAILURE, size=24 * MIB)
    cab, = emulator.cabs()
    pair = Pair(mount, directory)
    readers = begin_stalled(emulator, pair.mounts, cab)
    before = moved(emulator, cab)
    if how == "kill":
        pair.mounts[0].kill()
    else:
        pair.mounts[0].process.send_signal(signal.SIGTERM)
        pair.mounts[0].wait_end()
    readers[0].get()
    assert readers[0].error in GONE
    within(10, lambda: moved(emulator, cab) > before, "nobody goes on")
    emulator.clear_faults()
    assert results(readers[1:]) == [truth_of(emulator, cab)]
    pair.mounts[0].mount()
    assert digest(pair.mounts[0], cab) == truth_of(emulator, cab)


def test_stopped_in_a_common_download(emulator, mount, directory):
    """A mount that is stopped makes who takes his bytes from there wait for seconds, not until it goes on. [S2]"""
    emulator.add_cabs(APP, FAILURE, count=2, size=12 * MIB)
    cab, other = emulator.cabs()
    pair = Pair(mount, directory)
    readers = begin_stalled(emulator, pair.mounts, cab)
    process = pair.mounts[0].process
    process.send_signal(signal.SIGSTOP)
    try:
        emulator.clear_faults()
        assert results(readers[1:], 30) == [truth_of(emulator, cab)]
        assert results([Reader(digest, pair.mounts[1], other)], 30) == [truth_of(emulator, other)]
    finally:
        process.send_signal(signal.SIGCONT)
    assert results(readers[:1]) == [truth_of(emulator, cab)]


def test_who_takes_from_it_is_killed(emulator, mount, directory):
    """Who has the file is not disturbed by the end of another mount that takes bytes from it; and nothing is left of that
    one: the file is closed, and can be removed. [S2, S5]"""
    emulator.add_cabs(APP, FAILURE, count=4, size=6 * MIB)
    cab, *others = emulator.cabs()
    pair = Pair(mount, directory, cache_size=8 * MIB)
    readers = begin_stalled(emulator, pair.mounts, cab)
    pair.mounts[1].kill()
    emulator.clear_faults()
    assert results(readers[:1]) == [truth_of(emulator, cab)]
    readers[1].get()
    assert readers[1].error in GONE
    assert moved(emulator, cab) == cab["size"]
    within(10, lambda: is_let_go(pair.cache, cab), "it stays open")
    for item in others:
        assert digest(pair.mounts[0], item) == truth_of(emulator, item)
    within(10, lambda: not any(pair.cache.glob(f"2*/{cab['id']}.cab")), "it stays")
    pair.mounts[1].mount()


def test_replaced_in_a_common_download(emulator, mount, directory):
    """A CAB that is replaced while two mounts fetch it is ESTALE for both, never a mixture. [S2]"""
    emulator.add_cabs(APP, FAILURE, size=24 * MIB)
    cab, = emulator.cabs()
    truth = emulator.content(cab["id"])
    pair = Pair(mount, directory, read_ahead=MIB)

    def read_on(mounted, cab):
        with open(mounted.cab(cab), "rb", buffering=0) as file:
            begun[mounted].set()
            for off in range(0, len(truth), 1 << 17):
                data = os.pread(file.fileno(), 1 << 17, off)
                if data != truth[off:off + (1 << 17)]:
                    return f"other bytes at {off}"
        return "all of the first"

    begun = {mounted: threading.Event() for mounted in pair.mounts}
    readers = begin_stalled(emulator, pair.mounts, cab, read_on)
    assert all(event.wait(30) for event in begun.values())
    emulator.change_cab(cab["id"], seed=2)
    emulator.clear_faults()
    for reader in readers:
        reader.get()
    assert [(reader.result, reader.error) for reader in readers] == [(None, errno.ESTALE)] * 2
    for mounted in pair.mounts:
        assert digest(mounted, cab) == truth_of(emulator, cab)


def test_trouble_of_one_in_a_common_download(emulator, mount, directory):
    """Where the host fails who has the file, the other mount asks the host itself. [S2]"""
    emulator.add_cabs(APP, FAILURE, size=3 * MIB)
    cab, = emulator.cabs()
    pair = Pair(mount, directory, retries=1)
    know(*pair.mounts)
    emulator.fault("hold", "blob-get", count=1)
    emulator.fault("status", "blob-get", status=500, code="InternalError", count=1)
    readers = [Reader(digest, pair.mounts[0], cab)]
    emulator.wait_held(1)
    readers.append(Reader(digest, pair.mounts[1], cab))
    wait_in_fuse(readers)
    assert emulator.requests("blob-get") == 1
    emulator.release()
    readers[0].get()
    assert readers[0].error == errno.EIO
    assert results(readers[1:]) == [truth_of(emulator, cab)]


def test_two_directories(emulator, mount):
    """Mounts on different cache directories have nothing to do with each other. [S6]"""
    emulator.add_cabs(APP, FAILURE, size=2 * MIB)
    cab, = emulator.cabs()
    mounts = [mount() for _ in range(2)]
    know(*mounts)
    emulator.fault("hold", "blob-get")
    readers = [Reader(digest, mounted, cab) for mounted in mounts]
    emulator.wait_held(2)
    emulator.clear_faults()
    assert results(readers) == [truth_of(emulator, cab)] * 2
    assert moved(emulator, cab) == 2 * cab["size"]
