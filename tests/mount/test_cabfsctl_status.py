# SPDX-License-Identifier: MIT
"""`cabfsctl status`: once, watched, as JSON; of real mounts, and of files that no cabfs would write."""
import json
import os
import re
import select
import signal
import time

import pytest

from conftest import APP, FAILURE
from ctl import Terminal, run, start
from mount import Reader, errno_of, read_at

MiB = 1 << 20
SAMPLE = {
    "version": "0.1", "account": "contoso", "pid": 123, "started": "2026-11-21T16:40:00Z", "time": "2026-11-21T16:41:00Z",
    "downloads": [{"path": f"/{APP}/{FAILURE}/one.cab", "size": 400 * MiB, "cached": 100 * MiB, "rate": 50 * MiB,
                   "secondsLeft": 6, "readers": 1, "connections": 3},
                  {"path": "/new.cab", "size": None, "cached": None, "rate": None, "secondsLeft": None, "readers": 1,
                   "connections": 1}],
    "unpacking": [{"path": f"/{APP}/{FAILURE}/one.cab.d/a.dmp", "size": 80 * MiB, "unpacked": 60 * MiB, "rate": 10 * MiB,
                   "secondsLeft": 2, "readers": 1}],
    "cache": {"directory": "/home/anna/.cache/cabfs/contoso", "bytes": 3 << 30, "files": 34, "limit": 10 << 30,
              "evictedFiles": 2, "evictedBytes": 5 * MiB, "damaged": 1, "writable": False},
    "requests": {"token": {"sent": 1, "failed": 0}, "hits": {"sent": 5, "failed": 2}, "new": {"sent": 7, "failed": 0}},
    "bytes": {"downloaded": 1536, "shared": 2048, "served": 12},
    "hosts": [{"host": "acme.blob.core.windows.net", "use": "bytes", "connections": 3, "parallel": 16, "pausedSeconds": 90}],
    "errors": [{"time": "2026-11-21T16:40:30Z", "operation": "read", "path": "/one.cab", "error": "EIO", "status": 500,
                "code": "InternalError", "correlationId": "1f-2e", "message": "it went wrong"}],
}


@pytest.fixture
def place(directory):
    """A directory that holds what a mount holds; write(**changes) replaces the file as a whole."""
    (directory / ".cabfs").mkdir()

    def write(text=None, **changes):
        data = text if text is not None else json.dumps({**SAMPLE, **changes})
        new = directory / ".cabfs/new"
        new.write_bytes(data if isinstance(data, bytes) else data.encode())
        new.rename(directory / ".cabfs/status.json")
        return directory

    write()
    return write


def lines_until(process, words, timeout=30):
    """What it writes until a line has @words."""
    text, deadline = "", time.monotonic() + timeout
    while words not in text:
        ready, _, _ = select.select([process.stdout], [], [], max(0, deadline - time.monotonic()))
        assert ready, f"no {words!r}: {text!r}"
        data = os.read(process.stdout.fileno(), 65536).decode()
        assert data, f"it has ended: {text!r}"
        text += data
    return text


# --- what is shown ----------------------------------------------------------------------------------------------


def test_lines(place):
    result = run("status", place())
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"""\
contoso: cabfs 0.1, process 123, since 2026-11-21T16:40:00Z
Downloads: 2
  /{APP}/{FAILURE}/one.cab  [#####---------------]   25%   400.0 MiB    50.0 MiB/s     0:06
  /new.cab  [--------------------]               0 B
Unpacking: 1
  /{APP}/{FAILURE}/one.cab.d/a.dmp  [###############-----]   75%    80.0 MiB    10.0 MiB/s     0:02
Cache: 3.0 GiB of 10.0 GiB in 34 files, /home/anna/.cache/cabfs/contoso
  2 files (5.0 MiB) removed, expired or for want of room
  1 damaged file, to be fetched again
  it cannot be written: nothing is kept
Bytes: 1.5 KiB downloaded, 2.0 KiB from other mounts, 12 B served
Requests: token 1, hits 5 (2 failed), new 7
Hosts:
  acme.blob.core.windows.net, bytes: 3 of 16 connections, it asked for a pause: 1:30
Last errors:
  2026-11-21T16:40:30Z read /one.cab: EIO, HTTP status 500 InternalError: it went wrong (correlation id 1f-2e)
"""


