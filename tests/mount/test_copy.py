# SPDX-License-Identifier: MIT
"""Programs that copy, count and look: right bytes and times, and no request more than is needed."""
import hashlib
import mmap
import os
import re
import shlex
import subprocess
import time

import pytest

from conftest import APP, FAILURE, OTHER_FAILURE
from mount import Reader, read_at, tool, wait_until

DAY = 86400
HEAD = 256 << 10  # what the first read of a CAB may cost at most
SIZES = [0, 1, 511, 4096, 65_537, 300_000, 1_000_000, 9_000_001]


def run(command, *arguments, timeout=120):
    """A shell command; @arguments are its $1, $2, …"""
    return subprocess.run(["sh", "-ec", command, "sh", *map(str, arguments)], check=True, capture_output=True,
                          text=True, timeout=timeout).stdout


def blob_requests(emulator):
    endpoints = emulator.counters(cabs=False)["endpoints"]
    return {"head": endpoints["blob-head"]["requests"], "get": endpoints["blob-get"]["requests"]}


NOTHING = {"head": 0, "get": 0}


def add_tree(emulator):
    """Two failures with CABs of all sizes, each of a date of its own."""
    now = int(time.time())
    emulator.add_cabs(APP, FAILURE, count=len(SIZES), size=SIZES, date=now - DAY, step=1001)
    emulator.add_cabs(APP, OTHER_FAILURE, count=3, size=[70_000, 0, 250_000], date=now - 3 * DAY, step=1003)
    return emulator.cabs()


def check_copy(emulator, cabs, copy):
    """Every CAB is there with its bytes and its time, and nothing else."""
    wanted = {f"{cab['failure']}/{cab['id']}.cab": (cab["size"], cab["date"] * 10**9, emulator.sha256(cab["id"]))
              for cab in cabs}
    found = {}
    for directory, _, names in os.walk(copy):
        for name in names:
            path = os.path.join(directory, name)
            with open(path, "rb") as file:
                sha = hashlib.sha256(file.read()).hexdigest()
            status = os.stat(path)
            found[os.path.relpath(path, copy)] = (status.st_size, status.st_mtime_ns, sha)
    assert found == wanted


COPY = {
    "cp": 'cp -r --preserve=timestamps "$1" "$2"',
    "tar": 'mkdir "$2"; tar -C "$1" -c . | tar -C "$2" -x',
    "rsync": 'rsync -a "$1/" "$2"',
}


# --- copying --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", COPY)
def test_copy_again_and_again(emulator, mount, program):
    """A tree is copied right; the second time, and after a remount, no blob is asked for at all. [K1]"""
    tool(program)
    cabs = add_tree(emulator)
    mounted = mount()
    run(COPY[program], mounted.path / APP, mounted.directory / "first")
    check_copy(emulator, cabs, mounted.directory / "first")
    assert emulator.counters(cabs=False)["bytes"] == sum(cab["size"] for cab in cabs), "bytes came twice, or too many"

    emulator.reset_counters()
    run(COPY[program], mounted.path / APP, mounted.directory / "second")
    check_copy(emulator, cabs, mounted.directory / "second")
    assert emulator.counters(cabs=False)["requests"] == 0

    mounted.remount()
    run(COPY[program], mounted.path / APP, mounted.directory / "third")
    check_copy(emulator, cabs, mounted.directory / "third")
    assert blob_requests(emulator) == NOTHING
    assert emulator.counters(cabs=False)["requests"] == 0, "the lists were on disk, and young"


def test_rsync_onto_its_own_copy(emulator, mount):
    """rsync finds nothing to do the second time, and asks no blob host to see that, not even after a remount."""
    tool("rsync")
    cabs = add_tree(emulator)
    mounted = mount()
    command = 'rsync -a --out-format=%n "$1/" "$2"'
    copy = mounted.directory / "copy"
    first = run(command, mounted.path / APP, copy).split()
    assert sorted(name for name in first if name.endswith(".cab")) == sorted(
        f"{cab['failure']}/{cab['id']}.cab" for cab in cabs)
    emulator.reset_counters()
    for again in range(2):
        done = run(command, mounted.path / APP, copy).split()
        assert not [name for name in done if name.endswith(".cab")], again
        assert blob_requests(emulator) == NOTHING
        mounted.remount()
    check_copy(emulator, cabs, copy)


