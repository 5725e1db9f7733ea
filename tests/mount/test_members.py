# SPDX-License-Identifier: MIT
"""CABs shown open: what is in them, how little is moved and unpacked for it, and what stays."""
import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess
import time

import pytest

from archives import HEAD, extractions, make, opened, payload, payload_members, serve, tree, unpack, workers
from conftest import APP, FAILURE
from mount import Reader, errno_of, read_at, tool, wait_in_fuse, within, xattrs

MIB = 1 << 20
LLDB = {**os.environ, "PYTHONPATH": "/usr/lib/llvm-14/lib/python3.11/dist-packages"}

DUMP_AND_XML = {"minidump.mdmp", "WERInternalMetadata.xml"}


def lzx_payload():
    members = payload_members("null-write-plain.cab")
    return make.cabinet((make.LZX, [(name.encode(), data) for name, data in members.items()]))


def blob_bytes(emulator):
    return emulator.counters(cabs=False)["bytes"]


# --- what is in it --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["null-write-plain.cab", "null-write-mszip.cab", "null-write-kernel.cab",
                                  "null-write-files.zip", "lzx"])
def test_members(emulator, directory, mount, name):
    """Names, bytes, sizes and times are those that another program finds."""
    data = lzx_payload() if name == "lzx" else payload(name)
    cab = serve(emulator, directory, data)
    truth = unpack(data, directory)
    mounted = mount()
    place = opened(mounted, cab)
    assert sorted(os.listdir(place)) == sorted(truth)
    for member, content in truth.items():
        status = os.stat(place / member)
        assert stat.S_ISREG(status.st_mode) and stat.S_IMODE(status.st_mode) == 0o444
        assert status.st_size == len(content) and status.st_nlink == 1
        year = time.gmtime(status.st_mtime).tm_year
        assert year == 2026
    assert tree(place) == truth
    status = os.stat(place)
    assert stat.S_ISDIR(status.st_mode) and stat.S_IMODE(status.st_mode) == 0o555 and status.st_nlink == 2
    assert status.st_mtime == cab["date"]


def test_cabinet_in_zip(emulator, directory, mount):
    """What the documented blob is: the members of the cabinet, and the cabinet."""
    cab = serve(emulator, directory, payload("null-write-cab.zip"))
    inner = payload("null-write-mszip.cab")
    mounted = mount()
    assert tree(opened(mounted, cab)) == {**payload_members("null-write-mszip.cab"), "null-write-mszip.cab": inner}


def test_directories(emulator, directory, mount):
    """A member of a directory, and the directory it is in."""
    cab = serve(emulator, directory, make.mszip_cab())
    mounted = mount()
    place = opened(mounted, cab)
    assert sorted(os.listdir(place)) == ["empty", "last.bin", "minidump.mdmp", "sub"]
    assert os.listdir(place / "sub") == ["info.xml"]
    assert tree(place) == {"minidump.mdmp": make.pattern(200000), "sub/info.xml": make.pattern(150), "empty": b"",
                           "last.bin": make.pattern(70000)}
    assert errno_of(os.listdir, place / "minidump.mdmp") == "ENOTDIR"
    assert errno_of(os.open, place / "sub", os.O_WRONLY) in ("EISDIR", "EROFS")
    assert errno_of(os.stat, place / "none") == "ENOENT"
    assert errno_of(os.stat, place / "sub" / "none") == "ENOENT"
    assert errno_of(os.stat, place / ("n" * 256)) in ("ENAMETOOLONG", "ENOENT")
    assert errno_of(os.mkdir, place / "x") == "EROFS" and errno_of(os.open, place / "empty", os.O_RDWR) == "EROFS"


@pytest.mark.parametrize("magic", [b"MDMP", b"PAGEDUMP", b"PAGEDU64"])
def test_bare_dump(emulator, directory, mount, magic):
    """It is its own member, and read as it is: what is wanted is fetched, nothing is unpacked or kept twice."""
    data = magic + os.urandom(4 * MIB)
    cab = serve(emulator, directory, data)
    mounted = mount()
    place = opened(mounted, cab)
    assert os.listdir(place) == ["memory.dmp"]
    assert os.stat(place / "memory.dmp").st_size == len(data)
    assert blob_bytes(emulator) <= HEAD
    assert read_at(place / "memory.dmp", 2 * MIB, 1000) == data[2 * MIB:2 * MIB + 1000]
    assert blob_bytes(emulator) < 2 * MIB
    assert (place / "memory.dmp").read_bytes() == data
    assert blob_bytes(emulator) == len(data)
    assert extractions(mounted) == 0 and not list(mounted.cache.glob("*/*.member"))


