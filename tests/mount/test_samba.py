# SPDX-License-Identifier: MIT
"""The mount as a share, the way WinDbg on another machine reads CABs: by the lines of cabfs-windbg(7).

Where Samba is not installed the tests are skipped, or fail if CABFS_REQUIRE_SAMBA is 1.
"""
import contextlib
import getpass
import hashlib
import os
import re
import subprocess

import pytest

from conftest import APP, FAILURE, OTHER_APP, OTHER_FAILURE
from families import BY_NAME, add_failure, everything
from mount import need, tool, wait_until
from samba import Samba, share_of_the_manual

ME = getpass.getuser()
STRANGER = "nobody"
CABS = 200
PAYLOADS = ["null-write-mszip.cab", "abort-plain.cab", "divide-cab.zip", "illegal-files.zip"]
MIB = 1 << 20
DESKTOP = BY_NAME["desktop"]

as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can run a server that acts as other users")


@pytest.fixture
def serve(directory, mount):
    """serve(path, **changes) starts a server by the lines of the manual; it ends before the mount does."""
    need("samba", "smbd", "smbclient", "pdbedit", "testparm", "smbcontrol")
    with contextlib.ExitStack() as stack:

        def start(path, **changes):
            directory.chmod(0o755)  # other users have to get through
            changes = {"valid_users": ME, "force_user": ME, **changes, "path": path}
            server = stack.enter_context(Samba(directory, share_of_the_manual(**changes)))
            server.add_user(ME)
            return server

        yield start


def folder(failure=FAILURE, application=APP):
    return f"cd {application}/{failure}"


def listed(said):
    """{name: size} of the files in what smbclient printed."""
    return {name: int(size) for name, size in re.findall(r"^  (\S+\.cab) +\w* +(\d+) ", said, re.M)}


def test_listing_opens_nothing(emulator, mount, serve):
    emulator.add_cabs(APP, FAILURE, count=CABS, size={"min": 1000, "max": 5_000_000})
    samba = serve(mount().path)
    assert f"  {APP} " in samba.run(ME, "ls")
    assert f"  {FAILURE} " in samba.run(ME, f"cd {APP}; ls")
    said = samba.run(ME, f"{folder()}; ls; ls")
    assert listed(said) == {f"{cab['id']}.cab": cab["size"] for cab in emulator.cabs()}
    counters = emulator.counters(cabs=False)
    assert counters["endpoints"]["blob-get"]["requests"] == 0
    assert counters["bytes"] == 0
    assert counters["endpoints"]["blob-head"]["requests"] == CABS


def test_reading(emulator, mount, serve, directory):
    emulator.add_cabs(APP, FAILURE, count=len(PAYLOADS), payload=PAYLOADS)
    emulator.add_cabs(APP, OTHER_FAILURE, count=2, size=[0, 20 * MIB + 1])
    samba = serve(mount().path)
    for cab in emulator.cabs():
        copy = directory / "copy"
        samba.run(ME, f'{folder(cab["failure"])}; get {cab["id"]}.cab {copy}')
        assert hashlib.sha256(copy.read_bytes()).hexdigest() == emulator.sha256(cab["id"])
    counters = emulator.counters()
    for cab in emulator.cabs():
        assert counters["cabs"].get(cab["id"], {}).get("bytes", 0) == cab["size"]


def test_a_folder_at_once(emulator, mount, serve, directory):
    emulator.add_cabs(APP, FAILURE, count=20, size={"min": 1, "max": 300_000})
    place = directory / "copies"
    place.mkdir()
    serve(mount().path).run(ME, f"lcd {place}; {folder()}; prompt; mget *")
    assert {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in place.iterdir()} == {
        f"{cab['id']}.cab": emulator.sha256(cab["id"]) for cab in emulator.cabs()}


def test_open_cabs(emulator, mount, serve, directory):
    """Members and the service's stack trace by name, which no list of the share has."""
    [cab] = add_failure(emulator, DESKTOP, FAILURE, payload="null-write-mszip.cab")
    (directory / "copy.cab").write_bytes(emulator.content(cab))
    subprocess.run([tool("cabextract"), "-q", "-d", directory / "truth", directory / "copy.cab"], check=True, timeout=60)
    mounted = mount(**everything(DESKTOP))
    samba = serve(mounted.path)
    assert ".cab.d" not in samba.run(ME, f"{folder(FAILURE, DESKTOP.application)}; ls")
    inside = f"cd {DESKTOP.application}/{FAILURE}/{cab}.cab.d"
    said = samba.run(ME, f"{inside}; ls; get minidump.mdmp {directory}/dump; get .stacktrace.txt {directory}/trace")
    assert "  minidump.mdmp " in said and "  .stacktrace.txt " not in said
    assert (directory / "dump").read_bytes() == (directory / "truth/minidump.mdmp").read_bytes()
    assert (directory / "trace").read_text().startswith(f"#0 contoso!Crash_{cab}+0x1c4\n")


