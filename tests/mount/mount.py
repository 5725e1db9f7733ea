# SPDX-License-Identifier: MIT
"""A real mount of cabfs on an emulated Partner Center, for tests.

    with Mount(emulator, directory, driver=[APP]) as mount:
        os.listdir(mount.path / APP)

Every mount has a directory of its own, is always taken away, and its log is searched: for findings of the sanitizers, for
secrets, and for words that a sound program does not say.
"""
import contextlib
import errno
import fcntl
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

PROGRAM = os.environ.get("CABFS", "build/fs/cabfs")
BUILD = Path(os.environ.get("CABFS_EMULATOR", "build/asan/tests/emulator/cabfs-emulator")).resolve().parents[2]

# What must not stand in any log: findings of sanitizers, failed assertions, and secrets.
ALARMS = re.compile(
    r"ERROR: (Address|Leak|Undefined|Thread)Sanitizer|WARNING: ThreadSanitizer|runtime error:|"
    r"(?<!client )assertion (?:failed|['`])|"  # not the login host's word for a proof
    r"sig=(?!REDACTED)[^&\s\"]|Bearer (?!REDACTED)\S|client_(?:secret|assertion)=(?!REDACTED)\S", re.I)


class MountError(Exception):
    """cabfs ended instead of mounting."""

    def __init__(self, status, log):
        super().__init__(f"cabfs ended with status {status}:\n{log}")
        self.status = status
        self.log = log


REFRESH = 0x4301  # CABFS_IOC_REFRESH of fs/ioctl.h


def is_mounted(path):
    return f" {path} " in Path("/proc/self/mounts").read_text()