@pytest.mark.parametrize("data", [b"", b"x", b"\x1f\x8b" + bytes(1000)])
def test_other(emulator, directory, mount, data):
    """What is neither archive nor dump has no member."""
    cab = serve(emulator, directory, data)
    mounted = mount()
    assert os.listdir(opened(mounted, cab)) == []
    assert errno_of(os.stat, opened(mounted, cab) / "memory.dmp") == "ENOENT"


def test_attributes(emulator, directory, mount):
    cab = serve(emulator, directory, payload("null-write-mszip.cab"))
    mounted = mount()
    place = opened(mounted, cab)
    assert "members" not in xattrs(place) and "kind" not in xattrs(place)
    assert blob_bytes(emulator) == 0
    os.listdir(place)
    assert xattrs(place)["members"] == "2" and xattrs(place)["kind"] == "cab"
    assert xattrs(place)["expires"] == xattrs(mounted.cab(cab))["expires"]
    dump = place / "minidump.mdmp"
    assert xattrs(dump)["state"] == "remote" and os.stat(dump).st_blocks == 0
    size = len(dump.read_bytes())
    within(10, lambda: xattrs(dump)["state"] == "cached", "it is kept")
    assert xattrs(dump)["kind"] == "minidump"
    assert within(10, lambda: os.stat(dump).st_blocks * 512 >= size, "its blocks are told")


# --- who sees it ----------------------------------------------------------------------------------------------------


def types_of(directory):
    with os.scandir(directory) as entries:
        return {entry.name: "d" if entry.is_dir(follow_symlinks=False) else "f" for entry in entries}


@pytest.mark.parametrize("members", [None, "hidden", "visible", "off"])
def test_shown(emulator, mount, members):
    """Listed, hidden or not there; and names cost not a byte."""
    emulator.add_cabs(APP, FAILURE, count=3, payload="null-write-mszip.cab")
    cabs = emulator.cabs(APP, FAILURE)
    mounted = mount(members=members)
    names = {f"{cab['id']}.cab": "f" for cab in cabs}
    if members == "visible":
        names |= {f"{cab['id']}.cab.d": "d" for cab in cabs}
    assert types_of(mounted.path / APP / FAILURE) == names
    for cab in cabs:
        place = opened(mounted, cab)
        assert errno_of(os.stat, place) == ("ENOENT" if members == "off" else None)
        assert errno_of(os.stat, place.with_name("0" + place.name)) == "ENOENT"
    assert blob_bytes(emulator) == 0 and emulator.requests("blob-get") == 0
    if members != "off":
        assert set(os.listdir(opened(mounted, cabs[0]))) == DUMP_AND_XML


def test_name_costs_the_list_only(emulator, mount):
    """Looking a directory of members up, and its attributes, needs what the CAB itself would."""
    emulator.add_cabs(APP, FAILURE, payload="null-write-mszip.cab")
    cab = emulator.cabs(APP, FAILURE)[0]
    mounted = mount()
    emulator.reset_counters()
    os.stat(opened(mounted, cab))
    assert emulator.requests("batch") == 1 and emulator.requests("blob-head") == 0 == emulator.requests("blob-get")


WALKS = {
    "find": 'find "$1" -type f -size +0 | wc -l; find "$1" -ls',
    "du": 'du -a "$1"; du -a --apparent-size "$1"',
    "ls": 'ls -lR "$1"',
}


@pytest.mark.parametrize("program", WALKS)
def test_walk_passes_by(emulator, mount, program):
    """Programs that walk over the mount move no byte and unpack nothing."""
    emulator.add_cabs(APP, FAILURE, count=5, payload="null-write-mszip.cab")
    mounted = mount()
    out = subprocess.run(["sh", "-ec", WALKS[program], "sh", mounted.path], check=True, capture_output=True,
                         text=True).stdout
    assert ".cab" in out and ".cab.d" not in out
    assert blob_bytes(emulator) == 0 and extractions(mounted) == 0


