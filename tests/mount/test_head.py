# SPDX-License-Identifier: MIT
"""The first pages of a CAB, which come with its open: no read waits for what the first packets of a host bring."""
import os
import subprocess

import pytest

from conftest import APP, FAILURE
from mount import Reader, tool

KIB = 1 << 10
HEAD = 8 * KIB

# Whether the kernel was told the size before the open.
sizes = pytest.mark.parametrize("sized", [False, True], ids=["size-unknown", "size-known"])


def one(emulator, size):
    emulator.add_cabs(APP, FAILURE, size=size)
    return emulator.cabs(APP, FAILURE)[0]


def opened(mounted, cab, sized):
    path = mounted.cab(cab)
    if sized:
        assert os.stat(path).st_size == cab["size"]
    else:
        os.listdir(path.parent)
    return os.open(path, os.O_RDONLY)


def read(descriptor, size, offset):
    return Reader(os.pread, descriptor, size, offset).get(30)


@sizes
def test_what_has_come_is_read_while_the_host_is_silent(emulator, mount, sized):
    """The kernel asks for 16 KiB at least: who wants less has it as soon as it has come. [B9]"""
    cab = one(emulator, 200_000)
    truth = emulator.content(cab["id"])
    emulator.fault("stall", "blob-get", after=HEAD + 100)
    descriptor = opened(mount(), cab, sized)
    try:
        emulator.wait_held(1)
        for size, offset in ((4096, 0), (100, 5000), (HEAD, 0), (4096, HEAD - 4096)):
            assert read(descriptor, size, offset) == truth[offset:offset + size]
        rest = Reader(os.pread, descriptor, 1 << 20, 0)
        emulator.clear_faults()
        assert rest.get(30) == truth
        assert os.fstat(descriptor).st_size == cab["size"]
        assert emulator.requests("blob-get") == 1
    finally:
        os.close(descriptor)


@sizes
@pytest.mark.parametrize("size", [1, 4095, 4096, 5000, HEAD - 1, HEAD, HEAD + 1, 16 * KIB])
def test_ends_where_it_ends(emulator, mount, size, sized):
    """Small CABs, which have their end among those pages."""
    cab = one(emulator, size)
    descriptor = opened(mount(), cab, sized)
    try:
        truth = emulator.content(cab["id"])
        assert read(descriptor, 100, size - 1) == truth[-1:]
        assert read(descriptor, 100, size) == b""
        assert read(descriptor, 1 << 20, 0) == truth
        assert os.fstat(descriptor).st_size == size
    finally:
        os.close(descriptor)
    assert emulator.requests("blob-get") == 1


def test_a_host_that_says_its_headers_only_is_not_waited_for(emulator, mount):
    """The open is answered without the pages after a while; reads wait for the bytes. [B9]"""
    cab = one(emulator, 200_000)
    emulator.fault("stall", "blob-get", after=0)
    descriptor = Reader(opened, mount(), cab, False).get(30)
    try:
        reader = Reader(os.pread, descriptor, 4096, 0)
        emulator.wait_held(1)
        emulator.clear_faults()
        assert reader.get(30) == emulator.content(cab["id"])[:4096]
    finally:
        os.close(descriptor)


def test_many_open_it_for_the_first_time(emulator, mount):
    """Whoever is first: all have the head, and one request brought it."""
    cab = one(emulator, 200_000)
    truth = emulator.content(cab["id"])
    emulator.fault("stall", "blob-get", after=HEAD + 100)
    mounted = mount()
    os.listdir(mounted.cab(cab).parent)
    openers = [Reader(os.open, mounted.cab(cab), os.O_RDONLY) for _ in range(20)]
    descriptors = [opener.get(30) for opener in openers]
    try:
        emulator.wait_held(1)
        assert {read(descriptor, 4096, 4096) for descriptor in descriptors} == {truth[4096:8192]}
        assert emulator.requests("blob-get") == 1
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


@pytest.mark.skipif(os.geteuid() != 0, reason="umount -f is for root")
def test_taken_away_while_opens_wait(emulator, mount):
    """The mount ends in good order when it is taken from under programs whose opens wait for first pages."""
    emulator.add_cabs(APP, FAILURE, count=40, size=200_000)
    cabs = emulator.cabs(APP, FAILURE)
    mounted = mount()
    for _ in range(15):
        os.listdir(mounted.cab(cabs[0]).parent)
        silent = emulator.fault("stall", "blob-get", after=0)
        openers = [Reader(os.open, mounted.cab(cab), os.O_RDONLY) for cab in cabs]
        emulator.wait_held(16)
        subprocess.run([tool("umount"), "-f", mounted.path], check=False, timeout=10)
        mounted.wait_end(10)
        for opener in openers:
            opener.get(10)
            assert opener.error is not None
        emulator.clear_faults(silent)
        mounted.mount()
