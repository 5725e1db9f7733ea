# SPDX-License-Identifier: MIT
"""`cabfsctl fetch` and `refresh`: what comes, what it costs, and what is told of it."""
import ctypes
import json
import mmap
import os
import re
import signal
import subprocess

import pytest

from conftest import APP, FAILURE, OTHER_FAILURE
from ctl import Terminal, run, start
from mount import Mount, Reader, read_at, within, xattrs

MiB = 1 << 20


def blob_bytes(emulator):
    return sum(entry["bytes"] for entry in emulator.log(endpoint="blob-get"))


def blob_requests(emulator):
    counters = emulator.counters(cabs=False)["endpoints"]
    return counters["blob-get"]["requests"] + counters["blob-head"]["requests"]


def states(mounted, emulator):
    return {xattrs(mounted.cab(cab))["state"] for cab in emulator.cabs()}


def summary(text):
    """(files, fetched, cached already, failed)"""
    found = re.search(r"(\d+) files?: (\d+) fetched \([^)]*\), (\d+) cached already, (\d+) failed", text)
    assert found, text
    return tuple(map(int, found.groups()))


@pytest.fixture
def cabs(emulator):
    """Two failures."""
    emulator.add_cabs(APP, FAILURE, count=5, size=300_000)
    emulator.add_cabs(APP, OTHER_FAILURE, count=3, size=2 * MiB)
    return emulator.cabs()


# --- in a pipe --------------------------------------------------------------------------------------------------


def test_tree(emulator, mount, cabs):
    """All come, each byte once; what is cached then costs nothing, and is not read."""
    mounted = mount()
    result = run("fetch", mounted.path)
    assert result.returncode == 0, result.stderr
    assert summary(result.stdout) == (8, 8, 0, 0)
    assert result.stderr == ""
    lines = result.stdout.splitlines()[:-1]
    assert sorted(lines) == sorted(f"fetched {mounted.cab(cab)} ({'2.0 MiB' if cab['size'] > MiB else '293.0 KiB'})"
                                   for cab in cabs)
    assert states(mounted, emulator) == {"cached"}
    assert blob_bytes(emulator) == sum(cab["size"] for cab in cabs)
    assert emulator.counters(cabs=False)["endpoints"]["blob-head"]["requests"] == 0, "sizes were asked for"
    emulator.reset_counters()
    before = mounted.log().count("read ")
    result = run("fetch", mounted.path)
    assert result.returncode == 0
    assert summary(result.stdout) == (8, 0, 8, 0)
    assert all(line.startswith("cached  ") for line in result.stdout.splitlines()[:-1])
    assert blob_requests(emulator) == 0
    assert mounted.log().count("read ") == before
    for cab in cabs:
        mounted.verify(cab)


def test_after_a_remount(emulator, mount, cabs):
    mounted = mount()
    assert run("fetch", mounted.path / APP / FAILURE).returncode == 0
    mounted.remount()
    emulator.reset_counters()
    result = run("fetch", mounted.path / APP)
    assert summary(result.stdout) == (8, 3, 5, 0)
    assert blob_bytes(emulator) == 3 * 2 * MiB


def test_files(emulator, mount, cabs):
    mounted = mount()
    two = [mounted.cab(cab) for cab in cabs[:2]]
    result = run("fetch", *two, two[0])
    assert (result.returncode, summary(result.stdout)[0]) == (0, 3)
    assert blob_bytes(emulator) == sum(cab["size"] for cab in cabs[:2])
    assert emulator.requests("blob-head") == 0


def test_resumes(emulator, mount):
    """What is there in part is completed: no byte is fetched twice."""
    emulator.add_cabs(APP, FAILURE, count=1, size=40 * MiB)
    cab, = emulator.cabs()
    mounted = mount(read_ahead="1M")
    read_at(mounted.cab(cab), 10 * MiB, 4096)
    mounted.remount()
    assert xattrs(mounted.cab(cab))["state"] == "partial"
    assert run("fetch", mounted.path).returncode == 0
    assert blob_bytes(emulator) == 40 * MiB
    mounted.verify(cab)