COPIES = {
    "cp": 'cp -r --preserve=timestamps "$1" "$2"',
    "tar": 'mkdir "$2"; tar -C "$1" -c . | tar -C "$2" -x',
    "rsync": 'rsync -a "$1/" "$2"',
}


@pytest.mark.parametrize("members", ["hidden", "visible"])
@pytest.mark.parametrize("program", COPIES)
def test_copy(emulator, mount, program, members):
    """Of the hidden ones nothing is copied and nothing is moved, of visible ones all, right, and once."""
    tool(program)
    emulator.add_cabs(APP, FAILURE, count=2, payload=["null-write-mszip.cab", "null-write-cab.zip"])
    cabs = emulator.cabs(APP, FAILURE)
    mounted = mount(members=members)
    copy = mounted.directory / "copy"
    for _ in range(2):
        subprocess.run(["sh", "-ec", COPIES[program], "sh", mounted.path / APP, copy], check=True)
        found = tree(copy)
        wanted = {f"{FAILURE}/{cab['id']}.cab": emulator.content(cab["id"]) for cab in cabs}
        if members == "visible":
            for cab in cabs:
                inner = cab["id"] in [c["id"] for c in cabs if c["size"] == len(payload("null-write-cab.zip"))]
                truth = dict(payload_members("null-write-mszip.cab"))
                if inner:
                    truth["null-write-mszip.cab"] = payload("null-write-mszip.cab")
                wanted |= {f"{FAILURE}/{cab['id']}.cab.d/{name}": data for name, data in truth.items()}
        assert found == wanted
        shutil.rmtree(copy)
    assert blob_bytes(emulator) == sum(cab["size"] for cab in cabs)
    assert extractions(mounted) == (5 if members == "visible" else 0)


# --- how little is moved --------------------------------------------------------------------------------------------


def test_listing_reads_the_head(emulator, directory, mount):
    """A large cabinet is listed from its first bytes; after that nothing is asked for."""
    cab = serve(emulator, directory, make.cabinet((make.STORED, [(b"large", bytes(40 * MIB)), (b"small", b"x")])))
    mounted = mount()
    assert sorted(os.listdir(opened(mounted, cab))) == ["large", "small"]
    assert emulator.requests("blob-get") == 1 and emulator.requests("blob-head") == 0
    assert blob_bytes(emulator) <= HEAD
    for _ in range(3):
        assert os.stat(opened(mounted, cab) / "large").st_size == 40 * MIB
        assert sorted(os.listdir(opened(mounted, cab))) == ["large", "small"]
    assert emulator.requests("blob-get") == 1


def test_listing_reads_both_ends(emulator, directory, mount):
    """A large ZIP is listed from its end, and a member of it fetched alone."""
    data = make.zip_of([("large", os.urandom(20 * MIB)), ("small", b"x" * 100)], 0)
    cab = serve(emulator, directory, data)
    mounted = mount()
    assert sorted(os.listdir(opened(mounted, cab))) == ["large", "small"]
    assert blob_bytes(emulator) <= 2 * HEAD
    assert (opened(mounted, cab) / "small").read_bytes() == b"x" * 100
    assert blob_bytes(emulator) <= 4 * HEAD


def test_lookups_share_one_listing(emulator, directory, mount):
    """However many look in at a time, one worker lists, and one transfer brings the head."""
    cab = serve(emulator, directory, make.mszip_cab())
    mounted = mount()
    os.stat(opened(mounted, cab))
    hold = emulator.fault("hold", "blob-get")
    readers = [Reader(os.listdir, opened(mounted, cab)) for _ in range(3)]
    readers += [Reader(os.stat, opened(mounted, cab) / "last.bin") for _ in range(3)]
    emulator.wait_held(1, hold)
    wait_in_fuse(readers[:1])
    emulator.clear_faults()
    assert all(len(reader.get()) == 4 for reader in readers[:3])
    assert all(reader.get().st_size == 70000 for reader in readers[3:])
    assert emulator.requests("blob-get") == 1