def test_json(place):
    """The file as it is, byte for byte."""
    text = json.dumps({**SAMPLE, "more": [1.5, 20384678867651363881]}, indent=3) + "\n"
    assert run("status", "--json", place(text)).stdout == text


@pytest.mark.parametrize("changes", [
    {"downloads": None, "cache": None, "requests": None, "hosts": None, "errors": None, "bytes": None},
    {"downloads": "none", "cache": [], "requests": 3, "hosts": {}, "errors": "", "bytes": []},
    {"downloads": [None, 3, {"path": 7, "size": -1, "cached": 1e300}], "errors": [{}, None], "hosts": [None]},
    {"account": None, "pid": {}, "cache": {"bytes": "many", "limit": 2**70}},
])
def test_anything(place, changes):
    """Whatever it holds, as long as it is an object."""
    assert run("status", place(**changes)).returncode == 0


def test_names_are_no_orders(place):
    """Control characters of a name do not get to the terminal."""
    result = run("status", place(account="a\x1b[2Jb\nc", errors=[{"message": "x\x07y\u202ez"}]))
    assert "a\\033[2Jb\\nc: cabfs" in result.stdout
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e]", result.stdout)


@pytest.mark.parametrize("text", ["", "[]", "{", "null", b"\xff\xfe", "x" * 1000])
def test_nonsense(place, text):
    result = run("status", place(text))
    assert (result.returncode, result.stdout) == (1, "")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("arguments", [[], ["--json"]], ids=["lines", "json"])
def test_output_that_is_full(place, arguments):
    """What nobody got was not shown."""
    result = run("status", *arguments, place(), wrapper=["/bin/sh", "-c", 'exec "$@" >/dev/full', "sh"])
    assert (result.returncode, result.stderr) == (1, "cabfsctl: status: standard output: No space left on device\n")


def test_nothing_there(directory):
    result = run("status", directory)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"cabfsctl: status: {directory}: is no mount point of cabfs, or nothing is mounted there\n"


# --- watched ----------------------------------------------------------------------------------------------------


def test_watch_at_a_terminal(place):
    """Drawn anew in place, cut to the window; Ctrl-C ends it well."""
    with Terminal("status", "--watch", place(), columns=80) as terminal:
        screen = terminal.wait(lambda screen: "Last errors" in screen)
        assert all(len(line) < 80 for line in screen.splitlines())
        assert re.search(r"^  \.\.\.\S+one\.cab +25% +400\.0 MiB +50\.0 MiB/s +0:06$|"
                         r"^  \.\.\.\S+one\.cab  \[#+-+\] +25% +400\.0 MiB", screen, re.M), screen
        place(downloads=[], unpacking=[], errors=[])
        screen = terminal.wait(lambda screen: "Downloads: 0" in screen)
        assert "one.cab" not in screen and "Last errors" not in screen
        assert screen.count("contoso") == 2  # the account, and in the path of the cache: nothing is left of the first
        terminal.resize(40)
        place(bytes={"downloaded": 99, "served": 0})
        screen = terminal.wait(lambda screen: "99 B" in screen and all(len(line) <= 40 for line in screen.splitlines()))
        assert screen.count("Requests:") == 1, screen
        terminal.interrupt()
        assert terminal.end() == 0
    assert terminal.screen.wrapped == 0


def test_more_than_the_window_has(place):
    """Of a list that is too long the beginning is shown, and the window does not scroll away."""
    with Terminal("status", "--watch", place(errors=SAMPLE["errors"] * 32), rows=10) as terminal:
        screen = terminal.wait(lambda screen: "Cache:" in screen)
        assert len(screen.splitlines()) <= 10
        place(account="fabrikam", errors=SAMPLE["errors"] * 32)
        terminal.wait(lambda screen: screen.startswith("fabrikam"))
        terminal.interrupt()
        assert terminal.end() == 0