def test_failures(emulator, mount, cabs):
    """What cannot be had is told with the reason, and the others come."""
    bad = cabs[0]
    emulator.fault("status", "blob-get", status=403, code="AuthorizationPermissionMismatch", path=bad["id"])
    mounted = mount()
    result = run("fetch", mounted.path)
    assert result.returncode == 1
    assert summary(result.stdout) == (8, 7, 0, 1)
    line, = result.stderr.splitlines()
    assert line.startswith(f"cabfsctl: fetch: {mounted.cab(bad)}: Permission denied (")
    assert "403" in line and "AuthorizationPermissionMismatch" in line, "why, in the service's words"
    emulator.clear_faults()
    again = run("fetch", mounted.path)
    assert (again.returncode, summary(again.stdout)) == (0, (8, 1, 7, 0))


def test_directory_fails(emulator, mount, cabs):
    emulator.fault("status", ["batch", "details"], status=403, path=FAILURE)
    mounted = mount()
    result = run("fetch", mounted.path)
    assert result.returncode == 1
    assert f"{mounted.path / APP / FAILURE}: Permission denied" in result.stderr
    assert summary(result.stdout) == (4, 3, 0, 1)


def test_not_kept(emulator, mount):
    """A cache without room keeps nothing: that is a failure, not a success that costs the same again."""
    emulator.add_cabs(APP, FAILURE, count=1, size=3 * MiB)
    mounted = mount(cache_free="100%")
    result = run("fetch", mounted.path)
    assert result.returncode == 1
    assert "the cache did not keep it" in result.stderr


def test_members(emulator, mount, cabs):
    """Open CABs are passed over, also where they are listed."""
    mounted = mount(members="visible")
    result = run("fetch", mounted.path)
    assert (result.returncode, summary(result.stdout)) == (0, (8, 8, 0, 0))


def test_jobs(emulator, mount):
    """So many at a time, and no more."""
    emulator.add_cabs(APP, FAILURE, count=6, size=1000)
    mounted = mount()
    os.listdir(mounted.path / APP / FAILURE)
    fault = emulator.fault("hold", "blob-get")
    process = start("fetch", "--jobs=2", mounted.path)
    emulator.wait_held(2)
    assert len({entry["cab"] for entry in emulator.log(endpoint="blob-get")}) <= 2
    emulator.clear_faults(fault)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err, summary(out)) == (0, "", (6, 6, 0, 0))


