# SPDX-License-Identifier: MIT
"""SIGHUP: lists are asked for again, keys that can change do, and nothing else happens to the mount."""
import fcntl
import os
import pty
import signal
import subprocess
import termios
from pathlib import Path

import pytest

from conftest import APP, FAILURE, OTHER_APP
from mount import PROGRAM, Mount, errno_of, is_mounted, processes, wait_until, within, xattrs

LISTS = ("hits", "details", "batch")

# Without -d, which sets the level of the log.
PLAIN = ["/bin/sh", "-c", 'program=$1; shift 2; exec "$program" -f "$@"', "sh"]


def reload(mount, **options):
    """With these options from now on; gives what the log says of it."""
    mount.options.update({key.replace("-", "_"): value for key, value in options.items()})
    mount.write_config()
    return hang_up(mount)


def hang_up(mount):
    before = mount.log().count(": reload: ")
    mount.process.send_signal(signal.SIGHUP)
    wait_until(lambda: mount.log().count(": reload: ") > before, "a reload")
    return [line for line in mount.log().splitlines() if ": reload: " in line][-1]


def listed(path):
    return sorted(os.listdir(path))


def names(ids):
    return sorted(f"{cab}.cab" for cab in ids)


def test_lists(emulator, mount):
    """What came since is there; what is open goes on. [C9, F12]"""
    old = emulator.add_cabs(APP, FAILURE, count=2, size=300_000)
    m = mount()
    folder = m.path / APP / FAILURE
    assert listed(folder) == names(old)
    with open(folder / names(old)[0], "rb", buffering=0) as file:
        file.read(10)
        new = emulator.add_cabs(APP, FAILURE, count=1, size=1000, seed=7)
        assert "changed: no key" in hang_up(m)
        assert listed(folder) == names(old + new)
        assert len(file.read(300_000)) > 0


def test_applications(emulator, mount):
    """The mount point lists what is configured now, though the kernel kept what it listed before."""
    emulator.add_cabs(APP, FAILURE, count=1, size=100)
    emulator.add_cabs("ihvdriver", FAILURE, count=1, size=100)
    m = mount()
    for _ in range(2):
        assert listed(m.path) == [APP]
    assert errno_of(os.stat, m.path / "ihvdriver") == "ENOENT"
    line = reload(m, driver=[APP, OTHER_APP], account_families=["ihvdriver"])
    assert "changed: driver, account-families" in line
    assert listed(m.path) == sorted([APP, OTHER_APP, "ihvdriver"])
    assert listed(m.path / "ihvdriver") == [FAILURE]
    reload(m, driver=[OTHER_APP], account_families=None)
    assert listed(m.path) == [OTHER_APP]


def test_family(emulator, mount):
    """A directory that the kernel knows is asked for as another family."""
    ids = emulator.add_cabs(APP, FAILURE, count=1, size=100, family="desktop")
    m = mount()
    errno_of(os.listdir, m.path / APP / FAILURE)
    reload(m, driver=None, desktop=[APP])
    assert listed(m.path / APP / FAILURE) == names(ids)


def test_undownloadable(emulator, mount):
    """The same list, shown in another way."""
    ids = emulator.add_cabs(APP, FAILURE, count=2, size=100, family="desktop")
    emulator.change_cab(ids[0], cabDownloadable=False)
    m = mount(driver=None, desktop=[APP])
    folder = m.path / APP / FAILURE
    assert listed(folder) == names(ids)
    reload(m, undownloadable="hide")
    assert listed(folder) == names(ids[1:])
    reload(m, undownloadable="show")
    assert listed(folder) == names(ids)


def test_discover(emulator, mount):
    """What the services enumerate is listed from now on, or no more."""
    emulator.add_dataset([{"id": OTHER_APP, "family": "driver"}])
    m = mount(discover="yes")
    for _ in range(2):
        assert listed(m.path) == [APP, OTHER_APP]
        assert "changed: discover" in reload(m, discover="no")
        assert listed(m.path) == [APP]
        assert "changed: discover" in reload(m, discover="yes")


