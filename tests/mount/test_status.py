# SPDX-License-Identifier: MIT
"""MOUNTPOINT/.cabfs, the line for a service manager, and the state in the log: what a mount tells of itself agrees with
what the service has seen, and telling it costs and disturbs nothing."""
import json
import os
import re
import signal
import socket
import stat
import subprocess
import time
from pathlib import Path

import pytest
from prometheus_client.openmetrics import parser

from conftest import APP, FAILURE, OTHER_FAILURE
from mount import Mount, Reader, errno_of, tool, wait_in_fuse, wait_until, within, xattrs

KIB, MIB = 1 << 10, 1 << 20
HEAD = 256 * KIB   # what the first request for a CAB brings
AT = 64 * KIB      # where a stalled range stands
CONNECTIONS = 16   # the default
FILES = ["metrics", "status.json"]
ALL = ["login", "hits", "details", "batch", "cabdownload", "blob-head", "blob-get"]


def status(mount):
    return json.loads((mount.path / ".cabfs/status.json").read_text())


def metrics(mount):
    """{(sample, label values): value}, as a monitoring system reads them."""
    text = (mount.path / ".cabfs/metrics").read_text()
    assert text.endswith("\n# EOF\n")
    samples = {}
    for family in parser.text_string_to_metric_families(text):
        assert family.documentation.endswith("."), family.name
        for sample in family.samples:
            key = (sample.name, *sample.labels.values())
            assert key not in samples
            samples[key] = sample.value
    return samples


def read_whole(path):
    with open(path, "rb", buffering=0) as file:
        return len(file.readall())


class Stalled:
    """A CAB of 3 MiB of which 256 + 64 KiB are here: on one connection, whose answer stands still there."""

    SIZE, CACHED = 3 * MIB, HEAD + AT

    def __init__(self, emulator, mount, **options):
        self.emulator = emulator
        emulator.add_cabs(APP, FAILURE, count=1, size=self.SIZE)
        self.fault = emulator.fault("stall", "blob-get", skip=1, after=AT)
        self.mount = mount(connections=1, **options)
        [self.cab] = emulator.cabs()
        self.reader = Reader(read_whole, self.mount.cab(self.cab))
        emulator.wait_held(1)
        wait_until(lambda: self.downloads() and self.downloads()[0]["cached"] == self.CACHED,
                   "the bytes that came are not told of")

    def downloads(self):
        return status(self.mount)["downloads"]

    def release(self):
        self.emulator.clear_faults()
        self.emulator.release()
        assert self.reader.get() == self.SIZE


# --- names -------------------------------------------------------------------------------------------------------


def test_hidden(emulator, mount, directory):
    """The directory is there by its name, and nobody who walks the tree walks into it. [T1]"""
    emulator.add_cabs(APP, FAILURE, count=1, size=1000)
    mounted = mount()
    assert sorted(os.listdir(mounted.path / ".cabfs")) == FILES
    for command in (["ls", "-aR"], ["find", "."], [tool("rsync"), "-rn", "--list-only", "./"], ["du", "-a"]):
        out = subprocess.run(command, cwd=mounted.path, check=True, capture_output=True, text=True, timeout=60).stdout
        assert f"{FAILURE}" in out and "cabfs" not in out and "status" not in out, command
    subprocess.run(["cp", "-r", mounted.path, directory / "copy"], check=True, timeout=60)
    assert os.listdir(directory / "copy") == [APP]


def test_other_names(mount):
    """There is nothing else, and nothing of it can be changed."""
    mounted = mount()
    place = mounted.path / ".cabfs"
    for name in ("status", "metrics.txt", APP, ".cabfs", "status.json.d"):
        assert errno_of(os.stat, place / name) == "ENOENT"
    assert errno_of(os.stat, place / "metrics" / "x") == "ENOTDIR"
    assert errno_of(os.listdir, place / "metrics") == "ENOTDIR"
    assert errno_of(os.open, place, os.O_WRONLY) in ("EISDIR", "EROFS")
    for func in (lambda path: path.write_text("x"), os.unlink, lambda path: os.chmod(path, 0o777)):
        assert errno_of(func, place / "metrics") == "EROFS"
    assert errno_of(os.mkdir, place / "x") == "EROFS"
    assert xattrs(place) == xattrs(place / "metrics") == {}
    assert errno_of(os.stat, mounted.path / APP / ".cabfs") == "ENOENT"


