# SPDX-License-Identifier: MIT
"""The cache directory after accidents: `kill -9`, damage, strangers.  At most a new download, never a wrong byte."""
import hashlib
import os
import random
import re
import shutil
import subprocess
import time

import pytest

from conftest import APP, FAILURE
from mount import Mount, MountError, Reader, is_let_go, read_at, wait_until, within

KIB, MIB = 1 << 10, 1 << 20


def moved(emulator, cab):
    """Bytes of the CAB that the blob host has sent since the last reset."""
    return emulator.counters()["cabs"].get(cab["id"], {"bytes": 0})["bytes"]


def cabs_in_order(emulator, ids):
    by_id = {cab["id"]: cab for cab in emulator.cabs()}
    return [by_id[cab] for cab in ids]


def read_pieces(path, offsets, length=300 * KIB):
    fd = os.open(path, os.O_RDONLY)
    try:
        for off in offsets:
            os.pread(fd, length, off)
    finally:
        os.close(fd)


def read_whole(path):
    with open(path, "rb", buffering=0) as file:
        while file.read(MIB):
            pass


# --- kill -9 --------------------------------------------------------------------------------------------------------

# After how many bytes from the host (at least) the program dies, of how many.  A map is written when 64 MiB are new,
# when all is here, and when the last reader goes.
MOMENTS = [(moment, 24 * MIB) for moment in (
    0, 1, 100_000, 262_144, 262_145, MIB, 3 * MIB, 8 * MIB - 1, 8 * MIB, 12 * MIB + 5, 16 * MIB, 20 * MIB, 24 * MIB - 1,
    24 * MIB, 24 * MIB)] + [(moment, 150 * MIB) for moment in (64 * MIB, 66 * MIB, 100 * MIB, 128 * MIB, 150 * MIB)]


def die_in_a_download(emulator, mounted, cab, moment, chance):
    """Several readers, some bytes, and the end; a part may be there from before."""
    path = mounted.cab(cab)
    if chance.random() < 0.5:  # a map of an earlier life
        read_pieces(path, [chance.randrange(cab["size"]) for _ in range(3)])
    emulator.fault("bandwidth", "blob-get", rate=200 * MIB, scope="total")
    readers = [Reader(read_whole, path),
               Reader(read_pieces, path, [chance.randrange(cab["size"]) for _ in range(20)])]
    wait_until(lambda: moved(emulator, cab) >= moment, f"{moment} bytes", 60)
    if moment == cab["size"]:
        time.sleep(chance.random() / 20)  # somewhere in what is done at the end
    mounted.kill()
    for reader in readers:
        reader.join(30)
        assert not reader.is_alive()
    emulator.clear_faults()


def test_kill_in_the_middle_of_a_download(emulator, mount):
    """Twenty times at different moments: the next mount starts, and every byte it shows is right. [K6]"""
    chance = random.Random(20)
    ids = [emulator.add_cabs(APP, FAILURE, seed=i, size=size)[0] for i, (_, size) in enumerate(MOMENTS)]
    cabs = cabs_in_order(emulator, ids)
    mounted = mount()
    kept = 0
    for cab, (moment, size) in zip(cabs, MOMENTS):
        emulator.reset_counters()
        die_in_a_download(emulator, mounted, cab, moment, chance)
        mounted.mount()
        emulator.reset_counters()
        off = chance.randrange(size)
        assert read_at(mounted.cab(cab), off, 9999) == emulator.content(cab["id"], off, min(9999, size - off))
        mounted.verify(cab)
        assert moved(emulator, cab) <= size + MIB  # what a reader who goes away leaves behind may come twice
        kept += size - moved(emulator, cab) >= 60 * MIB
        within(20, lambda cab=cab: is_let_go(mounted.cache, cab), "it is saved")
    assert kept >= 1, "what a map speaks of is used"
    mounted.remount()
    emulator.reset_counters()
    for cab in cabs:
        mounted.verify(cab)
    assert emulator.requests("blob-get") == 0