def test_pipe(mount):
    """A configuration that never comes to an end is none; and the mount still ends."""
    m = mount()
    config = m.write_config()
    config.unlink()
    os.mkfifo(config)
    assert "it is no regular file; nothing was changed" in hang_up(m)
    m.process.send_signal(signal.SIGTERM)
    m.wait_end(20)


def test_deny(emulator, mount):
    """Who is denied from now on causes no request."""
    emulator.add_cabs(APP, FAILURE, count=1, size=100)
    m = mount()
    assert listed(m.path / APP) == [FAILURE]
    reload(m, deny=["ls"])
    emulator.reset_counters()
    result = subprocess.run(["ls", m.path / APP / FAILURE], capture_output=True, text=True, timeout=60)
    assert "Permission denied" in result.stderr
    assert sum(emulator.requests(name) for name in LISTS) == 0


def test_requests(emulator, mount):
    """The days of lists and the number of tries."""
    emulator.add_cabs(APP, FAILURE, count=1, size=100)
    m = mount(days=30, retries=1)
    emulator.fault("status", list(LISTS), status=500, count=1)
    assert errno_of(os.listdir, m.path / APP) == "EIO"
    emulator.fault("status", list(LISTS), status=500, count=1)
    emulator.reset_counters()
    assert "changed: days, retries" in reload(m, days=10, retries=3)
    assert listed(m.path / APP) == [FAILURE]
    assert emulator.requests("hits") == 2
    assert all(days_of(entry["path"]) == 10 for entry in emulator.log("hits"))


def days_of(path):
    """Days from the first to the last of a list's request."""
    import datetime
    import urllib.parse
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(path).query)
    first, last = (datetime.datetime.strptime(query[name][0].replace("/", "-"), "%m-%d-%Y")
                   for name in ("startDate", "endDate"))
    return (last - first).days - 1


def test_cache(emulator, mount):
    """A smaller cache is one at once."""
    ids = emulator.add_cabs(APP, FAILURE, count=2, size=300_000)
    m = mount()
    for name in names(ids):
        (m.path / APP / FAILURE / name).read_bytes()
    reload(m, cache_size="310K")
    within(20, lambda: sorted(xattrs(m.path / APP / FAILURE / name)["state"] for name in names(ids)) ==
           ["cached", "remote"], "one has to go")


def test_credentials(emulator, mount):
    """A secret that was exchanged is used from now on, and a refusal is forgotten."""
    emulator.add_cabs(APP, FAILURE, count=1, size=100)
    m = mount()
    secret = m.directory / "secret"
    right = secret.read_text()
    secret.write_text("wrong")
    hang_up(m)
    assert errno_of(os.listdir, m.path / APP) == "EACCES"
    secret.write_text(right)
    hang_up(m)
    assert listed(m.path / APP) == [FAILURE]


def test_token_is_renewed_behind(emulator, mount):
    """While a token is good, a login host that fails keeps nobody from what it opens."""
    emulator.add_cabs(APP, FAILURE, count=1, size=100)
    m = mount(retries=1)
    assert listed(m.path / APP) == [FAILURE]
    emulator.fault("status", "login", status=500)
    emulator.reset_counters()
    hang_up(m)
    assert listed(m.path / APP) == [FAILURE]
    emulator.wait_requests("login")
    assert xattrs(m.path / APP)["stale"] == "0"


def test_another_mount(emulator, mount):
    """Keys that cannot change are named, each time, and stay as they were."""
    emulator.add_cabs(APP, FAILURE, count=1, size=100)
    m = mount()
    for _ in range(2):
        line = reload(m, connections=3, members="visible", cache_dir=m.directory / "elsewhere")
        assert "warning" in line and "only after another mount: members, cache-dir, connections" in line
        assert len(listed(m.path / APP / FAILURE)) == 1
        assert not (m.directory / "elsewhere").exists()


