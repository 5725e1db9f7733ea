# SPDX-License-Identifier: MIT
"""The service's own stack trace of a CAB: a hidden file in the open CAB, asked for when that very name is."""
import os
import stat
import subprocess

import pytest

from families import BY_NAME, FAMILIES, add_failure, counts, everything, failure_of, name_of, tree
from mount import Reader, errno_of, tool, wait_in_fuse, wait_until

TRACE = ".stacktrace.txt"
FAILURE = failure_of(1)
WITH = [family for family in FAMILIES if family.name in ("desktop", "store")]
WITHOUT = [family for family in FAMILIES if family not in WITH]
DESKTOP = BY_NAME["desktop"]


def call_of(family):
    return family.prefix + "stacktrace"


def text_of(family, cab):
    """What the emulator's frames are as text; only the Store tells which one is to blame."""
    blamed = " (blamed)" if family.name == "store" else ""
    return (f"#0 contoso!Crash_{cab}+0x1c4{blamed}\n#1 contoso!Contoso::Worker::Run+0x22\n#2 unknown_module+0x0\n"
            "#3 ntdll+0x7ffb2c1a\n")


@pytest.fixture
def shown(emulator, mount):
    """shown(family, **options): a mount with one CAB of @family; its id, and the path of its trace."""

    def make(family=DESKTOP, rule=None, **options):
        [cab] = add_failure(emulator, family, FAILURE, **(rule or {"size": 100_000}))
        path = mount(**everything(family), **options).path / family.application / FAILURE / f"{cab}.cab.d" / TRACE
        return cab, path

    return make


@pytest.mark.parametrize("family", WITH, ids=name_of)
def test_text(emulator, shown, family):
    """[M5]"""
    cab, path = shown(family)
    text = text_of(family, cab)
    found = os.stat(path)
    assert (stat.S_IFMT(found.st_mode), found.st_mode & 0o777, found.st_size) == (stat.S_IFREG, 0o444, len(text))
    assert found.st_mtime == emulator.cabs()[0]["date"]
    assert path.read_text() == text
    with open(path, "rb") as file:  # from the middle, and behind the end
        assert os.pread(file.fileno(), 7, 3).decode() == text[3:10]
        assert os.pread(file.fileno(), 100, len(text)) == b""
    assert emulator.requests(call_of(family)) == 1
    [asked] = emulator.log(call_of(family))
    assert asked["path"].endswith(f"/stacktrace?applicationId={family.application}&{family.key}={cab}")
    counters = emulator.counters(cabs=False)
    assert counters["bytes"] == counters["endpoints"]["blob-get"]["requests"] == 0


@pytest.mark.parametrize("family", WITHOUT, ids=name_of)
def test_families_that_have_none(emulator, shown, family):
    _, path = shown(family)
    os.stat(path.parent)
    before = counts(emulator)
    assert errno_of(os.stat, path) == errno_of(path.read_text) == "ENOENT"
    assert counts(emulator) == before


@pytest.mark.parametrize("members", ["hidden", "visible"])
def test_hidden(emulator, mount, members):
    """Whoever walks everything there is never meets it. [M1]"""
    add_failure(emulator, DESKTOP, FAILURE, count=3, payload="null-write-mszip.cab")
    m = mount(**everything(DESKTOP), members=members)
    names = tree(m.path)
    for name in {name.removesuffix(".d") for name in names}:
        inside = os.listdir(m.path / (name + ".d"))
        assert inside and TRACE not in inside
        assert errno_of(os.stat, m.path / (name + ".d") / "stacktrace.txt") == "ENOENT"
    found = subprocess.run([tool("find"), m.path, "-ls"], capture_output=True, text=True, check=True, timeout=60).stdout
    assert TRACE not in found
    assert emulator.requests(call_of(DESKTOP)) == 0


def test_members_off(emulator, shown):
    _, path = shown(members="off")
    assert errno_of(os.stat, path) == "ENOENT"
    assert emulator.requests(call_of(DESKTOP)) == 0


def test_only_in_the_open_cab(emulator, shown):
    """The name is nothing anywhere else."""
    _, path = shown()
    for place in (path.parents[1], path.parents[2], path.parents[3]):
        assert errno_of(os.stat, place / TRACE) == "ENOENT"
    assert emulator.requests(call_of(DESKTOP)) == 0


def test_one_request_for_many_readers(emulator, shown):
    """[M5]"""
    cab, path = shown()
    os.stat(path.parent)
    hold = emulator.fault("hold", call_of(DESKTOP))
    readers = [Reader(path.read_text) for _ in range(10)]
    emulator.wait_held(1, hold)
    emulator.clear_faults(hold)
    assert {reader.get() for reader in readers} == {text_of(DESKTOP, cab)}
    assert path.read_text() == text_of(DESKTOP, cab)
    assert emulator.requests(call_of(DESKTOP)) == 1