def test_readers_share_one_extraction(emulator, directory, mount):
    """Two readers of a member, and a third after them: one worker; and the CAB came once."""
    data = payload("null-write-mszip.cab")
    cab = serve(emulator, directory, data)
    mounted = mount()
    dump = opened(mounted, cab) / "minidump.mdmp"
    truth = payload_members("null-write-mszip.cab")["minidump.mdmp"]
    os.listdir(dump.parent)
    readers = [Reader(dump.read_bytes) for _ in range(4)]
    assert all(reader.get() == truth for reader in readers)
    assert dump.read_bytes() == truth
    assert extractions(mounted) == 1 and blob_bytes(emulator) == len(data)


def test_remount(emulator, directory, mount):
    """What was unpacked is there after a remount: no worker for it, and no byte."""
    cab = serve(emulator, directory, payload("null-write-cab.zip"))
    mounted = mount()
    truth = tree(opened(mounted, cab))
    dump = opened(mounted, cab) / "minidump.mdmp"
    within(10, lambda: xattrs(dump)["state"] == "cached", "it is kept")
    emulator.reset_counters()
    mounted.remount()
    assert tree(opened(mounted, cab)) == truth
    assert extractions(mounted) == 0 and emulator.requests("blob-get") == 0 == emulator.requests("blob-head")


def test_remount_without_a_network(emulator, directory, mount):
    """The CAB's head is in the cache, and so are the members."""
    cab = serve(emulator, directory, payload("null-write-mszip.cab"))
    mounted = mount()
    truth = tree(opened(mounted, cab))
    mounted.unmount()
    ports = emulator.ports
    emulator.kill()
    mounted.mount()
    assert tree(opened(mounted, cab)) == truth
    emulator.start(ports)


def test_first_bytes_before_the_last(emulator, directory, mount):
    """The head of a member is read while most of the CAB is still at its host."""
    content = os.urandom(24 * MIB)
    data = make.cabinet((make.MSZIP, [(b"large.dmp", content)]))
    cab = serve(emulator, directory, data)
    mounted = mount(read_ahead="1M", connections=1)
    place = opened(mounted, cab)
    os.listdir(place)
    hold = emulator.fault("hold", "blob-get", skip=4)  # of 4 MiB at most each
    with open(place / "large.dmp", "rb", buffering=0) as file:
        assert file.read(65536) == content[:65536]
        moved = blob_bytes(emulator)
        assert moved < len(data) // 2, f"{moved} bytes before the first ones"
        last = Reader(os.pread, file.fileno(), 1000, len(content) - 1000)
        emulator.wait_held(1, hold)
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        assert os.pread(file.fileno(), 65536, 0) == content[:65536], "the others are not held up"
        assert xattrs(place / "large.dmp")["state"] == "partial"
        assert last.is_alive()
        emulator.clear_faults()
        assert last.get() == content[-1000:]
    assert (place / "large.dmp").read_bytes() == content
    assert extractions(mounted) == 1 and blob_bytes(emulator) == len(data)


# --- what stays, and what goes --------------------------------------------------------------------------------------


def test_closed_early(emulator, directory, mount):
    """Who looks at the head and goes does not cost the next one a second worker."""
    cab = serve(emulator, directory, make.cabinet((make.MSZIP, [(b"a.dmp", make.pattern(8 * MIB))])))
    mounted = mount()
    path = opened(mounted, cab) / "a.dmp"
    for _ in range(5):
        assert read_at(path, 0, 4096) == make.pattern(4096)
    assert path.read_bytes() == make.pattern(8 * MIB)
    assert extractions(mounted) == 1


def held_up(emulator, directory, mount, content):
    """A mount with a member of @content whose CAB comes no further than its first range, and the member's path."""
    cab = serve(emulator, directory, make.cabinet((make.MSZIP, [(b"a.dmp", content)])))
    mounted = mount(read_ahead="1M", connections=1)
    path = opened(mounted, cab) / "a.dmp"
    os.stat(path)
    emulator.fault("hold", "blob-get", skip=1)
    return mounted, path


