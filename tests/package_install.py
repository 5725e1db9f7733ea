# SPDX-License-Identifier: MIT
"""package_install.py TREE DEB: installs the package in TREE, a clean Debian, mounts the sample service there, and purges it.

As root, and in a mount namespace of its own, whose end takes all mounts away; tests/package runs this.
"""

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys

from demo import ACCOUNT, Failed, Emulator, check, path_of, run_check, write_config, write_private

USER = "anna"
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8",
               **{name: value for name, value in os.environ.items() if name.endswith("_proxy")}}

# What changes without being anybody's: logs, lists and caches of apt and dpkg, and what the test itself puts there.
PASSING = ("var/log/", "var/lib/dpkg/", "var/lib/apt/", "var/cache/", "tmp/", "run/", "proc/", "dev/")


class Tree:
    """A Debian to change root into."""

    def __init__(self, root):
        self.root = root
        subprocess.run(["mount", "-t", "proc", "proc", root / "proc"], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", root / "tmp"], check=True)
        device = root / "dev/fuse"
        if not device.exists():
            subprocess.run(["mknod", "-m", "0666", device, "c", "10", "229"], check=True)
        device.chmod(0o666)
        mtab = root / "etc/mtab"  # which the first start of a system makes, and fusermount3 wants of users
        if not mtab.is_symlink():
            mtab.symlink_to("../proc/self/mounts")
        shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")

    def run(self, *command, user=None, fails=False):
        """Runs a command inside and gives what it wrote."""
        switch = ["runuser", "-u", user, "--"] if user else []
        environment = {**ENVIRONMENT, "HOME": f"/home/{user}"} if user else ENVIRONMENT
        result = subprocess.run(["chroot", self.root, *switch, *command], env=environment, stdin=subprocess.DEVNULL, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600, check=False)
        check((result.returncode != 0) == fails, f"{' '.join(map(str, command))}: {result.stdout}")
        return result.stdout

    def files(self):
        """What is in it, but for what passes."""
        names = subprocess.run(["find", self.root, "-xdev", "-printf", "%P\\n"], capture_output=True, text=True, check=True)
        return {name for name in names.stdout.splitlines() if not (name + "/").startswith(PASSING)}


def install(tree, package):
    """Once with all it depends on, and then by itself: gives what was there before."""
    shutil.copy(package, tree.root / "tmp/cabfs.deb")
    tree.run("useradd", "-m", USER)
    tree.run("apt-get", "-y", "update")
    tree.run("apt-get", "-y", "--no-install-recommends", "install", "/tmp/cabfs.deb")
    tree.run("dpkg", "--purge", "cabfs")
    before = tree.files()
    tree.run("dpkg", "-i", "/tmp/cabfs.deb")
    return before


@contextlib.contextmanager
def mounted(tree, mountpoint, *command, user=None):
    tree.run(*command, user=user)
    try:
        yield
    finally:
        tree.run("fusermount3", "-u", mountpoint, user=user)


def check_as_root(tree, emulator, work):
    """By mount(8) and its type alone: every file of the sample."""
    inside = "/" + str(work.relative_to(tree.root))
    config = write_config(emulator, work)
    text = config.read_text().replace(str(work), inside)
    config.write_text(text)
    (work / ACCOUNT).mkdir()
    command = ["mount", "-t", "fuse.cabfs", ACCOUNT, f"{inside}/{ACCOUNT}", "-o", "allow_other"]
    (tree.root / "etc/cabfs").mkdir()
    (tree.root / "etc/cabfs/cabfs.conf").write_text(text)
    with mounted(tree, f"{inside}/{ACCOUNT}", *command):
        run_check(emulator, work / ACCOUNT, work)
    shutil.rmtree(tree.root / "etc/cabfs")
    return text


def check_as_user(tree, emulator, text):
    """A user with a configuration of their own, who reads a CAB and what is in it."""
    home = tree.root / "home" / USER
    folder = home / ".config/cabfs"
    folder.mkdir(parents=True)
    lines = [line for line in text.splitlines() if not line.startswith(("client-secret-file", "cache-dir"))]
    (folder / "cabfs.conf").write_text("\n".join([*lines, "client-secret-file = secret"]) + "\n")
    write_private(folder / "secret", emulator.config()["clientSecret"])
    (home / "cabs").mkdir()
    tree.run("chown", "-R", f"{USER}:", f"/home/{USER}")
    inside = pathlib.Path("/home", USER, "cabs")
    found = tree.run("cabfsctl", "check", ACCOUNT, user=USER)
    check("can be read" in found, found)
    with mounted(tree, inside, "cabfs", ACCOUNT, inside, user=USER):
        members = 0
        for cab in emulator.cabs():
            path = path_of(inside, cab)
            listed = tree.run("ls", f"{path}.d", user=USER).split()
            if "minidump.mdmp" in listed:
                dump = tree.run("head", "-c", "4", f"{path}.d/minidump.mdmp", user=USER)
                check(dump == "MDMP", f"{path}.d/minidump.mdmp begins with {dump!r}")
                members += 1
        tree.run("cabfsctl", "fetch", inside, user=USER)
        state = tree.run("cabfsctl", "status", inside, user=USER)
        check(state.startswith(f"{ACCOUNT}: cabfs "), state)
        check(members > 0, "no CAB of the sample shows a minidump: cabfs-unpack does not work where it is installed")


def check_purged(tree, before):
    """Nothing is left but what the user owns."""
    tree.run("dpkg", "--purge", "cabfs")
    left = {name for name in tree.files() - before if not name.startswith(f"home/{USER}/")}
    check(not left, f"left after purge: {sorted(left)}")
    check((tree.root / "home" / USER / ".cache/cabfs" / ACCOUNT).is_dir(), "the user's cache is gone")
    tree.run("cabfs", "--version", fails=True)


def main():
    tree = Tree(pathlib.Path(sys.argv[1]).resolve())
    before = install(tree, sys.argv[2])
    check(tree.run("cabfs", "--version").startswith("cabfs "), "no version")
    work = tree.root / "tmp/sample"
    work.mkdir()
    with Emulator(demo=True) as emulator:
        text = check_as_root(tree, emulator, work)
        check_as_user(tree, emulator, text)
    check_purged(tree, before)


if __name__ == "__main__":
    try:
        main()
    except Failed as problem:
        sys.exit(f"package_install: {problem}")