@pytest.mark.parametrize("options, modes", [((), (0o555, 0o444)), (("-o", "umask=077"), (0o500, 0o400))])
def test_attributes(emulator, directory, options, modes):
    """Owner and modes are those of all files; a size is not known before there is something to be read."""
    with Mount(emulator, directory, driver=[APP], arguments=options) as mount:
        place = mount.path / ".cabfs"
        root = os.stat(mount.path)
        inodes = {place: os.stat(place).st_ino}
        for path, mode in ((place, modes[0]), *((place / name, modes[1]) for name in FILES)):
            found = os.stat(path)
            assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (mode, root.st_uid, root.st_gid)
            inodes[path] = found.st_ino
        assert os.stat(place / "metrics").st_size == 0
        assert abs(os.stat(place / "metrics").st_mtime - time.time()) < 60
        mount.remount()
        assert inodes == {path: os.stat(path).st_ino for path in inodes}


def test_programs(mount, directory):
    """Programs that ask for the size first, and such that read little by little, see all of it."""
    mounted = mount()
    place = mounted.path / ".cabfs"

    def run(*command):
        return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout

    assert json.loads(run("cat", place / "status.json"))["account"] == "test"
    subprocess.run(["cp", place / "status.json", directory / "copy"], check=True, timeout=60)
    assert json.loads((directory / "copy").read_text())["pid"] == mounted.process.pid
    assert run("grep", "-c", "sent", place / "status.json") == b"7\n"
    assert run("tail", "-n1", place / "metrics") == run("dd", f"if={place}/metrics", "bs=7", "status=none")[-6:]
    assert int(run("wc", "-c", place / "metrics").split()[0]) > 4000
    assert run(tool("jq"), "-r", ".cache.writable", place / "status.json") == b"true\n"


def test_moment(emulator, mount):
    """A file tells of the moment when it was opened, however long it is read. [T3]"""
    emulator.add_cabs(APP, FAILURE, count=1, size=10 * KIB)
    mounted = mount()
    with open(mounted.path / ".cabfs/status.json", "rb", buffering=0) as file:
        begin = os.pread(file.fileno(), 100, 0)
        read_whole(mounted.cab(emulator.cabs()[0]))
        whole = file.readall()
        assert whole.startswith(begin) and os.pread(file.fileno(), 1 << 20, 0) == whole
        assert os.pread(file.fileno(), 10, len(whole)) == b""
        assert json.loads(whole)["bytes"] == {"downloaded": 0, "shared": 0, "served": 0}
    assert status(mounted)["bytes"] == {"downloaded": 10 * KIB, "shared": 0, "served": 10 * KIB}


# --- numbers -----------------------------------------------------------------------------------------------------


