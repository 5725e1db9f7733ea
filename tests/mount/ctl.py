# SPDX-License-Identifier: MIT
"""cabfsctl for tests: run in a pipe, or at a terminal whose screen can be looked at.

    result = run("fetch", mount.path)                   # result.returncode, .stdout, .stderr
    with Terminal("fetch", mount.path) as terminal:
        terminal.wait(lambda screen: "45%" in screen)
        terminal.interrupt()
        assert terminal.end() == 130
"""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path

from mount import ALARMS, PROGRAM

CTL = os.environ.get("CABFSCTL", str(Path(PROGRAM).with_name("cabfsctl")))
QUIET = {"https_proxy": "", "HTTPS_PROXY": "", "all_proxy": "", "ALL_PROXY": "", "LC_ALL": "C.UTF-8"}


def check_text(text, secrets=()):
    """No finding of a sanitizer, and no secret."""
    alarm = ALARMS.search(text)
    assert alarm is None, text[max(0, alarm.start() - 300):alarm.start() + 3000]
    for secret in secrets:
        assert secret not in text, "a secret was printed"


def command_line(*arguments):
    return [CTL, *(word if isinstance(word, bytes) else str(word) for word in arguments)]


def run(*arguments, secrets=(), environment=None, wrapper=(), timeout=120):
    result = subprocess.run([*wrapper, *command_line(*arguments)], stdin=subprocess.DEVNULL, capture_output=True,
                            timeout=timeout, env={**os.environ, **QUIET, **(environment or {})})
    result.stdout = result.stdout.decode(errors="backslashreplace")
    result.stderr = result.stderr.decode(errors="backslashreplace")
    check_text(result.stdout + result.stderr, secrets)
    return result


def start(*arguments):
    """In a pipe, as it goes on."""
    return subprocess.Popen(command_line(*arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, env={**os.environ, **QUIET}, text=True)


class Screen:
    """As much of a terminal as cabfsctl uses; whatever else comes is an error."""

    def __init__(self, columns, rows):
        self.columns, self.rows = columns, rows
        self.lines, self.row, self.column = [""], 0, 0
        self.wrapped = 0  # lines that were too long
        self.rest = ""

    def write(self, text):
        text = self.rest + text
        at = 0
        while at < len(text):
            found = re.compile(r"\x1b\[(\d*)([AJK])|[\r\n]|[^\x00-\x1f\x7f]").match(text, at)
            if found is None:
                assert re.fullmatch(r"\x1b(\[\d*)?", text[at:]), repr(text[at:at + 20])
                break
            self.take(found)
            at = found.end()
        self.rest = text[at:]

    def take(self, found):
        number, order = found.groups()
        if order == "A":
            self.row = max(0, self.row - int(number or 1))
        elif order == "K":
            self.lines[self.row] = self.lines[self.row][:self.column]
        elif order == "J":
            self.lines[self.row] = self.lines[self.row][:self.column]
            del self.lines[self.row + 1:]
        elif found[0] == "\r":
            self.column = 0
        elif found[0] == "\n":
            self.down()
        else:
            self.put(found[0])

    def down(self):
        self.row += 1
        if self.row == len(self.lines):
            self.lines.append("")

    def put(self, character):
        if self.column == self.columns:
            self.wrapped += 1
            self.column = 0
            self.down()
        line = self.lines[self.row].ljust(self.column)
        self.lines[self.row] = line[:self.column] + character + line[self.column + 1:]
        self.column += 1

    def resize(self, columns):
        """What is too long now goes on below, as most terminals have it."""
        lines, row = [], 0
        for number, line in enumerate(self.lines):
            if number == self.row:
                row = len(lines)
            lines += [line[i:i + columns] for i in range(0, len(line), columns)] or [""]
        self.lines, self.row, self.columns = lines, row, columns

    def text(self):
        return "\n".join(self.lines)


class Terminal:
    def __init__(self, *arguments, columns=100, rows=24, environment=None):
        self.screen = Screen(columns, rows)
        self.all = ""
        self.status = None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            words = command_line(*arguments)
            os.execvpe(words[0], words, {**os.environ, **QUIET, "TERM": "xterm", **(environment or {})})

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def read(self, timeout):
        """FALSE at its end."""
        ready, _, _ = select.select([self.fd], [], [], timeout)
        if not ready:
            return True
        try:
            data = os.read(self.fd, 65536).decode(errors="replace")
        except OSError:
            return False
        self.all += data
        self.screen.write(data)
        return bool(data)

    def wait(self, true, timeout=60):
        """Until @true(text of the screen); a screen that is being drawn does not count."""
        deadline = time.monotonic() + timeout
        while not true(self.screen.text()) or select.select([self.fd], [], [], 0.05)[0]:
            assert time.monotonic() < deadline, f"in vain: {self.screen.text()!r}"
            assert self.read(0.1), f"it has ended: {self.screen.text()!r}"
        return self.screen.text()

    def resize(self, columns, rows=24):
        self.screen.resize(columns)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def interrupt(self):
        os.write(self.fd, b"\x03")

    def end(self, timeout=60):
        """Its exit status."""
        deadline = time.monotonic() + timeout
        while self.read(0.1):
            assert time.monotonic() < deadline, f"it does not end: {self.screen.text()!r}"
        self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        check_text(self.all)
        return self.status
