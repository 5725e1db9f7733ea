# SPDX-License-Identifier: MIT
"""Archives that lie, lead out, are broken or never end: a fault is an error of that member and of no other, nothing gets
out of its place, and the mount goes on."""
import os
import shutil
import signal
import stat
import struct
import subprocess

import pytest

from archives import extractions, make, opened, payload, serve, tree, unpack, workers
from conftest import APP, FAILURE
from mount import PROGRAM, Reader, errno_of, read_at, tool, within, xattrs

MIB = 1 << 20
EIO = os.strerror(5)
ENOSPC = os.strerror(28)


def outcome(path):
    """The bytes of a file, or the name of the error."""
    try:
        return path.read_bytes()
    except OSError as error:
        return os.strerror(error.errno)


def outcomes(directory):
    found = {}
    for place, _, names in os.walk(directory):
        for name in names:
            path = directory / place / name
            found[str(path.relative_to(directory))] = outcome(path)
    return found


def check_names(directory):
    """Whatever an archive says, what is listed is sound: each name once, and nothing leads out."""
    for place, folders, files in os.walk(directory):
        names = os.listdir(place)
        assert len(names) == len(set(names)) and sorted(names) == sorted(folders + files)
        assert not {"", ".", ".."} & set(names)
        for name in names:
            assert len(os.fsencode(name)) <= 255 and name.isprintable(), repr(name)
            status = os.lstat(os.path.join(place, name))
            assert stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)
        assert len(place) - len(str(directory)) < 33 * 256


@pytest.mark.parametrize("archive", [make.names_zip, make.names_cab])
def test_names(emulator, directory, mount, archive):
    """Every member is found under a name of its own, and has its bytes."""
    cab = serve(emulator, directory, archive())
    mounted = mount()
    place = opened(mounted, cab)
    check_names(place)
    found = tree(place)
    assert set(found.values()) == {b"1234"}
    assert len(found) == (13 if archive is make.names_zip else 11)
    assert "etc/passwd" in found and "absolute" in found and "same" in found and "größe.txt" in found
    assert any(name.startswith("same~") for name in found)
    assert int(xattrs(place)["members"]) == len(found)
    assert sorted(os.listdir(directory)) == sorted({"cache", "cabfs.conf", "cabfs.log", "mnt", "secret"}
                                                   | {p for p in os.listdir(directory) if p.startswith("payload")})


def test_names_are_taken_as_they_are_shown(emulator, directory, mount):
    """A file and a directory of one name, a name like one that is made up, the name that is not an archive's to give."""
    names = ["a", "a", "a/b", "a~2", "A", ".stacktrace.txt", "x/.stacktrace.txt", "-rf", "*", " ", "'\"$(x)"]
    data = make.raw_zip([(name.encode(), str(index).encode(), {}) for index, name in enumerate(names)])
    cab = serve(emulator, directory, data)
    mounted = mount(members="visible")
    place = opened(mounted, cab)
    check_names(place)
    found = tree(place)
    assert sorted(found.values()) == sorted(str(index).encode() for index in range(len(names)))
    assert found["a/b"] == b"2" and found["a~2"] == b"3" and found["A"] == b"4" and found["x/.stacktrace.txt"] == b"6"
    assert ".stacktrace.txt" not in os.listdir(place)
    copy = mounted.directory / "copy"
    subprocess.run([tool("cp"), "-r", place, copy], check=True)
    assert tree(copy) == found


def test_kinds(emulator, directory, mount):
    """Only files and the directories they are in: no link, no device."""
    cab = serve(emulator, directory, make.kinds_zip())
    mounted = mount()
    check_names(opened(mounted, cab))
    assert set(os.listdir(opened(mounted, cab))) <= {"file", "pipe"}
    assert (opened(mounted, cab) / "file").read_bytes() == b"1234"
    assert stat.S_IMODE(os.stat(opened(mounted, cab) / "file").st_mode) == 0o444


def test_liar(emulator, directory, mount):
    """Members that are longer or shorter than they say, or not what they were: EIO, and only theirs."""
    cab = serve(emulator, directory, make.liar_zip())
    mounted = mount()
    assert outcomes(opened(mounted, cab)) == {"smaller": EIO, "larger": EIO, "spoilt": EIO,
                                              "good": make.pattern(1000)}
    mounted.wait_log(".cab.d/spoilt: ")
    for name in ("smaller", "larger", "spoilt"):
        assert f".cab.d/{name}: " in mounted.log()


def test_spoilt_cabinet(emulator, directory, mount):
    """A block with a wrong checksum: what stands in it cannot be read, what stands before can."""
    cab = serve(emulator, directory, make.spoilt_cab())
    mounted = mount()
    assert (opened(mounted, cab) / "a").read_bytes() == make.pattern(100000)[:20000]
    assert outcome(opened(mounted, cab) / "b") == EIO