def test_kill_while_listing(emulator, mount):
    """Lists and sizes too are whole or not there. [F6, K6]"""
    ids = emulator.add_cabs(APP, FAILURE, count=700, size={"min": 0, "max": 5000})
    names = sorted(f"{cab}.cab" for cab in ids)
    sizes = {f"{cab['id']}.cab": cab["size"] for cab in emulator.cabs()}
    mounted = mount(listing_ttl=1)
    path = mounted.path / APP / FAILURE
    for heads in (1, 50, 256, 300, 600, 700):
        reader = Reader(lambda: {name: os.stat(path / name).st_size for name in sorted(os.listdir(path))})
        if emulator.requests("blob-head") < heads:
            emulator.wait_requests("blob-head", heads)
        mounted.kill()
        reader.join(30)
        assert not reader.is_alive()
        mounted.mount()
        assert sorted(os.listdir(path)) == names
    assert {name: os.stat(path / name).st_size for name in os.listdir(path)} == sizes


def test_dead_mount_says_what_to_do(mount):
    """Where a dead mount is left, the next one says how to take it away."""
    mounted = mount(arguments=["-o", "noauto_unmount"])
    mounted.process.kill()
    mounted.process.wait(60)
    mounted.process = None
    with pytest.raises(MountError) as caught:
        mounted.mount()
    assert caught.value.status == 1
    assert f"fusermount3 -u {mounted.path}" in caught.value.log
    subprocess.run(["fusermount3", "-u", str(mounted.path)], check=True, timeout=60)
    mounted.mount()


# --- damage ---------------------------------------------------------------------------------------------------------


def flip(path, at=None):
    """Changes one byte in place."""
    data = bytearray(path.read_bytes())
    at = len(data) // 2 if at is None else at
    data[at] ^= 0x40
    with open(path, "r+b") as file:
        file.write(data)


def cut(path, to):
    os.truncate(path, to)


def replace(path, data):
    path.unlink()
    path.write_bytes(data)


def swap(one, other):
    spare = one.with_suffix(".spare")
    one.rename(spare)
    other.rename(one)
    spare.rename(other)


def on_text(path, pattern, new):
    text = path.read_text()
    assert re.search(pattern, text, re.M), text
    path.write_text(re.sub(pattern, new, text, flags=re.M))


def resum(path):
    """Gives a map the checksum that its text should have: then only what it says can give it away."""
    lines = path.read_text().splitlines(keepends=True)[:-1]
    text = "".join(lines)
    path.write_text(text + f"sum {hashlib.sha256(text.encode()).hexdigest()}\n")