def test_rsync_sees_a_size_without_the_bytes(emulator, mount):
    """A copy that is there already costs one HEAD for each CAB, and no GET."""
    tool("rsync")
    cabs = add_tree(emulator)
    mounted = mount()
    copy = mounted.directory / "copy"
    run(COPY["rsync"], mounted.path / APP, copy)
    fresh = mount()  # another cache
    emulator.reset_counters()
    run(COPY["rsync"], fresh.path / APP, copy)
    assert blob_requests(emulator) == {"head": len(cabs), "get": 0}


def test_copies_side_by_side(emulator, mount):
    """Four copies at a time of what nobody has are all right, and bring each byte once."""
    cabs = add_tree(emulator)
    mounted = mount()
    places = [mounted.directory / f"copy-{i}" for i in range(4)]
    readers = [Reader(run, COPY[program], mounted.path / APP, place)
               for program, place in zip(("cp", "tar", "cp", "tar"), places)]
    for reader in readers:
        reader.get(120)
    for place in places:
        check_copy(emulator, cabs, place)
    assert emulator.counters(cabs=False)["bytes"] == sum(cab["size"] for cab in cabs)


# --- sizes ----------------------------------------------------------------------------------------------------------


def read_all(path):
    with open(path, "rb") as file:
        return file.read()


def read_mapped(path):
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return b""
        with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
            return mapped[:]


