# SPDX-License-Identifier: MIT
"""The ioctl of fs/ioctl.h: what was listed is asked for again, and a good listing never becomes a bad one."""
import errno
import fcntl
import os
import struct

import pytest

from conftest import APP, FAILURE, OTHER_APP, OTHER_FAILURE
from heldcalls import Calls
from mount import REFRESH, Reader, descriptor, errno_of, refresh, wait_in_fuse, xattrs

IDENTIFY = 0x80104302
LISTS = ("hits", "details", "batch")


def listed(path):
    return sorted(os.listdir(path))


def names(ids):
    return sorted(f"{cab}.cab" for cab in ids)


def requests_of(emulator):
    counters = emulator.counters(cabs=False)["endpoints"]
    return sum(counters[name]["requests"] for name in LISTS)


def test_identify(emulator, mount):
    """Everything in the mount says what it is; nothing else does, and no other call is known."""
    [cab] = emulator.add_cabs(APP, FAILURE, count=1, size=100)
    root = mount().path
    for path in (root, root / APP, root / APP / FAILURE / f"{cab}.cab"):
        with descriptor(path) as fd:
            answer = fcntl.ioctl(fd, IDENTIFY, bytes(16))
            assert struct.unpack("8sII", answer) == (b"cabfs\0\0\0", 1, 0)
            with pytest.raises(OSError) as error:
                fcntl.ioctl(fd, 0x5401, bytes(64))  # TCGETS, as isatty() asks
            assert error.value.errno == errno.ENOTTY
    with descriptor(root.parent) as fd, pytest.raises(OSError) as error:
        fcntl.ioctl(fd, IDENTIFY, bytes(16))
    assert error.value.errno == errno.ENOTTY


@pytest.mark.parametrize("what", ["failure", "cab", "root"])
def test_new_and_gone(emulator, mount, what):
    """What came is there at once, by its name too; what is gone is not; that costs nothing until somebody looks. [F12]"""
    old = emulator.add_cabs(APP, FAILURE, count=3, size=1000)
    root = mount().path
    folder = root / APP / FAILURE
    assert listed(folder) == names(old)
    [os.stat(folder / name) for name in names(old)]
    [new] = emulator.add_cabs(APP, FAILURE, count=1, size=1000, seed=7)
    assert errno_of(os.stat, folder / f"{new}.cab") == "ENOENT"
    emulator.remove_cab(old[0])
    emulator.reset_counters()

    refresh({"failure": folder, "cab": folder / f"{old[1]}.cab", "root": root}[what])
    assert requests_of(emulator) == 0
    assert os.stat(folder / f"{new}.cab").st_size == 1000
    assert errno_of(os.stat, folder / f"{old[0]}.cab") == "ENOENT"
    assert listed(folder) == names([new, *old[1:]])
    assert requests_of(emulator) <= 2  # a page, and whether there is another one


def test_gone_is_noticed_first(emulator, mount):
    """A name that the kernel still knows, asked for before anything else is."""
    old = emulator.add_cabs(APP, FAILURE, count=2, size=1000)
    folder = mount().path / APP / FAILURE
    paths = [folder / name for name in names(old)]
    [os.stat(path) for path in paths]
    emulator.remove_cab(paths[0].stem)
    refresh(folder)
    assert errno_of(os.stat, paths[0]) == "ENOENT"
    assert os.stat(paths[1]).st_size == 1000


def test_open_file_goes_on(emulator, mount):
    """Who has a CAB open reads it to its end, and fstat goes on."""
    [cab, other] = emulator.add_cabs(APP, FAILURE, count=2, size=300_000)
    folder = mount().path / APP / FAILURE
    truth = emulator.content(cab)
    with open(folder / f"{cab}.cab", "rb", buffering=0) as file:
        assert file.read(1000) == truth[:1000]
        emulator.remove_cab(cab)
        refresh(folder)
        assert listed(folder) == [f"{other}.cab"]
        assert os.fstat(file.fileno()).st_size == 300_000
        assert os.pread(file.fileno(), 1000, 0) == truth[:1000]


def test_application(emulator, mount):
    """The list of failures; and a failure that was not there a moment ago."""
    emulator.add_cabs(APP, FAILURE, count=1, size=100)
    root = mount().path
    assert listed(root / APP) == [FAILURE]
    assert errno_of(os.listdir, root / APP / OTHER_FAILURE) == "ENOENT"
    emulator.add_cabs(APP, OTHER_FAILURE, count=1, size=100)
    assert errno_of(os.listdir, root / APP / OTHER_FAILURE) == "ENOENT"
    refresh(root / APP)
    assert os.stat(root / APP / OTHER_FAILURE)
    assert listed(root / APP) == sorted([FAILURE, OTHER_FAILURE])