def test_agrees(emulator, mount):
    """Bytes and requests are those that the service has counted, and both files say the same. [T5]"""
    emulator.add_cabs(APP, FAILURE, count=5, size=[1000, 300 * KIB, 2 * MIB])
    mounted = mount()
    os.listdir(mounted.path / APP)
    cabs = emulator.cabs()
    for cab in cabs:
        assert os.stat(mounted.cab(cab)).st_size == cab["size"]
    for cab in cabs[:4]:
        mounted.verify(cab)
    told, samples = status(mounted), metrics(mounted)
    counters = emulator.counters(cabs=False)
    total = sum(cab["size"] for cab in cabs[:4])
    assert told["bytes"] == {"downloaded": total, "shared": 0, "served": total}
    assert counters["bytes"] == total
    for kind, endpoint in (("token", "login"), ("list", "batch"), ("hits", "hits"), ("head", "blob-head"),
                           ("range", "blob-get"), ("locate", "cabdownload")):
        sent = counters["endpoints"].get(endpoint, {"requests": 0})["requests"]
        assert told["requests"][kind] == {"sent": sent, "failed": 0}, kind
        assert samples["cabfs_requests_total", kind] == sent
        assert samples["cabfs_requests_failed_total", kind] == 0
    assert told["requests"]["stacktrace"] == {"sent": 0, "failed": 0}
    assert samples["cabfs_downloaded_bytes_total",] == samples["cabfs_served_bytes_total",] == total
    assert (told["downloads"], told["errors"], told["openFiles"], told["waiting"]) == ([], [], 0, 0)
    assert (told["account"], told["pid"]) == ("test", mounted.process.pid)
    assert samples["cabfs_mount_info", told["version"], "test"] == 1
    [hosts] = [[host for host in told["hosts"] if host["use"] == "bytes"]]
    assert hosts == [{"host": emulator.blob.split("//")[1], "use": "bytes", "connections": 0, "parallel": 16,
                      "pausedSeconds": 0}]
    assert {host["use"] for host in told["hosts"]} == {"api", "login", "bytes", "sizes"}


def test_cache(emulator, mount):
    """What is in the cache: near what the disk has at any time, and counted anew by the next mount."""
    emulator.add_cabs(APP, FAILURE, count=3, size=MIB)
    mounted = mount(cache_size="1G")
    for cab in emulator.cabs():
        mounted.verify(cab)
    told = status(mounted)["cache"]
    assert told["directory"] == str(mounted.cache) and told["limit"] == 1 << 30 and told["writable"] is True
    assert told["files"] == 3 and 3 * MIB <= told["bytes"] < 3 * MIB + 64 * KIB
    assert (told["evictedFiles"], told["evictedBytes"], told["damaged"], told["full"]) == (0, 0, 0, False)
    mounted.remount()
    counted = wait_until(lambda: status(mounted)["cache"]["bytes"] is not None and status(mounted)["cache"],
                         "the directory is not counted")
    on_disk = sum(path.stat().st_blocks * 512 for path in mounted.cache.glob("*Z/*.cab"))
    assert (counted["files"], counted["bytes"]) == (3, on_disk)
    samples = metrics(mounted)
    assert (samples["cabfs_cache_files",], samples["cabfs_cache_bytes",]) == (3, on_disk)


def test_evicted(emulator, mount):
    """What is removed to make room is counted."""
    emulator.add_cabs(APP, FAILURE, count=6, size=4 * MIB)
    mounted = mount(cache_size="8M")
    for cab in emulator.cabs():
        mounted.verify(cab)
    told = wait_until(lambda: status(mounted)["cache"]["evictedFiles"] >= 2 and status(mounted)["cache"],
                      "nothing is removed")
    assert told["evictedBytes"] >= 2 * 4 * MIB


def test_damaged(emulator, mount):
    """What is found damaged is counted."""
    emulator.add_cabs(APP, FAILURE, count=2, size=MIB)
    mounted = mount()
    for cab in emulator.cabs():
        mounted.verify(cab)
    mounted.unmount()
    for path in mounted.cache.glob("*Z/*.map"):
        path.write_bytes(b"nonsense")
    mounted.mount()
    for cab in emulator.cabs():
        mounted.verify(cab)
    assert status(mounted)["cache"]["damaged"] == metrics(mounted)["cabfs_cache_damaged_files_total",] == 2


# --- downloads ---------------------------------------------------------------------------------------------------