def read_by_end(path):
    """As who asks for the length by seeking."""
    with open(path, "rb", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(0)
        data = b""
        while len(data) < end:
            data += file.read(end - len(data))
        assert file.read(1) == b""
        return data


def read_through(command):
    def read(path):
        return subprocess.run(["sh", "-ec", command, "sh", path], check=True, stdout=subprocess.PIPE, timeout=60).stdout
    return read


WAYS = {
    "read": read_all,
    "mmap": read_mapped,
    "lseek END": read_by_end,
    "cat": read_through('cat "$1"'),
    "cp": read_through('cp --remove-destination "$1" "$TMP_COPY" && cat "$TMP_COPY"'),
    "cp --sparse=always": read_through('cp --remove-destination --sparse=always "$1" "$TMP_COPY" && cat "$TMP_COPY"'),
    "tar": read_through('tar -c -C "$(dirname "$1")" "$(basename "$1")" | tar -xO'),
    "rsync": read_through('rsync "$1" "$TMP_COPY" && cat "$TMP_COPY"'),
    "dd": read_through('dd if="$1" bs=64k status=none'),
    "tail -c": read_through('tail -c +1 "$1"'),
    "gzip": read_through('gzip -1c < "$1" | gzip -dc'),
}


@pytest.mark.parametrize("sizes", ["exact", "lazy"])
@pytest.mark.parametrize("way", WAYS)
def test_every_program_gets_every_byte(emulator, mount, monkeypatch, sizes, way):
    """Whether the size was known before or comes with the open, nobody reads too little or too much. [F9]"""
    cabs = add_tree(emulator)
    # GNU tar does not even open a file that shows 0 bytes and that everybody may read.
    mounted = mount(sizes=sizes, arguments=["-o", "umask=0007"] if way == "tar" else [])
    monkeypatch.setenv("TMP_COPY", str(mounted.directory / "copy"))
    emulator.reset_counters()
    for _ in range(2):
        for cab in cabs:
            data = WAYS[way](mounted.cab(cab))
            assert len(data) == cab["size"]
            assert hashlib.sha256(data).hexdigest() == emulator.sha256(cab["id"])
            assert os.stat(mounted.cab(cab)).st_size == cab["size"]
    if sizes == "lazy":
        assert blob_requests(emulator)["head"] == 0, "an open told the size; nobody need ask"


def test_sizes_before_the_first_open(emulator, mount):
    """`exact` asks before it shows a size; `lazy` shows 0 until somebody opens the CAB, and keeps what it learnt.
    [F8]"""
    cabs = add_tree(emulator)
    exact, lazy = mount(sizes="exact"), mount(sizes="lazy")
    assert [os.stat(exact.cab(cab)).st_size for cab in cabs] == [cab["size"] for cab in cabs]
    emulator.reset_counters()
    assert {os.stat(lazy.cab(cab)).st_size for cab in cabs} == {0}
    assert blob_requests(emulator) == NOTHING
    for cab in cabs:
        os.close(os.open(lazy.cab(cab), os.O_RDONLY))
    assert [os.stat(lazy.cab(cab)).st_size for cab in cabs] == [cab["size"] for cab in cabs]
    emulator.reset_counters()
    lazy.remount()
    assert [os.stat(lazy.cab(cab)).st_size for cab in cabs] == [cab["size"] for cab in cabs]
    assert blob_requests(emulator) == NOTHING


def du(path, *options):
    return int(run(f"du -s {shlex.join(options)} \"$1\"", path).split()[0])


def test_du(emulator, mount):
    """`du` tells what is here, `du --apparent-size` what there is."""
    cabs = add_tree(emulator)
    total = sum(cab["size"] for cab in cabs)
    mounted = mount(read_ahead=0)
    path = mounted.path / APP
    assert du(path, "-B1", "--apparent-size") == total
    assert du(path, "-B1") == 0
    big = max(cabs, key=lambda cab: cab["size"])
    assert read_at(mounted.cab(big), 0, 100) == emulator.content(big["id"], 0, 100)
    part = wait_until(lambda: du(path, "-B1"), "a part of one")
    assert 100 <= part <= 2 * HEAD
    for cab in cabs:
        mounted.verify(cab)
    wait_until(lambda: du(path, "-B1") >= total, "all is here")
    assert du(path, "-B1") <= total + 4096 * len(cabs)
    assert du(path, "-B1", "--apparent-size") == total
    mounted.remount()
    assert total <= du(path, "-B1") <= total + 4096 * len(cabs)
    assert du(path, "-B1", "--apparent-size") == total


# --- looking --------------------------------------------------------------------------------------------------------


def long_listing(path):
    """Name and size as `ls -l` prints them."""
    return {line.split()[8]: int(line.split()[4]) for line in run('ls -l "$1"', path).splitlines()[1:]}


def test_ls_l_asks_once_for_each(emulator, mount):
    """`ls -l` of 300 CABs is 300 HEADs, several at a time, and no byte; afterwards, and after a remount, none."""
    emulator.add_cabs(APP, FAILURE, count=300, size={"min": 0, "max": 10**9})
    sizes = {f"{cab['id']}.cab": cab["size"] for cab in emulator.cabs()}
    mounted = mount()
    path = mounted.path / APP / FAILURE
    emulator.fault("latency", "blob-head", ms=10)
    assert long_listing(path) == sizes
    assert blob_requests(emulator) == {"head": 300, "get": 0}
    most = emulator.counters(cabs=False)["concurrent"]["blobMax"]
    assert 8 <= most <= 64, f"{most} at a time"
    emulator.reset_counters()
    assert long_listing(path) == sizes
    assert emulator.counters(cabs=False)["requests"] == 0
    mounted.remount()
    assert long_listing(path) == sizes
    assert emulator.counters(cabs=False)["requests"] == 0


@pytest.mark.parametrize("index", [0, 1, 8, 17, 99])
def test_stat_of_one_is_one_head(emulator, mount, index):
    """Who wants one CAB's size pays for one, wherever it is in the list."""
    emulator.add_cabs(APP, FAILURE, count=100, size=1000)
    cab = sorted(emulator.cabs(), key=lambda cab: cab["id"])[index]
    assert os.stat(mount().cab(cab)).st_size == 1000
    assert blob_requests(emulator) == {"head": 1, "get": 0}


def test_ls_l_keeps_connections_busy(emulator, mount):
    """As many HEADs are under way as there may be connections, and one that is late does not stop the others."""
    emulator.add_cabs(APP, FAILURE, count=400, size=1000)
    cabs = sorted(emulator.cabs(), key=lambda cab: cab["id"])
    path = mount(size_connections=8).path / APP / FAILURE
    emulator.fault("latency", "blob-head", ms=10)
    hold = emulator.fault("hold", "blob-head", path=cabs[200]["id"])
    reader = Reader(long_listing, path)
    emulator.wait_held(1)
    emulator.wait_requests("blob-head", 200 + 20)
    assert emulator.counters(cabs=False)["concurrent"]["blobMax"] == 8
    emulator.clear_faults(hold)
    assert len(reader.get()) == 400
    assert blob_requests(emulator) == {"head": 400, "get": 0}


@pytest.mark.parametrize("status", [429, 503])
def test_ls_l_of_a_throttled_host(emulator, mount, status):
    """A host that is asked for too much at a time is asked for less, and every size comes all the same."""
    emulator.add_cabs(APP, FAILURE, count=300, size={"min": 0, "max": 10**9})
    sizes = {f"{cab['id']}.cab": cab["size"] for cab in emulator.cabs()}
    mounted = mount()
    emulator.fault("latency", "blob-head", ms=20)
    emulator.fault("status", "blob-head", status=status, skip=60, count=40)
    assert long_listing(mounted.path / APP / FAILURE) == sizes
    assert blob_requests(emulator) == {"head": 340, "get": 0}
    limits = [int(limit) for limit in re.findall(f"HTTP status {status}: .* is asked for ([0-9]+) at a time",
                                                 mounted.log())]
    assert limits and all(limit <= 32 for limit in limits)


def test_ls_l_of_a_list_from_disk(emulator, mount):
    """Without addresses in the list there is one question for all of them, not one for each day or each CAB."""
    emulator.add_cabs(APP, FAILURE, count=3000, size=1000, step=DAY // 105, reply=False)
    mounted = mount()
    path = mounted.path / APP / FAILURE
    assert len(os.listdir(path)) == 3000
    mounted.remount()
    emulator.reset_counters()
    emulator.fault("latency", "*", ms=10)
    assert len(long_listing(path)) == 3000
    assert blob_requests(emulator) == {"head": 3000, "get": 0}
    assert emulator.requests("batch") <= 31 + 30, "those in the meantime have to be located"


def test_ls_l_by_several(emulator, mount):
    """Five at a time ask no more often."""
    emulator.add_cabs(APP, FAILURE, count=300, size={"min": 0, "max": 10**9})
    sizes = {f"{cab['id']}.cab": cab["size"] for cab in emulator.cabs()}
    path = mount().path / APP / FAILURE
    readers = [Reader(long_listing, path) for _ in range(5)]
    assert [reader.get() for reader in readers] == [sizes] * 5
    assert blob_requests(emulator) == {"head": 300, "get": 0}


def test_interrupted_ls_l_goes_on(emulator, mount):
    """Sizes that were learnt are kept when the program ends in the middle, and when the mount does."""
    emulator.add_cabs(APP, FAILURE, count=100, size=1000)
    cabs = sorted(emulator.cabs(), key=lambda cab: cab["id"])
    mounted = mount(size_connections=4)
    for cab in cabs[:50]:
        assert os.stat(mounted.cab(cab)).st_size == 1000
    mounted.remount()
    for cab in cabs:
        assert os.stat(mounted.cab(cab)).st_size == 1000
    requests = blob_requests(emulator)
    assert requests["get"] == 0
    assert 100 <= requests["head"] <= 104  # those that were under way when the mount ended are asked for again


@pytest.mark.parametrize("command, lines", [
    ('ls "$1"', 300), ('ls -a "$1"', 302), ('find "$1" -name "*.cab"', 300),
    ('find "$1" -type f', 300), ('find "$1" -type d', 1), ('ls -R "$1/.."', 303), ('ls -p "$1"', 300)])
def test_names_cost_no_size(emulator, mount, command, lines):
    """Who wants names and kinds only causes no HEAD."""
    emulator.add_cabs(APP, FAILURE, count=300, size=1000)
    shown = run(command, mount().path / APP / FAILURE).splitlines()
    assert len([line for line in shown if line]) == lines
    assert blob_requests(emulator) == NOTHING


def test_one_look_is_one_head(emulator, mount):
    """Looks at single files here and there ask for those, not for the whole directory."""
    emulator.add_cabs(APP, FAILURE, count=2000, size=1000)
    cabs = sorted(emulator.cabs(), key=lambda cab: cab["id"])
    mounted = mount()
    os.listdir(mounted.path / APP / FAILURE)
    assert os.stat(mounted.cab(cabs[1000])).st_size == 1000
    assert blob_requests(emulator) == {"head": 1, "get": 0}
    for index in (1500, 200, 700, 1999, 300):
        assert os.stat(mounted.cab(cabs[index])).st_size == 1000
    assert blob_requests(emulator) == {"head": 6, "get": 0}


# --- heads ----------------------------------------------------------------------------------------------------------


def test_a_head_costs_one_small_range(emulator, mount):
    """As a file manager or `file` reads it: 16 KiB of a GiB are one request of at most 256 KiB. [K2]"""
    emulator.add_cabs(APP, FAILURE, count=20, size=1 << 30)
    cabs = emulator.cabs()
    mounted = mount()
    for cab in cabs:
        assert read_at(mounted.cab(cab), 0, 16384) == emulator.content(cab["id"], 0, 16384)
    counters = emulator.counters()
    for cab in cabs:
        count = counters["cabs"][cab["id"]]
        assert (count["get"], count["head"]) == (1, 0)
        assert count["bytes"] <= HEAD
    emulator.reset_counters()
    for cab in cabs:
        assert read_at(mounted.cab(cab), 0, 16384) == emulator.content(cab["id"], 0, 16384)
    mounted.remount()
    for cab in cabs:
        assert read_at(mounted.cab(cab), 0, 16384) == emulator.content(cab["id"], 0, 16384)
    assert blob_requests(emulator) == NOTHING


@pytest.mark.parametrize("command", [
    'head -c 100 "$1"', 'dd if="$1" bs=4096 count=1', 'od -N 16 "$1"', 'cmp -n 64 "$1" "$1"'])
def test_programs_that_read_heads(emulator, mount, command):
    """Programs that want the beginning of a large CAB get that and do not fetch the rest. [K2]"""
    tool(command.split()[0])
    emulator.add_cabs(APP, FAILURE, size=1 << 30)
    cab, = emulator.cabs()
    mounted = mount()
    subprocess.run(["sh", "-ec", command, "sh", mounted.cab(cab)], check=True, capture_output=True, timeout=60)
    assert emulator.counters()["cabs"][cab["id"]]["bytes"] <= HEAD


def test_both_ends_are_cheap(emulator, mount):
    """As tools for ZIP files read it: the end, then the beginning, and a little in between."""
    emulator.add_cabs(APP, FAILURE, size=(1 << 30) + 77)
    cab, = emulator.cabs()
    mounted = mount()
    fd = os.open(mounted.cab(cab), os.O_RDONLY)
    try:
        for off, length in ((cab["size"] - 22, 22), (cab["size"] - 65557, 65557), (0, 4096), (cab["size"] // 2, 4096)):
            assert os.pread(fd, length, off) == emulator.content(cab["id"], off, length)
    finally:
        os.close(fd)
    assert emulator.counters()["cabs"][cab["id"]]["bytes"] <= 4 * HEAD
