# SPDX-License-Identifier: MIT
"""Reading: any bytes of a CAB of any size, each of them brought once, by whatever way and by however many."""
import hashlib
import mmap
import os
import random
import re
import subprocess
import threading
import time
from pathlib import Path

import pytest

from conftest import APP, FAILURE
from mount import PROGRAM, Reader, read_at, wait_in_fuse, wait_until, xattrs

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
LONG = bool(os.environ.get("CABFS_LONG"))
SANITIZED = b"__asan_init" in Path(PROGRAM).read_bytes() if os.path.exists(PROGRAM) else False


@pytest.fixture
def one(emulator):
    """one(size, …) adds a CAB and gives it as the emulator lists it."""
    def add(size, **rule):
        cab, = emulator.add_cabs(APP, FAILURE, size=size, **rule)
        return next(item for item in emulator.cabs(APP, FAILURE) if item["id"] == cab)
    return add


def moved(emulator, cab):
    """Bytes of the CAB that the blob host has sent."""
    return emulator.counters()["cabs"].get(cab["id"], {"bytes": 0})["bytes"]


def sha256_of(path, block=MIB):
    sha = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while data := file.read(block):
            sha.update(data)
    return sha.hexdigest()


def check_ranges(emulator, cab, fd, ranges):
    for off, length in ranges:
        wanted = emulator.content(cab["id"], off, length) if off < cab["size"] else b""
        assert os.pread(fd, length, off) == wanted, (off, length)


# --- a very large CAB -----------------------------------------------------------------------------------------------


def test_random_reads_of_a_large_cab(emulator, mount, one):
    """200 reads of 64 KiB somewhere in more than 4 GiB: right, and below 64 MiB moved."""
    cab = one(4 * GIB + 12_345)
    mounted = mount()
    chance = random.Random(4)
    fd = os.open(mounted.cab(cab), os.O_RDONLY)
    try:
        assert os.fstat(fd).st_size == cab["size"]
        check_ranges(emulator, cab, fd, [(chance.randrange(cab["size"] - 64 * KIB), 64 * KIB) for _ in range(200)])
    finally:
        os.close(fd)
    assert moved(emulator, cab) < 64 * MIB


def test_beyond_four_gib(emulator, mount, one):
    """Offsets around 2 and 4 GiB are not cut to 31 or 32 bits, by read, mmap and O_DIRECT."""
    cab = one(4 * GIB + 3 * MIB + 1)
    mounted = mount()
    offsets = [2 * GIB - 4096, 2 * GIB, 4 * GIB - 4096, 4 * GIB, 4 * GIB + 2 * MIB]
    with open(mounted.cab(cab), "rb", buffering=0) as file, \
            mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        check_ranges(emulator, cab, file.fileno(), [(off, 8192) for off in offsets])
        for off in offsets:
            assert mapped[off + 8192:off + 16384] == emulator.content(cab["id"], off + 8192, 8192)
        assert file.seek(-1, os.SEEK_END) == cab["size"] - 1
        assert file.read(10) == emulator.content(cab["id"], cab["size"] - 1, 1)


def test_pieces_side_by_side(emulator, mount, one):
    """Four small reads in a row in each of ten places, as of a debugger, fetch pieces and not the file."""
    cab = one(GIB)
    chance = random.Random(10)
    fd = os.open(mount().cab(cab), os.O_RDONLY)
    try:
        for _ in range(10):
            off = chance.randrange(cab["size"] - MIB)
            check_ranges(emulator, cab, fd, [(off + i * 8 * KIB, 8 * KIB) for i in range(4)])
    finally:
        os.close(fd)
    assert moved(emulator, cab) < 32 * MIB


def test_sha256sum(emulator, mount, one):
    """300 MiB from end to end are right and come exactly once; the second time nothing comes."""
    cab = one(300 * MIB)
    mounted = mount()
    for _ in range(2):
        shown = subprocess.run(["sha256sum", mounted.cab(cab)], check=True, capture_output=True, text=True, timeout=120)
        assert shown.stdout.split()[0] == emulator.sha256(cab["id"])
        assert moved(emulator, cab) == cab["size"]
    assert emulator.counters()["cabs"][cab["id"]]["get"] <= 300 // 4 + 24


# --- ways to read ---------------------------------------------------------------------------------------------------