@pytest.mark.parametrize("signals", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(emulator, mount, signals):
    """At once, though the service is silent; what has come stays."""
    emulator.add_cabs(APP, FAILURE, count=3, size=100_000)
    emulator.add_cabs(APP, OTHER_FAILURE, count=1, size=100_000)
    mounted = mount()
    assert run("fetch", mounted.path / APP / OTHER_FAILURE).returncode == 0
    emulator.fault("hold", "blob-get")
    process = start("fetch", mounted.path)
    emulator.wait_held(3)
    process.send_signal(signals)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted" in err and len(err.splitlines()) == 1
    assert summary(out)[1:] in ((0, 1, 0), (0, 0, 0))
    emulator.clear_faults()
    assert run("fetch", mounted.path).returncode == 0


def test_interrupted_in_a_page(emulator, mount):
    """The kernel wakes nobody who waits for a page that somebody else, too, may have asked for: then the process ends."""
    [cab] = emulator.add_cabs(APP, FAILURE, size=1_000_000)
    mounted = mount(timeout=60)
    path = mounted.path / APP / FAILURE / f"{cab}.cab"
    emulator.fault("stall", "blob-get", after=100_000)
    with open(path, "rb", buffering=0) as file:
        reader = Reader(file.read, 1_000_000)
        emulator.wait_held(1)
        process = start("fetch", path)
        status = mounted.path / ".cabfs/status.json"
        within(20, lambda: json.loads(status.read_text())["openFiles"] == 2, "it has opened the CAB")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
        assert process.returncode == 130
        assert "interrupted" in err
        emulator.clear_faults()
        reader.get()


def test_interrupted_in_a_list(emulator, mount, cabs):
    mounted = mount()
    emulator.fault("hold", "hits")
    process = start("fetch", mounted.path)
    emulator.wait_held(1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert len(err.splitlines()) == 1
    emulator.clear_faults()


def test_elsewhere(directory):
    """Nothing but mounts of cabfs; and names are no orders to a terminal."""
    result = run("fetch", directory)
    assert (result.returncode, result.stdout) == (1, "")
    assert f"{directory}: is in no mount of cabfs" in result.stderr
    result = run("fetch", b"/nowhere/\x1b[31m\n\xff\\")
    assert result.returncode == 1
    assert "/nowhere/\\033[31m\\n\\377\\\\: No such file" in result.stderr


def test_dead_mount(emulator, mount):
    mounted = mount(arguments=["-o", "noauto_unmount"])
    mounted.process.send_signal(signal.SIGKILL)
    mounted.process.wait(60)
    result = run("fetch", mounted.path)
    mounted.kill()
    assert result.returncode == 1
    assert f"its cabfs has ended and left the mount behind: fusermount3 -u '{mounted.path}'" in result.stderr


def resident(fd, size):
    """Bytes of a file that the page cache has."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    pages = (ctypes.c_ubyte * (size // mmap.PAGESIZE))()
    address = ctypes.c_void_p(libc.mmap(None, ctypes.c_size_t(size), mmap.PROT_READ, mmap.MAP_PRIVATE, fd, ctypes.c_long(0)))
    assert libc.mincore(address, ctypes.c_size_t(size), pages) == 0
    libc.munmap(address, ctypes.c_size_t(size))
    return sum(page & 1 for page in pages) * mmap.PAGESIZE


def test_page_cache(emulator, mount):
    """What was fetched is on disk; in memory it would only push out what others use."""
    emulator.add_cabs(APP, FAILURE, count=1, size=64 * MiB)
    cab, = emulator.cabs()
    mounted = mount()
    fd = os.open(mounted.cab(cab), os.O_RDONLY)  # opened before it is complete, so that it has pages of its own
    try:
        assert run("fetch", mounted.path).returncode == 0
        assert resident(fd, 64 * MiB) <= 16 * MiB
        while os.read(fd, MiB):
            pass
        assert resident(fd, 64 * MiB) > 32 * MiB, "there is nothing to be seen"
    finally:
        os.close(fd)


# --- at a terminal ----------------------------------------------------------------------------------------------


def test_bars(emulator, mount):
    """A line for each file under way and one for all; they go when it is over."""
    emulator.add_cabs(APP, FAILURE, count=2, size=8 * MiB)
    mounted = mount(connections=1, read_ahead="1M")
    fault = emulator.fault("stall", "blob-get", after=400_000, ms=3_600_000)
    with Terminal("fetch", "--jobs=2", mounted.path) as terminal:
        screen = terminal.wait(lambda screen: len(re.findall(r"\d+%", screen)) == 2 and "of 2 files" in screen)
        bars = [line for line in screen.splitlines() if ".cab " in line]
        assert len(bars) == 2
        assert all(re.search(r"\.cab +\[#*-+\] +\d+% +8\.0 MiB", line) for line in bars), bars
        assert re.search(r"^\[-+\] 0 of 2 files, 0 cached already; ", screen, re.M)
        terminal.resize(50)
        narrow = terminal.wait(lambda screen: "[" not in screen.splitlines()[0] and "%" in screen and "of 2" in screen)
        assert all(len(line) <= 50 for line in narrow.splitlines())
        assert len([line for line in narrow.splitlines() if "%" in line]) == 2, narrow
        terminal.resize(120)
        terminal.wait(lambda screen: len(re.findall(r"\[#*-+\] +\d+%", screen)) == 2)
        emulator.clear_faults(fault)
        assert terminal.end() == 0
        text = terminal.screen.text()
        assert summary(text) == (2, 2, 0, 0)
        assert len([line for line in text.splitlines() if line]) == 1, text
        assert terminal.screen.wrapped == 0


def test_failures_at_a_terminal(emulator, mount, cabs):
    """They stay above the bars."""
    bad = cabs[0]
    emulator.fault("status", "blob-get", status=404, path=bad["id"])
    fault = emulator.fault("hold", "blob-get", path=cabs[-1]["id"])
    mounted = mount()
    with Terminal("fetch", mounted.path, columns=1000) as terminal:
        terminal.wait(lambda screen: "No such file" in screen and "7 of 8 files" in screen and "1 failed" in screen)
        emulator.clear_faults(fault)
        assert terminal.end() == 1
        lines = [line for line in terminal.screen.text().splitlines() if line]
        assert len(lines) == 2
        assert lines[0].startswith(f"cabfsctl: fetch: {mounted.cab(bad)}: No such file")
        assert summary(lines[1]) == (8, 7, 0, 1)


def test_control_c(emulator, mount):
    emulator.add_cabs(APP, FAILURE, count=2, size=8 * MiB)
    mounted = mount()
    emulator.fault("hold", "blob-get")
    with Terminal("fetch", mounted.path) as terminal:
        terminal.wait(lambda screen: "0 of 2 files" in screen)
        emulator.wait_held(1)
        terminal.interrupt()
        assert terminal.end() == 130
        assert "interrupted" in terminal.screen.text()
        assert "[" not in terminal.screen.text()
    emulator.clear_faults()


def test_dumb_terminal(emulator, mount, cabs):
    mounted = mount()
    with Terminal("fetch", mounted.path, environment={"TERM": "dumb"}) as terminal:
        assert terminal.end() == 0
        assert "\x1b" not in terminal.all
        assert terminal.all.count("fetched /") == 8


# --- refresh ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("of", ["directory", "file", "root"])
def test_refresh(emulator, mount, of):
    """The list is asked for anew, and once."""
    emulator.add_cabs(APP, FAILURE, count=1, size=1000)
    cab, = emulator.cabs()
    mounted = mount()
    place = mounted.path / APP / FAILURE
    assert len(os.listdir(place)) == 1
    emulator.add_cabs(APP, FAILURE, count=3, size=1000)
    assert len(os.listdir(place)) == 1
    emulator.reset_counters()
    path = {"directory": place, "file": mounted.cab(cab), "root": mounted.path}[of]
    result = run("refresh", path)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert blob_requests(emulator) == 0, "a CAB was opened"
    assert len(os.listdir(place)) == 3
    assert emulator.requests("batch") == 1


def test_refresh_member(emulator, mount):
    """Of what is inside a CAB, the list that the CAB is in; nothing is unpacked for that."""
    emulator.add_cabs(APP, FAILURE, count=1, size=100_000)
    cab, = emulator.cabs()
    mounted = mount()
    place = mounted.path / APP / FAILURE
    os.listdir(place)
    emulator.reset_counters()
    assert run("refresh", place / f"{cab['id']}.cab.d").returncode == 0
    assert blob_requests(emulator) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root binds mounts")
def test_bound_elsewhere(emulator, mount, directory):
    """A directory of the mount that is to be seen elsewhere too takes nothing from the mount, and is in it."""
    emulator.add_cabs(APP, FAILURE, count=1, size=1000)
    mounted = mount()
    os.listdir(mounted.path / APP / FAILURE)
    other = directory / "other"
    other.mkdir()
    subprocess.run(["mount", "--bind", mounted.path / APP, other], check=True)
    try:
        results = [run(command, path) for command in ("refresh", "fetch") for path in (mounted.path, other)]
    finally:
        subprocess.run(["umount", other], check=True)
    assert [(result.returncode, result.stderr) for result in results] == [(0, "")] * 4


def test_refresh_below_such_a_name(emulator, directory):
    """A directory above the mount that is called as an open CAB would be is none."""
    emulator.add_cabs(APP, FAILURE, count=1, size=1000)
    cab, = emulator.cabs()
    with Mount(emulator, directory / "old.cab.d", driver=[APP]) as mounted:
        place = mounted.path / APP / FAILURE
        os.listdir(place)
        for path in (mounted.path, place, mounted.cab(cab), place / f"{cab['id']}.cab.d"):
            result = run("refresh", path)
            assert (result.returncode, result.stderr) == (0, ""), path
        assert f"refresh /{APP}/{FAILURE}\n" in mounted.log()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root binds mounts")
def test_refresh_out_of_reach(emulator, mount, directory):
    """A path that has no way to it from the root any more is said to be none."""
    emulator.add_cabs(APP, FAILURE, count=1, size=1000)
    cab, = emulator.cabs()
    place = mount().path / APP / FAILURE
    os.listdir(place)
    other = directory / "other"
    other.mkdir()
    script = 'mount --bind "$1" "$2" && cd "$2" && umount -l "$2" && shift 2 && exec "$@"'
    result = run("refresh", f"{cab['id']}.cab.d", wrapper=["/bin/sh", "-c", script, "sh", place, other])
    assert result.returncode == 1
    assert result.stderr == f"cabfsctl: refresh: {cab['id']}.cab.d: No such file or directory\n"


def test_refresh_elsewhere(emulator, mount, directory):
    mounted = mount()
    result = run("refresh", directory, mounted.path)
    assert result.returncode == 1
    assert result.stderr == f"cabfsctl: refresh: {directory}: is in no mount of cabfs\n"