def status(mounted):
    return json.loads((mounted.path / ".cabfs/status.json").read_text())


def test_shown_while_it_is_unpacked(emulator, directory, mount):
    """Also when there is nothing left to download: how far it is, and that somebody waits."""
    content = os.urandom(24 * MIB)
    mounted, path = held_up(emulator, directory, mount, content)
    reader = Reader(path.read_bytes)
    emulator.wait_held(1)
    [pid] = workers(mounted)
    [member] = status(mounted)["unpacking"]
    assert member["path"] == f"/{path.relative_to(mounted.path)}"
    assert member["size"] == len(content) and member["unpacked"] < len(content) and member["readers"] >= 1
    os.kill(pid, signal.SIGSTOP)
    emulator.clear_faults()
    path.parent.with_name(path.parent.name.removesuffix(".d")).read_bytes()
    assert status(mounted)["downloads"] == [] and len(status(mounted)["unpacking"]) == 1
    os.kill(pid, signal.SIGCONT)
    assert reader.get() == content
    within(10, lambda: status(mounted)["unpacking"] == [], "it is over")


def test_blocks_of_the_cab(emulator, directory, mount):
    """What a look inside has brought of a CAB is told of by `du` (interface.md 1), though it was asked about before."""
    cab = serve(emulator, directory, make.cabinet((make.MSZIP, [(b"a.dmp", os.urandom(3 * MIB))])))
    mounted = mount()
    place = opened(mounted, cab)
    file = place.with_name(place.name.removesuffix(".d"))
    assert os.stat(file).st_blocks == 0
    os.listdir(place)
    within(10, lambda: 0 < os.stat(file).st_blocks * 512 < 2 * MIB, "the head is told of")
    (place / "a.dmp").read_bytes()
    within(10, lambda: os.stat(file).st_blocks * 512 >= 3 * MIB, "all of it is told of")


def test_given_up(emulator, directory, mount):
    """A worker that nobody waits for ends after a while, and leaves nothing; who comes then gets all."""
    content = os.urandom(24 * MIB)
    mounted, path = held_up(emulator, directory, mount, content)
    assert read_at(path, 0, 4096) == content[:4096]
    assert workers(mounted)
    within(20, lambda: not workers(mounted), "the worker ends")
    within(5, lambda: not list(mounted.cache.glob("*/*.member")), "its file goes")
    emulator.clear_faults()
    assert path.read_bytes() == content
    assert extractions(mounted) == 2


def test_kill(emulator, directory, mount):
    """kill -9 in the middle of it: the next mount has the right bytes."""
    content = os.urandom(12 * MIB)
    mounted, path = held_up(emulator, directory, mount, content)
    assert read_at(path, 0, 4096) == content[:4096]
    pids = workers(mounted)
    assert pids
    mounted.kill()
    within(10, lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), "the worker ends with its daemon")
    emulator.clear_faults()
    mounted.mount()
    assert path.read_bytes() == content


def test_unmount_ends_workers(emulator, directory, mount):
    """A lazy unmount under a reader that waits for a worker, and the end of the program."""
    mounted, path = held_up(emulator, directory, mount, os.urandom(12 * MIB))
    with open(path, "rb", buffering=0) as file:
        file.read(4096)
        reader = Reader(os.pread, file.fileno(), 1000, 11 * MIB)
        emulator.wait_held(1)
        mounted.process.send_signal(signal.SIGTERM)
        reader.get()
        assert reader.error is not None
    mounted.wait_end()
    emulator.clear_faults()


def test_archives_that_wait(emulator, directory, mount):
    """Archives whose bytes do not come hold up none that is here."""
    cabs = [serve(emulator, directory, make.cabinet((make.MSZIP, [(b"a.dmp", os.urandom(size))])))
            for size in (12 * MIB, 12 * MIB + 1, 100_000)]
    mounted = mount()
    mounted.cab(cabs[2]).read_bytes()
    paths = [opened(mounted, cab) / "a.dmp" for cab in cabs[:2]]
    for path in paths:
        os.stat(path)
    hold = emulator.fault("hold", "blob-get")
    readers = [Reader(path.read_bytes) for path in paths]
    emulator.wait_held(2, hold)
    within(10, lambda: len(workers(mounted)) == 2, "both workers wait")
    look = Reader(os.listdir, opened(mounted, cabs[2]))
    assert look.get() == ["a.dmp"]
    assert all(reader.is_alive() for reader in readers)
    emulator.clear_faults()
    for reader in readers:
        reader.get()