def test_mmap(emulator, mount, one):
    """Page faults here and there, then from end to end."""
    cab = one(40 * MIB + 5)
    mounted = mount()
    chance = random.Random(1)
    with open(mounted.cab(cab), "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        for _ in range(50):
            off = chance.randrange(cab["size"])
            assert mapped[off:off + 100] == emulator.content(cab["id"], off, min(100, cab["size"] - off))
        assert mapped[-1:] == emulator.content(cab["id"], cab["size"] - 1, 1)
        assert hashlib.sha256(mapped).hexdigest() == emulator.sha256(cab["id"])
    assert moved(emulator, cab) <= 1.05 * cab["size"]


def test_mmap_from_end_to_end(emulator, mount, one):
    """A CAB that is only ever mapped comes once."""
    cab = one(40 * MIB + 5)
    with open(mount().cab(cab), "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        assert hashlib.sha256(mapped).hexdigest() == emulator.sha256(cab["id"])
    assert moved(emulator, cab) == cab["size"]


def test_direct(emulator, mount, one):
    """O_DIRECT, past the kernel's page cache, in small and large pieces, at the end, and beside who reads with it."""
    cab = one(10 * MIB + 777)
    path = mount().cab(cab)
    direct, cached = os.open(path, os.O_RDONLY | os.O_DIRECT), os.open(path, os.O_RDONLY)
    try:
        for off, length in ((0, 4096), (4096, 512 * KIB), (9 * MIB, 4 * MIB), (10 * MIB, 4096), (11 * MIB, 4096),
                            (3 * MIB, 3 * MIB), (0, 4096)):
            with mmap.mmap(-1, length) as buffer:
                got = os.preadv(direct, [buffer], off)
                wanted = emulator.content(cab["id"], off, length) if off < cab["size"] else b""
                assert buffer[:got] == wanted == os.pread(cached, length, off)
    finally:
        os.close(direct)
        os.close(cached)
    assert moved(emulator, cab) <= 1.05 * cab["size"]


def test_direct_from_end_to_end(emulator, mount, one):
    """dd with O_DIRECT brings every byte once."""
    cab = one(20 * MIB + 3)
    path = mount().cab(cab)
    data = subprocess.run(["dd", f"if={path}", "iflag=direct", "bs=1M", "status=none"], check=True, capture_output=True,
                          timeout=60).stdout
    assert hashlib.sha256(data).hexdigest() == emulator.sha256(cab["id"])
    assert moved(emulator, cab) == cab["size"]


@pytest.mark.parametrize("block", [4 * KIB, 64 * KIB, 100_000, MIB])
def test_backwards(emulator, mount, one, block):
    """From the end to the beginning: right, and not more than once."""
    cab = one(8 * MIB + 4321)
    mounted = mount()
    fd = os.open(mounted.cab(cab), os.O_RDONLY)
    pieces = []
    try:
        end = cab["size"]
        while end > 0:
            start = max(0, end - block)
            pieces.append(os.pread(fd, end - start, start))
            end = start
    finally:
        os.close(fd)
    assert hashlib.sha256(b"".join(reversed(pieces))).hexdigest() == emulator.sha256(cab["id"])
    assert moved(emulator, cab) == cab["size"]


@pytest.mark.parametrize("same", [True, False], ids=["one descriptor", "two descriptors"])
def test_two_interleaved_readers(emulator, mount, one, same):
    """Two who read one after the other in turn, in different places, are both right, and cost no byte twice."""
    cab = one(60 * MIB + 1)
    path = mount().cab(cab)
    first = os.open(path, os.O_RDONLY)
    second = first if same else os.open(path, os.O_RDONLY)
    half, block = 30 * MIB, 128 * KIB
    left, right = hashlib.sha256(), []
    try:
        for off in range(0, half, block):
            left.update(os.pread(first, block, off))
            right.append(os.pread(second, block, half + off))
        right.append(os.pread(second, block, 2 * half))
    finally:
        os.close(first)
        if not same:
            os.close(second)
    for piece in right:
        left.update(piece)
    assert left.hexdigest() == emulator.sha256(cab["id"])
    assert moved(emulator, cab) == cab["size"]


def test_readers_everywhere(emulator, mount, one):
    """Eight threads read pieces in a random order: every piece right, every byte once. [C1]"""
    cab = one(24 * MIB)
    path = mount().cab(cab)
    truth = emulator.content(cab["id"])
    pieces = list(range(0, cab["size"], 300_007))
    random.Random(7).shuffle(pieces)
    wrong = []

    def read(mine):
        fd = os.open(path, os.O_RDONLY)
        try:
            wrong.extend(off for off in mine if os.pread(fd, 300_007, off) != truth[off:off + 300_007])
        finally:
            os.close(fd)

    readers = [Reader(read, pieces[i::8]) for i in range(8)]
    for reader in readers:
        reader.get()
        assert reader.error is None
    assert not wrong
    assert moved(emulator, cab) == cab["size"]


def test_fifty_readers_of_one_cold_cab(emulator, mount, one):
    """Fifty programs open and read what nobody has: one download, and right for all. [C1]"""
    cab = one(20 * MIB + 99)
    path = mount().cab(cab)
    os.listdir(path.parent)
    hold = emulator.fault("hold", "blob-get", count=1)
    readers = [Reader(sha256_of, path) for _ in range(50)]
    emulator.wait_held(1)
    wait_in_fuse(readers)
    assert emulator.requests("blob-get") == 1
    emulator.clear_faults(hold)
    assert {reader.get() for reader in readers} == {emulator.sha256(cab["id"])}
    assert moved(emulator, cab) <= 1.05 * cab["size"]


# --- the edges ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 2, 4095, 4096, 4097, 256 * KIB - 1, 256 * KIB, 256 * KIB + 1, 8 * MIB - 1,
                                  8 * MIB, 8 * MIB + 1])