def test_progress(emulator, mount):
    """A download is told of while it runs: how far it is in bytes that the service has sent, how fast, and who waits. [T5]"""
    stalled = Stalled(emulator, mount)
    cab, mounted = stalled.cab, stalled.mount
    [download] = stalled.downloads()
    rate, left = download.pop("rate"), download.pop("secondsLeft")
    readers, connections = download.pop("readers"), download.pop("connections")
    assert download == {"path": f"/{APP}/{FAILURE}/{cab['id']}.cab", "size": cab["size"], "cached": Stalled.CACHED}
    assert emulator.counters()["cabs"][cab["id"]]["bytes"] == Stalled.CACHED
    assert readers >= 1 and connections >= 1 and (rate > 0) == (left is not None)
    [host] = [host for host in status(mounted)["hosts"] if host["use"] == "bytes"]
    assert (host["connections"], host["parallel"]) == (1, 1)
    samples = metrics(mounted)
    assert samples["cabfs_downloads",] == 1 and samples["cabfs_download_readers",] >= 1
    assert status(mounted)["waiting"] >= 1 and status(mounted)["openFiles"] == 1
    # nothing comes: the rate goes down to nothing, and there is no telling how long it will take
    within(10, lambda: stalled.downloads()[0]["rate"] == 0, "bytes that do not come are told of")
    assert stalled.downloads()[0]["secondsLeft"] is None
    stalled.release()
    assert status(mounted)["downloads"] == [] and metrics(mounted)["cabfs_downloads",] == 0
    assert status(mounted)["bytes"] == {"downloaded": cab["size"], "shared": 0, "served": cab["size"]}


def test_before_the_first_byte(emulator, mount):
    """Who opens a CAB whose host does not answer waits for a download without a size."""
    emulator.add_cabs(APP, FAILURE, count=1, size=MIB)
    emulator.fault("hold", "blob-get")
    mounted = mount(sizes="lazy")
    [cab] = emulator.cabs()
    reader = Reader(read_whole, mounted.cab(cab))
    emulator.wait_held(1)
    [download] = status(mounted)["downloads"]
    assert (download["size"], download["cached"], download["rate"], download["readers"]) == (None, 0, 0, 1)
    emulator.clear_faults()
    emulator.release()
    assert reader.get() == MIB


def test_waits_for_nothing(emulator, mount):
    """While every host keeps everybody waiting, the state is told at once, and no request is made for it. [T2]"""
    emulator.add_cabs(APP, FAILURE, count=20, size=MIB)
    mounted = mount()
    os.listdir(mounted.path / APP / FAILURE)
    emulator.fault("hold", ALL)
    readers = [Reader(read_whole, mounted.cab(cab)) for cab in emulator.cabs()]
    readers.append(Reader(os.listdir, mounted.path / APP))
    wait_in_fuse(readers)
    wait_until(lambda: status(mounted)["waiting"] == len(readers), "not all that wait are told of")
    emulator.wait_held(CONNECTIONS + 1)  # and the list: there are no more requests than that
    before = emulator.counters(cabs=False)["requests"]
    began = time.monotonic()
    for _ in range(10):
        assert status(mounted)["waiting"] == len(readers) == metrics(mounted)["cabfs_waiting_requests",]
        assert sorted(os.listdir(mounted.path / ".cabfs")) == FILES
    assert time.monotonic() - began < 15  # they would wait for 20
    assert emulator.counters(cabs=False)["requests"] == before
    emulator.clear_faults()
    emulator.release()
    for reader in readers:
        reader.get()
    assert status(mounted)["waiting"] == 0


def test_denied_programs(emulator, mount):
    """A program that may cause no request may look: it causes none."""
    mounted = mount(deny="cat")
    out = subprocess.run(["cat", mounted.path / ".cabfs/status.json"], check=True, capture_output=True, timeout=60)
    assert json.loads(out.stdout)["requests"]["token"]["sent"] == emulator.requests("login") == 0


def test_paused_host(emulator, mount):
    """A host that asks for a pause is told of, with the seconds that are left."""
    emulator.add_cabs(APP, FAILURE, count=1, size=MIB)
    emulator.fault("status", "blob-get", status=429, retryAfter=4, count=1)
    mounted = mount(sizes="lazy")
    reader = Reader(read_whole, mounted.cab(emulator.cabs()[0]))

    def pause():
        return [host["pausedSeconds"] for host in status(mounted)["hosts"] if host["use"] == "bytes"]

    wait_until(lambda: pause() not in ([], [0]), "no pause is told of")
    assert 0 < pause()[0] <= 5 and metrics(mounted)["cabfs_hosts_paused",] == 1
    assert reader.get() == MIB
    assert pause() == [0] and metrics(mounted)["cabfs_hosts_paused",] == 0
    told = status(mounted)["requests"]["range"]
    assert told["failed"] == 1 and told["sent"] == emulator.requests("blob-get")


