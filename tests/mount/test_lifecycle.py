# SPDX-License-Identifier: MIT
"""Ways in which a mount begins, or ends, or the machine sleeps, while programs read: nobody gets a wrong byte or waits for
ever."""
import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from conftest import APP, FAILURE
from mount import PROGRAM, Mount, MountError, Reader, errno_of, is_mounted, processes, tool, wait_until

MIB = 1 << 20
GONE = (errno.ENOTCONN, errno.ECONNABORTED, errno.EINTR, errno.EIO, errno.ENOENT, errno.ENODEV)


class Load:
    """Readers who read one CAB after the other, none of which is here, and compare every block."""

    def __init__(self, emulator, mount, readers=8, count=24, size=3 * MIB):
        emulator.add_cabs(APP, FAILURE, count=count, size=size)
        self.emulator, self.mount = emulator, mount(connections=4)
        self.cabs = emulator.cabs()
        self.truth = {cab["id"]: emulator.content(cab["id"]) for cab in self.cabs}
        os.listdir(self.mount.path / APP / FAILURE)
        self.under_way = threading.Semaphore(0)
        emulator.fault("bandwidth", "blob-get", rate=20_000_000, scope="total")
        self.readers = [Reader(self.read, self.cabs[number::readers]) for number in range(readers)]
        for _ in self.readers:
            assert self.under_way.acquire(timeout=30)

    def read(self, cabs):
        for cab in cabs:
            off = 0
            with open(self.mount.cab(cab), "rb", buffering=0) as file:
                while data := file.read(65536):
                    assert data == self.truth[cab["id"]][off:off + len(data)], "wrong bytes"
                    off += len(data)
                    self.under_way.release()
            assert off == cab["size"]
        return "all right"

    def check_ended(self):
        """Each reader ended with an error of the mount's end; a wrong byte would have ended it without one."""
        for reader in self.readers:
            reader.get(10)
            assert reader.error in GONE, reader.error

    def check_next_mount(self):
        self.emulator.clear_faults()
        self.mount.mount()
        for cab in self.cabs:
            assert self.mount.cab(cab).read_bytes() == self.truth[cab["id"]]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_under_load(emulator, mount, number):
    """A signal ends the mount at once, and what was written to the cache until then is right. [C6]"""
    load = Load(emulator, mount)
    load.mount.process.send_signal(number)
    load.mount.wait_end(10)
    load.check_ended()
    load.check_next_mount()


@pytest.mark.parametrize("arguments", [[], ["-f"]], ids=["background", "foreground"])
@pytest.mark.parametrize("closed", [[0], [1], [2], [0, 1, 2]])
def test_closed_streams(emulator, directory, closed, arguments):
    """Whoever starts it with standard streams closed gets a mount that answers: none of our descriptors is one of them."""
    emulator.add_cabs(APP, FAILURE, count=1, size=100)
    m = Mount(emulator, directory, driver=[APP], timeout=10, retries=1)
    config = m.write_config()
    line = f'exec "$@" {" ".join(f"{number}>&-" for number in closed)}'
    process = subprocess.Popen(["/bin/sh", "-c", line, "sh", PROGRAM, *arguments, "-c", config, "test", m.path])
    wait_until(lambda: is_mounted(m.path) or process.poll(), "a mount")
    listed = Reader(os.listdir, m.path / APP)
    listed.join(30)
    streams = [os.readlink(f"/proc/{process.pid}/fd/{number}") for number in closed if arguments]
    subprocess.run(["fusermount3", "-u", "-z", m.path], check=True, timeout=20)
    assert process.wait(20) == 0
    wait_until(lambda: not processes(lambda place: os.fsencode(config) in (place / "cmdline").read_bytes()), "its end")
    assert (listed.result, listed.error) == ([FAILURE], None)
    assert set(streams) <= {"/dev/null"}


UNMOUNTS = [["fusermount3", "-u"], ["umount"]]
LAZY = [["fusermount3", "-u", "-z"], ["umount", "-l"]]


def run(command, mounted):
    return subprocess.run([tool(command[0]), *command[1:], mounted.path], capture_output=True, text=True, timeout=20,
                          check=False)


def need_root(command):
    if command[0] == "umount" and os.geteuid() != 0:
        pytest.skip("umount is for root")


@pytest.mark.parametrize("command", UNMOUNTS, ids=" ".join)
def test_unmount_under_load(emulator, mount, command):
    """A mount that is in use is busy, and nobody who reads there notices; afterwards it is taken away as ever."""
    need_root(command)
    load = Load(emulator, mount)
    for _ in range(3):
        result = run(command, load.mount)
        assert result.returncode != 0 and "busy" in result.stderr, result
    emulator.clear_faults()
    for reader in load.readers:
        assert reader.get(60) == "all right"
    assert run(command, load.mount).returncode == 0
    load.mount.wait_end(10)
    load.check_next_mount()


