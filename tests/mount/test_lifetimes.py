# SPDX-License-Identifier: MIT
"""What one thread still uses stays, however late it is and whatever the others have come to the end of."""
import json
import os
import signal
import subprocess
import sys

import pytest

from archives import opened, workers
from conftest import APP, FAILURE
from heldcalls import Calls
from mount import Mount, Reader, within

MIB = 1 << 20
# Opens a CAB, and reads a page in the middle of it when it is told to.
READ_A_PAGE = """
import os, sys
file = os.open(sys.argv[1], os.O_RDONLY)
os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)
print("open", flush=True)
sys.stdin.readline()
os.pread(file, 4096, 5 << 20)
"""


@pytest.fixture(name="calls")
def fixture_calls(directory):
    return Calls(directory)


def one(emulator, size):
    emulator.add_cabs(APP, FAILURE, size=size)
    [cab] = emulator.cabs(APP, FAILURE)
    return cab


def status(mounted):
    return json.loads((mounted.path / ".cabfs/status.json").read_text())


def ends_late(mounted, calls, name):
    """SIGTERM, and nothing that the held call may use is gone before it has come back."""
    mounted.process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        mounted.process.wait(1.5)
    calls.go_on(name)
    mounted.wait_end()


def test_reader_is_killed_while_his_piece_is_checked(emulator, mount, calls):
    """The file is closed then, and its bytes are still being read."""
    cab = one(emulator, 16 * MIB)
    mounted = mount(read_ahead="0", environment=calls.environment)
    file = os.open(mounted.cab(cab), os.O_RDONLY)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)
    os.pread(file, MIB, 5 * MIB)
    os.close(file)
    mounted.remount()
    os.listdir(mounted.path / APP / FAILURE)
    with subprocess.Popen([sys.executable, "-c", READ_A_PAGE, mounted.cab(cab)], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout.readline() == "open\n"
        calls.hold("pread.cabfs")
        reader.stdin.write("\n")
        reader.stdin.flush()
        calls.wait_held("pread.cabfs")
        reader.kill()
    within(10, lambda: status(mounted)["openFiles"] == 0, "the file is closed")
    calls.go_on("pread.cabfs")
    assert mounted.cab(cab).read_bytes() == emulator.content(cab["id"])


def test_worker_dies_while_bytes_are_read_for_it(emulator, mount, calls):
    """It was held back for want of room, and the ticker reads for it when there is some."""
    emulator.add_cabs(APP, FAILURE, payload="null-write-mszip.cab")
    [cab] = emulator.cabs(APP, FAILURE)
    mounted = mount(cache_free="1M", environment=calls.environment)
    place = opened(mounted, cab)
    with open(mounted.cab(cab), "rb") as file:
        truth = file.read()
        assert "minidump.mdmp" in os.listdir(place)
        calls.hold("full")
        reader = Reader((place / "minidump.mdmp").read_bytes)
        within(20, lambda: workers(mounted), "a worker is set to it")
    calls.hold("pread.cabfs-ticker")
    calls.go_on("full")
    calls.wait_held("pread.cabfs-ticker")
    for pid in workers(mounted):
        os.kill(pid, signal.SIGKILL)
    within(20, lambda: not workers(mounted), "it is dead")
    calls.go_on("pread.cabfs-ticker")
    reader.get()
    assert mounted.cab(cab).read_bytes() == truth


def test_end_while_an_error_is_told(emulator, directory, calls):
    """A slow log holds up who answers, and the mount ends meanwhile."""
    cab = one(emulator, 2 * MIB)
    with Mount(emulator, directory, driver=[APP], timeout=3, environment=calls.environment) as mounted:
        os.listdir(mounted.path / APP / FAILURE)
        emulator.fault("status", "blob-get", status=503, code="ServerBusy")
        calls.hold("write.cabfs-ticker")
        reader = Reader(mounted.cab(cab).read_bytes)
        calls.wait_held("write.cabfs-ticker")
        ends_late(mounted, calls, "write.cabfs-ticker")
        reader.get()
        assert reader.error is not None
        emulator.clear_faults()


def test_end_of_a_mount_that_takes_from_another(emulator, mount, directory, calls):
    """What it no longer gets from there would go on from the host."""
    cab = one(emulator, 24 * MIB)
    shared = str(directory / "shared")
    giver = mount(cache_dir=shared)
    taker = Mount(emulator, directory / "taker", driver=[APP], cache_dir=shared, environment=calls.environment)
    with taker:
        for mounted in (giver, taker):
            os.listdir(mounted.path / APP / FAILURE)
        emulator.fault("stall", "blob-get", after=100_000)
        readers = [Reader(giver.cab(cab).read_bytes)]
        emulator.wait_held(1)
        readers.append(Reader(taker.cab(cab).read_bytes))
        taker.wait_log("comes from another mount")
        calls.hold("eventfd_read.cabfs-blobs")
        ends_late(taker, calls, "eventfd_read.cabfs-blobs")
        readers[1].get()
        assert readers[1].error is not None
    emulator.clear_faults()
    assert readers[0].get() == emulator.content(cab["id"])