def test_interrupted_reader(emulator, directory, mount):
    """Ctrl-C ends the reader at once, and the others read on."""
    content = os.urandom(12 * MIB)
    mounted, path = held_up(emulator, directory, mount, content)
    program = subprocess.Popen(["cat", path], stdout=subprocess.DEVNULL)
    emulator.wait_held(1)
    program.send_signal(signal.SIGINT)
    assert program.wait(10) == -signal.SIGINT
    emulator.clear_faults()
    assert path.read_bytes() == content
    assert extractions(mounted) == 1


def kept(mounted):
    """Bytes on disk of CABs and members."""
    total = 0
    for path in mounted.cache.glob("*/*.*"):
        try:
            total += os.stat(path).st_blocks * 512
        except FileNotFoundError:  # a sweep was faster
            pass
    return total


def test_limit_of_the_cache(emulator, directory, mount):
    """Members are cached bytes: over cache-size the least recently read go, and come again when they are wanted."""
    parts = [(b"%d.dmp" % i, bytes([i]) * 6 * MIB) for i in range(6)]
    cab = serve(emulator, directory, make.cabinet(*[(make.MSZIP, [part]) for part in parts]))
    mounted = mount(cache_size=18 * MIB, cache_free=0)
    for _ in range(2):
        for name, content in parts:
            assert (opened(mounted, cab) / name.decode()).read_bytes() == content
            assert kept(mounted) <= 40 * MIB
        within(20, lambda: kept(mounted) <= 26 * MIB, "the cache stays above its limit")
        assert list(mounted.cache.glob("*/*.member")), "all went"
        assert 3 <= extractions(mounted) <= len(parts)
        mounted.remount()


def test_no_room(emulator, directory, mount):
    """A member that is larger than the cache is ENOSPC, and says so; another one, and the CAB, are read."""
    data = make.cabinet((make.MSZIP, [(b"large.dmp", bytes(40 * MIB)), (b"small.xml", b"<x/>")]))
    cab = serve(emulator, directory, data)
    mounted = mount(cache_size=20 * MIB, cache_free=0)
    place = opened(mounted, cab)
    assert errno_of((place / "large.dmp").read_bytes) == "ENOSPC"
    mounted.wait_log("the cache has no room for a member of 41943040 bytes (cache-size, cache-free)")
    assert (place / "small.xml").read_bytes() == b"<x/>"
    mounted.verify(cab)


def test_no_room_beside_others(emulator, directory, mount):
    """The same where the room is taken by what somebody has open: afterwards it can be read."""
    content = make.pattern(20 * MIB)
    cab = serve(emulator, directory, make.cabinet((make.MSZIP, [(b"a.dmp", content)])))
    other = emulator.add_cabs(APP, FAILURE, size=24 * MIB)[0]
    mounted = mount(cache_size=40 * MIB, cache_free=0)
    path = opened(mounted, cab) / "a.dmp"
    with open(mounted.path / APP / FAILURE / f"{other}.cab", "rb") as file:
        while file.read(MIB):
            pass
        assert errno_of(path.read_bytes) == "ENOSPC"
    within(20, lambda: errno_of(path.read_bytes) is None, "there is room again")
    assert path.read_bytes() == content


def test_member_limit(emulator, directory, mount):
    """What stands in the archive behind so many bytes is not unpacked; what stands before is."""
    data = make.cabinet((make.MSZIP, [(b"a", make.pattern(600_000)), (b"b", make.pattern(600_000)), (b"c", b"x")]))
    cab = serve(emulator, directory, data)
    mounted = mount(member_limit=MIB)
    place = opened(mounted, cab)
    assert os.stat(place / "b").st_size == 600_000
    assert (place / "a").read_bytes() == make.pattern(600_000)
    assert errno_of((place / "b").read_bytes) == "ENOSPC"
    mounted.wait_log("unpacks to more than 1048576 bytes (member-limit)")