@pytest.mark.parametrize("command", LAZY, ids=" ".join)
def test_lazy_unmount_under_load(emulator, mount, command):
    """The place is free at once; who has a file open reads it to its end, and with the last one the program ends. [C7]"""
    need_root(command)
    load = Load(emulator, mount)
    file = os.open(load.mount.cab(load.cabs[-1]), os.O_RDONLY)
    try:
        assert run(command, load.mount).returncode == 0
        assert not is_mounted(load.mount.path)
        assert os.listdir(load.mount.path) == []
        emulator.clear_faults()
        for reader in load.readers:  # the next file of each is not there any more
            assert reader.get(60) == "all right" or reader.error == errno.ENOENT
        assert b"".join(iter(lambda: os.read(file, MIB), b"")) == load.truth[load.cabs[-1]["id"]]
        assert load.mount.process.poll() is None
    finally:
        os.close(file)
    load.mount.wait_end(10)
    load.check_next_mount()


def test_two_mounts_on_one_mount_point(emulator, mount, directory):
    """The second is refused and says what to do: of two the lower one, when it ends, would take the upper one away."""
    emulator.add_cabs(APP, FAILURE, size=100_000)
    cab, = emulator.cabs()
    first = mount()
    second = Mount(emulator, directory / "second", driver=[APP])
    second.path = first.path
    with pytest.raises(MountError) as refused:
        second.mount()
    assert refused.value.status == 1
    assert "mounted there already" in refused.value.log and f"fusermount3 -u {first.path}" in refused.value.log
    first.verify(cab)
    first.unmount()
    with second:
        second.verify(cab)
    first.mount()


# --- the services go --------------------------------------------------------------------------------------------


def test_another_mount_after_a_lazy_unmount(emulator, mount, directory):
    """One that was taken away while a file of it is open ends without the one that has its place."""
    emulator.add_cabs(APP, FAILURE, count=1, size=1000)
    cab, = emulator.cabs()
    first = mount()
    helpers = processes(lambda place: b"fusermount3" in (place / "cmdline").read_bytes() and
                        os.fsencode(first.path) in (place / "cmdline").read_bytes())
    second = Mount(emulator, directory, driver=[APP])
    second.log_file, second.cache = directory / "second.log", directory / "second"
    with open(first.cab(cab), "rb") as file:
        file.read(10)
        subprocess.run(["fusermount3", "-u", "-z", first.path], check=True, timeout=20)
        with second:
            first.process.send_signal(signal.SIGTERM)
            assert first.process.wait(20) == 0
            first.process = None
            wait_until(lambda: not processes(lambda place: int(place.name) in helpers), "the end of its helper")
            assert is_mounted(second.path)
            assert os.listdir(second.path / APP) == [FAILURE]


def test_service_gone_under_load(emulator, mount):
    """When the hosts go while many read, each reader gets EIO soon, and none a wrong byte; when they are back all is
    readable, without a new mount. [E1, E9]"""
    load = Load(emulator, mount)
    listed = emulator.cabs()
    ports = emulator.ports
    emulator.kill()
    for reader in load.readers:  # five tries, with pauses between them
        reader.get(40)
        assert reader.error == errno.EIO or reader.result == "all right"
    emulator.start(ports)
    emulator.add_cabs(APP, FAILURE, count=len(listed), size=3 * MIB, expires=listed[0]["expires"])
    for cab in load.cabs:
        path = load.mount.cab(cab)
        wait_until(lambda: errno_of(path.read_bytes) in (None, "ESTALE"), "it is readable again")
        assert path.read_bytes() == load.truth[cab["id"]]


@pytest.mark.parametrize("family", ["driver", "desktop"])
def test_token_revoked_in_the_middle(emulator, mount, family):
    """A token that is taken back while many list and read costs one new one, however many were under way with the old
    one, and nobody notices. [E12]"""
    key = {"driver": APP, "desktop": "10238467886765136388"}[family]
    hashes = [f"1fd83f6d-9fe0-96ec-2c47-{number:012}" for number in range(6)]
    for failure in hashes:
        emulator.add_cabs(key, failure, family=family, count=2, size=100_000)
    m = mount(**{"driver": None, family: [key]}, api_connections=16, listing_ttl=0)
    os.listdir(m.path / key)
    for failure in hashes[:3]:
        os.listdir(m.path / key / failure)
    held = emulator.fault("hold", ["batch", "desktop-details", "desktop-cabdownload"])
    emulator.reset_counters()
    known = [cab for cab in emulator.cabs() if cab["failure"] in hashes[:3]]
    readers = [Reader(m.verify, cab) for cab in known]
    readers += [Reader(os.listdir, m.path / key / failure) for failure in hashes[3:]]
    emulator.wait_held(3)
    emulator.revoke_tokens()
    emulator.clear_faults(held)
    readers += [Reader(os.listdir, m.path / key / failure) for failure in hashes]
    for reader in readers:
        reader.get(30)
        assert reader.error is None
    for cab in emulator.cabs():
        m.verify(cab)
    endpoints = emulator.counters()["endpoints"]
    assert sum(endpoint["statuses"].get("401", 0) for endpoint in endpoints.values()) >= 3
    assert endpoints["login"]["requests"] == 1


