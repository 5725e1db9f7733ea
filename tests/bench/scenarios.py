# SPDX-License-Identifier: MIT
"""The works.  A scenario takes its contestants in turns; one measurement gives the figures of one or more rows."""
import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from contestants import MOUNTED, Listed, Memfs, run
from emulator import Emulator
from servers import APP, MIB

GIB = 1024 * MIB
ONE = 384 * MIB
MANY = 10_000
MISSES = 60_000
HOT_READS = 5
MILLION = 1_000_000
SOME = 16 * MIB
RANDOM = (20, 65536)
WARM = 768  # MiB: more than a work of ONE needs


class Scenario:
    """`contestants` in the order of the first round."""

    contestants = ()

    def __init__(self, servers, work, peers, quick=False):
        self.servers = servers
        self.work = Path(work)
        self.quick = quick
        self.contestants = [name for name in self.contestants if name not in ("rclone", "httpdirfs") or name in peers]
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        self.prepare()
        return self

    def __exit__(self, *exc):
        self.stack.close()

    def prepare(self):
        """Once, before the first round."""

    def measure(self, contestant, number):
        """Figures by name."""
        raise NotImplementedError

    # --- helpers -----------------------------------------------------------------------------------------------------

    def place(self):
        return tempfile.mkdtemp(prefix="place-", dir=self.work)

    def mounted(self, contestant, directory, **options):
        return MOUNTED[contestant](self.servers, self.place(), directory, **options)

    def do(self, *words):
        return run([self.servers.program("work"), *words])

    def ls(self, path, *options):
        return self.do("exec", "ls", *options, path)["seconds"]

    def warm_memory(self):
        """Memory that the host of a virtual machine took back is slow when first touched."""
        self.do("warm", WARM)

    def ranges(self, *arguments, directory, size, far, tls):
        url = self.servers.urls(directory, far, tls)[0]
        return run([self.servers.program("ranges"), "--ca-file", self.servers.ca_file, *arguments, url, size])


def rate(done, size):
    return size / 1e6 / done["seconds"]


class Cold(Scenario):
    """384 MiB that nobody has, from end to end."""

    contestants = ("curl", "ranges", "cabfs", "httpdirfs", "rclone")
    far = tls = False

    def prepare(self):
        self.servers.directory("one", [ONE])

    def measure(self, contestant, number):
        self.warm_memory()
        self.servers.moved()
        figures = self.download(contestant) if contestant in ("curl", "ranges") else self.read(contestant)
        moved = self.servers.moved()
        return {**figures, "requests": moved["requests"], "bytes": moved["link_bytes" if self.far else "bytes"]}

    def download(self, contestant):
        output = Path(self.place()) / "output"
        if contestant == "ranges":
            done = self.ranges("--output", output, directory="one", size=ONE, far=self.far, tls=self.tls)
        else:
            done = self.do("exec", "curl", "-s", "-f", "--cacert", self.servers.ca_file, "-o", output,
                           self.servers.urls("one", self.far, self.tls)[0])
        shutil.rmtree(output.parent)
        return {"speed": rate(done, ONE), "cpu": done["cpu"] / (ONE / 1e9)}

    def read(self, contestant):
        with self.mounted(contestant, "one", far=self.far, tls=self.tls) as mounted:
            self.ls(mounted.files)
            before = mounted.cpu()
            done = self.do("read", mounted.file())
            assert done["count"] == ONE, f"{contestant}: {done['count']} bytes came"
            return {"speed": rate(done, ONE), "cpu": (mounted.cpu() - before) / (ONE / 1e9),
                    "peak": mounted.memory("VmHWM")}


class ColdTls(Cold):
    tls = True


class ColdFar(Cold):
    far = True


class FirstByte(Scenario):
    """The first 4 KiB of a file, by a mount that has just been made: its directory listed before, or nothing known."""

    contestants = ("cabfs", "httpdirfs", "rclone")
    tls = False

    def prepare(self):
        self.servers.directory("one", [ONE])

    def measure(self, contestant, number):
        figures = {}
        for name, listed in (("listed", True), ("fresh", False)):
            with self.mounted(contestant, "one", far=True, tls=self.tls) as mounted:
                if listed:
                    self.ls(mounted.files)
                figures[name] = self.do("first", mounted.file())["seconds"] * 1000 / self.servers.rtt_ms
        return figures


class FirstByteTls(FirstByte):
    tls = True


