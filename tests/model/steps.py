# SPDX-License-Identifier: MIT
"""The steps of the model test: what may happen, how often, and doing it.

What step number N of a seed does is a function of the two alone: neither of time nor of the steps before it, so that a
sequence can be replayed, and also without some of its steps.
"""
import os
import random
import subprocess
import time

import crew
import faults
from mount import Mount, within
from world import (APPLICATIONS, DESKTOP, DRIVER, FAILURES, KIB, MIB, SIZES, TTL, Attributes, List, Map, Open, Read, Refused,
                   Stat, Whole, World)

WORKERS, SLOTS = 8, 3
CABS = 36                # at the beginning; then there may be more
SETTLE_EVERY = 300       # steps
LONG_SETTLE_EVERY = 3000 # steps: then what is remembered of refusals is waited for
CACHE_SIZE = 8 * MIB     # less than a third of what there is to read
SLACK = 16 * MIB         # a sweep comes with every 8 MiB that were written
DISK = 40 * MIB
ODD_NAMES = [".git", "desktop.ini", "autorun.inf", "..cab", "x" * 200, "a b.cab", "\u00e4.cab", "AUX"]

# Names of the methods, and how often each is called.
WEIGHTS = {
    "read": 30, "open": 16, "stat": 12, "whole": 8, "list": 8, "map": 6, "attributes": 3, "close": 3, "refused": 2,
    "interrupt": 6, "kill_reader": 2, "pause": 1, "fault": 4, "outage": 0.3, "revoke": 0.5, "replace": 1.5, "add": 0.8,
    "expire": 0.7, "remove": 0.4, "full_disk": 0.4, "remount": 0.5, "kill": 0.7,
}


class Failure(Exception):
    """cabfs did what it must not do."""


