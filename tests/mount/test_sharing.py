# SPDX-License-Identifier: MIT
"""Two mounts in two processes on one cache directory, while both read, evict, are killed and begin again.

What they do for each other while nothing goes wrong is in test_eviction.py.
"""
import errno
import hashlib
import os
import random
import threading
import time

import pytest

from conftest import APP, FAILURE
from mount import Reader, errno_of, wait_until, within, xattrs

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