class Random(Scenario):
    """20 reads of 64 KiB in 4 GiB, each once the one before it is there."""

    contestants = ("ranges", "cabfs", "httpdirfs", "rclone")
    far = False

    def prepare(self):
        self.servers.directory("big", [4 * GIB])

    def measure(self, contestant, number):
        count, block = RANDOM
        self.servers.moved()
        if contestant == "ranges":
            done = self.ranges("--connections=1", f"--random={count}", f"--range={block}", f"--seed={number}",
                               directory="big", size=4 * GIB, far=self.far, tls=False)
        else:
            with self.mounted(contestant, "big", far=self.far) as mounted:
                self.ls(mounted.files)
                done = self.do("random", mounted.file(), count, block, number)
        moved = self.servers.moved()
        return {"seconds": done["seconds"], "megabytes": moved["link_bytes" if self.far else "bytes"] / 1e6,
                "requests": moved["requests"]}


class RandomFar(Random):
    far = True


class Readers(Scenario):
    """One cold file by one reader, then by eight."""

    contestants = ("cabfs", "httpdirfs", "rclone")

    def prepare(self):
        self.servers.directory("one", [ONE])

    def measure(self, contestant, number):
        seconds = {}
        for readers in (1, 8):
            self.warm_memory()
            self.servers.moved()
            with self.mounted(contestant, "one") as mounted:
                self.ls(mounted.files)
                seconds[readers] = self.do("read", mounted.file(), readers)["seconds"]
        return {"bytes": self.servers.moved()["bytes"] / ONE, "time": seconds[8] / seconds[1]}


class Directory(Scenario):
    """10,000 CABs far away: names, then sizes, then both again after a remount."""

    contestants = ("heads", "cabfs", "httpdirfs", "rclone")

    def prepare(self):
        self.servers.directory("many", [4096] * MANY)
        self.urls = self.work / "urls"
        self.urls.write_text("".join(f"{url}\n" for url in self.servers.urls("many", True)))

    def measure(self, contestant, number):
        if contestant == "heads":
            return {"sizes": run([self.servers.program("heads"), "--connections=64", self.urls])["seconds"]}
        ours = contestant == "cabfs"
        self.servers.moved()
        self.servers.emulator.reset_counters()
        with self.mounted(contestant, "many", far=True) as mounted:
            figures = {"names": self.ls(mounted.files, "-f") + (0 if ours else mounted.mount_seconds)}
            figures["pages"] = self.servers.emulator.requests("batch")
            figures["sizes"] = self.ls(mounted.files, "-l")
            figures["both"] = figures["names"] + figures["sizes"]
            figures["heads"] = self.servers.moved()["requests"]
            if not ours:  # they ask for the sizes to get the names
                figures["sizes"] = figures["both"]
            self.servers.emulator.reset_counters()
            mounted.remount()
            figures["again"] = self.ls(mounted.files, "-l") + (0 if ours else mounted.mount_seconds)
            figures["again_requests"] = (self.servers.moved()["requests"] +
                                         self.servers.emulator.counters(cabs=False)["requests"])
        return figures


class Warm(Scenario):
    """10,000 entries that everybody knows."""

    contestants = ("native", "cabfs", "httpdirfs", "rclone")

    def prepare(self):
        self.servers.directory("many", [4096] * MANY)
        self.paths = {"native": self.work / "native"}
        self.paths["native"].mkdir()
        for name in self.servers.directory("many", ()):
            (self.paths["native"] / f"{name}.cab").write_bytes(b"x" * 4096)
        for contestant in self.contestants[1:]:
            mounted = self.stack.enter_context(self.mounted(contestant, "many"))
            self.paths[contestant] = mounted.files
            self.ls(mounted.files, "-l")

    def measure(self, contestant, number):
        path = self.paths[contestant]
        self.ls(path, "-l")
        return {"ls-l": self.ls(path, "-l"), "find": self.do("exec", "find", path, "-size", "+1G")["seconds"],
                "ls": self.ls(path, "-f"), "stat": self.do("stat", path)["seconds"],
                "missing": self.do("missing", path, MANY)["seconds"]}


