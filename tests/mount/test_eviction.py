# SPDX-License-Identifier: MIT
"""What goes from the cache, when, and what stays; and two mounts on one cache."""
import os
import time

import pytest

from conftest import APP, FAILURE, OTHER_FAILURE
from mount import MountError, Reader, within, xattrs

MIB = 1 << 20
SLACK = 16 * MIB  # a sweep comes with every 8 MiB that were written
DAY = 86400


def on_disk(m):
    """Bytes of the cache directory."""
    total = 0
    for place, _, files in os.walk(m.cache):
        for name in files:
            try:
                total += os.lstat(os.path.join(place, name)).st_blocks * 512
            except FileNotFoundError:  # a sweep was faster
                pass
    return total


def is_cached(m, cab):
    """By the file, not by what the program says of it."""
    return any(f"{cab['id']}.cab" in files for _, _, files in os.walk(m.cache))


def state(m, cab):
    return xattrs(m.cab(cab))["state"]


def push(emulator, m, size=9 * MIB):
    """Brings a sweep about: reads something new, of which so much is written."""
    push.seed = getattr(push, "seed", 1000) + 1
    fresh = emulator.add_cabs(APP, OTHER_FAILURE, seed=push.seed, size=size, expiresAfter=300 * DAY)[0]
    path = m.path / APP / OTHER_FAILURE / f"{fresh}.cab"
    within(10, lambda: f"{fresh}.cab" in os.listdir(path.parent), "the new CAB is not listed")
    assert len(path.read_bytes()) == size
    return fresh


def test_limit(emulator, mount):
    """Reading much more than cache-size keeps the disk near it, and every byte right, also on the way back. [K3]"""
    emulator.add_cabs(APP, FAILURE, count=16, size=[5 * MIB, 3 * MIB])
    m = mount(cache_size=20 * MIB, cache_free=0)
    for cab in emulator.cabs() + emulator.cabs()[::-1]:
        m.verify(cab)
        assert on_disk(m) <= 20 * MIB + SLACK
    within(10, lambda: on_disk(m) <= 20 * MIB + 9 * MIB, "the cache stays above its limit")
    assert on_disk(m) > 8 * MIB, "much more went than had to"


def test_large_file(emulator, mount):
    """A CAB larger than the cache is read to its end, right, and leaves the cache within bounds. [K3]"""
    emulator.add_cabs(APP, FAILURE, size=60 * MIB)
    cab = emulator.cabs()[0]
    m = mount(cache_size=20 * MIB, cache_free=0)
    m.verify(cab)
    push(emulator, m)
    within(10, lambda: on_disk(m) <= 20 * MIB + SLACK, "the cache stays above its limit")
    m.verify(cab)


def test_soonest_first(emulator, mount):
    """The soonest to expire go first; among equals the least recently read."""
    for number, days in enumerate([30, 2, 20, 5]):
        emulator.add_cabs(APP, FAILURE, seed=number + 1, size=4 * MIB, expiresAfter=days * DAY)
    cabs = sorted(emulator.cabs(), key=lambda cab: cab["expires"])
    m = mount(cache_size=18 * MIB, cache_free=0, keep="365d", listing_ttl=0)
    for cab in cabs[::-1]:
        m.verify(cab)
    push(emulator, m)  # there are 24 MiB when it is swept: two of four have to go
    within(10, lambda: not is_cached(m, cabs[1]), "nothing goes")
    assert [is_cached(m, cab) for cab in cabs] == [False, False, True, True]
    assert [state(m, cab) for cab in cabs] == ["remote", "remote", "cached", "cached"]
    for cab in cabs:
        m.verify(cab)


def test_least_recently_read_first(emulator, mount):
    """Of CABs that expire together those go that nobody has read for long."""
    emulator.add_cabs(APP, FAILURE, count=4, size=4 * MIB, expires=int(time.time()) + 10 * DAY)
    cabs = emulator.cabs()
    m = mount(cache_size=18 * MIB, cache_free=0, listing_ttl=0)
    for cab in cabs:
        m.verify(cab)
        time.sleep(1.1)  # the disk's times are looked at in seconds
    m.verify(cabs[0])
    within(10, lambda: state(m, cabs[0]) == "cached", "it is not kept")
    push(emulator, m)
    within(10, lambda: not is_cached(m, cabs[2]), "nothing goes")
    assert [is_cached(m, cab) for cab in cabs] == [True, False, False, True]


def asked_from(emulator, cab):
    """Where the ranges begin that its host was asked for."""
    return [int(entry["range"].removeprefix("bytes=").split("-")[0]) for entry in emulator.log("blob-get", cab["id"])]


