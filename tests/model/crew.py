# SPDX-License-Identifier: MIT
"""Processes that look at a mount and can be interrupted and killed there.

A worker does one thing at a time and keeps a few files open, each in a slot.  Here, nobody waits for it: who gave it
something to do asks later what came of it.  Data goes back as it was read: it is compared by who knows the truth.
"""
import errno
import mmap
import multiprocessing
import multiprocessing.connection
import os
import signal
import time

PATIENCE = 60  # seconds for what must be over in a few; whoever takes longer hangs
PAGE = mmap.PAGESIZE


class Interrupted(Exception):
    """A signal came while the worker was in the middle of something."""


class Files:
    """What a worker can do; each returns what is to be compared."""

    def __init__(self):
        self.slots = {}

    def list(self, path):
        return sorted(os.listdir(path))

    def stat(self, path):
        return os.stat(path).st_size

    def attributes(self, path):
        found = {}
        for name in os.listxattr(path):
            try:
                found[name] = os.getxattr(path, name)
            except OSError as error:
                if error.errno != errno.ENODATA:  # what was told of the cache may have gone meanwhile
                    raise
        return found

    def open(self, slot, path):
        self.close(slot)
        self.slots[slot] = os.open(path, os.O_RDONLY)
        return os.fstat(self.slots[slot]).st_size

    def read(self, slot, off, length, past_cache):
        file = self.slots.get(slot)
        if file is None:
            return None
        if past_cache:
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        return os.pread(file, length, off)

    def map(self, slot, off, length):
        """As read(), by mmap; what cannot be read ends the process, by SIGBUS."""
        file = self.slots.get(slot)
        size = 0 if file is None else os.fstat(file).st_size
        if off >= size:
            return None if file is None else b""
        begin = off // PAGE * PAGE
        with mmap.mmap(file, min(size, off + length) - begin, access=mmap.ACCESS_READ, offset=begin) as window:
            return window[off - begin:]

    def whole(self, path, block):
        data = []
        with open(path, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            while piece := file.read(block):
                data.append(piece)
        return size, b"".join(data)

    def write(self, path):
        os.close(os.open(path, os.O_WRONLY))

    def create(self, path):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))

    def close(self, slot):
        file = self.slots.pop(slot, None)
        if file is not None:
            os.close(file)

    def close_all(self):
        for slot in list(self.slots):
            self.close(slot)


def serve(link):
    """A worker: (name, arguments) comes, (kind, value) goes, kind being "value", "error" (errno) or "interrupted"."""
    busy = False

    def interrupted(*_):
        if busy:
            raise Interrupted

    signal.signal(signal.SIGUSR1, interrupted)
    files = Files()
    while True:
        try:
            name, arguments = link.recv()
        except EOFError:
            return
        try:
            busy = True
            answer = "value", getattr(files, name)(*arguments)
            busy = False
        except OSError as error:
            busy = False
            answer = "error", error.errno
        except Interrupted:
            busy = False
            answer = "interrupted", None
        link.send(answer)


class Worker:
    """One process.  `job` is what it was given to do and has not told the end of; the caller's own."""

    def __init__(self):
        self.link, other = multiprocessing.Pipe()
        self.job = None
        self.since = 0.0
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # until the worker has its own handler
        self.pid = os.fork()
        if self.pid == 0:
            try:
                signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started all of this ends it, too
                keep = other.fileno()
                os.closerange(3, keep)
                os.closerange(keep + 1, 4096)
                serve(other)
            finally:
                os._exit(0)
        other.close()

    def start(self, job, name, *arguments):
        assert self.job is None
        self.job, self.since = job, time.monotonic()
        self.link.send((name, arguments))

    def interrupt(self):
        os.kill(self.pid, signal.SIGUSR1)

    def end(self, number=signal.SIGKILL):
        """Ends it; False if it does not end in time."""
        self.link.close()
        os.kill(self.pid, number)
        deadline = time.monotonic() + PATIENCE
        while os.waitpid(self.pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.002)
        return True

    def answer(self):
        """What came of the job: (kind, value), or "died" and the number of the signal."""
        try:
            return self.link.recv()
        except (EOFError, ConnectionResetError):
            status = os.waitpid(self.pid, 0)[1]
            self.link.close()
            return "died", os.waitstatus_to_exitcode(status) * -1


def wait(workers, timeout):
    """Those who have an answer, once one has."""
    links = {worker.link: worker for worker in workers}
    return [links[link] for link in multiprocessing.connection.wait(list(links), timeout)]