class Cached(Scenario):
    """384 MiB that are in the disk cache; each read begins with a remount, `hot` follows it."""

    contestants = ("memfs", "native", "cabfs", "httpdirfs", "rclone")

    def prepare(self):
        self.servers.directory("one", [ONE])
        self.mounts = {}
        self.native = self.work / "native.cab"
        shutil.copyfile(self.servers.www / "one" / f"{self.servers.directory('one', ())[0]}.cab", self.native)
        for contestant in self.contestants:
            if contestant in MOUNTED:
                mounted = self.stack.enter_context(self.mounted(contestant, "one"))
                self.do("read", mounted.file())
                self.mounts[contestant] = mounted
            elif contestant == "memfs":
                memfs = Memfs(self.servers, self.place(), ONE, "--threads=2")
                self.mounts[contestant] = self.stack.enter_context(memfs)

    def renewed(self, contestant):
        """Mounted anew; what its cache has on disk is in memory, as after any use of it."""
        mounted = self.mounts[contestant]
        mounted.remount()
        for root, _, names in os.walk(mounted.cache):
            for name in names:
                self.do("read", Path(root) / name)
        self.warm_memory()
        return mounted

    def hot(self, path):
        """Of several reads, as one is over too soon."""
        return rate({"seconds": sum(self.do("read", path)["seconds"] for _ in range(HOT_READS))}, HOT_READS * ONE)

    def measure(self, contestant, number):
        if contestant == "native":
            self.do("read", self.native)
            return {"hot": self.hot(self.native)}
        mounted = self.renewed(contestant)
        if contestant != "memfs":
            self.ls(mounted.files)
        self.servers.moved()
        before = mounted.cpu()
        cached = self.do("read", mounted.file())
        cpu = mounted.cpu() - before
        return {"speed": rate(cached, ONE), "hot": self.hot(mounted.file()), "cpu": cpu / (ONE / 1e9),
                "bytes": self.servers.moved()["bytes"]}


class Misses(Cached):
    """4 KiB at random places of that file by 8 threads, none of them in the page cache of the mount."""

    contestants = ("memfs", "cabfs", "httpdirfs", "rclone")

    def measure(self, contestant, number):
        mounted = self.renewed(contestant)
        if contestant != "memfs":
            self.ls(mounted.files)
        return {"rate": MISSES / 1000 / self.do("misses", mounted.file(), MISSES, 4096, 8)["seconds"]}


class Memory(Scenario):
    """Of a mount that nobody used, one that has shown 10,000 entries, one that streams from afar."""

    contestants = ("ranges", "cabfs", "httpdirfs", "rclone")

    def prepare(self):
        self.servers.directory("one", [ONE])
        self.servers.directory("many", [4096] * MANY)

    def measure(self, contestant, number):
        if contestant == "ranges":
            return {"streaming": self.ranges(directory="one", size=ONE, far=True, tls=False)["peak"] / 1024}
        figures = {}
        with self.mounted(contestant, "one") as mounted:
            figures["idle"] = mounted.memory()
        with self.mounted(contestant, "many") as mounted:
            self.ls(mounted.files, "-l")
            figures["entries"] = mounted.memory()
        with self.mounted(contestant, "one", far=True) as mounted:
            self.do("read", mounted.file())
            figures["streaming"] = mounted.memory("VmHWM")
        return figures


class GrowthNames(Scenario):
    """`ls` of a thousand to a million CABs by a mount that has just been made, and what it then has in memory."""

    contestants = ("cabfs-1000", "cabfs-10000", "cabfs-100000", "cabfs-1000000")

    def prepare(self):
        if self.quick:
            self.contestants = self.contestants[:-1]
        self.emulators = {}
        for contestant in self.contestants:
            emulator = self.stack.enter_context(Emulator(program=self.servers.emulator.program))
            emulator.add_cabs(APP, Listed.FAILURE, count=int(contestant[6:]), reply=False)
            self.emulators[contestant] = emulator

    def measure(self, contestant, number):
        count = int(contestant[6:])
        with Listed(self.servers, self.place(), self.emulators[contestant]) as mounted:
            before = mounted.cpu()
            seconds = self.ls(mounted.files, "-f")
            figures = {"seconds": seconds, "each": seconds * 1e6 / count, "memory": mounted.memory()}
            if count >= MANY:  # the clock of /proc ticks too slowly for fewer
                figures["cpu"] = (mounted.cpu() - before) * 1e6 / count
        if count == MILLION:
            figures["million"] = figures["memory"]
        return figures


class GrowthReaders(Scenario):
    """Cold files by 1, 8 and 64 readers, each with one of his own."""

    contestants = ("cabfs-1", "cabfs-8", "cabfs-64")
    far = False

    def prepare(self):
        self.servers.directory("some", [SOME] * 64)

    def measure(self, contestant, number):
        readers = int(contestant[6:])
        with self.mounted("cabfs", "some", far=self.far) as mounted:
            self.ls(mounted.files)
            done = self.do("read-all", *(mounted.file(i) for i in range(readers)))
        assert done["count"] == readers * SOME
        return {"speed": rate(done, readers * SOME)}


class GrowthReadersFar(GrowthReaders):
    far = True


SCENARIOS = {"cold-near": Cold, "cold-near-https": ColdTls, "cold-far": ColdFar, "first-byte": FirstByte,
             "first-byte-https": FirstByteTls, "random-near": Random, "random-far": RandomFar, "readers": Readers,
             "directory-far": Directory, "warm": Warm, "cached": Cached, "misses": Misses, "memory": Memory,
             "growth-names": GrowthNames, "growth-readers": GrowthReaders, "growth-readers-far": GrowthReadersFar}