@pytest.mark.parametrize("archive, good", [
    (make.liar_cab, {}), (make.quantum_cab, {}), (make.volumes_cab, {}),
    (make.locked_zip, {"good": make.pattern(1000)}), (make.methods_zip, {"good": make.pattern(1000)}),
])
def test_cannot_be_read(emulator, directory, mount, archive, good):
    """Encrypted, by an unknown method, beyond its end: listed or not, no byte of it is made up."""
    cab = serve(emulator, directory, archive())
    mounted = mount()
    place = opened(mounted, cab)
    if good or errno_of(os.listdir, place) is None:
        found = outcomes(place)
        assert {name: data for name, data in found.items() if data != EIO} == good
    else:
        assert errno_of(os.listdir, place) == "EIO"
    mounted.verify(cab)


@pytest.mark.parametrize("name", ["null-write-mszip.cab", "null-write-cab.zip", "null-write-files.zip"])
@pytest.mark.parametrize("keep", [4, 40, 0.5, 0.98])
def test_truncated(emulator, directory, mount, name, keep):
    """An archive that ends early gives right bytes or an error."""
    whole = payload(name)
    truth = unpack(whole, directory)
    length = keep if isinstance(keep, int) else int(len(whole) * keep)
    cab = serve(emulator, directory, whole[:length])
    mounted = mount()
    if errno_of(os.listdir, opened(mounted, cab)) is None:
        for path, data in outcomes(opened(mounted, cab)).items():
            assert data == EIO or data == truth.get(path), path
    else:
        assert errno_of(os.listdir, opened(mounted, cab)) == "EIO"
    mounted.verify(cab)
    assert os.listdir(mounted.path / APP / FAILURE)


