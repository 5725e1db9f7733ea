# SPDX-License-Identifier: MIT
"""What a mount has to show: the reference that the model test compares with.

It knows of every CAB the bytes of each version there ever was, of every directory each list there ever was, and which
errors the faults of each moment allow, and for what.  It knows nothing of caches, requests and times of its own.
"""
import dataclasses
import errno
import time


DRIVER, DESKTOP = "13984104677400476", "10238467886765136388"
APPLICATIONS = {DRIVER: "driver", DESKTOP: "desktop"}
FAILURES = {application: [f"1fd83f6d-9fe0-{family}-{number:012}" for number in range(3)]
            for application, family in ((DRIVER, "96ec-2c47"), (DESKTOP, "b482-dbcb"))}
KIB, MIB = 1 << 10, 1 << 20
SIZES = [0, 1, 4095, 4096, 65_537, 262_144, 262_145, 300_000, 700_001, MIB, 3 * MIB]
TTL = 1  # seconds of listing-ttl
CLOCK = 1.5  # seconds by which what happens "at" a time may be early or late: hosts count whole ones


@dataclasses.dataclass(eq=False)
class Cab:
    id: str
    application: str
    failure: str
    versions: list  # of bytes: all there ever were, the latest last
    steady: bool    # never replaced
    expires: float = float("inf")
    gone: float = float("inf")  # when it was removed

    @property
    def name(self):
        return f"{self.id}.cab"

    @property
    def path(self):
        return self.application, self.failure, self.name

    def may_be_gone(self, now):
        return now > min(self.expires - CLOCK, self.gone)

    def is_there(self, now):
        return not self.may_be_gone(now)


@dataclasses.dataclass(eq=False)
class Allowance:
    """From `begin` to `end` these errors may come of whatever lies at or below `scope`."""
    scope: tuple
    errors: frozenset
    begin: float
    end: float = float("inf")

    def holds(self, path, begin, end):
        return path[:len(self.scope)] == self.scope and begin <= self.end and end >= self.begin


class Lists:
    """What was listed in one directory, as long as it is known: states, of which a later look never shows an older."""

    def __init__(self):
        self.states = []
        self.floor = 0
        self.risen = []  # (time, floor)

    def add(self, names):
        self.states.append(frozenset(names))

    def forget_order(self, since=0):
        """A mount that was killed may go back to what it had on disk, or one that could not write @since."""
        self.risen = [(when, floor) for when, floor in self.risen if when < since - CLOCK]
        self.floor = max((floor for _, floor in self.risen), default=0)

    def forget_past(self):
        """Nobody has looked yet."""
        del self.states[:-1]

    def may_lack(self, name):
        """Also while it is remembered that the name was not there."""
        known = max((floor for when, floor in self.risen if when < time.time() - TTL - CLOCK), default=0)
        return any(name not in state for state in self.states[known:])

    def check(self, names, floor, optional):
        """Whether it is one of the states that may still be shown; @optional may be missing in any."""
        names = frozenset(names)
        fits = [number for number, state in enumerate(self.states)
                if number >= floor and names <= state and state - names <= optional]
        if fits:
            if fits[0] > self.floor:
                self.floor = fits[0]
                self.risen.append((time.time(), fits[0]))
        return bool(fits)


