# SPDX-License-Identifier: MIT
"""Under a service manager: what it is told, over a socket of the test in its place."""
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from conftest import APP
from heldcalls import Calls
from mount import PROGRAM, Mount, is_mounted


@pytest.fixture(params=["path", "abstract"])
def manager(request, directory):
    """A socket that hears what a manager would, and the value of NOTIFY_SOCKET for it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(60)
        if request.param == "path":
            name = str(directory / "notify")
            sock.bind(name)
        else:
            name = f"@cabfs-test-{os.getpid()}-{directory.name}"
            sock.bind("\0" + name[1:])
        yield sock, name


def hear(sock):
    return dict(line.split("=", 1) for line in sock.recv(4096).decode().splitlines())


def hears_nothing(sock):
    sock.setblocking(False)
    with pytest.raises(BlockingIOError):
        sock.recv(4096)
    sock.settimeout(60)


def test_ready_and_stopping(emulator, directory, manager):
    """Ready is said once the mount answers, and stopping when it is taken away."""
    sock, name = manager
    with Mount(emulator, directory, driver=[APP], environment={"NOTIFY_SOCKET": name}) as mount:
        assert hear(sock) == {"READY": "1", "STATUS": f"test is mounted at {mount.path}"}
        assert os.listdir(mount.path) == [APP]
        hears_nothing(sock)
        mount.unmount()
        assert hear(sock) == {"STOPPING": "1", "STATUS": "Unmounting"}
        hears_nothing(sock)


def test_told_to_stop(emulator, directory, manager):
    """SIGTERM, as from a manager: stopping is said, the mount goes, the status is 0."""
    sock, name = manager
    with Mount(emulator, directory, driver=[APP], environment={"NOTIFY_SOCKET": name}) as mount:
        assert hear(sock)["READY"] == "1"
        mount.process.terminate()
        assert hear(sock)["STOPPING"] == "1"
        mount.wait_end()


def threads(pid):
    return {(task / "comm").read_text().strip() for task in Path(f"/proc/{pid}/task").iterdir()}


def test_stopping_is_the_last_word(emulator, directory, manager):
    """Once stopping was said nothing else is, however long the rest takes: here a reload that has not told its end yet."""
    sock, name = manager
    calls = Calls(directory)
    with Mount(emulator, directory, driver=[APP], environment={"NOTIFY_SOCKET": name, **calls.environment}) as mount:
        assert hear(sock)["READY"] == "1"
        assert "cabfs-herald" in threads(mount.process.pid)
        calls.hold("write.cabfs-reload")
        mount.process.send_signal(signal.SIGHUP)
        calls.wait_held("write.cabfs-reload")
        mount.process.terminate()
        assert hear(sock)["STOPPING"] == "1"
        running = threads(mount.process.pid)
        assert "cabfs-reload" in running  # the end has only begun
        assert "cabfs-herald" not in running
        calls.go_on("write.cabfs-reload")
        mount.wait_end()
        hears_nothing(sock)


def test_newline_in_the_mount_point(emulator, directory, manager):
    """What is in a path cannot pass for a message of its own."""
    sock, name = manager
    mount = Mount(emulator, directory, driver=[APP], environment={"NOTIFY_SOCKET": name})
    mount.path = directory / "a\nSTOPPING=1"
    mount.path.mkdir()
    with mount:
        assert hear(sock) == {"READY": "1", "STATUS": f"test is mounted at {directory}/a STOPPING=1"}


def test_nobody_listens(emulator, directory):
    """A manager that is gone, and an address that is none, are a line in the log each and no more."""
    for name in (f"{directory}/gone", "vsock:2:1234", "@"):
        with Mount(emulator, directory, driver=[APP], environment={"NOTIFY_SOCKET": name}) as mount:
            assert os.listdir(mount.path) == [APP]
            assert mount.log().count("warning: the service manager") == 1, name


def test_children_do_not_speak_for_it(emulator, directory, manager):
    """A token command, as any program that cabfs starts, does not have the socket."""
    sock, name = manager
    command = f"env > {directory}/environment; printf header.payload.signature"
    with Mount(emulator, directory, driver=[APP], token_command=command, tenant=None, client_id=None,
               client_secret_file=None, environment={"NOTIFY_SOCKET": name}) as mount:
        assert hear(sock)["READY"] == "1"
        with pytest.raises(OSError):
            os.listdir(mount.path / APP)  # the service knows no such token
    environment = (directory / "environment").read_text()
    assert "PATH=" in environment and "NOTIFY_SOCKET" not in environment


def test_background(emulator, directory, manager):
    """From the background nothing is said: the manager would wait for a process that has left."""
    sock, name = manager
    mount = Mount(emulator, directory, driver=[APP])
    mount.path.mkdir(exist_ok=True)
    subprocess.run([PROGRAM, "-c", mount.write_config(), "test", mount.path], check=True, timeout=60,
                   env={**os.environ, "NOTIFY_SOCKET": name})
    try:
        assert is_mounted(mount.path)
        hears_nothing(sock)
    finally:
        subprocess.run(["fusermount3", "-u", mount.path], check=True, timeout=60)
