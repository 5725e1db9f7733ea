# SPDX-License-Identifier: MIT
"""A machine that slept for hours: its connections are dead and nobody says so, and its clocks have jumped; and a wall
clock that somebody sets."""
import contextlib
import os
import struct
import time

import pytest

from conftest import APP, FAILURE, OTHER_FAILURE
from mount import BUILD, Mount, Reader, within
from relay import Relay

HOUR = 3600
MIB = 1 << 20
TIMEOUT = 8


class Machine:
    """A mount whose connections go through relays and whose clocks are in a file."""

    def __init__(self, emulator, directory, **options):
        self.emulator, self.stack = emulator, contextlib.ExitStack()
        ports = emulator.ports
        self.relays = {name: self.stack.enter_context(Relay(ports[name])) for name in ("login", "api", "blob")}
        emulator.fault("sas", ["batch", "desktop-cabdownload"], host=self.relays["blob"].name)
        self.clock = directory / "clock"
        self.clock.write_bytes(bytes(16))
        library = next((BUILD / "tests/mount").glob("*sleep-clock.so"))
        environment = {"LD_PRELOAD": str(library), "CABFS_TEST_CLOCK": str(self.clock),
                       "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}
        self.mount = Mount(emulator, directory, driver=[APP], environment=environment, timeout=TIMEOUT,
                           login_url=self.relays["login"].url, api_url=self.relays["api"].url,
                           blob_hosts=self.relays["blob"].name, **options)
        self.stack.enter_context(self.mount)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        return self.stack.__exit__(*exc)

    def move_clocks(self, slept=0, wall=0):
        with open(self.clock, "r+b") as file:
            file.write(struct.pack("qq", slept * 1_000_000, wall * 1_000_000))

    def sleep(self, hours):
        """As one that was closed and opened elsewhere: while it slept its connections were forgotten by all others."""
        for relay in self.relays.values():
            relay.go_black()
        self.move_clocks(slept=hours * HOUR)

    def lost(self):
        """Bytes that were sent to nobody."""
        return sum(relay.lost for relay in self.relays.values())


@pytest.fixture
def machine(emulator, directory):
    with contextlib.ExitStack() as stack:
        yield lambda **options: stack.enter_context(Machine(emulator, directory, **options))


def test_connections_are_not_trusted_after_sleep(emulator, machine):
    """After hours of sleep a new token, a new list and bytes come at once, over new connections: nothing is sent over
    those of before, which would only be silent. [E15]"""
    emulator.add_cabs(APP, FAILURE, count=3, size=MIB)
    emulator.add_cabs(APP, OTHER_FAILURE, size=MIB)
    cabs = emulator.cabs(APP, FAILURE)
    with machine() as box:
        box.mount.verify(cabs[0])
        assert emulator.requests("login") == 1
        box.sleep(hours=5)
        began = time.monotonic()
        box.mount.verify(cabs[1])
        assert len(os.listdir(box.mount.path / APP / OTHER_FAILURE)) == 1
        box.mount.verify(emulator.cabs(APP, OTHER_FAILURE)[0])
        assert time.monotonic() - began < TIMEOUT
        assert box.lost() == 0
        assert emulator.requests("login") == 2, "the token has run out in the sleep"
        assert "401" not in emulator.counters()["endpoints"]["batch"]["statuses"]


@pytest.mark.parametrize("endpoint", ["blob-get", "batch"])
def test_sleep_in_the_middle(emulator, machine, endpoint):
    """Who waited for an answer when the machine went to sleep gets it, over a new connection, soon after. [E15]"""
    emulator.add_cabs(APP, FAILURE, size=3 * MIB)
    cab, = emulator.cabs()
    with machine(read_ahead=0) as box:
        folder = box.mount.path / APP / FAILURE
        os.listdir(box.mount.path / APP)
        if endpoint == "blob-get":
            os.listdir(folder)
        fault = emulator.fault("stall" if endpoint == "blob-get" else "hold", endpoint, count=1,
                               **({"after": 1000} if endpoint == "blob-get" else {}))
        reader = Reader(box.mount.verify, cab)
        emulator.wait_held(1)
        box.sleep(hours=5)
        emulator.clear_faults(fault)
        began = time.monotonic()
        reader.get(3 * TIMEOUT)
        assert reader.error is None
        assert time.monotonic() - began < TIMEOUT
        assert len(os.listdir(folder)) == 1


def test_sleep_is_no_try(emulator, machine):
    """That the machine slept is no failure of anybody: it costs none of the tries that there are. [E15]"""
    emulator.add_cabs(APP, FAILURE)
    with machine(retries=1) as box:
        fault = emulator.fault("hold", "batch", count=1)
        reader = Reader(os.listdir, box.mount.path / APP / FAILURE)
        emulator.wait_held(1)
        box.sleep(hours=5)
        emulator.clear_faults(fault)
        assert len(reader.get(3 * TIMEOUT)) == 1


@pytest.mark.parametrize("hours", [5, -5])
def test_wall_clock_is_set(emulator, machine, hours):
    """A wall clock that jumps takes no token, no address and no list from anybody: those that are known are used, and
    new ones come as ever. [F2, E15]"""
    emulator.add_cabs(APP, FAILURE, count=4, size=MIB)
    cabs = emulator.cabs(APP, FAILURE)
    with machine(listing_ttl=1) as box:
        folder = box.mount.path / APP / FAILURE
        box.mount.verify(cabs[0])
        box.move_clocks(wall=hours * HOUR)
        box.mount.verify(cabs[1])
        fresh, = emulator.add_cabs(APP, FAILURE, seed=9, size=MIB)
        within(10, lambda: f"{fresh}.cab" in os.listdir(folder), "the new list does not come")
        for cab in emulator.cabs(APP, FAILURE):
            box.mount.verify(cab)
        assert emulator.requests("login") == 1
        box.move_clocks()
        another, = emulator.add_cabs(APP, FAILURE, seed=10, size=MIB)
        within(10, lambda: f"{another}.cab" in os.listdir(folder), "the new list does not come")
        for cab in emulator.cabs(APP, FAILURE):
            box.mount.verify(cab)
