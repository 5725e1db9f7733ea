# SPDX-License-Identifier: MIT
"""The kernel reads CABs that are whole in the cache without us, as root; all others we read, and the two never meet."""
import errno
import mmap
import os
import subprocess

import pytest

from conftest import APP, FAILURE
from mount import PROGRAM, errno_of, read_at, within, xattrs

MIB = 1 << 20
SIZE = 24 * MIB

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts so")


@pytest.fixture
def cab(emulator):
    emulator.add_cabs(APP, FAILURE, size=SIZE)
    return emulator.cabs(APP, FAILURE)[0]


def read_by_us(mounted):
    """Bytes that the program has read so far, from its cache and from the kernel's requests."""
    with open(f"/proc/{mounted.process.pid}/io", encoding="ascii") as counters:
        return int(dict(line.split(": ") for line in counters)["rchar"])


def is_cached(mounted, cab):
    return xattrs(mounted.cab(cab))["state"] == "cached"


def fill(mounted, cab):
    """Brings the CAB into the cache, and mounts anew: with nothing in the kernel's page cache."""
    mounted.verify(cab)
    within(20, lambda: is_cached(mounted, cab), "all of it is in the cache")
    mounted.remount()


def test_kernel_reads_cached_cab(emulator, mount, cab):
    mounted = mount()
    fill(mounted, cab)
    before = read_by_us(mounted)
    mounted.verify(cab)
    with open(mounted.cab(cab), "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as view:
        assert view[SIZE // 2:SIZE // 2 + 100] == emulator.content(cab["id"], SIZE // 2, 100)
        assert len(file.read()) == SIZE
    assert read_by_us(mounted) - before < MIB, "its bytes went through us"


def test_all_opens_of_a_cab_agree(emulator, mount, cab):
    """Who opened it before all was here is read by us as long as anybody has it open; then the kernel takes over."""
    mounted = mount()
    early = os.open(mounted.cab(cab), os.O_RDONLY)
    os.pread(early, 4096, 0)
    mounted.verify(cab)
    within(20, lambda: is_cached(mounted, cab), "all of it is in the cache")
    late = os.open(mounted.cab(cab), os.O_RDONLY)
    os.close(early)
    later = os.open(mounted.cab(cab), os.O_RDONLY)
    for fd in (late, later):
        assert os.pread(fd, 4096, SIZE - 4096) == emulator.content(cab["id"], SIZE - 4096, 4096)
        os.close(fd)

    def kernel_takes_over():  # the last close is told to us a little later
        before = read_by_us(mounted)
        mounted.verify(cab)
        return read_by_us(mounted) - before < MIB
    within(20, kernel_takes_over, "the kernel reads it")


def test_replaced_while_the_kernel_reads(emulator, mount, cab):
    """Who has the old bytes open keeps them; the new ones are to be had once he has closed. [B5]"""
    mounted = mount(listing_ttl="1")
    fill(mounted, cab)
    old = emulator.content(cab["id"], 0, 4096)
    fd = os.open(mounted.cab(cab), os.O_RDONLY)
    assert os.pread(fd, 4096, 0) == old
    emulator.change_cab(cab["id"], seed=99, expires=cab["expires"] + 86400)
    new = emulator.content(cab["id"], 0, 4096)
    within(20, lambda: os.listdir(mounted.cab(cab).parent) and
           errno_of(read_at, mounted.cab(cab), 0, 4096) == errno.errorcode[errno.ESTALE], "the new list is here")
    assert os.pread(fd, 4096, SIZE - 4096) != emulator.content(cab["id"], SIZE - 4096, 4096), "mixed bytes"
    assert os.pread(fd, 4096, 0) == old
    os.close(fd)
    within(20, lambda: errno_of(read_at, mounted.cab(cab), 0, 4096) is None, "the old one is closed")
    assert read_at(mounted.cab(cab), 0, 4096) == new


def test_cache_on_an_overlay(mount, cab, directory):
    """The kernel stacks no file systems on stacked ones; we read then."""
    for name in ("lower", "upper", "work", "cache"):
        (directory / name).mkdir()
    layers = f"lowerdir={directory}/lower,upperdir={directory}/upper,workdir={directory}/work"
    made = subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, str(directory / "cache")],
                          capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip(f"no overlay here: {made.stderr.strip()}")
    try:
        mounted = mount()
        fill(mounted, cab)
        before = read_by_us(mounted)
        mounted.verify(cab)
        assert read_by_us(mounted) - before >= SIZE
        assert "does not read files of the cache itself" in mounted.log()
        mounted.unmount()
    finally:
        subprocess.run(["umount", str(directory / "cache")], check=True)


def test_ordinary_user(emulator, mount, cab, directory):
    """Without root the kernel lets nobody do it: all is as it was."""
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    if subprocess.run([*user, "test", "-x", PROGRAM, "-a", "-w", "/dev/fuse"]).returncode != 0:
        pytest.skip("the program or /dev/fuse is out of an ordinary user's reach")
    secret = directory / "secret"
    secret.write_text(emulator.config()["clientSecret"])
    secret.chmod(0o600)
    (directory / "mnt").mkdir()
    for path in (directory, directory / "mnt", secret):
        os.chown(path, 65534, 65534)
    mounted = mount(wrapper=user)
    subprocess.run([*user, "cmp", mounted.cab(cab), "-"], input=emulator.content(cab["id"]), check=True)
    mounted.remount()
    before = read_by_us(mounted)
    subprocess.run([*user, "cmp", mounted.cab(cab), "-"], input=emulator.content(cab["id"]), check=True)
    assert read_by_us(mounted) - before >= SIZE
