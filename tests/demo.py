# SPDX-License-Identifier: MIT
"""demo.py BUILD [--check]: mounts the built-in data set of the test Partner Center; tests/demo runs this."""

import contextlib
import hashlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent / "mount"))
from emulator import Emulator  # noqa: E402

ACCOUNT = "contoso"
CONFIG = """# Made by tests/demo.
[{account}]
tenant = {tenant}
client-id = {client}
client-secret-file = {work}/secret
{products}
api-url = {api}
login-url = {login}
blob-hosts = {blob}
allow-http = yes
cache-dir = {work}/cache
"""


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Failed(Exception):
    """What is not as it should be."""


class Stopped(BaseException):
    """Ctrl-C and the like."""


def stop(number, _frame):
    raise Stopped(number)


def write_private(path, text):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def write_config(emulator, work):
    """The account's section and its secret; the path of the configuration."""
    settings = emulator.config()
    products = {}
    for application, family in {cab["application"]: cab["family"] for cab in emulator.cabs()}.items():
        products.setdefault("account-families" if application == family else family, []).append(application)
    write_private(work / "secret", settings["clientSecret"])
    write_private(work / "cabfs.conf", CONFIG.format(
        account=ACCOUNT, tenant=settings["tenant"], client=settings["clientId"], work=work,
        products="\n".join(f"{key} = {';'.join(ids)}" for key, ids in products.items()),
        api=emulator.api, login=emulator.login, blob=emulator.blob.removeprefix("http://")))
    return work / "cabfs.conf"


@contextlib.contextmanager
def mounted(cabfs, config, mountpoint):
    mountpoint.mkdir()
    try:
        result = subprocess.run([cabfs, "-c", config, ACCOUNT, mountpoint], check=False)
        if result.returncode != 0:
            raise Failed(f"cabfs did not mount: exit status {result.returncode}")
        yield
    finally:
        for number in SIGNALS:  # a second Ctrl-C must not leave the mount behind
            signal.signal(number, signal.SIG_IGN)
        if os.path.ismount(mountpoint) and subprocess.run(["fusermount3", "-u", mountpoint], check=False).returncode:
            subprocess.run(["fusermount3", "-u", "-z", mountpoint], check=True)


def path_of(mountpoint, cab):
    return mountpoint / cab["application"] / cab["failure"] / f"{cab['id']}.cab"


# --- without a person -------------------------------------------------------------------------------------------

def check(condition, text):
    if not condition:
        raise Failed(text)


def check_listing(emulator, mountpoint):
    by_failure = {}
    for cab in emulator.cabs():
        by_failure.setdefault((cab["application"], cab["failure"]), []).append(cab)
    products = sorted({application for application, _ in by_failure})
    check(sorted(os.listdir(mountpoint)) == products, f"the root lists {sorted(os.listdir(mountpoint))}, not {products}")
    for (application, failure), cabs in by_failure.items():
        folder = mountpoint / application / failure
        names = sorted(f"{cab['id']}.cab" for cab in cabs)
        check(sorted(os.listdir(folder)) == names, f"{folder} lists {sorted(os.listdir(folder))}, not {names}")
        check(failure in os.listdir(folder.parent), f"{folder} was opened, but its parent does not list it")
    return by_failure


def check_file(emulator, mountpoint, cab, copies):
    path = path_of(mountpoint, cab)
    status = os.stat(path)
    check(status.st_size == cab["size"], f"{path}: size {status.st_size}, not {cab['size']}")
    check(status.st_mtime == cab["date"], f"{path}: mtime {status.st_mtime}, not {cab['date']}")
    check(status.st_mode & 0o777 == 0o444, f"{path}: mode {status.st_mode:o}")
    data = (copies / path.relative_to(mountpoint)).read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    check(digest == emulator.sha256(cab["id"]), f"{path}: the copy has other bytes than the service")
    check(path.read_bytes() == data, f"{path}: read again, the bytes differ")
    check(os.getxattr(path, "user.cabfs.state") == b"cached", f"{path}: user.cabfs.state is not \"cached\"")
    if data[:4] == b"MSCF":
        result = subprocess.run(["cabextract", "-qt", path], capture_output=True, text=True, check=False)
        check(result.returncode == 0, f"{path}: cabextract: {result.stderr.strip()}")


