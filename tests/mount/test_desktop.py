# SPDX-License-Identifier: MIT
"""File managers and the archive manager of a desktop: looking around moves no byte of any CAB, opening one moves its own.

Where the programs are not installed the tests are skipped, or fail if CABFS_REQUIRE_DESKTOP is 1.
"""
import hashlib
import os
import subprocess

import pytest

from conftest import APP, FAILURE
from desktop import Desktop, Watch, artefacts
from filehost import FileHost
from mount import need, tool, wait_until

CABS = 200
PAYLOADS = ["null-write-mszip.cab", "abort-plain.cab", "divide-cab.zip", "illegal-files.zip", "recursion-kernel.cab"]
MIB = 1 << 20


@pytest.fixture
def desktop(directory, mount):
    """Ends before the mount goes, which its programs use."""
    need("desktop", "Xvfb", "dbus-run-session", "xdotool", "import", "identify", "thunar", "pcmanfm", "xarchiver", "7z")
    with Desktop(directory) as desktop:
        yield desktop


@pytest.fixture
def place(emulator, mount):
    """A directory of real CABs that nobody has looked at."""
    emulator.add_cabs(APP, FAILURE, count=CABS, payload=PAYLOADS)
    return mount().path / APP / FAILURE


def moved(emulator):
    """CABs of which bytes were asked for."""
    return sorted(cab for cab, count in emulator.counters()["cabs"].items() if count["get"] or count["bytes"])


def browse(desktop, program, place, emulator):
    """Shows @place in a file manager until that has seen every CAB; its window."""
    with Watch(place) as watch:
        desktop.start(program, place)
        watch.wait_listed()
        emulator.wait_requests("blob-head", CABS, timeout=60)  # it asks for the size of each
        window = desktop.wait_window(FAILURE)
        desktop.settle()
        # What it does for icons is done for those in sight.
        for key in ("End", "Home"):
            desktop.keys(window, key)
            desktop.settle()
        desktop.screenshot(artefacts() / f"{program}.png")
        assert watch.opened() == []
    return window


@pytest.mark.parametrize("program", ["thunar", "pcmanfm"])
def test_browsing_moves_no_bytes(desktop, program, place, emulator):
    browse(desktop, program, place, emulator)
    counters = emulator.counters(cabs=False)
    assert counters["endpoints"]["blob-get"]["requests"] == 0
    assert counters["bytes"] == 0
    assert counters["endpoints"]["blob-head"]["requests"] == CABS


def test_opening_from_the_file_manager(desktop, place, emulator):
    """The first CAB, by the Return key: the archive manager shows it, and its bytes alone have moved."""
    window = browse(desktop, "thunar", place, emulator)
    with Watch(place) as watch:
        desktop.keys(window, "Home", "Return")
        archive = desktop.wait_window("xarchiver")
        wait_until(lambda: ".cab" in desktop.title(archive), "a title with the name of the CAB")
        desktop.settle()
        desktop.screenshot(artefacts() / "xarchiver.png")
        cab = desktop.title(archive).split(".cab")[0]
        assert watch.opened() == [f"{cab}.cab"]
    assert moved(emulator) == [cab]
    assert emulator.counters()["cabs"][cab]["bytes"] <= os.stat(place / f"{cab}.cab").st_size


def sums(directory):
    """{name: SHA-256} of all files below."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.rglob("*") if path.is_file()}


def test_extracting_with_the_archive_manager(desktop, directory, emulator, mount):
    [cab] = emulator.add_cabs(APP, FAILURE, payload="null-write-mszip.cab")
    path = mount().path / APP / FAILURE / f"{cab}.cab"
    copy = directory / "copy.cab"
    copy.write_bytes(emulator.content(cab))
    for name in ("ours", "theirs"):
        (directory / name).mkdir()
    subprocess.run([tool("cabextract"), "-q", "-d", directory / "theirs", copy], check=True, timeout=60)
    assert desktop.start("xarchiver", f"--extract-to={directory / 'ours'}", path).wait(60) == 0
    assert sums(directory / "ours") == sums(directory / "theirs") != {}


def test_a_large_cab_is_shown_from_its_head(desktop, directory, emulator, mount):
    """Its members stand in the head of a cabinet, so that is what moves."""
    size = 64 * MIB
    (directory / "memory.dmp").write_bytes(os.urandom(size))
    subprocess.run([tool("gcab"), "-c", "-n", "large.cab", "memory.dmp"], cwd=directory, check=True, timeout=60)
    with FileHost() as host:
        [cab] = emulator.add_cabs(APP, FAILURE, url=host.add(directory / "large.cab"))
        path = mount(blob_hosts=host.name).path / APP / FAILURE / f"{cab}.cab"
        assert os.stat(path).st_size > size
        desktop.start("xarchiver", path)
        desktop.wait_window(f"{cab}.cab")
        desktop.settle()
        desktop.screenshot(artefacts() / "xarchiver-large.png")
        assert 0 < host.sent <= 8 * MIB