def test_edges(emulator, mount, one, size):
    """Reads across, at and behind the end, of sizes around those that mean something to kernel, plan and host. [B1]"""
    cab = one(size)
    mounted = mount()
    ends = [(0, 1), (0, size + 10), (max(0, size - 1), 1), (max(0, size - 1), 100), (size, 1), (size, 4096),
            (size + 1, 1), (size + 4096, 4096), (size + GIB, 10), (max(0, size - 5000), 10_000)]
    random.Random(size).shuffle(ends)
    fd = os.open(mounted.cab(cab), os.O_RDONLY)
    try:
        check_ranges(emulator, cab, fd, ends)
        assert os.lseek(fd, 0, os.SEEK_END) == size
        assert os.read(fd, 1) == b""
        assert os.pread(fd, 0, 0) == b""
    finally:
        os.close(fd)
    mounted.verify(cab)
    mounted.remount()
    emulator.reset_counters()
    mounted.verify(cab)
    assert moved(emulator, cab) == 0


def test_an_empty_cab_is_known_to_be_empty(emulator, mount, one):
    """0 bytes are a size like any other: known after one open, and after a remount."""
    cab = one(0)
    mounted = mount(sizes="lazy")
    assert read_at(mounted.cab(cab), 0, 10) == b""
    wait_until(lambda: xattrs(mounted.cab(cab))["state"] == "cached", "it is all here")
    emulator.reset_counters()
    mounted.remount()
    assert Path(mounted.cab(cab)).read_bytes() == b""
    assert emulator.counters(cabs=False)["requests"] == 0


def test_open_without_read(emulator, mount, one):
    """Costs one small range, which the next who opens has; many do no harm."""
    cab = one(100 * MIB)
    mounted = mount()
    fd = os.open(mounted.cab(cab), os.O_RDONLY)
    wait_until(lambda: "kind" in xattrs(mounted.cab(cab)) and not emulator.counters()["concurrent"]["blobNow"],
               "the range is here")
    os.close(fd)
    for _ in range(100):
        os.close(os.open(mounted.cab(cab), os.O_RDONLY))
    assert emulator.counters()["cabs"][cab["id"]]["get"] == 1
    assert moved(emulator, cab) <= 256 * KIB
    check = os.open(mounted.cab(cab), os.O_RDONLY)
    try:
        check_ranges(emulator, cab, check, [(0, 100), (50 * MIB, 4096)])
    finally:
        os.close(check)


def test_close_ends_the_download(emulator, mount, one):
    """What was fetched ahead of a reader who goes away does not come on and on. [C5]"""
    cab = one(GIB)
    mounted = mount()
    emulator.fault("bandwidth", "blob-get", rate=20 * MIB, scope="total")
    fd = os.open(mounted.cab(cab), os.O_RDONLY)
    for _ in range(16):
        os.read(fd, 128 * KIB)
    os.close(fd)
    wait_until(lambda: emulator.counters(cabs=False)["concurrent"]["blobNow"] == 0, "no transfer any more", 10)
    assert moved(emulator, cab) <= 64 * MIB
    before = moved(emulator, cab)
    time.sleep(0.3)
    assert moved(emulator, cab) == before


# --- going on -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("remount", [False, True], ids=["at once", "after a remount"])
def test_reopen_brings_the_rest(emulator, mount, one, remount):
    """Who reads a part, and later all, has only what was missing brought the second time. [K1]"""
    cab = one(30 * MIB + 17)
    mounted = mount(read_ahead=0)
    fd = os.open(mounted.cab(cab), os.O_RDONLY)
    try:
        check_ranges(emulator, cab, fd, [(off, 300 * KIB) for off in range(0, cab["size"], 4 * MIB + 4096)])
    finally:
        os.close(fd)
    part = moved(emulator, cab)
    assert 2 * MIB < part < 10 * MIB
    if remount:
        mounted.remount()
    mounted.verify(cab)
    assert moved(emulator, cab) == cab["size"]