class World:
    def __init__(self, emulator):
        self.emulator = emulator
        self.cabs = []
        self.lists = {(application, failure): Lists() for application in APPLICATIONS for failure in FAILURES[application]}
        self.allowances = []
        self.seed = 0

    # --- what there is -------------------------------------------------------------------------------------------

    def add(self, application, failure, size, steady, life=None):
        self.seed += 1
        rule = {} if life is None else {"expires": int(time.time() + life)}
        identity, = self.emulator.add_cabs(application, failure, seed=self.seed, size=size,
                                           family=APPLICATIONS[application], **rule)
        cab = Cab(identity, application, failure, [self.emulator.content(identity)], steady,
                  rule.get("expires", float("inf")))
        self.cabs.append(cab)
        self.note(application, failure)
        return cab

    def replace(self, cab, size):
        self.seed += 1
        self.emulator.change_cab(cab.id, size=size, seed=self.seed)
        cab.versions.append(self.emulator.content(cab.id))

    def remove(self, cab):
        cab.gone = time.time()
        self.emulator.remove_cab(cab.id)
        self.note(cab.application, cab.failure)

    def note(self, application, failure):
        self.lists[application, failure].add(
            cab.name for cab in self.cabs if cab.path[:2] == (application, failure) and cab.gone == float("inf"))

    def alive(self, steady=None):
        now = time.time()
        return [cab for cab in self.cabs if cab.is_there(now) and steady in (None, cab.steady)]

    # --- what may go wrong ---------------------------------------------------------------------------------------

    def allow(self, scope, errors):
        allowance = Allowance(scope, frozenset(errors), time.time())
        self.allowances.append(allowance)
        return allowance

    def end(self, allowance, memory):
        """It is over but for what is remembered of it for @memory seconds."""
        allowance.end = time.time() + memory

    def errors(self, path, begin, end):
        found = set()
        for allowance in self.allowances:
            if allowance.holds(path, begin, end):
                found |= allowance.errors
        return found

    def forget(self):
        """What was over long ago."""
        now = time.time()
        self.allowances = [allowance for allowance in self.allowances if allowance.end > now - 120]

    def calm(self):
        """Whatever was remembered is forgotten: a new process."""
        now = time.time()
        for allowance in self.allowances:
            if allowance.end != float("inf"):
                allowance.end = min(allowance.end, now)


# --- looks -------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(eq=False)
class Handle:
    """An open file: all that is read from it is of one of `versions`, those it may be of."""
    cab: Cab
    versions: set
    alive: bool = True  # else its mount was killed

    def check_size(self, size):
        self.versions = {data for data in self.versions if len(data) == size}
        return bool(self.versions)

    def check(self, off, length, data):
        fits = {version for version in self.versions if version[off:off + length] == data}
        self.versions = fits or self.versions
        return bool(fits)


class Look:
    """Something a worker was told to do: what it was, and how to judge what came of it.  Errors are names."""

    #: errors that this may always end with
    usual = frozenset()

    def __init__(self, world, path, mount_life):
        self.world, self.path, self.mount_life = world, path, mount_life
        self.begin = time.time()
        self.was_signalled = False

    def __str__(self):
        return f"{type(self).__name__.lower()} {'/'.join(self.path)}"

    def judge(self, kind, value, mount_died):
        """None, or what is wrong."""
        now = time.time()
        if kind == "value":
            # fusermount3 takes a dead mount away, and what was below it is an empty directory
            return None if mount_died and value == [] and self.path == () else self.check(value, now)
        if kind == "interrupted":
            return None if self.was_signalled else "it was interrupted by nobody"
        if kind == "died":
            return None if self.may_die(value, mount_died, now) else f"the reader died of signal {value}"
        name = errno.errorcode[value]
        if mount_died and name in ("ENOTCONN", "ECONNABORTED", "EIO", "ENODEV", "EINTR", "ENOENT"):
            return None
        if self.was_signalled and name == "EINTR":
            return None
        allowed = self.errors(now)
        return None if name in allowed else f"{name}, and what may be is {sorted(allowed) or 'no error'}"

    def errors(self, now):
        return self.usual | self.world.errors(self.path, self.begin, now)

    def may_die(self, number, mount_died, now):
        return False

    def check(self, value, now):
        raise NotImplementedError


class CabLook(Look):
    """At a CAB."""

    def __init__(self, world, cab, mount_life):
        super().__init__(world, cab.path, mount_life)
        self.cab = cab
        self.is_unlisted = world.lists[cab.path[:2]].may_lack(cab.name)

    def errors(self, now):
        return super().errors(now) | ({"ENOENT"} if self.is_unlisted or self.cab.may_be_gone(now) else set())


