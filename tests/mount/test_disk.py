# SPDX-License-Identifier: MIT
"""A disk that is too small, read-only, or gone: whatever it is, CABs are read, and the log says so once."""
import contextlib
import os
import random
import re
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest

from conftest import APP, FAILURE
from mount import Mount, read_at, within, xattrs

KIB, MIB = 1 << 10, 1 << 20
CHUNK = 8 * MIB  # what one request may ask for
LIMIT = 20 * MIB

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes file systems")


@contextlib.contextmanager
def file_system(place, size):
    """A file system of its own at @place, in memory."""
    place.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "cabfs-test", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], stderr=subprocess.DEVNULL)


def remount(place, how):
    subprocess.run(["mount", "-o", f"remount,{how}", str(place)], check=True)


def warnings(mounted):
    return [line for line in mounted.log().splitlines() if " warning: " in line]


def on_disk(place):
    total = 0
    for folder, _, names in os.walk(place):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # a sweep was faster
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
    return total


def resident(mounted):
    status = Path(f"/proc/{mounted.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * KIB


class Watch(threading.Thread):
    """Looks at the size of a directory, again and again, and keeps the largest."""

    def __init__(self, place):
        super().__init__(daemon=True)
        self.place, self.most, self.over = place, 0, threading.Event()
        self.start()

    def run(self):
        while not self.over.is_set():
            self.most = max(self.most, on_disk(self.place))
            time.sleep(0.002)

    def end(self):
        self.over.set()
        self.join()
        return self.most


# --- a bound --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [[10 * LIMIT], [5 * MIB] * 40], ids=["one", "many"])
def test_ten_times_the_limit(emulator, mount, sizes):
    """However much is read, the cache is at no moment more than one chunk above its limit. [K3]"""
    for number, size in enumerate(sizes):
        emulator.add_cabs(APP, FAILURE, seed=number, size=size)
    m = mount(cache_size=LIMIT, cache_free=0)
    watch = Watch(m.cache)
    for cab in emulator.cabs():
        m.verify(cab)
    most = watch.end()
    assert LIMIT // 2 < most <= LIMIT + CHUNK + MIB, most  # the listing is there too
    assert warnings(m) == []


def test_larger_than_the_cache(emulator, mount):
    """A CAB that is larger than the cache is read to its end, and once more from the middle, with few requests: what is
    fetched ahead is kept for who reads it. [K12]"""
    size = 8 * LIMIT + 12345
    emulator.add_cabs(APP, FAILURE, size=size)
    cab, = emulator.cabs()
    m = mount(cache_size=LIMIT, cache_free=0)
    with open(m.cab(cab), "rb", buffering=0) as file:
        for start in (0, size // 2):
            emulator.reset_counters()
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            file.seek(start)
            at = start
            while data := file.read(MIB):
                if at % (5 * MIB) == start % (5 * MIB):
                    assert data == emulator.content(cab["id"], at, len(data))
                at += len(data)
            assert at == size
            counters = emulator.counters()["cabs"][cab["id"]]
            assert counters["bytes"] <= size - start + 2 * CHUNK
            assert counters["get"] <= (size - start) // (256 * KIB)
        assert os.pread(file.fileno(), 5000, 0) == emulator.content(cab["id"], 0, 5000)
    within(10, lambda: on_disk(m.cache) <= LIMIT + MIB, "the cache stays above its limit")
    m.remount()
    m.verify(cab)
    assert warnings(m) == []


def test_readers_of_what_is_given_up(emulator, mount):
    """Who reads here and there in a CAB that is larger than the cache, while another one goes through it, never gets a
    byte that was just given up. [K12]"""
    size = 6 * LIMIT
    emulator.add_cabs(APP, FAILURE, size=size)
    cab, = emulator.cabs()
    truth = b"".join(emulator.content(cab["id"], off, LIMIT) for off in range(0, size, LIMIT))
    m = mount(cache_size=LIMIT, cache_free=0)
    over, wrong = threading.Event(), []

    def jump(seed):
        chance = random.Random(seed)
        fd = os.open(m.cab(cab), os.O_RDONLY)
        while not over.is_set():
            off = chance.randrange(size)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            if os.pread(fd, 20_000, off) != truth[off:off + 20_000]:
                wrong.append(off)
        os.close(fd)

    readers = [threading.Thread(target=jump, args=(seed,), daemon=True) for seed in range(8)]
    for reader in readers:
        reader.start()
    for _ in range(2):
        m.verify(cab)
    over.set()
    for reader in readers:
        reader.join(60)
        assert not reader.is_alive()
    assert wrong == []


# --- a disk of its own ----------------------------------------------------------------------------------------------


def read_all(emulator, m):
    for cab in emulator.cabs():
        m.verify(cab)


@needs_root
@pytest.mark.parametrize("size", ["64k", "4m", "24m"])
def test_tiny_disk(emulator, directory, size):
    """On a disk that is full before the first CAB is, all can be read, in bounded memory. [K5]"""
    for number in range(5):
        emulator.add_cabs(APP, FAILURE, seed=number, size=12 * MIB)
    with file_system(directory / "disk", size) as disk, \
            Mount(emulator, directory, driver=[APP], cache_dir=disk, cache_free=0) as m:
        read_all(emulator, m)
        before = resident(m)
        for _ in range(3):
            read_all(emulator, m)
        assert resident(m) < before + 64 * MIB
        assert len(warnings(m)) <= 1, warnings(m)
        m.remount()
        read_all(emulator, m)
        assert len(warnings(m)) <= 1, warnings(m)


@needs_root
def test_full_disk(emulator, directory):
    """The same if others have filled it before, also before the mount has made its directory; with room it keeps again.
    [K5]"""
    emulator.add_cabs(APP, FAILURE, count=3, size=3 * MIB)
    with file_system(directory / "disk", "40m") as disk:
        filler = disk / "others"
        with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
            while True:
                file.write(bytes(MIB))
        with Mount(emulator, directory, driver=[APP], cache_dir=disk / "cache", cache_free=0) as m:
            read_all(emulator, m)
            within(10, lambda: warnings(m), "nobody is told")
            assert len(warnings(m)) == 1 and "No space left on device" in warnings(m)[0], warnings(m)
            filler.unlink()
            m.remount()
            read_all(emulator, m)
            emulator.reset_counters()
            read_all(emulator, m)
            assert emulator.requests("blob-get") == 0
            assert warnings(m) == []


def make_cache(emulator, directory, place):
    """One CAB is wholly here, one in part, one not."""
    emulator.add_cabs(APP, FAILURE, count=3, size=3 * MIB)
    whole, part, other = emulator.cabs()
    with Mount(emulator, directory, driver=[APP], cache_dir=place, read_ahead=0) as m:
        m.verify(whole)
        read_at(m.cab(part), 2 * MIB, 100_000)
        os.listdir(m.path / APP)
    return whole, part, other


@needs_root
def test_read_only_at_start(emulator, directory):
    """A mount on a disk that cannot be written starts, reads what is there, and gets the rest. [K13]"""
    with file_system(directory / "disk", "40m") as disk:
        whole, part, other = make_cache(emulator, directory, disk / "cache")
        remount(disk, "ro")
        emulator.reset_counters()
        with Mount(emulator, directory, driver=[APP], cache_dir=disk / "cache") as m:
            assert os.listdir(m.path / APP) == [FAILURE]
            m.verify(whole)
            assert read_at(m.cab(part), 2 * MIB, 5000) == emulator.content(part["id"], 2 * MIB, 5000)
            assert emulator.requests("blob-get") == 0
            for _ in range(2):
                m.verify(part)
                m.verify(other)
            assert xattrs(m.cab(whole))["state"] == "cached"
            assert len(warnings(m)) == 1 and "read-only" in warnings(m)[0], warnings(m)


@needs_root
def test_read_only_and_empty(emulator, directory):
    """So it does where there is nothing, and no directory can be made. [K13]"""
    emulator.add_cabs(APP, FAILURE, count=2, size=MIB)
    with file_system(directory / "disk", "1m") as disk:
        remount(disk, "ro")
        for place in (disk, disk / "deep" / "cache"):
            with Mount(emulator, directory, driver=[APP], cache_dir=place) as m:
                read_all(emulator, m)
                read_all(emulator, m)
                assert len(warnings(m)) == 1 and str(place) in warnings(m)[0], warnings(m)


@needs_root
def test_read_only_meanwhile(emulator, directory):
    """What a kernel does with a disk that has errors: nothing is kept from then on, and all is read. [K5]"""
    emulator.add_cabs(APP, FAILURE, count=3, size=12 * MIB)
    cabs = emulator.cabs()
    with file_system(directory / "disk", "100m") as disk, \
            Mount(emulator, directory, driver=[APP], cache_dir=disk / "cache") as m:
        m.verify(cabs[0])
        with open(m.cab(cabs[1]), "rb", buffering=0) as file:
            assert file.read(1000) == emulator.content(cabs[1]["id"], 0, 1000)
            time.sleep(0.5)  # what was fetched ahead for it is written: nobody tells
            subprocess.run(["mount", "-o", "remount,ro,force", str(disk)], stderr=subprocess.DEVNULL)
            m.verify(cabs[1])
        read_all(emulator, m)
        assert len(warnings(m)) <= 1, warnings(m)


@needs_root
@pytest.mark.parametrize("way", ["removed", "unmounted"])
def test_vanishing_disk(emulator, directory, way):
    """A directory that is removed, or whose disk is taken away, under a mount: what is open is read on, and so is
    everything else. [K5]"""
    emulator.add_cabs(APP, FAILURE, count=4, size=3 * MIB)
    cabs = emulator.cabs()
    with file_system(directory / "disk", "40m") as disk, \
            Mount(emulator, directory, driver=[APP], cache_dir=disk / "cache") as m:
        m.verify(cabs[0])
        with open(m.cab(cabs[1]), "rb", buffering=0) as file:
            file.read(1000)
            if way == "removed":
                shutil.rmtree(disk / "cache")
            else:
                subprocess.run(["umount", "-l", str(disk)], check=True)
            assert os.pread(file.fileno(), 5000, MIB) == emulator.content(cabs[1]["id"], MIB, 5000)
            m.verify(cabs[1])
        for _ in range(2):
            read_all(emulator, m)
        assert len(warnings(m)) <= 1, warnings(m)