class Run:
    """A mount, its emulator, the workers, and what the model knows of them."""

    def __init__(self, emulator, directory, seed, tell):
        self.emulator, self.directory, self.seed, self.tell = emulator, directory, seed, tell
        self.world = World(emulator)
        self.disk = directory / "disk"
        self.has_disk = False
        self.fillers = set()  # files that fill the disk
        self.unwritten = None  # since when there may be lists that found no room
        self.mount = Mount(emulator, directory, driver=[DRIVER], desktop=[DESKTOP], listing_ttl=TTL, timeout=2, retries=2,
                           cache_size=CACHE_SIZE, cache_free=0, cache_dir=str(self.disk / "cache"), log_level="info")
        self.life = 0
        self.revoked_in = None  # the life in which tokens were revoked last
        self.workers = []
        self.handles = {}     # (worker's number, slot): Handle
        self.under_way = []   # (step at which it ends, how)
        self.counts = {}
        self.answers = 0

    # --- beginning and end ---------------------------------------------------------------------------------------

    def begin(self):
        self.disk.mkdir()
        if os.geteuid() == 0:  # else the disk is never full
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0700", "cabfs-model", self.disk], check=True)
            self.has_disk = True
        chance = random.Random(f"{self.seed}/data")
        for number in range(CABS):
            application = list(APPLICATIONS)[number % 2]
            self.world.add(application, FAILURES[application][number // 2 % 3], SIZES[number % len(SIZES)],
                           steady=chance.random() < 0.5)
        for lists in self.world.lists.values():
            lists.forget_past()
        self.mount.mount()
        self.workers = [crew.Worker() for _ in range(WORKERS)]

    def close(self):
        """Whatever state it is in."""
        for worker in self.workers:
            if not worker.link.closed:
                worker.end()
        self.workers = []
        if self.mount.process is not None:
            self.mount.kill()
        if self.has_disk:
            subprocess.run(["umount", "-l", self.disk], check=False)

    # --- workers -------------------------------------------------------------------------------------------------

    def judge(self, worker, mount_died=False):
        """Takes the answer of a worker that has one."""
        look, worker.job = worker.job, None
        kind, value = worker.answer()
        self.answers += 1
        outcome = f"{len(value)} bytes" if isinstance(value, bytes) else value if isinstance(value, int) else ""
        self.tell(f"  {self.workers.index(worker)} = {kind} {outcome}")
        wrong = look.judge(kind, value, mount_died)
        if wrong is not None:
            raise Failure(f"{look}: {wrong}")
        if isinstance(look, Open) and kind != "value":
            self.handles = {place: handle for place, handle in self.handles.items() if handle is not look.handle}
        if kind == "died":
            self.replace_worker(self.workers.index(worker))

    def replace_worker(self, number):
        self.workers[number] = crew.Worker()
        for slot in range(SLOTS):
            self.handles.pop((number, slot), None)

    def collect(self, done, mount_died=False):
        """Judges what comes until @done() is true; nothing may take for ever."""
        while not done():
            busy = [worker for worker in self.workers if worker.job is not None]
            for worker in crew.wait(busy, 1):
                self.judge(worker, mount_died)
            if self.mount.process.poll() is not None and not mount_died:
                raise Failure(f"cabfs ended with status {self.mount.process.returncode}")
            late = [str(worker.job) for worker in busy if time.monotonic() - worker.since > crew.PATIENCE
                    and worker.job is not None]
            if late:
                raise Failure(f"no answer for {crew.PATIENCE} s: {', '.join(late)}")

    def collect_all(self, mount_died=False):
        self.collect(lambda: all(worker.job is None for worker in self.workers), mount_died)

    def free_worker(self, number):
        self.collect(lambda: self.workers[number].job is None)
        return self.workers[number]

    def restart_workers(self):
        for worker in self.workers:
            if not worker.end():
                raise Failure("a reader cannot be killed")
        self.workers = [crew.Worker() for _ in range(WORKERS)]
        self.handles = {}

    def start(self, worker, look, name, *arguments):
        self.tell(f"  {self.workers.index(worker)}: {look}")
        worker.start(look, name, *arguments)

    # --- looks ---------------------------------------------------------------------------------------------------

    def any_cab(self, chance):
        return self.world.cabs[chance.randrange(len(self.world.cabs))]

    def path(self, *names):
        return str(self.mount.path.joinpath(*names))

    def read(self, chance, kind="read"):
        number, slot = chance.randrange(WORKERS), chance.randrange(SLOTS)
        worker = self.free_worker(number)
        handle = self.handles.get((number, slot))
        where, much, past_cache = chance.random(), chance.random(), chance.random() < 0.5
        if handle is None:
            return None
        size = len(handle.cab.versions[0])
        off = int(where * (size + 5000))
        length = int(much ** 3 * MIB) + 1
        if kind == "map":
            self.start(worker, Map(self.world, handle, off, length, self.life), "map", slot, off, length)
        else:
            self.start(worker, Read(self.world, handle, off, length, self.life), "read", slot, off, length, past_cache)
        return worker

    def map(self, chance):
        return self.read(chance, "map")

    def open(self, chance):
        number, slot = chance.randrange(WORKERS), chance.randrange(SLOTS)
        worker = self.free_worker(number)
        look = Open(self.world, self.any_cab(chance), self.life)
        self.handles[number, slot] = look.handle
        self.start(worker, look, "open", slot, self.path(*look.path))
        return worker

    def close_slot(self, chance):
        number, slot = chance.randrange(WORKERS), chance.randrange(SLOTS)
        worker = self.free_worker(number)
        handle = self.handles.pop((number, slot), None)
        if handle is not None:
            self.start(worker, Closed(self.world, handle.cab, self.life), "close", slot)

    def whole(self, chance):
        worker = self.free_worker(chance.randrange(WORKERS))
        look = Whole(self.world, self.any_cab(chance), self.life)
        self.start(worker, look, "whole", self.path(*look.path), chance.choice([4096 * 3, 64 * KIB, 128 * KIB, MIB]))
        return worker

    def stat(self, chance):
        worker = self.free_worker(chance.randrange(WORKERS))
        look = Stat(self.world, self.any_cab(chance), self.life)
        self.start(worker, look, "stat", self.path(*look.path))
        return worker

    def attributes(self, chance):
        worker = self.free_worker(chance.randrange(WORKERS))
        look = Attributes(self.world, self.any_cab(chance), self.life)
        self.start(worker, look, "attributes", self.path(*look.path))
        return worker

    def list(self, chance):
        worker = self.free_worker(chance.randrange(WORKERS))
        application = chance.choice(list(APPLICATIONS))
        names = application, chance.choice(FAILURES[application])
        look = List(self.world, names[:chance.choice([0, 1, 2, 2, 2, 2])], self.life)
        self.start(worker, look, "list", self.path(*look.path))
        return worker

    def refused(self, chance):
        worker = self.free_worker(chance.randrange(WORKERS))
        cab = self.any_cab(chance)
        name, path, errors = chance.choice([
            ("write", cab.path, {"EROFS", "ENOENT"}), ("create", (*cab.path[:2], "new.cab"), {"EROFS", "ENOENT"}),
            ("stat", (*cab.path[:2], chance.choice(ODD_NAMES)), {"ENOENT"}),
            ("list", (chance.choice(ODD_NAMES),), {"ENOENT"})])
        self.start(worker, Refused(self.world, path, errors, self.life), name, self.path(*path))

    # --- signals to readers --------------------------------------------------------------------------------------

    def signalled(self, chance):
        """Starts something and gives the worker, in the middle of it as a rule."""
        worker = getattr(self, chance.choice(["read", "open", "whole", "whole", "stat", "list"]))(chance)
        time.sleep(chance.random() ** 2 * 0.05)
        return worker

    def interrupt(self, chance):
        worker = self.signalled(chance)
        if worker is not None:
            worker.job.was_signalled = True
            worker.interrupt()

    def kill_reader(self, chance):
        worker = self.signalled(chance)
        if worker is not None:
            if not worker.end():
                raise Failure(f"the reader cannot be killed: {worker.job}")
            self.replace_worker(self.workers.index(worker))

    # --- what happens to the service -------------------------------------------------------------------------------

    def later(self, index, func):
        self.under_way.append((index, func))

    def set_fault(self, index, span, label, kind_faults, endpoints, scope, errors, memory, arguments):
        numbers = [self.emulator.fault(name, endpoints, **{**given, **arguments}) for name, given in kind_faults]
        allowances = [self.world.allow(scope, errors)]
        if label == "401":  # that new tokens are no better is remembered for whatever is asked for next
            allowances.append(self.world.allow((), {"EACCES"}))

        def end():
            for number in numbers:
                self.emulator.clear_faults(number)
            for allowance in allowances:
                self.world.end(allowance, memory)

        self.later(index + span, end)

    def fault(self, chance, index):
        kind = chance.choice(faults.KINDS)
        cabs = [cab for cab in self.world.cabs if cab.steady >= kind.steady and cab.application in kind.applications]
        cab = cabs[chance.randrange(len(cabs))]
        scope = cab.path[:kind.depth]
        arguments = {"path": cab.id if kind.depth == 3 else scope[-1]} if scope else {}
        if "count" not in kind.faults[0][1]:
            arguments |= chance.choice([{}, {}, {"count": chance.randrange(1, 6)},
                                        {"probability": 0.3, "seed": chance.randrange(1000)}])
        self.tell(f"  {kind}, {arguments}")
        self.set_fault(index, chance.randrange(5, 80), kind.label, kind.faults, kind.endpoints, scope, kind.errors,
                       kind.memory, arguments)
        if kind.operation == "token":  # what the login host refused is remembered by a process, for a minute
            self.later(index + 80, self.restart)

    def outage(self, chance, index):
        name, arguments = chance.choice([("drop", {}), ("drop", {"how": "reset"}), ("hold", {}),
                                         ("status", {"status": 503, "retryAfter": 0})])
        self.set_fault(index, chance.randrange(5, 40), name, [(name, arguments)], "*", (), {"EIO", "ETIMEDOUT"},
                       faults.FORGOTTEN_S, {})

    def revoke(self, _chance):
        """Twice within a minute is once too often: a new token that is not taken either is not replaced (E12)."""
        if self.revoked_in == self.life:
            self.world.end(self.world.allow((), {"EACCES"}), faults.REFUSED_S)
        self.revoked_in = self.life
        self.emulator.revoke_tokens()

    def replace(self, chance):
        changing = [cab for cab in self.world.cabs if not cab.steady and cab.gone == float("inf")]
        cab, size = changing[chance.randrange(len(changing))], chance.choice(SIZES)
        self.world.replace(cab, len(cab.versions[-1]) if chance.random() < 0.5 else size)

    def add(self, chance, life=None):
        application = chance.choice(list(APPLICATIONS))
        self.world.add(application, chance.choice(FAILURES[application]), chance.choice(SIZES), chance.random() < 0.5, life)

    def expire(self, chance):
        self.add(chance, chance.randrange(2, 6))

    def remove(self, chance):
        there = [cab for cab in self.world.cabs[2:] if cab.gone == float("inf")]
        self.world.remove(there[chance.randrange(len(there))])

    # --- what happens to the mount -------------------------------------------------------------------------------

    def pause(self, chance):
        time.sleep(chance.random() / 2)

    def full_disk(self, chance, index):
        """Somebody else fills the disk, and makes room again later."""
        if not self.has_disk:
            return
        filler = self.disk / f"filler-{index}"
        with open(filler, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(256 * KIB))
            except OSError:
                pass
        self.fillers.add(filler)
        self.unwritten = self.unwritten or time.time()
        self.later(index + chance.randrange(20, 120), lambda: self.empty_disk(filler))

    def empty_disk(self, filler):
        filler.unlink()
        self.fillers.remove(filler)

    def restart(self):
        self.collect_all()
        self.restart_workers()
        self.mount.unmount()
        if self.unwritten is not None:
            for lists in self.world.lists.values():
                lists.forget_order(self.unwritten)
        self.begin_life()
        self.world.calm()

    def remount(self, _chance):
        self.restart()

    def kill(self, _chance):
        self.mount.process.kill()
        self.mount.process.wait(60)
        for handle in self.handles.values():
            handle.alive = False
        self.collect_all(mount_died=True)
        self.restart_workers()
        self.mount.kill()
        self.mount.check_log()
        for lists in self.world.lists.values():
            lists.forget_order()
        self.begin_life()
        self.world.calm()

    def begin_life(self):
        self.life += 1
        self.unwritten = time.time() if self.fillers else None
        kept = self.directory / f"cabfs.log.{self.life}"
        self.mount.log_file.rename(kept)
        for old in range(self.life - 3):
            (self.directory / f"cabfs.log.{old}").unlink(missing_ok=True)
        self.mount.mount()

    # --- and in the end ------------------------------------------------------------------------------------------

    def settle(self, patience):
        """Nothing is wrong any more: within @patience seconds everything is as the service has it."""
        for _, end in self.under_way:
            end()
        self.under_way = []
        self.collect_all()
        if patience < faults.REFUSED_S:
            self.restart()
        self.restart_workers()
        self.world.forget()
        deadline = time.time() + patience
        for directory in self.world.lists:
            self.settle_list(directory, deadline)
        cabs = self.world.alive()
        for number in range(0, len(cabs), WORKERS):
            self.settle_cabs(cabs[number:number + WORKERS], deadline)
        within(10, lambda: self.on_disk() <= CACHE_SIZE + SLACK, "the cache stays above its limit")
        self.mount.check_log()
        if self.emulator.counters(cabs=False)["authorizationAtBlob"] != 0:
            raise Failure("a token reached a blob host")

    def settle_list(self, directory, deadline):
        def current():
            try:
                names = set(os.listdir(self.path(*directory)))
            except OSError:
                return False
            cabs = [cab for cab in self.world.cabs if cab.path[:2] == directory]
            needed = {cab.name for cab in cabs if cab.is_there(time.time())}
            possible = {cab.name for cab in cabs if cab.gone == float("inf")}
            return needed <= names <= possible

        within(max(5, deadline - time.time()), current, f"the list of {'/'.join(directory)} is right")

    def settle_cabs(self, cabs, deadline):
        deadline = max(deadline, time.time() + 5)
        while cabs:
            looks = [Settled(self.world, cab, self.life) for cab in cabs]
            for worker, look in zip(self.workers, looks):
                self.start(worker, look, "whole", self.path(*look.path), MIB)
            self.collect_all()
            cabs = [look.cab for look in looks if not look.is_right]
            late = [look for look in looks if not look.is_right and time.time() > deadline]
            if late:
                raise Failure(", ".join(f"{look}: still {look.error}" for look in late))
            if cabs:
                time.sleep(0.2)

    def on_disk(self):
        total = 0
        for place, _, files in os.walk(self.disk / "cache"):
            for name in files:
                try:
                    total += os.lstat(os.path.join(place, name)).st_blocks * 512
                except FileNotFoundError:
                    pass
        return total

    # --- one step ------------------------------------------------------------------------------------------------

    def step(self, index):
        for entry in [entry for entry in self.under_way if entry[0] <= index]:
            self.under_way.remove(entry)
            entry[1]()
        if index % SETTLE_EVERY == SETTLE_EVERY - 1:
            is_long = index % LONG_SETTLE_EVERY == LONG_SETTLE_EVERY - 1
            self.tell(f"{index} settle")
            self.settle(faults.REFUSED_S + 15 if is_long else 20)
            return
        chance = random.Random(f"{self.seed}/{index}")
        name = chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        self.tell(f"{index} {name}")
        self.counts[name] = self.counts.get(name, 0) + 1
        if name in ("fault", "outage", "full_disk"):
            getattr(self, name)(chance, index)
        else:
            getattr(self, "close_slot" if name == "close" else name)(chance)
        if self.mount.process.poll() is not None:
            raise Failure(f"cabfs ended with status {self.mount.process.returncode}")


class Closed(Stat):
    def check(self, value, now):
        return None


class Settled(Whole):
    """That fails is no mistake yet."""

    is_right, error = False, "nothing"

    def judge(self, kind, value, mount_died):
        if kind == "error":
            self.error = os.strerror(value)
            self.is_right = self.cab.may_be_gone(time.time())
            return None
        self.is_right = True
        return super().judge(kind, value, mount_died)