def test_others_are_not_held_up(emulator, shown):
    """While a trace is waited for, the directory it is in answers."""
    _, path = shown(rule={"payload": "null-write-mszip.cab"})
    hold = emulator.fault("hold", call_of(DESKTOP))
    reader = Reader(path.read_text)
    emulator.wait_held(1, hold)
    wait_in_fuse([reader])
    assert "minidump.mdmp" in os.listdir(path.parent)
    emulator.clear_faults(hold)
    assert reader.get() is not None


def test_what_cannot_be_downloaded_has_one(emulator, shown):
    cab, path = shown(rule={"cabDownloadable": False})
    assert errno_of((path.parent.parent / f"{cab}.cab").read_bytes) == "EACCES"
    assert path.read_text() == text_of(DESKTOP, cab)


@pytest.mark.parametrize("fault, arguments", [
    ("status", {"status": 404}), ("status", {"status": 410}), ("answer", {"status": 200, "text": '{"Value":[]}'})])
def test_the_service_has_none(emulator, shown, fault, arguments):
    """That is remembered for a while, but not for ever."""
    cab, path = shown(listing_ttl=1)
    number = emulator.fault(fault, call_of(DESKTOP), **arguments)
    assert errno_of(os.stat, path) == errno_of(os.stat, path) == errno_of(path.read_text) == "ENOENT"
    emulator.clear_faults(number)
    wait_until(lambda: errno_of(path.read_text) is None, "it is there")
    assert path.read_text() == text_of(DESKTOP, cab)


@pytest.mark.parametrize("fault, arguments, error", [
    ("status", {"status": 403}, "EACCES"), ("status", {"status": 400}, "EIO"), ("status", {"status": 503}, "EIO"),
    ("answer", {"status": 200, "text": "<html>"}, "EIO"), ("answer", {"status": 200, "text": '{"Value":null}'}, "EIO"),
    ("hold", {}, "ETIMEDOUT")])
def test_errors(emulator, shown, fault, arguments, error):
    """They concern the trace and nothing else."""
    cab, path = shown(retries=2, timeout=2, rule={"payload": "null-write-mszip.cab"})
    number = emulator.fault(fault, call_of(DESKTOP), **arguments)
    assert errno_of(path.read_text) == error
    assert "minidump.mdmp" in os.listdir(path.parent)
    emulator.clear_faults(number)
    assert (path.parent.parent / f"{cab}.cab").read_bytes() == emulator.content(cab)


@pytest.mark.parametrize("fault, arguments", [
    ("casing", {"envelope": "lower", "rows": "upper"}), ("types", {"unknown": True, "bom": True}),
    ("status", {"status": 503, "count": 1}), ("reset", {"after": 20, "count": 1})])
def test_tolerance(emulator, shown, fault, arguments):
    cab, path = shown()
    emulator.fault(fault, call_of(DESKTOP), **arguments)
    assert path.read_text() == text_of(DESKTOP, cab)


def test_another_text(emulator, shown):
    """After `listing-ttl` it is asked for again; who has the old one open goes on with that."""
    cab, path = shown(listing_ttl=1)
    with open(path, "rb", buffering=0) as file:
        assert file.read(5).decode() == text_of(DESKTOP, cab)[:5]
        emulator.fault("answer", call_of(DESKTOP), status=200,
                       text='{"Value":[{"level":"0","image":"other","function":"f","offset":"0x1"}]}')
        wait_until(lambda: path.read_text() == "#0 other!f+0x1\n", "the other text")
        assert os.stat(path).st_size == len("#0 other!f+0x1\n")
        assert os.pread(file.fileno(), 4096, 0).decode() == text_of(DESKTOP, cab)


def test_programs_that_are_denied(emulator, shown):
    """They may have what is known."""
    cab, path = shown(deny="head")
    os.stat(path.parent)
    head = [tool("head"), "-c", "10000", str(path)]
    assert subprocess.run(head, capture_output=True, timeout=60, check=False).returncode != 0
    assert emulator.requests(call_of(DESKTOP)) == 0
    assert path.read_text() == text_of(DESKTOP, cab)
    done = subprocess.run(head, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == text_of(DESKTOP, cab)
    assert emulator.requests(call_of(DESKTOP)) == 1


def test_written_to(shown):
    _, path = shown()
    path.read_text()
    assert errno_of(os.open, path, os.O_WRONLY) == errno_of(os.unlink, path) == "EROFS"