def test_reopen_after_streaming(emulator, mount, one):
    """The same with the usual read-ahead: at most what was cut off comes twice."""
    cab = one(100 * MIB)
    mounted = mount()
    with open(mounted.cab(cab), "rb", buffering=0) as file:
        for _ in range(40):
            file.read(128 * KIB)
    mounted.remount()
    mounted.verify(cab)
    assert cab["size"] <= moved(emulator, cab) <= cab["size"] + 16 * MIB


def test_pages_of_the_kernel(emulator, mount, one):
    """Reading again what was read needs nobody: not the host, not even this program."""
    cab = one(10 * MIB)
    mounted = mount()
    mounted.verify(cab)
    fd = os.open(mounted.cab(cab), os.O_RDONLY)
    try:
        os.kill(mounted.process.pid, 19)  # SIGSTOP
        try:
            reader = Reader(lambda: os.pread(fd, 5 * MIB, 2 * MIB))
            assert reader.get(10) == emulator.content(cab["id"], 2 * MIB, 5 * MIB)
        finally:
            os.kill(mounted.process.pid, 18)  # SIGCONT
    finally:
        os.close(fd)


# --- signatures that run out ----------------------------------------------------------------------------------------


def batch_requests(emulator):
    return emulator.requests("batch") + emulator.requests("cabdownload")


def refusals(emulator):
    return emulator.counters(cabs=False)["endpoints"]["blob-get"]["statuses"].get("403", 0)


def test_signatures_of_two_seconds_under_a_slow_reader(emulator, mount, one):
    """A reader who takes his time gets every byte though the addresses run out again and again."""
    seconds = 60 if LONG else 20
    emulator.config(sasLife=2000)
    cab = one(4 * seconds * 256 * KIB)
    mounted = mount(read_ahead=0)
    with open(mounted.cab(cab), "rb", buffering=0) as file:
        begin = time.monotonic()
        sha = hashlib.sha256()
        for i in range(4 * seconds):
            left = begin + i / 4 - time.monotonic()
            if left > 0:
                time.sleep(left)  # the pace of the reader is what is tested
            os.posix_fadvise(file.fileno(), i * 256 * KIB, 256 * KIB, os.POSIX_FADV_RANDOM)
            sha.update(os.pread(file.fileno(), 256 * KIB, i * 256 * KIB))
        took = time.monotonic() - begin
    assert sha.hexdigest() == emulator.sha256(cab["id"])
    assert moved(emulator, cab) == cab["size"]
    assert took / 4 - 1 <= batch_requests(emulator) <= took + 3, "renewed when they run out, not otherwise"
    assert refusals(emulator) <= batch_requests(emulator)


def test_signatures_of_two_seconds_under_a_slow_host(emulator, mount, one):
    """A stream whose connection breaks off goes on at the missing byte, on a new address where that is needed."""
    seconds = 60 if LONG else 8
    emulator.config(sasLife=2000)
    cab = one(seconds * MIB)
    emulator.fault("bandwidth", "blob-get", rate=MIB, scope="total")
    emulator.fault("short", "blob-get", after=400_000)
    mounted = mount(connections=1)
    begin = time.monotonic()
    mounted.verify(cab)
    took = time.monotonic() - begin
    assert 3 <= batch_requests(emulator) <= took + 3, f"in {took} s"
    assert refusals(emulator) <= batch_requests(emulator)
    assert moved(emulator, cab) == cab["size"]


def test_signatures_that_have_run_out_already(emulator, mount, one):
    """Addresses of an old list are asked for anew; for many CABs that is not a request each."""
    emulator.config(sasLife=1000)
    for seed in range(30):
        one(1000, seed=seed)
    mounted = mount()
    os.listdir(mounted.path / APP / FAILURE)
    time.sleep(2.1)  # `se` has whole seconds
    emulator.config(sasLife=600_000)
    emulator.reset_counters()
    for cab in emulator.cabs():
        mounted.verify(cab)
    assert refusals(emulator) == 0, "that they had run out stood in them"
    assert batch_requests(emulator) <= 3


# --- memory ---------------------------------------------------------------------------------------------------------


def resident(process, name="VmRSS"):
    text = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(rf"{name}:\s+(\d+) kB", text)[1]) * KIB


def test_memory_does_not_depend_on_sizes(emulator, mount, one):
    """Reading a GiB takes no more memory than buffers and connections."""
    cab = one(GIB)
    options = ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), "quarantine_size_mb=8", "malloc_context_size=2"]))
    mounted = mount(environment={"ASAN_OPTIONS": options})
    small = one(MIB, seed=2)
    mounted.verify(small)
    before = resident(mounted.process)
    most, done = [before], threading.Event()

    def watch():
        while not done.wait(0.02):
            most.append(resident(mounted.process))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        mounted.verify(cab)
    finally:
        done.set()
        watcher.join()
    growth = max(most) - before
    assert growth < (100 * MIB if SANITIZED else 48 * MIB), f"{growth / MIB:.0f} MiB more"