def check_members(path):
    """The CAB, open, shows what another program finds in it."""
    place = pathlib.Path(f"{path}.d")
    listed = subprocess.run(["bsdtar", "-tf", path], capture_output=True, text=True, check=True).stdout.split()
    check(set(listed) <= set(os.listdir(place)), f"{place} lists {os.listdir(place)}, and the archive {listed}")
    for name in listed:
        data = subprocess.run(["bsdtar", "-xOf", path, name], capture_output=True, check=True).stdout
        check((place / name).read_bytes() == data, f"{place / name}: other bytes than bsdtar has")
    return len(listed)


def run_check(emulator, mountpoint, work):
    by_failure = check_listing(emulator, mountpoint)
    cabs = emulator.cabs()
    copies = work / "copies"
    result = subprocess.run(["cp", "-r", "--preserve=timestamps", mountpoint, copies], check=False)
    check(result.returncode == 0, "cp -r failed")
    for cab in cabs:
        check_file(emulator, mountpoint, cab, copies)
    archives = [path_of(mountpoint, cab) for cab in cabs if emulator.content(cab["id"], 0, 4)[:2] in (b"MS", b"PK")]
    members = sum(map(check_members, archives))
    check(members >= 2 * len(archives) > 0, f"{members} members in {len(archives)} archives")
    counters = emulator.counters()
    total = sum(cab["size"] for cab in cabs)
    check(counters["authorizationAtBlob"] == 0, "an Authorization header went to the blob host")
    check(counters["bytes"] <= total * 1.05, f"{counters['bytes']} bytes were fetched for {total}")
    with contextlib.suppress(FileNotFoundError):
        os.stat(mountpoint / "desktop.ini")
        raise Failed("desktop.ini is there")
    print(f"demo: {len(cabs)} CABs of {len(by_failure)} failures, {total / 1e6:.1f} MB: listed, copied, all bytes right; "
          f"{len(archives)} of them opened, {members} members right.")


# --- with one ---------------------------------------------------------------------------------------------------

TEXT = """
A Partner Center with {drivers} drivers, {desktop} desktop applications, a Store app, drivers for Windows 7 and 8, OEM
hardware, {failures} failures and {cabs} CABs is mounted at

    {mountpoint}

Try, in another terminal:

    ls -l {folder}
    getfattr -d {user}
    ls -l {kernel}.d
    {lldb} --batch -c {user}.d/minidump.mdmp -o bt 2>/dev/null
    cp -r {mountpoint} {work}/copy

Failures (a directory opens by name and is listed from then on):

{list}

Ctrl-C unmounts and removes it all.
"""


def explain(emulator, mountpoint, work):
    cabs = emulator.cabs()
    failures = {}
    for cab in cabs:
        failures.setdefault(mountpoint / cab["application"] / cab["failure"], []).append(cab)

    def first(member):
        for cab in cabs:
            path = path_of(mountpoint, cab)
            data = emulator.content(cab["id"], 0, 4096)
            if data[:4] == b"MSCF" and member in data:
                return path
        raise Failed(f"the data set has no cabinet with {member!r}")

    def number_of(family):
        return len({cab["application"] for cab in cabs if cab["family"] == family})

    print(TEXT.format(
        drivers=number_of("driver"), desktop=number_of("desktop"), failures=len(failures), cabs=len(cabs),
        mountpoint=mountpoint, work=work, user=first(b"minidump.mdmp"), kernel=first(b"sysdata.xml"),
        folder=next(iter(failures)), lldb=shutil.which("lldb-14") or "lldb",
        list="\n".join(f"    {path}  {len(group):3} CABs" for path, group in failures.items())), flush=True)
    with contextlib.suppress(Stopped):
        signal.pause()
    print()


def main():
    build, checking = pathlib.Path(sys.argv[1]), sys.argv[2:] == ["--check"]
    for number in SIGNALS:
        signal.signal(number, stop)
    with tempfile.TemporaryDirectory(prefix="cabfs-demo-") as folder, \
            Emulator(demo=True, program=build / "tests/emulator/cabfs-emulator") as emulator:
        work = pathlib.Path(folder)
        config = write_config(emulator, work)
        mountpoint = work / ACCOUNT
        with mounted(build / "fs/cabfs", config, mountpoint):
            (run_check if checking else explain)(emulator, mountpoint, work)


if __name__ == "__main__":
    try:
        main()
    except Failed as problem:
        sys.exit(f"demo: {problem}")
    except Stopped as stopped:
        sys.exit(128 + stopped.args[0])
