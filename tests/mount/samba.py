# SPDX-License-Identifier: MIT
"""A Samba server for tests: its own configuration, directories, passwords and port, and nothing of the system's.

    with Samba(directory, share_of_the_manual({"path": mount.path, ...})) as samba:
        samba.add_user("nobody")
        samba.client("nobody", "ls")
"""
import contextlib
import getpass
import os
import re
import secrets
import socket
import subprocess
from pathlib import Path

from mount import end_processes, processes, stat_fields, wait_until

MANUAL = Path(__file__).parents[2] / "man/cabfs-windbg.7"
SHARE = "cabs"
PLACES = ("private dir", "state directory", "cache directory", "lock directory", "pid directory", "ncalrpc dir",
          "binddns dir")
# It serves this machine, has no printers and asks no other servers.
SETTINGS = """\
[global]
   server role = standalone server
   bind interfaces only = yes
   interfaces = lo
   disable netbios = yes
   load printers = no
   printing = bsd
   printcap name = /dev/null
   disable spoolss = yes
   passdb backend = tdbsam
   log level = 1
"""


def share_of_the_manual(**changes):
    """The lines of cabfs-windbg(7) that make the share.  Those of which the manual says that they depend on the machine
    take what is in @changes, by their names with _ for blanks; None leaves a line out."""
    found = re.search(r'^\.\\" tests/mount/test_samba.py.*\n\.Bd .*\n((?:[^.].*\n)+)\.Ed$', MANUAL.read_text(), re.M)
    lines = found[1].splitlines()
    assert lines[0] == f"[{SHARE}]"
    for name, value in changes.items():
        name = name.replace("_", " ")
        [number] = [i for i, line in enumerate(lines) if line.startswith(f"   {name} = ")]
        lines[number] = f"   {name} = {value}" if value is not None else ""
    return "\n".join(lines) + "\n"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Samba:
    def __init__(self, directory, share):
        self.directory = Path(directory) / "samba"
        self.share = share
        self.config = self.directory / "smb.conf"
        self.log_file = self.directory / "smbd.log"
        self.port = free_port()
        self.passwords = {}
        self.process = None

    # --- life --------------------------------------------------------------------------------------------------

    def __enter__(self):
        lines = [f"   smb ports = {self.port}", f"   log file = {self.directory}/log.%m"]
        for name in PLACES:
            place = self.directory / name.replace(" ", "-")
            place.mkdir(parents=True)
            lines.append(f"   {name} = {place}")
        self.config.write_text(SETTINGS + "\n".join(lines) + "\n" + self.share)
        self.tool("testparm", "-s", self.config, config=False)
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(
                ["smbd", "--foreground", "--no-process-group", "--debug-stdout", "-s", str(self.config)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_until(self._answers, "the server answers")
        except AssertionError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc):
        session = str(self.process.pid)
        end_processes(lambda: processes(lambda place: stat_fields(place)[3] == session))
        self.process.wait(30)

    def _answers(self):
        assert self.process.poll() is None, f"smbd ended:\n{self.log()[-2000:]}"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def log(self):
        return self.log_file.read_text(errors="replace")

    # --- programs ----------------------------------------------------------------------------------------------

    def tool(self, *command, text=None, config=True):
        """Runs a program of Samba's to its end, on the configuration of this server; what it printed."""
        more = ["-s", str(self.config)] if config else []
        result = subprocess.run([command[0], *more, *map(str, command[1:])], input=text, capture_output=True,
                                encoding="utf-8", timeout=120, check=False)
        assert result.returncode == 0, f"{command}: {result.stdout}\n{result.stderr}"
        return result.stdout

    def add_user(self, name=None):
        """Gives a user of the system a password for the server; the name."""
        name = name or getpass.getuser()
        password = self.passwords[name] = secrets.token_hex(12)
        self.tool("pdbedit", "-a", "-t", "-u", name, text=f"{password}\n{password}\n")
        return name

    def client(self, user, commands, *options):
        """smbclient's status and what it said."""
        result = subprocess.run([*self._login(user), *options, "-c", commands], stdin=subprocess.DEVNULL,
                                capture_output=True, encoding="utf-8", timeout=120, check=False)
        return result.returncode, result.stdout + result.stderr

    def _login(self, user):
        login = self.directory / f"login.{user}"
        login.write_text(f"username = {user}\npassword = {self.passwords[user]}\n")
        return ["smbclient", f"//127.0.0.1/{SHARE}", "-s", str(self.config), "-p", str(self.port), "-A", str(login),
                "-t", "60"]

    @contextlib.contextmanager
    def connected(self, user, path):
        """A client that has listed the share and stays, so that the server stands in @path."""
        process = subprocess.Popen(self._login(user), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        try:
            process.stdin.write(b"ls\n")
            process.stdin.flush()
            wait_until(lambda: self.is_in(path), f"the server is in {path}")
            yield
        finally:
            process.stdin.close()
            process.wait(60)

    def run(self, user, commands, *options):
        """The same for what must succeed; what it said."""
        status, said = self.client(user, commands, *options)
        assert status == 0, f"{commands}: {said}\n{self.log()[-2000:]}"
        return said

    def refuses(self, user, commands, *options):
        """The same for what must fail; the name of the error."""
        said = self.client(user, commands, *options)[1]
        found = re.search(r"NT_STATUS_\w+", said)
        assert found, f"{commands}: {said}"
        return found[0]

    def is_in(self, path):
        """Whether the server stands in @path: it goes there for a client, and leaves with him."""
        return processes(lambda place: stat_fields(place)[3] == str(self.process.pid)
                         and os.readlink(place / "cwd") == str(path))
