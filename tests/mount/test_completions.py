# SPDX-License-Identifier: MIT
"""The completions in real shells.  That they have every key and option, and no other, is for tests/make-completions."""
import os
import pty
import re
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest

from mount import need

COMPLETIONS = Path(__file__).resolve().parents[2] / "contrib/completions"

START = {
    "bash": ["bash --norc --noprofile -i", f"bind 'set show-all-if-ambiguous on'; . {COMPLETIONS}/cabfs.bash"],
    "zsh": ["zsh -f -i", f"fpath=({COMPLETIONS} $fpath); autoload -U compinit; compinit -u -D; unsetopt beep"],
}


class Shell:
    """An interactive shell on a terminal of its own."""

    def __init__(self, name, home):
        command, setup = START[name]
        self.text = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(home)
            environment = {"HOME": str(home), "PATH": os.environ["PATH"], "TERM": "dumb", "PS1": "$ ", "LC_ALL": "C.UTF-8"}
            os.execvpe(command.split()[0], command.split(), environment)
        self.send(f"{setup}; echo re''ady\r")
        self.expect("ready")

    def send(self, text):
        os.write(self.fd, text.encode())

    def expect(self, words, timeout=30):
        """Reads the screen until @words, a regular expression, are on it."""
        deadline = time.monotonic() + timeout
        while not (found := re.search(words, self.text)):
            ready, _, _ = select.select([self.fd], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"no {words!r} on the screen: {self.text!r}"
            self.text += os.read(self.fd, 4096).decode(errors="replace")
        self.text = self.text[found.end():]
        return found

    def complete(self, line, words):
        """Types @line and the tab key, and waits for @words; then the line is thrown away."""
        self.send(line + "\t")
        self.expect(words)
        self.send("\x15\r")

    def close(self):
        os.close(self.fd)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


@pytest.fixture
def home(directory):
    """With accounts contoso and fabrikam, and directories."""
    (directory / ".config/cabfs").mkdir(parents=True)
    (directory / ".config/cabfs/cabfs.conf").write_text("[contoso]\n# [none]\ndays = 3\n [fabrikam] \n")
    (directory / "other.conf").write_text("[northwind]\n")
    (directory / "mountpoint").mkdir()
    (directory / "movie").write_text("")
    return directory


@pytest.fixture(params=["bash", "zsh"])
def shell(request, home):
    need("shells", request.param)
    shell = Shell(request.param, home)
    yield shell
    shell.close()


@pytest.mark.parametrize("line, words", [
    ("cabfs --fore", "ground"),
    ("cabfs co", "ntoso"),
    ("cabfs -f fab", "rikam"),
    ("cabfs -c other.conf nor", "thwind"),
    ("cabfs -o days=3,members=hidden con", "toso"),
    ("cabfs contoso mo", "untpoint/"),
    ("cabfs -o cache-s", "ize="),
    ("cabfs -o members=vis", "ible"),
    ("cabfs -o days=3,members=vis", "ible"),
    ("cabfs -o days=3,allow_ot", "her"),
    ("cabfs --options=discover=y", "es"),
    ("cabfsctl che", "ck"),
    ("cabfsctl check con", "toso"),
    ("cabfsctl check -c other.conf nor", "thwind"),
    ("cabfsctl check -o members=vis", "ible"),
    ("cabfsctl purge --al", "l"),
    ("cabfsctl fetch --jo", "bs="),
    ("cabfsctl fetch mov", "ie"),
    ("cabfsctl status --wa", "tch"),
    ("cabfsctl status mo", "untpoint/"),
])
def test_shell(shell, line, words):
    shell.complete(line, re.escape(line) + r"[\x07\s]*" + words)


def test_choices(shell):
    """What could follow is shown."""
    shell.complete("cabfs -o log-level=", r"(?s)(?=.*error)(?=.*warning)(?=.*info)debug|debug.*warning")


@pytest.mark.parametrize("line, found", [
    ("cabfs --fore", ["--foreground"]),
    ("cabfs co", ["contoso"]),
    ("cabfs -f fab", ["fabrikam"]),
    ("cabfs -c other.conf nor", ["northwind"]),
    ("cabfs -o days=3 con", ["contoso"]),
    ("cabfs contoso mo", ["mountpoint/"]),
    ("cabfs -o cache-s", ["cache-size="]),
    ("cabfs -o members=", ["members=hidden", "members=off", "members=visible"]),
    ("cabfs -o days=3,members=vis", ["days=3,members=visible"]),
    ("cabfs -o days=3,allow_o", ["days=3,allow_other"]),
    ("cabfsctl pu", ["purge"]),
    ("cabfsctl purge con", ["contoso"]),
    ("cabfsctl purge --a", ["--all"]),
    ("cabfsctl check -c other.conf nor", ["northwind"]),
    ("cabfsctl fetch mov", ["movie"]),
    ("cabfsctl status mo", ["mountpoint/"]),
])
def test_fish(home, line, found):
    need("shells", "fish")
    result = subprocess.run(["fish", "--no-config", "-c", f"source {COMPLETIONS}/cabfs.fish; complete -C '{line}'"],
                            cwd=home, capture_output=True, text=True, timeout=60, check=True,
                            env={"HOME": str(home), "PATH": os.environ["PATH"]})
    assert result.stderr == ""
    offered = [row.split("\t")[0] for row in result.stdout.splitlines()]
    assert sorted(word for word in offered if word in found or word.startswith(line.split()[-1])) == found