def test_replaced_cab(emulator, directory, mount):
    """Members are of one version of the CAB: of another one there is nothing left."""
    cab = serve(emulator, directory, make.cabinet((make.MSZIP, [(b"a", b"old"), (b"gone", b"x")])))
    mounted = mount(listing_ttl=0)
    place = opened(mounted, cab)
    assert tree(place) == {"a": b"old", "gone": b"x"}
    mounted.unmount()
    fresh = directory / "fresh"
    fresh.write_bytes(make.cabinet((make.MSZIP, [(b"a", b"newer"), (b"b", b"y")])))
    emulator.change_cab(cab["id"], file=str(fresh), seed=99)
    for path in mounted.cache.glob("*/*.cab"):
        path.unlink()  # the CAB has to come again, its members are still there
    assert list(mounted.cache.glob("*/*.member"))
    mounted.mount()
    assert tree(place) == {"a": b"newer", "b": b"y"}


def test_replaced_under_a_reader(emulator, directory, mount):
    """ESTALE, and whoever opens it again gets the new one."""
    old, new = os.urandom(12 * MIB), os.urandom(13 * MIB)
    cab = serve(emulator, directory, make.cabinet((make.MSZIP, [(b"a.dmp", old)])))
    mounted = mount(read_ahead="1M", connections=1, listing_ttl=0)
    path = opened(mounted, cab) / "a.dmp"
    os.stat(path)
    hold = emulator.fault("hold", "blob-get", skip=1, count=1)
    with open(path, "rb", buffering=0) as file:
        assert file.read(4096) == old[:4096]
        emulator.wait_held(1, hold)
        fresh = directory / "fresh"
        fresh.write_bytes(make.cabinet((make.MSZIP, [(b"a.dmp", new)])))
        emulator.change_cab(cab["id"], file=str(fresh), seed=99)
        emulator.clear_faults()
        assert errno_of(os.pread, file.fileno(), 1000, 11 * MIB) == "ESTALE"
    assert within(20, lambda: errno_of(path.read_bytes) is None and path.read_bytes() == new, "the new one is read")


def test_two_mounts(emulator, directory, mount):
    """On one cache: the second finds what the first has unpacked, and neither disturbs the other."""
    data = make.cabinet((make.MSZIP, [(b"a.dmp", make.pattern(3 * MIB))]))
    cab = serve(emulator, directory, data)
    first = mount()
    second = mount(cache_dir=first.cache)
    both = [Reader((opened(m, cab) / "a.dmp").read_bytes) for m in (first, second)]
    assert all(reader.get() == make.pattern(3 * MIB) for reader in both)
    within(10, lambda: xattrs(opened(first, cab) / "a.dmp")["state"] == "cached", "it is kept")
    second.remount()
    assert (opened(second, cab) / "a.dmp").read_bytes() == make.pattern(3 * MIB)
    assert extractions(second) == 0


# --- who may --------------------------------------------------------------------------------------------------------


def test_undownloadable(emulator, mount):
    emulator.add_cabs(APP, FAILURE, payload="null-write-mszip.cab", cabDownloadable=False)
    cab = emulator.cabs(APP, FAILURE)[0]
    mounted = mount()
    assert stat.S_ISDIR(os.stat(opened(mounted, cab)).st_mode)
    assert errno_of(os.listdir, opened(mounted, cab)) == "EACCES"
    assert errno_of(os.stat, opened(mounted, cab) / "minidump.mdmp") == "EACCES"
    assert emulator.requests("blob-get") == 0
    mounted.wait_log("not downloadable for this account")


def test_gone(emulator, mount):
    emulator.add_cabs(APP, FAILURE, payload="null-write-mszip.cab", gone=True)
    mounted = mount()
    assert errno_of(os.listdir, opened(mounted, emulator.cabs(APP, FAILURE)[0])) == "ENOENT"