@pytest.mark.parametrize("what", ["value", "key", "gone", "section"])
def test_wrong(emulator, mount, what):
    """A configuration that is not right changes nothing, also nothing that it has right."""
    emulator.add_cabs(APP, FAILURE, count=1, size=100)
    m = mount()
    path = m.write_config()
    text = path.read_text().replace(f"driver = {APP}", f"driver = {OTHER_APP}")
    if what == "gone":
        path.unlink()
    else:
        path.write_text({"value": text + "days = many\n", "key": text + "dayz = 3\n",
                         "section": text.replace("[test]", "[other]")}[what])
    line = hang_up(m)
    assert "error: reload: " in line and str(path) in line and line.endswith("nothing was changed")
    assert listed(m.path) == [APP]
    assert listed(m.path / APP) == [FAILURE]
    assert "changed: no key" in reload(m)


def test_log_level(emulator, directory):
    """Lines that were not written are."""
    emulator.add_cabs(APP, FAILURE, count=1, size=100)
    with Mount(emulator, directory, wrapper=PLAIN, driver=[APP], log_level="info") as m:
        listed(m.path / APP)
        assert " debug: " not in m.log()
        assert "changed: log-level" in reload(m, log_level="debug")
        listed(m.path / APP)
        assert " debug: " in m.log()


def test_in_the_background(emulator, directory):
    """Relative paths of the command line are still those of where it was given."""
    m = Mount(emulator, directory, driver=[APP])
    m.write_config()
    subprocess.run([os.path.abspath(PROGRAM), "-c", "cabfs.conf", "test", "mnt"], cwd=directory, check=True, timeout=60)
    try:
        assert listed(m.path) == [APP]
        m.options["driver"] = [OTHER_APP]
        m.write_config()
        program = os.path.realpath(PROGRAM)
        [pid] = processes(lambda place: os.readlink(place / "exe") == program and
                          b"cabfs.conf\0test\0mnt" in (place / "cmdline").read_bytes() and
                          (place / "cwd").resolve() == Path("/"))
        os.kill(pid, signal.SIGHUP)
        wait_until(lambda: listed(m.path) == [OTHER_APP], "the other application")
    finally:
        subprocess.run(["fusermount3", "-u", m.path], check=True, timeout=60)
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the end")


def test_terminal_goes_away(emulator, directory):
    """SIGHUP of a terminal that is there reloads; that of one that has gone ends the mount."""
    master, slave = pty.openpty()
    m = Mount(emulator, directory, driver=[APP])

    def own_terminal():
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

    process = subprocess.Popen([PROGRAM, "-f", "-c", str(m.write_config()), "test", str(m.path)], stdin=slave,
                               stdout=slave, stderr=slave, preexec_fn=own_terminal)
    os.close(slave)
    wait_until(lambda: is_mounted(m.path), "the mount")
    assert listed(m.path) == [APP]
    m.options["driver"] = [OTHER_APP]
    m.write_config()
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: listed(m.path) == [OTHER_APP], "the other application")
    os.close(master)
    assert process.wait(60) == 0
    wait_until(lambda: not is_mounted(m.path), "the end of the mount")


def test_many(emulator, mount):
    """As many as come, while programs look around."""
    emulator.add_cabs(APP, FAILURE, count=20, size=10_000)
    emulator.add_cabs(OTHER_APP, FAILURE, count=1, size=10_000)
    m = mount()
    listed(m.path / APP)
    stop = m.directory / "stop"
    looker = subprocess.Popen(["/bin/sh", "-c", f'while [ ! -e "{stop}" ]; do ls -lR "{m.path}" >/dev/null || exit 1; '
                               f'cat "{m.path}/{APP}/{FAILURE}"/*.cab >/dev/null || exit 2; done'])
    for number in range(30):
        m.options["driver"] = [APP, OTHER_APP] if number % 2 else [APP]
        m.options["deny"] = ["x"] * (number % 3 + 1)
        m.options["cache_size"] = f"{number + 1}M"
        m.write_config()
        m.process.send_signal(signal.SIGHUP)
    stop.touch()
    assert looker.wait(60) == 0
    wait_until(lambda: ": reload: " in m.log(), "a reload")
