# SPDX-License-Identifier: MIT
"""A desktop without a person, for tests: a screen that only exists in memory (Xvfb), a home directory of its own, and a
session bus for each program.

    with Desktop(directory) as desktop:
        desktop.start("thunar", place)
        window = desktop.wait_window("place")
        desktop.keys(window, "End")
        desktop.settle()
        desktop.screenshot(artefacts() / "thunar.png")

What its programs start in turn is found by a mark in the environment, and ended with them.
"""
import ctypes
import os
import struct
import subprocess
import time
import uuid
from pathlib import Path

from mount import BUILD, end_processes, processes, stat_fields, wait_until

SCREEN = "1024x768x24"
TICKS = os.sysconf("SC_CLK_TCK")


def artefacts():
    """Where what people may want to look at is kept: $CABFS_ARTEFACTS, else in the build directory."""
    place = Path(os.environ.get("CABFS_ARTEFACTS", BUILD / "artefacts"))
    place.mkdir(parents=True, exist_ok=True)
    return place


class Desktop:
    def __init__(self, directory):
        self.home = Path(directory) / "home"
        self.log_file = self.home / "desktop.log"
        self._mark = f"CABFS_TEST_DESKTOP={uuid.uuid4()}"
        self._screen = None
        self._programs = []
        self.environment = None

    # --- life --------------------------------------------------------------------------------------------------

    def __enter__(self):
        runtime = self.home / "run"
        runtime.mkdir(mode=0o700, parents=True)
        name, value = self._mark.split("=")
        environment = {**os.environ, "HOME": str(self.home), "XDG_RUNTIME_DIR": str(runtime), name: value,
                       "NO_AT_BRIDGE": "1", "GTK_A11Y": "none"}  # nobody is there to read the screen aloud
        for variable in ("DBUS_SESSION_BUS_ADDRESS", "WAYLAND_DISPLAY", "XDG_CONFIG_HOME", "XDG_CACHE_HOME",
                         "XDG_DATA_HOME", "LC_ALL", "LANGUAGE"):
            environment.pop(variable, None)
        number, told = os.pipe()
        try:
            with open(self.log_file, "ab") as log:
                self._screen = subprocess.Popen(
                    ["Xvfb", "-displayfd", str(told), "-screen", "0", SCREEN, "-nolisten", "tcp", "-noreset"],
                    pass_fds=[told], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        finally:
            os.close(told)
        with open(number, encoding="ascii") as line:
            display = line.readline().strip()
        assert display, f"Xvfb did not start:\n{self.log()}"
        self.environment = {**environment, "DISPLAY": f":{display}"}
        return self

    def __exit__(self, *exc):
        end_processes(self._pids)
        for process in (*self._programs, self._screen):
            process.wait(30)

    def _pids(self):
        """All that belong to this desktop and have not ended."""
        return processes(lambda place: self._mark.encode() in (place / "environ").read_bytes().split(b"\0"))

    def log(self):
        return self.log_file.read_text(errors="replace")

    # --- programs ----------------------------------------------------------------------------------------------

    def start(self, *command):
        """Starts a program of the desktop in a session of its own."""
        with open(self.log_file, "ab") as log:
            self._programs.append(subprocess.Popen(["dbus-run-session", "--", *map(str, command)], cwd=self.home,
                                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                   env=self.environment))
        return self._programs[-1]

    def run(self, *command, timeout=60):
        """Runs a program to its end; what it printed."""
        result = subprocess.run([*map(str, command)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                env=self.environment, timeout=timeout, check=False)
        return result.stdout if result.returncode == 0 else ""

    def busy(self):
        """Seconds of processor time that all programs have used, with those that have ended."""
        total = 0
        for pid in self._pids():
            try:
                total += sum(map(int, stat_fields(Path(f"/proc/{pid}"))[11:15]))
            except (FileNotFoundError, ProcessLookupError):
                continue
        return total / TICKS

    def settle(self, quiet=1.0, timeout=60):
        """Waits until the programs have done nothing to speak of for @quiet seconds: nothing else says that a desktop is
        through with what it does of itself."""
        deadline = time.monotonic() + timeout
        before, since = self.busy(), time.monotonic()
        while time.monotonic() - since < quiet:
            assert time.monotonic() < deadline, "the desktop does not come to rest"
            time.sleep(0.1)
            if abs((now := self.busy()) - before) > 0.02:
                before, since = now, time.monotonic()

    # --- windows -----------------------------------------------------------------------------------------------

    def wait_window(self, title, timeout=60):
        """Waits for a visible window with @title in its name; its number."""
        def find():
            return self.run("xdotool", "search", "--onlyvisible", "--name", title).split()
        return wait_until(find, f"a window called {title!r}; the desktop said:\n{self.log()[-2000:]}", timeout)[0]

    def title(self, window):
        return self.run("xdotool", "getwindowname", window).strip()

    def keys(self, window, *names):
        """Presses keys in @window."""
        assert self.run("xdotool", "windowfocus", "--sync", window, "getwindowfocus").strip()
        self.run("xdotool", "key", "--clearmodifiers", *names)

    def screenshot(self, path):
        """Saves the whole screen; it must not be empty."""
        self.run("import", "-window", "root", path)
        colours = int(self.run("identify", "-format", "%k", path))
        assert colours > 16, f"{path}: {colours} colours are no desktop"


class Watch:
    """What happens in a directory, as the kernel tells (inotify): who reads it, and which files in it are opened."""

    ACCESS, CLOSE_NOWRITE, OPEN, ISDIR = 0x1, 0x10, 0x20, 0x40000000

    def __init__(self, directory):
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert self.fd >= 0, os.strerror(ctypes.get_errno())
        watch = libc.inotify_add_watch(self.fd, os.fsencode(directory), self.ACCESS | self.CLOSE_NOWRITE | self.OPEN)
        assert watch >= 0, os.strerror(ctypes.get_errno())
        self._events = []  # (what, name); "" is the directory itself

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        os.close(self.fd)

    def events(self):
        while True:
            try:
                data = os.read(self.fd, 1 << 16)
            except BlockingIOError:
                return self._events
            while data:
                _, mask, _, length = struct.unpack_from("iIII", data)
                name = os.fsdecode(data[16:16 + length].rstrip(b"\0"))
                self._events.append((mask, name))
                data = data[16 + length:]

    def wait_listed(self):
        """Waits until somebody has opened the directory, read it, and closed it."""
        def listed():
            masks = [mask & ~self.ISDIR for mask, name in self.events() if name == "" and mask & self.ISDIR]
            return self.ACCESS in masks and self.CLOSE_NOWRITE in masks[masks.index(self.ACCESS):]
        wait_until(listed, "somebody lists the directory", 60)

    def opened(self):
        """Names of the files that were opened since the beginning."""
        return sorted({name for mask, name in self.events() if mask & self.OPEN and name})