# --- errors ------------------------------------------------------------------------------------------------------


def test_errors(emulator, mount):
    """What failed is told with the service's own words, the newest first, and no secret among them. [T4]"""
    emulator.add_cabs(APP, FAILURE, count=1, size=MIB)
    emulator.add_cabs(APP, OTHER_FAILURE, count=1, size=MIB)
    mounted = mount(retries=2)
    [cab] = emulator.cabs(APP, FAILURE)
    os.listdir(mounted.path / APP / FAILURE)
    emulator.fault("status", "blob-get", status=500, code="InternalError")
    assert errno_of(read_whole, mounted.cab(cab)) == "EIO"
    emulator.fault("status", ["batch", "details"], status=403)
    assert errno_of(os.listdir, mounted.path / APP / OTHER_FAILURE) == "EACCES"
    assert errno_of(os.stat, mounted.path / APP / "no-such-thing") == "ENOENT"  # no failure of ours
    text = (mounted.path / ".cabfs/status.json").read_text()
    told = json.loads(text)
    newest, oldest = told["errors"][0], told["errors"][-1]
    assert (oldest["operation"], oldest["path"]) == ("open", f"/{APP}/{FAILURE}/{cab['id']}.cab")
    assert (oldest["error"], oldest["status"], oldest["code"]) == ("EIO", 500, "InternalError")
    assert newest["path"] == f"/{APP}/{OTHER_FAILURE}"
    assert (newest["error"], newest["status"]) == ("EACCES", 403)
    for error in told["errors"]:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", error["time"])
        # the ids are those in the log, which the message repeats
        assert len(error["correlationId"]) > 8 and f"correlation id {error['correlationId']}" in mounted.log()
        assert error["correlationId"] in error["message"] and "?" not in error["message"]
    assert "sig=" not in text and "applicationId=" not in text
    assert not any(secret in text for secret in mounted.secrets)
    assert told["requests"]["range"] == {"sent": emulator.requests("blob-get"), "failed": emulator.requests("blob-get")}
    assert metrics(mounted)["cabfs_errors_total",] == len(told["errors"])


def test_refused_login(emulator, mount):
    """That there is no token is told of with the words of the login host, whatever was asked for."""
    mounted = mount()
    emulator.fault("status", "login", status=401)
    assert errno_of(os.listdir, mounted.path / APP) == "EACCES"
    [error] = status(mounted)["errors"]
    assert (error["operation"], error["path"], error["status"]) == ("list", f"/{APP}", 401)
    assert error["code"] == "invalid_client" and "AADSTS7000215" in error["message"]
    token = status(mounted)["requests"]["token"]
    assert token["sent"] == token["failed"] == emulator.requests("login")


def test_last_errors(emulator, mount):
    """No more than the last 32 are told of."""
    emulator.add_cabs(APP, FAILURE, count=40, size=MIB)
    mounted = mount(sizes="lazy")
    os.listdir(mounted.path / APP / FAILURE)
    emulator.fault("status", "blob-get", status=403, code="AuthorizationPermissionMismatch")
    cabs = emulator.cabs()
    for cab in cabs:
        assert errno_of(read_whole, mounted.cab(cab)) == "EACCES"
    told = [error["path"].split("/")[-1] for error in status(mounted)["errors"]]
    assert told == [f"{cab['id']}.cab" for cab in reversed(cabs)][:32]
    assert metrics(mounted)["cabfs_errors_total",] == 40


# --- a service manager -------------------------------------------------------------------------------------------


class Manager:
    """The socket of a service manager."""

    def __init__(self, directory):
        self.name = str(directory / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.name)
        self.socket.settimeout(60)
        self.heard = []

    def hear(self):
        message = dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())
        self.heard.append((time.monotonic(), message))
        return message

    def hear_until(self, words):
        while words not in (told := self.hear()["STATUS"]):
            pass
        return told