class Mount:
    """Options are keys of the configuration with `_` for `-`; lists are joined by `;`, None leaves the default out."""

    def __init__(self, emulator, directory, *, secrets=(), environment=None, wrapper=(), arguments=(), **options):
        self.emulator = emulator
        self.directory = Path(directory)
        self.path = self.directory / "mnt"
        self.cache = self.directory / "cache"
        self.log_file = self.directory / "cabfs.log"
        self._config = emulator.config()
        self.secrets = [s for s in (*secrets, self._config["clientSecret"]) if s]
        self.environment = environment or {}
        self.wrapper = list(wrapper)
        self.arguments = list(arguments)
        self.options = options
        self.process = None
        self._log_from = 0
        self.path.mkdir(parents=True, exist_ok=True)

    # --- configuration -----------------------------------------------------------------------------------------

    def settings(self):
        if self.emulator.process is not None:  # else as it was
            self._config = self.emulator.config()
        config = self._config
        secret = self.directory / "secret"
        if not secret.exists():
            secret.touch(mode=0o600)
        secret.write_text(config["clientSecret"])
        host = self.emulator.blob.split("//")[1]
        settings = {
            "tenant": config["tenant"], "client-id": config["clientId"], "client-secret-file": str(secret),
            "api-url": self.emulator.api, "login-url": self.emulator.login, "allow-http": "yes",
            "blob-hosts": host, "cache-dir": str(self.cache), "timeout": "20",
        }
        for key, value in self.options.items():
            settings[key.replace("_", "-")] = value
        return {key: ";".join(value) if isinstance(value, (list, tuple)) else str(value)
                for key, value in settings.items() if value is not None}

    def write_config(self):
        path = self.directory / "cabfs.conf"
        lines = [f"{key} = {value}" for key, value in self.settings().items()]
        path.write_text("[test]\n" + "\n".join(lines) + "\n")
        return path

    # --- life --------------------------------------------------------------------------------------------------

    def __enter__(self):
        return self.mount()

    def __exit__(self, *exc):
        self.close()

    def mount(self):
        command = [*self.wrapper, PROGRAM, "-d", "-c", str(self.write_config()), *self.arguments, "test",
                   str(self.path)]
        self._log_from = self.log_file.stat().st_size if self.log_file.exists() else 0
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env={**os.environ, **self.environment})
        self.wait_log("is mounted at")
        return self

    def unmount(self):
        """As a user does it; the program must end by itself, with status 0 and a clean log."""
        subprocess.run(["fusermount3", "-u", str(self.path)], check=True, timeout=60)
        self.wait_end()

    def wait_end(self, timeout=60):
        """The program ends by itself, with status 0 and a clean log, and leaves nothing mounted."""
        status = self.process.wait(timeout)
        self.process = None
        self.check_log()
        assert status == 0, f"cabfs ended with status {status}:\n{self.log()[-4000:]}"
        deadline = time.monotonic() + 5  # what auto_unmount clears goes a little after the program
        while is_mounted(self.path):
            assert time.monotonic() < deadline, "the mount is still there"
            time.sleep(0.02)

    def kill(self):
        """kill -9, and the dead mount is taken away."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(60)
        self.process = None
        subprocess.run(["fusermount3", "-u", "-z", str(self.path)], stderr=subprocess.DEVNULL, timeout=60)

    def remount(self):
        self.unmount()
        return self.mount()

    def close(self):
        if self.process is not None and self.process.poll() is None:
            try:
                self.unmount()
            except (subprocess.SubprocessError, AssertionError):
                if self.process is not None:
                    self.kill()
                raise
        elif self.process is not None:
            status, self.process = self.process.returncode, None
            subprocess.run(["fusermount3", "-u", "-z", str(self.path)], stderr=subprocess.DEVNULL)
            raise MountError(status, self.log()[-4000:])
        self.check_log()

    # --- log ---------------------------------------------------------------------------------------------------

    def log(self):
        """What the latest process has written."""
        if not self.log_file.exists():
            return ""
        with open(self.log_file, "rb") as log:
            log.seek(self._log_from)
            return log.read().decode(errors="replace")

    def check_log(self):
        text = self.log_file.read_text(errors="replace")
        alarm = ALARMS.search(text)
        assert alarm is None, text[max(0, alarm.start() - 300):alarm.start() + 3000]
        for secret in self.secrets:
            assert secret not in text, "a secret is in the log"

    def wait_log(self, words, timeout=60):
        deadline = time.monotonic() + timeout
        while words not in self.log():
            if self.process.poll() is not None:
                status, self.process = self.process.returncode, None
                raise MountError(status, self.log())
            assert time.monotonic() < deadline, f"no {words!r} in the log:\n{self.log()[-2000:]}"
            time.sleep(0.02)  # a file cannot be waited for otherwise

    # --- what tests look at ------------------------------------------------------------------------------------

    def cab(self, cab):
        """The path of a CAB as the emulator lists it."""
        return self.path / cab["application"] / cab["failure"] / f"{cab['id']}.cab"

    def verify(self, cab, block=1 << 20):
        """Reads the whole CAB and compares it with the truth."""
        import hashlib
        sha = hashlib.sha256()
        size = 0
        with open(self.cab(cab), "rb", buffering=0) as file:
            while data := file.read(block):
                sha.update(data)
                size += len(data)
        assert (size, sha.hexdigest()) == (cab["size"], self.emulator.sha256(cab["id"])), self.cab(cab)


def xattrs(path):
    """user.cabfs.* of @path without the prefix, as text."""
    prefix = "user.cabfs."
    found = {}
    for name in os.listxattr(path):
        try:
            found[name] = os.getxattr(path, name).decode()
        except OSError as error:  # the last error was there, and something has gone well since
            if error.errno != errno.ENODATA:
                raise
    return {name[len(prefix):]: value for name, value in found.items() if name.startswith(prefix)}


class Reader(threading.Thread):
    """Runs a function in a thread and keeps what it returned, or the errno it failed with.  Whatever else it raises comes out
    of get()."""

    def __init__(self, func, *args):
        super().__init__(daemon=True)
        self.func, self.args = func, args
        self.result = self.error = self.raised = None
        self.start()

    def run(self):
        try:
            self.result = self.func(*self.args)
        except OSError as error:
            self.error = error.errno
        except BaseException as error:
            self.raised = error

    def get(self, timeout=60):
        self.join(timeout)
        assert not self.is_alive(), "still waiting"
        if self.raised is not None:
            raise self.raised
        return self.result

    def is_in_fuse(self):
        """Whether it sleeps until a file system in user space answers: the kernel says so."""
        try:
            return Path(f"/proc/self/task/{self.native_id}/wchan").read_text() == "request_wait_answer"
        except FileNotFoundError:
            return False


def wait_in_fuse(readers, timeout=30):
    """Waits until cabfs, and nothing else, keeps every one of @readers waiting."""
    deadline = time.monotonic() + timeout
    while not all(reader.is_in_fuse() for reader in readers):
        assert time.monotonic() < deadline, "the readers do not all wait"
        time.sleep(0.01)


def wait_until(true, what, timeout=30):
    """For what nobody announces: looks again and again until @true() is, and gives that."""
    deadline = time.monotonic() + timeout
    while not (value := true()):
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(0.02)
    return value


def within(seconds, true, what):
    """The same with a bound that matters."""
    return wait_until(true, what, seconds)


def is_let_go(cache, cab):
    """Whether no mount has the file of the CAB in this cache directory open; then its map says what is there."""
    path, = cache.glob(f"2*/{cab['id']}.cab")
    with open(path, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            return False


def errno_of(func, *args):
    """The name of the error that a call ends with; None if it does not fail."""
    try:
        func(*args)
    except OSError as error:
        return errno.errorcode[error.errno]
    return None


def read_at(path, off, length):
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.pread(fd, length, off)
    finally:
        os.close(fd)


@contextlib.contextmanager
def descriptor(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        yield fd
    finally:
        os.close(fd)


def refresh(path):
    """What @path stands in, or all for the mount point, is asked for again by who looks next."""
    with descriptor(path) as fd:
        fcntl.ioctl(fd, REFRESH)


def tool(name):
    """The path of a program that a test needs; without it the test fails: tests/install-packages brings it."""
    path = shutil.which(name)
    assert path is not None, f"{name} is not installed"
    return path


def need(what, *names):
    """Skips the test where one of the programs is not installed; fails it if CABFS_REQUIRE_<WHAT> is 1."""
    import pytest
    missing = [name for name in names if shutil.which(name) is None]
    if not missing:
        return
    reason = f"not installed: {', '.join(missing)}; tests/install-packages brings what is missing"
    if os.environ.get(f"CABFS_REQUIRE_{what.upper()}") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def stat_fields(place):
    """/proc/PID/stat behind the name: state, parent, group, session, …"""
    return (place / "stat").read_text().rpartition(")")[2].split()


def processes(belongs):
    """The numbers of processes for which @belongs("/proc/PID") is true; not of those that have ended."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if stat_fields(place)[0] not in "ZX" and belongs(place):
                found.append(int(place.name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


def end_processes(left, patience=5):
    """Ends those whose numbers @left() gives, until there are none: politely, and after @patience seconds by force."""
    begin, told = time.monotonic(), set()
    while pids := left():
        sign = signal.SIGTERM if time.monotonic() - begin < patience else signal.SIGKILL
        assert time.monotonic() - begin < patience + 30, f"they do not end: {pids}"
        for pid in pids:
            if (pid, sign) not in told:
                told.add((pid, sign))
                try:
                    os.kill(pid, sign)
                except ProcessLookupError:
                    pass
        time.sleep(0.02)