def test_denied_program(emulator, mount):
    """It may have what needs no request: members that are here, and those of a CAB that is."""
    emulator.add_cabs(APP, FAILURE, count=2, payload="null-write-mszip.cab")
    here, remote = emulator.cabs(APP, FAILURE)
    mounted = mount(deny="md5sum;ls")
    truth = payload_members("null-write-mszip.cab")["minidump.mdmp"]
    for cab in (here, remote):
        os.stat(mounted.cab(cab))
    mounted.verify(here)
    within(10, lambda: xattrs(mounted.cab(here))["state"] == "cached", "the CAB is here")

    def run(program, path):
        return subprocess.run([program, path], capture_output=True, text=True)
    assert "Permission denied" in run("ls", opened(mounted, remote)).stderr
    assert "Permission denied" in run("md5sum", opened(mounted, remote) / "minidump.mdmp").stderr
    assert emulator.counters()["cabs"][remote["id"]]["get"] == 0
    assert set(run("ls", opened(mounted, here)).stdout.split()) == DUMP_AND_XML
    assert run("md5sum", opened(mounted, here) / "minidump.mdmp").stdout[:32] == hashlib.md5(truth).hexdigest()


# --- what it is for -------------------------------------------------------------------------------------------------


def backtrace(path):
    out = subprocess.run([tool("lldb-14"), "--no-lldbinit", "--batch", "-c", path, "-o", "bt"], env=LLDB,
                         capture_output=True, text=True, timeout=120).stdout
    # The command itself, and the line that names the file, are of this path.
    return [line for line in out.splitlines() if "frame #" in line or "stop reason" in line]


@pytest.mark.parametrize("name", ["plain.cab", "mszip.cab", "cab.zip", "files.zip", "lzx"])
def test_backtrace(emulator, directory, mount, name):
    """From a CAB to a backtrace without leaving the mount."""
    cab = serve(emulator, directory, lzx_payload() if name == "lzx" else payload(f"null-write-{name}"))
    truth = directory / "minidump.mdmp"
    truth.write_bytes(payload_members("null-write-plain.cab")["minidump.mdmp"])
    mounted = mount()
    found = backtrace(opened(mounted, cab) / "minidump.mdmp")
    assert found == backtrace(truth) and any("store_checksum" in line for line in found)
    assert blob_bytes(emulator) == cab["size"] and extractions(mounted) == 1


def test_largest_member(emulator, directory, mount):
    """2 GiB out of 3.6 MB: the head is read long before the whole, once, in bounded memory."""
    cab = serve(emulator, directory, make.huge_cab())
    size = 65535 * 32768
    quiet = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=4"
    mounted = mount(environment={"ASAN_OPTIONS": quiet})
    path = opened(mounted, cab) / "zero"
    assert os.stat(path).st_size == size
    before = memory(mounted.process.pid, "VmRSS")
    first, second = open(path, "rb", buffering=0), open(path, "rb", buffering=0)
    with first, second:
        assert first.read(65536) == bytes(65536)
        written = os.stat(path).st_blocks * 512
        assert written < size // 4, f"{written} bytes were unpacked before the first were read"
        last = Reader(os.pread, second.fileno(), 1000, size - 1000)
        worker = [0]
        while last.is_alive():  # its peak is known as long as it lives
            worker += [memory(pid, "VmHWM") for pid in workers(mounted)]
            time.sleep(0.05)
        assert last.get(300) == bytes(1000)
        assert max(worker) > 0
        for off in range(0, size, size // 50):
            assert os.pread(first.fileno(), 4096, off) == bytes(min(4096, size - off))
    assert extractions(mounted) == 1 and blob_bytes(emulator) == cab["size"]
    grown = memory(mounted.process.pid, "VmHWM") - before
    assert grown < 64 * MIB, f"the program grew by {grown >> 20} MiB"
    if "asan" not in open(f"/proc/{mounted.process.pid}/maps", encoding="ascii").read():
        assert memory(mounted.process.pid, "VmHWM") < 64 * MIB
        assert max(worker) < 64 * MIB
    within(60, lambda: xattrs(path)["state"] == "cached", "it is kept")
    mounted.remount()
    assert read_at(path, size - 1000, 1000) == bytes(1000)
    assert extractions(mounted) == 0


def memory(pid, field):
    """Bytes, from /proc/PID/status; 0 if it has ended."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as lines:
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))
    except (FileNotFoundError, ProcessLookupError, StopIteration):
        return 0