class Stat(CabLook):
    def check(self, value, now):
        sizes = {len(version) for version in self.cab.versions}
        if "EACCES" in self.errors(now):
            sizes.add(0)  # what may not be had is shown without a size
        return None if value in sizes else f"the size is {value}, not {sorted(sizes)}"


class Attributes(CabLook):
    def check(self, value, now):
        state = value.get("user.cabfs.state")
        return None if state in (b"remote", b"partial", b"cached") else f"the state is {state}"


class Open(CabLook):
    def __init__(self, world, cab, mount_life):
        super().__init__(world, cab, mount_life)
        self.handle = Handle(cab, set())

    def check(self, value, now):
        self.handle.versions = set(self.cab.versions)
        return None if self.handle.check_size(value) else f"the size is {value}"


def describe(got, versions, off, length):
    """Where bytes differ from each version."""
    text = [f"{len(got)} bytes at {off} of {length}"]
    for number, version in enumerate(versions):
        want = version[off:off + length]
        at = next((i for i, pair in enumerate(zip(got, want)) if pair[0] != pair[1]), min(len(got), len(want)))
        text.append(f"version {number} ({len(version)} bytes) wants {len(want)}, first other byte {off + at}")
    return "wrong bytes: " + "; ".join(text)


class Read(CabLook):
    """From an open file."""

    def __init__(self, world, handle, off, length, mount_life):
        super().__init__(world, handle.cab, mount_life)
        self.handle, self.off, self.length = handle, off, length

    def __str__(self):
        return f"{super().__str__()} {self.off}+{self.length}"

    def errors(self, now):
        return super().errors(now) | ({"ESTALE"} if len(self.cab.versions) > 1 else set()) | (
            set() if self.handle.alive else {"ENOTCONN", "EIO", "ENODEV", "ECONNABORTED"})

    def check(self, value, now):
        if value is None or self.handle.check(self.off, self.length, value):
            return None
        # What went wrong behind some bytes ends a read early; the next one says with what.
        if value and (self.was_signalled or self.errors(now)) and self.handle.check(self.off, len(value), value):
            return None
        return describe(value, self.cab.versions, self.off, self.length)


class Map(Read):
    def may_die(self, number, mount_died, now):
        return number == 7 and (mount_died or bool(self.errors(now)))


class Whole(CabLook):
    def errors(self, now):
        return super().errors(now) | ({"ESTALE"} if len(self.cab.versions) > 1 else set())

    def check(self, value, now):
        size, data = value
        if any(version == data for version in self.cab.versions) and size == len(data):
            return None
        return f"it seems to have {size} bytes; " + describe(data, self.cab.versions, 0, len(data))


class List(Look):
    def __init__(self, world, path, mount_life):
        super().__init__(world, path, mount_life)
        self.floor = world.lists[path].floor if path in world.lists else 0

    def check(self, value, now):
        if self.path in self.world.lists:
            optional = {cab.name for cab in self.world.cabs if now > cab.expires - CLOCK}
            fits = self.world.lists[self.path].check(value, self.floor, optional)
        elif self.path and self.errors(now) & {"EACCES", "ENOENT"}:
            fits = set(value) <= set(FAILURES[self.path[0]])  # what was reached by name, where no list is to be had
        else:
            fits = value == sorted(FAILURES[self.path[0]] if self.path else APPLICATIONS)
        if fits:
            return None
        if self.path not in self.world.lists:
            return f"it shows {value}"
        lists, names = self.world.lists[self.path], set(value)
        return "; ".join(f"beside list {number} it has {sorted(names - state)} and lacks {sorted(state - names)}"
                         for number, state in list(enumerate(lists.states))[max(0, self.floor - 2):])


class Refused(Look):
    """What never succeeds, and with which errors it fails besides those of the faults."""

    def __init__(self, world, path, usual, mount_life):
        super().__init__(world, path, mount_life)
        self.usual = frozenset(usual)

    def check(self, value, now):
        return "it succeeded"
