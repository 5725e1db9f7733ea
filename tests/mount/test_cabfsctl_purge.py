# SPDX-License-Identifier: MIT
"""`cabfsctl purge`: what goes, what stays, and what is refused."""
import os
import re
import time

import pytest

from archives import make, opened, serve
from conftest import APP, FAILURE
from ctl import run
from mount import Mount, read_at, wait_until, xattrs

SIZE = 100_000
DAY = 86400


def purge(mounted, *arguments):
    return run("purge", "test", "-c", mounted.directory / "cabfs.conf", *arguments)


def files(mounted, suffix):
    return sorted(mounted.cache.glob("*/*" + suffix))


def age(mounted, days, id="*"):
    """As if the CABs had been fetched so long ago."""
    for path in mounted.cache.glob(f"*/{id}.map"):
        os.utime(path, (time.time() - days * DAY,) * 2)


@pytest.fixture
def cached(emulator, mount):
    """A mount that has three CABs in its cache."""
    emulator.add_cabs(APP, FAILURE, count=3, size=SIZE)
    mounted = mount()
    assert run("fetch", mounted.path).returncode == 0
    wait_until(lambda: len(files(mounted, ".map")) == 3, "maps on disk")
    return mounted


def test_all(emulator, cached):
    """Everything goes, beside the mount that uses it, and can be had again."""
    listings = list((cached.cache / "listings").rglob("*"))
    assert any(path.is_file() for path in listings)
    result = purge(cached, "--all")
    assert (result.returncode, result.stderr) == (0, "")
    assert re.fullmatch(rf"{cached.cache}: removed 3 CABs, \d+ lists: \d+\.\d KiB freed\n", result.stdout)
    assert sorted(path.name for path in cached.cache.iterdir()) == ["lock", "version"]
    assert {xattrs(cached.cab(cab))["state"] for cab in emulator.cabs()} == {"remote"}
    for cab in emulator.cabs():
        cached.verify(cab)
    assert purge(cached, "--all").returncode == 0


def test_bytes(cached):
    """What is told to be freed is what the disk gets back."""
    blocks = sum(path.stat().st_blocks * 512 for path in cached.cache.glob("*/*.cab"))
    lists = sum(path.stat().st_blocks * 512 for path in (cached.cache / "listings").rglob("*") if path.is_file())
    result = purge(cached, "--all")
    assert f"{(blocks + lists) / 1024:.1f} KiB freed" in result.stdout


@pytest.mark.parametrize("arguments", [(), ("--expired",)])
def test_expired(emulator, cached, arguments):
    """Without a word only what is over goes: expired, or kept for as long as `keep`."""
    result = purge(cached, *arguments)
    assert result.returncode == 0
    assert "nothing to remove" in result.stdout and "3 left because they have not expired: --all" in result.stdout
    assert len(files(cached, ".cab")) == 3
    old = emulator.cabs()[0]["id"]
    age(cached, 31, old)
    result = purge(cached, *arguments)
    assert "removed 1 CAB: " in result.stdout and "2 left" in result.stdout
    assert old not in [path.stem for path in files(cached, ".cab")]
    assert len(files(cached, ".cab")) == len(files(cached, ".map")) == 2
    assert any((cached.cache / "listings").rglob("*")), "lists are for --all"


def test_keep_of_the_command_line(cached):
    age(cached, 2)
    assert "removed 3 CABs" in purge(cached, "-o", "keep=1d").stdout


def test_open_elsewhere(emulator, cached):
    """What a program has open in the mount is left, and said so; it reads on."""
    first, *_ = emulator.cabs()
    with open(cached.cab(first), "rb") as file:
        file.read(10)
        age(cached, 31)
        result = purge(cached, "--all")
        assert result.returncode == 0
        assert "removed 2 CABs" in result.stdout
        assert "1 left because another program has it open" in result.stdout
        assert [path.stem for path in files(cached, ".cab")] == [first["id"]]
        assert len(file.read()) == SIZE - 10
    wait_until(lambda: "removed 1 CAB" in purge(cached, "--all").stdout, "the mount lets go of it")
    assert files(cached, ".cab") == []


def test_download_under_way(emulator, mount):
    emulator.add_cabs(APP, FAILURE, count=1, size=4 << 20)
    cab, = emulator.cabs()
    mounted = mount(read_ahead="1M")
    with open(mounted.cab(cab), "rb", buffering=0) as file:
        file.read(4096)
        assert "1 left because another program" in purge(mounted, "--all").stdout
        while file.read(1 << 20):
            pass
    mounted.verify(cab)


def test_members(emulator, mount, directory):
    cab = serve(emulator, directory, make.mszip_cab())
    mounted = mount()
    member = max((path for path in opened(mounted, cab).iterdir() if path.is_file()), key=os.path.getsize)
    data = member.read_bytes()
    wait_until(lambda: files(mounted, ".member-map"), "the member is kept")
    wait_until(lambda: "1 CAB, 1 member" in purge(mounted, "--all").stdout, "nobody has them open")
    assert files(mounted, "") == []
    assert member.read_bytes() == data


def test_not_a_cache(emulator, directory):
    """A directory that is something else is left as it is, whatever its names look like."""
    account = Mount(emulator, directory, driver=[APP])
    account.write_config()
    victim = account.cache / "20170507T135343Z"
    victim.mkdir(parents=True)
    (victim / "letter.cab").write_text("dear")
    result = purge(account, "--all")
    assert (result.returncode, result.stdout) == (1, "")
    assert f"{account.cache} is no cache directory of cabfs" in result.stderr
    assert (victim / "letter.cab").read_text() == "dear"
    (account.cache / "version").write_text("cabfs-cache 99\n")
    assert "another version" in purge(account, "--all").stderr
    assert (victim / "letter.cab").exists()


def test_strange_files_stay(cached):
    """In a cache, too, only what is of cabfs goes; and a symbolic link is not followed."""
    (cached.cache / "notes").mkdir()
    (cached.cache / "notes/a.cab").write_text("mine")
    outside = cached.directory / "outside"
    (outside / "driver").mkdir(parents=True)
    (outside / "driver/list").write_text("mine")
    (cached.cache / "listings/link").symlink_to(outside)
    assert purge(cached, "--all").returncode == 0
    assert (cached.cache / "notes/a.cab").exists()
    assert (outside / "driver/list").exists()


def test_no_cache(emulator, directory):
    account = Mount(emulator, directory, driver=[APP])
    account.write_config()
    result = purge(account, "--all")
    assert (result.returncode, "nothing to remove" in result.stdout) == (0, True)
    assert not account.cache.exists()


def test_configuration(directory):
    result = run("purge", "test", "-c", directory / "none.conf")
    assert (result.returncode, result.stdout) == (2, "")
    assert "cannot be read" in result.stderr


def test_read_after(emulator, cached):
    """A reader that comes between the removal and the next look gets the right bytes."""
    cab = emulator.cabs()[1]
    purge(cached, "--all")
    assert read_at(cached.cab(cab), 1000, 50) == emulator.content(cab["id"], 1000, 50)