@pytest.fixture
def manager(directory):
    manager = Manager(directory)
    yield manager
    manager.socket.close()


def test_manager(emulator, mount, manager):
    """A manager is told how a download goes on, now and then and only what is new, and when it is over."""
    stalled = Stalled(emulator, mount, environment={"NOTIFY_SOCKET": manager.name})
    where = f"test is mounted at {stalled.mount.path}"
    assert manager.hear() == {"READY": "1", "STATUS": where}
    told = manager.hear_until("0.3 of 3.0 MiB, ")
    assert re.fullmatch(r"Reading 1 CAB, 0\.3 of 3\.0 MiB, ([0-9.]+ (B|KiB|MiB)/s|waiting for bytes)", told)
    if "waiting" not in told:
        assert manager.hear_until("waiting for bytes") == "Reading 1 CAB, 0.3 of 3.0 MiB, waiting for bytes"
    stalled.release()
    assert manager.hear_until("Idle") == f"Idle, 3.0 MiB downloaded; {where}"
    times = [when for when, _ in manager.heard]
    assert len(times) <= times[-1] - times[0] + 2, times  # one a second at most
    lines = [message["STATUS"] for _, message in manager.heard]
    assert all(before != after for before, after in zip(lines, lines[1:])), lines


def switches(pid, thread):
    """How often the thread of that name has slept and been woken."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text().strip() == thread:
            return int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", (task / "status").read_text(), re.M)[1])
    raise AssertionError(f"no thread {thread}")


def test_idle(emulator, mount, manager):
    """Where nothing waits, nobody wakes up to say so."""
    emulator.add_cabs(APP, FAILURE, count=1, size=MIB)
    mounted = mount(environment={"NOTIFY_SOCKET": manager.name})
    [cab] = emulator.cabs()
    mounted.verify(cab)
    # it looks twice, and sleeps
    previous = [-1, -1, -1]

    def sleeps():
        previous.append(switches(mounted.process.pid, "cabfs-herald"))
        time.sleep(0.5)
        return len(set(previous[-4:])) == 1

    wait_until(sleeps, "the thread wakes up again and again")
    before = switches(mounted.process.pid, "cabfs-herald")
    os.listdir(mounted.path)
    status(mounted)
    time.sleep(2.5)  # nothing is to happen
    assert switches(mounted.process.pid, "cabfs-herald") == before


def test_deaf_manager(emulator, mount, manager):
    """One that does not read what it is told holds up nothing, and hears of the end."""
    emulator.add_cabs(APP, FAILURE, count=30, size=MIB)
    mounted = mount(environment={"NOTIFY_SOCKET": manager.name})
    filler = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    filler.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            filler.sendto(b"x", manager.name)
    emulator.fault("stall", "blob-get", after=AT, count=1)
    reader = Reader(mounted.verify, emulator.cabs()[0])
    emulator.wait_held(1)
    for cab in emulator.cabs()[1:]:
        mounted.verify(cab)
    wait_until(lambda: "the service manager was not told" in mounted.log(), "it was told")
    emulator.release()
    reader.get()
    assert reader.error is None and "warning: the service manager" not in mounted.log()


# --- the log -----------------------------------------------------------------------------------------------------


def test_signal(emulator, mount):
    """SIGUSR1 has the state written to the log, and changes nothing."""
    stalled = Stalled(emulator, mount)
    mounted = stalled.mount
    emulator.fault("status", "hits", status=403)
    assert errno_of(os.listdir, mounted.path / APP) in ("EACCES", None)
    for _ in range(3):
        mounted.process.send_signal(signal.SIGUSR1)
    mounted.wait_log(" info: state: requests: token 1 (0 failed)")
    path = f"/{APP}/{FAILURE}/{stalled.cab['id']}.cab"
    mounted.wait_log(f" info: state: download {path}: 0.3 of 3.0 MiB, ")
    mounted.wait_log(f" info: state: cache {mounted.cache}: ")
    mounted.wait_log(f" info: state: host {emulator.blob.split('//')[1]}, bytes: 1 of 1 connections")
    stalled.release()
    mounted.unmount()
