# SPDX-License-Identifier: MIT
"""A mount that dies at any of its system calls, the machine that loses its power, and files of the cache that are not what
they were: the next mount starts, and every byte that it shows is right.

CABFS_CRASH_SECONDS is for how long test_long goes on, with a seed from the clock or CABFS_CRASH_SEED; without it there is
none."""
import os
import random
import time

import pytest

import crashes
from crashes import CALLS, MIB, Journal, Scene

# The how manieth call of a thread it is.
NUMBERS = (1, 1, 2, 2, 3, 4, 5, 7, 10, 20, 40, 80)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="fusermount3 has no rights under a user's strace")

SECONDS = os.environ.get("CABFS_CRASH_SECONDS")

OPTIONS = {"cache_size": 12 * MIB, "cache_free": 0}


def begin(emulator, mount, directory, chance):
    """A scene, and a mount that has lived on it before and is away."""
    scene = Scene(emulator, directory, chance)
    mounted = mount(**OPTIONS)
    if chance.random() < 0.7:
        for reader in scene.act(mounted):
            reader.get(60)
    mounted.unmount()
    return scene, mounted


def check(scene, mounted):
    """What the next one finds."""
    crashes.untraced(mounted)
    mounted.mount()
    scene.verify(mounted)
    mounted.unmount()


def die_at(scene, mounted, call, number):
    """Whether it got so far."""
    crashes.traced(mounted, "-o", "/dev/null", "-e", f"trace={call}", "-e",
                   f"inject={call}:signal=SIGKILL:when={number}")
    return crashes.live(mounted, scene, 20)


def lose_power(scene, mounted, directory, chance):
    """After how long it is killed, and how many files lost something."""
    log = directory / "strace"
    patience = chance.choice((0.05, 0.2, 0.5, 2, 20))
    for path in sorted(mounted.cache.glob("2*/*.cab")):
        if chance.random() < 0.8:  # so that there is something to be written, and lost
            path.unlink()
    before = crashes.maps(mounted.cache)
    crashes.traced(mounted, "-o", str(log), *Journal.OPTIONS)
    crashes.live(mounted, scene, patience)
    journal = Journal(mounted.cache)
    journal.read(log)
    return patience, crashes.cut_power(mounted.cache, journal, before, chance)


@needs_root
@pytest.mark.parametrize("calls", [CALLS[0::3], CALLS[1::3], CALLS[2::3]], ids=lambda calls: "-".join(calls))
def test_dies_at_a_call(emulator, mount, directory, calls):
    """A program that dies when it is about to make any of its calls does no harm. [K6]"""
    chance = random.Random(len(calls[0]))
    scene, mounted = begin(emulator, mount, directory, chance)
    died = 0
    for call in calls:
        for number in (1, 2, *chance.sample(NUMBERS, 2)):
            died += die_at(scene, mounted, call, number)
            print(call, number, died)
    check(scene, mounted)
    assert died >= len(calls) - 1, "the calls are made"
    mounted.mount()


@needs_root
def test_power_cut(emulator, mount, directory):
    """Bytes that were not brought to the disk, and names that were not, may be lost or not: no wrong byte is shown. [K6]"""
    chance = random.Random(4)
    scene, mounted = begin(emulator, mount, directory, chance)
    lost = 0
    for _ in range(10):
        patience, files = lose_power(scene, mounted, directory, chance)
        print("killed after", patience, "lost in", files)
        lost += files
        check(scene, mounted)
    assert lost > 0
    mounted.mount()


@pytest.mark.parametrize("seed", range(6))
def test_random_damage(emulator, mount, directory, seed):
    """Data, maps, lists, sizes and members that were cut, overwritten, exchanged or removed. [K7]"""
    chance = random.Random(seed)
    scene, mounted = begin(emulator, mount, directory, chance)
    for _ in range(4):
        print(crashes.damage(mounted.cache, chance))
        check(scene, mounted)
    mounted.mount()


if SECONDS is not None:

    @needs_root
    def test_long(emulator, mount, directory):
        """All of this, as long as there is time. [K6, K7]"""
        until = time.monotonic() + int(SECONDS)
        seed = int(os.environ.get("CABFS_CRASH_SEED", time.time_ns() % 10**9))
        print(f"CABFS_CRASH_SEED={seed}")
        chance = random.Random(seed)
        scene, mounted = begin(emulator, mount, directory, chance)
        rounds = 0
        while time.monotonic() < until or rounds == 0:
            what = chance.randrange(3)
            if what == 0:
                call, number = chance.choice(CALLS), chance.choice(NUMBERS)
                print("dies at", call, number, die_at(scene, mounted, call, number))
            elif what == 1:
                print("power", lose_power(scene, mounted, directory, chance))
            else:
                print("damage", crashes.damage(mounted.cache, chance))
            if chance.random() < 0.7:
                check(scene, mounted)
            rounds += 1
        check(scene, mounted)
        print(rounds, "rounds")
        mounted.mount()