@pytest.mark.parametrize("part", ["whole", "head"])
def test_open_file_stays(emulator, mount, part):
    """What somebody has open is not evicted, whether all of it is here or a part; closed, it goes like others. [K4]"""
    emulator.add_cabs(APP, FAILURE, size=6 * MIB, expiresAfter=2 * DAY)
    emulator.add_cabs(APP, FAILURE, seed=2, count=3, size=6 * MIB, expiresAfter=20 * DAY)
    cabs = sorted(emulator.cabs(), key=lambda cab: cab["expires"])
    m = mount(cache_size=12 * MIB, cache_free=0, listing_ttl=0)
    length = 6 * MIB if part == "whole" else 200_000
    with open(m.cab(cabs[0]), "rb", buffering=0) as file:
        truth = emulator.content(cabs[0]["id"], 0, length)
        while file.tell() < length:
            assert file.read(min(1 << 17, length - file.tell()))
        for cab in cabs[1:]:
            m.verify(cab)
        push(emulator, m)
        within(10, lambda: not all(is_cached(m, cab) for cab in cabs), "nothing goes")
        assert is_cached(m, cabs[0])
        before = len(asked_from(emulator, cabs[0]))
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        data = b""
        while len(data) < length:
            data += os.pread(file.fileno(), min(1 << 17, length - len(data)), len(data))
        assert data == truth
        again = asked_from(emulator, cabs[0])[before:]
        assert all(start >= length for start in again), again  # what is read ahead may find room again
        if part == "head":  # and the rest of it can still be read
            assert os.pread(file.fileno(), 4096, 5 * MIB) == emulator.content(cabs[0]["id"], 5 * MIB, 4096)
    push(emulator, m)
    push(emulator, m)
    within(10, lambda: not is_cached(m, cabs[0]), "it stays when it is closed")
    m.verify(cabs[0])


def test_expired_bytes_go(emulator, mount):
    """The bytes of a CAB that has expired go at the next sweep, and with them its directory. [X1]"""
    expires = int(time.time()) + 4
    emulator.add_cabs(APP, FAILURE, count=2, size=MIB, expires=expires)
    emulator.add_cabs(APP, FAILURE, seed=2, size=MIB)
    cabs = emulator.cabs(APP, FAILURE)
    m = mount(listing_ttl=0, cache_free=0)
    for cab in cabs:
        m.verify(cab)
    soon = [cab for cab in cabs if cab["expires"] == expires]
    kept = [cab for cab in cabs if cab["expires"] != expires]
    assert len(soon) == 2 and all(is_cached(m, cab) for cab in cabs)
    with open(m.cab(soon[0]), "rb", buffering=0) as file:
        time.sleep(max(0, expires + 1.2 - time.time()))
        push(emulator, m)
        within(10, lambda: not any(is_cached(m, cab) for cab in soon), "expired bytes stay")
        # who has it open keeps what he holds
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        assert os.pread(file.fileno(), 65536, 0) == emulator.content(soon[0]["id"], 0, 65536)
    assert is_cached(m, kept[0])
    names = [name for name in os.listdir(m.cache) if name.endswith("Z")]
    assert time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(expires)) not in names
    with pytest.raises(FileNotFoundError):
        m.cab(soon[1]).read_bytes()


def test_expired_at_start(emulator, mount):
    """A mount begins with a sweep: what expired while nobody looked is gone soon after. [X3]"""
    expires = int(time.time()) + 3
    emulator.add_cabs(APP, FAILURE, size=MIB, expires=expires)
    cab = emulator.cabs()[0]
    m = mount(cache_free=0)
    m.verify(cab)
    m.unmount()
    assert is_cached(m, cab)
    time.sleep(max(0, expires + 1.2 - time.time()))
    m.mount()
    within(10, lambda: not is_cached(m, cab), "expired bytes stay")


def test_keep(emulator, mount):
    """Bytes go as long after their download as `keep` says, though the CAB lives on. [X2]"""
    emulator.add_cabs(APP, FAILURE, size=MIB)
    cab = emulator.cabs()[0]
    m = mount(keep="3s", listing_ttl=0, cache_free=0)
    m.verify(cab)
    assert is_cached(m, cab)
    time.sleep(4.2)
    fresh = push(emulator, m)
    within(10, lambda: not is_cached(m, cab), "the bytes stay")
    assert is_cached(m, {"id": fresh})
    m.verify(cab)


