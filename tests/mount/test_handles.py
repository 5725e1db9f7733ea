# SPDX-License-Identifier: MIT
"""File handles, as a server that exports the mount keeps them: after the kernel has forgotten, and after a remount."""
import ctypes
import json
import os
import shutil
import zipfile

import pytest

from archives import opened, serve
from conftest import APP, FAILURE, OTHER_APP, OTHER_FAILURE
from mount import Reader, errno_of, refresh, wait_until

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can open by handle")

libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100


class Handle(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint), ("type", ctypes.c_int), ("data", ctypes.c_ubyte * 128)]


def handle_of(path):
    handle, mount_id = Handle(128), ctypes.c_int()
    if libc.name_to_handle_at(AT_FDCWD, os.fsencode(path), ctypes.byref(handle), ctypes.byref(mount_id), 0) != 0:
        raise OSError(ctypes.get_errno(), "name_to_handle_at")
    return handle


def open_handle(mount, handle, flags=os.O_RDONLY):
    root = os.open(mount.path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fd = libc.open_by_handle_at(root, ctypes.byref(handle), flags)
    finally:
        os.close(root)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "open_by_handle_at")
    return fd


def read_handle(mount, handle):
    with open(open_handle(mount, handle), "rb") as file:
        return file.read()


def list_handle(mount, handle):
    fd = open_handle(mount, handle, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return sorted(os.listdir(fd))
    finally:
        os.close(fd)


def forget():
    """The kernel drops what nobody has open."""
    with open("/proc/sys/vm/drop_caches", "w") as file:
        file.write("2")


def nodes(mount):
    return json.loads((mount.path / ".cabfs/status.json").read_text())["entries"]


def lists(emulator):
    return sum(emulator.requests(name) for name in ("hits", "details", "batch"))


@pytest.fixture
def known(emulator, mount):
    """A mount whose lists were looked at; handles of an application, a failure, its CABs, and one open CAB."""
    ids = sorted(emulator.add_cabs(APP, FAILURE, count=50, size=10_000))
    emulator.add_cabs(APP, OTHER_FAILURE, count=1, size=10_000)
    m = mount(driver=[APP, OTHER_APP], members="visible")
    os.listdir(m.path / APP)
    folder = m.path / APP / FAILURE
    assert len(os.listdir(folder)) == 100
    m.handles = {"root": handle_of(m.path), "application": handle_of(m.path / APP), "failure": handle_of(folder),
                 "open": handle_of(folder / f"{ids[0]}.cab.d"), "other": handle_of(m.path / OTHER_APP),
                 "cabs": [handle_of(folder / f"{cab}.cab") for cab in ids]}
    m.ids = ids
    return m


def check(emulator, m):
    """No handle costs the request of a list; that the bytes of a CAB may need a fresh address is another matter."""
    emulator.reset_counters()
    assert len(list_handle(m, m.handles["failure"])) == 100
    assert list_handle(m, m.handles["application"]) == sorted([FAILURE, OTHER_FAILURE])
    assert list_handle(m, m.handles["root"]) == sorted([APP, OTHER_APP])
    for handle in (m.handles["other"], m.handles["open"], *m.handles["cabs"]):
        os.close(open_handle(m, handle, os.O_PATH))
    assert lists(emulator) == 0
    for cab, handle in list(zip(m.ids, m.handles["cabs"]))[::7]:
        assert read_handle(m, handle) == emulator.content(cab)


def test_forgotten(emulator, known):
    """The kernel knows the numbers no more, and the mount neither; the handles are good, without a list's request. [F13]"""
    before = nodes(known)
    forget()
    wait_until(lambda: nodes(known) < before / 2, "the kernel forgets")
    check(emulator, known)


def test_remount(emulator, known):
    """Another process, which has nothing but what is on disk. [F13]"""
    known.remount()
    check(emulator, known)


def test_way_up(emulator, known):
    """From a directory that is known by its number alone, the way to the mount point and the name."""
    known.remount()
    fd = open_handle(known, known.handles["failure"], os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert os.readlink(f"/proc/self/fd/{fd}") == str(known.path / APP / FAILURE)
        assert sorted(os.listdir(f"/proc/self/fd/{fd}/../..")) == sorted([APP, OTHER_APP])
        assert os.stat(f"/proc/self/fd/{fd}/..").st_ino == os.stat(known.path / APP).st_ino
    finally:
        os.close(fd)


def test_reached_by_name(emulator, mount):
    """A failure of no list, in an application that nobody configured: its own list is on disk."""
    [cab] = emulator.add_cabs(OTHER_APP, OTHER_FAILURE, count=1, size=1000)
    m = mount()
    path = m.path / OTHER_APP / OTHER_FAILURE
    handle, folder = handle_of(path / f"{cab}.cab"), handle_of(path)
    m.remount()
    assert read_handle(m, handle) == emulator.content(cab)
    assert list_handle(m, folder) == [f"{cab}.cab"]


def test_gone(emulator, known):
    """Of a CAB that is listed no more, and of what never was. [F13]"""
    emulator.remove_cab(known.ids[0])
    refresh(known.path)
    os.listdir(known.path / APP / FAILURE)
    forget()
    wait_until(lambda: errno_of(open_handle, known, known.handles["cabs"][0]) == "ESTALE", "the kernel forgets")
    assert read_handle(known, known.handles["cabs"][1]) == emulator.content(known.ids[1])
    emulator.reset_counters()
    strange = known.handles["cabs"][2]
    strange.data[3] ^= 0x55
    for _ in range(3):
        assert errno_of(open_handle, known, strange) == "ESTALE"
    assert emulator.counters(cabs=False)["requests"] == 0


def test_nothing_on_disk(emulator, known):
    """Without the cache there is nothing to find it by: no error but that it is stale, and no request."""
    known.unmount()
    shutil.rmtree(known.cache)
    known.mount()
    emulator.reset_counters()
    assert errno_of(open_handle, known, known.handles["cabs"][0]) == "ESTALE"
    os.close(open_handle(known, known.handles["application"], os.O_PATH))  # it is configured
    assert emulator.counters(cabs=False)["requests"] == 0


def test_hidden(emulator, known):
    """What a name would not open, a handle does not either."""
    emulator.change_cab(known.ids[0], cabDownloadable=False)
    known.unmount()
    known.options.update(undownloadable="hide", members="off")
    known.mount()
    refresh(known.path)
    os.listdir(known.path / APP / FAILURE)
    assert errno_of(open_handle, known, known.handles["open"]) == "ESTALE"


def test_member(emulator, mount, directory):
    """Good as long as somebody holds it; then stale, and never something else."""
    path = directory / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", b"text" * 1000)
    cab = serve(emulator, directory, path.read_bytes())
    m = mount()
    member = opened(m, cab) / "a.txt"
    handle = handle_of(member)
    with open(member, "rb"):
        forget()
        assert read_handle(m, handle) == b"text" * 1000
    m.remount()
    assert errno_of(open_handle, m, handle) == "ESTALE"
    assert member.read_bytes() == b"text" * 1000


def test_while_lists_change(emulator, known):
    """Handles are opened while the kernel forgets and lists come anew."""

    def disturb():
        for _ in range(20):
            refresh(known.path / APP / FAILURE)
            forget()

    reader = Reader(disturb)
    for number in range(100):
        at = number % len(known.ids)
        assert read_handle(known, known.handles["cabs"][at]) == emulator.content(known.ids[at])
    reader.get()
    assert reader.error is None