# What happens to the files of a CAB, its data and its map, and to those of a CAB beside it.
DAMAGES = {
    "nothing": lambda data, map, other: None,
    "map: a byte": lambda data, map, other: flip(map),
    "map: its first byte": lambda data, map, other: flip(map, 0),
    "map: its last byte": lambda data, map, other: flip(map, map.stat().st_size - 1),
    "map: cut": lambda data, map, other: cut(map, map.stat().st_size // 2),
    "map: cut by one": lambda data, map, other: cut(map, map.stat().st_size - 1),
    "map: empty": lambda data, map, other: cut(map, 0),
    "map: gone": lambda data, map, other: map.unlink(),
    "map: zeros": lambda data, map, other: replace(map, bytes(map.stat().st_size)),
    "map: noise": lambda data, map, other: replace(map, os.urandom(5000)),
    "map: large": lambda data, map, other: replace(map, bytes(1 << 20)),
    "map: a larger range": lambda data, map, other: on_text(map, r"^have 0 \d+ ", "have 0 777777 "),
    "map: of another version": lambda data, map, other: (on_text(map, "^cabfs-map 2$", "cabfs-map 3"), resum(map)),
    "map: of another CAB": lambda data, map, other: shutil.copyfile(other.with_suffix(".map"), map),
    "map: more than there is": lambda data, map, other: (cut(data, 4096), resum(map)),
    "data: cut": lambda data, map, other: cut(data, data.stat().st_size // 2),
    "data: cut by one": lambda data, map, other: cut(data, data.stat().st_size - 1),
    "data: empty": lambda data, map, other: cut(data, 0),
    "data: gone": lambda data, map, other: data.unlink(),
    "data: a byte": lambda data, map, other: flip(data, 620_000 % data.stat().st_size),
    "data: longer": lambda data, map, other: data.open("ab").write(b"more"),
    "data: its first byte": lambda data, map, other: flip(data, 0),
    "data: another file": lambda data, map, other: replace(data, os.urandom(data.stat().st_size)),
    "data: a copy with a wrong byte": lambda data, map, other: (replace(data, data.read_bytes()), flip(data)),
    "data: of another CAB": lambda data, map, other: swap(data, other),
    "both: of another CAB": lambda data, map, other: (swap(data, other), swap(map, other.with_suffix(".map"))),
    "both: gone": lambda data, map, other: (data.unlink(), map.unlink()),
    "both: empty": lambda data, map, other: (cut(data, 0), cut(map, 0)),
}


def cache_file(mounted, cab, suffix):
    found, = mounted.cache.glob(f"2*/{cab['id']}{suffix}")
    return found


@pytest.mark.parametrize("complete", [True, False], ids=["complete", "partial"])
def test_damaged_cache(emulator, mount, complete):
    """Whatever became of the files of a CAB between two mounts, the next one starts and every byte is right. [K7]"""
    size = 700_001
    ids = [emulator.add_cabs(APP, FAILURE, seed=i, size=size)[0] for i in range(2 * len(DAMAGES))]
    cabs = cabs_in_order(emulator, ids)
    pairs = dict(zip(DAMAGES, zip(cabs[::2], cabs[1::2])))
    mounted = mount()
    for cab in cabs:
        if complete:
            mounted.verify(cab)
        else:
            read_pieces(mounted.cab(cab), [0, 600_000], 1000)
    mounted.unmount()
    for name, (cab, other) in pairs.items():
        DAMAGES[name](cache_file(mounted, cab, ".cab"), cache_file(mounted, cab, ".map"),
                      cache_file(mounted, other, ".cab"))
    emulator.reset_counters()
    mounted.mount()
    wrong = []
    for name, (cab, other) in pairs.items():
        for part in (cab, other):
            try:
                assert read_at(mounted.cab(part), 650_000, 5000) == emulator.content(part["id"], 650_000, 5000)
                mounted.verify(part)
            except (AssertionError, OSError) as error:
                wrong.append((name, part is cab, error))
    assert not wrong
    intact = moved(emulator, pairs["nothing"][0])
    assert intact == 0 if complete else intact < size
    mounted.remount()
    for cab in cabs:
        mounted.verify(cab)


def damages_told(mounted, cab):
    return len(re.findall(f"warning: .*{cab['id']} is damaged", mounted.log()))


def test_data_changed_in_place(emulator, mount):
    """Of a complete CAB that somebody wrote into, what does not fit any more is fetched again, and told. [K7,
    K11]"""
    emulator.add_cabs(APP, FAILURE, count=2, size=5 * MIB + 1)
    cabs = emulator.cabs()
    mounted = mount()
    for cab in cabs:
        mounted.verify(cab)
    mounted.unmount()
    flip(cache_file(mounted, cabs[0], ".cab"))
    emulator.reset_counters()
    mounted.mount()
    for cab in cabs:
        mounted.verify(cab)
    assert 0 < moved(emulator, cabs[0]) <= 2 * MIB and moved(emulator, cabs[1]) == 0
    assert [damages_told(mounted, cab) for cab in cabs] == [1, 0]
    mounted.remount()
    for cab in cabs:
        mounted.verify(cab)
    assert moved(emulator, cabs[0]) <= 2 * MIB
    assert [damages_told(mounted, cab) for cab in cabs] == [0, 0]


def test_data_touched(emulator, mount):
    """A complete CAB whose times alone are others is looked through, and not fetched. [K11]"""
    emulator.add_cabs(APP, FAILURE, size=5 * MIB + 1)
    cab, = emulator.cabs()
    mounted = mount()
    mounted.verify(cab)
    for _ in range(2):
        mounted.unmount()
        os.utime(cache_file(mounted, cab, ".cab"))
        emulator.reset_counters()
        mounted.mount()
        assert read_at(mounted.cab(cab), 3 * MIB, 5000) == emulator.content(cab["id"], 3 * MIB, 5000)
        mounted.verify(cab)
        assert moved(emulator, cab) == 0


def flip_somewhere(path, chance, count):
    """Changes bits that are there, and leaves the times as they were: as a bad disk does."""
    times, size = path.stat(), path.stat().st_size
    with open(path, "r+b") as file:
        spots = []
        while len(spots) < count:
            spot = chance.randrange(size)
            if os.lseek(file.fileno(), spot, os.SEEK_DATA) == spot:
                byte = os.pread(file.fileno(), 1, spot)[0]
                os.pwrite(file.fileno(), bytes([byte ^ 1 << chance.randrange(8)]), spot)
                spots.append(spot)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    return spots


@pytest.mark.parametrize("seed", range(4))
def test_flipped_bits(emulator, mount, seed):
    """Of a CAB that is here in part no bit is shown that is not the host's: not even one that the disk alone has
    changed; what is sound is not fetched again. [K10]"""
    chance = random.Random(seed)
    size = chance.randrange(8 * MIB, 24 * MIB)
    emulator.add_cabs(APP, FAILURE, seed=seed, size=size)
    cab, = emulator.cabs()
    mounted = mount(read_ahead=0)
    read_pieces(mounted.cab(cab), [chance.randrange(size) for _ in range(12)], 700_000)
    mounted.unmount()
    here = cache_file(mounted, cab, ".cab").stat().st_blocks * 512
    spots = flip_somewhere(cache_file(mounted, cab, ".cab"), chance, 3)
    print("flipped at", spots)
    emulator.reset_counters()
    mounted.mount()
    for spot in spots:
        off = max(0, spot - chance.randrange(5000))
        assert read_at(mounted.cab(cab), off, 9999) == emulator.content(cab["id"], off, min(9999, size - off))
    mounted.verify(cab)
    assert moved(emulator, cab) < size - here + 3 * 2 * MIB
    assert 1 <= damages_told(mounted, cab) <= 3
    mounted.remount()
    mounted.verify(cab)
    assert moved(emulator, cab) < size - here + 3 * 2 * MIB
    assert damages_told(mounted, cab) == 0


LISTING_DAMAGES = {
    "a byte": lambda path: flip(path), "cut": lambda path: cut(path, path.stat().st_size // 2),
    "empty": lambda path: cut(path, 0), "noise": lambda path: replace(path, os.urandom(3000)),
    "gone": lambda path: path.unlink(), "zeros": lambda path: replace(path, bytes(path.stat().st_size)),
}


@pytest.mark.parametrize("damage", LISTING_DAMAGES)
def test_damaged_lists(emulator, mount, damage):
    """A list, or the sizes beside it, that was damaged is asked for again. [K7]"""
    ids = emulator.add_cabs(APP, FAILURE, count=150, size={"min": 0, "max": 100_000})
    sizes = {f"{cab['id']}.cab": cab["size"] for cab in emulator.cabs()}
    mounted = mount()
    path = mounted.path / APP / FAILURE

    def shown():
        assert os.listdir(path.parent) == [FAILURE]
        return {name: os.stat(path / name).st_size for name in os.listdir(path)}

    assert shown() == sizes
    mounted.unmount()
    files = [file for file in (mounted.cache / "listings").rglob("*") if file.is_file()]
    assert sorted(file.suffix for file in files) == [".cabs", ".hits", ".sizes"]
    for file in files:
        LISTING_DAMAGES[damage](file)
    mounted.mount()
    assert shown() == sizes
    assert len(ids) == len(sizes)
    mounted.remount()
    emulator.reset_counters()
    assert shown() == sizes
    assert emulator.counters(cabs=False)["requests"] == 0


def test_debris_in_the_cache(emulator, mount):
    """Temporary files of a writer that was killed, and files that nobody knows, disturb nothing."""
    emulator.add_cabs(APP, FAILURE, size=100_000)
    cab, = emulator.cabs()
    mounted = mount()
    mounted.verify(cab)
    mounted.unmount()
    folder = cache_file(mounted, cab, ".cab").parent
    for name in (f"{cab['id']}.map.123-0.tmp", "x.map", "y.cab", "z", ".hidden"):
        (folder / name).write_bytes(b"x")
    (mounted.cache / "version.1-0.tmp").write_bytes(b"cabfs")
    (mounted.cache / "20991231T000000Z").mkdir()
    (mounted.cache / "lost+found").mkdir()
    emulator.reset_counters()
    mounted.mount()
    mounted.verify(cab)
    assert moved(emulator, cab) == 0


# --- whose directory it is ------------------------------------------------------------------------------------------


def fill(directory, files):
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name).mkdir() if name.endswith("/") else (directory / name).write_text(text)


@pytest.mark.parametrize("files, words", [
    ({"version": "cabfs-cache 2\n", "lock": ""}, ("another version", "cache-dir")),
    ({"version": "cabfs-cache 1", "lock": ""}, ("another version", "cache-dir")),
    ({"version": "something else entirely\n" * 100}, ("version", "cache")),
    ({"thesis.txt": "do not touch"}, ("other files", "cache-dir")),
    ({".bashrc": "", "notes": ""}, ("other files", "cache-dir")),
])
def test_directory_that_is_not_ours(emulator, directory, files, words):
    """One of another version, or of somebody else's files: says so, exits 1, and leaves it as it was. [S4]"""
    mounted = Mount(emulator, directory, driver=[APP])
    fill(mounted.cache, files)
    before = sorted((path.name, path.read_text()) for path in mounted.cache.iterdir())
    with pytest.raises(MountError) as caught:
        mounted.mount()
    assert caught.value.status == 1
    assert str(mounted.cache) in caught.value.log
    assert all(word in caught.value.log for word in words), caught.value.log
    assert sorted((path.name, path.read_text()) for path in mounted.cache.iterdir()) == before


@pytest.mark.parametrize("files", [
    {}, {"version.4711-0.tmp": "cabfs-ca"}, {"version": ""}, {"version": "", "version.4711-0.tmp": "", "lock": ""},
    {"lost+found/": ""}, {"listings/": "", "20261201T000000Z/": ""}], ids=" ".join)
def test_directory_that_was_just_begun(emulator, mount, directory, files):
    """A program that died, or a power cut, while the directory was made does not keep the next one out; nor does what
    makes the top of a file system, or what a mount went on to write after somebody had emptied it."""
    fill(directory / "cache", files)
    emulator.add_cabs(APP, FAILURE, size=1000)
    mounted = mount()
    cab, = emulator.cabs()
    mounted.verify(cab)
    mounted.remount()
    mounted.verify(cab)
    assert moved(emulator, cab) == 1000


def test_cache_that_vanishes(emulator, mount):
    """When somebody removes the cache under a mount, reading goes on. [K5]"""
    emulator.add_cabs(APP, FAILURE, count=3, size=500_000)
    cabs = emulator.cabs()
    mounted = mount()
    mounted.verify(cabs[0])
    with open(mounted.cab(cabs[1]), "rb") as file:
        file.read(1000)
        for path in list(mounted.cache.iterdir()):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        file.seek(0)
        assert hashlib.sha256(file.read()).hexdigest() == emulator.sha256(cabs[1]["id"])
    for cab in cabs:
        mounted.verify(cab)
    mounted.remount()
    for cab in cabs:
        mounted.verify(cab)


def test_private(emulator, mount):
    """The cache holds other people's memory: nobody else may look into it. [K9]"""
    emulator.add_cabs(APP, FAILURE, size=1000)
    mounted = mount()
    cab, = emulator.cabs()
    mounted.verify(cab)
    mounted.unmount()
    assert os.stat(mounted.cache).st_mode & 0o777 == 0o700
    for path in mounted.cache.rglob("*"):
        assert os.stat(path).st_mode & 0o077 == 0, path
    assert b"sig=" not in b"".join(path.read_bytes() for path in mounted.cache.rglob("*") if path.is_file())
