# SPDX-License-Identifier: MIT
"""Promises of cabfs-semantics(7) about members, as one test each.  Those of other things, and how members behave in
detail, have tests of their own."""
import os
import subprocess

from conftest import APP, FAILURE
from mount import errno_of, tool

CABINET = "null-write-mszip.cab"


def open_cab(mounted, cab):
    path = mounted.cab(cab)
    return path.with_name(path.name + ".d")


def extract(emulator, cab, directory):
    """What another program takes out of the CAB."""
    (directory / "copy.cab").write_bytes(emulator.content(cab["id"]))
    subprocess.run([tool("cabextract"), "-q", "-d", directory / "truth", directory / "copy.cab"], check=True, timeout=60)
    return {path.name: path.read_bytes() for path in (directory / "truth").iterdir()}


def read_all(place):
    return {name: (place / name).read_bytes() for name in os.listdir(place)}


def test_members_are_hidden(emulator, mount):
    """Only who knows the name finds the open CAB. [M1]"""
    emulator.add_cabs(APP, FAILURE, payload=CABINET, count=2)
    m = mount(members="hidden")
    assert sorted(os.listdir(m.path / APP / FAILURE)) == sorted(f"{cab['id']}.cab" for cab in emulator.cabs())
    for cab in emulator.cabs():
        assert os.listdir(open_cab(m, cab))


def test_members(emulator, mount, directory):
    """They are those of the CAB, and the next mount has them without a request for the CAB. [M2, M3]"""
    emulator.add_cabs(APP, FAILURE, payload=CABINET)
    cab, = emulator.cabs()
    truth = extract(emulator, cab, directory)
    m = mount()
    assert read_all(open_cab(m, cab)) == truth != {}
    m.remount()
    emulator.reset_counters()
    assert read_all(open_cab(m, cab)) == truth
    assert emulator.requests("blob-get") == emulator.requests("blob-head") == 0


def test_damaged_archive(emulator, mount, directory):
    """A flipped byte in the data: the member is an error, not something else, and the CAB is what its host has. [M4]"""
    emulator.add_cabs(APP, FAILURE, payload=CABINET)
    cab, = emulator.cabs()
    truth = extract(emulator, cab, directory)
    at = cab["size"] // 2
    emulator.fault("corrupt", "blob-get", at=at)
    emulator.fault("md5", ["blob-head", "blob-get"], value="none")
    m = mount()
    place = open_cab(m, cab)
    names = os.listdir(place)
    errors = {name: errno_of((place / name).read_bytes) for name in names}
    assert "EIO" in errors.values()
    for name, error in errors.items():
        assert error == "EIO" or (error is None and (place / name).read_bytes() == truth[name]), name
    damaged = bytearray(emulator.content(cab["id"]))
    seen = m.cab(cab).read_bytes()
    assert len(seen) == len(damaged) and seen[:at] + seen[at + 1:] == bytes(damaged[:at] + damaged[at + 1:])
