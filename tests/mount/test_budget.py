# SPDX-License-Identifier: MIT
"""The key `budget`: what one program may have downloaded in a minute.  Nothing here waits for that minute to be over."""
import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from archives import opened, serve
from conftest import APP, FAILURE
from mount import errno_of, xattrs

MIB = 1 << 20


def program(directory, name):
    """A cat of that name."""
    path = directory / name
    shutil.copy(shutil.which("cat"), path)
    return path


def run(cat, *paths):
    return subprocess.run([cat, *paths], capture_output=True, timeout=120)


def downloaded(emulator):
    return emulator.counters(cabs=False)["endpoints"]["blob-get"]["bytes"]


@pytest.fixture
def cabs(emulator):
    emulator.add_cabs(APP, FAILURE, count=6, size=3 * MIB)
    return sorted(emulator.cabs(), key=lambda cab: cab["id"])


def test_off_by_default(emulator, mount, cabs, directory):
    m = mount()
    assert run(program(directory, "walker"), *map(m.cab, cabs)).returncode == 0


def test_spent(emulator, mount, cabs, directory):
    """What is begun is read to its end; then there is an error, at once and without a request; the log says it once. [C10]"""
    m = mount(budget="4M")
    walker = program(directory, "walker")
    for cab in cabs[:2]:
        assert run(walker, m.cab(cab)).stdout == emulator.content(cab["id"])
    emulator.reset_counters()
    result = run(walker, *map(m.cab, cabs))
    assert result.stdout == b"".join(emulator.content(cab["id"]) for cab in cabs[:2])  # cached bytes are free
    assert result.stderr.count(b"Disk quota exceeded") == 4
    assert emulator.requests("blob-get") == 0
    lines = [line for line in m.log().splitlines() if ": budget: " in line]
    assert len(lines) == 1 and f"walker of user {os.getuid()}" in lines[0] and "cabfs.conf(5)" in lines[0]
    assert "errno=EDQUOT operation=open" in xattrs(m.cab(cabs[5]))["error"]


def test_others(emulator, mount, cabs, directory):
    """Another program has a budget of its own; all processes of a name have one."""
    m = mount(budget="1M")
    walker, other = program(directory, "walker"), program(directory, "other")
    assert run(walker, m.cab(cabs[0])).returncode == 0
    assert run(walker, m.cab(cabs[1])).returncode == 1
    assert run(other, m.cab(cabs[1])).stdout == emulator.content(cabs[1]["id"])
    assert run(walker, m.cab(cabs[1])).returncode == 0


def test_threads(emulator, mount, cabs):
    """A thread with a name of its own is no other program."""
    m = mount(budget="1M")
    code = """if 1:
        import ctypes, sys, threading
        def read(path, name):
            ctypes.CDLL(None).prctl(15, name)
            try:
                open(path, "rb").read()
            except OSError as error:
                print(error.errno)
        for number, path in enumerate(sys.argv[1:]):
            thread = threading.Thread(target=read, args=(path, b"thread-%d" % number))
            thread.start()
            thread.join()
    """
    result = subprocess.run([sys.executable, "-c", code, *map(m.cab, cabs[:3])], capture_output=True, text=True,
                            timeout=60)
    assert result.stdout.split() == ["122", "122"], result.stderr


def test_lists_and_sizes_are_free(emulator, mount, cabs, directory):
    """Only bytes of CABs count."""
    m = mount(budget="1M")
    walker = program(directory, "walker")
    assert run(walker, m.cab(cabs[0])).returncode == 0
    assert run(walker, m.cab(cabs[1])).returncode == 1
    shutil.copy(shutil.which("ls"), directory / "lister" )
    os.rename(directory / "lister", walker)
    result = subprocess.run([walker, "-l", m.path / APP / FAILURE], capture_output=True, text=True, timeout=60)
    assert result.stdout.count(str(3 * MIB)) == 6


def test_members(emulator, mount, directory):
    """What is taken out of a CAB costs what came of the CAB."""
    content = os.urandom(2 * MIB)
    path = directory / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.bin", content)
    cabs = [serve(emulator, directory, path.read_bytes(), name=name) for name in ("one", "two")]
    m = mount(budget="1M")
    walker = program(directory, "walker")
    folders = [opened(m, cab) for cab in cabs]
    assert run(walker, folders[0] / "a.bin").stdout == content
    result = run(walker, folders[1] / "a.bin")
    assert b"Disk quota exceeded" in result.stderr
    assert run(walker, folders[0] / "a.bin").stdout == content


def test_no_room_in_the_cache(emulator, mount, cabs, directory):
    """Bytes that are not kept were downloaded all the same."""
    m = mount(budget="4M", cache_free="100%")
    walker = program(directory, "walker")
    for cab in cabs[:2]:
        assert run(walker, m.cab(cab)).stdout == emulator.content(cab["id"])
    assert run(walker, m.cab(cabs[2])).returncode == 1
