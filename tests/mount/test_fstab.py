# SPDX-License-Identifier: MIT
"""fstab(5): mounting by mount(8) and its type fuse.cabfs, as root and as the user whom a line allows it, and what systemd
makes of a line."""
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import APP, FAILURE
from mount import PROGRAM, Mount, need, processes, wait_until

USER = 54321
OPTIONS = "_netdev,noauto,x-systemd.automount,user"
GENERATOR = Path("/usr/lib/systemd/system-generators/systemd-fstab-generator")

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root uses another fstab than the system's")


@pytest.fixture
def place(emulator, directory):
    """A home with a configuration, the program where every user can walk to it, and some CABs."""
    emulator.add_cabs(APP, FAILURE, count=2, size=1000)
    mount = Mount(emulator, directory, driver=[APP])
    directory.chmod(0o755)
    (directory / "bin").mkdir()
    shutil.copy(PROGRAM, directory / "bin/cabfs")
    (directory / ".config/cabfs").mkdir(parents=True)
    mount.write_config().rename(directory / ".config/cabfs/cabfs.conf")
    yield directory
    wait_until(lambda: not daemons(directory), "the mounts' programs end")


def daemons(place):
    return processes(lambda process: os.readlink(process / "exe") == str(place / "bin/cabfs"))


def run(place, script, *, home, **environment):
    """Runs @script in a mount namespace of its own, with the program where mount(8) finds it: it keeps PATH from helpers."""
    kept = {name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")}
    text = 'cd "$1"\nmount --bind bin /usr/local/bin\n' + script.format(app=APP, failure=FAILURE, user=USER)
    result = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-euc", text, "sh", place], capture_output=True, text=True,
        timeout=120, env={**kept, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": home, **environment})
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout.splitlines()


AS_ROOT = """
trap 'umount -l "$1/auto" "$1/mnt" 2>/dev/null' EXIT
mount -a -T fstab
findmnt -n -o FSTYPE "$1/auto"
! mountpoint -q "$1/mnt"
mount -T fstab "$1/mnt"
findmnt -n -o FSTYPE "$1/mnt"
mount -a -T fstab
findmnt "$1/auto" | grep -c fuse.cabfs
cd auto && ls {app}/{failure} && cd ..
cd mnt && ls {app}/{failure} && cd ..
umount "$1/mnt" "$1/auto"
trap - EXIT
! findmnt "$1/mnt" && ! findmnt "$1/auto"
"""


@needs_root
def test_mount_all(place):
    """`mount -a` mounts what is not noauto, and once; the rest is mounted by its mount point alone."""
    (place / "auto").mkdir()
    (place / "fstab").write_text(f"test {place}/mnt fuse.cabfs {OPTIONS} 0 0\n"
                                 f"test {place}/auto fuse.cabfs _netdev,nofail,allow_other,umask=027,log-level=info 0 0\n")
    first, second, times, *names = run(place, AS_ROOT, home="/root", XDG_CONFIG_HOME=f"{place}/.config")
    assert (first, second, times) == ("fuse.cabfs", "fuse.cabfs", "1")
    assert len(names) == 4 and all(name.endswith(".cab") for name in names)


AS_USER = """
mount --bind passwd /etc/passwd
mount --bind fstab /etc/fstab
user() {{ setpriv --reuid {user} --regid {user} --clear-groups -- "$@"; }}
user mount "$1/mnt"
trap 'umount -l "$1/mnt"' EXIT
findmnt -n -o FSTYPE,OPTIONS "$1/mnt"
user ls "$1/mnt/{app}/{failure}"
user umount "$1/mnt"
trap - EXIT
! findmnt "$1/mnt"
"""


@needs_root
def test_mount_as_user(place):
    """A line with `user`: they mount and unmount it, with their own configuration although mount(8) leaves root's HOME."""
    (place / "fstab").write_text(f"test {place}/mnt fuse.cabfs {OPTIONS} 0 0\n")
    (place / "passwd").write_text(Path("/etc/passwd").read_text() + f"anna:x:{USER}:{USER}::{place}:/bin/sh\n")
    subprocess.run(["chown", "-R", f"{USER}:{USER}", place], check=True)
    mounted, *names = run(place, AS_USER, home="/root")
    assert mounted.startswith("fuse.cabfs ")
    assert {f"user_id={USER}", "ro", "nosuid", "nodev", "noexec"} <= set(mounted.split()[1].split(","))
    assert len(names) == 2 and all(name.endswith(".cab") for name in names)


def test_systemd(directory):
    """systemd makes an automount of the line, waits for the network, and has no complaint of what it made."""
    need("systemd", str(GENERATOR), "systemd-analyze")
    (directory / "fstab").write_text(f"contoso {directory}/mnt fuse.cabfs {OPTIONS} 0 0\n")
    units = directory / "units"
    units.mkdir()
    subprocess.run([GENERATOR, units, units, units], check=True, timeout=60,
                   env={**os.environ, "SYSTEMD_FSTAB": str(directory / "fstab")})
    name = subprocess.run(["systemd-escape", "--path", directory / "mnt"], capture_output=True, text=True,
                          check=True).stdout.strip()
    mount = (units / f"{name}.mount").read_text()
    assert "Type=fuse.cabfs\n" in mount and "What=contoso\n" in mount
    assert f"Where={directory}/mnt\n" in (units / f"{name}.automount").read_text()
    assert (units / f"remote-fs.target.requires/{name}.automount").is_symlink()
    result = subprocess.run(["systemd-analyze", "--man=no", "verify", units / f"{name}.automount"], capture_output=True,
                            text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")