# --- the machine sleeps -----------------------------------------------------------------------------------------


class Freezer:
    """A control group whose processes can be frozen, as all are when the machine is suspended."""

    def __init__(self, place, version):
        self.place, self.version = place, version
        place.mkdir()

    def add(self, pid):
        (self.place / "cgroup.procs").write_text(str(pid))

    def set(self, frozen):
        if self.version == 1:
            (self.place / "freezer.state").write_text("FROZEN" if frozen else "THAWED")
        else:
            (self.place / "cgroup.freeze").write_text(str(int(frozen)))

    def is_frozen(self):
        if self.version == 1:
            return (self.place / "freezer.state").read_text() == "FROZEN\n"
        return "frozen 1" in (self.place / "cgroup.events").read_text()

    def close(self):
        self.set(False)
        wait_until(lambda: (self.place / "cgroup.procs").read_text() == "", "its processes end")
        self.place.rmdir()


@pytest.fixture(params=[1, 2], ids=["v1", "v2"])
def freezer(request):
    tops = {1: ["/sys/fs/cgroup/freezer"], 2: ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]}[request.param]
    top = next((Path(top) for top in tops if (Path(top) / "cgroup.procs").exists()), None)
    if top is None or not os.access(top, os.W_OK):
        pytest.skip("no control groups of this version to write to")
    freezer = Freezer(top / f"cabfs-test-{os.getpid()}", request.param)
    with contextlib.closing(freezer):
        yield freezer


# To the kernel a freeze is an interruption.  Python goes on after EINTR by itself where it opens and reads, not where it
# lists.
READ = "import sys, hashlib; print(hashlib.sha256(open(sys.argv[1], 'rb').read()).hexdigest())"
LIST = """
import os, sys
for _ in range(2):
    try:
        print(len(os.listdir(sys.argv[1])))
        break
    except InterruptedError:
        pass
"""


def start(program, path):
    return subprocess.Popen([sys.executable, "-c", program, path], stdout=subprocess.PIPE, text=True)


def freeze(freezer, within):
    freezer.set(True)
    wait_until(freezer.is_frozen, "all is frozen", within)


@pytest.mark.parametrize("endpoint", ["blob-get", "batch"])
def test_frozen_while_it_waits(emulator, mount, freezer, endpoint):
    """Who waits for an answer in open() or in a list keeps no machine awake; afterwards he gets what he asked for."""
    emulator.add_cabs(APP, FAILURE, size=100_000)
    cab, = emulator.cabs()
    m = mount(timeout=60)
    os.listdir(m.path / APP)
    if endpoint == "blob-get":
        os.listdir(m.path / APP / FAILURE)
    emulator.fault("hold", endpoint)
    program, path = (READ, m.cab(cab)) if endpoint == "blob-get" else (LIST, m.path / APP / FAILURE)
    with start(program, path) as reader:
        emulator.wait_held(1)
        freezer.add(reader.pid)
        freeze(freezer, 5)
        emulator.clear_faults()
        freezer.set(False)
        said = reader.communicate(timeout=30)[0].strip()
    assert said == (emulator.sha256(cab["id"]) if endpoint == "blob-get" else "1")


def test_frozen_while_it_reads(emulator, mount, freezer):
    """In read() the kernel lets nobody freeze who waits for a page: that ends with `timeout` at the latest."""
    emulator.add_cabs(APP, FAILURE, size=100_000)
    cab, = emulator.cabs()
    m = mount(timeout=3)
    os.listdir(m.path / APP / FAILURE)
    emulator.fault("stall", "blob-get", after=0)
    with start(READ, m.cab(cab)) as reader:
        emulator.wait_held(1)
        freezer.add(reader.pid)
        freeze(freezer, 15)
        freezer.set(False)
        reader.communicate(timeout=30)
    emulator.clear_faults()
    m.verify(cab)


def test_frozen_program(emulator, mount, freezer):
    """cabfs itself is frozen at once, whoever waits for it, and goes on where it was, with connections that are gone."""
    emulator.add_cabs(APP, FAILURE, count=4, size=3 * MIB)
    cabs = emulator.cabs()
    m = mount(timeout=10, retries=5)
    os.listdir(m.path / APP / FAILURE)
    emulator.fault("stall", "blob-get", after=1000)
    readers = [Reader(m.verify, cab) for cab in cabs]
    emulator.wait_held(len(cabs))
    freezer.add(m.process.pid)
    freeze(freezer, 5)
    emulator.clear_faults()
    emulator.fault("reset", "blob-get", after=1000, count=len(cabs))
    freezer.set(False)
    for reader in readers:
        reader.get(40)
        assert reader.error is None
    m.unmount()