def test_flipped_bytes(emulator, directory, mount):
    """One byte of an archive is another one: every member is right, or an error; never something else."""
    whole = bytearray(make.deflate_zip())
    truth = {"minidump.mdmp": make.pattern(200000), "sub/info.xml": make.pattern(150), "empty": b"",
             "last.bin": make.pattern(70000)}
    at = range(10, len(whole) - 400, len(whole) // 12)
    cabs = []
    for off in at:
        spoilt = whole[:]
        spoilt[off] ^= 0x55
        cabs.append(serve(emulator, directory, bytes(spoilt)))
    mounted = mount()
    wrong = 0
    for cab in cabs:
        place = opened(mounted, cab)
        if errno_of(os.listdir, place) is None:
            for path, data in outcomes(place).items():
                assert data == EIO or data == truth.get(path), path
                wrong += data == EIO
    assert wrong >= len(cabs) // 2


def test_bomb(emulator, directory, mount):
    """10 KiB that become 100 MiB: not beyond the limit, not into memory, not onto the disk."""
    cab = serve(emulator, directory, make.bomb_zip())
    mounted = mount(member_limit="16M")
    found = outcomes(opened(mounted, cab))
    assert found["zero"] in (EIO, ENOSPC)
    assert sum(os.stat(path).st_blocks * 512 for path in mounted.cache.glob("*/*")) < 2 * MIB


def test_many_members(emulator, directory, mount):
    """A great many members are shown; more than anybody has are an error."""
    too_many = serve(emulator, directory, make.many_zip())
    many = make.raw_zip([(b"%d/%d" % (i % 100, i), b"", {"method": 0}) for i in range(65000)])
    cab = serve(emulator, directory, many)
    mounted = mount()
    assert errno_of(os.listdir, opened(mounted, too_many)) == "EIO"
    mounted.wait_log(f"{too_many['id']}.cab.d: ")
    place = opened(mounted, cab)
    assert len(os.listdir(place)) == 100 and len(os.listdir(place / "42")) == 650
    assert os.stat(place / "42" / "142").st_size == 0
    assert xattrs(place)["members"] == "65000"


def test_failure_is_remembered(emulator, directory, mount):
    """What cannot be unpacked is not tried with every read."""
    cab = serve(emulator, directory, make.liar_zip())
    broken = serve(emulator, directory, b"MSCF" + bytes(1000))
    mounted = mount()
    for _ in range(5):
        assert outcome(opened(mounted, cab) / "spoilt") == EIO
    assert extractions(mounted) == 1
    for _ in range(5):
        assert errno_of(os.listdir, opened(mounted, broken)) == "EIO"
    assert emulator.counters()["cabs"][broken["id"]]["get"] == 1


def test_killed_worker(emulator, directory, mount):
    """It is an error of that member and a line in the log; later it is tried again."""
    content = os.urandom(12 * MIB)
    cab = serve(emulator, directory, make.cabinet((make.MSZIP, [(b"a.dmp", content)]), (make.MSZIP, [(b"b", b"x")])))
    mounted = mount(read_ahead="1M", connections=1)
    place = opened(mounted, cab)
    os.listdir(place)
    emulator.fault("hold", "blob-get", skip=1)
    with open(place / "a.dmp", "rb", buffering=0) as file:
        assert file.read(4096) == content[:4096]
        pid, = workers(mounted)
        os.kill(pid, signal.SIGKILL)
        assert errno_of(os.pread, file.fileno(), 1000, 11 * MIB) == "EIO"
    mounted.wait_log(".cab.d/a.dmp: ")
    emulator.clear_faults()
    assert (place / "b").read_bytes() == b"x"
    assert errno_of((place / "a.dmp").read_bytes) == "EIO"
    within(20, lambda: errno_of((place / "a.dmp").read_bytes) is None, "it is tried again")
    assert (place / "a.dmp").read_bytes() == content


def test_killed_lister(emulator, directory, mount):
    """The same while members are listed."""
    cab = serve(emulator, directory, make.zip_of([("x", os.urandom(2 * MIB))], 0))
    mounted = mount()
    os.stat(mounted.cab(cab))
    hold = emulator.fault("hold", "blob-get", skip=1)
    reader = Reader(os.listdir, opened(mounted, cab))
    emulator.wait_held(1, hold)
    pid, = workers(mounted)
    os.kill(pid, signal.SIGKILL)
    reader.get(20)
    assert reader.error == 5
    emulator.clear_faults()
    mounted.verify(cab)


def test_without_the_worker(emulator, directory, mount, monkeypatch):
    """An installation that lacks it: CABs are read, members are not, and the log says why."""
    program = directory / "cabfs"  # not beside a worker
    shutil.copy(PROGRAM, program)
    monkeypatch.setattr("mount.PROGRAM", str(program))
    cab = serve(emulator, directory, payload("null-write-mszip.cab"))
    mounted = mount()
    mounted.verify(cab)
    assert errno_of(os.listdir, opened(mounted, cab)) == "EIO"
    mounted.wait_log("members of CABs cannot be read: what reads archives is not there")


def test_network_fails(emulator, directory, mount):
    """What the CAB's host does is the reader's error, and no refusal of the member."""
    content = os.urandom(8 * MIB)
    cab = serve(emulator, directory, make.cabinet((make.MSZIP, [(b"a.dmp", content)])))
    mounted = mount(read_ahead="1M", connections=1, retries=1)
    path = opened(mounted, cab) / "a.dmp"
    os.stat(path)
    fault = emulator.fault("status", "blob-get", status=500)
    assert errno_of(path.read_bytes) == "EIO"
    emulator.clear_faults(fault)
    within(10, lambda: errno_of(path.read_bytes) is None, "it is read when the host is there again")
    assert path.read_bytes() == content


def test_damaged_store(emulator, directory, mount):
    """What somebody does to the files of the cache costs another extraction, never a wrong byte."""
    cab = serve(emulator, directory, payload("null-write-mszip.cab"))
    mounted = mount()
    truth = tree(opened(mounted, cab))
    dump = opened(mounted, cab) / "minidump.mdmp"
    within(10, lambda: xattrs(dump)["state"] == "cached", "it is kept")
    mounted.unmount()
    stored, = (path for path in mounted.cache.glob("*/*.member") if path.stat().st_size > 1000)
    with open(stored, "r+b") as file:
        file.write(b"XXXX")
    mounted.mount()
    assert tree(opened(mounted, cab)) == truth
    assert extractions(mounted) == 1
    mounted.unmount()
    for path in mounted.cache.glob("*/*.member-map"):
        path.write_bytes(path.read_bytes()[:-10])
    mounted.mount()
    assert tree(opened(mounted, cab)) == truth
    assert extractions(mounted) == 2


def test_cabinet_of_the_largest_size_fields(emulator, directory, mount):
    """A cabinet that says of itself that it is larger than it is, and one with a signature behind it."""
    data = payload("null-write-mszip.cab")
    larger = data[:8] + struct.pack("<I", len(data) + 100000) + data[12:]
    cabs = [serve(emulator, directory, larger), serve(emulator, directory, data + bytes(5000))]
    mounted = mount()
    for cab in cabs:
        if errno_of(os.listdir, opened(mounted, cab)) is None:
            assert (opened(mounted, cab) / "minidump.mdmp").read_bytes()[:4] == b"MDMP"
            assert read_at(opened(mounted, cab) / "minidump.mdmp", 100, 10)
