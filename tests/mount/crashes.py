# SPDX-License-Identifier: MIT
"""Ways for a mount to die, what a machine that dies with it leaves of the cache, and other damage, all by chance: who has
the seed has the same again, but for what threads do among themselves."""
import os
import re
import signal
import subprocess
from pathlib import Path

from archives import opened, payload, payload_members, tree
from conftest import APP, FAILURE
from mount import MountError, Reader, stat_fields, tool

KIB, MIB = 1 << 10, 1 << 20
PAGE = 4 * KIB

# What writes into the cache or decides whether to; a call of another name does the same elsewhere.
CALLS = ("openat", "pwrite64", "write", "fdatasync", "renameat", "unlinkat", "mkdirat", "ftruncate", "flock", "statx",
         "utimensat", "fchmod")


class Scene:
    """CABs of many sizes, and one with members, on one cache that is too small for all; what readers do with them."""

    def __init__(self, emulator, directory, chance):
        self.chance = chance
        archive = directory / "archive"
        archive.write_bytes(payload("null-write-mszip.cab"))
        emulator.add_cabs(APP, FAILURE, seed=7, file=str(archive))
        self.archive, = emulator.cabs()
        self.members = payload_members("null-write-mszip.cab")
        for number, size in enumerate((0, 1, 5000, 700_001, 2 * MIB, 3 * MIB + 17, 9 * MIB)):
            emulator.add_cabs(APP, FAILURE, seed=100 + number, size=size)
        self.cabs = [cab for cab in emulator.cabs() if cab["id"] != self.archive["id"]]

    def _read_pieces(self, path, size, seed):
        with open(path, "rb", buffering=0) as file:
            for number in range(6):
                os.pread(file.fileno(), 60_000, (seed * 7919 + number * 104_729) % max(1, size))

    def _read_whole(self, path):
        with open(path, "rb", buffering=0) as file:
            while file.read(MIB):
                pass

    def act(self, mounted):
        """Readers at work; an error ends one of them, and is none of this."""
        readers = [Reader(tree, opened(mounted, self.archive))]
        for cab in self.chance.sample(self.cabs, 4):
            if self.chance.random() < 0.5:
                readers.append(Reader(self._read_whole, mounted.cab(cab)))
            else:
                readers.append(Reader(self._read_pieces, mounted.cab(cab), cab["size"], self.chance.randrange(1000)))
        return readers

    def verify(self, mounted):
        """Everything is there, and every byte is right."""
        for cab in self.chance.sample(self.cabs, len(self.cabs)):
            mounted.verify(cab)
        mounted.verify(self.archive)
        assert tree(opened(mounted, self.archive)) == self.members


# --- dying ----------------------------------------------------------------------------------------------------------


def traced(mounted, *arguments):
    """From now on the mount runs under strace, which LeakSanitizer does not."""
    mounted.wrapper = [tool("strace"), "-f", "-qq", "--seccomp-bpf", *arguments]
    mounted.environment["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"


def untraced(mounted):
    mounted.wrapper = []
    mounted.environment.pop("ASAN_OPTIONS", None)


def children(pid):
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(child) for child in path.read_text().split()]
    return found