def test_what_is_not_listed_opens_by_name(emulator, mount, serve):
    emulator.add_cabs(OTHER_APP, OTHER_FAILURE, count=3)
    samba = serve(mount().path)
    assert OTHER_APP not in samba.run(ME, "ls")
    assert len(listed(samba.run(ME, f"{folder(OTHER_FAILURE, OTHER_APP)}; ls"))) == 3
    assert f"  {OTHER_APP} " in samba.run(ME, "ls")


def test_names_that_are_not_there_cost_nothing(emulator, mount, serve):
    """Windows asks for such names wherever it goes; nothing is listed for them."""
    emulator.add_cabs(APP, FAILURE, count=3)
    samba = serve(mount().path)
    for name in ("desktop.ini", "autorun.inf", "Thumbs.db", ".cabfs2"):
        for place in ("", f"{APP}/"):
            assert samba.refuses(ME, f"allinfo {place}{name}") == "NT_STATUS_OBJECT_NAME_NOT_FOUND"
    assert emulator.counters(cabs=False)["requests"] == 0


def test_nothing_can_be_changed(emulator, mount, serve, directory):
    [cab] = emulator.add_cabs(APP, FAILURE)
    (directory / "file").write_text("something")
    samba = serve(mount().path)
    for command in (f"put {directory}/file new", f"put {directory}/file {cab}.cab", f"rm {cab}.cab", "mkdir new",
                    f"rename {cab}.cab new.cab"):
        said = samba.client(ME, f"{folder()}; {command}")[1]
        assert re.search("NT_STATUS_(ACCESS_DENIED|MEDIA_WRITE_PROTECTED)", said), said
    assert list(listed(samba.run(ME, f"{folder()}; ls"))) == [f"{cab}.cab"]


def test_who_cannot_encrypt_is_refused(emulator, mount, serve):
    samba = serve(mount().path)
    assert samba.refuses(ME, "ls", "--max-protocol=SMB2_10") == "NT_STATUS_ACCESS_DENIED"
    samba.run(ME, "ls", "--max-protocol=SMB3")


def test_guests_and_wrong_passwords_are_refused(emulator, mount, serve):
    samba = serve(mount().path)
    samba.passwords[ME] += "x"
    assert samba.refuses(ME, "ls") == "NT_STATUS_LOGON_FAILURE"
    assert samba.refuses(ME, "ls", "-N", "-U", "%") in ("NT_STATUS_ACCESS_DENIED", "NT_STATUS_LOGON_FAILURE")


@as_root
def test_a_user_who_is_not_named_is_refused(emulator, mount, serve):
    samba = serve(mount().path)
    samba.add_user(STRANGER)
    assert samba.refuses(STRANGER, "ls") == "NT_STATUS_ACCESS_DENIED"


@as_root
def test_another_user_reads_as_the_one_who_mounts(emulator, mount, serve):
    """What the line `force user` is for: the mount is shown to nobody else."""
    emulator.add_cabs(APP, FAILURE, count=3)
    samba = serve(mount().path, valid_users=STRANGER)
    samba.add_user(STRANGER)
    assert len(listed(samba.run(STRANGER, f"{folder()}; ls"))) == 3


@as_root
@pytest.mark.parametrize("allow_other", [False, True])
def test_another_user_as_himself_needs_allow_other(emulator, mount, serve, allow_other):
    emulator.add_cabs(APP, FAILURE, count=3)
    mounted = mount(arguments=["-o", "allow_other"] if allow_other else [])
    samba = serve(mounted.path, valid_users=STRANGER, force_user=None)
    samba.add_user(STRANGER)
    if allow_other:
        assert len(listed(samba.run(STRANGER, f"{folder()}; ls"))) == 3
    else:
        assert "NT_STATUS_ACCESS_DENIED" in samba.client(STRANGER, "ls")[1]


def test_a_new_mount_under_the_server(emulator, mount, serve, directory):
    """It goes on with the same files: inode numbers are the same, and so are the bytes."""
    [cab] = emulator.add_cabs(APP, FAILURE, size=100_000)
    mounted = mount()
    path = mounted.path / APP / FAILURE
    samba = serve(mounted.path)
    get = f"{folder()}; get {cab}.cab {directory}/copy"
    samba.run(ME, get)
    before = [os.stat(place).st_ino for place in (mounted.path, path, path / f"{cab}.cab")]
    wait_until(lambda: not samba.is_in(mounted.path), "the server has left the mount")
    mounted.remount()
    assert [os.stat(place).st_ino for place in (mounted.path, path, path / f"{cab}.cab")] == before
    (directory / "copy").unlink()
    samba.run(ME, get)
    assert (directory / "copy").read_bytes() == emulator.content(cab)
    assert emulator.counters()["cabs"][cab]["bytes"] == 100_000


def test_unmounting_while_somebody_is_connected(mount, serve):
    """As the manual says: his connection to the share is ended first."""
    mounted = mount()
    samba = serve(mounted.path)
    with samba.connected(ME, mounted.path):
        assert subprocess.run(["fusermount3", "-u", mounted.path], capture_output=True, timeout=60,
                              check=False).returncode != 0
        samba.tool("smbcontrol", "smbd", "close-share", "cabs")
        wait_until(lambda: not samba.is_in(mounted.path), "the server has left the mount")
        mounted.unmount()