def test_failure_that_comes_meanwhile(emulator, mount):
    """That there is no such failure, as the services answered before the refresh, is not believed after it. [F12]"""
    emulator.add_cabs(APP, FAILURE, count=1, size=100)
    root = mount().path
    os.stat(root / APP)
    emulator.fault("status", ["hits"], status=403)
    held = emulator.fault("stall", ["details", "batch"], after=1)
    with descriptor(root) as fd:
        early = Reader(os.stat, root / APP / OTHER_FAILURE)
        emulator.wait_held(1)
        emulator.add_cabs(APP, OTHER_FAILURE, count=1, size=100)
        fcntl.ioctl(fd, REFRESH)
    emulator.clear_faults(held)
    early.get()
    assert early.error == errno.ENOENT
    assert os.stat(root / APP / OTHER_FAILURE)


def test_second_look(emulator, mount, directory):
    """Who looks second gets the new list too, though the first, for whom it was asked for, is not told yet. [F12]"""
    emulator.add_cabs(APP, FAILURE, count=1, size=1000)
    calls = Calls(directory)
    folder = mount(environment=calls.environment).path / APP / FAILURE
    for _ in range(2):  # the kernel keeps what is listed
        assert len(listed(folder)) == 1
    emulator.add_cabs(APP, FAILURE, count=1, size=1000, seed=7)
    refresh(folder)
    calls.hold("writev.cabfs-api")
    first = Reader(listed, folder)
    calls.wait_held("writev.cabfs-api")
    second = listed(folder)
    calls.go_on("writev.cabfs-api")
    assert len(second) == 2
    assert first.get() == listed(folder) == second


def test_only_its_own(emulator, mount):
    """A directory's refresh leaves the others alone."""
    emulator.add_cabs(APP, FAILURE, count=1, size=100)
    emulator.add_cabs(APP, OTHER_FAILURE, count=1, size=100)
    root = mount().path
    for folder in (root / APP, root / APP / FAILURE, root / APP / OTHER_FAILURE):
        listed(folder)
    refresh(root / APP / FAILURE)
    emulator.reset_counters()
    listed(root / APP)
    listed(root / APP / OTHER_FAILURE)
    assert requests_of(emulator) == 0
    listed(root / APP / FAILURE)
    assert requests_of(emulator) > 0


@pytest.mark.parametrize("how", ["error", "silence"])
def test_services_fail(emulator, mount, how):
    """The next look waits, gets the last good listing, and says so; the one after a good answer does not. [F4, F12]"""
    ids = emulator.add_cabs(APP, FAILURE, count=3, size=1000)
    root = mount(timeout=2, retries=1).path
    folder = root / APP / FAILURE
    assert listed(folder) == names(ids)
    if how == "error":
        emulator.fault("status", list(LISTS), status=500)
    else:
        emulator.fault("hold", list(LISTS))
    refresh(root)
    for _ in range(2):
        assert listed(folder) == names(ids)
        assert [os.stat(folder / name).st_size for name in names(ids)] == [1000] * 3
        assert xattrs(folder)["stale"] == "1"
    assert listed(root) == [APP]
    emulator.clear_faults()
    refresh(root)
    assert listed(folder) == names(ids)
    assert xattrs(folder)["stale"] == "0"


def test_never_listed(emulator, mount):
    """Where there is no list to fall back on, the error of before is asked for again at once."""
    emulator.fault("status", list(LISTS), status=400)
    root = mount(retries=1).path
    assert errno_of(os.listdir, root / APP / FAILURE) == "EIO"
    emulator.clear_faults()
    ids = emulator.add_cabs(APP, FAILURE, count=2, size=10)
    refresh(root)
    assert listed(root / APP / FAILURE) == names(ids)


def test_beside_waiting_lookups(emulator, mount):
    """Lookups wait in the directory for the service: the refresh does not wait for them, and all get the new list."""
    ids = emulator.add_cabs(APP, FAILURE, count=2, size=1000)
    folder = mount().path / APP / FAILURE
    assert listed(folder) == names(ids)
    fd = os.open(folder, os.O_RDONLY)  # to open it is to look
    fcntl.ioctl(fd, REFRESH)
    new = emulator.add_cabs(APP, FAILURE, count=3, size=1000, seed=7)
    emulator.fault("hold", list(LISTS))
    readers = [Reader(os.stat, folder / name) for name in names(new)]  # of one name, only one would ask
    wait_in_fuse(readers)
    fcntl.ioctl(fd, REFRESH)
    [newer] = emulator.add_cabs(APP, FAILURE, count=1, size=1000, seed=8)
    late = Reader(os.stat, folder / f"{newer}.cab")
    emulator.clear_faults()
    assert [reader.get().st_size for reader in (*readers, late)] == [1000] * 4
    os.close(fd)


def test_next_mount(emulator, mount):
    """What the last mount left on disk is expired with the rest, looked at or not."""
    emulator.add_cabs(APP, FAILURE, count=1, size=100)
    emulator.add_cabs(OTHER_APP, FAILURE, count=1, size=100)
    first = mount(driver=[APP, OTHER_APP])
    for app in (APP, OTHER_APP):
        listed(first.path / app / FAILURE)
    first.remount()
    new = emulator.add_cabs(OTHER_APP, FAILURE, count=1, size=100, seed=7)
    refresh(first.path)
    assert set(names(new)) <= set(listed(first.path / OTHER_APP / FAILURE))