def test_free_space(emulator, mount):
    """Where the file system is to be left emptier than it is, nothing is kept, and everything can be read. [K5]"""
    emulator.add_cabs(APP, FAILURE, count=3, size=5 * MIB)
    m = mount(cache_free="100%")
    for cab in emulator.cabs() * 2:
        m.verify(cab)
    within(10, lambda: on_disk(m) < 9 * MIB, "the disk is filled")


def test_unlimited(emulator, mount):
    """cache-size = 0 is no limit."""
    emulator.add_cabs(APP, FAILURE, count=6, size=5 * MIB)
    m = mount(cache_size=0, cache_free=0)
    for cab in emulator.cabs():
        m.verify(cab)
    m.remount()  # with a sweep
    assert [state(m, cab) for cab in emulator.cabs()] == ["cached"] * 6


# --- one cache, two mounts --------------------------------------------------------------------------------------


def test_shared_cache(emulator, mount, directory):
    """What one process has brought, another one reads without a request: lists, sizes and bytes. [S1]"""
    emulator.add_cabs(APP, FAILURE, count=4, size=[2 * MIB, 100_000])
    shared = str(directory / "shared")
    one, two = (mount(cache_dir=shared) for _ in range(2))
    for cab in emulator.cabs():
        one.verify(cab)
        within(10, lambda: state(one, cab) == "cached", "it is not kept")
    assert os.listdir(one.path / APP) == [FAILURE]
    one.unmount()  # lists and sizes are written behind, by then at the latest
    one.mount()
    emulator.reset_counters()
    assert os.listdir(two.path / APP) == [FAILURE]
    for cab in emulator.cabs():
        assert os.stat(two.cab(cab)).st_size == cab["size"]
        two.verify(cab)
        one.verify(cab)
        assert state(two, cab) == "cached"
    counters = emulator.counters()
    assert counters["requests"] == 0, counters["endpoints"]


def test_shared_while_open(emulator, mount, directory):
    """Neither who reads in one process nor who reads in the other disturbs the other one, at any moment. [S2]"""
    emulator.add_cabs(APP, FAILURE, count=6, size=5 * MIB)
    shared = str(directory / "shared")
    one, two = (mount(cache_dir=shared) for _ in range(2))
    readers = [Reader(m.verify, cab) for cab in emulator.cabs() for m in (one, two)]
    for reader in readers:
        reader.get(60)
        assert reader.error is None
    for cab in emulator.cabs():  # by now one of the two has all of it
        within(10, lambda: "cached" in (state(one, cab), state(two, cab)), "it is kept by nobody")
    for m in (one, two):
        m.remount()
    emulator.reset_counters()
    for cab in emulator.cabs():
        one.verify(cab)
        two.verify(cab)
    assert emulator.requests("blob-get") == 0


def test_shared_and_evicted(emulator, mount, directory):
    """The sweeps of one process leave alone what the other one has open, and take nothing from under it. [S3]"""
    emulator.add_cabs(APP, FAILURE, size=6 * MIB, expiresAfter=2 * DAY)
    emulator.add_cabs(APP, FAILURE, seed=2, count=4, size=6 * MIB, expiresAfter=20 * DAY)
    cabs = sorted(emulator.cabs(), key=lambda cab: cab["expires"])
    shared = directory / "shared"
    one, two = (mount(cache_dir=str(shared), cache_size=12 * MIB, cache_free=0) for _ in range(2))
    one.cache = two.cache = shared
    with open(one.cab(cabs[0]), "rb", buffering=0) as file:
        truth = emulator.content(cabs[0]["id"])
        assert b"".join(iter(lambda: file.read(1 << 17), b"")) == truth
        for cab in cabs[1:]:
            two.verify(cab)
        within(10, lambda: on_disk(two) <= 12 * MIB + SLACK, "nothing goes")
        assert is_cached(one, cabs[0])
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        before = emulator.counters()["cabs"][cabs[0]["id"]]["get"]
        assert b"".join(os.pread(file.fileno(), 1 << 17, off) for off in range(0, 6 * MIB, 1 << 17)) == truth
        assert emulator.counters()["cabs"][cabs[0]["id"]]["get"] == before
    for cab in cabs:
        one.verify(cab)
        two.verify(cab)


def test_cache_of_somebody_else(emulator, mount, directory):
    """A directory that is swept is never one that holds other things. [S4]"""
    other = directory / "documents"
    other.mkdir()
    (other / "letter.txt").write_text("precious")
    with pytest.raises(MountError, match="holds other files"):
        mount(cache_dir=str(other))
    assert os.listdir(other) == ["letter.txt"]
