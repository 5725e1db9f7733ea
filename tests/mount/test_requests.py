# SPDX-License-Identifier: MIT
"""The rows of the benchmark (tests/bench) as exact counts of requests and bytes: what makes them fast, without a clock."""
import os
import random
import subprocess

import pytest

from conftest import APP, FAILURE
from mount import Reader, read_at

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
HEAD = 256 * KIB
MANY = 1500


@pytest.fixture
def one(emulator):
    def add(size):
        emulator.add_cabs(APP, FAILURE, size=size)
        return emulator.cabs(APP, FAILURE)[0]
    return add


def blob(emulator, cab):
    counters = emulator.counters()
    of_cab = counters["cabs"][cab["id"]]
    return {**of_cab, "connections": counters["connections"]["blob"]["opened"],
            "parallel": counters["concurrent"]["blobMax"]}


def read_all(path, block=256 * KIB):
    with open(path, "rb", buffering=0) as file:
        while file.read(block):
            pass


def requests(emulator):
    return emulator.counters(cabs=False)["requests"]


def test_cold_sequential(emulator, mount, one):
    """Each byte once, by ranges of 4 MiB once it streams, no HEAD before."""
    cab = one(96 * MIB)
    mounted = mount()
    read_all(mounted.cab(cab))
    seen = blob(emulator, cab)
    assert (seen["bytes"], seen["head"]) == (96 * MIB, 0)
    assert seen["get"] <= 96 // 4 + 24
    assert seen["connections"] <= 16


def test_cold_sequential_far(emulator, mount, one):
    """Where each answer takes its time, all connections are at work, but the one for who reads something else."""
    cab = one(160 * MIB)
    emulator.fault("latency", "blob-get", ms=200)
    mounted = mount()
    read_all(mounted.cab(cab))
    seen = blob(emulator, cab)
    assert seen["bytes"] == 160 * MIB
    assert 15 <= seen["parallel"] <= seen["connections"] <= 16


def test_first_byte(emulator, mount, one):
    """Of a directory that was listed: one connection, one request, which tells the size too."""
    cab = one(GIB)
    mounted = mount()
    os.listdir(mounted.cab(cab).parent)
    emulator.reset_counters()
    assert read_at(mounted.cab(cab), 0, 4096) == emulator.content(cab["id"], 0, 4096)
    seen = blob(emulator, cab)
    assert (seen["get"], seen["head"], seen["connections"]) == (1, 0, 1)
    assert seen["bytes"] <= HEAD
    assert requests(emulator) == 1


def test_first_byte_of_a_fresh_mount(emulator, mount, one):
    """Of which nothing is known: a token, one page, one range."""
    cab = one(GIB)
    mounted = mount()
    read_at(mounted.cab(cab), 0, 4096)
    endpoints = {name: seen["requests"] for name, seen in emulator.counters()["endpoints"].items() if seen["requests"]}
    assert endpoints == {"login": 1, "batch": 1, "blob-get": 1}


def test_random_reads(emulator, mount, one):
    """20 of 64 KiB in 4 GiB: a request each, and little more than what was asked for."""
    cab = one(4 * GIB)
    mounted = mount()
    chance = random.Random(20)
    fd = os.open(mounted.cab(cab), os.O_RDONLY)
    try:
        for _ in range(20):
            off = chance.randrange(cab["size"] - 64 * KIB)
            assert os.pread(fd, 64 * KIB, off) == emulator.content(cab["id"], off, 64 * KIB)
    finally:
        os.close(fd)
    seen = blob(emulator, cab)
    assert seen["get"] <= 21
    assert seen["bytes"] <= HEAD + 20 * 192 * KIB


def test_eight_readers(emulator, mount, one):
    cab = one(64 * MIB)
    mounted = mount()
    readers = [Reader(read_all, mounted.cab(cab)) for _ in range(8)]
    for reader in readers:
        reader.get()
    assert blob(emulator, cab)["bytes"] == 64 * MIB


def test_a_small_cab_is_one_request(emulator, mount, one):
    cab = one(200 * KIB)
    mounted = mount()
    mounted.verify(cab)
    seen = blob(emulator, cab)
    assert (seen["get"], seen["head"], seen["bytes"]) == (1, 0, 200 * KIB)


def test_names(emulator, mount):
    """A page for each hundred, two beyond the end at most, and nothing of the CABs themselves."""
    emulator.add_cabs(APP, FAILURE, count=10_000)
    mounted = mount()
    assert len(os.listdir(mounted.path / APP / FAILURE)) == 10_000
    endpoints = emulator.counters(cabs=False)["endpoints"]
    assert endpoints["blob-head"]["requests"] == endpoints["blob-get"]["requests"] == 0
    assert 100 <= endpoints["batch"]["requests"] <= 102


def calls(mounted):
    """System calls that read, of the program: each request of the kernel is one of them."""
    with open(f"/proc/{mounted.process.pid}/io", encoding="ascii") as counters:
        return int(dict(line.split(": ") for line in counters)["syscr"])


def ls(mounted):
    return subprocess.run(["ls", "-l", mounted.path / APP / FAILURE], check=True, capture_output=True,
                          text=True).stdout.count(".cab")


def test_ls(emulator, mount):
    """A HEAD for each CAB, 64 at a time; after a remount none; and what the kernel knows it does not ask us for."""
    emulator.add_cabs(APP, FAILURE, count=MANY)
    held = emulator.fault("hold", "blob-head", skip=MANY // 2)
    mounted = mount()
    reader = Reader(ls, mounted)
    emulator.wait_held(64)
    emulator.clear_faults(held)
    assert reader.get() == MANY
    counters = emulator.counters(cabs=False)
    assert counters["endpoints"]["blob-head"]["requests"] == MANY
    assert counters["endpoints"]["blob-get"]["requests"] == 0
    assert counters["concurrent"]["blobMax"] == counters["connections"]["blob"]["opened"] == 64
    mounted.remount()
    emulator.reset_counters()
    assert ls(mounted) == MANY
    assert requests(emulator) == 0
    before = calls(mounted)
    assert ls(mounted) == MANY
    assert calls(mounted) - before < MANY / 20