def is_alive(pid):
    try:
        return stat_fields(Path("/proc", str(pid)))[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def end(mounted):
    """kill -9 of the program under strace, if it still lives; the dead mount is taken away."""
    process, mounted.process = mounted.process, None
    if process is not None and process.poll() is None:
        for pid in children(process.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        process.wait(60)
    subprocess.run(["fusermount3", "-u", "-z", str(mounted.path)], stderr=subprocess.DEVNULL, timeout=60)


def live(mounted, scene, patience):
    """Mounts and lets readers work until all is over, the program has died, or @patience seconds have passed; then it is
    killed.  TRUE if it had died by itself."""
    try:
        mounted.mount()
        programs = children(mounted.process.pid)
        readers = scene.act(mounted)
        for reader in readers:
            reader.join(patience)
        died = not any(map(is_alive, programs))
    except MountError:
        died, readers = True, []
    end(mounted)
    for reader in readers:
        reader.join(30)
        assert not reader.is_alive()
    return died


# --- the power goes -------------------------------------------------------------------------------------------------

CALL = re.compile(r"(\d+) +(\w+)\((.*)")
RESUMED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>")
FD = re.compile(r"\d+<([^>]*)>")


class Journal:
    """What strace saw of writes, and so what no sync has brought to the disk."""

    OPTIONS = ("-y", "-s", "4096", "-e", "trace=pwrite64,write,fdatasync,fsync,renameat,unlinkat,ftruncate", "-e",
               "write=none", "-e", "signal=none")

    def __init__(self, cache):
        self.cache = str(cache)
        self.parts = {}   # path: [(off, end)] of pwrite
        self.whole = set()  # paths of files that were written and never synced
        self._begun = {}

    def read(self, log):
        for line in log.read_text(errors="replace").splitlines():
            if resumed := RESUMED.match(line):
                self._finish(*resumed.groups())
            elif (call := CALL.match(line)) and (len(call[3].split("<")) > 1):
                self._call(*call.groups())

    def _call(self, pid, name, rest):
        path = FD.match(rest)[1] if FD.match(rest) else ""
        if not path.startswith(self.cache):
            return
        if name == "pwrite64":
            if numbers := re.search(r", (\d+), (\d+)(\)| <unf)", rest):
                begin, length = int(numbers[2]), int(numbers[1])
                self.parts.setdefault(path, []).append((begin, begin + length))
                self._begun[pid, name] = (path, [(begin, begin + length)])
        elif name == "write":
            self.whole.add(path)
        elif name in ("fdatasync", "fsync"):
            self._begun[pid, name] = (path, list(self.parts.get(path, [])))
        elif name == "renameat":
            names = re.findall(r'"([^"]*)"', rest)
            if len(names) == 2 and f"{path}/{names[0]}" in self.whole:
                self.whole.add(f"{path}/{names[1]}")
        elif name == "unlinkat":
            for file in re.findall(r'"([^"]*)"', rest):
                self.parts.pop(f"{path}/{file}", None)
        if "<unfinished" not in rest:
            self._finish(pid, name)

    def _finish(self, pid, name):
        path, parts = self._begun.pop((pid, name), (None, None))
        if name == "pwrite64" and path is not None:
            self.parts[path] = self.parts.get(path, []) + parts  # who began to sync meanwhile may have missed it
        elif path is not None:
            left = self.parts.get(path, [])
            for part in parts:
                if part in left:
                    left.remove(part)
            self.whole.discard(path)


def lose(path, chance):
    """A file of which nothing was synced: as it is, or less."""
    size = path.stat().st_size
    what = chance.randrange(4)
    if what == 1:
        os.truncate(path, 0)
    elif what == 2:
        os.truncate(path, chance.randrange(size + 1))
    elif what == 3:
        with open(path, "r+b") as file:
            file.write(bytes(size))


def lose_parts(path, parts, chance):
    """Of the bytes that were not synced each page came to the disk or did not; and so did the length."""
    size = path.stat().st_size
    with open(path, "r+b") as file:
        for begin, end_ in parts:
            for page in range(begin - begin % PAGE, min(end_, size), PAGE):
                fate = chance.randrange(3)
                at, length = max(begin, page), min(end_, page + PAGE, size) - max(begin, page)
                if fate and length > 0:
                    os.pwrite(file.fileno(), bytes(length) if fate == 1 else chance.randbytes(length), at)
    if chance.random() < 0.3:
        os.truncate(path, min(begin for begin, _ in parts))


def cut_power(cache, journal, before, chance):
    """Makes of the cache what could be on the disk had the machine lost its power: what was not synced is there or not,
    renamed or not.  @before: the maps as the program found them."""
    lost = 0
    for text, parts in journal.parts.items():
        path = Path(text)
        if parts and path.is_file():
            times = path.stat()
            lose_parts(path, parts, chance)
            lost += 1
            if chance.random() < 0.5:  # the time of a write may be on the disk though its bytes are not
                os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    for path in map(Path, sorted(journal.whole)):
        if path.is_file():
            lose(path, chance)
    for path, data in before.items():
        if path.parent.is_dir() and chance.random() < 0.5 and (not path.is_file() or path.read_bytes() != data):
            path.write_bytes(data)
    return lost


def maps(cache):
    return {path: path.read_bytes() for path in cache.rglob("*map")}


# --- other accidents ------------------------------------------------------------------------------------------------


def _flip(path, chance, others):
    data = bytearray(path.read_bytes())
    for _ in range(chance.choice((1, 1, 3, 100))):
        if data:
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    with open(path, "r+b") as file:
        file.write(data)


def _cut(path, chance, others):
    os.truncate(path, chance.randrange(path.stat().st_size + 1))


def _blank(path, chance, others):
    size = path.stat().st_size
    at = chance.randrange(size + 1)
    with open(path, "r+b") as file:
        os.pwrite(file.fileno(), bytes(min(size - at, chance.choice((1, 512, PAGE, MIB)))), at)


def _noise(path, chance, others):
    with open(path, "r+b") as file:
        os.pwrite(file.fileno(), chance.randbytes(chance.randrange(9000)), chance.randrange(path.stat().st_size + 1))


def _swap(path, chance, others):
    other = chance.choice(others)
    if other != path and other.exists():
        spare = path.parent / "spare"
        path.rename(spare)
        other.rename(path)
        spare.rename(other)


def _pour(path, chance, others):
    """The bytes of another one, in the same file."""
    data = chance.choice(others).read_bytes()
    with open(path, "r+b") as file:
        file.write(data)
        file.truncate(len(data))


def _remove(path, chance, others):
    path.unlink()


ACCIDENTS = (_flip, _cut, _blank, _noise, _swap, _pour, _remove)


def damage(cache, chance):
    """Something happens to some of the files: data, maps, lists, sizes, members."""
    files = sorted(path for path in cache.rglob("*") if path.is_file() and path.name not in ("lock", "version"))
    done = []
    for path in chance.sample(files, min(len(files), chance.randrange(1, 6))):
        accident = chance.choice(ACCIDENTS)
        others = [other for other in files if other.exists() and other.suffix == path.suffix]
        if path.exists() and others:
            accident(path, chance, others)
            done.append(f"{accident.__name__[1:]} {path.relative_to(cache)}")
    return done