@pytest.mark.parametrize("arguments", [("--watch",), ("--watch", "--json")])
def test_watch_in_a_pipe(place, arguments):
    """A block for each change; that time passes is none."""
    process = start("status", *arguments, place())
    first = lines_until(process, "InternalError")
    place(time="2026-11-21T16:41:05Z")
    time.sleep(2.2)  # that nothing comes cannot be waited for
    assert not select.select([process.stdout], [], [], 0)[0]
    place(account="fabrikam")
    second = lines_until(process, "InternalError")
    if "--json" in arguments:
        assert [json.loads(text)["account"] for text in (first, second)] == ["contoso", "fabrikam"]
    else:
        assert first.startswith("contoso: ") and second.startswith("\nfabrikam: ")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "", "")


def test_watch_ends_with_the_mount(place):
    process = start("status", "--watch", place())
    lines_until(process, "InternalError")
    (place() / ".cabfs/status.json").unlink()
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "nothing is mounted there" in err


def test_the_reader_of_the_pipe_goes(place):
    process = start("status", "--watch", place())
    lines_until(process, "InternalError")
    process.stdout.close()
    place(account="fabrikam")
    assert process.wait(30) == -signal.SIGPIPE
    process.stderr.close()


# --- real mounts ------------------------------------------------------------------------------------------------


def status_of(mounted):
    result = run("status", "--json", mounted.path)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_idle(emulator, mount):
    mounted = mount()
    emulator.reset_counters()
    assert run("status", mounted.path).stdout.startswith("test: cabfs ")
    assert status_of(mounted)["account"] == "test"
    assert all(entry["requests"] == 0 for entry in emulator.counters(cabs=False)["endpoints"].values())


def test_download(emulator, mount):
    """One that stands still: the path, the bytes that are here, and no rate that it does not have."""
    emulator.add_cabs(APP, FAILURE, count=1, size=8 * MiB)
    cab, = emulator.cabs()
    mounted = mount(read_ahead="1M")
    fault = emulator.fault("stall", "blob-get", skip=2, after=100_000, ms=3_600_000)
    reader = Reader(lambda: open(mounted.cab(cab), "rb").read())
    emulator.wait_held(1)
    with Terminal("status", "--watch", mounted.path, columns=200) as terminal:
        screen = terminal.wait(lambda screen: "Downloads: 1" in screen and "Requests:" in screen)
        line, = [line for line in screen.splitlines() if cab["id"] in line]
        assert f"/{APP}/{FAILURE}/{cab['id']}.cab" in line and "8.0 MiB" in line and re.search(r" \d+%", line)
        emulator.clear_faults(fault)
        assert len(reader.get()) == 8 * MiB
        terminal.wait(lambda screen: "Downloads: 0" in screen)
        terminal.interrupt()
        assert terminal.end() == 0
    assert status_of(mounted)["bytes"]["downloaded"] == sum(entry["bytes"] for entry in emulator.log(endpoint="blob-get"))


def test_error(emulator, mount):
    emulator.add_cabs(APP, FAILURE, count=1, size=1000)
    cab, = emulator.cabs()
    emulator.fault("status", "blob-get", status=403, code="AuthorizationPermissionMismatch")
    mounted = mount()
    assert errno_of(read_at, mounted.cab(cab), 0, 10) == "EACCES"
    text = run("status", mounted.path).stdout
    error, = text.split("Last errors:\n")[1].splitlines()
    assert f"/{cab['id']}.cab: EACCES, HTTP status 403 AuthorizationPermissionMismatch" in error
    assert "sig=" not in text


def test_dead_mount(emulator, mount):
    mounted = mount(arguments=["-o", "noauto_unmount"])
    mounted.process.send_signal(signal.SIGKILL)
    mounted.process.wait(60)
    result = run("status", mounted.path)
    mounted.kill()
    assert result.returncode == 1
    assert "its cabfs has ended and left the mount behind" in result.stderr
