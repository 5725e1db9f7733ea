# SPDX-License-Identifier: MIT
"""Those who mount: cabfs, httpdirfs, rclone, the least that FUSE can do; with what they cost."""
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

from mount import Mount, is_mounted
from servers import APP

MOUNT_LIMIT = 300  # seconds: httpdirfs mounts when it has asked for each file
TICKS = os.sysconf("SC_CLK_TCK")


class Timed(dict):
    """What a timed program printed, and the processor time that it took itself."""


def run(command):
    """Runs a program that prints one line of JSON."""
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True,
                               env={**os.environ, "LC_ALL": "C"})
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    if process.returncode != 0:
        raise RuntimeError(f"{command[0]} failed with status {process.returncode}")
    return Timed(json.loads(output), cpu=usage.ru_utime + usage.ru_stime)


class Mounted:
    """A contestant's mount; `path` is where it is mounted, `files` the directory with the files."""

    def __init__(self, servers, work, directory, far=False, tls=False):
        self.servers, self.directory, self.far, self.tls = servers, directory, far, tls
        self.work = Path(work)
        self.path = self.work / "mnt"
        self.cache = self.work / "cache"
        self.process = None
        self.mount_seconds = 0
        self.path.mkdir(parents=True, exist_ok=True)
        self.cache.mkdir(exist_ok=True)

    def __enter__(self):
        self.mount()
        return self

    def __exit__(self, *exc):
        self.close()

    def command(self):
        raise NotImplementedError

    @property
    def files(self):
        return self.path

    def file(self, index=0):
        return self.files / f"{self.servers.directory(self.directory, ())[index]}.cab"

    def mount(self):
        begun = time.monotonic()
        with open(self.work / "log", "ab") as log:
            self.process = subprocess.Popen([str(word) for word in self.command()], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, env={**os.environ, "HOME": str(self.work)})
        deadline = time.monotonic() + MOUNT_LIMIT
        while not is_mounted(self.path):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{type(self).__name__} does not mount:\n{(self.work / 'log').read_text()[-2000:]}")
            time.sleep(0.005)
        os.statvfs(self.path)  # answered once it serves
        self.mount_seconds = time.monotonic() - begun

    def unmount(self):
        deadline = time.monotonic() + 60
        while subprocess.run(["fusermount3", "-u", self.path], stderr=subprocess.DEVNULL).returncode != 0:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.path} cannot be unmounted")
            time.sleep(0.05)
        self.process.wait(60)
        self.process = None

    def remount(self):
        self.unmount()
        self.mount()

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.unmount()
        elif self.process is not None:  # it died, and its mount is still there
            subprocess.run(["fusermount3", "-u", "-z", self.path], stderr=subprocess.DEVNULL)
        shutil.rmtree(self.work)

    # --- what it costs -----------------------------------------------------------------------------------------------

    def cpu(self):
        """Seconds of processor time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self, name="VmRSS"):
        """MiB; VmHWM is the most there was."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) / 1024
        raise KeyError(name)


class Cabfs(Mounted):
    """`options` are keys of the configuration."""

    def __init__(self, *args, **options):
        self.options = options
        super().__init__(*args, **{key: options.pop(key) for key in ("far", "tls") if key in options})
        self.failure, self.cabs = self.servers.failure(self.directory, self.far, self.tls)

    @property
    def emulator(self):
        return self.servers.emulator

    def command(self):
        keys = {**self.servers.api(self.far), "blob_hosts": "127.0.0.1", "cache_size": 0, "cache_free": "1%",
                "log_level": "warning", "timeout": 60, **self.options}
        if self.tls:
            keys["ca_file"] = self.servers.ca_file
        config = Mount(self.emulator, self.work, driver=[APP], **keys).write_config()
        return [os.environ["CABFS"], "-f", "-c", config, "test", self.path]

    @property
    def files(self):
        return self.path / APP / self.failure

    def file(self, index=0):
        return self.files / f"{self.cabs[index]}.cab"


class Listed(Cabfs):
    """On an emulator of its own, with so many CABs of which nothing but the names is looked at."""

    FAILURE = "1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed"

    def __init__(self, servers, work, emulator):
        self.options = {"login_url": emulator.login, "api_url": emulator.api}
        self.listing, self.failure = emulator, self.FAILURE
        Mounted.__init__(self, servers, work, None)

    @property
    def emulator(self):
        return self.listing


class Rclone(Mounted):
    def command(self):
        return ["rclone", "mount", "--config", "/dev/null", "--read-only", "--vfs-cache-mode", "full", "--cache-dir",
                self.cache, "--ca-cert", self.servers.ca_file, "--http-url",
                f"{self.servers.base(self.far, self.tls)}/{self.directory}/", ":http:", self.path]


class Httpdirfs(Mounted):
    def command(self):
        config = self.work / "httpdirfs.conf"
        config.touch()
        return ["httpdirfs", "-f", "--no-range-check", "--config", config, "--cache", "--cache-location", self.cache,
                "--cacert", self.servers.ca_file, f"{self.servers.base(self.far, self.tls)}/{self.directory}/", self.path]


class Memfs(Mounted):
    """Of a size; no server, no cache."""

    def __init__(self, servers, work, size, *arguments):
        self.arguments = [f"--size={size}", *arguments]
        super().__init__(servers, work, None)

    def command(self):
        return [self.servers.program("memfs"), *self.arguments, self.path]

    def file(self, index=0):
        return self.path / "file"


MOUNTED = {"cabfs": Cabfs, "rclone": Rclone, "httpdirfs": Httpdirfs}
